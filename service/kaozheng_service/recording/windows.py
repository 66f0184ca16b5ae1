"""Windows: registered and logged before they begin, or made now and recorded in the foreground."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.records import WindowExpected
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.recording.supervisor import LEAD_S, TICK_S, Supervisor
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station

_FIXED = ("room_id", "camera_ids", "starts_at", "ends_at")


def register_windows(station: Station, windows: Iterable[Window]) -> list[Window]:
    """Store and log each window as expected; those known already stay as they are. Returns all as stored.

    Raises
    ------
    UserError : a window that is logged already would change: the message names what; nothing of it is stored
    """
    return [_register(station, window) for window in windows]


def record_now(
    station: Station,
    room_id: str,
    camera_ids: Sequence[str],
    seconds: float,
    *,
    kind: str,
    title: str,
    progress: Callable[[int, int], None] | None = None,
) -> Window:
    """Record cameras of a room, from a few seconds on as they connect, for ``seconds``; returns when over.

    Other processes leave this window to us. An interrupt ends the recorders and closes the window, what is missing
    signed as stopped by the operator, and is then raised.
    """
    begins = rounded(now() + timedelta(seconds=LEAD_S))
    local = begins.astimezone(station.site.zone)
    window = Window(
        id=f"{local:%Y%m%d-%H%M%S}-{room_id}-{kind}-{secrets.token_hex(2)}",
        room_id=room_id,
        kind=kind,
        title=title,
        batch=station.site.batch,
        camera_ids=" ".join(camera_ids),
        starts_at=begins,
        ends_at=begins + timedelta(seconds=seconds),
        exam_starts_at=None,
        exam_ends_at=None,
    )
    supervisor = Supervisor(station, only=window.id)
    if not supervisor.lease(window.id):
        raise ServiceError(f"window {window.id} is being recorded by another process already")
    try:
        window = _register(station, window)
        try:
            _run(station, supervisor, window, progress)
        except BaseException:
            supervisor.stop_recorders(Cause.STOPPED_BY_OPERATOR, for_good=True)
            _run(station, supervisor, window, None)
            raise
    finally:
        supervisor.release()
    with station.sessions() as session:
        return session.get_one(Window, window.id)


def _run(
    station: Station, supervisor: Supervisor, window: Window, progress: Callable[[int, int], None] | None
) -> None:
    begun = now()
    whole = round((window.ends_at - begun).total_seconds())
    while True:
        supervisor.tick()
        if supervisor.is_idle():
            return
        if progress is not None:
            progress(min(round((now() - begun).total_seconds()), whole), whole)
        time.sleep(TICK_S)


def _register(station: Station, window: Window) -> Window:
    in_doubt = True
    with station.sessions() as session:
        known = session.get(Window, window.id)
        if known is None:
            in_doubt = False
            session.add(window)
            session.commit()
            known = window
        elif changed := [name for name in _FIXED if getattr(known, name) != getattr(window, name)]:
            raise UserError(
                f"window {window.id} is in the signed log already and now differs in {', '.join(changed)}; "
                "what was announced cannot be changed: restore it, or give the session another time or kind"
            )
        if known.leaf is None:
            known.leaf = append_once(station.log, _expectation(known), in_doubt=in_doubt)
            session.commit()
        return known


def _expectation(window: Window) -> WindowExpected:
    return WindowExpected(
        at=now(),
        window=window.id,
        room=window.room_id,
        cameras=list(window.cameras),
        title=window.title,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
    )
