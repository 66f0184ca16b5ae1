"""A timetable against what is stored: what is new, changed or gone, and made so.

Nothing is changed that was signed: a changed window is cancelled and expected anew under the next revision of its id.
What has begun is left alone. Importing the same timetable twice does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.orm import Session as Rows

from kaozheng_service.clock import now
from kaozheng_service.config.timetable import Timetable, read_timetable
from kaozheng_service.database import Window
from kaozheng_service.errors import UserError
from kaozheng_service.recording.expectations import (
    LONGEST_REASON,
    TIMETABLE,
    base_id,
    cancel_locked,
    free_id,
    register,
    windows_lock,
)
from kaozheng_service.recording.forecast import EXAM_KINDS
from kaozheng_service.recording.plan import PlannedWindow, overlaps, plan_windows
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station


class State(StrEnum):
    """What the timetable means for a window."""

    NEW = "new"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"  # stored, within the timetable's days, and no longer in it
    OUTSIDE = "outside"  # stored, before the timetable's first day or after its last: another timetable's
    RUNNING = "running"  # stored and begun, and differs or is gone: goes on as it was announced
    OVER = "over"  # nothing is done about what is over


@dataclass(frozen=True, slots=True)
class Change:
    """``planned`` is None for what is not in the timetable, ``stored_id`` for what is not stored.

    ``window`` is what is shown of it; ``differs`` names the fields in which a stored window is another.
    """

    state: State
    window: PlannedWindow
    planned: PlannedWindow | None
    stored_id: str | None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """``warnings`` are the timetable's own and what its windows add; ``changes`` by begin and room."""

    timetable: Timetable
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    def of(self, *states: State) -> list[Change]:
        return [change for change in self.changes if change.state in states]

    @property
    def changes_anything(self) -> bool:
        """Whether an import would write anything."""
        return bool(self.of(State.NEW, State.CHANGED, State.GONE))


@dataclass(frozen=True, slots=True)
class Imported:
    """The ids of what was expected and of what was cancelled."""

    expected: tuple[str, ...]
    cancelled: tuple[str, ...]


def preview_timetable(station: Station, path: Path) -> Preview:
    """Read a timetable and hold it against what is stored; nothing is written.

    Raises
    ------
    UserError : as :func:`read_timetable` and :func:`plan_windows` do
    """
    timetable = read_timetable(path, station.site)
    planned = plan_windows(station.site, timetable.sessions)
    with station.sessions() as session:
        changes = _compare(station, session, planned)
    warnings = [*timetable.warnings, *_doubts(station, timetable, planned, changes)]
    return Preview(timetable, tuple(changes), tuple(warnings))


def import_timetable(station: Station, preview: Preview, by: str, *, only_new: bool = False) -> Imported:
    """Make it so. What is new is expected before anything is cancelled: a crash leaves too much, never too little.

    Parameters
    ----------
    by : who does it, for the record of what is cancelled
    only_new : leave what is stored as it is, whatever the timetable says
    """
    name = preview.timetable.path.name
    planned = plan_windows(station.site, preview.timetable.sessions)
    expected: list[str] = []
    cancelled: list[str] = []
    with windows_lock(station):
        with station.sessions() as session:
            changes = _compare(station, session, planned)
        for change in changes:
            if change.planned is None or change.state not in (State.NEW, State.CHANGED):
                continue
            if change.state is State.CHANGED and only_new:
                continue
            window = _expect(station, change.planned)
            expected.append(window.id)
            if change.stored_id is not None:
                reason = f"changed in the timetable {name} ({', '.join(change.differs)}); expected anew as {window.id}"
                cancelled += _cancel(station, change.stored_id, reason, by)
        if not only_new:
            for change in changes:
                if change.state is State.GONE and change.stored_id is not None:
                    reason = f"no longer in the timetable {name}"
                    cancelled += _cancel(station, change.stored_id, reason, by)
    return Imported(tuple(expected), tuple(cancelled))


def _cancel(station: Station, window_id: str, reason: str, by: str) -> list[str]:
    """The id; nothing where the window began while this import ran, which the next preview tells."""
    try:
        return [cancel_locked(station, window_id, reason[:LONGEST_REASON], by, only_unbegun=True).id]
    except UserError:
        return []


def _expect(station: Station, planned: PlannedWindow) -> Window:
    with station.sessions() as session:
        identity = free_id(session, planned.id)
    return register(
        station,
        Window(
            id=identity,
            room_id=planned.room_id,
            kind=planned.kind,
            title=planned.title,
            batch=station.site.batch,
            camera_ids=" ".join(planned.cameras),
            starts_at=planned.starts_at,
            ends_at=planned.ends_at,
            exam_starts_at=planned.exam_starts_at,
            exam_ends_at=planned.exam_ends_at,
            origin=TIMETABLE,
        ),
    )


def _compare(station: Station, session: Rows, planned: Sequence[PlannedWindow]) -> list[Change]:
    present = now()
    stored: dict[str, list[Window]] = {}
    for known in _stored(session):
        stored.setdefault(base_id(known.id), []).append(known)
    changes: list[Change] = []
    for window in planned:
        members = stored.pop(window.id, [])
        same = next((one for one in members if not _differences(window, one)), None)
        row = same or next(iter(members), None)
        changes.append(_change(window, row, present))
        changes += [_left(other, planned, station, present) for other in members if other is not row]
    for members in stored.values():
        changes += [_left(other, planned, station, present) for other in members]
    shown = [one for one in changes if one.planned is not None or one.state is not State.OVER]
    return sorted(shown, key=lambda one: (one.window.starts_at, one.window.room_id, one.window.kind))


def _stored(session: Rows) -> list[Window]:
    """Windows that came from a timetable and stand; those of version 0.1.0 are told by their kind."""
    query = select(Window).where(
        Window.cancelled_at.is_(None),
        or_(Window.origin == TIMETABLE, Window.origin.is_(None) & Window.kind.in_(EXAM_KINDS)),
    )
    return list(session.scalars(query.order_by(Window.starts_at, Window.id)))


def _change(planned: PlannedWindow, row: Window | None, present: datetime) -> Change:
    if row is None:
        state = State.OVER if planned.ends_at <= present else State.NEW
        return Change(state, planned, planned, None)
    differs = _differences(planned, row)
    if not differs:
        state = State.UNCHANGED
    elif row.ends_at <= present or row.closed_leaf is not None:
        state = State.OVER
    else:
        state = State.RUNNING if row.starts_at <= present else State.CHANGED
    return Change(state, planned, planned, row.id, differs)


def _left(row: Window, planned: Sequence[PlannedWindow], station: Station, present: datetime) -> Change:
    """What the timetable says of a stored window that is not in it."""
    zone = station.site.zone
    days = [
        moment.astimezone(zone).date()
        for one in planned
        for moment in (one.starts_at, one.ends_at - timedelta(microseconds=1))
    ]
    if row.ends_at <= present or row.closed_leaf is not None:
        state = State.OVER
    elif row.starts_at <= present:
        state = State.RUNNING
    elif min(days) <= row.starts_at.astimezone(zone).date() <= max(days):
        state = State.GONE
    else:
        state = State.OUTSIDE
    shown = PlannedWindow(
        row.id,
        row.room_id,
        row.kind,
        row.title,
        row.cameras,
        row.starts_at,
        row.ends_at,
        row.exam_starts_at,
        row.exam_ends_at,
    )
    return Change(state, shown, None, row.id)


def _differences(planned: PlannedWindow, row: Window) -> tuple[str, ...]:
    pairs = {
        "title": (planned.title, row.title),
        "cameras": (planned.cameras, row.cameras),
        "from": (rounded(planned.starts_at), rounded(row.starts_at)),
        "to": (rounded(planned.ends_at), rounded(row.ends_at)),
        "exam": (
            (planned.exam_starts_at, planned.exam_ends_at),
            (row.exam_starts_at, row.exam_ends_at),
        ),
    }
    return tuple(name for name, (one, other) in pairs.items() if one != other)


def _doubts(
    station: Station, timetable: Timetable, planned: Sequence[PlannedWindow], changes: Sequence[Change]
) -> list[str]:
    zone, present = station.site.zone, now()
    doubts = [
        f"{session.where}: {session.title}: is past: it ended {session.ends_at.astimezone(zone):%F %R}"
        for session in timetable.sessions
        if session.ends_at <= present
    ]
    ahead = [one for one in planned if one.ends_at > present]
    doubts += [
        f"{one.id} and {other.id} overlap in room {one.room_id}: its cameras are recorded twice "
        f"from {max(one.starts_at, other.starts_at).astimezone(zone):%F %R}"
        for one, other in overlaps(ahead)
    ]
    for change in changes:
        if change.state is State.NEW and change.window.starts_at <= present:
            doubts.append(
                f"{change.window.id} has begun already: it is signed late, and what is missing of it becomes a gap"
            )
        if change.state is State.RUNNING:
            doubts.append(
                f"{change.stored_id} has begun and goes on as announced, whatever the timetable says now; "
                f"to stop it: kaozheng window cancel {change.stored_id} --reason ..."
            )
        elif change.state is State.OUTSIDE:
            doubts.append(
                f"{change.stored_id} is not in this timetable, and outside of its days: it stays expected; "
                f"if it is not to be: kaozheng window cancel {change.stored_id} --reason ..."
            )
    return doubts
