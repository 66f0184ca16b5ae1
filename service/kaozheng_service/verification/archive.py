"""Every file, row and record of a site held against each other and against the signed head of its log.

The log is read first and whole; then the footage of the scope, which takes its time.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from kaozheng_service.clock import now, to_text
from kaozheng_service.disputes.standalone.backfilled import check_healing
from kaozheng_service.disputes.standalone.completeness import (
    check_take,
    check_windows,
    in_words,
    is_backdated,
    void_windows,
)
from kaozheng_service.disputes.standalone.files import Progress
from kaozheng_service.disputes.standalone.findings import Finding
from kaozheng_service.disputes.standalone.key_changes import check_key
from kaozheng_service.disputes.standalone.records import Record, parse_record
from kaozheng_service.disputes.standalone.signature import SignedHead
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.merkle import GrowingTree
from kaozheng_service.evidence.note import Checkpoint, open_checkpoint, verifier_key
from kaozheng_service.station import Station
from kaozheng_service.verification.journal import Journal
from kaozheng_service.verification.looking import MISSING, Footage, Look, look_at
from kaozheng_service.verification.pace import Pace
from kaozheng_service.verification.rows import LEAVES, Rows, agrees
from kaozheng_service.verification.scope import Known, Scope
from kaozheng_service.verification.verdicts import (
    Faults,
    SeenWindow,
    SignedGap,
    WindowVerdict,
    window_verdict,
)

LOG = "log/entries.jsonl"
JOURNAL = "verification/resume.jsonl"
BACKFILLS = ("backfill.opened", "backfill.segment", "backfill.closed", "gap.healed")
FILES = ("segment", "backfill.segment")

# A row is committed within milliseconds of its record; a busy disk may take longer.
NOTED_S = 1.0
# Entries of the log between two signs of life while it is read.
SHOW_EVERY = 2000

# Called with what was found wrong with a file; whether it was mended.
Mend = Callable[[Look], bool]


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """``outcome`` is intact, altered or cannot_judge, the worst of the findings; the worst finding comes first.

    ``files`` of ``bytes`` were looked at; ``earlier`` of them by the run that this one goes on with, the first at
    ``earlier_since``. ``segments`` of the scope were recorded, ``records`` are in the log.
    """

    outcome: str
    findings: tuple[Finding, ...]
    windows: tuple[WindowVerdict, ...]
    scope: Scope
    files: int
    bytes: int
    earlier: int
    earlier_since: str
    segments: int
    records: int
    log: str
    log_size: int
    key: str


def verify_archive(
    station: Station,
    progress: Progress | None = None,
    *,
    scope: Scope | None = None,
    pace: Pace | None = None,
    journal: Path | None = None,
    mend: Mend | None = None,
) -> ArchiveReport:
    """Read the whole log, and the footage of the scope, once.

    Checked are the log's tree against its signed head and, of the scope, every footage file against its record, every
    row of the database against its record and back, the chain of every take, and that every window that is over is
    recorded or explained.

    Parameters
    ----------
    progress : called with bytes of footage looked at, of all
    scope : all of it when left out
    pace : one file after the other when left out
    journal : where to keep what was found right, and go on from; None keeps nothing
    mend : called for each file that is not as it was signed

    Raises
    ------
    UserError : there is nothing of that name; the message says what there is

    Notes
    -----
    What is added while this runs is left for the next time: it judges the log as it stood when it began.
    """
    scope = scope or Scope()
    head = open_checkpoint(station.log.checkpoint(), station.log.public_key)
    check = _Check(station, scope, Faults())
    tree = GrowingTree()
    with station.sessions() as session:
        rows = Rows(session, head.size)
        for index, entry in enumerate(station.log.entries()):
            if index == head.size:
                break
            tree.add(entry)
            if progress is not None and index % SHOW_EVERY == 0:
                progress(0, max(check.expected_bytes, 1))
            try:
                record = parse_record(index, entry)
            except ValueError:
                check.found.about().add("record_line", LOG, line=index + 1)
                continue
            check.take_in(record, rows)
        check.look_again(rows)
        check.named.refuse_unknown(scope, found=bool(check.windows))
        if tree.root() != head.root or tree.size != head.size:
            check.found.about().add("log_root", LOG)
        if scope.whole:
            check.name_rows_without_record(rows)
    check.judge_what_is_open()
    check.name_open_backfills()
    if scope.whole:
        check.name_unknown_files()
    with Journal(journal, head.size) if journal is not None else nullcontext() as kept:
        check.look_at_footage(pace or Pace(), kept, mend, progress)
        if kept is not None:
            kept.finish()
    key = verifier_key(station.log.origin, station.log.public_key)
    check_key(
        check.key_changes, SignedHead(head.origin, head.size, head.root, key), None, check.found.about()
    )
    return check.report(head, key)


@dataclass(slots=True)
class _Check:
    """What has been seen so far. Records of takes and windows are kept until they are closed, then judged and dropped.

    Gaps and backfilled takes, of which there are few, are kept: a gap may be healed at any time.
    """

    station: Station
    scope: Scope
    found: Faults
    named: Known = field(default_factory=Known)
    windows: dict[str, SeenWindow] = field(default_factory=dict)
    expected_bytes: int = 0
    done: int = 0
    files: int = 0
    earlier: int = 0
    earlier_since: str = ""
    segments: int = 0
    doubted: list[Record] = field(default_factory=list)  # of which no row tells yet
    due: array[int] = field(default_factory=lambda: array("Q"))  # the records of files to look at
    seen: set[tuple[str, int]] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    takes: dict[str, list[Record]] = field(default_factory=dict)
    open: dict[str, list[Record]] = field(default_factory=dict)
    gaps: dict[int, Record] = field(default_factory=dict)
    backfills: dict[str, list[Record]] = field(default_factory=dict)
    key_changes: list[Record] = field(default_factory=list)
    tombstones: dict[tuple[str, str], Record] = field(default_factory=dict)
    latest: str = ""  # the latest moment at which a record was written down, so far

    def take_in(self, record: Record, rows: Rows) -> None:
        before, self.latest = self.latest, max(self.latest, str(record.body.get("at", "")))
        if record.kind == "key.changed":
            self.key_changes.append(record)
        if record.kind == "segment.deleted":
            self.tombstones[str(record["path"]), str(record["sha256"])] = record
        if record.kind not in LEAVES:
            return
        self.named.add(record, self.scope)
        window = str(record["window"])
        if record.kind == "window.expected" and self.scope.holds_window(record):
            cameras = (self.scope.camera,) if self.scope.camera else tuple(record["cameras"])
            self.windows.setdefault(window, SeenWindow(record, cameras))
        if not (self.scope.whole or window in self.windows):
            return
        if not self._check_row(record, rows):
            self.doubted.append(record)
        if record.kind == "gap":
            self.gaps[record.index] = record
            if window in self.windows and record.camera in self.windows[window].cameras:
                self.windows[window].gaps.append(SignedGap(record.camera, *record.span, record["cause"]))
        if record.kind in FILES and self.scope.holds_take(record):
            self._will_look_at(record)
        if record.kind in BACKFILLS:
            if self.scope.holds_take(record):
                self._take_in_backfilled(record)
            return
        members = self.open.setdefault(window, [])
        if record.kind == "window.cancelled" and is_backdated(record, members, before):
            facts = {"at": to_text(record.times["at"]), "reason": record["reason"]}
            self.found.about(window).add("cancelled_backdated", window=window, **facts)
            return
        members.append(record)
        if record.kind == "segment" and self.scope.holds_take(record):
            self.takes.setdefault(str(record["take"]), []).append(record)
        elif record.kind == "take.closed" and self.scope.holds_take(record):
            self._close_take(record, self.takes.pop(str(record["take"]), []))
        elif record.kind == "window.closed":
            if window in self.windows:
                self.windows[window].closed = True
            self._check_window(window, self.open.pop(window))

    def look_again(self, rows: Rows) -> None:
        """A record is written a moment before its row tells of it: who records meanwhile is given that moment."""
        if self.doubted:
            time.sleep(NOTED_S)
            rows.forget()
        for record in self.doubted:
            if not self._check_row(record, rows):
                self._about_record(record).add("row_missing", LOG, index=record.index)

    def look_at_footage(
        self, pace: Pace, journal: Journal | None, mend: Mend | None, progress: Progress | None
    ) -> None:
        self.earlier_since = journal.since if journal is not None else ""
        for one in look_at(self._footage(), self.station.archive, pace=pace, journal=journal):
            footage = one.footage
            if footage.window in self.windows:
                self.windows[footage.window].files += 1
            if one.rootless:
                span = (footage.starts_at, footage.ends_at)
                self.found.about(footage.window, footage.camera, span).add("fragments_root", footage.path)
            if one.fault:
                about = self.found.about(footage.window, footage.camera, (footage.starts_at, footage.ends_at))
                gone = self.tombstones.get((footage.path, footage.sha256))
                if one.fault == MISSING and gone is not None and gone.index > footage.index:
                    at, reason = in_words(gone.times["at"]), gone["reason"]
                    about.add("deleted", footage.path, at=at, reason=reason)
                else:
                    mended = mend is not None and mend(one)
                    about.add("repaired" if mended else one.fault, footage.path, why=one.why)
            self.files += one.fault in ("", "changed")
            self.earlier += one.earlier
            self.done += one.bytes
            if progress is not None:
                progress(self.done, max(self.expected_bytes, self.done))

    def judge_what_is_open(self) -> None:
        """Windows that are over though nobody signed so, and their takes; those that run are only named."""
        present = now()
        for window, members in self.open.items():
            expected = [one for one in members if one.kind == "window.expected"]
            if not expected or expected[0].span[1] > present:
                if window in self.windows:
                    self.windows[window].void = window in void_windows(members)
                continue
            self._check_window(window, members)
            for take in sorted({str(one["take"]) for one in members if one.kind == "segment"}):
                if segments := self.takes.pop(take, None):
                    self._check_take(segments, None)

    def name_open_backfills(self) -> None:
        """Takes without a closing; one is signed within the same second as its take."""
        for members in self.backfills.values():
            segments = [one for one in members if one.kind == "backfill.segment"]
            if segments and not any(one.kind == "backfill.closed" for one in members):
                self._check_take(segments, None)

    def name_rows_without_record(self, rows: Rows) -> None:
        self.found.about()
        for what in rows.unsigned():
            self.found.add("row_unsigned", what)
        for kind, index, path in rows.every():
            if (kind, index) not in self.seen:
                self.found.add("row_forged", path, index=index)
        # Rows of what came meanwhile get their leaf after the record; where the log ends before it, its tail was cut.
        for index, path in sorted(rows.beyond().items()):
            if index >= self.station.log.size:
                self.found.add("row_forged", path, index=index)

    def name_unknown_files(self) -> None:
        self.found.about()
        for path in sorted(self.station.archive.rglob("seg-*.mp4")):
            name = path.relative_to(self.station.archive).as_posix()
            if name not in self.known:
                self.found.add("unknown_file", name)

    def report(self, head: Checkpoint, key: str) -> ArchiveReport:
        present = now()
        by_window = {
            window: list(faults)
            for window, faults in groupby(
                sorted(self.found.faults, key=lambda fault: fault.window), key=lambda fault: fault.window
            )
        }
        verdicts = [
            window_verdict(seen, by_window.get(window, []), present) for window, seen in self.windows.items()
        ]
        return ArchiveReport(
            outcome=self.found.outcome(),
            findings=self.found.ranked(),
            windows=tuple(sorted(verdicts, key=lambda one: (one.starts_at, one.window))),
            scope=self.scope,
            files=self.files,
            bytes=self.done,
            earlier=self.earlier,
            earlier_since=self.earlier_since if self.earlier else "",
            segments=self.segments,
            records=head.size,
            log=head.origin,
            log_size=head.size,
            key=key,
        )

    def _check_row(self, record: Record, rows: Rows) -> bool:
        """Whether the row is there; what differs is named."""
        row = rows.of(record)
        if row is None:
            return False
        if self.scope.whole:
            self.seen.add((record.kind, record.index))
        if not agrees(record, row):
            self._about_record(record).add("row_differs", LOG, index=record.index)
        return True

    def _about_record(self, record: Record) -> Faults:
        span = record.span if "starts_at" in record.times else None
        return self.found.about(str(record["window"]), record.camera, span)

    def _will_look_at(self, record: Record) -> None:
        self.segments += 1
        self.due.append(record.index)
        size = record.body.get("bytes")
        self.expected_bytes += size if isinstance(size, int) else 0
        if self.scope.whole:
            self.known.add(record["path"])

    def _footage(self) -> Iterator[Footage]:
        for index in self.due:
            try:
                yield Footage.of(parse_record(index, self.station.log.entry(index)))
            except (ValueError, IndexError):
                raise ServiceError(
                    f"{self.station.state / LOG}: entry {index} changed while the archive was being verified; "
                    "find out who writes to it, then verify again"
                ) from None

    def _take_in_backfilled(self, record: Record) -> None:
        """Never to what the windows expect: backfilled footage does not count as recorded."""
        members = self.backfills.setdefault(str(record["take"]), [])
        members.append(record)
        segments = [one for one in members if one.kind == "backfill.segment"]
        if record.kind == "backfill.closed":
            self._close_take(record, segments)
        elif record.kind == "gap.healed":
            opened = next((one for one in members if one.kind == "backfill.opened"), None)
            gap = self.gaps.get(record["gap"])
            about = self.found.about(str(record["window"]), record.camera, record.span)
            check_healing(record, gap, opened, [one.span for one in segments], about)

    def _close_take(self, closing: Record, segments: list[Record]) -> None:
        if segments:
            self._check_take(segments, closing)
        elif closing["segments"]:
            about = self.found.about(str(closing["window"]), closing.camera)
            about.add("cut_tail", take=closing["take"], last=0)

    def _check_take(self, segments: list[Record], closing: Record | None) -> None:
        first = segments[0]
        span = (first.span[0], segments[-1].span[1])
        about = self.found.about(str(first["window"]), first.camera, span, segments)
        check_take(segments, closing, None, about)

    def _check_window(self, window: str, members: list[Record]) -> None:
        cameras = {record.camera for record in members if record.camera}
        expected = [record for record in members if record.kind == "window.expected"]
        cameras |= {name for record in expected for name in record["cameras"]}
        if self.scope.camera:
            cameras &= {self.scope.camera}
        if window in self.windows:
            self.windows[window].void = window in void_windows(members)
        span = expected[0].span if expected else None
        for camera in sorted(cameras):
            check_windows(members, camera, None, self.found.about(window, camera, span))
