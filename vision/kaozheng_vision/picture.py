"""A picture made small for judging: one width for every camera, and where in it the room is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kaozheng_vision.errors import VisionError

Frame = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# All numbers are taken at this width, so that one threshold serves every resolution.
WIDTH_PX = 640
# Cameras burn the date and their name into the top or the bottom line: 1/10 of the height each holds them.
CAPTION_BAND = 0.1
# One row of tiles: a picture wider than 16:1 cannot be compared.
LEAST_HEIGHT_PX = 40


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """``small`` is (height, 640, 3) BGR, ``grey`` its luma; ``scene`` is true where the room is, not a caption.

    ``width_px`` and ``height_px`` are the full picture's.
    """

    small: Frame
    grey: Frame
    scene: Mask
    width_px: int
    height_px: int


def make_picture(frame: Frame, clock_mask: Mask | None = None) -> Picture:
    """Make a frame small.

    Parameters
    ----------
    frame : (height, width, 3) BGR
    clock_mask : (height, width), true where a clock or caption is burnt in; the top and bottom tenth if None

    Raises
    ------
    VisionError : a picture of zero size, or a mask of another size than the picture
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise VisionError(f"a picture of size {frame.shape} shows nothing; the camera sent no usable picture")
    height, width = frame.shape[:2]
    if clock_mask is not None and clock_mask.shape != (height, width):
        raise VisionError(
            f"the clock mask is {clock_mask.shape[1]} x {clock_mask.shape[0]} and the picture {width} x {height}; "
            "draw the mask on a picture of this camera"
        )
    if height * WIDTH_PX / width < LEAST_HEIGHT_PX:
        raise VisionError(
            f"a picture of {width} x {height} is no camera's view; check the stream's resolution"
        )
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    how = cv2.INTER_AREA if width > WIDTH_PX else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(frame, size, interpolation=how), dtype=np.uint8)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    return Picture(small, grey, _scene((size[1], size[0]), clock_mask), width, height)


def _scene(shape: tuple[int, int], clock_mask: Mask | None) -> Mask:
    scene = np.ones(shape, dtype=np.bool_)
    if clock_mask is None:
        band = round(shape[0] * CAPTION_BAND)
        scene[:band] = scene[shape[0] - band :] = False
    else:
        small = cv2.resize(clock_mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        scene &= np.asarray(small) == 0
    return scene
