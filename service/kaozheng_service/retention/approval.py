"""A list of files that may go, approved by two: head and centre, each from an account of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.cases.book import disputes_lock
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.holds import Kept
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.retention.due import footage_of, stored_units
from kaozheng_service.retention.records import DeletionApproved
from kaozheng_service.retention.tables import Deletion, DeletionApproval, DeletionItem
from kaozheng_service.station import Station

APPROVERS = (Role.HEAD, Role.CENTRE)


@dataclass(frozen=True, slots=True)
class Approved:
    """A list with its approvals so far; both there when ``waits_for`` is empty."""

    id: str
    batch: str
    files: int
    bytes: int
    accounts: tuple[str, ...]
    waits_for: tuple[Role, ...]


def approve_deletion(
    station: Station, batch: str, by: Actor, at: datetime, *, console: bool = False
) -> Approved:
    """The first approval makes the list of what is due and not kept; the second, of the other role, is of that list.

    Raises
    ------
    UserError : nothing of that batch is due, or all of it is kept
    NotAllowedError : a role that approves no deletion, or one person twice
    """
    if by.role not in APPROVERS:
        raise NotAllowedError(
            f"账号 {by.account} 无权批准删除",
            f"account {by.account} ({by.role.value}) may not approve deletions",
            APPROVERS,
        )
    with disputes_lock(station), station.sessions() as session:
        deletion = _open(session, batch)
        if deletion is None:
            deletion = _list(station, session, batch, at)
        approvals = _approvals(session, deletion.id)
        other = next(role for role in APPROVERS if role is not by.role)
        if any(one.account == by.account or one.role == by.role.value for one in approvals):
            raise NotAllowedError(
                f"{deletion.id} 已由该角色批准",
                f"{deletion.id} was approved by this role already; it needs the other",
                (other,),
            )
        items = _items(session, deletion.id)
        if items_hash(one.path for one in items) != deletion.items_sha256:
            raise ServiceError(f"{deletion.id}: its list was changed since it was made; nothing is approved")
        session.add(
            DeletionApproval(
                deletion_id=deletion.id,
                account=by.account,
                name=by.name,
                role=by.role.value,
                console=console,
                at=at.replace(microsecond=at.microsecond // 1000 * 1000),
            )
        )
        session.commit()
        _sign(station, session)
        return state_of(session, deletion)


def state_of(session: Session, deletion: Deletion) -> Approved:
    approvals = _approvals(session, deletion.id)
    there = {one.role for one in approvals if one.leaf is not None}
    return Approved(
        deletion.id,
        deletion.batch,
        deletion.files,
        deletion.bytes,
        tuple(one.account for one in approvals),
        tuple(role for role in APPROVERS if role.value not in there),
    )


def approving(station: Station, session: Session, deletion: Deletion) -> tuple[str, ...] | None:
    """The two accounts whose signed approvals are of exactly this list; None where they are not.

    The log is asked, not the rows: whoever can write the database approves nothing by that.
    """
    digest = items_hash(one.path for one in _items(session, deletion.id))
    accounts: dict[str, str] = {}
    for row in _approvals(session, deletion.id):
        if row.leaf is None:
            continue
        signed = json.loads(station.log.entry(row.leaf))
        if (signed.get("kind"), signed.get("deletion"), signed.get("items_sha256")) == (
            DeletionApproved.kind,
            deletion.id,
            digest,
        ):
            accounts[signed["role"]] = signed["account"]
    both = tuple(accounts.get(role.value, "") for role in APPROVERS)
    return both if all(both) and len(set(both)) == len(APPROVERS) else None


def items_hash(paths: Iterable[str]) -> str:
    """SHA-256 over the paths in their order of bytes, each with a line end."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.encode() + b"\n")
    return digest.hexdigest()


def open_deletions(session: Session) -> list[Deletion]:
    """Those of which a file is not deleted yet."""
    left = select(DeletionItem.deletion_id).where(DeletionItem.leaf.is_(None)).distinct()
    return list(session.scalars(select(Deletion).where(Deletion.id.in_(left)).order_by(Deletion.id)))


def _open(session: Session, batch: str) -> Deletion | None:
    """One that still waits for an approval."""
    for one in open_deletions(session):
        if one.batch == batch and state_of(session, one).waits_for:
            return one
    return None


def _list(station: Station, session: Session, batch: str, at: datetime) -> Deletion:
    today = at.astimezone(station.site.zone).date()
    due = [one for one in stored_units(station.site, session) if one.batch == batch and one.due_on <= today]
    if not due:
        raise UserError(
            f"批次 {batch or '（无批次）'} 没有到期的录像 · nothing of batch {batch!r} is due; "
            "see: kaozheng retention preview"
        )
    listed = select(DeletionItem.path).where(DeletionItem.leaf.is_(None))
    waiting = set(session.scalars(listed))
    kept = Kept(station)
    found = [
        one
        for unit in due
        for one in footage_of(session, unit.windows)
        if one.path not in waiting and not kept.by(one.room, one.camera, one.starts_at, one.ends_at)
    ]
    if not found:
        raise UserError(
            f"批次 {batch or '（无批次）'} 到期的录像都在保全、案件或待删清单中 · all that is due of batch {batch!r} "
            "is held, in a case, or listed already; see: kaozheng retention preview"
        )
    ids = session.scalars(select(Deletion.id).where(Deletion.id.like(f"del-{today.year}-%"))).all()
    number = max((int(one.rpartition("-")[2]) for one in ids), default=0) + 1
    deletion = Deletion(
        id=f"del-{today.year}-{number:04d}",
        batch=batch,
        due_on=max(one.due_on for one in due),
        listed_at=at,
        files=len(found),
        bytes=sum(one.bytes for one in found),
        items_sha256=items_hash(one.path for one in found),
    )
    session.add(deletion)
    session.flush()
    session.add_all(
        DeletionItem(
            deletion_id=deletion.id,
            segment_id=one.segment_id,
            backfilled=one.backfilled,
            path=one.path,
            bytes=one.bytes,
        )
        for one in found
    )
    session.flush()
    return deletion


def _items(session: Session, deletion_id: str) -> list[DeletionItem]:
    return list(session.scalars(select(DeletionItem).where(DeletionItem.deletion_id == deletion_id)))


def _approvals(session: Session, deletion_id: str) -> list[DeletionApproval]:
    query = select(DeletionApproval).where(DeletionApproval.deletion_id == deletion_id)
    return list(session.scalars(query.order_by(DeletionApproval.id)))


def _sign(station: Station, session: Session) -> None:
    for row in session.scalars(select(DeletionApproval).where(DeletionApproval.leaf.is_(None))).all():
        deletion = session.get_one(Deletion, row.deletion_id)
        record = DeletionApproved(
            at=row.at,
            deletion=deletion.id,
            batch=deletion.batch,
            files=deletion.files,
            bytes=deletion.bytes,
            items_sha256=deletion.items_sha256,
            account=row.account,
            name=row.name,
            role=row.role,
            console=row.console,
        )
        row.leaf = append_once(station.log, record, in_doubt=True)
        session.commit()
