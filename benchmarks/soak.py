"""Hours of exam under random faults: does the archive hold, and do memory and open files stay flat?

    python -m benchmarks.soak --minutes 60 --cameras 20

Writes ``bench-out/soak.md`` and ``bench-out/soak.svg``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from kaozheng_service.database import Gap, Segment, Take
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.rehearsal import RehearsalServer

from benchmarks.exam import BITRATE, Exam, addresses, camera_ids, cameras, make_clip, make_exam
from benchmarks.processes import Usage
from benchmarks.soak_chart import chart

OUT = Path("bench-out")
SAMPLE_S = 15.0
# Between two faults, s: a camera is back within 16 s, so that some faults meet others and most do not.
FAULT_EVERY_S = (15.0, 40.0)
# The first minutes fill caches; growth is measured after them, and so soon after a new daemon's start not at all.
WARM_UP_S = 180.0
SETTLING_S = 60.0
# A leak of 6 MB an hour would be 50 MB in a day of exams; one file an hour 8 of the 1024 that a process may open.
MOST_MB_PER_H, MOST_FILES_PER_H = 6.0, 1.0
DISK_FULL_S = 12.0

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Sample:
    """``life`` counts the daemon's starts, ``age_s`` is since the newest one."""

    at_s: float
    life: int
    age_s: float
    used: dict[str, Usage]


@dataclass
class Soak:
    """One run; ``faults`` counts what was done, ``samples`` what was seen."""

    exam: Exam
    server: RehearsalServer
    dice: random.Random
    kill_daemon_every_s: float
    faults: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    disk: Path | None = None
    life: int = 0
    born_at_s: float = 0.0
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def run(self, until_s: float) -> None:
        """Faults and samples until so many seconds into the windows."""
        self._start_daemon()
        self.exam.wait(0)
        begun_s = time.monotonic()
        fault_at_s, sample_at_s, kill_at_s = 20.0, 5.0, self.kill_daemon_every_s
        while (at_s := time.monotonic() - begun_s) < until_s:
            for due_s, action in list(self._later):
                if at_s >= due_s:
                    self._later.remove((due_s, action))
                    action()
            if at_s >= sample_at_s:
                sample_at_s = at_s + SAMPLE_S
                self.samples.append(
                    Sample(at_s, self.life, time.monotonic() - self.born_at_s, self.exam.usage())
                )
            if at_s >= kill_at_s:
                kill_at_s = at_s + self.kill_daemon_every_s
                self._kill_daemon(at_s)
            elif at_s >= fault_at_s:
                fault_at_s = at_s + self.dice.uniform(*FAULT_EVERY_S)
                self._fault(at_s)
            time.sleep(0.25)
        for _, action in self._later:
            action()
        self._later.clear()

    def _start_daemon(self) -> None:
        self.exam.start()
        self.life += 1
        self.born_at_s = time.monotonic()

    def _kill_daemon(self, at_s: float) -> None:
        self.faults["daemon killed"] += 1
        if self.exam.daemon is not None:
            self.exam.daemon.kill()
            self.exam.daemon.wait()
        self._later.append((at_s + self.dice.uniform(1, 20), self._start_daemon))

    def _fault(self, at_s: float) -> None:
        kinds = {"recorder killed": 4, "recorder stopped": 3, "recorder crashed": 4}
        kinds |= {"server killed": 1, "server stopped": 1} | (
            {"disk filled": 1} if self.disk is not None else {}
        )
        (kind,) = self.dice.choices(list(kinds), weights=list(kinds.values()))
        if kind == "disk filled" and self.disk is not None:
            self.faults[kind] += 1
            self._later.append((at_s + DISK_FULL_S, fill(self.disk).unlink))
            return
        if kind.startswith("server"):
            if self.server.pid is None or any(action == self._continue for _, action in self._later):
                return
            self.faults[kind] += 1
            if kind == "server killed":
                self.server.kill()
                self._later.append((at_s + self.dice.uniform(0, 15), self.server.start))
            else:
                os.kill(self.server.pid, signal.SIGSTOP)
                self._later.append((at_s + self.dice.uniform(5, 25), self._continue))
            return
        pid = self.exam.recorder(self.dice.choice(self.exam.cameras))
        if pid is None:
            return
        self.faults[kind] += 1
        number = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "crashed": signal.SIGSEGV}[
            kind.split()[1]
        ]
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def _continue(self) -> None:
        if self.server.pid is not None:
            os.kill(self.server.pid, signal.SIGCONT)


def fill(disk: Path) -> Path:
    """Take what is left of it, in ever smaller pieces."""
    filler, piece = disk / "filler", shutil.disk_usage(disk).free
    with filler.open("wb") as file:
        while piece >= 4096:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), piece)
            except OSError:
                piece //= 2
    return filler


@contextmanager
def small_disk(folder: Path, size_gb: float) -> Iterator[Path | None]:
    """A disk of its own, that can be filled; None where we may not mount one."""
    if os.geteuid() != 0:
        yield None
        return
    image, disk = folder / "disk.img", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(round(size_gb * 1e9))
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def growth(samples: list[Sample], of: Callable[[Sample], float]) -> tuple[float, float]:
    """Change an hour, with its standard error, within the lives of a daemon: each life has a level of its own."""
    at, value, life = [], [], []
    for one in samples:
        if one.at_s >= WARM_UP_S and one.age_s >= SETTLING_S and one.used["daemon"].count:
            at.append(one.at_s / 3600)
            value.append(of(one))
            life.append(one.life)
    lives = sorted(set(life))
    design = np.array(
        [[hour, *(one == other for other in lives)] for hour, one in zip(at, life, strict=True)], float
    )
    if len(at) < len(lives) + 3:
        return float("nan"), float("nan")
    solution, *_ = np.linalg.lstsq(design, np.array(value), rcond=None)
    off = np.array(value) - design @ solution
    variance = float(off @ off) / (len(at) - design.shape[1])
    return float(solution[0]), float(np.sqrt(variance * np.linalg.pinv(design.T @ design)[0, 0]))


def report(soak: Soak, minutes: float, closed: bool) -> tuple[Lines, bool]:
    """The tables; whether everything held."""
    exam = soak.exam
    found = [camera for one in exam.completeness() for camera in one.cameras]
    unexplained = sum(one.unexplained_s for one in found)
    verified = verify_archive(exam.station())
    gaps = exam.rows(Gap)
    lost = Counter[str]()
    for gap in gaps:
        lost[gap.cause] += (gap.ends_at - gap.starts_at).total_seconds()
    counts = Counter(gap.cause for gap in gaps)
    segments, takes = exam.rows(Segment), exam.rows(Take)
    lines = [
        f"{len(exam.cameras)} cameras of 1080p25 at 4 Mbit/s, {minutes:g} minutes, {soak.faults.total()} faults: "
        + ", ".join(f"{kind} {count}" for kind, count in sorted(soak.faults.items()))
        + ".",
        "",
        f"{len(takes)} takes, {len(segments)} segments, {sum(one.bytes for one in segments) / 1e9:.2f} GB; every window"
        f" closed: {'yes' if closed else 'no'}; archive: {verified.outcome}; unexplained: {unexplained:.1f} s.",
        "",
        "| cause of gaps | gaps | s lost |",
        "|---|---|---|",
        *(f"| {cause} | {counts[cause]} | {lost[cause]:.0f} |" for cause in sorted(counts)),
        "",
        "| what | begin | end | most | growth an hour | bound | told |",
        "|---|---|---|---|---|---|---|",
    ]
    held = closed and verified.outcome == "intact" and unexplained == 0
    for part, of, unit, most in _measures():
        values = [of(one) for one in soak.samples if one.used[part].count and one.age_s >= SETTLING_S]
        slope, error = growth(soak.samples, of)
        if not values or np.isnan(slope):
            lines.append(f"| {part}: {unit} | - | - | - | - | {most:g} | too short a run |")
            held = False
            continue
        # Two standard errors either way: what the run cannot decide is no pass.
        told = "grew" if slope - 2 * error > most else "flat" if slope + 2 * error <= most else "undecided"
        held = held and told == "flat"
        lines.append(
            f"| {part}: {unit} | {values[0]:.1f} | {values[-1]:.1f} | {max(values):.1f} | "
            f"{slope:+.1f} ± {2 * error:.1f} | {most:g} | {told} |"
        )
    return lines, held


def _measures() -> list[tuple[str, Callable[[Sample], float], str, float]]:
    def each(part: str, sample: Sample, value: float) -> float:
        return value / max(sample.used[part].count, 1)

    return [
        ("daemon", lambda one: one.used["daemon"].anonymous_mb, "anonymous, MB", MOST_MB_PER_H),
        ("daemon", lambda one: float(one.used["daemon"].files), "open files", MOST_FILES_PER_H),
        ("watch", lambda one: one.used["watch"].anonymous_mb, "anonymous, MB", MOST_MB_PER_H),
        ("watch", lambda one: float(one.used["watch"].files), "open files", MOST_FILES_PER_H),
        (
            "recorders",
            lambda one: each("recorders", one, one.used["recorders"].anonymous_mb),
            "anonymous each, MB",
            MOST_MB_PER_H,
        ),
        (
            "recorders",
            lambda one: each("recorders", one, one.used["recorders"].files),
            "open files each",
            MOST_FILES_PER_H,
        ),
    ]


def main(arguments: list[str] | None = None) -> int:
    """0 when the archive held and everything was told to be flat; growth needs an hour or more to be told."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description="Record for long under faults."
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-daemon-every", type=float, default=1200, metavar="SECONDS")
    parser.add_argument("--segment", type=float, default=30, metavar="SECONDS", help="length of a file")
    options = parser.parse_args(arguments)
    seconds = options.minutes * 60
    size_gb = options.cameras * seconds * BITRATE / 8e9 * 1.3 + 1
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, small_disk(Path(name), size_gb) as disk:
        folder = Path(name)
        with cameras(make_clip(folder), options.cameras) as server:
            exam = make_exam(
                folder / "site",
                addresses(server, camera_ids(options.cameras)),
                seconds=seconds,
                archive=disk / "archive" if disk is not None else None,
                segment_s=options.segment,
            )
            soak = Soak(exam, server, random.Random(options.seed), options.kill_daemon_every, disk=disk)  # noqa: S311
            try:
                soak.run(seconds - 1)
                closed = exam.until_closed()
                lines, held = report(soak, options.minutes, closed)
            finally:
                if server.pid is not None:
                    os.kill(server.pid, signal.SIGCONT)
                exam.end()
    OUT.mkdir(exist_ok=True)
    (OUT / "soak.svg").write_text(
        chart([(one.at_s / 60, one.used) for one in soak.samples]), encoding="utf-8"
    )
    lines.append("\n**Held.**" if held else "\n**Did not hold, or could not be told: see the tables.**")
    (OUT / "soak.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
