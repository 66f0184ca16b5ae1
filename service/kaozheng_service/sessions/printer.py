"""Prints the sheet of every window that closed, beside the recording and never in its way.

Nothing is remembered: a closed window without a file is due. A daemon that died in between prints it when it is back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import structlog
from sqlalchemy import select

from kaozheng_service.clock import now
from kaozheng_service.config.site import Site
from kaozheng_service.database import Window
from kaozheng_service.sessions.printing import print_window, sheet_path
from kaozheng_service.station import Station, open_station

logger = structlog.get_logger()

EVERY_S = 5.0
# A sheet takes a second or two; on a machine that is busy recording, some more.
PRINT_S = 120.0
# A machine that was off over a weekend prints what it owes; older windows are printed by command.
LOOK_BACK = timedelta(days=4)
TRIES = 3
# Recording comes first on the processor.
NICE = 10


class SheetPrinter:
    """One a daemon. :meth:`start` returns at once; each sheet is made in a process of its own."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures: dict[str, int] = {}

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sheet printer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; a sheet that is being made is given up and made at the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PRINT_S)

    def due(self) -> list[str]:
        """Windows that closed and have no sheet. Test recordings of inspections stand on the acceptance sheet."""
        query = (
            select(Window)
            .where(
                Window.closed_leaf.is_not(None),
                Window.ends_at > now() - LOOK_BACK,
                Window.kind != "inspection",
            )
            .order_by(Window.ends_at, Window.id)
        )
        with self._station.sessions() as session:
            windows = list(session.scalars(query))
        return [
            window.id
            for window in windows
            if self._failures.get(window.id, 0) < TRIES and not sheet_path(self._station, window).exists()
        ]

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                for window_id in self.due():
                    self._print(window_id)
                    if self._stop.is_set():
                        return
            except Exception:
                logger.exception("printing session sheets failed; the next round tries again")

    def _print(self, window_id: str) -> None:
        process = get_context("spawn").Process(
            target=_print_alone, args=(self._station.site, window_id), daemon=True
        )
        process.start()
        if self._wait(process):
            logger.info("session sheet", window=window_id)
        elif not self._stop.is_set():
            self._failures[window_id] = self._failures.get(window_id, 0) + 1
            logger.error(
                "a session sheet could not be printed; recording goes on; print it with: kaozheng sheet --window",
                window=window_id,
                status=process.exitcode,
                tries=self._failures[window_id],
            )

    def _wait(self, process: BaseProcess) -> bool:
        """Whether it ended well, within its time and before we are stopped."""
        waited_s = 0.0
        while process.is_alive() and waited_s < PRINT_S and not self._stop.is_set():
            process.join(0.2)
            waited_s += 0.2
        if process.is_alive():
            process.kill()
        process.join()
        return process.exitcode == 0


def _print_alone(site: Site, window_id: str) -> None:
    """In the process: what it says goes to the daemon's standard error."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    station = open_station(site)
    with station.sessions() as session:
        path = sheet_path(station, session.get_one(Window, window_id))
    print_window(station, window_id, path)
