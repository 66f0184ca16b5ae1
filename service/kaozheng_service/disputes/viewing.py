"""Footage made playable. For viewing only, never evidence: the originals are.

A clip is a run of whole segments of one take, so its timeline has no jump: a gap ends a clip. H.264 is
copied bit for bit into an MP4 with its index in front; H.265 is turned into H.264, which every browser plays.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.database import BackfilledSegment, Segment
from kaozheng_service.disputes.found import FoundSegment
from kaozheng_service.disputes.playable import playable_copy
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.station import Station

# Ten minutes of 1080p at 4 Mbit/s are 300 MB: what a page still fetches and a disk still copies in seconds.
LONGEST_CLIP = timedelta(minutes=10)
# Encoding runs at a few times real time beside the recorders: a minute comes while the viewer still waits.
LONGEST_ENCODED_CLIP = timedelta(minutes=1)
# The domain's footage is 4 Mbit/s: this keeps about an hour and a half, next to days of originals.
CACHE_BYTES = 3 * 1024**3
PLAYABLE = ("h264",)

AnySegment = TypeVar("AnySegment", Segment, BackfilledSegment)

# One at a time: recording has the machine's other core.
_making = threading.Lock()


@dataclass(frozen=True, slots=True)
class Clip:
    """Segments ``first`` to ``last`` of a take, to be shown as one video that begins at ``starts_at``."""

    take: str
    first: int
    last: int
    starts_at: datetime
    ends_at: datetime

    @property
    def name(self) -> str:
        """Its address below the clips' root: take id, then the numbers."""
        return f"{self.take}/{self.first}-{self.last}"


def clips_of(segments: tuple[FoundSegment, ...]) -> tuple[Clip, ...]:
    """Found segments as clips: cut at a new take, at a missing number, and at the longest served."""
    clips: list[Clip] = []
    for segment in segments:
        longest = LONGEST_CLIP if segment.codec in PLAYABLE else LONGEST_ENCODED_CLIP
        clip = clips[-1] if clips else None
        if (
            clip is not None
            and clip.take == segment.take
            and clip.last + 1 == segment.number
            and segment.ends_at - clip.starts_at <= longest
        ):
            clips[-1] = Clip(clip.take, clip.first, segment.number, clip.starts_at, segment.ends_at)
        else:
            clips.append(
                Clip(segment.take, segment.number, segment.number, segment.starts_at, segment.ends_at)
            )
    return tuple(clips)


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """What a clip shows: a camera of a room, from when to when."""

    room: str
    camera: str
    starts_at: datetime
    ends_at: datetime


def clip_span(station: Station, take: str, first: int, last: int) -> ClipSpan:
    """What segments ``first`` to ``last`` of a take show. UserError where there are no such segments."""
    segments = _segments(station, take, first, last)
    return ClipSpan(segments[0].room_id, segments[0].camera_id, segments[0].starts_at, segments[-1].ends_at)


def viewing_clip(station: Station, take: str, first: int, last: int) -> Path:
    """An MP4 of segments ``first`` to ``last`` of a take, made now or kept from before.

    Raises
    ------
    UserError : no such segments, or more than a clip may hold
    ServiceError : a file of the archive is missing, or ffmpeg could not read it
    """
    segments = _segments(station, take, first, last)
    target = station.state / "viewing" / f"{take.replace('/', '~')}~{first}-{last}.mp4"
    with _making:
        if not target.exists():
            _make(station, segments, target)
        os.utime(target)  # the least recently watched is dropped first
        _drop_old(target)
    return target


def _segments(
    station: Station, take: str, first: int, last: int
) -> Sequence[Segment] | Sequence[BackfilledSegment]:
    with station.sessions() as session:
        rows: Sequence[Segment] | Sequence[BackfilledSegment]
        rows = _rows(session, Segment, take, first, last)
        if not rows:
            rows = _rows(session, BackfilledSegment, take, first, last)
    if not rows or [row.number for row in rows] != list(range(first, last + 1)):
        raise UserError(f"take {take} has no recorded segments {first} to {last}; look the moment up again")
    longest = LONGEST_CLIP if rows[0].codec in PLAYABLE else LONGEST_ENCODED_CLIP
    if len(rows) > 1 and rows[-1].ends_at - rows[0].starts_at > longest:
        raise UserError(f"segments {first} to {last} are longer than {longest}; ask for fewer at a time")
    return rows


def _rows(
    session: Session, table: type[AnySegment], take: str, first: int, last: int
) -> Sequence[AnySegment]:
    query = select(table).where(table.take_id == take, table.number >= first, table.number <= last)
    return session.scalars(query.order_by(table.number)).all()


def _make(station: Station, segments: Sequence[Segment] | Sequence[BackfilledSegment], target: Path) -> None:
    """Write beside the target and rename: a reader never sees half a clip."""
    files = [station.archive / segment.path for segment in segments]
    for file in files:
        if not file.is_file():
            raise ServiceError(
                f"{file.name} of take {segments[0].take_id} is not in the archive; verify the archive"
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob("*.part"):
        left.unlink(missing_ok=True)
    partial = target.with_suffix(".part")
    try:
        playable_copy(files, partial, encode=segments[0].codec not in PLAYABLE)
    except ServiceError as reason:
        raise ServiceError(
            f"take {segments[0].take_id} cannot be made playable: {reason}; export it instead"
        ) from None
    partial.replace(target)


def _drop_old(keep: Path) -> None:
    """Remove the clips watched longest ago until the rest fits."""
    clips = sorted(keep.parent.glob("*.mp4"), key=lambda clip: clip.stat().st_mtime, reverse=True)
    total = 0
    for clip in clips:
        total += clip.stat().st_size
        if total > CACHE_BYTES and clip != keep:
            clip.unlink(missing_ok=True)
