"""What the service tells of itself, beside the faults of pictures, and how long each must last to be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# How an alarm ended.
CLEAR, WINDOW_ENDED, TOLD = "clear", "window_ended", "told"


class AlarmKind(StrEnum):
    """Causes of alarms of the service. A cause is one alarm of its camera, room or site however often it is met."""

    NO_FOOTAGE = "no_footage"  # a camera that should be recorded now brings nothing
    GAP = "gap"  # a gap was written down; told once
    UNEXPLAINED_GAP = (
        "unexplained_gap"  # a window is over and neither footage nor a signed gap covers all of it
    )
    DISK_LOW = "disk_low"  # the reserve is touched
    DISK_FORECAST = "disk_forecast"  # the windows of the next days will not fit
    CLOCK_UNSYNCHRONISED = "clock_unsynchronised"
    CLOCK_STEPPED = "clock_stepped"  # the clock was set; told once
    LOG_UNWRITABLE = "log_unwritable"
    DATABASE_UNWRITABLE = "database_unwritable"
    ARCHIVE_UNWRITABLE = "archive_unwritable"
    SECOND_TARGET = "second_target"  # the second copy does not go on, or is behind
    FILE_DAMAGED = "file_damaged"  # footage is not as it was signed, or was repaired within a day
    VERIFICATION_STALLED = "verification_stalled"  # what is held is not read again as it should be
    WATCH_DEAD = "watch_dead"  # pictures are not judged
    ANCHOR_OVERDUE = "anchor_overdue"  # the log's head was taken nowhere for a day
    ANCHOR_REFUSED = "anchor_refused"  # a witness has seen another log than this
    SERVICE_STALLED = "service_stalled"  # the loop that starts recorders does not get through
    EMERGENCY_ACCESS = "emergency_access"  # footage was opened without the usual approval; told once


EVENTS = frozenset({AlarmKind.GAP, AlarmKind.CLOCK_STEPPED, AlarmKind.EMERGENCY_ACCESS})


@dataclass(frozen=True, slots=True)
class Patience:
    """A cause is told once it lasted ``raise_s``, and is over once it was away for ``clear_s``."""

    raise_s: float
    clear_s: float


_SOON = Patience(0.0, 10.0)
# Free space moves up and down with every segment; a clock daemon needs minutes after a start; a picture's process
# that was replaced answers within its first round; a service that was away settles its windows in seconds.
_PATIENCE = {
    AlarmKind.DISK_LOW: Patience(10.0, 60.0),
    AlarmKind.DISK_FORECAST: Patience(60.0, 300.0),
    AlarmKind.SECOND_TARGET: Patience(30.0, 30.0),
    AlarmKind.VERIFICATION_STALLED: Patience(30.0, 30.0),
    AlarmKind.CLOCK_UNSYNCHRONISED: Patience(300.0, 60.0),
    AlarmKind.UNEXPLAINED_GAP: Patience(60.0, 0.0),
    AlarmKind.WATCH_DEAD: Patience(30.0, 30.0),
}


def patience(kind: AlarmKind, after_s: float) -> Patience:
    """``after_s`` is what the site file says for cameras without footage."""
    if kind is AlarmKind.NO_FOOTAGE:
        return Patience(after_s, max(after_s, 10.0))
    return _PATIENCE.get(kind, _SOON)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alarm is about. Empty strings where it is about more than one camera, room or window."""

    kind: str
    room: str = ""
    camera: str = ""
    window: str = ""
