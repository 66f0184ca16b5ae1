"""Expected less recorded less explained: whether a window is complete, camera by camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from kaozheng_service.clock import now, to_text
from kaozheng_service.database import Gap, Healing, Segment, Take, Window
from kaozheng_service.errors import UserError
from kaozheng_service.recording.gaps import BETWEEN_TAKES_S, EDGE_S, Span, holes
from kaozheng_service.station import Station

SCHEMA = "kaozheng/completeness/1"
# From the worst to the best; the worst camera decides for the window.
VERDICTS = ("incomplete_unexplained", "not_over", "incomplete_explained", "complete", "cancelled")


@dataclass(frozen=True, slots=True)
class ExplainedGap:
    """``healed_s`` of it have backfilled footage, from ``sources``; it stays a gap."""

    starts_at: datetime
    ends_at: datetime
    cause: str
    detail: str
    leaf: int | None = None
    healed_s: float = 0.0
    sources: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.ends_at - self.starts_at).total_seconds()


@dataclass(frozen=True, slots=True)
class CameraCompleteness:
    """``recorded_s`` leaves out what gaps declare missing; ``unexplained`` are holes beyond tolerance. ``takes`` and
    ``recorded_s`` never hold backfilled footage: ``healed_s`` is a number of its own.

    While a window runs, what lies ahead and what is in the file that is being written is neither.
    """

    camera_id: str
    expected_s: float
    recorded_s: float
    unexplained: tuple[Span, ...]
    takes: int
    gaps: tuple[ExplainedGap, ...]
    verdict: str

    @property
    def unexplained_s(self) -> float:
        return sum(hole.seconds for hole in self.unexplained)

    @property
    def explained_s(self) -> float:
        return sum(gap.seconds for gap in self.gaps)

    @property
    def healed_s(self) -> float:
        return sum(gap.healed_s for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """When, why and by whom a window was cancelled. Only ``before_start`` it frees of recording."""

    at: datetime
    reason: str
    by: str
    leaf: int | None
    before_start: bool


@dataclass(frozen=True, slots=True)
class Completeness:
    """``verdict``: complete, incomplete_explained, incomplete_unexplained, not_over while it may change, or cancelled,
    where that was signed before the window began. One that was cancelled later is judged like any other.
    """

    window_id: str
    room_id: str
    starts_at: datetime
    ends_at: datetime
    closed: bool
    cameras: tuple[CameraCompleteness, ...]
    verdict: str
    cancellation: Cancellation | None = None

    def summary(self) -> str:
        """One line: cameras, recorded of expected time, gaps."""
        if self.verdict == "cancelled" and self.cancellation is not None:
            return (
                f"cancelled at {to_text(self.cancellation.at)}, before it began: {self.cancellation.reason}"
            )
        expected = sum(camera.expected_s for camera in self.cameras)
        recorded = sum(camera.recorded_s for camera in self.cameras)
        share = 100 * recorded / expected if expected else 0.0
        gaps = sum(len(camera.gaps) for camera in self.cameras)
        unexplained = sum(camera.unexplained_s for camera in self.cameras)
        healed = sum(camera.healed_s for camera in self.cameras)
        afterwards = f" ({healed:.0f} s of them backfilled)" if healed else ""
        return (
            f"{len(self.cameras)} cameras, {share:.1f} % of {expected:.0f} camera-seconds recorded, "
            f"{gaps} explained gaps{afterwards}, {unexplained:.0f} s unexplained"
        )


def window_completeness(station: Station, window_id: str) -> Completeness:
    """Judge a window by its rows. Raises UserError where there is no such window."""
    with station.sessions() as session:
        window = session.get(Window, window_id)
        if window is None:
            raise UserError(f"there is no window {window_id!r}; look for its id on the status page")
        cameras = tuple(
            _camera(
                window,
                camera,
                session.scalars(
                    select(Segment).join(Take).where(Take.window_id == window_id, Segment.camera_id == camera)
                ).all(),
                session.scalars(
                    select(Gap)
                    .where(Gap.window_id == window_id, Gap.camera_id == camera)
                    .order_by(Gap.starts_at)
                ).all(),
                session.scalars(
                    select(Healing)
                    .where(Healing.window_id == window_id, Healing.camera_id == camera)
                    .options(joinedload(Healing.take))
                ).all(),
                session.scalars(
                    select(Take).where(Take.window_id == window_id, Take.camera_id == camera)
                ).all(),
            )
            for camera in window.cameras
        )
    return Completeness(
        window_id=window.id,
        room_id=window.room_id,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        closed=window.closed_leaf is not None,
        cameras=cameras,
        verdict=min(
            (camera.verdict for camera in cameras), key=VERDICTS.index, default="incomplete_unexplained"
        ),
        cancellation=cancellation_of(window),
    )


def cancellation_of(window: Window) -> Cancellation | None:
    """None for a window that stands."""
    if window.cancelled_at is None:
        return None
    return Cancellation(
        window.cancelled_at,
        window.cancel_reason or "",
        window.cancelled_by or "",
        window.cancelled_leaf,
        window.is_void,
    )


def cancellation_json(cancellation: Cancellation | None) -> dict[str, Any] | None:
    if cancellation is None:
        return None
    return {
        "at": to_text(cancellation.at),
        "reason": cancellation.reason,
        "by": cancellation.by,
        "leaf": cancellation.leaf,
        "before_start": cancellation.before_start,
    }


def completeness_json(result: Completeness) -> dict[str, Any]:
    """The result as versioned JSON."""
    return {
        "schema": SCHEMA,
        "window": result.window_id,
        "room": result.room_id,
        "from": to_text(result.starts_at),
        "to": to_text(result.ends_at),
        "closed": result.closed,
        "verdict": result.verdict,
        "cancelled": cancellation_json(result.cancellation),
        "cameras": [
            {
                "id": camera.camera_id,
                "verdict": camera.verdict,
                "expected_s": round(camera.expected_s, 3),
                "recorded_s": round(camera.recorded_s, 3),
                "explained_s": round(camera.explained_s, 3),
                "healed_s": round(camera.healed_s, 3),
                "unexplained_s": round(camera.unexplained_s, 3),
                "unexplained": [
                    {"from": to_text(hole.starts_at), "to": to_text(hole.ends_at)}
                    for hole in camera.unexplained
                ],
                "takes": camera.takes,
                "gaps": [
                    {
                        "from": to_text(gap.starts_at),
                        "to": to_text(gap.ends_at),
                        "seconds": round(gap.seconds, 3),
                        "cause": gap.cause,
                        "detail": gap.detail,
                        "leaf": gap.leaf,
                        "healed_s": round(gap.healed_s, 3),
                        "healed_from": list(gap.sources),
                    }
                    for gap in camera.gaps
                ],
            }
            for camera in result.cameras
        ],
    }


def _camera(
    window: Window,
    camera_id: str,
    segments: Sequence[Segment],
    gaps: Sequence[Gap],
    healings: Sequence[Healing],
    takes: Sequence[Take],
) -> CameraCompleteness:
    whole = Span(window.starts_at, window.ends_at)
    recorded = [Span(row.starts_at, row.ends_at) for row in segments]
    missing = [Span(row.starts_at, row.ends_at) for row in gaps]
    not_recorded = holes(whole, recorded)
    declared = [part for gap in missing for part in _outside(gap, not_recorded) if part.seconds > 0]
    recorded_s = whole.seconds - sum(hole.seconds for hole in not_recorded) - _inside(whole, declared)
    running = window.closed_leaf is None and now() < window.ends_at
    unexplained = tuple(
        hole
        for hole in holes(_so_far(whole, recorded, takes) if running else whole, recorded + missing)
        if hole.seconds >= _tolerance_s(hole, whole)
    )
    explained = tuple(_explained(gap, [row for row in healings if row.gap_id == gap.id]) for gap in gaps)
    if window.is_void:
        verdict = "cancelled"
    elif running:
        verdict = "not_over"
    elif unexplained or window.closed_leaf is None or window.leaf is None:
        verdict = "incomplete_unexplained"
    else:
        verdict = "incomplete_explained" if explained else "complete"
    return CameraCompleteness(
        camera_id, whole.seconds, recorded_s, unexplained, len(takes), explained, verdict
    )


def _so_far(whole: Span, recorded: Sequence[Span], takes: Sequence[Take]) -> Span:
    """What of a running window can be judged: up to now, or where a take is open, up to its last closed file."""
    until = now()
    if any(take.closed_at is None for take in takes):
        until = max((span.ends_at for span in recorded), default=whole.starts_at)
    return Span(whole.starts_at, min(max(until, whole.starts_at), whole.ends_at))


def _explained(gap: Gap, healings: Sequence[Healing]) -> ExplainedGap:
    whole = Span(gap.starts_at, gap.ends_at)
    healed_s = _inside(whole, [Span(row.starts_at, row.ends_at) for row in healings])
    sources = tuple(sorted({row.take.source for row in healings}))
    return ExplainedGap(gap.starts_at, gap.ends_at, gap.cause, gap.detail, gap.leaf, healed_s, sources)


def _tolerance_s(hole: Span, whole: Span) -> float:
    return EDGE_S if whole.starts_at == hole.starts_at or whole.ends_at == hole.ends_at else BETWEEN_TAKES_S


def _outside(span: Span, others: list[Span]) -> list[Span]:
    return holes(span, others)


def _inside(whole: Span, spans: list[Span]) -> float:
    """Seconds of ``whole`` that the spans cover."""
    return whole.seconds - sum(hole.seconds for hole in holes(whole, spans))
