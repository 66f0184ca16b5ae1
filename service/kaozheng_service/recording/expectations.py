"""Windows: expected and logged before they begin, cancelled by a record of its own, never changed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock

from sqlalchemy import select
from sqlalchemy.orm import Session as Rows

from kaozheng_service.clock import from_text, now, to_text
from kaozheng_service.database import Window
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.records import WindowCancelled, WindowExpected
from kaozheng_service.recording.leases import try_lease
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station

TIMETABLE, OPERATOR = "timetable", "operator"
LONGEST_REASON = 500
# Kinds hold no digit, so that the end of an id tells its revision.
KIND = re.compile(r"[a-z][a-z_]{0,30}")
_REVISION = re.compile(r"-r(\d+)$")
# Another process registers a season's windows in some seconds.
_PATIENCE_S = 60.0
_LONGEST = timedelta(hours=24)


class WindowsBusyError(ServiceError):
    """Another process adds or cancels windows."""


@contextmanager
def windows_lock(station: Station, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Held while windows are added or cancelled, over threads and processes. WindowsBusyError when it stays taken."""
    path = station.state / "locks" / "windows.lock"
    until = time.monotonic() + patience_s
    while (lease := try_lease(path)) is None:
        if time.monotonic() >= until:
            raise WindowsBusyError(
                f"another process changes the windows ({path} is locked); try again when it is done"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        lease.release()


def register(station: Station, window: Window) -> Window:
    """Store and log a window as expected; one that is known stays as it is. Returns it as stored.

    For who holds the lock.
    """
    in_doubt = True
    with station.sessions() as session:
        known = session.get(Window, window.id)
        if known is None:
            in_doubt = False
            session.add(window)
            session.commit()
            known = window
        if known.leaf is None:
            known.leaf = append_once(station.log, _expectation(known), in_doubt=in_doubt)
            session.commit()
        return known


def base_id(window_id: str) -> str:
    """The id without its revision."""
    return _REVISION.sub("", window_id)


def free_id(session: Rows, base: str) -> str:
    """``base``, or with the first revision (``-r2`` and on) that no window has had."""
    taken = set(session.scalars(select(Window.id).where(Window.id.startswith(base, autoescape=True))))
    number = 1
    while (name := base if number == 1 else f"{base}-r{number}") in taken:
        number += 1
    return name


def add_window(
    station: Station,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    *,
    kind: str = "manual",
    title: str = "",
    camera_ids: Sequence[str] | None = None,
) -> Window:
    """Expect a recording outside the timetable; all cameras of the room where none are named.

    Raises
    ------
    UserError : no such room or camera, a range that is over, begun, empty or longer than a day, a bad kind or title,
        or the very same is expected already
    """
    room = station.site.room(room_id)
    names = [room.stream(name).id for name in camera_ids or [stream.id for stream in room.streams]]
    names = list(dict.fromkeys(names))
    starts_at, ends_at = rounded(starts_at), rounded(ends_at)
    title = " ".join(title.split()) or "临时录像"
    if KIND.fullmatch(kind) is None or kind == "inspection":
        raise UserError(
            f"kind {kind!r} cannot be used; write one word of small letters, such as manual or marking"
        )
    if len(title) > LONGEST_REASON:
        raise UserError(f"the title is longer than {LONGEST_REASON} characters; shorten it")
    if ends_at <= starts_at:
        raise UserError("the window ends before it begins; give --from before --to")
    if ends_at - starts_at > _LONGEST:
        raise UserError("the window is longer than 24 hours; add one for each day")
    if starts_at <= now():
        raise UserError(
            f"{to_text(starts_at)} is past: what is expected is signed before it begins. "
            "Give a later --from, or --from now"
        )
    with windows_lock(station):
        with station.sessions() as session:
            base = f"{starts_at.astimezone(station.site.zone):%Y%m%d-%H%M%S}-{room.id}-{kind}"
            same = session.scalars(
                select(Window).where(
                    Window.room_id == room.id,
                    Window.kind == kind,
                    Window.starts_at == starts_at,
                    Window.ends_at == ends_at,
                    Window.cancelled_at.is_(None),
                    Window.camera_ids == " ".join(names),
                )
            ).first()
            if same is not None:
                raise UserError(f"this is expected already, as window {same.id}")
            identity = free_id(session, base)
        return register(
            station,
            Window(
                id=identity,
                room_id=room.id,
                kind=kind,
                title=title,
                batch=station.site.batch,
                camera_ids=" ".join(names),
                starts_at=starts_at,
                ends_at=ends_at,
                exam_starts_at=None,
                exam_ends_at=None,
                origin=OPERATOR,
            ),
        )


def stored_windows(station: Station, day: date | None) -> list[Window]:
    """The windows of a day of the site, or those that are not over yet, by begin and room."""
    query = select(Window)
    if day is None:
        query = query.where(Window.ends_at > now())
    else:
        begin, end = (
            datetime.combine(one, clock(), station.site.zone) for one in (day, day + timedelta(days=1))
        )
        query = query.where(Window.starts_at < end, Window.ends_at > begin)
    with station.sessions() as session:
        return list(session.scalars(query.order_by(Window.starts_at, Window.room_id, Window.id)))


def overlapping_windows(station: Station, window: Window) -> list[Window]:
    """Others that record one of its cameras at the same time."""
    query = select(Window).where(
        Window.room_id == window.room_id,
        Window.id != window.id,
        Window.starts_at < window.ends_at,
        Window.ends_at > window.starts_at,
        Window.cancelled_at.is_(None),
    )
    with station.sessions() as session:
        return [one for one in session.scalars(query) if set(one.cameras) & set(window.cameras)]


def cancel_window(station: Station, window_id: str, reason: str, by: str) -> Window:
    """Sign that a window is not to be recorded, or no longer. One that has begun is stopped: its rest becomes a gap.

    Raises
    ------
    UserError : no such window, no reason, or it is over, closed or cancelled already
    """
    with windows_lock(station):
        return cancel_locked(station, window_id, reason, by)


def cancel_locked(
    station: Station, window_id: str, reason: str, by: str, *, only_unbegun: bool = False
) -> Window:
    """As :func:`cancel_window`, for who holds the lock. ``only_unbegun`` refuses what has begun."""
    reason, by = " ".join(reason.split()), " ".join(by.split())
    if not reason:
        raise UserError("a window is not cancelled without a reason, for the record; give it with --reason")
    if len(reason) > LONGEST_REASON or len(by) > LONGEST_REASON:
        raise UserError(f"the reason is longer than {LONGEST_REASON} characters; shorten it")
    with station.sessions() as session:
        window = session.get(Window, window_id)
        if window is None:
            raise UserError(f"there is no window {window_id!r}; look for its id with: kaozheng window list")
        if window.cancelled_at is not None:
            raise UserError(
                f"window {window_id} was cancelled at {to_text(window.cancelled_at)} already: {window.cancel_reason}"
            )
        present = now()
        if window.closed_leaf is not None or window.ends_at <= present:
            raise UserError(f"window {window_id} is over; what was expected of it stays expected")
        if only_unbegun and window.starts_at <= present:
            raise UserError(
                f"window {window_id} has begun and goes on; to stop it: kaozheng window cancel {window_id} --reason ..."
            )
        window.cancelled_at = rounded(present)
        window.cancel_reason = reason
        window.cancelled_by = by
        session.commit()
        return _sign_cancellation(station, session, window, in_doubt=False)


def settle_windows(station: Station) -> None:
    """Sign what a process stored and did not live to sign; later, where one is at it now."""
    unsigned = select(Window.id).where(
        Window.leaf.is_(None) | (Window.cancelled_at.is_not(None) & Window.cancelled_leaf.is_(None))
    )
    with station.sessions() as session:
        if session.scalars(unsigned.limit(1)).first() is None:
            return
    try:
        with windows_lock(station, patience_s=0), station.sessions() as session:
            for window_id in session.scalars(unsigned).all():
                window = session.get_one(Window, window_id)
                if window.leaf is None:
                    register(station, window)
                    session.refresh(window)
                if window.cancelled_at is not None and window.cancelled_leaf is None:
                    _sign_cancellation(station, session, window, in_doubt=True)
    except WindowsBusyError:
        return


def _sign_cancellation(station: Station, session: Rows, window: Window, *, in_doubt: bool) -> Window:
    """The record's own moment is what counts, so the row takes it over."""
    record = WindowCancelled(
        at=rounded(now()),
        window=window.id,
        room=window.room_id,
        reason=window.cancel_reason or "",
        by=window.cancelled_by or "",
    )
    window.cancelled_leaf = append_once(station.log, record, in_doubt=in_doubt)
    window.cancelled_at = from_text(json.loads(station.log.entry(window.cancelled_leaf))["at"])
    session.commit()
    return window


def _expectation(window: Window) -> WindowExpected:
    return WindowExpected(
        at=now(),
        window=window.id,
        room=window.room_id,
        cameras=list(window.cameras),
        title=window.title,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        activity=window.kind,
        batch=window.batch,
        exam_starts_at=window.exam_starts_at,
        exam_ends_at=window.exam_ends_at,
        origin=window.origin,
    )
