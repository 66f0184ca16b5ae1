"""This machine's clock: how it stands to the time since boot, and whether the kernel holds it for synchronised."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

# <sys/timex.h>: the clock is not synchronised; the state that adjtimex returns then.
_STA_UNSYNC, _TIME_ERROR = 0x0040, 5


@dataclass(frozen=True, slots=True)
class ClockState:
    """``synchronised`` is None where the kernel does not say; ``error_s`` its estimate of the largest error, s."""

    synchronised: bool | None
    error_s: float | None

    @property
    def word(self) -> str:
        """``synchronised``, ``unsynchronised`` or ``unknown``, as records carry it."""
        return {True: "synchronised", False: "unsynchronised", None: "unknown"}[self.synchronised]


class _Timex(ctypes.Structure):
    """The begin of the kernel's ``struct timex``; the rest is not read (man 2 adjtimex)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 160),
    )


def clock_state() -> ClockState:
    """Ask the kernel; ``chronyd``, ``ntpd`` and ``systemd-timesyncd`` tell it. Nothing is set."""
    asked = _Timex(modes=0)
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):
        return ClockState(None, None)
    if answer < 0:
        return ClockState(None, None)
    unsynchronised = answer == _TIME_ERROR or bool(asked.status & _STA_UNSYNC)
    return ClockState(not unsynchronised, None if unsynchronised else asked.maxerror / 1e6)


def clock_offset_s() -> float:
    """Our clock less the time since boot, s; it changes when our clock is set, and by nothing else of note."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
