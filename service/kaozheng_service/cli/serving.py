"""`kaozheng serve`: the daemon in the background, the pages in the foreground, one process."""

from __future__ import annotations

import os
import signal
import socket
from types import FrameType

import structlog
import uvicorn

from kaozheng_service.alarms.conditions import Snapshot
from kaozheng_service.clock import now
from kaozheng_service.config.site import Site
from kaozheng_service.config.timetable import read_timetable, session_window
from kaozheng_service.errors import UserError
from kaozheng_service.notify import Notifier
from kaozheng_service.recording.daemon import Daemon
from kaozheng_service.recording.windows import register_windows
from kaozheng_service.redaction import redacted
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.app import create_app

log = structlog.get_logger()


def serve_site(site: Site, *, host: str, port: int) -> None:
    """Run until SIGINT or SIGTERM; recorders that run then go on and are adopted at the next start."""
    # The web server hands SIGTERM on once its requests are answered; by default that would end us on the spot.
    signal.signal(signal.SIGTERM, _end)
    with _listening(host, port) as pages:
        station = open_station(site)
        register_timetable(station)
        notifier = Notifier()
        daemon = Daemon(station, on_tick=lambda snapshot: notifier.alive(_status(snapshot)))
        daemon.start()
        notifier.ready()
        log.info("recording by timetable", pages="http://{}:{}".format(*pages.getsockname()[:2]))
        server = uvicorn.Server(uvicorn.Config(create_app(station), log_config=None, access_log=False))
        try:
            server.run(sockets=[pages])
        finally:
            notifier.stopping()
            daemon.stop(leave_children=True)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _status(snapshot: Snapshot) -> str:
    """One line for `systemctl status`."""
    if snapshot.failure:
        return f"the recording loop fails: {redacted(snapshot.failure)}"
    flowing = sum(one.flows for one in snapshot.cameras)
    return f"recording {flowing} of {len(snapshot.cameras)} cameras"


def _listening(host: str, port: int) -> socket.socket:
    """Taken before anything is begun, so that nothing runs whose pages nobody can open."""
    try:
        return socket.create_server((host, port), backlog=128)
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no such port"
        raise UserError(f"{host}:{port}: {why}; name another address with --host and --port") from None


def register_timetable(station: Station) -> None:
    """Log every window of the timetable that is not over yet as expected."""
    site = station.site
    if site.timetable is None:
        log.warning("no timetable in the site file; nothing will be recorded by itself")
        return
    timetable = read_timetable(site.folder / site.timetable, site)
    for warning in timetable.warnings:
        log.warning("timetable", warning=warning)
    windows = [session_window(site, session) for session in timetable.sessions]
    ahead = [window for window in windows if window.ends_at > now()]
    if len(ahead) < len(windows):
        log.info("sessions that are over", count=len(windows) - len(ahead))
    register_windows(station, ahead)
