"""Judges the newest picture of a recording, in a process of its own: whatever a hostile stream does to a decoder, the
daemon and its recorders live on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from kaozheng_coverage.lens import Lens
from kaozheng_vision.diagnose import FROZEN_FRAMES, Diagnosis, Look, judge_looks, look
from kaozheng_vision.errors import VisionError
from kaozheng_vision.picture import WIDTH_PX
from kaozheng_vision.reference import Reference

from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.references import AcceptedFile, caption_mask, load_views
from kaozheng_service.recording.newest import Place, decode_first, newest_fragment

# Recording comes first on the processor.
NICE = 10
# How often it is asked whether the daemon lives.
PARENT_S = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """Look at the file of a camera's running take. ``after`` is the picture that was judged last."""

    window: str
    camera: CameraConfig
    lens: Lens
    path: Path
    at_s: float
    after: Place | None
    references: tuple[AcceptedFile, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """``diagnosis`` is None where no new picture has come; ``problem`` says what is wrong with the accepted view."""

    place: Place | None
    diagnosis: Diagnosis | None
    problem: str = ""


@dataclass(slots=True)
class _Seen:
    """What this process remembers of a camera; lost with it, and built again from the next pictures."""

    looks: deque[Look] = field(default_factory=lambda: deque(maxlen=FROZEN_FRAMES))
    files: tuple[AcceptedFile, ...] | None = None
    views: tuple[Reference, ...] = ()
    problem: str = ""


_seen: dict[tuple[str, str], _Seen] = {}


def begin() -> None:
    """Once in the process: behind the recorders, and deaf to the terminal's Ctrl-C, which the daemon answers."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Threads that wait for each other over a small picture cost twice the processor time.
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """A daemon that was killed cannot end this process, which would hold its memory and its pipes for ever."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os._exit(0)


def judge(job: Job) -> Answer:
    """Judge the newest picture together with the two before it."""
    try:
        found = newest_fragment(job.path)
    except OSError:
        found = None
    if found is None or (job.after is not None and found[0] <= job.after):
        return Answer(None, None)
    place, data = found
    seen = _seen.setdefault((job.window, job.camera.id), _Seen())
    if seen.files != job.references:
        seen.files, seen.looks = job.references, deque(maxlen=FROZEN_FRAMES)
        try:
            seen.views, seen.problem = load_views(job.references, job.camera), ""
        except UserError as error:
            seen.views, seen.problem = (), str(error)
    frame = decode_first(data, width_px=WIDTH_PX)
    if frame is None:
        return Answer(
            place, judge_looks((), compared=bool(seen.views)), "the newest picture could not be decoded"
        )
    mask = caption_mask(job.camera, frame.shape[1], frame.shape[0])
    try:
        newest = look(frame, job.at_s, clock_mask=mask, references=seen.views, lens=job.lens)
    except VisionError as error:
        return Answer(place, judge_looks((), compared=bool(seen.views)), str(error))
    if seen.looks and seen.looks[-1].picture.grey.shape != newest.picture.grey.shape:
        seen.looks.clear()  # another shape: what came before is another picture
    seen.looks.append(newest)
    return Answer(place, judge_looks(tuple(seen.looks), compared=bool(job.references)), seen.problem)
