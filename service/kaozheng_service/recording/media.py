"""What a closed file holds, read packet by packet; nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from statistics import median

import av

from kaozheng_service.recording.fragments import PRESSED_S
from kaozheng_service.recording.samples import UnknownFormError, read_pictures
from kaozheng_service.recording.timing import HOLE_S

# Slow cameras are judged by their own pace.
HOLE_INTERVALS = 3.0


@dataclass(frozen=True, slots=True)
class Hole:
    """No picture for ``length_s`` from ``after_s`` of the file on."""

    after_s: float
    length_s: float


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """``first_pts_s`` and ``last_pts_s`` are the stream's own time stamps, s; ``longest_group_s`` is the longest time
    between keyframes. ``duration_s`` gives pictures whose time stamps went back their usual time.
    """

    frames: int
    duration_s: float
    codec: str
    width: int
    height: int
    holes: tuple[Hole, ...]
    first_pts_s: float
    last_pts_s: float
    longest_group_s: float

    @property
    def missing_s(self) -> float:
        """How much of it is without a picture, s."""
        return sum(hole.length_s for hole in self.holes)

    def without_jump(self, jumped_s: float) -> MediaFacts:
        """The same where the longest holes, of ``jumped_s`` together, are the camera's clock being set."""
        kept = sorted(self.holes, key=lambda hole: hole.length_s)
        while kept and jumped_s >= kept[-1].length_s / 2:
            jump = kept.pop()
            jumped_s -= jump.length_s
            kept = [
                replace(hole, after_s=hole.after_s - jump.length_s * (hole.after_s > jump.after_s))
                for hole in kept
            ]
        gone_s = self.missing_s - sum(hole.length_s for hole in kept)
        holes = tuple(sorted(kept, key=lambda hole: hole.after_s))
        return replace(self, duration_s=self.duration_s - gone_s, holes=holes)


def read_facts(path: Path) -> MediaFacts | None:
    """Facts of the first video track; of a torn file, of its whole frames. None where there is none.

    OSError where it cannot be read now: that says nothing of what it holds.
    """
    try:
        found = read_pictures(path)
    except UnknownFormError:
        return demuxed_facts(path)
    times, keyframes = ([one / found.timescale for one in all_] for all_ in (found.times, found.keyframes))
    last_duration = found.last_duration / found.timescale
    return _facts(times, keyframes, last_duration, found.codec, found.width, found.height)


def demuxed_facts(path: Path) -> MediaFacts | None:
    """The same by a demuxer, of any file."""
    size = path.stat().st_size
    times: list[float] = []
    keyframes: list[float] = []
    last_duration = 0.0
    codec, width, height = "", 0, 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return None
            stream = container.streams.video[0]
            context = stream.codec_context
            codec, width, height = context.name, context.width, context.height
            for packet in container.demux(stream):
                if packet.pts is None or packet.time_base is None:
                    continue
                if packet.is_corrupt or (packet.pos is not None and packet.pos + packet.size > size):
                    break
                times.append(float(packet.pts * packet.time_base))
                if packet.is_keyframe:
                    keyframes.append(times[-1])
                last_duration = float((packet.duration or 0) * packet.time_base)
    except (av.FFmpegError, OSError):
        if not times:
            return None
    return _facts(times, keyframes, last_duration, codec, width, height)


def _facts(
    times: list[float], keyframes: list[float], last_duration: float, codec: str, width: int, height: int
) -> MediaFacts | None:
    if not times:
        return None
    times.sort()
    steps = [later - earlier for earlier, later in pairwise(times)]
    usual = median([step for step in steps if step >= PRESSED_S] or [last_duration])
    steps = _released(steps, usual)
    since = list(accumulate(steps, initial=0.0))
    # The last frame stands until the next would have come; a fragment's own last duration may be anything.
    duration = since[-1] + (min(last_duration, 2 * usual) or usual)
    smallest = max(HOLE_S, HOLE_INTERVALS * usual)
    holes = tuple(
        Hole(at + usual, step - usual)
        for at, step in zip(since, steps, strict=False)
        if step - usual >= smallest
    )
    groups = [later - earlier for earlier, later in pairwise([*keyframes, times[0] + duration])]
    return MediaFacts(
        len(times),
        duration,
        codec,
        width,
        height,
        holes,
        times[0],
        times[-1],
        max(groups, default=duration),
    )


def _released(steps: list[float], usual: float) -> list[float]:
    """Pictures in a row whose time stamps went back by ``HOLE_S`` or more stand where the muxer pressed them; each took
    its usual time.
    """
    found: list[float] = []
    for pressed, row in groupby(steps, key=lambda step: step < PRESSED_S):
        part = list(row)
        found += [usual] * len(part) if pressed and len(part) * usual >= HOLE_S else part
    return found
