"""Why footage is missing, read from how a recorder ended."""

from __future__ import annotations

import errno
import re
from enum import StrEnum

from kaozheng_service.recording.child import Ended


class Cause(StrEnum):
    """Causes of a gap, and of a take's end; ``wording`` says them in words."""

    STREAM_LOST = "stream_lost"  # it ran, then the camera or the network ended it
    CONNECTION_REFUSED = "connection_refused"
    AUTH_FAILED = "auth_failed"
    NOT_REACHABLE = "not_reachable"  # no route, no name, no answer, or no such stream there
    STALLED = "stalled"  # connected, but no media came any more
    FRAMES_MISSING = "frames_missing"  # the recorder ran on, the camera's own time stamps jump
    STREAM_CHANGED = "stream_changed"  # the camera changed its picture's size or form in mid-stream
    TIME_STAMPS_JUMPED = "time_stamps_jumped"  # the camera's own clock was set in mid-stream
    CLOCK_STEP = "clock_step"  # our clock was set while it recorded
    RECORDER_DIED = "recorder_died"  # the recorder's process was killed or crashed
    SERVICE_NOT_RUNNING = "service_not_running"
    LATE_START = "late_start"  # connected only after the window had begun
    DISK_FULL = "disk_full"
    STORAGE_FAILED = "storage_failed"  # the archive cannot be written, though it is not full
    OVERTAKEN = "overtaken"  # another node has taken the window over
    STOPPED_BY_OPERATOR = "stopped_by_operator"
    UNKNOWN = "unknown"


WINDOW_ENDED = "window_ended"

# As ffmpeg 9.0 words them against a real RTSP server: refused, wrong password, wrong path, stopped, killed.
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_STORAGE_FAILED = re.compile(r"Read-only file system|Stale file handle|Transport endpoint is not connected")
_TIMED_OUT = re.compile(r"timed out|timeout", re.IGNORECASE)
_NO_CONNECTION = (
    (re.compile(r"Connection refused"), Cause.CONNECTION_REFUSED),
    (re.compile(r"\b40[13]\b"), Cause.AUTH_FAILED),
    (re.compile(r"\b404\b|resolve|No route|unreachable|timed out|No such file"), Cause.NOT_REACHABLE),
)
_NO_AUDIO_TAG = re.compile(r"Could not find tag for codec|codec not currently supported in container")
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")
_FIRST_PACKET_NOISE = re.compile(
    r"Timestamps are unset|Non-monotonic DTS|Error opening (input|output) files?\b|deprecated"
)


def failure_to_open(errors: str) -> tuple[Cause, str]:
    """Why a recorder that brought no media ended. ``errors`` is its stderr, masked."""
    if _DISK_FULL.search(errors):
        return Cause.DISK_FULL, last_error(errors)
    if _STORAGE_FAILED.search(errors):
        return Cause.STORAGE_FAILED, last_error(errors)
    for pattern, cause in _NO_CONNECTION:
        if pattern.search(errors):
            return cause, last_error(errors)
    return Cause.UNKNOWN, last_error(errors) or "the recorder ended without a word"


def end_of_stream(errors: str, ended: Ended, *, same_boot: bool) -> tuple[Cause, str]:
    """Why a recorder that had brought media ended before its time."""
    said = last_error(errors)
    if _DISK_FULL.search(errors):
        return Cause.DISK_FULL, said
    if _STORAGE_FAILED.search(errors):
        return Cause.STORAGE_FAILED, said
    if not same_boot:
        return Cause.SERVICE_NOT_RUNNING, "the machine was restarted"
    if ended.status is not None and ended.status < 0:
        return Cause.RECORDER_DIED, f"its process was ended by signal {-ended.status}"
    if _TIMED_OUT.search(errors):
        return Cause.STALLED, said
    if ended.status is None and not said:
        return Cause.RECORDER_DIED, "its process vanished without a word"
    return Cause.STREAM_LOST, said or "the stream ended"


def storage_error(error: OSError) -> Cause:
    """What kept a file from being written."""
    return Cause.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Cause.STORAGE_FAILED


def audio_cannot_be_copied(errors: str) -> bool:
    """Whether it ended because MP4 has no place for the camera's audio codec, such as G.711."""
    return _NO_AUDIO_TAG.search(errors) is not None


def last_error(errors: str) -> str:
    """The last line of ffmpeg's that says something, without its bracketed origin."""
    lines = [_PREFIX.sub("", line).strip() for line in errors.splitlines()]
    telling = [line for line in lines if line and not _FIRST_PACKET_NOISE.search(line)]
    return telling[-1][:300] if telling else ""
