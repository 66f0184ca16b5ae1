"""The paper a plan is drawn on: from metres to millimetres, the look of each outcome, and its symbol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.arrays import Array
from kaozheng_coverage.drawing import Box, Point, number
from kaozheng_coverage.room import Point2, Room
from kaozheng_coverage.verdict import Outcome

# The text width of an A4 page with 16 mm margins, and the height that leaves room for a heading on it.
PAGE_MM = (178.0, 138.0)
MARGIN_MM = 6.0
HEADER_MM = 8.0
FOOTER_MM = 13.5
# No desk is drawn larger than this, however small the room.
MOST_MM_PER_M = 22.0
SMALL_MM, NORMAL_MM = 2.3, 2.9
FONT = "Noto Sans CJK SC, sans-serif"


def opening(width_mm: float, height_mm: float) -> str:
    """The opening tag of an SVG document of that size, its units millimetres."""
    style = svg.attributes(
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width_mm)} {number(height_mm)}",
        width=f"{number(width_mm)}mm",
        height=f"{number(height_mm)}mm",
        font_family=FONT,
        fill=INK,
    )
    return f"<svg{style}>"


@dataclass(frozen=True, slots=True)
class Sheet:
    """From room metres to millimetres on paper."""

    width: float
    height: float
    scale: float  # mm per metre
    left: float
    top: float
    origin: Point2  # the room's top left corner, metres

    @classmethod
    def of(cls, room: Room) -> Sheet:
        left, back, right, front = shapely.Polygon(room.boundary).bounds
        width, height = PAGE_MM
        free_width = width - 2 * MARGIN_MM
        free_height = height - HEADER_MM - FOOTER_MM
        scale = min(free_width / (right - left), free_height / (front - back), MOST_MM_PER_M)
        drawn_mm = (right - left) * scale
        return cls(
            width,
            (front - back) * scale + HEADER_MM + FOOTER_MM,
            scale,
            (width - drawn_mm) / 2,
            HEADER_MM,
            (left, front),
        )

    def at(self, point: Sequence[float] | Array) -> Point:
        """Where a plan point in metres lies on the paper; a height is ignored."""
        return (
            self.left + (float(point[0]) - self.origin[0]) * self.scale,
            self.top + (self.origin[1] - float(point[1])) * self.scale,
        )

    def all(self, points: Sequence[Point2]) -> list[Point]:
        return [self.at(point) for point in points]

    @property
    def bottom(self) -> float:
        """Where the room ends and the legend may begin."""
        return self.height - FOOTER_MM


@dataclass(frozen=True, slots=True)
class Look:
    """How an outcome is drawn: it is told apart by colour, by symbol, and by the weight of its line."""

    ink: str
    fill: str
    line_mm: float
    dash: str


# Okabe and Ito's colours (2008), which the colour-blind tell apart, darkened until thin lines hold on white paper.
LOOKS = {
    Outcome.PASS: Look("#00684c", "#e3f3ec", 0.3, "none"),
    Outcome.FAIL: Look("#b03a00", "#fbdccb", 0.75, "none"),
    Outcome.UNDETERMINED: Look("#8a5a00", "#fdf0c8", 0.5, "1.2 0.7"),
}
UNJUDGED = Look("#5b6672", "#f3f4f6", 0.3, "none")
INK, FAINT, WALL = "#1d2733", "#5b6672", "#2b3440"
# One for each camera in turn; none of them is a verdict's colour.
CAMERA_INKS = ("#1f5fa8", "#7a3fa0", "#0b7285", "#5c4a8a", "#2f6fd0", "#96308a")


def look_of(outcome: Outcome | None) -> Look:
    """None: not judged."""
    return UNJUDGED if outcome is None else LOOKS[outcome]


def symbol(outcome: Outcome, middle: Point, size: float) -> str:
    """A tick, a cross in a filled disc, or a question mark in a ring: apart without colour, and no font needed."""
    ink, half = LOOKS[outcome].ink, size / 2
    stroke: dict[str, str | float] = {
        "fill": "none",
        "stroke": ink,
        "stroke_width": size * 0.16,
        "stroke_linecap": "round",
        "stroke_linejoin": "round",
    }

    def walk(points: Sequence[Point]) -> str:
        return "M" + "L".join(
            f"{number(middle[0] + x * half)} {number(middle[1] + y * half)}" for x, y in points
        )

    if outcome is Outcome.PASS:
        return svg.path(walk([(-0.75, 0.05), (-0.2, 0.6), (0.8, -0.6)]), **stroke)
    if outcome is Outcome.FAIL:
        cross = walk([(-0.4, -0.4), (0.4, 0.4)]) + walk([(0.4, -0.4), (-0.4, 0.4)])
        return svg.circle(middle, half, fill=ink) + svg.path(cross, **{**stroke, "stroke": "#ffffff"})
    hook = [
        (math.cos(turn) * 0.33, math.sin(turn) * 0.33 - 0.24)
        for turn in np.linspace(-math.pi, math.pi * 0.42, 12)
    ]
    thin = {**stroke, "stroke_width": size * 0.11}
    return (
        svg.circle(middle, half * 0.95, fill="#ffffff", stroke=ink, stroke_width=size * 0.1)
        + svg.path(walk([*hook, (0.0, 0.24)]), **thin)
        + svg.circle((middle[0], middle[1] + 0.55 * half), size * 0.075, fill=ink)
    )


def outside(point: Point, box: Box) -> tuple[float, Point]:
    """How far a point is from a box, mm, and the box's nearest point."""
    x = min(max(point[0], box.x - box.width / 2), box.x + box.width / 2)
    y = min(max(point[1], box.y - box.height / 2), box.y + box.height / 2)
    return math.hypot(x - point[0], y - point[1]), (x, y)


def leader(start: Point, box: Box, ink: str, clear_mm: float) -> str:
    """A thin line to a label that stands farther off than ``clear_mm``; nothing to one that is near."""
    distance, end = outside(start, box)
    return svg.line(start, end, stroke=ink, stroke_width=0.25) if distance > clear_mm else ""


def halo(words: str, box: Box, size: float, ink: str, weight: str = "500") -> str:
    """Words with a white rim, to be read on hatching and lines."""
    return svg.text(
        words,
        (box.x, box.y),
        size,
        font_weight=weight,
        fill=ink,
        stroke="#ffffff",
        stroke_width=0.8,
        stroke_linejoin="round",
        paint_order="stroke",
    )
