"""Locks between processes of one site; the kernel drops them when their process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Lease:
    """Holds a lock file until :meth:`release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Harmless when released already."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def try_lease(path: Path) -> Lease | None:
    """The lock at ``path``, or None while another holds it. A lock file stays; only its lock counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Lease(descriptor)
