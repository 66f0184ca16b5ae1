"""The second copy read back whole and held against what was signed: ``kaozheng second --verify``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, update

from kaozheng_service.database import Segment
from kaozheng_service.evidence.key_history import open_by_any
from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.note import NoteError
from kaozheng_service.second.copying import file_hash
from kaozheng_service.second.state import DATABASE, PUBLIC_KEY
from kaozheng_service.second.target import Target
from kaozheng_service.station import Station

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """``same`` files are as they were signed; ``waiting`` are not copied yet, ``missing`` and ``changed`` were.

    ``state`` is what is wrong with the second copy of the state.
    """

    same: int
    waiting: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    state: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not (self.missing or self.changed or self.state)


def compare(
    station: Station, target: Target, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Comparison:
    """Read every copied file. What is missing or changed is due again, and is copied at the next occasion.

    Parameters
    ----------
    progress : called with files read, of all
    """
    same, missing, changed = 0, [], []
    with station.sessions() as session:
        rows = session.execute(
            select(Segment.id, Segment.path, Segment.sha256).where(
                Segment.copied_at.is_not(None), Segment.deleted_leaf.is_(None)
            )
        ).all()
        due = Segment.copied_at.is_(None), Segment.deleted_leaf.is_(None)
        waiting = session.scalar(select(func.count(Segment.id)).where(*due)) or 0
    again = []
    for done, (number, path, sha256) in enumerate(rows, 1):
        try:
            right = file_hash(target.footage / path) == sha256
        except FileNotFoundError:
            missing.append(path)
            again.append(number)
        except OSError as error:
            changed.append(f"{path}: {error.strerror}")
            again.append(number)
        else:
            if right:
                same += 1
            else:
                changed.append(path)
                again.append(number)
        progress(done, len(rows))
    with station.sessions.begin() as session:
        for number in again:
            session.execute(update(Segment).where(Segment.id == number).values(copied_at=None))
    return Comparison(same, waiting, tuple(missing), tuple(changed), tuple(_state_faults(station, target)))


def _state_faults(station: Station, target: Target) -> list[str]:
    faults = []
    kept = target.kept_state
    try:
        keys = station.log.keys()  # right after a change of key the copy still has the one before
        if (kept / PUBLIC_KEY).read_text(encoding="ascii") not in [public_pem(one.key) for one in keys]:
            faults.append(f"{kept / PUBLIC_KEY}: another key")
        head = open_by_any((kept / "log" / "checkpoint").read_text(encoding="utf-8"), keys)
        copy = kept / "log" / "entries.jsonl"
        if copy.stat().st_size < station.log.bytes_of(head.size):
            faults.append(f"{copy}: shorter than its signed head says")
        if not _begins_with(station.state / "log" / "entries.jsonl", copy):
            faults.append(f"{copy}: is not the beginning of the log")
        database = f"{(kept / DATABASE).absolute().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(database, uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            faults.append(f"{kept / DATABASE}: {found}")
    except OSError as error:
        faults.append(f"{error.filename}: {error.strerror}")
    except (ValueError, NoteError, IndexError, sqlite3.Error) as error:
        faults.append(f"{kept}: {error}")
    return faults


def _begins_with(whole: Path, part: Path) -> bool:
    with whole.open("rb") as one, part.open("rb") as other:
        while chunk := other.read(_CHUNK):
            if one.read(len(chunk)) != chunk:
                return False
    return True
