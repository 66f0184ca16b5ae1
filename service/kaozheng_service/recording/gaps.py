"""Gaps: what a window should hold and a camera did not record, with the cause, signed once final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from kaozheng_service.clock import now, to_text
from kaozheng_service.database import Gap, Segment, Take, Window
from kaozheng_service.evidence.records import GapExplained
from kaozheng_service.recording.causes import WINDOW_ENDED, Cause
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station

# Times are known to within 1 s, so a shorter hole at a window's edge says nothing.
EDGE_S = 1.0
# Between two takes the recorder was surely gone; below five pictures at 25 fps times say nothing.
BETWEEN_TAKES_S = 0.2
# Rows are rounded to the millisecond.
TOUCHING = timedelta(milliseconds=2)


@dataclass(frozen=True, slots=True)
class Span:
    """From ``starts_at`` up to, not including, ``ends_at``."""

    starts_at: datetime
    ends_at: datetime

    @property
    def seconds(self) -> float:
        return (self.ends_at - self.starts_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Stop:
    """From ``at`` on nothing was to be recorded any more."""

    at: datetime
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the supervisor knows beside the takes.

    ``absences`` are when no supervisor ran; ``cause`` and ``detail`` tell why no recorder could be started since the
    last picture.
    """

    absences: tuple[Span, ...] = ()
    cause: Cause | None = None
    detail: str = ""
    stop: Stop | None = None


def explain_gaps(
    station: Station,
    window: Window,
    camera_id: str,
    circumstances: Circumstances,
    *,
    over: bool,
    in_doubt: bool = False,
) -> list[Gap]:
    """Sign every gap of this camera that is final and not signed yet; return the new ones.

    Parameters
    ----------
    over : the window is over and every take closed, so that the hole up to its end is final too
    """
    with station.sessions() as session:
        segments = session.scalars(
            select(Segment)
            .join(Take)
            .where(Take.window_id == window.id, Segment.camera_id == camera_id)
            .order_by(Segment.starts_at)
        ).all()
        takes = session.scalars(
            select(Take).where(Take.window_id == window.id, Take.camera_id == camera_id).order_by(Take.number)
        ).all()
        known = session.scalars(
            select(Gap).where(Gap.window_id == window.id, Gap.camera_id == camera_id)
        ).all()
    covered = [Span(row.starts_at, row.ends_at) for row in segments]
    covered += [Span(row.starts_at, row.ends_at) for row in known]
    whole = Span(window.starts_at, window.ends_at)
    found = []
    for hole in holes(whole, covered):
        at_edge = hole.starts_at == whole.starts_at or hole.ends_at == whole.ends_at
        final = over or any(row.starts_at >= hole.ends_at for row in segments)
        if not final or hole.seconds < (EDGE_S if at_edge else BETWEEN_TAKES_S):
            continue
        found += [
            Gap(
                window_id=window.id,
                room_id=window.room_id,
                camera_id=camera_id,
                starts_at=rounded(part.starts_at),
                ends_at=rounded(part.ends_at),
                cause=cause.value,
                detail=detail,
            )
            for part, cause, detail in _parts(hole, takes, segments, circumstances)
        ]
    if found:
        with station.sessions.begin() as session:
            session.add_all(found)
    log_gaps(
        station, window.id, camera_id, in_doubt=in_doubt
    )  # also what failed to be signed in an earlier round
    return found


def holes(whole: Span, covered: list[Span]) -> list[Span]:
    """What of ``whole`` no span covers, in order."""
    left: list[Span] = []
    at = whole.starts_at
    for span in sorted((one for one in covered if one.seconds > 0), key=lambda one: one.starts_at):
        if span.starts_at > at:
            left.append(Span(at, min(span.starts_at, whole.ends_at)))
        at = max(at, span.ends_at)
        if at >= whole.ends_at:
            break
    if at < whole.ends_at:
        left.append(Span(at, whole.ends_at))
    return [span for span in left if span.seconds > 0]


def gap_row(take: Take, starts_at: datetime, ends_at: datetime, cause: Cause, detail: str) -> Gap:
    """A gap inside a take, not yet stored."""
    return Gap(
        window_id=take.window_id,
        room_id=take.room_id,
        camera_id=take.camera_id,
        starts_at=rounded(starts_at),
        ends_at=rounded(ends_at),
        cause=cause.value,
        detail=detail,
    )


def log_gaps(station: Station, window_id: str, camera_id: str, *, in_doubt: bool) -> None:
    """Give every gap of this camera that has none its record in the log."""
    with station.sessions() as session:
        query = select(Gap).where(Gap.window_id == window_id, Gap.camera_id == camera_id, Gap.leaf.is_(None))
        for row in session.scalars(query.order_by(Gap.starts_at)).all():
            record = GapExplained(
                at=now(),
                window=row.window_id,
                room=row.room_id,
                camera=row.camera_id,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                cause=row.cause,
                detail=row.detail,
            )
            row.leaf = append_once(station.log, record, in_doubt=in_doubt)
            session.commit()


def _parts(
    hole: Span, takes: Sequence[Take], segments: Sequence[Segment], circumstances: Circumstances
) -> list[tuple[Span, Cause, str]]:
    """The hole with its first cause; what of it lies after a stop is for the stop alone."""
    cause, detail = _cause(hole, takes, segments, circumstances)
    stop = circumstances.stop
    if stop is None or (hole.ends_at - stop.at).total_seconds() < BETWEEN_TAKES_S:
        return [(hole, cause, detail)]
    if (stop.at - hole.starts_at).total_seconds() < BETWEEN_TAKES_S or cause == stop.cause:
        return [(hole, stop.cause, stop.detail)]
    at = rounded(stop.at)
    return [
        (Span(hole.starts_at, at), cause, detail),
        (Span(at, hole.ends_at), stop.cause, stop.detail),
    ]


def _cause(
    hole: Span, takes: Sequence[Take], segments: Sequence[Segment], circumstances: Circumstances
) -> tuple[Cause, str]:
    """How the take before it ended; without one, why none could begin."""
    absences = _joined(circumstances.absences, hole)
    alone = any(one.starts_at <= hole.starts_at for one in absences)
    away = "; ".join(
        f"the service did not run until {to_text(one.ends_at)}"
        if one.starts_at <= hole.starts_at
        else f"the service did not run from {to_text(one.starts_at)} until {to_text(one.ends_at)}"
        for one in absences
    )
    tried = circumstances.detail
    before = _take_before(hole, takes, segments)
    if before is not None:
        cause, said = Cause.UNKNOWN, "the recorder ended before the window did"
        if before.end_cause is not None and before.end_cause != WINDOW_ENDED:
            cause, said = Cause(before.end_cause), before.end_detail or ""
        return cause, "; ".join(part for part in (said, away, tried) if part)
    if alone:
        return Cause.SERVICE_NOT_RUNNING, "; ".join(part for part in (away, tried) if part)
    if circumstances.cause is not None:
        return circumstances.cause, "; ".join(part for part in (away, tried) if part)
    if not any(row.starts_at >= hole.ends_at for row in segments):
        return Cause.UNKNOWN, "; ".join(part for part in ("no picture came", away) if part)
    return Cause.LATE_START, f"the first picture came {hole.seconds:.1f} s after the window had begun"


def _joined(absences: Sequence[Span], hole: Span) -> list[Span]:
    """The absences that touch the hole, in order; those that overlap are one."""
    found: list[Span] = []
    for one in sorted(absences, key=lambda one: one.starts_at):
        if one.ends_at <= hole.starts_at or one.starts_at >= hole.ends_at:
            continue
        if found and one.starts_at <= found[-1].ends_at:
            found[-1] = Span(found[-1].starts_at, max(found[-1].ends_at, one.ends_at))
        else:
            found.append(one)
    return found


def _take_before(hole: Span, takes: Sequence[Take], segments: Sequence[Segment]) -> Take | None:
    """The take whose footage ends where ``hole`` begins."""
    ends = [row for row in segments if row.ends_at <= hole.starts_at + TOUCHING]
    if not ends:
        return None
    last = max(ends, key=lambda row: row.ends_at)
    return next((take for take in takes if take.id == last.take_id), None)
