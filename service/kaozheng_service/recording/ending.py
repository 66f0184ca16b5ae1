"""How an ffmpeg child is made to end, and what it said."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from kaozheng_service.recording.child import Child, send

ERRORS = "ffmpeg.log"
_READ_BYTES = 8192
# ffmpeg wrote its last fragment 0.13 s after SIGINT; SIGTERM is the same to it, so then SIGKILL, after so long.
PATIENCE_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGKILL)


class Escalation:
    """The signals to one child, each after the patience with the one before is over."""

    def __init__(self) -> None:
        self._sent = 0
        self._sent_at = 0.0

    def press(self, child: Child) -> None:
        """Send what is due; to be called again and again until the child has ended."""
        if self._sent and time.monotonic() - self._sent_at < PATIENCE_S:
            return
        send(child, _SIGNALS[min(self._sent, len(_SIGNALS) - 1)])
        self._sent += 1
        self._sent_at = time.monotonic()


def last_words(folder: Path, mask: Callable[[str], str]) -> str:
    """The end of what the child in ``folder`` said, without login data; "" where that cannot be read."""
    try:
        with (folder / ERRORS).open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _READ_BYTES, 0))
            return mask(file.read().decode("utf-8", errors="replace"))
    except OSError:
        return ""
