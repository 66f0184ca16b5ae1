"""Desk cards drawn on the picture that they were found in, each with an arrow from where the model expects it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kaozheng_vision.overlay import (
    Colour,
    Frame,
    Line,
    Points,
    draw_label,
    draw_polygon,
    fixed,
)

# Sky blue for a card that agrees and vermilion for one that stands elsewhere (Okabe and Ito 2008); a card whose pose
# was never judged is white. Solid, dashed, and thin differ in a grey print too.
AGREES = Line((233, 180, 86), 1.0, 0.0)
ELSEWHERE = Line((0, 94, 213), 3.0, 2.0)
FOUND = Line((255, 255, 255), 1.0, 0.0)
# The arrows' enlargement is the largest of these with which nine arrows of ten stay within a twentieth of the width.
ENLARGEMENTS = (100, 50, 20, 10, 5, 2, 1)
_LONGEST_SHARE = 0.05
_OF_ARROWS = 0.9
# The legend's bar stands for the longest of these that it has room for.
_BARS_PX = (0.5, 1, 2, 5, 10, 20, 50)
_ARROW_WIDTH = 1.4


@dataclass(frozen=True, slots=True, eq=False)
class CardMark:
    """A card in a picture: corners (4, 2) pixels as found, and as the model expects them (None: it says nothing of it).

    ``agrees`` is whether it stands where it should; None where that was not judged.
    """

    label: str
    seen_px: Points
    expected_px: Points | None = None
    agrees: bool | None = None


def draw_cards(frame: Frame, cards: Sequence[CardMark]) -> Frame:
    """A copy of ``frame`` with the cards' outlines and, for those that the model expects somewhere, enlarged arrows.

    An arrow points from where the model expects the card's middle, drawn at its true place, towards where it is seen,
    so many times as far as the legend at the lower left says. A card that stands elsewhere has a line to its
    place at its true length instead: it would leave the picture.
    """
    picture = frame.copy()
    scale = frame.shape[1] / 1280
    width_px = max(1, round(_ARROW_WIDTH * scale))
    arrows = {index: arrow for index, card in enumerate(cards) if (arrow := _arrow(card)) is not None}
    factor = enlargement(
        [step for index, (_, step) in arrows.items() if cards[index].agrees is not False], frame.shape[1]
    )
    for dark in (True, False):
        for index, card in enumerate(cards):
            line = _line(card)
            draw_polygon(picture, card.seen_px, line, width_px, dark=dark)
            if index in arrows:
                start, step = arrows[index]
                times = 1.0 if card.agrees is False else float(factor)
                _draw_arrow(picture, start, step * times, line.colour, width_px, dark=dark)
    for card in cards:
        side_px = float(np.ptp(card.seen_px[:, 1]))
        middle = card.seen_px.mean(axis=0)
        place = (float(middle[0]), float(middle[1]) + side_px / 2 + 11 * scale)
        draw_label(picture, card.label, place, _line(card).colour, 0.62 * scale)
    if any(cards[index].agrees is not False for index in arrows):
        _draw_legend(picture, factor, scale)
    return picture


def enlargement(steps: Sequence[Points], width_px: int) -> int:
    """How many times as long residuals, (2,) pixels each, are drawn in a picture of that width."""
    lengths = [float(np.hypot(*step)) for step in steps]
    if not lengths:
        return 1
    typical_px = max(float(np.quantile(lengths, _OF_ARROWS)), 1e-6)
    return next((one for one in ENLARGEMENTS if one * typical_px <= _LONGEST_SHARE * width_px), 1)


def _line(card: CardMark) -> Line:
    return FOUND if card.agrees is None else AGREES if card.agrees else ELSEWHERE


def _arrow(card: CardMark) -> tuple[Points, Points] | None:
    """From where the middle is expected, and the step from there to where it is seen."""
    if card.expected_px is None or not np.isfinite(card.expected_px).all():
        return None
    start = card.expected_px.mean(axis=0)
    return start, card.seen_px.mean(axis=0) - start


def _draw_arrow(
    picture: Frame, start: Points, step: Points, colour: Colour, width_px: int, *, dark: bool
) -> None:
    thickness = width_px + 2 if dark else width_px
    shade = (25, 25, 25) if dark else colour
    length_px = float(np.hypot(*step))
    first = fixed((float(start[0]), float(start[1])))
    cv2.circle(picture, first, 2 * width_px << 4, shade, -1 if not dark else 2, cv2.LINE_AA, 4)
    if length_px < 1.0:
        return
    end = start + step
    # A head of 30 degrees to either side; as long as four widths, or half the arrow.
    back = -step / length_px * min(4.0 * width_px + 2, length_px / 2)
    cv2.line(picture, first, _fixed(end), shade, thickness, cv2.LINE_AA, 4)
    for angle in (0.5, -0.5):
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ back
        cv2.line(picture, _fixed(end + turned), _fixed(end), shade, thickness, cv2.LINE_AA, 4)


def _draw_legend(picture: Frame, factor: int, scale: float) -> None:
    """A bar as long as that many pixels are drawn, and the enlargement in words."""
    height, width = picture.shape[:2]
    room_px = 0.12 * width
    bar_px = max((one for one in _BARS_PX if one * factor <= room_px), default=_BARS_PX[0])
    text = f"arrows x{factor}: {bar_px:g} px"
    size, thickness = 0.5 * scale, max(1, round(1.2 * scale))
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    pad, long = round(8 * scale), round(bar_px * factor)
    # Above the lowest tenth, where cameras burn in their clock and name.
    left, bottom = pad, round(0.9 * height)
    right, top = left + max(text_width, long) + 2 * pad, bottom - text_height - 3 * pad
    cv2.rectangle(picture, (left, top), (right, bottom), (25, 25, 25), -1)
    place = (left + pad, top + pad + text_height)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thickness, cv2.LINE_AA)
    y = bottom - pad
    _draw_arrow(
        picture,
        np.array([left + pad, y], dtype=np.float64),
        np.array([long, 0.0]),
        AGREES.colour,
        max(1, round(_ARROW_WIDTH * scale)),
        dark=False,
    )


def _fixed(point: Points) -> tuple[int, int]:
    return fixed((float(point[0]), float(point[1])))
