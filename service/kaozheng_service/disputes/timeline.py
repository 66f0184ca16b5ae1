"""What became of every second of a stretch of time on one camera: recorded, explained, or neither."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from kaozheng_service.database import Gap, Healing, Segment, Take, Window
from kaozheng_service.disputes.meeting import meeting
from kaozheng_service.station import Station

# Presentation times are kept in 1/90000 s and rows in milliseconds: edges nearer than this are one edge.
TOUCHING = timedelta(milliseconds=50)


class State(StrEnum):
    """What a stretch of a camera's time is."""

    RECORDED = "recorded"
    WRITING = "writing"  # in the file that is being written now; no hash yet
    BACKFILLED = "backfilled"  # a gap for which footage came afterwards from elsewhere
    GAP = "gap"  # not recorded, with a signed cause
    UNEXPLAINED = "unexplained"  # had to be recorded, is neither recorded nor explained
    UPCOMING = "upcoming"
    CANCELLED = "cancelled"  # a window asked for it, and was cancelled before it began
    NOT_EXPECTED = "not_expected"  # no window asked for it


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the line, aware UTC. ``cause`` and ``detail`` are a gap's, ``take`` a recording's.

    Backfilled it has all three, and ``source``, where the footage came from.
    """

    state: State
    starts_at: datetime
    ends_at: datetime
    take: str = ""
    cause: str = ""
    detail: str = ""
    source: str = ""

    @property
    def seconds(self) -> float:
        return (self.ends_at - self.starts_at).total_seconds()


def camera_timeline(
    station: Station,
    session: Session,
    room_id: str,
    camera_id: str,
    starts_at: datetime,
    ends_at: datetime,
    *,
    present: datetime,
) -> tuple[Stretch, ...]:
    """The whole of ``starts_at`` to ``ends_at`` without holes or overlaps, in order.

    What is recorded wins over what was backfilled, that over a gap, and a gap over "unexplained". Within a take,
    segments that follow one another by number count as unbroken: a take is one uninterrupted run. A take that is open
    counts as far as its file grows: where no byte came for longer than the site's ``silence_s``, the line says so.
    """
    asked = [
        window for window in _windows(session, room_id, starts_at, ends_at) if camera_id in window.cameras
    ]
    windows = [window for window in asked if not window.is_void]
    layers = [
        *_recorded(session, room_id, camera_id, starts_at, ends_at),
        *_writing(station, session, room_id, camera_id, present),
        *_backfilled(session, room_id, camera_id, starts_at, ends_at),
        *_gaps(session, room_id, camera_id, starts_at, ends_at),
        *(Stretch(State.UNEXPLAINED, window.starts_at, min(window.ends_at, present)) for window in windows),
        *(Stretch(State.UPCOMING, max(window.starts_at, present), window.ends_at) for window in windows),
        *(
            Stretch(State.CANCELLED, window.starts_at, window.ends_at, detail=window.cancel_reason or "")
            for window in asked
            if window.is_void
        ),
        Stretch(State.NOT_EXPECTED, starts_at, ends_at),
    ]
    return tuple(_flatten(layers, starts_at, ends_at))


def _windows(session: Session, room_id: str, starts_at: datetime, ends_at: datetime) -> list[Window]:
    query = select(Window).where(
        Window.room_id == room_id, Window.starts_at < ends_at, Window.ends_at > starts_at
    )
    return list(session.scalars(query.order_by(Window.starts_at)))


def _recorded(
    session: Session, room_id: str, camera_id: str, starts_at: datetime, ends_at: datetime
) -> list[Stretch]:
    """One stretch per take where its segments are all there, one per unbroken run of them otherwise.

    Whole days of segments are summed up by the database: the status page asks every few seconds.
    """
    here = (meeting(room_id, camera_id, starts_at, ends_at),)
    first, last, count = func.min(Segment.number), func.max(Segment.number), func.count()
    sums = session.execute(
        select(Segment.take_id, first, last, count, func.min(Segment.starts_at), func.max(Segment.ends_at))
        .where(*here)
        .group_by(Segment.take_id)
    )
    stretches: list[Stretch] = []
    for take, lowest, highest, number, begins, ends in sums:
        if highest - lowest + 1 == number:
            stretches.append(Stretch(State.RECORDED, begins, ends, take=take))
            continue
        rows = session.execute(
            select(Segment.number, Segment.starts_at, Segment.ends_at)
            .where(*here, Segment.take_id == take)
            .order_by(Segment.number)
        ).all()
        previous = None
        for row in rows:
            if previous is not None and row[0] == previous + 1:
                stretches[-1] = replace(stretches[-1], ends_at=max(stretches[-1].ends_at, row[2]))
            else:
                stretches.append(Stretch(State.RECORDED, row[1], row[2], take=take))
            previous = row[0]
    return stretches


def _writing(
    station: Station, session: Session, room_id: str, camera_id: str, present: datetime
) -> list[Stretch]:
    """From the end of the last closed segment on, for takes that are open, as far as bytes came."""
    query = (
        select(Take.id, Take.folder, Take.opened_at, func.max(Segment.ends_at))
        .outerjoin(Segment, Segment.take_id == Take.id)
        .where(Take.room_id == room_id, Take.camera_id == camera_id, Take.closed_at.is_(None))
        .group_by(Take.id)
    )
    stretches = []
    for take, folder, opened, last in session.execute(query):
        newest = newest_file(station.archive / folder)
        if newest is None:
            continue
        silent = present - newest.written_at > timedelta(seconds=station.site.recording.silence_s)
        until = newest.written_at if silent else present
        stretches.append(Stretch(State.WRITING, last or opened, until, take=take))
    return stretches


@dataclass(frozen=True, slots=True)
class NewestFile:
    """The file of a take that was written to last."""

    name: str
    bytes: int
    written_at: datetime


def newest_file(folder: Path) -> NewestFile | None:
    """The media file of a take's folder that grew last; None where there is none, or only empty ones."""
    found: list[NewestFile] = []
    try:
        for path in folder.iterdir():
            if path.suffix == ".mp4":
                facts = path.stat()
                if facts.st_size > 0:
                    found.append(
                        NewestFile(path.name, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))
                    )
    except OSError:
        return None
    return max(found, key=lambda file: file.written_at, default=None)


def _backfilled(
    session: Session, room_id: str, camera_id: str, starts_at: datetime, ends_at: datetime
) -> list[Stretch]:
    """The parts of gaps that backfilled footage covers; what of it lies beyond them is not on the line."""
    query = (
        select(Healing, Gap)
        .join(Gap, Gap.id == Healing.gap_id)
        .where(Healing.room_id == room_id, Healing.camera_id == camera_id)
        .where(Healing.starts_at < ends_at, Healing.ends_at > starts_at)
        .order_by(Healing.starts_at)
        .options(joinedload(Healing.take))
    )
    return [
        Stretch(
            State.BACKFILLED,
            healing.starts_at,
            healing.ends_at,
            take=healing.take_id,
            cause=gap.cause,
            detail=gap.detail,
            source=healing.take.source,
        )
        for healing, gap in session.execute(query)
    ]


def _gaps(
    session: Session, room_id: str, camera_id: str, starts_at: datetime, ends_at: datetime
) -> list[Stretch]:
    query = select(Gap).where(
        Gap.room_id == room_id, Gap.camera_id == camera_id, Gap.starts_at < ends_at, Gap.ends_at > starts_at
    )
    return [
        Stretch(State.GAP, gap.starts_at, gap.ends_at, cause=gap.cause, detail=gap.detail)
        for gap in session.scalars(query.order_by(Gap.starts_at))
    ]


def _flatten(layers: Iterable[Stretch], starts_at: datetime, ends_at: datetime) -> list[Stretch]:
    """Every moment goes to the first layer that holds it; neighbours alike are joined."""
    clipped = [
        replace(layer, starts_at=max(layer.starts_at, starts_at), ends_at=min(layer.ends_at, ends_at))
        for layer in layers
        if layer.starts_at < ends_at and layer.ends_at > starts_at and layer.starts_at < layer.ends_at
    ]
    edges = sorted({edge for layer in clipped for edge in (layer.starts_at, layer.ends_at)})
    line: list[Stretch] = []
    for begin, end in pairwise(edges):
        top = next(layer for layer in clipped if layer.starts_at <= begin and layer.ends_at >= end)
        # A hole thinner than the rounding of times belongs to what stands before it.
        if (line and (end - begin < TOUCHING and top.state is not State.RECORDED)) or (
            line and _alike(line[-1], top)
        ):
            line[-1] = replace(line[-1], ends_at=end)
        else:
            line.append(replace(top, starts_at=begin, ends_at=end))
    return line


def _alike(left: Stretch, right: Stretch) -> bool:
    return (left.state, left.take, left.cause, left.detail) == (
        right.state,
        right.take,
        right.cause,
        right.detail,
    )
