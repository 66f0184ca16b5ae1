"""Which keys signed a log, and up to which size: read from the log's own records of change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kaozheng_service.disputes.standalone.key_changes import proven_change
from kaozheng_service.evidence.note import Checkpoint, NoteError, open_checkpoint

_MARK = b'"kind":"key.changed"'


@dataclass(frozen=True, slots=True)
class LogKey:
    """``key`` signed the log from ``since`` entries on, up to ``until``; None while it still does."""

    key: Ed25519PublicKey
    since: int
    until: int | None


def is_key_change(line: bytes) -> bool:
    """Whether an entry is the record of a change of key; quotes within a text are escaped, so no other holds this."""
    return _MARK in line


def key_history(origin: str, entries: Iterable[bytes], key: Ed25519PublicKey) -> list[LogKey]:
    """All keys of a log, the oldest first.

    Parameters
    ----------
    key : the log's key where its entries tell of no change

    Notes
    -----
    A record whose change the key before did not sign, or that does not follow the change before, changes nothing.
    """
    keys: list[LogKey] = []
    for index, line in enumerate(entries):
        if not is_key_change(line):
            continue
        try:
            change = proven_change(origin, json.loads(line))
        except ValueError:  # a damaged line; that it is, the head tells
            continue
        if change is None or (keys and keys[-1].key.public_bytes_raw() != change[0]):
            continue
        old, new = (Ed25519PublicKey.from_public_bytes(raw) for raw in change)
        since = keys.pop().since if keys else 0
        # The change is entry ``index``: the last head without it is of that size.
        keys += [LogKey(old, since, index), LogKey(new, index + 1, None)]
    return keys or [LogKey(key, 0, None)]


def open_by_any(text: str, keys: Iterable[LogKey]) -> Checkpoint:
    """A checkpoint that one of a log's keys signed while it was in use.

    Raises
    ------
    NoteError : none of them did, or one did after it was given up
    """
    fault: NoteError | None = None
    for one in reversed(list(keys)):
        try:
            checkpoint = open_checkpoint(text, one.key)
        except NoteError as error:
            fault = fault or error
            continue
        if one.since <= checkpoint.size and (one.until is None or checkpoint.size <= one.until):
            return checkpoint
        raise NoteError(
            f"signed for {checkpoint.size} entries by a key that signed only from {one.since} to {one.until}: "
            "whoever has that key made it after it was given up"
        )
    raise fault or NoteError("this log has no key")
