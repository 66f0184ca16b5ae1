"""How fast footage is read: how many files at once, how many bytes a second, and after what else on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable

from sqlalchemy import select

from kaozheng_service.clock import now
from kaozheng_service.database import Take, Window
from kaozheng_service.station import Station

MB = 1_000_000
# As the process of the second copy: recording comes first on the processor.
NICE = 10
# So often it is asked whether something is recorded; a window begins at most so long before we know.
ASK_S = 5.0


class Throttle:
    """Lets so many bytes a second through, over all threads; a late caller does not catch up.

    Parameters
    ----------
    bytes_per_s : asked at each piece, so that it may change; None lets everything through
    """

    def __init__(
        self,
        bytes_per_s: Callable[[], float | None] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._free_at_s = 0.0
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Return once ``count`` bytes more may be read."""
        rate = self._bytes_per_s()
        if rate is None:
            return
        with self._lock:
            present_s = self._clock()
            begin_s = max(present_s, self._free_at_s)
            self._free_at_s = begin_s + count / rate
        if begin_s > present_s:
            self._sleep(begin_s - present_s)


class Pace:
    """``jobs`` files at once; one alone, after everything else, while ``busy`` says that something is recorded.

    Parameters
    ----------
    gentle : always after everything else, as the service's own verification is
    """

    def __init__(
        self,
        jobs: int = 1,
        throttle: Throttle | None = None,
        *,
        busy: Callable[[], bool] = lambda: False,
        gentle: bool = False,
    ) -> None:
        self.jobs = jobs
        self.throttle = throttle or Throttle()
        self._busy = busy
        self._gentle = gentle
        self._lowered = threading.local()

    def ahead(self) -> int:
        """How many files may be begun or wait for their turn now."""
        if self._busy():
            self._gentle = True  # for good: a process may not raise its priority again
            return 1
        return 2 * self.jobs

    def settle(self) -> None:
        """Called by each reading thread: lower its priority for processor and disk, once, where it must be."""
        if self._gentle and not getattr(self._lowered, "done", False):
            self._lowered.done = True
            lower_priority(threading.get_native_id())


def lower_priority(thread: int) -> None:
    """Nice, and idle on the disk where ``ionice`` is installed; threads that it starts from now on inherit it."""
    os.setpriority(os.PRIO_PROCESS, thread, max(os.getpriority(os.PRIO_PROCESS, thread), NICE))
    program = shutil.which("ionice")
    if program is not None:
        subprocess.run([program, "-c", "3", "-p", str(thread)], check=False, capture_output=True)


def recording_now(station: Station) -> Callable[[], bool]:
    """Asks the database whether a take is open in a window that is not over; an answer holds for some seconds."""
    asked_at_s, answer = float("-inf"), False

    def busy() -> bool:
        nonlocal asked_at_s, answer
        if time.monotonic() - asked_at_s >= ASK_S:
            query = select(Take.id).join(Window).where(Take.closed_at.is_(None), Window.ends_at > now())
            with station.sessions() as session:
                answer = session.scalars(query.limit(1)).first() is not None
            asked_at_s = time.monotonic()
        return answer

    return busy
