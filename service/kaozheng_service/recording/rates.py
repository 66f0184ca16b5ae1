"""How many bytes a second each camera writes: measured where it was, assumed and said so where not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.database import Inspection, Segment, Take

# Of an hour of segments of 30 s, the rate that nine tenths of the time stay below: a full, lit room moves more and
# writes more than the empty one of the evening before, and a forecast that is short by a tenth is worth nothing.
SEGMENTS = 120
TAKES = 5
SHARE = 0.9
# The upper end of what a room's cameras are set to (2 to 8 Mbit/s): an unknown camera must not make a plan look good.
ASSUMED_BYTES_PER_S = 1_000_000.0


class Basis(StrEnum):
    """Where a rate comes from, the surest first."""

    TAKES = "takes"  # its newest recordings
    INSPECTION = "inspection"  # the newest inspection's probe, of the picture alone
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Rate:
    bytes_per_s: float
    basis: Basis


ASSUMED = Rate(ASSUMED_BYTES_PER_S, Basis.ASSUMED)


def upper_rate(pieces: Sequence[tuple[int, float]], share: float = SHARE) -> float | None:
    """The rate in bytes/s that ``share`` of the time stayed at or below; None where no time was measured.

    Parameters
    ----------
    pieces : bytes and seconds of each piece. A piece counts as long as it lasted: the last file of a take may hold
        one large keyframe and half a second.
    """
    rates = sorted((size / seconds, seconds) for size, seconds in pieces if seconds > 0)
    whole = sum(seconds for _, seconds in rates)
    reached = 0.0
    for rate, seconds in rates:
        reached += seconds
        if reached >= share * whole:
            return rate
    return rates[-1][0] if rates else None


def camera_rates(session: Session, cameras: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Rate]:
    """The rate of each camera, given and found by room and id."""
    wanted = list(dict.fromkeys(cameras))
    probed: dict[str, dict[str, float]] = {}
    found = {}
    for room, camera in wanted:
        measured = upper_rate(_newest(session, room, camera))
        if measured is not None:
            found[room, camera] = Rate(measured, Basis.TAKES)
            continue
        if room not in probed:
            probed[room] = _probed(session, room)
        inspected = probed[room].get(camera)
        found[room, camera] = ASSUMED if inspected is None else Rate(inspected, Basis.INSPECTION)
    return found


def _newest(session: Session, room: str, camera: str) -> list[tuple[int, float]]:
    """By take, which is indexed by camera: a season of one camera has a hundred thousand segments."""
    takes = session.scalars(
        select(Take.id)
        .where(Take.camera_id == camera, Take.room_id == room)
        .order_by(Take.opened_at.desc())
        .limit(TAKES)
    ).all()
    query = select(Segment.bytes, Segment.starts_at, Segment.ends_at).where(Segment.take_id.in_(takes))
    rows = session.execute(query.order_by(Segment.id.desc()).limit(SEGMENTS))
    return [(size, (ends_at - starts_at).total_seconds()) for size, starts_at, ends_at in rows]


def _probed(session: Session, room: str) -> dict[str, float]:
    """Bytes/s of a room's cameras as the newest inspection that could measure them did."""
    query = (
        select(Inspection.result).where(Inspection.room_id == room).order_by(Inspection.at.desc()).limit(3)
    )
    found: dict[str, float] = {}
    for result in session.scalars(query):
        for camera, bitrate in _bitrates(result):
            found.setdefault(camera, bitrate / 8)
    return found


def _bitrates(result: str) -> list[tuple[str, float]]:
    """Cameras with their bit/s in an inspection's JSON; none of what another version wrote differently."""
    try:
        body: dict[str, Any] = json.loads(result)
        cameras = body.get("cameras", [])
        return [(one["camera"], float(one["bitrate_bps"])) for one in cameras if one.get("bitrate_bps")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
