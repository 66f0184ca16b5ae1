"""Every file, row and record of a site held against each other and against the signed head of its log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.clock import now, to_text
from kaozheng_service.database import BackfilledSegment, BackfilledTake, Gap, Healing, Segment, Take, Window
from kaozheng_service.disputes.standalone.backfilled import check_healing
from kaozheng_service.disputes.standalone.completeness import (
    check_take,
    check_windows,
    is_backdated,
    name_absent,
    tombstones_of,
)
from kaozheng_service.disputes.standalone.files import Progress, hash_file
from kaozheng_service.disputes.standalone.findings import Findings, Report
from kaozheng_service.disputes.standalone.records import Record, parse_record
from kaozheng_service.evidence.merkle import GrowingTree
from kaozheng_service.evidence.note import Checkpoint, open_checkpoint, verifier_key
from kaozheng_service.station import Station

LOG = "log/entries.jsonl"


def verify_archive(station: Station, progress: Progress | None = None) -> Report:
    """Read the whole log and archive once.

    Checked are the log's tree against its signed head, every footage file against its record, every row of the
    database against its record and back, the chain of every take, and that every window that is over is recorded
    or explained.

    Parameters
    ----------
    progress : called with bytes of footage read, of all

    Notes
    -----
    What is added while this runs is left for the next time: it judges the log as it stood when it began.
    """
    head = open_checkpoint(station.log.checkpoint(), station.log.public_key)
    check = _Check(station, head, Findings(), progress)
    tree = GrowingTree()
    with station.sessions() as session:
        rows = _Rows(session, head.size)
        check.total = rows.footage_bytes()
        for index, entry in enumerate(station.log.entries()):
            if index == head.size:
                break
            tree.add(entry)
            try:
                record = parse_record(index, entry)
            except ValueError:
                check.found.add("record_line", LOG, line=index + 1)
                continue
            check.take_in(record, rows)
        if tree.root() != head.root or tree.size != head.size:
            check.found.add("log_root", LOG)
        check.name_rows_without_record(rows)
    check.name_open_backfills()
    check.name_absent_files()
    check.name_unknown_files()
    return Report(
        outcome=check.found.outcome(),
        findings=check.found.ranked(),
        files=check.files,
        bytes=check.done,
        segments=check.segments,
        records=tree.size,
        log=head.origin,
        log_size=head.size,
        key=verifier_key(station.log.origin, station.log.public_key),
    )


Row = Window | Take | Segment | Gap | BackfilledTake | BackfilledSegment | Healing


class _Rows:
    """The database's rows by the record that they name, a part of the log at a time."""

    _PART = 2000

    def __init__(self, session: Session, size: int) -> None:
        self._session = session
        self._size = size
        self._part = range(0)
        self._found: dict[tuple[str, int], Row] = {}

    def footage_bytes(self) -> int:
        return sum(
            sum(self._session.scalars(select(table.bytes).where(table.leaf < self._size)))
            for table in (Segment, BackfilledSegment)
        )

    def of(self, record: Record) -> Row | None:
        """The row that says it is this record; None where there is none."""
        if record.index not in self._part:
            start = record.index - record.index % self._PART
            self._part = range(start, start + self._PART)
            self._found = dict(self._load())
        return self._found.get((record.kind, record.index))

    def unsigned(self) -> Iterator[str]:
        """Rows that name no record of the log, in words."""
        for table in (Segment, BackfilledSegment):
            yield from self._session.scalars(select(table.path).where(table.leaf.is_(None)))
        unsigned = Window.leaf.is_(None) | (
            Window.cancelled_at.is_not(None) & Window.cancelled_leaf.is_(None)
        )
        for other in self._session.scalars(select(Window).where(unsigned)):
            yield f"window {other.id}"
        for gap in self._session.scalars(select(Gap).where(Gap.leaf.is_(None))):
            yield f"gap {gap.camera_id} {to_text(gap.starts_at)}"
        for healing in self._session.scalars(select(Healing).where(Healing.leaf.is_(None))):
            yield f"healing {healing.camera_id} {to_text(healing.starts_at)}"

    def every(self) -> Iterator[tuple[str, int, Row]]:
        """All rows by the kind and index of the record that they name."""
        for kind, column in _LEAVES.items():
            table = column.class_
            for row in self._session.scalars(select(table).where(column.is_not(None), column < self._size)):
                yield kind, getattr(row, column.key), row

    def beyond(self) -> dict[int, str]:
        """Rows that name a record after the part that is judged: the path, or "", by the record's index."""
        named: dict[int, str] = {}
        for column in _LEAVES.values():
            for row in self._session.scalars(select(column.class_).where(column >= self._size)):
                path = row.path if isinstance(row, (Segment, BackfilledSegment)) else ""
                named[getattr(row, column.key)] = path
        return named

    def _load(self) -> Iterator[tuple[tuple[str, int], Row]]:
        self._session.expunge_all()
        for kind, column in _LEAVES.items():
            part = column.between(self._part.start, self._part.stop - 1)
            for row in self._session.scalars(select(column.class_).where(part)):
                yield (kind, getattr(row, column.key)), row


_LEAVES: dict[str, Any] = {
    "window.expected": Window.leaf,
    "window.cancelled": Window.cancelled_leaf,
    "window.closed": Window.closed_leaf,
    "take.opened": Take.leaf,
    "take.closed": Take.closed_leaf,
    "segment": Segment.leaf,
    "gap": Gap.leaf,
    "backfill.opened": BackfilledTake.leaf,
    "backfill.closed": BackfilledTake.closed_leaf,
    "backfill.segment": BackfilledSegment.leaf,
    "gap.healed": Healing.leaf,
}


BACKFILLS = ("backfill.opened", "backfill.segment", "backfill.closed", "gap.healed")


@dataclass(slots=True)
class _Check:
    """What has been seen so far. Takes and windows are kept until they are closed, then judged and dropped.

    Gaps and backfilled takes, of which there are few, are kept: a gap may be healed at any time.
    """

    station: Station
    head: Checkpoint
    found: Findings
    progress: Progress | None
    total: int = 0
    done: int = 0
    files: int = 0
    segments: int = 0
    seen: set[tuple[str, int]] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    takes: dict[str, list[Record]] = field(default_factory=dict)
    windows: dict[str, list[Record]] = field(default_factory=dict)
    gaps: dict[int, Record] = field(default_factory=dict)
    backfills: dict[str, list[Record]] = field(default_factory=dict)
    absent: list[Record] = field(default_factory=list)
    tombstones: list[Record] = field(default_factory=list)
    latest: str = ""  # the latest moment at which a record was written down, so far

    def take_in(self, record: Record, rows: _Rows) -> None:
        before, self.latest = self.latest, max(self.latest, str(record.body.get("at", "")))
        if record.kind == "segment.deleted":
            self.tombstones.append(record)
        if record.kind not in _LEAVES:
            return
        row = rows.of(record)
        if row is None:
            self.found.add("row_missing", LOG, index=record.index)
        else:
            self.seen.add((record.kind, record.index))
            if not _agree(record, row):
                self.found.add("row_differs", LOG, index=record.index)
        if record.kind == "gap":
            self.gaps[record.index] = record
        if record.kind in BACKFILLS:
            self._take_in_backfilled(record)
            return
        window = self.windows.setdefault(str(record["window"]), [])
        if record.kind == "window.cancelled" and is_backdated(record, window, before):
            facts = {"at": to_text(record.times["at"]), "reason": record["reason"]}
            self.found.add("cancelled_backdated", window=record["window"], **facts)
            return
        window.append(record)
        if record.kind == "segment":
            self.segments += 1
            self._check_file(record)
            self.takes.setdefault(str(record["take"]), []).append(record)
        elif record.kind == "take.closed":
            segments = self.takes.pop(str(record["take"]), [])
            if segments:
                check_take(segments, record, None, self.found)
            elif record["segments"]:
                self.found.add("cut_tail", take=record["take"], last=0)
        elif record.kind == "window.closed":
            self._check_window(self.windows.pop(str(record["window"])))

    def _take_in_backfilled(self, record: Record) -> None:
        """Never to what the windows expect: backfilled footage does not count as recorded."""
        members = self.backfills.setdefault(str(record["take"]), [])
        members.append(record)
        segments = [one for one in members if one.kind == "backfill.segment"]
        if record.kind == "backfill.segment":
            self.segments += 1
            self._check_file(record)
        elif record.kind == "backfill.closed":
            if segments:
                check_take(segments, record, None, self.found)
            elif record["segments"]:
                self.found.add("cut_tail", take=record["take"], last=0)
        elif record.kind == "gap.healed":
            opened = next((one for one in members if one.kind == "backfill.opened"), None)
            gap = self.gaps.get(record["gap"])
            check_healing(record, gap, opened, [one.span for one in segments], self.found)

    def name_open_backfills(self) -> None:
        """Takes without a closing; one is signed within the same second as its take."""
        for members in self.backfills.values():
            segments = [one for one in members if one.kind == "backfill.segment"]
            if segments and not any(one.kind == "backfill.closed" for one in members):
                check_take(segments, None, None, self.found)

    def name_rows_without_record(self, rows: _Rows) -> None:
        for what in rows.unsigned():
            self.found.add("row_unsigned", what)
        for kind, index, row in rows.every():
            if (kind, index) not in self.seen:
                path = row.path if isinstance(row, (Segment, BackfilledSegment)) else ""
                self.found.add("row_forged", path, index=index)
        # Rows of what came meanwhile get their leaf after the record; where the log ends before it, its tail was cut.
        beyond = rows.beyond()
        for index in sorted(index for index in beyond if index >= self.station.log.size):
            self.found.add("row_forged", beyond[index], index=index)
        present = now()
        for members in self.windows.values():
            expected = [one for one in members if one.kind == "window.expected"]
            if expected and expected[0].span[1] <= present:
                self._check_window(members)
                for take in {str(record["take"]) for record in members if record.kind == "segment"}:
                    if segments := self.takes.pop(take, None):
                        check_take(segments, None, None, self.found)

    def name_absent_files(self) -> None:
        """At the end, for the record of a deletion comes after that of the segment."""
        tombstones = tombstones_of(self.tombstones)
        for record in self.absent:
            name_absent("missing", record["path"], record, tombstones, self.found)

    def name_unknown_files(self) -> None:
        for path in sorted(self.station.archive.rglob("seg-*.mp4")):
            name = path.relative_to(self.station.archive).as_posix()
            if name not in self.known:
                self.found.add("unknown_file", name)

    def _check_window(self, members: list[Record]) -> None:
        cameras = sorted({record.camera for record in members if record.camera})
        expected = [record for record in members if record.kind == "window.expected"]
        for camera in sorted({*cameras, *(name for record in expected for name in record["cameras"])}):
            check_windows(members, camera, None, self.found)

    def _check_file(self, record: Record) -> None:
        path: str = record["path"]
        self.known.add(path)
        file = self.station.archive / path
        try:
            size = file.stat().st_size
            if hash_file(file) != record["sha256"]:
                self.found.add("changed", path)
        except FileNotFoundError:
            self.absent.append(record)
            return
        except OSError as error:
            self.found.add("unreadable", path, why=error.strerror)
            return
        self.files += 1
        self.done += size
        if self.progress is not None:
            self.progress(self.done, max(self.total, self.done))


def _agree(record: Record, row: Row) -> bool:
    """Whether a row says what was signed, field by field, as far as it repeats the record."""
    names = {"room": "room_id", "camera": "camera_id", "window": "window_id", "take": "take_id"}
    ids = {Window: {"window": "id", "activity": "kind"}, Take: {"take": "id"}, BackfilledTake: {"take": "id"}}
    names |= ids.get(type(row), {})
    if record.kind == "window.cancelled":
        names |= {"reason": "cancel_reason", "by": "cancelled_by", "at": "cancelled_at"}
    skipped = {"kind", "at", "previous", "takes", "gaps", "cameras"}
    if record.kind == "window.cancelled":
        skipped -= {"at"}
    if record.kind in ("take.closed", "backfill.closed"):
        skipped |= {"segments", "last"}
        names |= {"cause": "end_cause", "detail": "end_detail"}
    for name, signed in record.body.items():
        attribute = names.get(name, name)
        if name in skipped or not hasattr(row, attribute):
            continue
        stored = getattr(row, attribute)
        if isinstance(stored, datetime):
            stored = to_text(stored)
        if stored != signed and not (stored is None and signed == ""):
            return False
    return record.kind != "window.expected" or list(getattr(row, "cameras", ())) == record["cameras"]
