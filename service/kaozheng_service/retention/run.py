"""Files deleted whose time is over: tombstone first, then the file and its second copy, then the row.

A crash at any point leaves a file with its tombstone, or a tombstone whose file goes at the next run; never a file that
is missing without one. What is held or in a case when its turn comes stays, whatever was approved.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.cases.book import disputes_lock
from kaozheng_service.cases.holds import Kept, sign_what_waits
from kaozheng_service.clock import now
from kaozheng_service.database import BackfilledSegment, BackfilledTake, Segment, Take
from kaozheng_service.errors import ServiceError
from kaozheng_service.recording.durable import sync_folder
from kaozheng_service.retention.approval import approving, open_deletions
from kaozheng_service.retention.due import stored_units
from kaozheng_service.retention.records import SegmentDeleted
from kaozheng_service.retention.tables import Deletion, DeletionItem
from kaozheng_service.second.target import Target, target_of
from kaozheng_service.station import Station

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Deleted:
    """What a run did. ``kept`` is by path what keeps it; ``faults`` by path why it was left alone.

    ``elsewhere`` counts files of which a copy may lie on a second disk that the site file does not name any more;
    ``waiting`` are deletions that lack an approval.
    """

    files: int = 0
    bytes: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    elsewhere: int = 0
    waiting: list[str] = field(default_factory=list)


def run_deletions(station: Station, at: datetime, progress: Progress = lambda _done, _all: None) -> Deleted:
    """Delete what was approved by both.

    Raises
    ------
    ServiceError : the second disk is not there, or a file cannot be deleted; nothing is lost, and the next run goes on
    """
    second = target_of(station.site) if station.site.second is not None else None
    if second is not None and (trouble := second.trouble()):
        raise ServiceError(
            f"第二份存储不可用，未删除任何文件 · the second copy must be there to be deleted too: {trouble}"
        )
    sign_what_waits(station)
    done = Deleted()
    kept = Kept(station)
    with station.sessions() as session:
        today = at.astimezone(station.site.zone).date()
        ripe = {
            window
            for unit in stored_units(station.site, session)
            if unit.due_on <= today
            for window in unit.windows
        }
        for deletion in open_deletions(session):
            accounts = approving(station, session, deletion)
            if accounts is None:
                done.waiting.append(deletion.id)
                continue
            items = session.scalars(
                select(DeletionItem)
                .where(DeletionItem.deletion_id == deletion.id, DeletionItem.leaf.is_(None))
                .order_by(DeletionItem.id)
            ).all()
            for count, item in enumerate(items, 1):
                # A lock a file, not one for all: a hold that is placed meanwhile counts for the next file.
                with disputes_lock(station):
                    kept.refresh()
                    _one(_Turn(station, session, second, deletion, accounts, ripe, kept), item, done)
                progress(count, len(items))
    return done


def deleted_json(done: Deleted) -> dict[str, Any]:
    """Schema ``kaozheng/deleted/1``."""
    return {
        "schema": "kaozheng/deleted/1",
        "files": done.files,
        "bytes": done.bytes,
        "kept": done.kept,
        "faults": done.faults,
        "elsewhere": done.elsewhere,
        "waiting": done.waiting,
    }


@dataclass(frozen=True, slots=True)
class _Turn:
    station: Station
    session: Session
    second: Target | None
    deletion: Deletion
    accounts: tuple[str, ...]
    ripe: set[str]
    kept: Kept


def _one(turn: _Turn, item: DeletionItem, done: Deleted) -> None:
    session, station = turn.session, turn.station
    row: Segment | BackfilledSegment
    take: Take | BackfilledTake
    if item.backfilled:
        row = session.get_one(BackfilledSegment, item.segment_id, populate_existing=True)
        take = session.get_one(BackfilledTake, row.take_id)
    else:
        row = session.get_one(Segment, item.segment_id, populate_existing=True)
        take = session.get_one(Take, row.take_id)
    keepers = turn.kept.by(row.room_id, row.camera_id, row.starts_at, row.ends_at)
    if keepers:
        done.kept[item.path] = ", ".join(keepers)
        return
    if take.window_id not in turn.ripe:
        done.kept[item.path] = "not due"
        return
    fault = _fault(station, row, item)
    leaf = turn.kept.tombstones.get(item.path)
    path = station.archive / item.path
    if not fault and leaf is None and not path.is_file():
        fault = "is missing, and no tombstone says why: kaozheng verify"
    if fault:
        done.faults[item.path] = fault
        return
    if leaf is None:
        leaf = station.log.append(
            SegmentDeleted(
                at=now(),
                take=row.take_id,
                window=take.window_id,
                room=row.room_id,
                camera=row.camera_id,
                number=row.number,
                path=row.path,
                sha256=row.sha256,
                reason=f"{turn.deletion.id}: batch {turn.deletion.batch or '-'}, due on {turn.deletion.due_on}",
                approved_by=list(turn.accounts),
            )
        )
    _unlink(path)
    if turn.second is not None:
        if trouble := turn.second.trouble():
            raise ServiceError(
                f"第二份存储中断 · the second disk went away: {trouble}; run it again when it is back"
            )
        _unlink(turn.second.footage / item.path)
    elif isinstance(row, Segment) and row.copied_at is not None:
        done.elsewhere += 1
    row.deleted_leaf = item.leaf = leaf
    session.commit()
    done.files += 1
    done.bytes += item.bytes


def _fault(station: Station, row: Segment | BackfilledSegment, item: DeletionItem) -> str:
    """Why row and record do not say that this is the file of a segment; "" where they do."""
    if row.leaf is None:
        return "was never signed"
    signed = json.loads(station.log.entry(row.leaf))
    if (signed.get("path"), signed.get("sha256")) != (row.path, row.sha256) or row.path != item.path:
        return "is not what its record names: kaozheng verify"
    return ""


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)
    except OSError as error:
        raise ServiceError(f"{path}: cannot be deleted: {error.strerror}; run it again when it can") from None
