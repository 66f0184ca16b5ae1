"""Real footage for the benches, as a camera's keyframes would bring it, and faults to put into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from scipy.spatial.transform import Rotation

Frame = npt.NDArray[np.uint8]
Spoil = Callable[[Frame], Frame]

REAL_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media" / "intel"
# Fixed cameras. The fourth clip's own camera pans half a degree in its four seconds.
CLIPS = ("one-by-one-person-detection.mp4", "classroom.gif", "people-detection.gif")
# The angle of view that turns are put in with and measured by: no lens of these cameras is known.
HFOV_DEG = 70.0


@dataclass(frozen=True)
class Clip:
    name: str
    frames: list[Frame]
    fps: float


def real_clips() -> list[Clip]:
    """The clips, decoded; none where they are not beside the project."""
    found = []
    for name in CLIPS:
        path = REAL_MEDIA / name
        if not path.is_file():
            return []
        with av.open(path) as container:
            rate = float(container.streams.video[0].average_rate or 10)
            frames = [
                np.asarray(one.to_ndarray(format="bgr24"), np.uint8) for one in container.decode(video=0)
            ]
        found.append(Clip(name, frames, rate))
    return found


class Camera:
    """Encodes single pictures as H.264 keyframes and decodes them again, at one of several qualities."""

    # From what an archive keeps to what a weak network leaves; SSIM falls from 0.98 to 0.90 on these clips.
    QUALITIES = (22, 26, 30, 34)

    def __init__(self) -> None:
        self._decoder = cast(VideoCodecContext, av.CodecContext.create("h264", "r"))
        self._decoder.thread_count = 1

    def shows(self, frame: Frame, quality: int) -> Frame:
        """The picture as its keyframe brings it."""
        height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        encoder = cast(VideoCodecContext, av.CodecContext.create("libx264", "w"))
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base = Fraction(1, 10)
        encoder.thread_count = 1
        encoder.options = {"preset": "veryfast", "crf": str(quality), "tune": "zerolatency"}
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="bgr24")
        packets = [*encoder.encode(picture), *encoder.encode(None)]
        shown = [one for packet in packets for one in self._decoder.decode(packet)]
        shown += self._decoder.decode(None)
        self._decoder.flush_buffers()
        return np.asarray(shown[0].to_ndarray(format="bgr24"), np.uint8)


def every(clip: Clip, seconds: float, hours: float, begin_s: float = 0.0) -> Iterator[tuple[float, Frame]]:
    """(time, frame) every so many seconds, the clip looped: each round meets other frames, as its length is odd."""
    length_s = len(clip.frames) / clip.fps
    for number in range(int(hours * 3600 / seconds)):
        at_s = number * seconds
        place = (begin_s + at_s + number * 0.137) % length_s
        yield at_s, clip.frames[min(int(place * clip.fps), len(clip.frames) - 1)]


def faults(random: np.random.Generator, frame: Frame) -> dict[str, Spoil]:
    """One fault of each kind of random strength, by the name of the vision package's ``Fault``."""
    height, width = frame.shape[:2]
    sigma = random.uniform(4, 16) * width / 1920
    black, dark, bright = random.uniform(0, 0.1), random.uniform(0.12, 0.22), random.uniform(2.6, 4.0)
    gains = np.ones(3)
    gains[random.integers(3)] = random.choice([random.uniform(0.45, 0.7), random.uniform(1.4, 1.8)])
    noise, seed = random.uniform(18, 35), int(random.integers(1 << 30))
    still: list[Frame] = []

    def frozen(picture: Frame) -> Frame:
        still.append(picture)
        return still[0]

    def noisy(picture: Frame) -> Frame:
        grain = np.random.default_rng(seed + len(still)).normal(0, noise, picture.shape)
        still.append(picture)
        return np.clip(picture + grain, 0, 255).astype(np.uint8)

    return {
        "black": lambda picture: (picture * black).astype(np.uint8),
        "too_dark": lambda picture: (picture * dark).astype(np.uint8),
        "too_bright": lambda picture: np.clip(picture * bright, 0, 255).astype(np.uint8),
        "blurred": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8),
        "frozen": frozen,
        "noisy": noisy,
        "covered": _cover(random, width, height),
        "colour_cast": lambda picture: np.clip(picture * gains, 0, 255).astype(np.uint8),
        "moved": turned(random_turn(random, 0.3, 3.0), width, height),
    }


def random_turn(random: np.random.Generator, least_deg: float, most_deg: float) -> npt.NDArray[np.float64]:
    """A rotation about any axis."""
    axis = random.normal(size=3)
    angle = math.radians(random.uniform(least_deg, most_deg))
    return np.asarray(Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix())


def turned(rotation: npt.NDArray[np.float64], width: int, height: int) -> Spoil:
    """The view turned by a rotation, through a pinhole; what comes in at the border repeats the border."""
    focal = width / 2 / math.tan(math.radians(HFOV_DEG) / 2)
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    homography = matrix @ rotation @ np.linalg.inv(matrix)

    def spoil(picture: Frame) -> Frame:
        moved = cv2.warpPerspective(
            picture, homography, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, np.uint8)

    return spoil


def _cover(random: np.random.Generator, width: int, height: int) -> Spoil:
    """A cloth, a bag or a sticker over half of the lens and more, from any side, too near to be sharp."""
    share, side = random.uniform(0.5, 1.0), int(random.integers(4))
    mask = np.zeros((height, width), np.float32)
    across, down = round(width * share), round(height * share)
    mask[
        [slice(None), slice(None), slice(down), slice(height - down, None)][side],
        [slice(across), slice(width - across, None), slice(None), slice(None)][side],
    ] = 1.0
    mask = cv2.GaussianBlur(mask, (0, 0), random.uniform(2, 12) * width / 640)[..., None]
    folds = cv2.GaussianBlur(random.normal(0, 1, (height, width)).astype(np.float32), (0, 0), width / 32)
    cloth = random.uniform(20, 200, 3) + 10 * (folds / folds.std())[..., None]
    return lambda picture: np.clip(picture * (1 - mask) + cloth * mask, 0, 255).astype(np.uint8)
