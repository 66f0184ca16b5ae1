"""The recording daemon: ticks the supervisor, and beats so that everyone can see that it lives."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.checks import Checks
from kaozheng_service.alarms.conditions import Snapshot
from kaozheng_service.alarms.desk import AlarmDesk, Sources
from kaozheng_service.clock import from_text, now, to_text
from kaozheng_service.database_damage import is_damage
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchors.keeper import AnchorKeeper
from kaozheng_service.recording import backfill
from kaozheng_service.recording.absences import note_absence
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.recording.gaps import Span
from kaozheng_service.recording.leases import Lease, try_lease
from kaozheng_service.recording.supervisor import TICK_S, Supervisor
from kaozheng_service.recording.watcher import Watcher
from kaozheng_service.second.keeper import SecondKeeper
from kaozheng_service.sessions.printer import SheetPrinter
from kaozheng_service.station import Station
from kaozheng_service.verification.keeper import VerificationKeeper

logger = structlog.get_logger()

# EX_SOFTWARE of sysexits.h: whoever supervises the service starts it again.
EXIT_DAMAGED = 70
HEARTBEAT = "heartbeat.json"
BEAT_S = 2.0
# The three signals to a recorder, and the settling of what it wrote.
STOP_S = 30.0


class Daemon:
    """One a site. :meth:`start` returns at once; the work is done in a thread of its own."""

    def __init__(self, station: Station, *, on_tick: Callable[[Snapshot], None] | None = None) -> None:
        """``on_tick`` is called after every tick that came to an end, well or not, in the loop's thread."""
        self._station = station
        self._on_tick = on_tick
        self._scheduler: BackgroundScheduler | None = None
        self._supervisor: Supervisor | None = None
        self._lease: Lease | None = None
        self._watcher: Watcher | None = None
        self._backfiller: backfill.Backfiller | None = None
        self._desk: AlarmDesk | None = None
        self._second: SecondKeeper | None = None
        self._verification: VerificationKeeper | None = None
        self._anchors: AnchorKeeper | None = None
        self._snapshot = Snapshot(time.monotonic(), 0.0, (), 0, False)
        self._printer: SheetPrinter | None = None
        self._started_at: datetime | None = None
        self._beat_at = 0.0

    def start(self) -> None:
        """Raises UserError where another daemon of this site runs."""
        lock = self._station.state / "locks" / "daemon.lock"
        self._lease = try_lease(lock)
        if self._lease is None:
            raise UserError(
                f"another daemon records this site already ({lock} is locked); stop that one first"
            )
        self._started_at = now()
        self._snapshot = Snapshot(time.monotonic(), 0.0, (), 0, False)
        self._supervisor = Supervisor(
            self._station, absences=note_absence(self._station.state, self._unwatched(self._started_at))
        )
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._scheduler.add_job(
            self._tick,
            "interval",
            args=(self._supervisor,),
            seconds=TICK_S,
            next_run_time=now(),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._backfiller = backfill.Backfiller(self._station)
        # In a thread of its own: hashing what was fetched never delays a recorder.
        self._scheduler.add_job(
            self._backfill,
            "interval",
            args=(self._backfiller,),
            seconds=backfill.TICK_S,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()
        book = AlarmBook(self._station)
        self._watcher = Watcher(self._station, book=book)
        self._watcher.start()
        self._second = SecondKeeper(self._station)
        self._second.start()
        self._verification = VerificationKeeper(self._station)
        self._verification.start()
        self._anchors = AnchorKeeper(self._station)
        self._anchors.start()
        sources = Sources(
            lambda: self._snapshot,
            self._watcher.trouble,
            self._second.trouble,
            self._verification.damage,
            self._verification.trouble,
            self._anchors.troubles,
        )
        self._desk = AlarmDesk(self._station, sources, book=book)
        self._desk.start()
        if self._station.site.recording.session_sheets:
            self._printer = SheetPrinter(self._station)
            self._printer.start()

    def stop(self, *, leave_children: bool = True) -> None:
        """End the daemon. Its recorders go on and are adopted at the next start; with ``leave_children`` False they
        are ended, and what is missing until the next start is signed as stopped by the operator.
        """
        if self._desk is not None:
            self._desk.stop()
            self._desk = None
        if self._printer is not None:
            self._printer.stop()
            self._printer = None
        if self._verification is not None:
            self._verification.stop()
            self._verification = None
        if self._anchors is not None:
            self._anchors.stop()
            self._anchors = None
        if self._second is not None:
            self._second.stop()
            self._second = None
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        if self._backfiller is not None:
            self._backfiller.release()
            self._backfiller = None
        if self._supervisor is not None:
            if not leave_children:
                self._supervisor.stop_recorders(Cause.STOPPED_BY_OPERATOR, for_good=False)
                until = time.monotonic() + STOP_S
                while self._supervisor.states() and time.monotonic() < until:
                    self._supervisor.tick()
                    time.sleep(TICK_S / 4)
            self._beat(self._supervisor)
            self._supervisor.release()
            self._supervisor = None
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _tick(self, supervisor: Supervisor) -> None:
        begun_s = time.monotonic()
        try:
            supervisor.tick()
            ended_s = time.monotonic()
            self._snapshot = Snapshot(
                tick_at_s=ended_s,
                tick_s=ended_s - begun_s,
                cameras=tuple(supervisor.health()),
                free_bytes=supervisor.free_bytes(),
                disk_low=supervisor.disk_is_low(),
            )
            if ended_s - self._beat_at >= BEAT_S:
                self._beat(supervisor)
        except Exception as error:
            if is_damage(error):
                # Recorders go on. A new process reads it all, puts it aside if it must, makes it anew from the log and
                # adopts them.
                logger.critical("the database is damaged; the service ends and must be started again")
                os._exit(EXIT_DAMAGED)
            logger.exception("a tick of the daemon failed; the next one tries again")
            self._snapshot = replace(self._snapshot, failure=f"{type(error).__name__}: {error}")
        if self._on_tick is not None:
            self._on_tick(self._snapshot)

    def _backfill(self, backfiller: backfill.Backfiller) -> None:
        try:
            backfiller.tick()
        except Exception:
            logger.exception("backfilling failed; the next tick tries again")

    def _beat(self, supervisor: Supervisor) -> None:
        beat = {
            "schema": "kaozheng/heartbeat/1",
            "at": to_text(now()),
            "pid": os.getpid(),
            "started_at": to_text(self._started_at) if self._started_at is not None else None,
            "recording": [
                {
                    "window": state.window,
                    "camera": state.camera,
                    "take": state.take,
                    "bytes": state.bytes,
                    "last_segment_at": to_text(state.last_segment_at)
                    if state.last_segment_at is not None
                    else None,
                }
                for state in supervisor.states()
            ],
            "pictures": [
                {
                    "window": one.window,
                    "camera": one.camera,
                    "at": to_text(one.at),
                    "judgement": one.judgement,
                    "words": one.words,
                    "looks": one.looks,
                }
                for one in (self._watcher.pictures() if self._watcher is not None else [])
            ],
            "free_bytes": supervisor.free_bytes(),
            "disk_low": supervisor.disk_is_low(),
            "cameras": [
                {
                    "window": one.window,
                    "room": one.room,
                    "camera": one.camera,
                    "flows": one.flows,
                    "silent_s": round(one.silent_s, 1) if one.silent_s is not None else None,
                    "cause": one.cause or None,
                    "unsigned": one.unsigned or None,
                }
                for one in self._snapshot.cameras
            ],
            "tick_s": round(self._snapshot.tick_s, 3),
            "signing_errors": self._station.log.failures,
            "watch": self._watcher.trouble() if self._watcher is not None else "",
            "checks": _checks_json(self._desk.checked if self._desk is not None else None),
        }
        write_durably(self._path, json.dumps(beat, indent=1) + "\n")
        self._beat_at = time.monotonic()

    @property
    def _path(self) -> Path:
        return self._station.state / HEARTBEAT

    def _unwatched(self, present: datetime) -> Span:
        """From the last daemon's last beat until now; since ever, where there was none."""
        try:
            last = from_text(json.loads(self._path.read_text(encoding="utf-8"))["at"])
        except (OSError, ValueError, KeyError, TypeError):
            last = datetime.min.replace(tzinfo=UTC)
        return Span(last - timedelta(seconds=2 * BEAT_S) if last.year > 1 else last, present)


def _checks_json(checks: Checks | None) -> dict[str, Any] | None:
    if checks is None:
        return None
    return asdict(checks) | {"at": to_text(checks.at)}
