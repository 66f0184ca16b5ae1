"""The access register (查阅记录): each look at footage, who, when, what, why; a row with its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from kaozheng_service.access.actor import Actor
from kaozheng_service.cases.book import disputes_lock, load_cases
from kaozheng_service.cases.case import Case, Emergency
from kaozheng_service.cases.records import FootageSeen
from kaozheng_service.cases.tables import View
from kaozheng_service.clock import to_text
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station


@dataclass(frozen=True, slots=True)
class Registered:
    """``views`` in their order; ``unreviewed`` are emergency accesses that the head has not judged yet, of any time."""

    views: tuple[View, ...]
    unreviewed: tuple[tuple[Case, Emergency], ...]


def note_view(
    station: Station,
    actor: Actor,
    room: str,
    cameras: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    case: str,
    why: str,
    at: datetime,
) -> View:
    """Write down that ``actor`` is shown this, before it is shown. Where this raises, show nothing."""
    with disputes_lock(station), station.sessions() as session:
        row = View(
            at=at.replace(microsecond=at.microsecond // 1000 * 1000),
            account=actor.account,
            name=actor.name,
            role=actor.role.value,
            room_id=room,
            camera_ids=" ".join(cameras),
            starts_at=starts_at,
            ends_at=ends_at,
            case_id=case,
            why=why,
        )
        session.add(row)
        session.commit()
        row.leaf = station.log.append(_seen(row))
        session.commit()
        return row


def registered(
    station: Station, starts_at: datetime | None = None, ends_at: datetime | None = None
) -> Registered:
    """Looks from ``starts_at`` to ``ends_at``, all where none is given."""
    _sign_left(station)
    query = select(View).order_by(View.id)
    if starts_at is not None:
        query = query.where(View.at >= starts_at)
    if ends_at is not None:
        query = query.where(View.at < ends_at)
    with station.sessions() as session:
        views = tuple(session.scalars(query))
    unreviewed = [(case, one) for case in load_cases(station) for one in case.unreviewed]
    return Registered(views, tuple(unreviewed))


def register_json(found: Registered) -> dict[str, Any]:
    """Schema ``kaozheng/register/1``."""
    return {
        "schema": "kaozheng/register/1",
        "views": [view_json(one) for one in found.views],
        "unreviewed": [
            {"case": case.id, "emergency": one.number, "account": one.by.account, "at": to_text(one.at)}
            for case, one in found.unreviewed
        ],
    }


def view_json(row: View) -> dict[str, Any]:
    return {
        "number": row.id,
        "at": to_text(row.at),
        "account": row.account,
        "name": row.name,
        "role": row.role,
        "room": row.room_id,
        "cameras": row.camera_ids.split(),
        "from": to_text(row.starts_at),
        "to": to_text(row.ends_at),
        "case": row.case_id,
        "why": row.why,
        "leaf": row.leaf,
    }


def _sign_left(station: Station) -> None:
    """Records that a crash prevented."""
    with disputes_lock(station), station.sessions() as session:
        for row in session.scalars(select(View).where(View.leaf.is_(None)).order_by(View.id)).all():
            row.leaf = append_once(station.log, _seen(row), in_doubt=True)
            session.commit()


def _seen(row: View) -> FootageSeen:
    return FootageSeen(
        at=row.at,
        account=row.account,
        name=row.name,
        role=row.role,
        room=row.room_id,
        cameras=row.camera_ids.split(),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        case=row.case_id,
        why=row.why,
    )
