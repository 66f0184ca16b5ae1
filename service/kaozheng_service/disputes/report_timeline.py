"""The picture of an export's range: per camera what is recorded, what is missing with its cause, what is neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.standalone.completeness import INSIDE, holes, void_windows
from kaozheng_service.disputes.standalone.records import Record, Span
from kaozheng_service.wording import gap_cause_name

# The picture's own units: a strip of 1000 for the range beside 130 for the cameras' names.
WIDTH = 1000.0
MOST_TICKS = 8
_TICK_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
# Thinner than this a bar cannot be seen on paper.
_THINNEST = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """``kind`` is recorded, gap, backfilled or unexplained; ``mark`` is a gap's number in the table, else ""."""

    kind: str
    x: float
    width: float
    title: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class CameraLine:
    """One camera's strip. ``recorded_s`` and ``missing_s`` are within the range; ``unexplained`` are spans.

    ``backfilled_s`` of what is missing have footage that came afterwards.
    """

    camera: str
    bars: tuple[Bar, ...]
    recorded_s: float
    missing_s: float
    backfilled_s: float
    unexplained: tuple[Span, ...]


def camera_lines(
    selection: Selection, cameras: Sequence[str], span: Span, gaps: Sequence[Record], zone: tzinfo
) -> list[CameraLine]:
    """``gaps`` are numbered from 1 in the order given."""
    return [_line(selection, camera, span, gaps, zone) for camera in cameras]


def ticks(span: Span, zone: tzinfo) -> list[Tick]:
    """At round local times, as many as fit."""
    length = (span[1] - span[0]).total_seconds()
    step = next((step for step in _TICK_S if length / step <= MOST_TICKS), 86400)
    local = span[0].astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    count = int((local - midnight).total_seconds() // step)
    found = []
    while (at := midnight + timedelta(seconds=count * step)) <= span[1]:
        if at >= span[0]:
            found.append(Tick(_x(at, span), f"{at:%H:%M:%S}" if step < 60 else f"{at:%H:%M}"))
        count += 1
    return found


def _line(selection: Selection, camera: str, span: Span, gaps: Sequence[Record], zone: tzinfo) -> CameraLine:
    footage = [part.record for part in selection.footage if part.record.camera == camera]
    recorded = [_clip(record.span, span) for record in footage]
    explained = selection.of_kind("gap", camera)
    bars = [
        Bar("recorded", *_place(_clip(record.span, span), span), f"{record['take']} · {record['number']}")
        for record in footage
    ]
    bars += [
        Bar(
            "gap",
            *_place(_clip(gap.span, span), span),
            f"{gap_cause_name(gap['cause'])} {_times(gap.span, zone)}",
            str(number),
        )
        for number, gap in enumerate(gaps, 1)
        if gap.camera == camera
    ]
    healed = [part for part in selection.of_kind("gap.healed", camera) if part.meets(span)]
    bars += [
        Bar(
            "backfilled",
            *_place(_clip(part.span, span), span),
            f"补录 {_times(part.span, zone)} {part['take'].rpartition('/')[2]}",
        )
        for part in healed
    ]
    unexplained = []
    void = void_windows(list(selection.records))
    for window in selection.of_kind("window.expected"):
        if camera in window["cameras"] and window.meets(span) and window["window"] not in void:
            covered = [record.span for record in (*footage, *explained)]
            unexplained += [
                hole for hole in holes(_clip(window.span, span), covered) if hole[1] - hole[0] > INSIDE
            ]
    bars += [Bar("unexplained", *_place(hole, span), f"未说明 {_times(hole, zone)}") for hole in unexplained]
    return CameraLine(
        camera,
        tuple(bars),
        _covered_s(recorded, span),
        _covered_s([_clip(gap.span, span) for gap in gaps if gap.camera == camera], span),
        _covered_s([_clip(part.span, span) for part in healed], span),
        tuple(unexplained),
    )


def _covered_s(parts: list[Span], span: Span) -> float:
    uncovered = sum((end - begin for begin, end in holes(span, parts)), timedelta())
    return (span[1] - span[0] - uncovered).total_seconds()


def _clip(part: Span, span: Span) -> Span:
    return max(part[0], span[0]), min(part[1], span[1])


def _place(part: Span, span: Span) -> tuple[float, float]:
    left, right = _x(part[0], span), _x(part[1], span)
    return left, max(right - left, _THINNEST)


def _x(at: datetime, span: Span) -> float:
    return round(WIDTH * (at - span[0]) / (span[1] - span[0]), 2)


def _times(part: Span, zone: tzinfo) -> str:
    return " – ".join(f"{at.astimezone(zone):%H:%M:%S}" for at in part)
