"""Windows that are made now and recorded in the foreground."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.errors import ServiceError
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.expectations import register, windows_lock
from kaozheng_service.recording.supervisor import LEAD_S, TICK_S, Supervisor
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station


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
        with windows_lock(station):
            window = register(station, window)
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
