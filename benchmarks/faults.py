"""Faults of recorders and streams in several trials: what each loses, and how soon it is over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from kaozheng_service.database import Gap
from kaozheng_service.rehearsal import RehearsalServer

from benchmarks.exam import BITRATE, GOP_S, Exam, addresses, camera_ids, cameras, make_exam

PER_FAULT = 3
# The site's own default is 15 s; here the trials are shorter.
SILENCE_S = 6.0
# From one trial to the next: away, the longest pause between attempts (10 s), connecting, and a take that is steady.
TRIAL_S = 40.0
AWAY_S, STALL_S = 3.0, 14.0
RUN_IN_S = 14.0

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Loss:
    """One camera in one trial, s: missing footage, and from a moment on until the first frame that was recorded again.

    ``back_s`` is from when the stream could be had again, ``shown_s`` from the first picture the server sent then.
    """

    lost_s: float
    back_s: float
    shown_s: float


@dataclass(frozen=True, slots=True)
class _Fault:
    """``do`` gets the recorders' pids and the server; ``returns_s`` is when the stream can be had again."""

    what: str
    do: Callable[[list[int], RehearsalServer], None]
    returns_s: float


def _signal(number: signal.Signals) -> Callable[[list[int], RehearsalServer], None]:
    def send(recorders: list[int], _server: RehearsalServer) -> None:
        for pid in recorders:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    return send


def _kill_server(_recorders: list[int], server: RehearsalServer) -> None:
    server.kill()
    time.sleep(AWAY_S)
    server.start()


def _stall(_recorders: list[int], server: RehearsalServer) -> None:
    if server.pid is not None:
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.kill(server.pid, signal.SIGCONT)


FAULTS = (
    _Fault("recorder killed (SIGKILL)", _signal(signal.SIGKILL), 0.0),
    _Fault("recorder stopped (SIGSTOP)", _signal(signal.SIGSTOP), 0.0),
    _Fault(f"server killed, back after {AWAY_S:g} s", _kill_server, AWAY_S),
    _Fault(f"stream stalls for {STALL_S:g} s", _stall, STALL_S),
)


def faults_report(folder: Path, clip: Path, trials: int) -> Lines:
    """All kinds of fault at once, each to cameras of its own, so often; and what each lost."""
    names = camera_ids(PER_FAULT * len(FAULTS))
    groups = [names[first : first + PER_FAULT] for first in range(0, len(names), PER_FAULT)]
    with ExitStack() as stack:
        servers = [stack.enter_context(cameras(clip, len(names))) for _ in FAULTS]
        sources = {
            name: address
            for server, group in zip(servers, groups, strict=True)
            for name, address in addresses(server, group).items()
        }
        length_s = RUN_IN_S + TRIAL_S * trials
        exam = make_exam(folder / "faults", sources, seconds=length_s, segment_s=10, silence_s=SILENCE_S)
        exam.start()
        stack.callback(exam.end)
        moments = []
        for number in range(trials):
            # At another place in the group of pictures each time.
            exam.wait(RUN_IN_S + TRIAL_S * number + GOP_S * number / trials)
            moments.append(datetime.now(UTC))
            with ThreadPoolExecutor(len(FAULTS)) as pool:
                for fault, server, group in zip(FAULTS, servers, groups, strict=True):
                    pids = [pid for camera in group if (pid := exam.recorder(camera)) is not None]
                    pool.submit(fault.do, pids, server)
        closed = exam.until_closed()
        losses = [
            [_loss(exam, server, camera, at, fault) for at in moments for camera in group]
            for fault, server, group in zip(FAULTS, servers, groups, strict=True)
        ]
        unexplained = sum(camera.unexplained_s for one in exam.completeness() for camera in one.cameras)
        gaps = len(exam.rows(Gap))
    return [
        *_lines(losses),
        f"{gaps} signed gaps; unexplained: {unexplained:.1f} s; every window closed: {'yes' if closed else 'no'}.",
        "",
    ]


def _loss(exam: Exam, server: RehearsalServer, camera: str, at: datetime, fault: _Fault) -> Loss:
    until = at + timedelta(seconds=TRIAL_S - 2 * GOP_S)
    gaps = [
        one for one in exam.rows(Gap, camera) if at - timedelta(seconds=2 * GOP_S) <= one.starts_at < until
    ]
    if not gaps:
        return Loss(0.0, 0.0, 0.0)
    lost_s = sum((one.ends_at - one.starts_at).total_seconds() for one in gaps)
    first = max(one.ends_at for one in gaps)
    shown = [moment for mount, moment in server.played if mount == f"/{camera}" and at < moment < until]
    return Loss(
        lost_s,
        (first - at).total_seconds() - fault.returns_s,
        (first - max(shown)).total_seconds() if shown else float("nan"),
    )


def _lines(losses: list[list[Loss]]) -> Lines:
    lines = [
        "### Faults",
        f"A keyframe every {GOP_S:g} s, a stream counted as silent after {SILENCE_S:g} s (a site's default is 15 s),"
        " files of 10 s. Back: from when the stream could be had again until the first frame recorded; shown: from the"
        " first picture that the server sent then. s, median and longest:",
        "",
        "| fault | trials | lost | MB lost | back | shown |",
        "|---|---|---|---|---|---|",
    ]
    for fault, found in zip(FAULTS, losses, strict=True):
        lost, back, shown = ([getattr(one, name) for one in found] for name in Loss.__slots__)
        lines.append(
            f"| {fault.what} | {len(found)} | {np.median(lost):.1f}, {max(lost):.1f} | "
            f"{np.median(lost) * BITRATE / 8e6:.1f}, {max(lost) * BITRATE / 8e6:.1f} | "
            f"{np.median(back):.1f}, {max(back):.1f} | {np.nanmedian(shown):.2f}, {np.nanmax(shown):.2f} |"
        )
    return [*lines, ""]
