"""`kaozheng serve`: the daemon in the background, the pages in the foreground, one process."""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import FrameType

import structlog
import uvicorn
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.access.links import SET_UP, link_address, new_setup_link
from kaozheng_service.alarms.conditions import Snapshot
from kaozheng_service.clock import now
from kaozheng_service.config.effective import note_configuration
from kaozheng_service.config.site import Site
from kaozheng_service.database import Window
from kaozheng_service.errors import UserError
from kaozheng_service.notify import Notifier
from kaozheng_service.recording.daemon import Daemon
from kaozheng_service.recording.timetable_import import Change, State, import_timetable, preview_timetable
from kaozheng_service.recording.timetable_notice import clear_notice, write_notice
from kaozheng_service.redaction import redacted
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.app import create_app

log = structlog.get_logger()

BY = "kaozheng serve"


def serve_site(site: Site, *, host: str, port: int) -> None:
    """Run until SIGINT or SIGTERM; recorders that run then go on and are adopted at the next start."""
    # The web server hands SIGTERM on once its requests are answered; by default that would end us on the spot.
    signal.signal(signal.SIGTERM, _end)
    with _listening(host, port) as pages:
        station = open_station(site, thorough=True)
        _note_configuration(station)
        take_in_timetable(station)
        notifier = Notifier()
        daemon = Daemon(station, on_tick=lambda snapshot: notifier.alive(_status(snapshot)))
        daemon.start()
        notifier.ready()
        address = "http://{}:{}".format(*pages.getsockname()[:2])
        log.info("recording by timetable", pages=address)
        _tell_first_start(station, site.web.address or address)
        server = uvicorn.Server(uvicorn.Config(create_app(station), log_config=None, access_log=False))
        try:
            server.run(sockets=[pages])
        finally:
            notifier.stopping()
            daemon.stop(leave_children=True)


def _note_configuration(station: Station) -> None:
    """Recording does not wait for it: an alarm tells of a log that cannot be written, and the next start signs."""
    try:
        note_configuration(station.site, station.log, station.state)
    except Exception:
        log.exception("the configuration is not signed; the next start tries again")


def _tell_first_start(station: Station, address: str) -> None:
    """Where there is no account, how to make one. The link goes to a terminal only: logs are kept, and read by many."""
    try:
        made = new_setup_link(station)
    except SQLAlchemyError:  # a full disk or a locked database: recording goes on
        log.exception("no link for the first account; print one later with: kaozheng account setup-link")
        return
    if made is None:
        return
    if not sys.stdout.isatty():
        log.warning("no account yet; print the link that makes the first with: kaozheng account setup-link")
        return
    secret, until = made
    print(
        f"\n还没有账号，请打开这个一次性链接建立系统管理员账号（{until.astimezone(station.site.zone):%H:%M} 前有效）\n"
        f"No account yet; make the administrator's by this one-time link:\n\n"
        f"  {link_address(address, SET_UP, secret)}\n",
        flush=True,
    )


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


def take_in_timetable(station: Station) -> None:
    """Expect what is new in the site file's timetable; what it changes is told, and left to a person.

    Raises
    ------
    UserError : the timetable is faulty and nothing is expected yet; else the service runs, and says so loudly
    """
    site = station.site
    if site.timetable is None:
        log.warning("no timetable in the site file; what is recorded is what was imported or added")
        clear_notice(station)
        return
    path = site.folder / site.timetable
    try:
        preview = preview_timetable(station, path)
    except UserError as error:
        if not _expects_something(station):
            raise
        _tell(station, str(site.timetable), str(error).splitlines())
        return
    for warning in preview.warnings:
        log.warning("timetable", warning=warning)
    done = import_timetable(station, preview, BY, only_new=True)
    log.info("timetable", expected_anew=len(done.expected), unchanged=len(preview.of(State.UNCHANGED)))
    left = preview.of(State.CHANGED, State.GONE)
    if left:
        _tell(station, str(site.timetable), [_sentence(change) for change in left])
    else:
        clear_notice(station)


def _tell(station: Station, file: str, lines: list[str]) -> None:
    for line in lines:
        log.error("the timetable is not what is expected; what was stored is recorded", what=line)
    log.error(f"look at it with: kaozheng timetable preview {file}; then kaozheng timetable import {file}")
    write_notice(station, file, lines)


def _sentence(change: Change) -> str:
    if change.state is State.GONE:
        return f"{change.stored_id}: {change.window.title}: no longer in the timetable"
    return f"{change.stored_id}: {change.window.title}: differs in {', '.join(change.differs)}"


def _expects_something(station: Station) -> bool:
    with station.sessions() as session:
        ahead = select(Window.id).where(Window.ends_at > now(), Window.cancelled_at.is_(None)).limit(1)
        return session.scalars(ahead).first() is not None
