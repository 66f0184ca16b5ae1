"""Footage read from the disk and held against what was signed, some files at once, answered in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kaozheng_service.disputes.standalone.pieces import Pieces, hash_pieces
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.verification.journal import Journal
from kaozheng_service.verification.pace import Pace

CHANGED, MISSING, UNREADABLE = "changed", "missing", "unreadable"


@dataclass(frozen=True, slots=True)
class Footage:
    """One file as it was signed in entry ``index`` of the log; ``path`` is below the archive."""

    index: int
    path: str
    sha256: str
    take: str
    window: str
    room: str
    camera: str
    starts_at: datetime
    ends_at: datetime
    fragments: int | None = None
    fragments_root: str | None = None

    @classmethod
    def of(cls, record: Record) -> Footage:
        names = (str(record[name]) for name in ("path", "sha256", "take", "window"))
        path, sha256, take, window = names
        room = str(record.body.get("room", ""))
        pieces = record.body.get("fragments"), record.body.get("fragments_root")
        return cls(record.index, path, sha256, take, window, room, record.camera, *record.span, *pieces)


@dataclass(frozen=True, slots=True)
class Look:
    """``fault`` is "" for a file as it was signed, else ``changed``, ``missing`` or ``unreadable``, and ``why``.

    ``sha256`` is what was found; ``earlier`` means that it was read before a run was broken off, not now. ``rootless``:
    the file is as it was signed, and its pieces do not lead to the root that was signed with it.
    """

    footage: Footage
    fault: str
    why: str = ""
    bytes: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    earlier: bool = False
    rootless: bool = False


def look_at(
    footage: Iterable[Footage], folder: Path, *, pace: Pace, journal: Journal | None = None
) -> Iterator[Look]:
    """Look at each file below ``folder``; what the journal holds of the same size, time and record is not read again.

    Notes
    -----
    Threads: reading and hashing leave the interpreter's lock alone, so each has a core. Files are answered in the
    order in which they were asked for, whatever the number of jobs.
    """
    waiting: deque[Future[Look]] = deque()
    pool = ThreadPoolExecutor(pace.jobs, thread_name_prefix="verify")
    try:
        for one in footage:
            while waiting and len(waiting) >= pace.ahead():
                yield _noted(waiting.popleft().result(), journal)
            waiting.append(pool.submit(look, one, folder / one.path, pace=pace, journal=journal))
        while waiting:
            yield _noted(waiting.popleft().result(), journal)
    finally:
        pool.shutdown(cancel_futures=True)


def look(footage: Footage, file: Path, *, pace: Pace, journal: Journal | None = None) -> Look:
    """Look at one file now, in this thread."""
    pace.settle()
    try:
        with file.open("rb", buffering=0) as opened:
            status = os.fstat(opened.fileno())
            size, mtime_ns = status.st_size, status.st_mtime_ns
            if journal is not None and journal.holds(footage, size, mtime_ns):
                return Look(footage, "", "", size, mtime_ns, footage.sha256, earlier=True)
            pieces = _hash(file, opened.fileno(), pace)
    except FileNotFoundError:
        return Look(footage, MISSING)
    except OSError as error:
        return Look(footage, UNREADABLE, error.strerror or str(error))
    fault = "" if pieces.sha256 == footage.sha256 else CHANGED
    # Records of before there were roots say nothing of them.
    signed = footage.fragments, footage.fragments_root
    rootless = not fault and signed not in ((len(pieces.leaves), pieces.root), (None, None))
    return Look(footage, fault, "", size, mtime_ns, pieces.sha256, rootless=rootless)


def _hash(file: Path, descriptor: int, pace: Pace) -> Pieces:
    # What the machine's memory holds says nothing of the disk; and what we read must not push out what is recorded.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    try:
        return hash_pieces(file, pace.throttle.take)
    finally:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _noted(one: Look, journal: Journal | None) -> Look:
    if journal is not None and not one.fault and not one.rootless and not one.earlier:
        journal.note(one.footage, one.bytes, one.mtime_ns)
    return one
