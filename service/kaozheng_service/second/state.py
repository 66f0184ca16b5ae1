"""The state beside the footage: log, database, accepted views, anchors, public key. Never the private key."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from pathlib import Path

from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.note import open_checkpoint
from kaozheng_service.recording.durable import sync_file, sync_folder, write_durably
from kaozheng_service.second.copying import file_hash, make_folder
from kaozheng_service.second.target import SecondError, Target

DATABASE = "kaozheng.sqlite"
PUBLIC_KEY = "site.pub"
# A database and a log of one moment are had between two records; with forty cameras there is one every second.
TRIES = 8
PAUSE_S = 0.4
# What was begun and not signed yet at the moment of a snapshot would look like a forgery after a restore.
_UNSIGNED = """
    SELECT (SELECT count(*) FROM segments WHERE leaf IS NULL)
         + (SELECT count(*) FROM gaps WHERE leaf IS NULL)
         + (SELECT count(*) FROM takes WHERE leaf IS NULL OR (closed_at IS NOT NULL AND closed_leaf IS NULL))
         + (SELECT count(*) FROM windows
            WHERE leaf IS NULL OR (cancelled_at IS NOT NULL AND cancelled_leaf IS NULL))
"""


class BusyError(SecondError):
    """Nothing is wrong; another moment is."""


def copy_state(target: Target, log: EvidenceLog) -> None:
    """Bring the second copy of the state up to now. Log first, then the database of the same moment, then the head.

    Raises
    ------
    BusyError : records come so fast that no moment between two was found; the copy of before stays
    SecondError : what is there is not a copy of this log, or reads back differently
    OSError : of the second disk
    """
    make_folder(target.kept_state / "log")
    snapshot = target.state / "second-snapshot.sqlite"
    try:
        head = _snapshot(target.state / DATABASE, snapshot, log)
        size = open_checkpoint(head, log.public_key).size
        _append_log(
            target.state / "log" / "entries.jsonl", target.kept_state / "log" / "entries.jsonl", log, size
        )
        _replace(snapshot, target.kept_state / DATABASE)
    finally:
        snapshot.unlink(missing_ok=True)
    write_durably(target.kept_state / "log" / "checkpoint", head)
    write_durably(target.kept_state / PUBLIC_KEY, public_pem(log.public_key))
    for kept, pattern in (("references", "*.png"), ("anchors", "*")):
        _copy_kept(target.state / kept, target.kept_state / kept, pattern)


def _snapshot(database: Path, snapshot: Path, log: EvidenceLog) -> str:
    """The database into ``snapshot``, on the first disk, and the log's signed head of the same moment."""
    for _ in range(TRIES):
        before = log.size
        with (
            contextlib.closing(sqlite3.connect(database, timeout=30)) as original,
            contextlib.closing(sqlite3.connect(snapshot)) as copy,
        ):
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            (unsigned,) = copy.execute(_UNSIGNED).fetchone()
        head = log.checkpoint()
        if not unsigned and open_checkpoint(head, log.public_key).size == before:
            return head
        time.sleep(PAUSE_S)
    raise BusyError("log and database did not rest long enough to be copied together; the next try is soon")


def _append_log(source: Path, target: Path, log: EvidenceLog, size: int) -> None:
    """The first ``size`` entries; what the copy has of them already is not written again."""
    end = log.bytes_of(size)
    with source.open("rb") as original, target.open("ab") as copy:
        there = copy.tell()
        if there > end:  # longer than the log: not ours, or of a log that lost its tail
            raise SecondError(f"{target}: longer than the log itself; keep it, and call your engineer")
        original.seek(there)
        left = end - there
        while left:
            chunk = original.read(min(left, 1 << 20))
            copy.write(chunk)
            left -= len(chunk)
        copy.flush()
        os.fsync(copy.fileno())


def _replace(source: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    shutil.copyfile(source, part)
    sync_file(part)
    if file_hash(part) != file_hash(source):
        raise SecondError(f"{target}: reads back differently from what was written; the disk is failing")
    part.replace(target)
    sync_folder(target.parent)


def _copy_kept(source: Path, target: Path, pattern: str) -> None:
    """Accepted views and anchors are never changed: only new ones are copied."""
    for path in sorted(source.rglob(pattern)) if source.is_dir() else []:
        there = target / path.relative_to(source)
        if path.is_file() and not there.exists():
            make_folder(there.parent)
            _replace(path, there)
