"""The daemon's side of verification: keeps its process alive, and hears what it found. Waits for it never."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from datetime import timedelta

import structlog

from kaozheng_service.clock import from_text, now
from kaozheng_service.station import Station
from kaozheng_service.verification.rounds import TOLD_FOR, verification_status

logger = structlog.get_logger()

LOOK_S = 5.0
# After a start recorders are adopted and windows settled first, within seconds (``docs/recording.md``).
SETTLE_S = 60.0
# It tells of itself every few seconds, also while it waits; a piece of a file is 1 MiB. As the second copy's process.
SILENT_S = 120.0


class VerificationKeeper:
    """One a daemon; starts no process where the site file says ``every_days: null``."""

    def __init__(self, station: Station, *, settle_s: float = SETTLE_S) -> None:
        self._station = station
        self._settle_s = settle_s
        self._begun_at = now() + timedelta(seconds=settle_s)
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns at once."""
        if self._station.site.verification.every_days is not None:
            self._thread = threading.Thread(target=self._run, name="verification", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the process wherever it is; the next one goes on from there."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LOOK_S)
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)

    def damage(self) -> str:
        """Which files are not, or were not until today, as they were signed, and what else; "" where all is well."""
        chinese = self._station.site.alarms.language == "zh_CN"
        status = verification_status(self._station.state)
        if status is None:
            return ""
        last = status["last"] or {}
        if status["damaged"]:
            count, first, why = status["damaged"], status["damaged_first"], status["failure"]
            words = (
                f"{count} 个文件与签名记录不符，尚未修复：{first}"
                if chinese
                else f"{count} files are not as they were signed and not repaired yet: {first}"
            )
            return f"{words}; {why}" if why else words
        if last.get("altered"):
            return str(last["altered"])
        if status["repaired_at"] and now() - from_text(status["repaired_at"]) < TOLD_FOR:
            count = status["repaired"]
            return (
                f"{count} 个文件曾损坏，已用另一份修复；磁盘可能即将损坏"
                if chinese
                else f"{count} files were damaged and repaired from the other copy; a disk may be failing"
            )
        return ""

    def trouble(self) -> str:
        """Why nothing is verified though it should be; "" where it is. For any thread."""
        every = self._station.site.verification.every_days
        if every is None:
            return ""
        chinese = self._station.site.alarms.language == "zh_CN"
        status = verification_status(self._station.state)
        heard = max(from_text(status["at"]), self._begun_at) if status else self._begun_at
        silent_s = abs((now() - heard).total_seconds())
        if silent_s > SILENT_S:
            return (
                f"校验进程没有响应，最后一次在 {silent_s:.0f} 秒前"
                if chinese
                else f"the verifying process does not answer; it was last heard of {silent_s:.0f} s ago"
            )
        if status and status["failing"]:
            return str(status["failing"])
        begun = status["begun_at"] if status else None
        if begun and now() - from_text(begun) > timedelta(days=2 * every):
            days = (now() - from_text(begun)).days
            return (
                f"这一轮校验已进行 {days} 天仍未完成；请提高 verification.limit_mb_s"
                if chinese
                else f"this round of verification takes {days} days already; raise verification.limit_mb_s"
            )
        return ""

    def _run(self) -> None:
        if self._stop.wait(self._settle_s):
            return
        while True:
            try:
                self._keep_alive()
            except OSError:
                logger.exception("the verifying process cannot be started; it is tried again")
            if self._stop.wait(LOOK_S):
                return

    def _keep_alive(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                return
            logger.warning("the verifying process ended; a new one begins", status=self._process.returncode)
        site = self._station.site
        command = [sys.executable, "-m", "kaozheng_service.verification.worker", str(site.folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if self._process.stdin is not None:
            words = site.model_dump_json(by_alias=True, exclude_unset=True)
            self._process.stdin.write(words.encode() + b"\n")
            self._process.stdin.flush()
