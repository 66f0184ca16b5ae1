"""Small SVG: shapes and text as strings, and places for labels that cover nothing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]

# Noto Sans CJK SC: Chinese is one em wide, Latin letters and digits are on average a little over half.
_LATIN_EM = 0.56
_LINE_EM = 1.15
# Rings and directions tried around a label's anchor: 16 directions tell a free corner of a crowded room apart.
_STEP_MM = 1.0
_DIRECTIONS = 16


def number(value: float) -> str:
    """A coordinate to a hundredth, without trailing zeros: the same drawing gives the same bytes."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def attributes(**values: str | float) -> str:
    """Attributes in the order given; underscores become hyphens and a trailing one is dropped."""
    return "".join(
        f" {name.rstrip('_').replace('_', '-')}={quoteattr(value if isinstance(value, str) else number(value))}"
        for name, value in values.items()
    )


def polygon(points: Iterable[Point], **style: str | float) -> str:
    listed = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f"<polygon{attributes(points=listed)}{attributes(**style)}/>"


def path(commands: str, **style: str | float) -> str:
    return f"<path{attributes(d=commands)}{attributes(**style)}/>"


def line(start: Point, end: Point, **style: str | float) -> str:
    return path(f"M{number(start[0])} {number(start[1])}L{number(end[0])} {number(end[1])}", **style)


def circle(middle: Point, radius: float, **style: str | float) -> str:
    return f"<circle{attributes(cx=middle[0], cy=middle[1], r=radius)}{attributes(**style)}/>"


def text(words: str, middle: Point, size: float, **style: str | float) -> str:
    """Words centred on ``middle`` both ways (capital letters and digits; ``dy`` differs between renderers)."""
    placed = attributes(x=middle[0], y=middle[1] + 0.36 * size, font_size=size)
    style = {"text_anchor": "middle", **style}
    return f"<text{placed}{attributes(**style)}>{escape(words)}</text>"


def text_width(words: str, size: float) -> float:
    """About how wide words are at that size."""
    wide = sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else _LATIN_EM for letter in words)
    return wide * size


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle by its middle and size."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Shared area."""
        across = (self.width + other.width) / 2 - abs(self.x - other.x)
        down = (self.height + other.height) / 2 - abs(self.y - other.y)
        return max(0.0, min(across, self.width, other.width)) * max(0.0, min(down, self.height, other.height))


def box_around(points: Sequence[Point], pad: float = 0.0) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Box(
        (min(xs) + max(xs)) / 2,
        (min(ys) + max(ys)) / 2,
        max(xs) - min(xs) + 2 * pad,
        max(ys) - min(ys) + 2 * pad,
    )


class Labels:
    """Finds each label the nearest place to its anchor that is inside the sheet and covers nothing taken."""

    def __init__(self, sheet: Box) -> None:
        self._sheet = sheet
        self._taken: list[Box] = []

    def take(self, box: Box) -> None:
        self._taken.append(box)

    def place(self, words: str, size: float, anchor: Point, *, start: float, extra: float = 0.0) -> Box:
        """The box for ``words``, from ``start`` away from ``anchor``; ``extra`` width is kept for a symbol.

        Where everything is taken, the place that covers least.
        """
        width, height = text_width(words, size) + extra + 0.8, _LINE_EM * size + 0.4
        best: tuple[float, Box] | None = None
        reach = max(self._sheet.width, self._sheet.height) / 3
        for ring in range(math.ceil(reach / _STEP_MM)):
            distance = start + ring * _STEP_MM
            for turn in range(_DIRECTIONS):
                angle = 2 * math.pi * turn / _DIRECTIONS - math.pi / 2
                # The nearer edge, not the middle, lies at that distance: labels are wider than high.
                box = Box(
                    anchor[0] + math.cos(angle) * (distance + width / 2),
                    anchor[1] + math.sin(angle) * (distance + height / 2),
                    width,
                    height,
                )
                outside = width * height - self._sheet.overlap(box)
                cost = outside * 10 + sum(box.overlap(taken) for taken in self._taken)
                if best is None or cost < best[0] - 1e-6:
                    best = cost, box
            if best is not None and best[0] < 1e-6:
                break
        assert best is not None  # noqa: S101 - the first ring always gives one
        self.take(best[1])
        return best[1]
