"""A database whose file is damaged: told, and put aside; ``recording/rebuild.py`` makes it anew from the log."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import structlog
from sqlalchemy.exc import DatabaseError

from kaozheng_service.clock import now

logger = structlog.get_logger()

# As SQLite words them: SQLITE_CORRUPT, SQLITE_NOTADB, and SQLITE_IOERR, which one that has it open may see instead.
_DAMAGED = ("malformed", "file is not a database", "disk I/O error")


def put_aside_if_damaged(path: Path, *, thorough: bool = False) -> Path | None:
    """Rename a database that SQLite cannot read, with what belongs to it; None where there is none or it is well.

    Nothing is deleted: what can be read of it may tell somebody something.

    Parameters
    ----------
    thorough : read all of it, not only its first page and its tables' names
    """
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(path, timeout=30)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            for name in tables:
                connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()  # noqa: S608 - its own names
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        said = str(error)
        # Locked, or not to be opened: not damaged. A disk that can be read is not what an error of I/O is about.
        if not any(words in said for words in _DAMAGED) or not _readable(path):
            return None
    if said == "ok":
        return None
    aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S%f}Z")
    for end in ("-wal", "-shm", ""):
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + end))
    logger.error("the database is damaged and was put aside", why=said, kept=str(aside))
    return aside


def _readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return False
    return True


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the database's file itself is broken: a new process must look at it from its begin."""
    said = str(getattr(error, "orig", None) or error)
    return isinstance(error, (DatabaseError, sqlite3.DatabaseError)) and any(
        words in said for words in _DAMAGED
    )
