"""The watch over pictures: false episodes over a camera-day of untouched footage, faults found in time, turns, cost."""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_service.ffmpeg import ffmpeg_path
from kaozheng_service.recording.newest import decode_first, newest_fragment
from kaozheng_vision.diagnose import FROZEN_FRAMES, Fault, Look, judge_looks, look
from kaozheng_vision.drift import estimate_drift
from kaozheng_vision.picture import WIDTH_PX, make_picture
from kaozheng_vision.reference import Reference, make_reference
from kaozheng_vision.watch import AlarmState
from scipy.spatial.transform import Rotation

from benchmarks.footage import HFOV_DEG, Camera, Clip, Frame, every, faults, random_turn, real_clips, turned

EVERY_S = 5.0
IN_TIME_S = 30.0
# Which share of the camera-day each clip gets: the first has the most people and the longest loop.
HOURS = (16.0, 4.0, 4.0)
TRIALS = 40
CAMERAS = 40

Lines = list[str]


class Watched:
    """One camera under watch, as the daemon's: the last looks, and the state of its alarms."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        height, width = reference.frame.shape[:2]
        self._lens = pinhole_lens(width, height, HFOV_DEG)
        self._looks: deque[Look] = deque(maxlen=FROZEN_FRAMES)
        self.state = AlarmState()

    def see(self, at_s: float, frame: Frame) -> set[Fault]:
        """The alarms that are raised by this picture."""
        self._looks.append(look(frame, at_s, references=[self._reference], lens=self._lens))
        changes = self.state.update(at_s, judge_looks(tuple(self._looks), compared=True))
        return {change.kind for change in changes if change.raised}


def accepted(clip: Clip, camera: Camera) -> Reference:
    """The view that was accepted: three pictures of the clip's begin, as the camera shows them at its best."""
    step = max(1, len(clip.frames) // 40)
    return make_reference(
        [camera.shows(frame, Camera.QUALITIES[0]) for frame in clip.frames[: 3 * step : step]]
    )


def watch_report() -> Lines:
    """Everything about the watch, as lines of a report."""
    clips = real_clips()
    if not clips:
        return ["No real footage beside the project: the watch was not measured."]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the daemon sets it for its own process
    jobs = [(index, hours / 2, half) for index, hours in enumerate(HOURS) for half in (0, 1)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        days = list(pool.map(_camera_day, jobs))
        trials = list(pool.map(_fault_trials, range(len(clips))))
        drifts = list(pool.map(_drift_trials, range(len(clips))))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        cost = pool.submit(_cost_lines).result()
    return [*_day_lines(clips, jobs, days), *_fault_lines(trials), *_drift_lines(clips, drifts), *cost]


def _camera_day(job: tuple[int, float, int]) -> Counter[str]:
    """Alarms raised over so many hours of untouched footage, by kind."""
    index, hours, half = job
    cv2.setNumThreads(1)
    clip, camera = real_clips()[index], Camera()
    watched, random = Watched(accepted(clip, camera)), np.random.default_rng(100 + index * 2 + half)
    raised: Counter[str] = Counter()
    quality = Camera.QUALITIES[0]
    for number, (at_s, frame) in enumerate(every(clip, EVERY_S, hours, begin_s=half * 61.0)):
        if number % 60 == 0:  # another quality every five minutes
            quality = int(random.choice(Camera.QUALITIES))
        for kind in watched.see(at_s, camera.shows(frame, quality)):
            raised[kind.value] += 1
    return raised


def _fault_trials(index: int) -> dict[str, list[float | None]]:
    """By kind of fault: the seconds until its alarm in each trial, None for never within two minutes."""
    cv2.setNumThreads(1)
    clip, camera = real_clips()[index], Camera()
    reference, random = accepted(clip, camera), np.random.default_rng(200 + index)
    found: dict[str, list[float | None]] = {}
    for _ in range(TRIALS):
        for kind, spoil in faults(random, camera.shows(clip.frames[0], 22)).items():
            watched, quality = Watched(reference), int(random.choice(Camera.QUALITIES))
            begin_s = float(random.uniform(0, len(clip.frames) / clip.fps))
            # The fault begins somewhere between two looks.
            fresh_s = 6 * EVERY_S - float(random.uniform(0, EVERY_S))
            delay: float | None = None
            for at_s, frame in every(clip, EVERY_S, 150 / 3600, begin_s):
                spoilt = spoil(even(frame)) if at_s >= fresh_s else frame
                if Fault(kind) in watched.see(at_s, camera.shows(spoilt, quality)):
                    delay = at_s - fresh_s
                    break
            found.setdefault(kind, []).append(delay)
    return found


def even(frame: Frame) -> Frame:
    """Cut to even sides, as the encoder does."""
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _drift_trials(index: int) -> tuple[list[float], list[float], int]:
    """Errors of measured turns, degrees; turns measured on untouched pictures; how many could not be measured."""
    cv2.setNumThreads(1)
    clip, camera = real_clips()[index], Camera()
    reference, random = accepted(clip, camera), np.random.default_rng(300 + index)
    height, width = reference.frame.shape[:2]
    lens = pinhole_lens(width, height, HFOV_DEG)
    errors, untouched, missed = [], [], 0
    for _ in range(150):
        frame = even(clip.frames[int(random.integers(len(clip.frames)))])
        quality = int(random.choice(Camera.QUALITIES))
        still = estimate_drift(reference, make_picture(camera.shows(frame, quality)), lens)
        if still is not None:
            untouched.append(still.angle_deg)
        rotation = random_turn(random, 0.3, 3.0)
        shown = camera.shows(turned(rotation, width, height)(frame), quality)
        drift = estimate_drift(reference, make_picture(shown), lens)
        if drift is None:
            missed += 1
        else:
            off = Rotation.from_matrix(drift.rotation @ rotation.T).magnitude()
            errors.append(math.degrees(float(off)))
    return errors, untouched, missed


def _day_lines(clips: list[Clip], jobs: list[tuple[int, float, int]], days: list[Counter[str]]) -> Lines:
    hours = sum(hours for _, hours, _ in jobs)
    lines = [
        "### False alarms",
        f"{hours:.0f} hours of untouched real footage in all, looped, every picture encoded again as an H.264 keyframe"
        f" at one of {len(Camera.QUALITIES)} qualities (CRF {Camera.QUALITIES[0]} to {Camera.QUALITIES[-1]}), one every"
        f" {EVERY_S:g} s.",
        "",
        "| clip | hours | false episodes |",
        "|---|---|---|",
    ]
    total = 0
    for index, clip in enumerate(clips):
        raised = sum((day for (one, _, _), day in zip(jobs, days, strict=True) if one == index), Counter())
        total += raised.total()
        words = ", ".join(f"{kind}: {count}" for kind, count in raised.items()) or "none"
        lines.append(f"| {clip.name} | {HOURS[index]:g} | {words} |")
    return [*lines, "", f"**{total * 24 / hours:.2f} false episodes a camera-day** (target 0.1).", ""]


def _fault_lines(trials: list[dict[str, list[float | None]]]) -> Lines:
    lines = [
        "### Fresh faults",
        f"Put into the same footage at random strength, {TRIALS} trials a clip and kind; found: alarm raised.",
        "",
        "| fault | trials | within 30 s | median delay | slowest | never in 2 min |",
        "|---|---|---|---|---|---|",
    ]
    for kind in trials[0]:
        delays = [delay for one in trials for delay in one[kind]]
        known = sorted(delay for delay in delays if delay is not None)
        in_time = sum(delay <= IN_TIME_S for delay in known)
        lines.append(
            f"| {kind} | {len(delays)} | {in_time / len(delays):.1%} | "
            f"{np.median(known) if known else math.nan:.0f} s | {known[-1] if known else math.nan:.0f} s | "
            f"{len(delays) - len(known)} |"
        )
    return [*lines, ""]


def _drift_lines(clips: list[Clip], drifts: list[tuple[list[float], list[float], int]]) -> Lines:
    lines = [
        "### View drift",
        f"Turns of 0.3 to 3 degrees about any axis (a pinhole of {HFOV_DEG:g} degrees), error of the measure.",
        "",
        "| clip | turns | median error | 95th percentile | not measured | largest turn seen on untouched pictures |",
        "|---|---|---|---|---|---|",
    ]
    for clip, (errors, untouched, missed) in zip(clips, drifts, strict=True):
        lines.append(
            f"| {clip.name} | {len(errors) + missed} | {np.median(errors):.3f} deg | "
            f"{np.percentile(errors, 95):.3f} deg | {missed} | {max(untouched):.3f} deg of {len(untouched)} |"
        )
    return [*lines, ""]


def _cost_lines() -> Lines:
    """Processor time of one look at a 1080p stream, from the growing file to the findings, one thread."""
    cv2.setNumThreads(1)
    clip = Path(__file__).resolve().parents[1] / "sample_media" / "9-101" / "front-left.mp4"
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        file = Path(folder) / "open-00001.mp4"
        command = [ffmpeg_path(), "-v", "error", "-i", str(clip), "-c", "copy", "-movflags"]
        subprocess.run([*command, "frag_keyframe+empty_moov+default_base_moof", str(file)], check=True)
        reference = make_reference([_newest(file)])
        lens = pinhole_lens(*reference.frame.shape[1::-1], HFOV_DEG)
        looks: deque[Look] = deque(maxlen=FROZEN_FRAMES)

        def once() -> None:
            picture = _newest(file, WIDTH_PX)
            looks.append(look(picture, float(len(looks)), references=[reference], lens=lens))
            judge_looks(tuple(looks), compared=True)

        cost, bare = _processor_s(once), _processor_s(lambda: _newest(file, WIDTH_PX))
    core = cost * CAMERAS / EVERY_S
    return [
        "### Cost",
        f"One look at a 1080p H.264 camera takes {cost / bare:.1f} times the processor time of decoding its keyframe"
        f" alone ({cost * 1000:.0f} ms against {bare * 1000:.0f} ms here). {CAMERAS} cameras at one look per"
        f" {EVERY_S:g} s: **{core:.2f} of a core** (target 0.5; machine: {os.cpu_count()} cores).",
        "",
    ]


def _newest(file: Path, width_px: int | None = None) -> Frame:
    """The newest picture of a growing file, as the watch takes it."""
    fragment = newest_fragment(file)
    picture = None if fragment is None else decode_first(fragment[1], width_px=width_px)
    if picture is None:
        raise ValueError(f"{file} has no picture")
    return picture


def _processor_s(work: Callable[[], object], rounds: int = 40) -> float:
    work()
    begun = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - begun) / rounds
