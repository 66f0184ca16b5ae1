"""What a look-up found, as plain records, and as JSON for programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kaozheng_service.clock import to_text
from kaozheng_service.database import Alarm
from kaozheng_service.disputes.alarms import alarm_json
from kaozheng_service.disputes.sight import SeatSight
from kaozheng_service.disputes.timeline import State, Stretch
from kaozheng_service.recording.completeness import Cancellation, cancellation_json


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """One closed, hashed file. ``offset_s`` is where in it the moment lies, None if it lies in another.

    ``deleted_leaf`` is the record that the file was deleted when its time was over; None while it is kept.
    """

    id: int
    take: str
    number: int
    path: str
    bytes: int
    sha256: str
    codec: str
    width: int
    height: int
    starts_at: datetime
    ends_at: datetime
    leaf: int | None
    offset_s: float | None
    deleted_leaf: int | None = None


@dataclass(frozen=True, slots=True)
class FoundBackfill:
    """One file that came afterwards from ``source``: never recorded by us, its times known to ``uncertainty_s``.

    ``overlapping_s`` of it lie beyond the gap, where there may be footage already.
    """

    segment: FoundSegment
    source: str
    time_source: str
    uncertainty_s: float
    overlapping_s: float


@dataclass(frozen=True, slots=True)
class FoundGap:
    """A signed gap that touches the range, with its own full ends."""

    starts_at: datetime
    ends_at: datetime
    cause: str
    detail: str
    leaf: int | None


@dataclass(frozen=True, slots=True)
class FoundWindow:
    """A recording window of the room that touches the range."""

    id: str
    title: str
    kind: str
    cameras: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    exam_starts_at: datetime | None
    exam_ends_at: datetime | None
    cancellation: Cancellation | None = None


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """What one camera has. ``sight`` is None when no seat was asked for.

    ``timeline`` says of every second of the range what became of it; ``at_moment`` of the moment itself.
    ``alarms`` are the faults of its picture that touch the range, ``backfilled`` files that came afterwards.
    """

    camera_id: str
    width_px: int
    height_px: int
    sight: SeatSight | None
    at_moment: State
    segments: tuple[FoundSegment, ...]
    gaps: tuple[FoundGap, ...]
    timeline: tuple[Stretch, ...]
    alarms: tuple[Alarm, ...] = ()
    backfilled: tuple[FoundBackfill, ...] = ()

    @property
    def recorded(self) -> bool:
        """Whether a closed file holds the moment, and is still kept."""
        return self.at_moment is State.RECORDED and self.deleted_leaf is None

    @property
    def deleted_leaf(self) -> int | None:
        """The record that the file with the moment was deleted; None where it was not."""
        return next((one.deleted_leaf for one in self.segments if one.offset_s is not None), None)


@dataclass(frozen=True, slots=True)
class NearestFootage:
    """The recorded moment nearest to one that was not recorded, on one camera."""

    camera_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FoundCandidate:
    """Whose footage was asked for. ``shared`` are others whom a list gives the same seat."""

    number: str
    window: str
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindResult:
    """``cameras`` see the seat, best first; ``blind`` are the room's others.

    Without a seat all cameras are in ``cameras``, in the site file's order. ``before`` and ``after`` are given
    only when no camera in ``cameras`` recorded the moment.
    """

    room_id: str
    room_name: str
    seat: str | None
    at: datetime
    until: datetime
    starts_at: datetime
    ends_at: datetime
    windows: tuple[FoundWindow, ...]
    cameras: tuple[FoundCamera, ...]
    blind: tuple[FoundCamera, ...]
    before: NearestFootage | None
    after: NearestFootage | None
    candidate: FoundCandidate | None = None

    @property
    def found(self) -> bool:
        """Whether some camera that sees the seat recorded the moment."""
        return any(camera.recorded for camera in self.cameras)


def find_json(result: FindResult) -> dict[str, Any]:
    """Schema ``kaozheng/find/1``. Times are RFC 3339 UTC; boxes are pixels of the stated picture."""
    return {
        "schema": "kaozheng/find/1",
        "room": result.room_id,
        "room_name": result.room_name,
        "seat": result.seat,
        "at": to_text(result.at),
        "until": to_text(result.until),
        "from": to_text(result.starts_at),
        "to": to_text(result.ends_at),
        "found": result.found,
        "windows": [
            {
                "id": window.id,
                "title": window.title,
                "kind": window.kind,
                "cameras": list(window.cameras),
                "from": to_text(window.starts_at),
                "to": to_text(window.ends_at),
                "exam_from": _text(window.exam_starts_at),
                "exam_to": _text(window.exam_ends_at),
                "cancelled": cancellation_json(window.cancellation),
            }
            for window in result.windows
        ],
        "cameras": [_camera_json(camera) for camera in result.cameras],
        "blind_cameras": [_camera_json(camera) for camera in result.blind],
        "nearest_before": _nearest_json(result.before),
        "nearest_after": _nearest_json(result.after),
        "candidate": None
        if result.candidate is None
        else {
            "number": result.candidate.number,
            "window": result.candidate.window,
            "seat_known": result.seat is not None,
            "shared_with": list(result.candidate.shared),
        },
    }


def _camera_json(camera: FoundCamera) -> dict[str, Any]:
    return {
        "camera": camera.camera_id,
        "at_moment": camera.at_moment.value,
        "sight": _sight_json(camera),
        "segments": [_segment_json(segment) for segment in camera.segments],
        "backfilled": [
            {
                **_segment_json(one.segment),
                "source": one.source,
                "time_source": one.time_source,
                "uncertainty_s": one.uncertainty_s,
                "overlapping_s": one.overlapping_s,
            }
            for one in camera.backfilled
        ],
        "gaps": [
            {
                "from": to_text(gap.starts_at),
                "to": to_text(gap.ends_at),
                "cause": gap.cause,
                "detail": gap.detail,
                "leaf": gap.leaf,
            }
            for gap in camera.gaps
        ],
        "timeline": [stretch_json(stretch) for stretch in camera.timeline],
        "alarms": [alarm_json(alarm) for alarm in camera.alarms],
    }


def _segment_json(segment: FoundSegment) -> dict[str, Any]:
    return {
        "take": segment.take,
        "number": segment.number,
        "path": segment.path,
        "bytes": segment.bytes,
        "sha256": segment.sha256,
        "codec": segment.codec,
        "width": segment.width,
        "height": segment.height,
        "from": to_text(segment.starts_at),
        "to": to_text(segment.ends_at),
        "leaf": segment.leaf,
        "offset_s": segment.offset_s,
        "deleted_leaf": segment.deleted_leaf,
    }


def stretch_json(stretch: Stretch) -> dict[str, Any]:
    """One stretch of a camera's line, as in the find and the status schema."""
    return {
        "state": stretch.state.value,
        "from": to_text(stretch.starts_at),
        "to": to_text(stretch.ends_at),
        "take": stretch.take or None,
        "cause": stretch.cause or None,
        "detail": stretch.detail or None,
        "source": stretch.source or None,
    }


def _sight_json(camera: FoundCamera) -> dict[str, Any] | None:
    sight = camera.sight
    if sight is None:
        return None
    return {
        "outcome": sight.outcome.value,
        "parts": [
            {
                "part": part.part.value,
                "outcome": part.outcome.value,
                "cause": part.cause.value if part.cause else None,
                "visible": part.visible,
                "px_per_m": part.px_per_m,
                "hidden_by": list(part.hidden_by),
            }
            for part in sight.parts
        ],
        "box_px": list(sight.box_px) if sight.box_px else None,
        "picture_px": [camera.width_px, camera.height_px],
    }


def _nearest_json(nearest: NearestFootage | None) -> dict[str, Any] | None:
    return None if nearest is None else {"camera": nearest.camera_id, "at": to_text(nearest.at)}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)
