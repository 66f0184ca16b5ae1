"""The picture of an export's range: per camera what is recorded, what is missing with its cause, what is neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo

from kaozheng_service.disputes.selection import Footage, Selection
from kaozheng_service.disputes.standalone.completeness import INSIDE, holes, segment_path, void_windows
from kaozheng_service.disputes.standalone.records import Record, Span
from kaozheng_service.disputes.timeline_svg import Bar, Panel, Row, timeline_svg
from kaozheng_service.wording import gap_cause_name


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


def trusted_selection(selection: Selection, damaged: set[str]) -> Selection:
    """Without the originals at the paths ``damaged``: what cannot be trusted is neither recorded nor explained."""

    def sound(parts: Sequence[Footage]) -> tuple[Footage, ...]:
        return tuple(part for part in parts if segment_path(part.record) not in damaged)

    return replace(selection, footage=sound(selection.footage), backfilled=sound(selection.backfilled))


def lines_svg(lines: Sequence[CameraLine], span: Span, zone: tzinfo) -> str:
    """The lines as a picture."""
    rows = tuple(Row(line.camera, line.bars) for line in lines)
    return timeline_svg([Panel(*span, rows)], zone)


def _line(selection: Selection, camera: str, span: Span, gaps: Sequence[Record], zone: tzinfo) -> CameraLine:
    footage = [part.record for part in selection.footage if part.record.camera == camera]
    recorded = [_clip(record.span, span) for record in footage]
    explained = selection.of_kind("gap", camera)
    bars = [Bar("recorded", *_clip(run.span, span), run.title) for run in _runs(footage)]
    bars += [
        Bar(
            "gap",
            *_clip(gap.span, span),
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
            *_clip(part.span, span),
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
    bars += [Bar("unexplained", *hole, f"未说明 {_times(hole, zone)}") for hole in unexplained]
    return CameraLine(
        camera,
        tuple(bars),
        _covered_s(recorded, span),
        _covered_s([_clip(gap.span, span) for gap in gaps if gap.camera == camera], span),
        _covered_s([_clip(part.span, span) for part in healed], span),
        tuple(unexplained),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """Segments of a take that follow one another."""

    take: str
    first: int
    last: int
    span: Span

    @property
    def title(self) -> str:
        return (
            f"{self.take} · {self.first}–{self.last}"
            if self.last > self.first
            else f"{self.take} · {self.first}"
        )


def _runs(footage: Sequence[Record]) -> list[_Run]:
    runs: list[_Run] = []
    for record in sorted(footage, key=lambda record: (record.span[0], record["take"], record["number"])):
        last = runs[-1] if runs else None
        if last is not None and (last.take, last.last + 1) == (record["take"], record["number"]):
            whole = (last.span[0], max(last.span[1], record.span[1]))
            runs[-1] = _Run(last.take, last.first, record["number"], whole)
        else:
            runs.append(_Run(record["take"], record["number"], record["number"], record.span))
    return runs


def _covered_s(parts: list[Span], span: Span) -> float:
    uncovered = sum((end - begin for begin, end in holes(span, parts)), timedelta())
    return (span[1] - span[0] - uncovered).total_seconds()


def _clip(part: Span, span: Span) -> Span:
    return max(part[0], span[0]), min(part[1], span[1])


def _times(part: Span, zone: tzinfo) -> str:
    return " – ".join(f"{at.astimezone(zone):%H:%M:%S}" for at in part)
