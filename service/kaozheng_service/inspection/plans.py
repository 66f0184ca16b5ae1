"""The pictures of a room's geometry as files: plan, density, blind spots and each camera's view, as SVG and PNG."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import typst
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.floor_map import floor_map
from kaozheng_coverage.map_svg import blind_svg, density_svg
from kaozheng_coverage.plan import plan_svg
from kaozheng_coverage.room import Room
from kaozheng_coverage.verdict import RoomVerdict
from kaozheng_coverage.view_svg import view_svg

from kaozheng_service.paper import FONTS

# On a page 178 mm wide: 1400 pixels, sharp on a screen and in print.
PIXELS_PER_INCH = 200.0


def write_pictures(
    folder: Path,
    room: Room,
    cameras: Sequence[Camera],
    verdict: RoomVerdict,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write every picture of a judged room to ``folder``, which is made; earlier ones of the same room are replaced.

    Returns
    -------
    The files: ``plan``, ``density``, ``blind-spots`` and ``view-CAMERA``, each as ``.svg`` and ``.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen = floor_map(room, cameras)
    drawings = {
        "plan": plan_svg(room, cameras, verdict),
        "density": density_svg(room, cameras, seen),
        "blind-spots": blind_svg(room, cameras, seen),
        **{f"view-{camera.id}": view_svg(room, camera, verdict) for camera in cameras},
    }
    written = []
    for done, (name, drawing) in enumerate(drawings.items(), 1):
        vector, raster = folder / f"{name}.svg", folder / f"{name}.png"
        vector.write_text(drawing, encoding="utf-8")
        raster.write_bytes(png_of(drawing))
        written += [vector, raster]
        if progress is not None:
            progress(done, len(drawings))
    return written


def png_of(drawing: str) -> bytes:
    """An SVG document as PNG on white, at PIXELS_PER_INCH of its own size; Chinese by the font that comes with us."""
    with tempfile.TemporaryDirectory(prefix="kaozheng-picture-") as desk:
        (Path(desk) / "drawing.svg").write_text(drawing, encoding="utf-8")
        page = Path(desk) / "page.typ"
        page.write_text(
            '#set page(width: auto, height: auto, margin: 0pt)\n#image("drawing.svg")\n', encoding="utf-8"
        )
        png = typst.compile(
            str(page),
            root=desk,
            format="png",
            ppi=PIXELS_PER_INCH,
            font_paths=[str(FONTS)],
            ignore_system_fonts=True,
        )
    if not isinstance(png, bytes):  # several pages come as a list; this drawing has one
        raise TypeError(f"one page was asked for, typst gave {type(png).__name__}")
    return png
