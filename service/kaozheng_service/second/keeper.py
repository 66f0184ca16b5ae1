"""The daemon's side of the second copy: keeps its process alive, and hears of its troubles. Waits for it never."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from kaozheng_service.clock import from_text, now
from kaozheng_service.second.copier import STATUS
from kaozheng_service.second.target import target_of
from kaozheng_service.station import Station

logger = structlog.get_logger()

LOOK_S = 5.0
# It tells of itself every few seconds, and after each piece of a file. A disk that takes no 4 MiB in two minutes hangs.
SILENT_S = 120.0


class SecondKeeper:
    """One a daemon; does nothing where the site has no second storage."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._begun_at = now()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns at once."""
        if self._station.site.second is not None:
            self._thread = threading.Thread(target=self._run, name="second", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the process, in the middle of a file if it must be: the file is copied anew at the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LOOK_S)
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(
                subprocess.TimeoutExpired
            ):  # it hangs in its disk, and ends when that answers
                self._process.wait(2.0)

    def trouble(self) -> str:
        """What is wrong with the second copy; "" where all is well. For any thread."""
        if self._station.site.second is None:
            return ""
        status = second_status(self._station.state)
        heard = max(from_text(status["at"]), self._begun_at) if status else self._begun_at
        silent_s = abs((now() - heard).total_seconds())
        if silent_s > SILENT_S:
            return f"{self._station.site.second}: does not answer; the copying process was last heard of {_ago(heard)}"
        return str(status["trouble"]) if status else ""

    def _run(self) -> None:
        while True:
            try:
                self._keep_alive()
            except OSError:
                logger.exception("the process of the second copy cannot be started; it is tried again")
            if self._stop.wait(LOOK_S):
                return

    def _keep_alive(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                return
            logger.warning(
                "the process of the second copy ended; a new one begins", status=self._process.returncode
            )
        target = target_of(self._station.site)
        words = [target.site, *(str(path.absolute()) for path in (target.archive, target.state, target.root))]
        command = [sys.executable, "-m", "kaozheng_service.second.worker", *words]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def second_status(state: Path) -> dict[str, Any] | None:
    """What the copying process said last, schema ``kaozheng/second-status/1``; None where it never did."""
    try:
        body: dict[str, Any] = json.loads((state / STATUS).read_text(encoding="utf-8"))
        from_text(body["at"])
        str(body["trouble"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return body


def _ago(moment: datetime) -> str:
    return f"{(now() - moment).total_seconds():.0f} s ago"
