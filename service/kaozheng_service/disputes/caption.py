"""Words as a picture, to be laid over a derived copy: typst sets them, so they need no font of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import typst

from kaozheng_service.paper import FONTS

TEMPLATE = Path(__file__).with_name("caption.typ")


def draw_caption(
    out: Path, lines: list[str], *, width_px: int, height_px: int, size_px: float, corner: bool = False
) -> None:
    """Write white words on black to the PNG file ``out``.

    Parameters
    ----------
    corner : black only behind the words, in the upper left; the rest is clear
    """
    data = {"lines": lines, "width": width_px, "height": height_px, "size": size_px, "corner": corner}
    typst.compile(
        str(TEMPLATE),
        output=str(out),
        format="png",
        ppi=72.0,
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
    )
