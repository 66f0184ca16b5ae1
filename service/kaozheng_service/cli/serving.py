"""`kaozheng serve`: the daemon in the background, the pages in the foreground, one process."""

from __future__ import annotations

import structlog
import uvicorn

from kaozheng_service.clock import now
from kaozheng_service.config.site import Site
from kaozheng_service.config.timetable import read_timetable, session_window
from kaozheng_service.recording.daemon import Daemon
from kaozheng_service.recording.windows import register_windows
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.app import create_app

log = structlog.get_logger()


def serve_site(site: Site, *, host: str, port: int) -> None:
    """Run until SIGINT or SIGTERM; recorders that run then go on and are adopted at the next start."""
    station = open_station(site)
    register_timetable(station)
    daemon = Daemon(station)
    daemon.start()
    try:
        uvicorn.run(create_app(station), host=host, port=port, log_level="warning", access_log=False)
    finally:
        daemon.stop(leave_children=True)


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
