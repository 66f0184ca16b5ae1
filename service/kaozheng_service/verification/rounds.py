"""The service's own verification: all of both copies, slowly, again and again; what it finds is signed and repaired."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select

from kaozheng_service.clock import from_text, now, to_text
from kaozheng_service.database import Segment
from kaozheng_service.disputes.standalone.findings import ALTERED
from kaozheng_service.disputes.standalone.records import parse_record
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.records import VerificationDone
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.redaction import redacted
from kaozheng_service.second.target import Target, target_of
from kaozheng_service.station import Station
from kaozheng_service.verification.archive import ArchiveReport, verify_archive
from kaozheng_service.verification.damage import FIRST, SECOND
from kaozheng_service.verification.journal import Journal
from kaozheng_service.verification.looking import CHANGED, MISSING, Footage, Look, look_at
from kaozheng_service.verification.pace import MB, Pace, Throttle, recording_now
from kaozheng_service.verification.repair import Repair

logger = structlog.get_logger()

STATUS = "verification-status.json"
SCHEMA = "kaozheng/verification-status/1"
# While something is recorded, this part of the rate.
WHILE_RECORDING = 0.25
# What could not be repaired is tried again: a disk is plugged in, or a file put back by hand.
AGAIN_S = 3600.0
TELL_S = 2.0
# A repair is told of for a day: whoever looks once a day sees that a disk begins to fail.
TOLD_FOR = timedelta(days=1)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Round:
    """A round that is through. ``second_files`` is None where the second copy was not there."""

    begun_at: datetime
    ended_at: datetime
    outcome: str
    files: int
    bytes: int
    second_files: int | None
    damaged: int
    repaired: int
    altered: str  # what beside files is not as it was signed, "" where all is


@dataclass(frozen=True, slots=True)
class _Told:
    """What survives a restart in the status file."""

    begun_at: datetime | None = None  # of the round that is not through
    last: Round | None = None
    repaired_at: datetime | None = None
    repaired: int = 0  # files, within a day of one another
    repaired_in_round: int = 0


class Verifier:
    """Called from one thread, in a process of its own."""

    def __init__(
        self,
        station: Station,
        *,
        busy: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._station = station
        self._target: Target | None = target_of(station.site) if station.site.second is not None else None
        self._busy = busy or recording_now(station)
        self._clock = clock
        throttle = Throttle(self._bytes_per_s, clock=clock, sleep=sleep)
        # One thread at the lowest priority; the rate, not the number of jobs, makes way for recorders.
        self._pace = Pace(1, throttle, gentle=True)
        self._repair = Repair(station, self._target, self._pace)
        self._told = _read_told(station.state)
        self._failing = ""
        self._progress = (0, 0)
        self._told_at_s = self._again_at_s = float("-inf")
        self._telling = threading.Lock()

    def step(self) -> None:
        """A round if one is due, else another try at what is damaged, once an hour."""
        if self.due(now()):
            self.round()
        elif self._clock() - self._again_at_s >= AGAIN_S:
            self.try_again()
        if self._failing:
            self._failing = ""
            self._tell()
        self._show_life()

    def due(self, present: datetime) -> bool:
        every = self._station.site.verification.every_days
        if every is None:
            return False
        last = self._told.last
        return self._told.begun_at is not None or last is None or present >= last.begun_at + timedelta(every)

    def try_again(self) -> None:
        self._again_at_s = self._clock()
        self._count(self._repair.again())

    def failed(self, why: str) -> None:
        """Say why nothing is verified; until the next step that comes to its end."""
        self._failing = redacted(why)
        self._tell()

    def round(self) -> Round:
        """Read everything, from where a round was broken off; sign that it was done."""
        begun_at = self._told.begun_at
        if begun_at is None:
            begun_at = now()
            self._told = replace(self._told, begun_at=begun_at, repaired_in_round=0)
        self._tell()
        self.try_again()
        folder = self._station.state / "verification"
        report = verify_archive(
            self._station,
            self._step,
            pace=self._pace,
            journal=folder / "round-first.jsonl",
            mend=lambda one: self._mend(one, FIRST),
        )
        second_files = self._second(folder / "round-second.jsonl", report.log_size)
        left, repaired = self._repair.list.all(), self._told.repaired_in_round
        done = Round(
            begun_at=begun_at,
            ended_at=now(),
            outcome=report.outcome,
            files=report.files,
            bytes=report.bytes,
            second_files=second_files,
            damaged=repaired + len(left),
            repaired=repaired,
            altered=_altered_beside(report, {one.path for one in left if one.copy == FIRST}),
        )
        self._station.log.append(
            VerificationDone(
                at=done.ended_at,
                begun_at=begun_at,
                log_size=report.log_size,
                files=done.files,
                bytes=done.bytes,
                second_files=second_files,
                damaged=done.damaged,
                repaired=done.repaired,
                outcome=done.outcome,
            )
        )
        self._told = replace(self._told, begun_at=None, last=done, repaired_in_round=0)
        self._tell()
        return done

    def _mend(self, one: Look, copy: str) -> bool:
        right = self._repair.mend(one, copy)
        self._count(int(right))
        return right

    def _second(self, journal: Path, log_size: int) -> int | None:
        """How many files of the second copy were looked at; None where its disk is not there, or went away."""
        target = self._target
        if target is None or target.trouble():
            return None
        files = 0
        with Journal(journal, log_size) as kept:
            for one in look_at(self._copied(), target.footage, pace=self._pace, journal=kept):
                if one.fault and target.trouble():
                    return None  # a disk that was unplugged has not lost its files
                files += 1
                if one.fault:
                    self._mend(one, SECOND)
                self._show_life()
            kept.finish()
        return files

    def _copied(self) -> Iterator[Footage]:
        """What was copied, by the records that were signed of it."""
        last = 0
        while True:
            there = Segment.copied_at.is_not(None), Segment.deleted_leaf.is_(None)
            query = select(Segment.id, Segment.leaf).where(Segment.id > last, *there)
            with self._station.sessions() as session:
                rows = session.execute(query.order_by(Segment.id).limit(_BATCH)).all()
            if not rows:
                return
            for number, leaf in rows:
                last = number
                if leaf is not None:
                    yield Footage.of(parse_record(leaf, self._station.log.entry(leaf)))

    def _bytes_per_s(self) -> float:
        """Asked at each piece that is read, in the thread that reads."""
        self._show_life()
        rate = self._station.site.verification.limit_mb_s * MB
        return rate * WHILE_RECORDING if self._busy() else rate

    def _count(self, repaired: int) -> None:
        if repaired:
            before = self._told.repaired_at
            lately = self._told.repaired if before is not None and now() - before < TOLD_FOR else 0
            self._told = replace(
                self._told,
                repaired_at=now(),
                repaired=lately + repaired,
                repaired_in_round=self._told.repaired_in_round + repaired,
            )
            self._tell()

    def _step(self, done: int, total: int) -> None:
        self._progress = (done, total)
        self._show_life()

    def _show_life(self) -> None:
        if self._clock() - self._told_at_s >= TELL_S:
            self._tell()

    def _tell(self) -> None:
        """Into the status file, which the daemon, the page and the next process read."""
        with self._telling:
            told, failing = self._told, self._failing
            try:
                damaged = self._repair.list.all()
            except ServiceError as error:  # told of too, not kept from telling
                damaged, failing = [], failing or str(error)
            running = told.begun_at is not None
            body = {
                "schema": SCHEMA,
                "at": to_text(now()),
                "pid": os.getpid(),
                "begun_at": to_text(told.begun_at) if told.begun_at else None,
                "done_bytes": self._progress[0] if running else None,
                "all_bytes": self._progress[1] if running else None,
                "last": _round_json(told.last) if told.last else None,
                "damaged": len(damaged),
                "damaged_first": f"{damaged[0].copy}: {damaged[0].path}" if damaged else None,
                "failure": self._repair.failure,
                "failing": failing,
                "repaired_in_round": told.repaired_in_round,
                "repaired": told.repaired,
                "repaired_at": to_text(told.repaired_at) if told.repaired_at else None,
            }
            write_durably(self._station.state / STATUS, json.dumps(body, ensure_ascii=False) + "\n")
            self._told_at_s = self._clock()


def verification_status(state: Path) -> dict[str, Any] | None:
    """What the verifying process said last, ``kaozheng/verification-status/1``; None where it never did."""
    try:
        body: dict[str, Any] = json.loads((state / STATUS).read_text(encoding="utf-8"))
        from_text(body["at"])
        if body["schema"] != SCHEMA:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return body


def _read_told(state: Path) -> _Told:
    body = verification_status(state) or {}
    last = body.get("last")
    times = {"begun_at": body.get("begun_at"), "repaired_at": body.get("repaired_at")}
    begun_at, repaired_at = (from_text(one) if one else None for one in times.values())
    if last is not None:
        last = Round(
            **last | {"begun_at": from_text(last["begun_at"]), "ended_at": from_text(last["ended_at"])}
        )
    return _Told(
        begun_at, last, repaired_at, int(body.get("repaired") or 0), int(body.get("repaired_in_round") or 0)
    )


def _round_json(one: Round) -> dict[str, Any]:
    return asdict(one) | {"begun_at": to_text(one.begun_at), "ended_at": to_text(one.ended_at)}


def _altered_beside(report: ArchiveReport, listed: set[str]) -> str:
    """The worst that is not a file on the list of what is to be repaired."""
    for one in report.findings:
        if one.severity == ALTERED and not (one.code in (CHANGED, MISSING) and one.path in listed):
            return one.message
    return ""
