"""The one picture of a timeline: a row a camera, what is recorded, what is missing and why, on screen and on paper.

Whoever has something to show builds :class:`Panel` records; nothing else draws a timeline as a picture. Every kind has
a pattern of its own beside its colour, and what is missing reaches over the strip's edges: it is read in black and
white too. All lengths are millimetres on a page 178 mm wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from xml.sax.saxutils import escape

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.drawing import number, text_width

from kaozheng_service.disputes.axis import round_times

WIDTH_MM = 178.0
_NAME_MM = 30.0
_NOTE_MM = 18.0
_STRIP_MM = WIDTH_MM - _NAME_MM - _NOTE_MM
_SMALL_MM, _NORMAL_MM = 2.3, 2.7
# A row: room for numbers, the strip, and what the strip is overlapped by.
_LABEL_MM, _BAR_MM, _OVER_MM, _FAULT_MM = 3.5, 4.3, 0.6, 2.2
# Where a row has no numbers.
_CLEAR_MM = 1.8
# Thinner than this a bar cannot be seen on paper.
_THINNEST_MM = 0.5
_MOST_TIMES = 9
# On a screen a page's width is small.
_SCREEN = 1.5

_FONT = "Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif"
_INK, _FAINT, _HAIR = "#1b2733", "#5a6878", "#b8c1ca"
_RECORDED, _GAP, _BAD, _FAULT = "#6f9cbb", "#9a5b00", "#b0122f", "#5b2a86"
_FILLS = {
    "recorded": _RECORDED,
    "writing": "url(#kz-writing)",
    "gap": "url(#kz-gap)",
    "backfilled": "url(#kz-backfilled)",
    "unexplained": "url(#kz-unexplained)",
    "fault": "url(#kz-fault)",
}
_STROKES = {"gap": _GAP, "backfilled": _GAP, "unexplained": _BAD, "fault": _FAULT}
_WORDS = {
    "recorded": "已录 recorded",
    "writing": "正在写入 being written",
    "gap": "缺口（有说明）explained gap",
    "backfilled": "缺口中事后补录的部分 backfilled",
    "unexplained": "未说明 unexplained",
    "upcoming": "未到时间 to come",
    "fault": "画面异常 picture fault",
}
_PATTERNS = (
    '<pattern id="kz-writing" width="1.2" height="1.2" patternUnits="userSpaceOnUse"><rect width="1.2" height="1.2" '
    f'fill="#fff"/><circle cx="0.6" cy="0.6" r="0.38" fill="{_RECORDED}"/></pattern>'
    '<pattern id="kz-gap" width="1.1" height="1.1" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<rect width="1.1" height="1.1" fill="#fff"/><rect width="0.4" height="1.1" fill="{_GAP}"/></pattern>'
    '<pattern id="kz-backfilled" width="1" height="1" patternUnits="userSpaceOnUse"><rect width="1" height="1" '
    f'fill="#fff"/><circle cx="0.5" cy="0.5" r="0.28" fill="{_GAP}"/></pattern>'
    '<pattern id="kz-unexplained" width="1.6" height="1.6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<rect width="1.6" height="1.6" fill="{_BAD}"/><path d="M0.8 0V1.6M0 0.8H1.6" stroke="#fff" stroke-width="0.4"/>'
    "</pattern>"
    '<pattern id="kz-fault" width="0.9" height="0.9" patternUnits="userSpaceOnUse">'
    f'<rect width="0.9" height="0.9" fill="#fff"/><rect width="0.45" height="0.9" fill="{_FAULT}"/></pattern>'
)


@dataclass(frozen=True, slots=True)
class Bar:
    """``kind`` is recorded, writing, gap, backfilled, unexplained, upcoming or fault; all else is left blank.

    ``mark`` is the number under which a table tells more, "" if none does; ``title`` is shown to a pointer.
    """

    kind: str
    starts_at: datetime
    ends_at: datetime
    title: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One camera. ``bars`` are drawn in their order; ``faults`` of its picture under them; ``note`` stands behind."""

    name: str
    bars: tuple[Bar, ...]
    faults: tuple[Bar, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A moment of the room, over all cameras."""

    at: datetime
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows on one axis. ``notes`` are lines of text below, for a picture that no table stands beside."""

    starts_at: datetime
    ends_at: datetime
    rows: tuple[Row, ...]
    heading: str = ""
    exam: tuple[datetime, datetime] | None = None
    flags: tuple[Flag, ...] = ()
    now: datetime | None = None
    notes: tuple[str, ...] = ()

    def x(self, at: datetime) -> float:
        """Where a moment is, within the strip's ends."""
        share = (at - self.starts_at) / (self.ends_at - self.starts_at)
        return _NAME_MM + _STRIP_MM * min(max(share, 0.0), 1.0)

    def holds(self, at: datetime) -> bool:
        return self.starts_at <= at <= self.ends_at


def timeline_svg(panels: Sequence[Panel], zone: tzinfo) -> str:
    """Panels under one another as one SVG document without outside parts; the same panels give the same bytes."""
    parts: list[str] = []
    y = 0.0
    for panel in panels:
        drawn, height = _panel(panel, zone)
        parts.append(f'<g transform="translate(0 {number(y)})">{drawn}</g>')
        y += height
    legend, legend_height = _legend(panels)
    parts.append(f'<g transform="translate(0 {number(y)})">{legend}</g>')
    height = y + legend_height
    opening = svg.attributes(
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(WIDTH_MM)} {number(height)}",
        width=f"{number(WIDTH_MM * _SCREEN)}mm",
        height=f"{number(height * _SCREEN)}mm",
        font_family=_FONT,
        font_weight="500",
        fill=_INK,
        role="img",
    )
    name = "各摄像机的录像与缺口 recording and gaps, camera by camera"
    return f"<svg{opening}><title>{name}</title><defs>{_PATTERNS}</defs>{''.join(parts)}</svg>"


def fitted(words: str, width: float, size: float = _NORMAL_MM) -> str:
    """Words cut to a width, in mm."""
    if text_width(words, size) <= width:
        return words
    while words and text_width(words + "…", size) > width:
        words = words[:-1]
    return words + "…"


def _panel(panel: Panel, zone: tzinfo) -> tuple[str, float]:
    parts: list[str] = []
    y = 0.0
    if panel.heading:
        heading = fitted(panel.heading, WIDTH_MM, 3.0)
        parts.append(svg.text(heading, (0.0, 2.2), 3.0, text_anchor="start", font_weight="bold"))
        y += 5.0
    flags = _Lane(y + 1.7)
    if any(panel.holds(flag.at) for flag in panel.flags):
        y += 3.6
    exam_y = y + 1.9
    if panel.exam is not None:
        y += 3.8
    times_y = y + 1.6
    top = y + 3.4
    rows, bottom = _rows(panel, top)
    for one in round_times(panel.starts_at, panel.ends_at, zone, _MOST_TIMES):
        x = panel.x(one.at)
        parts.append(svg.line((x, top - 0.4), (x, bottom), stroke=_HAIR, stroke_width=0.15))
        parts.append(svg.text(one.label, (x, times_y), _SMALL_MM, fill=_FAINT))
    parts += rows
    parts += _exam(panel, exam_y, top, bottom, zone)
    for flag in panel.flags:
        if panel.holds(flag.at):
            parts += _flag(panel, flag, flags, top, bottom)
    if panel.now is not None and panel.holds(panel.now):
        x = panel.x(panel.now)
        ends = (x, top - 0.8), (x, bottom + 0.6)
        parts.append(svg.line(*ends, stroke=_INK, stroke_width=0.4, stroke_dasharray="1.6 0.6 0.3 0.6"))
        anchor = "end" if x > WIDTH_MM / 2 else "start"
        parts.append(
            svg.text("现在 now", (x, bottom + 2.0), _SMALL_MM, text_anchor=anchor, font_weight="bold")
        )
        bottom += 3.0
    y = bottom + 1.0
    for note in panel.notes:
        note = fitted(note, WIDTH_MM, _SMALL_MM)
        parts.append(svg.text(note, (0.0, y + 1.6), _SMALL_MM, text_anchor="start"))
        y += 3.4
    return "".join(parts), y + (4.0 if panel.heading else 1.0)


def _rows(panel: Panel, top: float) -> tuple[list[str], float]:
    parts: list[str] = []
    y = top
    for row in panel.rows:
        strip = y + (_LABEL_MM if any(bar.mark for bar in row.bars) else _CLEAR_MM)
        middle = strip + _BAR_MM / 2
        name = fitted(row.name, _NAME_MM - 2.0)
        parts.append(f"<g><title>{escape(row.name)}</title>")
        parts.append(svg.text(name, (_NAME_MM - 1.5, middle), _NORMAL_MM, text_anchor="end"))
        parts.append(
            f'<rect x="{number(_NAME_MM)}" y="{number(strip)}" width="{number(_STRIP_MM)}" '
            f'height="{number(_BAR_MM)}" fill="#fff" stroke="{_HAIR}" stroke-width="0.2"/>'
        )
        parts += [_bar(panel, bar, strip) for bar in row.bars]
        parts += _marks(panel, row.bars, y + 1.5)
        if row.note:
            note = fitted(row.note, _NOTE_MM - 1.5)
            parts.append(svg.text(note, (WIDTH_MM, middle), _NORMAL_MM, text_anchor="end"))
        for fault in row.faults:
            parts.append(_bar(panel, fault, strip + _BAR_MM + 0.7, _FAULT_MM))
            x = panel.x(fault.ends_at) + 0.6
            anchor = "start"
            if x > WIDTH_MM - _NOTE_MM - 4.0:
                x, anchor = panel.x(fault.starts_at) - 0.6, "end"
            where = (x, strip + _BAR_MM + 0.7 + _FAULT_MM / 2)
            parts.append(svg.text(fault.mark, where, 2.0, text_anchor=anchor, fill=_FAULT))
        parts.append("</g>")
        y = strip + _BAR_MM + (_FAULT_MM + 0.8 if row.faults else 0.0) + 0.8
    return parts, y


def _bar(panel: Panel, bar: Bar, y: float, height: float = _BAR_MM) -> str:
    left, right = panel.x(bar.starts_at), panel.x(bar.ends_at)
    title = f"<title>{escape(bar.title)}</title>"
    if bar.kind == "upcoming":
        style = svg.attributes(stroke=_FAINT, stroke_width=0.3, stroke_dasharray="0.4 1.2")
        middle = number(y + height / 2)
        return f'<path d="M{number(left)} {middle}H{number(right)}"{style}>{title}</path>'
    if bar.kind not in _FILLS:
        return ""
    if bar.kind == "backfilled":  # in the lower half of its gap
        y, height = y + height / 2, height / 2
    over = _OVER_MM if bar.kind in ("gap", "unexplained") else 0.0
    width = max(right - left, _THINNEST_MM)
    place = svg.attributes(
        x=min(left, _NAME_MM + _STRIP_MM - width),
        y=y - over,
        width=width,
        height=height + 2 * over,
        # Narrower than its own pattern, a bar would show an arbitrary part of it.
        fill=_FILLS[bar.kind] if width > 1.2 else _STROKES.get(bar.kind, _RECORDED),
        stroke=_STROKES.get(bar.kind, _INK),
        stroke_width=0.3 if bar.kind == "unexplained" else 0.2 if bar.kind != "recorded" else 0.12,
    )
    return f'<rect class="{bar.kind}"{place}>{title}</rect>'


class _Lane:
    """A line of labels that never stand in one another: where one would, it is left out or joined by its maker."""

    def __init__(self, y: float) -> None:
        self.y = y
        self._right = -1.0

    def place(self, words: str, x: float, size: float) -> float | None:
        """The middle for words near ``x``; None where there is no room."""
        half = text_width(words, size) / 2
        middle = min(max(x, half, self._right + 0.6 + half), WIDTH_MM - half)
        if middle - half < self._right or abs(middle - x) > half + 1.5:
            return None
        self._right = middle + half
        return middle


def _marks(panel: Panel, bars: Iterable[Bar], y: float) -> list[str]:
    """The bars' numbers above them; neighbours without room for each share one label: ``3–9``."""
    groups: list[list[Bar]] = []
    for bar in sorted((bar for bar in bars if bar.mark), key=lambda bar: bar.starts_at):
        groups.append([bar])
        while len(groups) > 1 and _edges(panel, groups[-1])[0] < _edges(panel, groups[-2])[1] + 0.7:
            last = groups.pop()
            groups[-1].extend(last)
    return [
        svg.text(_joined(group), (sum(_edges(panel, group)) / 2, y), _SMALL_MM, font_weight="bold")
        for group in groups
    ]


def _edges(panel: Panel, group: list[Bar]) -> tuple[float, float]:
    """From where to where the label of a group reaches."""
    middle = (panel.x(group[0].starts_at) + panel.x(group[-1].ends_at)) / 2
    half = text_width(_joined(group), _SMALL_MM) / 2
    return middle - half, middle + half


def _joined(group: list[Bar]) -> str:
    return group[0].mark if len(group) == 1 else f"{group[0].mark}–{group[-1].mark}"


def _exam(panel: Panel, y: float, top: float, bottom: float, zone: tzinfo) -> list[str]:
    """The exam's own time: a bracket over the axis, dashed down to the last camera."""
    if panel.exam is None:
        return []
    left, right = (panel.x(at) for at in panel.exam)
    begin, end = (f"{at.astimezone(zone):%H:%M}" for at in panel.exam)
    words = f"考试 exam {begin}–{end}"
    parts = [
        svg.path(
            f"M{number(left)} {number(y + 1.2)}V{number(y)}H{number(right)}V{number(y + 1.2)}",
            fill="none",
            stroke=_INK,
            stroke_width=0.25,
        )
    ]
    half = text_width(words, _SMALL_MM) / 2 + 0.8
    middle = min(max((left + right) / 2, half), WIDTH_MM - half)
    parts.append(
        f'<rect x="{number(middle - half)}" y="{number(y - 1.5)}" width="{number(2 * half)}" height="3" fill="#fff"/>'
    )
    parts.append(svg.text(words, (middle, y), _SMALL_MM, font_weight="bold"))
    for at, x in zip(panel.exam, (left, right), strict=True):
        if panel.holds(at):
            ends = (x, top - 0.4), (x, bottom)
            parts.append(svg.line(*ends, stroke=_INK, stroke_width=0.25, stroke_dasharray="1 0.8"))
    return parts


def _flag(panel: Panel, flag: Flag, lane: _Lane, top: float, bottom: float) -> list[str]:
    x = panel.x(flag.at)
    parts = [
        svg.polygon([(x - 0.9, top - 1.6), (x + 0.9, top - 1.6), (x, top - 0.1)], fill=_INK),
        svg.line((x, top - 0.1), (x, bottom), stroke=_INK, stroke_width=0.15),
    ]
    middle = lane.place(flag.label, x, _SMALL_MM)
    if middle is not None:
        parts.append(svg.text(flag.label, (middle, lane.y), _SMALL_MM, font_weight="bold"))
    return parts


def _legend(panels: Sequence[Panel]) -> tuple[str, float]:
    """What is in the pictures, in words, and its height; nothing that is not."""
    bars = {bar.kind for panel in panels for row in panel.rows for bar in (*row.bars, *row.faults)}
    parts = []
    x, y = 0.0, 2.4
    for kind, words in _WORDS.items():
        if kind not in bars:
            continue
        width = 6.0 + text_width(words, _SMALL_MM)
        if x + width > WIDTH_MM:
            x, y = 0.0, y + 4.0
        if kind == "upcoming":
            style = svg.attributes(stroke=_FAINT, stroke_width=0.3, stroke_dasharray="0.4 1.2")
            parts.append(f'<path d="M{number(x)} {number(y)}h5"{style}/>')
        else:
            look = svg.attributes(
                fill=_FILLS[kind],
                stroke=_STROKES.get(kind, _INK),
                stroke_width=0.2 if kind in _STROKES else 0.12,
            )
            parts.append(f'<rect x="{number(x)}" y="{number(y - 1.4)}" width="5" height="2.8"{look}/>')
        parts.append(svg.text(words, (x + 6.0, y), _SMALL_MM, text_anchor="start", fill=_FAINT))
        x += width + 3.0
    return "".join(parts), y + 2.2
