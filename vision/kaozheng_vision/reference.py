"""The view that was accepted: what a camera's later pictures are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from kaozheng_vision.errors import VisionError
from kaozheng_vision.picture import Frame, Mask, Picture, make_picture
from kaozheng_vision.tiles import Tiles, tiles_of

# Mean saturation (0-255) below which a picture has no colour: an infra-red view. Real pictures by day have 27-148
# (four cameras), the same ones made grey and encoded 0-2.
GREY_SATURATION = 8.0
# Contrast at which corners are followed, standard deviation of the luma: real pictures have 31-74.
_DEVIATION = 50.0
# Corners to follow: enough that people and desks may hide most of them.
CORNERS = 400


class Light(StrEnum):
    DAY = "day"
    INFRARED = "infrared"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """An accepted view.

    Attributes
    ----------
    frame : (height, width, 3) BGR, the full picture: the median over the frames, so that who walked by is not in it
    corners : (N, 2) float32 small pixels (the first one's middle at 0, as OpenCV counts), to be found again
    levelled : the luma with its light evened out, for following corners
    """

    frame: Frame
    picture: Picture
    light: Light
    tiles: Tiles
    corners: npt.NDArray[np.float32]
    levelled: Frame


def make_reference(frames: Sequence[Frame], clock_mask: Mask | None = None) -> Reference:
    """A reference from a few frames of one view.

    Raises
    ------
    VisionError : no frames, frames of different sizes, or a picture of zero size
    """
    if not frames:
        raise VisionError("a reference needs at least one picture; probe the camera first")
    if len({frame.shape for frame in frames}) > 1:
        raise VisionError("the frames have different sizes; a reference needs frames of one size")
    frame = frames[0] if len(frames) == 1 else np.median(np.stack(frames), axis=0).astype(np.uint8)
    picture = make_picture(frame, clock_mask)
    found = cv2.goodFeaturesToTrack(
        picture.grey,
        CORNERS,
        qualityLevel=0.005,
        minDistance=8,
        mask=picture.scene.astype(np.uint8) * 255,
        blockSize=5,
    )
    corners = np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2).astype(np.float32)
    return Reference(frame, picture, light_of(picture), tiles_of(picture), corners, levelled(picture.grey))


def light_of(picture: Picture) -> Light:
    """Day, or infra-red: a picture without colour."""
    hsv = cv2.cvtColor(picture.small, cv2.COLOR_BGR2HSV)
    saturation = cv2.mean(cv2.extractChannel(hsv, 1), picture.scene.astype(np.uint8))[0]
    return Light.INFRARED if saturation < GREY_SATURATION else Light.DAY


def levelled(grey: Frame) -> Frame:
    """Light evened out, in whole and in parts, so that a lamp that was switched does not look like motion."""
    mean, deviation = cv2.meanStdDev(grey)
    gain = _DEVIATION / max(float(deviation[0, 0]), 1.0)
    even = cv2.convertScaleAbs(grey, alpha=gain, beta=128 - gain * float(mean[0, 0]))
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(even), dtype=np.uint8)
