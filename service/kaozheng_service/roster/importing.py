"""A list against what is stored: who is new, who was given a seat, who another; taken over as new rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.cases.book import disputes_lock
from kaozheng_service.clock import to_text
from kaozheng_service.database import Window
from kaozheng_service.errors import UserError
from kaozheng_service.recording.forecast import EXAM_KINDS
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.roster.lookup import Placed, entries_of_window, seat_at
from kaozheng_service.roster.records import RosterImported
from kaozheng_service.roster.sheet import Roster, RosterRow, read_roster
from kaozheng_service.roster.tables import RosterEntry, RosterImport
from kaozheng_service.sealed_names import load_or_make_name_key
from kaozheng_service.station import Station


class State(StrEnum):
    NEW = "new"
    SEATED = "seated"  # known, and now with a seat
    MOVED = "moved"  # known with another seat; the earlier row stays
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` is the seat that was known."""

    state: State
    row: RosterRow
    before: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    roster: Roster
    sha256: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def to_write(self) -> tuple[Change, ...]:
        return tuple(one for one in self.changes if one.state is not State.UNCHANGED)


def preview_roster(station: Station, path: Path, *, window_id: str | None = None) -> Preview:
    """Read a list and hold it against what is stored; nothing is written.

    Raises
    ------
    UserError : as :func:`read_roster` does, or no such window
    """
    with station.sessions() as session:
        query = select(Window).where(Window.kind.in_(EXAM_KINDS), Window.cancelled_at.is_(None))
        if window_id is not None:
            query = select(Window).where(Window.id == window_id)
        windows = session.scalars(query.order_by(Window.starts_at)).all()
        if window_id is not None and not windows:
            raise UserError(
                f"--window: 没有时段 {window_id} · there is no window {window_id!r}; see: kaozheng window list"
            )
        roster = read_roster(path, station.site, windows, window_id=window_id)
        changes = _compare(station, session, roster.rows)
        warnings = [*roster.warnings, *_doubts(session, roster.rows)]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Preview(roster, digest, tuple(changes), tuple(warnings))


def import_roster(station: Station, preview: Preview, by: str, at: datetime) -> RosterImport | None:
    """Take over what a preview says is new; None where nothing is. No row of before is changed."""
    with disputes_lock(station), station.sessions() as session:
        changes = [
            one for one in _compare(station, session, preview.roster.rows) if one.state is not State.UNCHANGED
        ]
        if not changes:
            return None
        key = load_or_make_name_key(station.state / "keys")
        entries = [
            RosterEntry(
                window_id=one.row.window_id,
                candidate=one.row.candidate,
                name=key.seal(one.row.name) if one.row.name else "",
                name_index=key.index(one.row.name) if one.row.name else "",
                seat=one.row.seat,
                seated_at=one.row.seated_at,
            )
            for one in changes
        ]
        row = RosterImport(
            at=at.replace(microsecond=at.microsecond // 1000 * 1000),
            by=by,
            file=preview.roster.path.name,
            sha256=preview.sha256,
            rows=len(entries),
            rows_sha256=rows_hash(entries),
        )
        session.add(row)
        session.flush()
        for entry in entries:
            entry.import_id = row.id
        session.add_all(entries)
        session.commit()
        _sign(station, session)
        return row


def rows_hash(entries: list[RosterEntry]) -> str:
    """SHA-256 over the entries as they are stored, one JSON array a line, in the order of the file."""
    digest = hashlib.sha256()
    for one in entries:
        seated = to_text(one.seated_at) if one.seated_at is not None else None
        fields = [one.window_id, one.candidate, one.name, one.name_index, one.seat, seated]
        digest.update((json.dumps(fields, ensure_ascii=False) + "\n").encode())
    return digest.hexdigest()


def altered_imports(station: Station) -> list[int]:
    """Numbers of imports whose rows are not those that were signed, or were never signed."""
    with station.sessions() as session:
        wrong = []
        for row in session.scalars(select(RosterImport).order_by(RosterImport.id)):
            entries = session.scalars(
                select(RosterEntry).where(RosterEntry.import_id == row.id).order_by(RosterEntry.id)
            ).all()
            signed = json.loads(station.log.entry(row.leaf)) if row.leaf is not None else {}
            if signed.get("rows_sha256") != rows_hash(list(entries)) or signed.get("number") != row.id:
                wrong.append(row.id)
    return wrong


def preview_json(
    preview: Preview, done: RosterImport | None = None, *, imported: bool = False
) -> dict[str, Any]:
    """Schema ``kaozheng/roster/1``. Names are left out."""
    counts = {state.value: sum(one.state is state for one in preview.changes) for state in State}
    return {
        "schema": "kaozheng/roster/1",
        "file": str(preview.roster.path),
        "sha256": preview.sha256,
        "counts": counts,
        "rows": [
            {
                "where": one.row.where,
                "state": one.state.value,
                "window": one.row.window_id,
                "room": one.row.room_id,
                "candidate": one.row.candidate,
                "named": bool(one.row.name),
                "seat": one.row.seat,
                "before": one.before,
                "from": to_text(one.row.seated_at) if one.row.seated_at is not None else None,
            }
            for one in preview.changes
        ],
        "warnings": list(preview.warnings),
        "imported": None
        if not imported
        else {"number": done.id, "rows": done.rows, "leaf": done.leaf}
        if done is not None
        else {"number": None, "rows": 0, "leaf": None},
    }


def _compare(station: Station, session: Session, rows: tuple[RosterRow, ...]) -> list[Change]:
    stored = {one: entries_of_window(session, one) for one in {row.window_id for row in rows}}
    key = load_or_make_name_key(station.state / "keys")
    changes = []
    for row in rows:
        mine: list[Placed] = [one for one in stored[row.window_id] if one.candidate == row.candidate]
        before = seat_at(mine, row.seated_at)
        named = not row.name or any(one.name_index == key.index(row.name) for one in mine)
        if not mine:
            state = State.NEW
        elif row.seat is not None and before is None:
            state = State.SEATED
        elif row.seat is not None and row.seat != before:
            state = State.MOVED
        else:
            state = State.UNCHANGED if named else State.NEW
        changes.append(Change(state, row, before))
    return changes


def _doubts(session: Session, rows: tuple[RosterRow, ...]) -> list[str]:
    """Seats that an earlier list gave to somebody whom this one does not name."""
    listed = {(row.window_id, row.candidate) for row in rows}
    doubts = []
    for window in dict.fromkeys(row.window_id for row in rows):
        stored = entries_of_window(session, window)
        others = {one.candidate for one in stored if (window, one.candidate) not in listed}
        taken = {seat_at([one for one in stored if one.candidate == other], None): other for other in others}
        doubts += [
            f"{row.where}: 座位号: seat {row.seat} of {window} is candidate {taken[row.seat]}'s by an earlier list, "
            "who is not in this one; both will stand"
            for row in rows
            if row.window_id == window and row.seat is not None and row.seat in taken
        ]
        missing = sum(row.window_id == window and row.seat is None for row in rows)
        if missing:
            doubts.append(
                f"{window}: {missing} candidates have no seat yet; import the draw list when it is there"
            )
    return doubts


def _sign(station: Station, session: Session) -> None:
    for row in session.scalars(select(RosterImport).where(RosterImport.leaf.is_(None))).all():
        row.leaf = append_once(
            station.log,
            RosterImported(
                at=row.at,
                number=row.id,
                file=row.file,
                sha256=row.sha256,
                rows=row.rows,
                rows_sha256=row.rows_sha256,
                by=row.by,
            ),
            in_doubt=True,
        )
        session.commit()
