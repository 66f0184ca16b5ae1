"""The site's append-only log: one canonical JSON record a line, and the Merkle tree over the lines.

``entries.jsonl`` is the log. Beside it, derivable and rebuilt when a crash left them short: ``offsets`` (8 bytes
an entry: where its line ends), ``hashes-00`` and on (32 bytes a complete subtree, one file a level) and
``checkpoint`` (the newest signed head, by which a log that lost its tail is found out).
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.key_history import LogKey, is_key_change, key_history
from kaozheng_service.evidence.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_hash,
)
from kaozheng_service.evidence.note import Checkpoint, NoteError, open_checkpoint, sign_checkpoint
from kaozheng_service.evidence.records import KeyChanged, Record

_OFFSET_BYTES = 8
_HASH_BYTES = 32
# What is derived is synced this often and that many entries are computed anew at the start: no power cut reaches
# further back.
_SYNC_EVERY = 1024


class LogDamagedError(ServiceError):
    """The log is not what it was when it was last signed."""


class KeyReplacedError(ServiceError):
    """The site's key was changed, and this process still holds the one before."""


class EvidenceLog:
    """Open the log in ``folder``, or begin it.

    Threads and processes may append at once. What a crash left half written is put aside in ``torn-*``.
    LogDamagedError when entries that were signed are missing or altered: nothing more is appended to such a log.
    KeyReplacedError, then and at any record, when the log says that ``key`` was given up.

    Parameters
    ----------
    origin : the log's name in its checkpoints
    key : signs them
    """

    def __init__(self, folder: Path, *, origin: str, key: Ed25519PrivateKey) -> None:
        self.origin = origin
        self._folder = folder
        self._key = key
        self._entries = folder / "entries.jsonl"
        self._offsets = folder / "offsets"
        self._checkpoint = folder / "checkpoint"
        self._thread = threading.Lock()
        # How many records this process could not append, for whoever watches it.
        self.failures = 0
        folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._recover()

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    @property
    def size(self) -> int:
        """How many entries are in the log."""
        return _length(self._offsets) // _OFFSET_BYTES

    def bytes_of(self, size: int) -> int:
        """How many bytes of the file the first ``size`` entries are; IndexError when there are fewer."""
        self._require(size)
        return self._end(size)

    def append(self, record: Record) -> int:
        """Add ``record`` and return its index once it is on the disk."""
        line = canonical(record.to_json())
        try:
            return self._append(line)
        except BaseException:
            self.failures += 1
            raise

    def change_key(self, record: KeyChanged, key: Ed25519PrivateKey) -> int:
        """Add the record of a change of key; from that entry on ``key`` signs. Returns its index."""
        return self._append(canonical(record.to_json()), key)

    def keys(self) -> list[LogKey]:
        """Every key that signed this log, the oldest first; reads all entries."""
        return key_history(self.origin, self.entries(), self.public_key)

    def find(self, *kinds: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Index and body of all records of some kinds, in order; reads all entries."""
        marks = tuple(f'"kind":"{kind}"'.encode() for kind in kinds)
        for index, entry in enumerate(self.entries()):
            if any(mark in entry for mark in marks):
                body = json.loads(entry)
                if body.get("kind") in kinds:
                    yield index, body

    def _append(self, line: bytes, key: Ed25519PrivateKey | None = None) -> int:
        with self._alone():
            size = self.size
            if _length(self._entries) != self._end(size) or not self._is_signed(size):
                self._recover()
                size = self.size
            with self._entries.open("ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if key is not None:
                self._key = key
            self._derive(size, line, self._end(size) + len(line) + 1)
            self._sign()
            return size

    def entry(self, index: int) -> bytes:
        """The canonical JSON of entry ``index``, without the line's end; IndexError if there is none."""
        if not 0 <= index < self.size:
            raise IndexError(f"entry {index} is not in a log of {self.size}")
        start = self._end(index)
        with self._entries.open("rb") as file:
            file.seek(start)
            return file.read(self._end(index + 1) - start - 1)

    def newest(self, count: int) -> list[tuple[int, bytes]]:
        """The last ``count`` entries with their indexes, or as many as there are, the newest first; one read."""
        size = self.size
        if size == 0:
            return []
        first = max(size - count, 0)
        start = self._end(first)
        with self._entries.open("rb") as file:
            file.seek(start)
            lines = file.read(self._end(size) - start).split(b"\n")[:-1]
        return [(first + place, lines[place]) for place in range(len(lines) - 1, -1, -1)]

    def entries(self, first: int = 0) -> Iterator[bytes]:
        """All entries from index ``first`` on, in order, as the file holds them now."""
        size = self.size
        if first >= size:
            return
        with self._entries.open("rb") as file:
            file.seek(self._end(first))
            for _ in range(first, size):
                yield file.readline().removesuffix(b"\n")

    def checkpoint(self) -> str:
        """The signed head of the log as it is now."""
        size = self.size
        return sign_checkpoint(Checkpoint(self.origin, size, root_hash(size, self._subtree)), self._key)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """That entry ``index`` is in the first ``size``; IndexError when either is not in the log."""
        self._require(size)
        return inclusion_path(index, size, self._subtree)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """That the first ``new`` entries begin with the first ``old``; IndexError unless 0 < old <= new <= size."""
        self._require(new)
        return consistency_path(old, new, self._subtree)

    def root(self, size: int) -> bytes:
        """The head over the first ``size`` entries; IndexError when there are fewer."""
        self._require(size)
        return root_hash(size, self._subtree)

    def _require(self, size: int) -> None:
        if size > self.size:
            raise IndexError(f"the log has {self.size} entries, not {size}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._thread, (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _end(self, index: int) -> int:
        """Where in the file the first ``index`` entries end."""
        if index == 0:
            return 0
        return int.from_bytes(_slice(self._offsets, index - 1, _OFFSET_BYTES), "big")

    def _hashes(self, level: int) -> Path:
        return self._folder / f"hashes-{level:02d}"

    def _subtree(self, level: int, index: int) -> bytes:
        return _slice(self._hashes(level), index, _HASH_BYTES)

    def _derive(self, index: int, line: bytes, end: int) -> None:
        """Write down what follows from entry ``index``; the offset last, for it makes the entry count."""
        sync = index % _SYNC_EVERY == 0
        hashed, level = leaf_hash(line), 0
        _write(self._hashes(0), index, hashed, sync)
        while index >> level & 1:
            hashed = node_hash(self._subtree(level, (index >> level) - 1), hashed)
            level += 1
            _write(self._hashes(level), index >> level, hashed, sync)
        _write(self._offsets, index, end.to_bytes(_OFFSET_BYTES, "big"), sync)

    def _sign(self) -> None:
        draft = self._checkpoint.with_name("checkpoint.part")
        with draft.open("w", encoding="utf-8") as file:
            file.write(self.checkpoint())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._checkpoint)

    def _is_signed(self, size: int) -> bool:
        """Whether the newest checkpoint is of ``size`` entries and by our key."""
        try:
            text = self._checkpoint.read_text(encoding="utf-8")
            return open_checkpoint(text, self.public_key).size == size
        except (FileNotFoundError, NoteError):
            return False

    def _recover(self) -> None:
        """Make what is derived true to the entries, and hold the entries to the newest checkpoint."""
        self._entries.touch()
        whole = self._put_aside_torn_line()
        index = max(0, self._derived(whole) - _SYNC_EVERY)
        end = self._end(index)
        changed = False
        with self._entries.open("rb") as file:
            file.seek(end)
            while end < whole:
                line = file.readline()
                end += len(line)
                changed = changed or is_key_change(line)
                self._derive(index, line[:-1], end)
                index += 1
        if index < self.size:
            os.truncate(self._offsets, index * _OFFSET_BYTES)
        if changed:
            self._refuse_replaced_key(self.keys())
        self._hold_to_checkpoint()

    def _derived(self, whole: int) -> int:
        """How many entries are known by offset and hash, of those that end within the file's ``whole`` bytes."""
        known = self.size
        while known and not 0 < self._end(known) <= whole:
            known -= 1
        for level in range(known.bit_length()):
            if _length(self._hashes(level)) < (known >> level) * _HASH_BYTES:
                return 0
        return known

    def _put_aside_torn_line(self) -> int:
        """Cut a line that a crash left without its end, keeping its bytes; return the length of what is whole."""
        length = _length(self._entries)
        with self._entries.open("rb") as file:
            whole, block = length, b""
            while whole and b"\n" not in block:
                start = max(0, whole - 65536)
                file.seek(start)
                block = file.read(whole - start)
                whole = start + block.rfind(b"\n") + 1 if b"\n" in block else start
            if whole == length:
                return length
            file.seek(whole)
            torn = file.read()
        for number in itertools.count(1):
            aside = self._folder / f"torn-{number:04d}"
            try:
                with aside.open("xb") as file:
                    file.write(torn)
                    os.fsync(file.fileno())
                break
            except FileExistsError:
                continue
        os.truncate(self._entries, whole)
        return whole

    def _hold_to_checkpoint(self) -> None:
        if not self._checkpoint.exists():
            self._sign()
            return
        signed, by_us = self._signed_head(self._checkpoint.read_text(encoding="utf-8"))
        if signed.size > self.size:
            raise LogDamagedError(
                f"{self._entries}: {self.size} entries, but {signed.size} were signed; "
                "restore the file from its copy before anything is recorded"
            )
        if root_hash(signed.size, self._subtree) != signed.root:
            raise LogDamagedError(
                f"{self._entries}: its first {signed.size} entries are not those that were signed; "
                "restore the file from its copy before anything is recorded"
            )
        if signed.size < self.size or not by_us:
            self._sign()

    def _signed_head(self, text: str) -> tuple[Checkpoint, bool]:
        """The newest checkpoint, and whether our key signed it; if not, the key before ours did, until a crash."""
        try:
            return open_checkpoint(text, self.public_key), True
        except NoteError as error:
            keys = self.keys()
            self._refuse_replaced_key(keys)
            for one in keys[:-1]:
                with suppress(NoteError):
                    return open_checkpoint(text, one.key), False
            raise error from None

    def _refuse_replaced_key(self, keys: list[LogKey]) -> None:
        if keys[-1].key.public_bytes_raw() != self.public_key.public_bytes_raw():
            raise KeyReplacedError(
                f"{self._folder}: the site's key was changed; start this command anew, it then takes the new key. "
                "If it says so again, put the new key's file in place from its backup"
            )


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _slice(path: Path, index: int, width: int) -> bytes:
    with path.open("rb") as file:
        file.seek(index * width)
        return file.read(width)


def _write(path: Path, index: int, value: bytes, sync: bool) -> None:
    """Put ``value`` at its place, over what a crash may have left there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, value, index * len(value))
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
