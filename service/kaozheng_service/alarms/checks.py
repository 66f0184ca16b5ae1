"""What the service asks its own machine: can all that must be written be written, and is the clock right?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.clock import now
from kaozheng_service.database import Pulse
from kaozheng_service.machine_clock import clock_offset_s, clock_state
from kaozheng_service.station import Station

# A folder of a full disk still takes an empty file; this is more than a record and less than anyone misses.
_PROBE_BYTES = 4096
_PROBE = ".kaozheng-write-check"
# Slewing is slower than this in any look; what is more was set.
STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Checks:
    """``log``, ``database`` and ``archive`` are why each cannot be written, "" where it can.

    ``clock_synchronised`` is None where the system does not tell; ``clock_step_s`` by how much the clock was set
    since the checks before.
    """

    at: datetime
    log: str
    database: str
    archive: str
    clock_synchronised: bool | None
    clock_step_s: float


class SelfChecks:
    """Called from one thread."""

    def __init__(
        self,
        station: Station,
        *,
        synchronised: Callable[[], bool | None] | None = None,
        offset_s: Callable[[], float] | None = None,
    ) -> None:
        self._station = station
        self._synchronised = synchronised or (lambda: clock_state().synchronised)
        self._offset_s = offset_s or clock_offset_s
        self._last_offset_s = self._offset_s()

    def run(self) -> Checks:
        """Do all of them now; some tens of ms on a disk that is well."""
        offset_s = self._offset_s()
        step_s, self._last_offset_s = offset_s - self._last_offset_s, offset_s
        return Checks(
            at=now(),
            log=why_unwritable(self._station.state / "log"),
            database=self._database(),
            archive=why_unwritable(self._station.archive),
            clock_synchronised=self._synchronised(),
            clock_step_s=step_s if abs(step_s) >= STEP_S else 0.0,
        )

    def _database(self) -> str:
        try:
            with self._station.sessions.begin() as session:
                session.merge(Pulse(id=1, at=now()))
        except SQLAlchemyError as error:
            return str(getattr(error, "orig", None) or type(error).__name__)
        return ""


def why_unwritable(folder: Path) -> str:
    """Why a file in ``folder`` cannot be written and synced; "" where it can. What it writes it takes away again."""
    probe = folder / _PROBE
    try:
        descriptor = os.open(
            probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            os.write(descriptor, bytes(_PROBE_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                probe.unlink()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""
