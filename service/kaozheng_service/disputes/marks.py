"""Moments on a room's timeline, marked by people: row, record, the row's leaf."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select

from kaozheng_service.cases.book import disputes_lock
from kaozheng_service.clock import now
from kaozheng_service.database import Mark
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.records import Marked
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station

KINDS = ("seal_opened", "paper_handed_out", "incident")
_KIND = re.compile(r"[a-z][a-z0-9_]{1,39}")
_LONGEST_NOTE = 500


def add_mark(station: Station, room_id: str, moment: datetime, kind: str, note: str, by: str) -> Mark:
    """Mark a moment that has been. ``kind`` is one of ``KINDS``, or a word of the site's own.

    Raises
    ------
    UserError : no such room, a moment to come, or a kind or note that cannot be meant
    """
    room = station.site.room(room_id)
    if moment > now():
        raise UserError("--at: 该时刻尚未到来 · that moment is still to come; mark what has been")
    if not _KIND.fullmatch(kind):
        raise UserError(f"--kind: {kind!r} · write one of {', '.join(KINDS)}, or a word of a-z, 0-9 and _")
    if len(note) > _LONGEST_NOTE:
        raise UserError(
            f"--note: 超过 {_LONGEST_NOTE} 字 · is longer than {_LONGEST_NOTE} characters; shorten it"
        )
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    with disputes_lock(station), station.sessions() as session:
        same = select(Mark).where(
            Mark.room_id == room.id, Mark.at == moment, Mark.kind == kind, Mark.note == note.strip()
        )
        row = session.scalars(same).first()
        if row is None:
            row = Mark(room_id=room.id, at=moment, kind=kind, note=note.strip(), by=by)
            session.add(row)
            session.commit()
        for left in session.scalars(select(Mark).where(Mark.leaf.is_(None))).all():
            left.leaf = append_once(station.log, _record(left), in_doubt=True)
            session.commit()
        return row


def _record(row: Mark) -> Marked:
    return Marked(at=now(), room=row.room_id, moment=row.at, mark=row.kind, note=row.note, by=row.by or "")
