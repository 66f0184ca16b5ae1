"""The alarms' own thread: looks at everything every two seconds, tells what lasts, and ends what is over.

Whatever happens here, recording goes on: it reads what the recording loop left for it and holds no lock of it.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.checks import Checks, SelfChecks
from kaozheng_service.alarms.conditions import (
    LOOKED_AT,
    Snapshot,
    WindowsLookedAt,
    camera_conditions,
    clock_step,
    outlook_conditions,
    service_conditions,
)
from kaozheng_service.alarms.courier import Courier
from kaozheng_service.alarms.kinds import CLEAR, EVENTS, TOLD, WINDOW_ENDED, AlarmKind, Subject, patience
from kaozheng_service.alarms.messages import unstored_body
from kaozheng_service.alarms.persistence import Persistence
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm, Window
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.recording.forecast import forecast_disk
from kaozheng_service.station import Station

logger = structlog.get_logger()

LOOK_S = 2.0
CHECK_S = 10.0
# Windows that are over change rarely, and judging one reads all of its rows.
WINDOWS_S = 30.0
OUTLOOK_S = 60.0
JOIN_S = 10.0
# What could not be stored is sent again so often to channels that did not take it.
UNSTORED_S = 60.0
_LASTING = frozenset(kind.value for kind in AlarmKind if kind not in EVENTS)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the desk reads: the recording loop's last state, and why pictures are not judged and the second copy is
    not kept ("" while they are), which files are damaged, and why nothing is verified; what is wrong with anchors, by
    kind of alarm.
    """

    snapshot: Callable[[], Snapshot]
    watch_trouble: Callable[[], str]
    second_trouble: Callable[[], str] = lambda: ""
    damage: Callable[[], str] = lambda: ""
    verification_trouble: Callable[[], str] = lambda: ""
    anchor_troubles: Callable[[], dict[str, str]] = dict


@dataclass(slots=True)
class _Unstored:
    """An alarm that the database did not take, and the channels that told it all the same."""

    body: str
    told: set[str] = field(default_factory=set)
    tried_at_s: float = -math.inf


class AlarmDesk:
    """One a daemon. :meth:`start` returns at once."""

    def __init__(
        self,
        station: Station,
        sources: Sources,
        *,
        book: AlarmBook | None = None,
        checks: SelfChecks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._station = station
        self._sources = sources
        self._clock = clock
        self._book = book or AlarmBook(station, clock=clock)
        self._checks = checks or SelfChecks(station)
        self._courier = Courier(station)
        self._persistence = Persistence(lambda kind: patience(AlarmKind(kind), station.site.alarms.after_s))
        self._windows: WindowsLookedAt | None = None
        self._unexplained: dict[Subject, str] = {}
        self._outlook: dict[Subject, str] = {}
        self._checked: Checks | None = None
        self._checked_at_s = self._windows_at_s = self._outlook_at_s = -math.inf
        self._taken_up = False
        # Told though it could not be stored, with the channels that took it; at most one entry a cause.
        self._unstored: dict[Subject, _Unstored] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def checked(self) -> Checks | None:
        """The newest checks; None before the first. May be read from any thread."""
        return self._checked

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        self._thread.start()
        self._courier.start()

    def stop(self) -> None:
        """End it; alarms that are on stay on, and what was not delivered waits for the next start."""
        self._stop.set()
        self._courier.stop()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look(now())

    def look(self, present: datetime) -> None:
        """Look once. One part's failure keeps no other from being looked at; none is raised."""
        at_s = self._clock()
        self._try("the checks", lambda: self._check(at_s))
        self._try("alarms of before", lambda: self._take_up(at_s))
        self._try("gaps", self._tell_gaps)
        self._try("windows that are over", lambda: self._look_at_windows(present, at_s))
        self._try("the disk of the next days", lambda: self._look_ahead(present, at_s))
        self._try("causes", lambda: self._judge(present, at_s))
        self._try("reminders", lambda: self._book.remind(present))
        self._try("records", self._book.resume)

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            logger.exception("looking for alarms failed in part; the next look tries again", part=what)

    def _check(self, at_s: float) -> None:
        if at_s - self._checked_at_s < CHECK_S:
            return
        self._checked_at_s = at_s
        checks = self._checked = self._checks.run()
        stepped = clock_step(self._station, checks)
        if stepped is not None:
            self._book.tell(*stepped)

    def _take_up(self, at_s: float) -> None:
        """Alarms that an earlier process told and that are not over."""
        if not self._taken_up:
            self._persistence.take_up([_subject(row) for row in self._book.open_alarms(_LASTING)], at_s)
            self._taken_up = True

    def _tell_gaps(self) -> None:
        if self._windows is None:
            self._windows = WindowsLookedAt(self._station, _read_number(self._told_file))
            write_durably(self._told_file, f"{self._windows.last_gap}\n")
        for number, subject, words, at in self._windows.new_gaps():
            if subject is not None:
                self._book.tell(subject, words, at)
            self._windows.last_gap = number
            write_durably(self._told_file, f"{number}\n")

    def _look_at_windows(self, present: datetime, at_s: float) -> None:
        if self._windows is not None and at_s - self._windows_at_s >= WINDOWS_S:
            self._windows_at_s = at_s
            self._unexplained = self._windows.unexplained(present)

    def _look_ahead(self, present: datetime, at_s: float) -> None:
        snapshot = self._sources.snapshot()
        if (
            at_s - self._outlook_at_s < OUTLOOK_S or snapshot.tick_s == 0
        ):  # before its first round it knows nothing
            return
        self._outlook_at_s = at_s
        outlook = forecast_disk(self._station, present, free_bytes=snapshot.free_bytes)
        self._outlook = outlook_conditions(self._station, outlook)

    def _judge(self, present: datetime, at_s: float) -> None:
        snapshot = self._sources.snapshot()
        there = service_conditions(
            self._station,
            snapshot,
            self._checked,
            self._sources.watch_trouble(),
            at_s,
            self._sources.second_trouble(),
            self._sources.damage(),
            self._sources.verification_trouble(),
        )
        there |= camera_conditions(self._station, snapshot.cameras, present)
        there |= self._unexplained | self._outlook
        there |= {Subject(kind): words for kind, words in self._sources.anchor_troubles().items()}
        raised, cleared = self._persistence.update(at_s, there)
        for subject in raised:
            self._raise(subject, there[subject], present)
        if cleared:
            open_rows = {_subject(row): row for row in self._book.open_alarms(_LASTING)}
            for subject in cleared:
                row = open_rows.get(subject)
                if row is not None:
                    self._book.clear_alarm(row.id, present, self._how_ended(subject, present))
                self._persistence.over(subject)
        for subject in set(self._unstored) - set(there):
            del self._unstored[subject]

    def _raise(self, subject: Subject, detail: str, present: datetime) -> None:
        unstored = self._unstored.get(subject)
        try:
            self._book.raise_alarm(subject, detail, present, sent=unstored.told if unstored else ())
        except SQLAlchemyError as error:
            if unstored is None:
                logger.error(
                    "an alarm could not be stored; it is sent all the same",
                    alarm=subject.kind,
                    why=str(getattr(error, "orig", error)),
                )
                body = unstored_body(self._station.site, subject, detail, present)
                unstored = self._unstored[subject] = _Unstored(body)
            if self._clock() - unstored.tried_at_s >= UNSTORED_S:
                unstored.tried_at_s = self._clock()
                self._courier.send_unstored(unstored.body, unstored.told)
            return
        self._unstored.pop(subject, None)
        self._persistence.told(subject)

    def _how_ended(self, subject: Subject, present: datetime) -> str:
        if not subject.window:
            return CLEAR
        with self._station.sessions() as session:
            ends_at = session.scalar(select(Window.ends_at).where(Window.id == subject.window))
        if subject.kind == AlarmKind.UNEXPLAINED_GAP:
            return TOLD if ends_at is not None and ends_at <= present - LOOKED_AT else CLEAR
        return WINDOW_ENDED if ends_at is not None and ends_at <= present else CLEAR

    @property
    def _told_file(self) -> Path:
        return self._station.state / "last-gap-told"


def _subject(row: Alarm) -> Subject:
    return Subject(row.kind, row.room_id, row.camera_id, row.window_id or "")


def _read_number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None
