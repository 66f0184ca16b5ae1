"""Clips with a fault put in: a camera that was turned by hand, or covered, as its stream would show it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.nudge import nudged
from kaozheng_coverage.projection import axes

Frame = npt.NDArray[np.uint8]
Spoil = Callable[[Frame], Frame]


def turned(camera: Camera, pan_deg: float, tilt_deg: float = 0.0, roll_deg: float = 0.0) -> Spoil:
    """The picture as the camera would show it after a turn; what comes in at the border repeats the border."""
    lens = camera.lens
    columns, rows = np.meshgrid(np.arange(lens.width_px) + 0.5, np.arange(lens.height_px) + 0.5)
    rays = lens.unproject(np.stack([columns.ravel(), rows.ravel()], axis=1))
    # From the turned camera's frame to the room, and into the frame of the camera as it was.
    back = axes(camera) @ axes(nudged(camera, pan_deg, tilt_deg, roll_deg)).T
    pixels = lens.project(rays @ back.T).reshape(lens.height_px, lens.width_px, 2) - 0.5
    across, down = (np.nan_to_num(pixels[..., axis], nan=-1).astype(np.float32) for axis in (0, 1))

    def spoil(frame: Frame) -> Frame:
        picture = cv2.remap(frame, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(picture, np.uint8)

    return spoil


def covered(share: float, seed: int = 1) -> Spoil:
    """A cloth over the left ``share`` of the lens: too near to be sharp, and not quite even."""

    def spoil(frame: Frame) -> Frame:
        height, width = frame.shape[:2]
        mask = np.zeros((height, width), np.float32)
        mask[:, : round(width * share)] = 1.0
        mask = cv2.GaussianBlur(mask, (0, 0), width / 60)[..., None]
        folds = cv2.GaussianBlur(
            np.random.default_rng(seed).normal(0, 1, (height // 8, width // 8)).astype(np.float32), (0, 0), 8
        )
        cloth = 70 + 12 * cv2.resize(folds / folds.std(), (width, height))[..., None]
        return np.clip(frame * (1 - mask) + cloth * mask, 0, 255).astype(np.uint8)

    return spoil


def spoil_clip(
    clip: Path, out: Path, spoil: Spoil, *, seconds: float = 6.0, every: int = 1, fragmented: bool = False
) -> Path:
    """The first seconds of ``clip`` with a fault put in: one picture of ``every``, a keyframe a second."""
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if fragmented else {}
    with av.open(clip) as source, av.open(out, "w", options=flags) as target:
        stream = source.streams.video[0]
        rate = stream.average_rate or Fraction(25)
        written = cast(VideoStream, target.add_stream("libx264", rate=rate / every))
        written.width, written.height, written.pix_fmt = stream.width, stream.height, "yuv420p"
        written.gop_size = round(rate / every)
        written.options = {"preset": "ultrafast", "crf": "26", "bf": "0"}
        for number, frame in enumerate(source.decode(stream)):
            if number >= seconds * rate:
                break
            if number % every:
                continue
            picture = av.VideoFrame.from_ndarray(spoil(frame.to_ndarray(format="bgr24")), format="bgr24")
            target.mux(written.encode(picture))
        target.mux(written.encode(None))
    return out
