"""Seat and moment in, footage out: the cameras that see the seat, best first, and the files."""

from __future__ import annotations

import difflib
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, joinedload

from kaozheng_service.clock import now
from kaozheng_service.config.site import RoomConfig
from kaozheng_service.database import BackfilledSegment, Gap, Segment, Window
from kaozheng_service.disputes.alarms import alarms_within
from kaozheng_service.disputes.found import (
    FindResult,
    FoundBackfill,
    FoundCamera,
    FoundCandidate,
    FoundGap,
    FoundSegment,
    FoundWindow,
    NearestFootage,
    find_json,
)
from kaozheng_service.disputes.meeting import meeting
from kaozheng_service.disputes.moment import parse_moment
from kaozheng_service.disputes.sight import SeatSight, room_seats, seat_sights
from kaozheng_service.disputes.timeline import State, camera_timeline
from kaozheng_service.errors import UserError
from kaozheng_service.recording.completeness import cancellation_of
from kaozheng_service.roster.lookup import placements
from kaozheng_service.station import Station

__all__ = ["UnknownNameError", "find", "find_candidate", "find_json", "known_room", "parse_moment"]

# A range is looked through as a whole; longer ones are an archive's business, not a look-up's.
LONGEST_RANGE = timedelta(hours=24)


class UnknownNameError(UserError):
    """A room or seat that the site does not have; the message names the nearest that it has.

    ``kind`` is "room" or "seat", ``nearest`` the names that look like ``name``, maybe none.
    """

    def __init__(self, kind: str, name: str, where: str, known: list[str]) -> None:
        self.kind = kind
        self.name = name
        self.nearest = _nearest_names(name, known)
        hint = f"did you mean {', '.join(self.nearest)}?" if self.nearest else f"it has {_few(known)}"
        super().__init__(f"{where} has no {kind} {name!r}; {hint}")


def find(
    station: Station,
    room_id: str,
    seat: str | None,
    at: datetime,
    until: datetime | None = None,
    around_s: float = 60.0,
) -> FindResult:
    """Look up the footage of ``at`` (to ``until``) in a room, ``around_s`` seconds more on both sides.

    Parameters
    ----------
    room_id : id, name or alias of a room
    seat : seat number, or None for the room as a whole

    Raises
    ------
    UnknownNameError : no such room or seat; the nearest names are in the message
    UserError : ``until`` before ``at``, or a range longer than a day
    """
    room = known_room(station, room_id)
    number = _known_seat(room, seat) if seat is not None else None
    last = until if until is not None else at
    if last < at:
        raise UserError(
            f"the range ends before it begins: {last.isoformat()} is before {at.isoformat()}; swap them"
        )
    starts_at, ends_at = at - timedelta(seconds=around_s), last + timedelta(seconds=around_s)
    if not timedelta(0) < ends_at - starts_at <= LONGEST_RANGE:
        raise UserError("the range must be longer than nothing and at most 24 hours; ask for a shorter one")
    sights = seat_sights(station.site, room, number) if number is not None else {}
    present = now()
    with station.sessions() as session:
        cameras = [
            _camera(station, session, room, camera.id, sights.get(camera.id), at, starts_at, ends_at, present)
            for camera in room.cameras
        ]
        seeing = [camera for camera in cameras if camera.sight is None or camera.sight.sees]
        seeing.sort(key=lambda camera: camera.sight.rank if camera.sight else (0, 0.0))
        before = after = None
        if not any(camera.recorded for camera in seeing):
            ids = [camera.camera_id for camera in seeing]
            before, after = _nearest(session, room.id, ids, at)
        windows = _windows(session, room.id, starts_at, ends_at)
    return FindResult(
        room_id=room.id,
        room_name=room.name,
        seat=number,
        at=at,
        until=last,
        starts_at=starts_at,
        ends_at=ends_at,
        windows=windows,
        cameras=tuple(seeing),
        blind=tuple(camera for camera in cameras if camera not in seeing),
        before=before,
        after=after,
    )


def find_candidate(station: Station, candidate: str, at: datetime | None = None) -> list[FindResult]:
    """The footage of a candidate, by the rosters: one answer a window, or that around ``at``.

    Without ``at`` it is the whole exam. A candidate whose seat no list gives is answered with the whole room, and
    ``seat`` None. Of one who changed seats each seat is an answer, for as long as it was theirs.

    Raises
    ------
    UserError : no roster names the candidate, or none for that moment
    """
    results = []
    for placed in placements(station, candidate, at):
        window = placed.window
        first = at or window.exam_starts_at or window.starts_at
        last = at or window.exam_ends_at or window.ends_at
        changes = [moment for moment, _ in placed.moves if first < moment < last]
        for begin, end in pairwise([first, *changes, last]):
            there = next(one for one in placements(station, candidate, begin) if one.window.id == window.id)
            result = find(station, window.room_id, there.seat, begin, end)
            results.append(replace(result, candidate=FoundCandidate(candidate, window.id, there.shared)))
    return results


def known_room(station: Station, name: str) -> RoomConfig:
    """The room of that id, name or alias. Raises UnknownNameError with the nearest names."""
    rooms = {known: room for room in station.site.rooms for known in (room.id, room.name, *room.aliases)}
    if name in rooms:
        return rooms[name]
    raise UnknownNameError("room", name, f"site {station.site.id}", list(rooms))


def _known_seat(room: RoomConfig, seat: str) -> str:
    numbers = room_seats(room)
    if seat in numbers:
        return seat
    raise UnknownNameError("seat", seat, f"room {room.id}", numbers)


def _nearest_names(name: str, known: list[str]) -> list[str]:
    """Those that differ in leading zeros only, then those that are written alike."""
    near = [other for other in known if other.lstrip("0") == name.lstrip("0")]
    alike = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return [*near, *(other for other in alike if other not in near)]


def _few(known: list[str]) -> str:
    return ", ".join(known) if len(known) <= 6 else f"{', '.join(known[:3])} to {known[-1]}"


def _camera(
    station: Station,
    session: Session,
    room: RoomConfig,
    camera_id: str,
    sight: SeatSight | None,
    at: datetime,
    starts_at: datetime,
    ends_at: datetime,
    present: datetime,
) -> FoundCamera:
    timeline = camera_timeline(station, session, room.id, camera_id, starts_at, ends_at, present=present)
    gaps = session.scalars(
        select(Gap)
        .where(
            Gap.room_id == room.id,
            Gap.camera_id == camera_id,
            Gap.starts_at < ends_at,
            Gap.ends_at > starts_at,
        )
        .order_by(Gap.starts_at)
    )
    width, height = room.camera(camera_id).resolution
    moment = next(part for part in timeline if part.starts_at <= at < part.ends_at)
    return FoundCamera(
        camera_id=camera_id,
        width_px=width,
        height_px=height,
        sight=sight,
        at_moment=moment.state,
        segments=_segments(
            session, room.id, camera_id, at if moment.state is State.RECORDED else None, starts_at, ends_at
        ),
        gaps=tuple(FoundGap(gap.starts_at, gap.ends_at, gap.cause, gap.detail, gap.leaf) for gap in gaps),
        timeline=timeline,
        alarms=tuple(alarms_within(session, starts_at, ends_at, room.id, camera_id)),
        backfilled=_backfilled(
            session, room.id, camera_id, at if moment.state is State.BACKFILLED else None, starts_at, ends_at
        ),
    )


def _segments(
    session: Session,
    room_id: str,
    camera_id: str,
    at: datetime | None,
    starts_at: datetime,
    ends_at: datetime,
) -> tuple[FoundSegment, ...]:
    """The files that touch the range. The moment belongs to the last that begins no later than it."""
    rows = list(
        session.scalars(
            select(Segment)
            .where(meeting(room_id, camera_id, starts_at, ends_at))
            .order_by(Segment.starts_at, Segment.take_id, Segment.number)
        )
    )
    holder = None
    if at is not None:
        begun = [row for row in rows if row.starts_at <= at]
        holder = next((row for row in reversed(begun) if at < row.ends_at), begun[-1] if begun else None)
    return tuple(_found(row, at if row is holder else None) for row in rows)


def _backfilled(
    session: Session,
    room_id: str,
    camera_id: str,
    at: datetime | None,
    starts_at: datetime,
    ends_at: datetime,
) -> tuple[FoundBackfill, ...]:
    """Files that came afterwards and touch the range, oldest first."""
    query = select(BackfilledSegment).where(
        BackfilledSegment.room_id == room_id,
        BackfilledSegment.camera_id == camera_id,
        BackfilledSegment.starts_at < ends_at,
        BackfilledSegment.ends_at > starts_at,
    )
    rows = session.scalars(
        query.order_by(BackfilledSegment.starts_at).options(joinedload(BackfilledSegment.take))
    ).all()
    holder = next((row for row in rows if at is not None and row.starts_at <= at < row.ends_at), None)
    return tuple(
        FoundBackfill(
            _found(row, at if row is holder else None),
            row.take.source,
            row.take.time_source,
            row.take.uncertainty_s,
            row.overlapping_s,
        )
        for row in rows
    )


def _found(row: Segment | BackfilledSegment, at: datetime | None) -> FoundSegment:
    """``at`` is the moment, where it lies in this file."""
    return FoundSegment(
        id=row.id,
        take=row.take_id,
        number=row.number,
        path=row.path,
        bytes=row.bytes,
        sha256=row.sha256,
        codec=row.codec,
        width=row.width,
        height=row.height,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        leaf=row.leaf,
        offset_s=(at - row.starts_at).total_seconds() if at is not None else None,
        deleted_leaf=row.deleted_leaf,
    )


def _nearest(
    session: Session, room_id: str, camera_ids: list[str], at: datetime
) -> tuple[NearestFootage | None, NearestFootage | None]:
    """The last recorded moment before and the first after, over these cameras."""

    def per_camera(edge: ColumnElement[datetime], where: ColumnElement[bool]) -> list[NearestFootage]:
        here = (Segment.room_id == room_id, Segment.camera_id.in_(camera_ids), where)
        rows = session.execute(select(Segment.camera_id, edge).where(*here).group_by(Segment.camera_id)).all()
        return [NearestFootage(camera_id, moment) for camera_id, moment in rows]

    before = per_camera(func.max(Segment.ends_at), Segment.ends_at <= at)
    after = per_camera(func.min(Segment.starts_at), Segment.starts_at > at)
    return (
        max(before, key=lambda footage: footage.at, default=None),
        min(after, key=lambda footage: footage.at, default=None),
    )


def _windows(
    session: Session, room_id: str, starts_at: datetime, ends_at: datetime
) -> tuple[FoundWindow, ...]:
    rows = session.scalars(
        select(Window)
        .where(Window.room_id == room_id, Window.starts_at < ends_at, Window.ends_at > starts_at)
        .order_by(Window.starts_at)
    )
    return tuple(
        FoundWindow(
            id=row.id,
            title=row.title,
            kind=row.kind,
            cameras=row.cameras,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            exam_starts_at=row.exam_starts_at,
            exam_ends_at=row.exam_ends_at,
            cancellation=cancellation_of(row),
        )
        for row in rows
    )
