"""The database's rows held against the records that they name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.clock import to_text
from kaozheng_service.database import BackfilledSegment, BackfilledTake, Gap, Healing, Segment, Take, Window
from kaozheng_service.disputes.standalone.records import Record

Row = Window | Take | Segment | Gap | BackfilledTake | BackfilledSegment | Healing


class Rows:
    """The database's rows by the record that they name, a part of the log at a time."""

    _PART = 2000

    def __init__(self, session: Session, size: int) -> None:
        self._session = session
        self._size = size
        self._part = range(0)
        self._found: dict[tuple[str, int], Row] = {}

    def of(self, record: Record) -> Row | None:
        """The row that says it is this record; None where there is none."""
        if record.index not in self._part:
            start = record.index - record.index % self._PART
            self._part = range(start, start + self._PART)
            self._found = dict(self._load())
        return self._found.get((record.kind, record.index))

    def forget(self) -> None:
        """Read anew from now on, as the database is by then."""
        self._session.rollback()
        self._part = range(0)

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

    def every(self) -> Iterator[tuple[str, int, str]]:
        """All rows by the kind and index of the record that they name, each with its file's path, "" for none."""
        for kind, column in LEAVES.items():
            table = column.class_
            for row in self._session.scalars(select(table).where(column.is_not(None), column < self._size)):
                path = row.path if isinstance(row, (Segment, BackfilledSegment)) else ""
                yield kind, getattr(row, column.key), path

    def beyond(self) -> dict[int, str]:
        """Rows that name a record after the part that is judged: the file's path, or "", by the record's index."""
        named: dict[int, str] = {}
        for column in LEAVES.values():
            for row in self._session.scalars(select(column.class_).where(column >= self._size)):
                path = row.path if isinstance(row, (Segment, BackfilledSegment)) else ""
                named[getattr(row, column.key)] = path
        return named

    def _load(self) -> Iterator[tuple[tuple[str, int], Row]]:
        self._session.expunge_all()
        for kind, column in LEAVES.items():
            part = column.between(self._part.start, self._part.stop - 1)
            for row in self._session.scalars(select(column.class_).where(part)):
                yield (kind, getattr(row, column.key)), row


LEAVES: dict[str, Any] = {
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


def agrees(record: Record, row: Row) -> bool:
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
