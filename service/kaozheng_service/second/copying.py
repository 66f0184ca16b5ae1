"""One file to the second disk, so that a crash at any moment leaves it whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from kaozheng_service.recording.durable import sync_folder
from kaozheng_service.second.target import SecondError

_CHUNK = 4 << 20
# After each piece we rest for as long as it took: recorders write to the same disk, and catching up can wait.
_LONGEST_REST_S = 0.5

Progress = Callable[[], None]


class SourceDamagedError(SecondError):
    """The first copy is not what was recorded, so there is nothing good to copy."""


def copy_verified(source: Path, target: Path, sha256: str, progress: Progress = lambda: None) -> None:
    """Have ``target`` hold the bytes of ``source``, of which ``sha256`` was signed. What is there and right is kept.

    Parameters
    ----------
    progress : called after each piece

    Raises
    ------
    SourceDamagedError : ``source`` cannot be read, or is not what was signed
    SecondError : what was written reads back differently
    OSError : of the second disk
    """
    if target.exists() and file_hash(target, progress) == sha256:
        return
    make_folder(target.parent)
    part = draft_verified(source, target, sha256, progress)
    try:
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    sync_folder(target.parent)


def draft_verified(source: Path, target: Path, sha256: str, progress: Progress = lambda: None) -> Path:
    """The bytes of ``source`` beside ``target``, synced and read back; raises as :func:`copy_verified`."""
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            written = _copy(source, file, progress)
            file.flush()
            os.fsync(file.fileno())
        if written != sha256:
            raise SourceDamagedError(
                f"{source}: not the file that was recorded; the second copy leaves it out"
            )
        if file_hash(part, progress) != sha256:
            raise SecondError(f"{target}: reads back differently from what was written; the disk is failing")
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    return part


def file_hash(path: Path, progress: Progress = lambda: None) -> str:
    """SHA-256 of what is on the disk, not in the machine's memory. OSError where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while True:
            begun_s = time.monotonic()
            chunk = file.read(_CHUNK)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)
            _rest(begun_s)
            progress()


def make_folder(folder: Path) -> None:
    """``folder`` and those above it, each name on the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _copy(source: Path, file: BinaryIO, progress: Progress) -> str:
    digest = hashlib.sha256()
    try:
        original = source.open("rb")
    except OSError as error:
        raise SourceDamagedError(f"{source}: {error.strerror}; the second copy leaves it out") from None
    with original:
        while True:
            begun_s = time.monotonic()
            try:
                chunk = original.read(_CHUNK)
            except OSError as error:
                raise SourceDamagedError(
                    f"{source}: {error.strerror}; the second copy leaves it out"
                ) from None
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)
            file.write(chunk)
            _rest(begun_s)
            progress()


def _rest(begun_s: float) -> None:
    time.sleep(min(time.monotonic() - begun_s, _LONGEST_REST_S))
