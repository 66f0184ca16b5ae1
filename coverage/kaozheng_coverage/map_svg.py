"""Maps of a room as SVG: how sharply each place is seen, and where no camera sees at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.drawing import number
from kaozheng_coverage.floor_map import FloorMap
from kaozheng_coverage.person import desk_corners
from kaozheng_coverage.plan_cameras import camera_mark
from kaozheng_coverage.plan_room import head, obstacles, taken, title, walls
from kaozheng_coverage.plan_sheet import INK, MARGIN_MM, SMALL_MM, Sheet
from kaozheng_coverage.profile import Level
from kaozheng_coverage.room import Room

# Cells that are seen by no camera: crossed on white, told from every shade in print and for the colour-blind.
_BLIND = (
    '<defs><pattern id="blind" width="2" height="2" patternUnits="userSpaceOnUse">'
    '<rect width="2" height="2" fill="#ffffff"/>'
    '<path d="M0 0L2 2M2 0L0 2" stroke="#b03a00" stroke-width="0.35" fill="none"/></pattern></defs>'
)


@dataclass(frozen=True, slots=True)
class _Band:
    """One shade of a map and what it says."""

    words: str
    fill: str


# Lightness falls evenly from band to band (a blue that a black and white printer keeps in order).
_DENSITY = (
    (0.0, _Band("拍不到", "url(#blind)")),
    (1e-9, _Band("<12.5", "#eef2f7")),
    (Level.MONITOR.px_per_m, _Band("≥12.5 监视", "#d3dfec")),
    (Level.DETECT.px_per_m, _Band("≥25 探测", "#aec6de")),
    (Level.OBSERVE.px_per_m, _Band("≥62.5 观察", "#7fa6cb")),
    (Level.RECOGNISE.px_per_m, _Band("≥125 辨认", "#4b80b3")),
    (Level.IDENTIFY.px_per_m, _Band("≥250 识别", "#1f4f82")),
)
_COUNTS = (
    (0, _Band("盲区：0台", "url(#blind)")),
    (1, _Band("1台（无备用）", "#cfdbe8")),
    (2, _Band("2台", "#86abd0")),
    (3, _Band("3台及以上", "#2f689f")),
)


def density_svg(room: Room, cameras: Sequence[Camera], seen: FloorMap) -> str:
    """How many pixels a metre gets at the map's height from the best camera, in the bands of EN 62676-4:2014."""
    edges = np.array([edge for edge, _ in _DENSITY])
    band = np.searchsorted(edges, seen.px_per_m, side="right") - 1
    words = f"清晰度（像素/米），离地{number(seen.height_m)} m"
    return _map(room, cameras, seen, band, [one for _, one in _DENSITY], words)


def blind_svg(room: Room, cameras: Sequence[Camera], seen: FloorMap) -> str:
    """How many cameras see each place at the map's height; crossed where none does."""
    band = np.minimum(seen.cameras, len(_COUNTS) - 1)
    blind = float((band[~seen.solid] == 0).mean()) if (~seen.solid).any() else 0.0
    words = f"各处可见的摄像机台数，离地{number(seen.height_m)} m；盲区占{blind:.1%}"
    return _map(room, cameras, seen, band, [one for _, one in _COUNTS], words)


def _map(
    room: Room,
    cameras: Sequence[Camera],
    seen: FloorMap,
    band: np.ndarray,
    bands: Sequence[_Band],
    words: str,
) -> str:
    sheet = Sheet.of(room)
    labels = taken(sheet, room, cameras)
    half = seen.cell_m / 2 * 1.001  # a hair of overlap, so that no seam shows between cells
    parts = [
        head(sheet, room, words),
        _BLIND,
        *(_area(sheet, seen, band == index, half, one.fill) for index, one in enumerate(bands)),
    ]
    parts += obstacles(sheet, room)
    for seat in room.seats:
        ring = [sheet.at(corner) for corner in desk_corners(seat)]
        parts.append(svg.polygon(ring, fill="#ffffff", fill_opacity="0.75", stroke=INK, stroke_width=0.2))
        size = min(3.0, seat.desk.depth_m * sheet.scale * 0.6)
        parts.append(svg.text(seat.number, sheet.at(seat.centre), size, font_weight="bold"))
    parts += walls(sheet, room)
    parts += [camera_mark(sheet, camera, index, labels) for index, camera in enumerate(cameras)]
    parts += [*title(sheet, room), *_legend(sheet, bands, words), "</svg>"]
    return "\n".join(part for part in parts if part) + "\n"


def _area(sheet: Sheet, seen: FloorMap, chosen: np.ndarray, half: float, fill: str) -> str:
    """All cells of one band as one path. Under a solid nothing is said, and the floor stays white."""
    x, y = seen.centres[chosen & ~seen.solid].T
    if not len(x):
        return ""
    whole = shapely.simplify(
        shapely.union_all(shapely.box(x - half, y - half, x + half, y + half)), seen.cell_m / 20
    )
    commands = []
    for piece in shapely.get_parts(whole):
        for ring in (piece.exterior, *piece.interiors):
            at = [sheet.at((float(px), float(py))) for px, py in ring.coords[:-1]]
            commands.append("M" + "L".join(f"{number(px)} {number(py)}" for px, py in at) + "Z")
    return svg.path("".join(commands), fill=fill, fill_rule="evenodd")


def _legend(sheet: Sheet, bands: Sequence[_Band], words: str) -> list[str]:
    y, x = sheet.bottom + 11.5, MARGIN_MM
    parts = [svg.text(words, (x, y - 3.6), SMALL_MM, text_anchor="start", font_weight="500")]
    for band in bands:
        swatch = [(x, y - 1.7), (x + 5.0, y - 1.7), (x + 5.0, y + 1.7), (x, y + 1.7)]
        parts.append(svg.polygon(swatch, fill=band.fill, stroke=INK, stroke_width=0.2))
        parts.append(svg.text(band.words, (x + 6.0, y), SMALL_MM, text_anchor="start"))
        x += 6.0 + svg.text_width(band.words, SMALL_MM) + 3.0
    return parts
