"""What the model predicts, drawn on the live picture: seat outlines and numbers for a supervisor to check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.verdict import Outcome

Frame = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """``colour`` in BGR; ``dash`` and ``gap`` in line widths, gap 0 for a solid line."""

    colour: Colour
    dash: float
    gap: float


# Colours that the colour-blind tell apart (Okabe and Ito, 2008), and line styles that a grey print does.
LINES: Mapping[Outcome, Line] = {
    Outcome.PASS: Line((115, 158, 0), 1.0, 0.0),
    Outcome.FAIL: Line((0, 94, 213), 7.0, 4.0),
    Outcome.UNDETERMINED: Line((0, 159, 230), 1.5, 3.5),
}
# OpenCV takes whole numbers with this many binary places: 1/16 px is finer than can be seen.
_SHIFT = 4


def draw_outlines(
    frame: Frame,
    outlines: Mapping[str, Mapping[str, Points]],
    outcomes: Mapping[str, Outcome],
) -> Frame:
    """A copy of ``frame`` with the outlines of targets drawn in.

    Parameters
    ----------
    frame : (height, width, 3) BGR picture
    outlines : by label, such as a seat number, and by part: (N, 2) pixels of a polygon, not closed. A point
        may lie outside the picture, or be nan where the lens has no pixel for it: its edges are left out.
    outcomes : by label; a label without one is drawn as undetermined

    Returns
    -------
    (height, width, 3) BGR picture. The label stands in the middle of the first part whose
    middle is in the picture. Only Latin letters and digits of a label are drawn.
    """
    picture = frame.copy()
    scale = frame.shape[1] / 1280
    width_px = max(1, round(1.6 * scale))
    lines = {label: LINES[outcomes.get(label, Outcome.UNDETERMINED)] for label in outlines}
    # A dark edge first, so that a line is seen on a white desk as on a black screen.
    for dark in (True, False):
        for label, parts in outlines.items():
            for polygon in parts.values():
                draw_polygon(picture, polygon, lines[label], width_px, dark=dark)
    for label, parts in outlines.items():
        place = _label_place(parts, frame.shape[1], frame.shape[0])
        if place is not None:
            middle, room_px = place
            # A far desk gets a small number, so that it does not cover its neighbours.
            size = min(scale, max(0.62 * scale, room_px / 70))
            draw_label(picture, label, middle, lines[label].colour, size)
    return picture


def draw_polygon(picture: Frame, polygon: Points, line: Line, width_px: int, *, dark: bool) -> None:
    """Draw a closed polygon into ``picture``: its dark edge, or the line itself."""
    colour = (25, 25, 25) if dark else line.colour
    thickness = width_px + 2 if dark else width_px
    size = (picture.shape[1], picture.shape[0])
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        inside = clip_segment((float(start[0]), float(start[1])), (float(end[0]), float(end[1])), size)
        if inside is None:
            continue
        for first, last in _dashes(*inside, line.dash * width_px, line.gap * width_px):
            cv2.line(picture, fixed(first), fixed(last), colour, thickness, cv2.LINE_AA, _SHIFT)


def clip_segment(start: Point, end: Point, size: tuple[int, int]) -> tuple[Point, Point] | None:
    """The part of a segment inside a picture of ``size`` (width, height); None if there is none, or on nan.

    Notes
    -----
    Liang and Barsky, 1984.
    """
    if not np.isfinite([*start, *end]).all():
        return None
    begin, finish = 0.0, 1.0
    for axis in (0, 1):
        step = end[axis] - start[axis]
        for towards, room in ((-step, start[axis]), (step, size[axis] - start[axis])):
            if towards == 0.0:
                if room < 0:
                    return None
            elif towards < 0:
                begin = max(begin, room / towards)
            else:
                finish = min(finish, room / towards)
    if begin > finish:
        return None
    return _along(start, end, begin), _along(start, end, finish)


def _dashes(start: Point, end: Point, dash_px: float, gap_px: float) -> Iterator[tuple[Point, Point]]:
    length_px = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    if gap_px == 0.0 or length_px <= dash_px:
        yield start, end
        return
    for begin_px in np.arange(0.0, length_px, dash_px + gap_px):
        finish_px = min(begin_px + dash_px, length_px)
        yield _along(start, end, begin_px / length_px), _along(start, end, finish_px / length_px)


def _along(start: Point, end: Point, share: float) -> Point:
    return (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)


def fixed(point: Point) -> tuple[int, int]:
    """Our pixel coordinates as OpenCV's drawing functions take them with a shift of 4."""
    # A pixel's middle is at .5 in our coordinates and at .0 in OpenCV's.
    return round((point[0] - 0.5) * 2**_SHIFT), round((point[1] - 0.5) * 2**_SHIFT)


def _label_place(parts: Mapping[str, Points], width_px: int, height_px: int) -> tuple[Point, float] | None:
    """The middle of the first part that has it in the picture, and how wide that part is, pixels."""
    for polygon in parts.values():
        if len(polygon) and np.isfinite(polygon).all():
            x, y = polygon.mean(axis=0)
            if 0 <= x < width_px and 0 <= y < height_px:
                return (float(x), float(y)), float(np.ptp(polygon[:, 0]))
    return None


def draw_label(picture: Frame, label: str, middle: Point, colour: Colour, scale: float) -> None:
    """Draw a name in a box of that colour into ``picture``, kept whole at its border."""
    text = "".join(letter for letter in label if " " <= letter <= "~")
    if not text:
        return
    size, thickness = 0.62 * scale, max(1, round(1.5 * scale))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    pad = max(2, round(3 * scale))
    # Kept whole at the border: a label cut in half may read as another seat's number.
    x = round(min(max(middle[0] - width / 2, pad), max(pad, picture.shape[1] - width - pad)))
    y = round(min(max(middle[1] + height / 2, height + pad), max(height + pad, picture.shape[0] - pad)))
    corners = (x - pad, y - height - pad), (x + width + pad, y + pad)
    cv2.rectangle(picture, *corners, (25, 25, 25), -1)
    cv2.rectangle(picture, *corners, colour, max(1, round(scale)), cv2.LINE_AA)
    cv2.putText(
        picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thickness, cv2.LINE_AA
    )
