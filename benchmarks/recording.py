"""What recording costs beside plain ffmpeg, how late it begins, how fast it is back after a fault, and what that loses.

    python -m benchmarks.recording --cameras 10 20 40 --seconds 60 --trials 3

Writes ``bench-out/recording.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kaozheng_service.database import Segment
from kaozheng_service.rehearsal import HOW_TO_INSTALL, gstreamer_python

from benchmarks.exam import Exam, addresses, camera_ids, cameras, make_clip, make_exam, plain_recorders
from benchmarks.faults import faults_report
from benchmarks.processes import Usage, usage

OUT = Path("bench-out") / "recording.md"
# Of the same streams at the same time; more of them would only load the machine.
MOST_PLAIN = 10
# Until every camera has closed its first file of 30 s, and the plain recorders theirs.
SETTLE_S = 35.0
CPU_TARGET, MEMORY_TARGET_MB = 1.15, 3.0

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Cost:
    """One run. ``cpu_s`` is over ``seconds``; ``late_s`` is each camera's first frame less its window's begin."""

    cameras: int
    plain_cameras: int
    seconds: float
    cpu_s: dict[str, float]
    memory: dict[str, Usage]
    ticks_s: list[float]
    late_s: list[float]

    def per_hour(self, *parts: str) -> float:
        """Processor seconds a camera and hour of these parts."""
        count = self.plain_cameras if "plain" in parts else self.cameras
        return sum(self.cpu_s[part] for part in parts) * 3600 / self.seconds / count


def measure(folder: Path, clip: Path, count: int, seconds: float, watch_s: float) -> Cost:
    """The daemon with ``count`` cameras, and plain recorders on some of the same streams at the same time."""
    with cameras(clip, count) as server:
        sources = addresses(server, camera_ids(count))
        exam = make_exam(
            folder / f"site-{count}", sources, seconds=SETTLE_S + seconds + 60, segment_s=30, watch_s=watch_s
        )
        exam.start()
        try:
            exam.wait(-3)
            with plain_recorders(folder / f"plain-{count}", server, exam.cameras[:MOST_PLAIN]) as plain:
                exam.wait(SETTLE_S)
                before, begun_s = _used(exam, plain), time.monotonic()
                ticks = []
                while time.monotonic() - begun_s < seconds:
                    time.sleep(2.0)
                    ticks.append(exam.tick_s())
                after, took_s = _used(exam, plain), time.monotonic() - begun_s
            late = [
                (exam.rows(Segment, camera)[0].starts_at - exam.begins).total_seconds()
                for camera in exam.cameras
            ]
        finally:
            exam.end()
    spent = {
        part: after[part].cpu_s + after[part].reaped_s - before[part].cpu_s - before[part].reaped_s
        for part in after
    }
    return Cost(count, min(count, MOST_PLAIN), took_s, spent, after, ticks, late)


def _used(exam: Exam, plain: Sequence[int]) -> dict[str, Usage]:
    return exam.usage() | {"plain": usage(plain)}


def cost_lines(costs: list[Cost], watch_s: float) -> Lines:
    """The tables of what recording costs."""
    if not costs:
        return []
    lines = [
        "### Processor time and memory",
        "Streams of 1080p25 H.264 at 4 Mbit/s over RTSP on the loopback interface. Plain: `ffmpeg -c copy -f segment`"
        f" on up to {MOST_PLAIN} of the same streams at the same time."
        " Processor seconds (user and system) a camera-hour:",
        "",
        "| cameras | plain ffmpeg | our recorders | daemon | ratio (target 1.15) | watch | ratio with the watch |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in costs:
        plain, recorders = one.per_hour("plain"), one.per_hour("recorders", "masks")
        daemon, watch = one.per_hour("daemon"), one.per_hour("watch")
        ratio, with_watch = (recorders + daemon) / plain, (recorders + daemon + watch) / plain
        lines.append(
            f"| {one.cameras} | {plain:.1f} | {recorders:.1f} | {daemon:.1f} | **{ratio:.2f}** | "
            f"{watch:.1f} | {with_watch:.2f} |"
        )
    lines += [
        "",
        "The daemon hashes, syncs, indexes and signs; the watch judges every picture every"
        f" {watch_s:g} s, here without an"
        " accepted view. Memory (PSS), MB:",
        "",
        "| cameras | plain ffmpeg, each | our recorder with its mask, each | daemon | watch | a round of the loop,"
        " median and longest |",
        "|---|---|---|---|---|---|",
    ]
    for one in costs:
        used = one.memory
        ours = (used["recorders"].pss_mb + used["masks"].pss_mb) / one.cameras
        lines.append(
            f"| {one.cameras} | {used['plain'].pss_mb / one.plain_cameras:.1f} | {ours:.1f} | "
            f"{used['daemon'].pss_mb:.0f} (own {used['daemon'].own_mb:.0f}) | {used['watch'].pss_mb:.0f} | "
            f"{np.median(one.ticks_s) * 1000:.0f} ms, {max(one.ticks_s) * 1000:.0f} ms |"
        )
    if len(costs) > 1:
        sizes = [one.cameras for one in costs]
        each_mb, _ = np.polyfit(sizes, [one.memory["daemon"].own_mb for one in costs], 1)
        each_s, fixed_s = np.polyfit(sizes, [one.per_hour("daemon") * one.cameras for one in costs], 1)
        lines += [
            "",
            f"Each camera adds **{each_mb:.2f} MB** to the daemon (target {MEMORY_TARGET_MB:g}) and {each_s:.1f} s of"
            f" processor time an hour; {max(fixed_s, 0):.0f} s an hour do not depend on the cameras.",
        ]
    lines += [
        "",
        "### The begin of a window",
        "The first recorded frame less the window's begin, s; below zero it was recorded from the begin on.",
        "",
        "| cameras | first | median | last | begun late |",
        "|---|---|---|---|---|",
    ]
    for one in costs:
        first, middle, last = min(one.late_s), np.median(one.late_s), max(one.late_s)
        late = sum(each > 0 for each in one.late_s)
        lines.append(f"| {one.cameras} | {first:+.1f} | {middle:+.1f} | {last:+.1f} | {late} |")
    return [*lines, ""]


def recording_report(
    sizes: Sequence[int] = (10, 20, 40), seconds: float = 60.0, trials: int = 3, watch_s: float = 5.0
) -> Lines:
    """Everything about recording, as lines of a report; it is written to ``bench-out/recording.md`` too."""
    if gstreamer_python() is None:
        return [f"Recording was not measured: it needs {HOW_TO_INSTALL}"]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        clip = make_clip(folder)
        lines = cost_lines([measure(folder, clip, count, seconds, watch_s) for count in sizes], watch_s)
        lines += faults_report(folder, clip, trials) if trials else []
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recording", description="What recording costs."
    )
    parser.add_argument("--cameras", type=int, nargs="*", default=[10, 20, 40])
    parser.add_argument("--seconds", type=float, default=60, help="measured for each number of cameras")
    parser.add_argument("--trials", type=int, default=3, help="of each fault; 0 leaves faults out")
    parser.add_argument(
        "--watch-every", type=float, default=5, metavar="SECONDS", help="each picture is judged"
    )
    options = parser.parse_args(arguments)
    print("\n".join(recording_report(options.cameras, options.seconds, options.trials, options.watch_every)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
