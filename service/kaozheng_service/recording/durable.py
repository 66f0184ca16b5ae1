"""Writing so that a power cut finds either the old or the new: file, rename, folder, in that order."""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Push what is written of ``path`` to the disk; also of a file that another process is writing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Push the names in ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_durably(old: Path, new: Path) -> None:
    """Sync ``old``, rename it within its folder, sync the folder."""
    sync_file(old)
    old.rename(new)
    sync_folder(new.parent)


def write_durably(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` at once: a reader or a crash never meets half of it."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
