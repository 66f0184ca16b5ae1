"""The QR code of a sheet, found in a photo or a scan of it.

A phone's photo is skewed, shadowed and far too large; a scan at 150 dpi has three pixels a module. So the picture is
tried smaller, flattened (its own light divided out), as black and white, and in sharpened parts, the cheapest first,
until a code is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

# Longer sides that are tried. Of 12 pages at 100, 150, 200 and 300 dpi each, OpenCV's finder by marker patterns read
# 47 of 48 as they were and all at 2000 px; its older one 40 and 42. Above 3000 px each try takes seconds.
_SIDES_PX = (2000, 1400, 3000)
# Parts overlap by half: the code, a sixth of the page's width, lies whole in one of them.
_PART = 0.4
_PART_PX = 1600
# A part without this much contrast is blank paper.
_LEAST_CONTRAST = 12.0


def read_qr(picture: np.ndarray) -> str:
    """The text of the QR code in it, "" where none can be read.

    Parameters
    ----------
    picture : (H, W) uint8, grey
    """
    finders = (cv2.QRCodeDetectorAruco(), cv2.QRCodeDetector())
    for tried in _views(picture):
        for finder in finders:
            if text := _decoded(finder, tried):
                return text
    for part in _parts(picture):
        flat = _flattened(_sized(part, _PART_PX))
        for tried in (flat, _sharpened(flat)):
            if text := _decoded(finders[0], tried):
                return text
    return ""


def _views(picture: np.ndarray) -> Iterator[np.ndarray]:
    if max(picture.shape) < _SIDES_PX[0]:
        yield picture
    for side in _SIDES_PX:
        sized = _sized(picture, side)
        yield sized
        flat = _flattened(sized)
        yield flat
        yield _sharpened(flat)
        yield _two_tone(flat)
    if max(picture.shape) > max(_SIDES_PX):  # slow, and what is left for a photo that is out of focus
        flat = _flattened(picture)
        yield picture
        yield flat
        yield _sharpened(flat)


def _decoded(finder: cv2.QRCodeDetectorAruco | cv2.QRCodeDetector, picture: np.ndarray) -> str:
    try:
        text, corners, _ = finder.detectAndDecode(picture)
    except (cv2.error, UnicodeDecodeError):  # a code that is no text, or corners that span nothing
        return ""
    return str(text) if corners is not None else ""


def _sized(picture: np.ndarray, side: int) -> np.ndarray:
    """With ``side`` pixels along the longer side."""
    scale = side / max(picture.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)


def _flattened(picture: np.ndarray) -> np.ndarray:
    """The paper's own brightness divided out: shadows and lamps go, ink stays."""
    width = max(picture.shape) // 30 | 1
    paper = cv2.GaussianBlur(cv2.dilate(picture, np.ones((9, 9), np.uint8)), (0, 0), width)
    return cv2.divide(picture, paper, scale=255)


def _two_tone(picture: np.ndarray) -> np.ndarray:
    return cv2.threshold(picture, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]


def _sharpened(picture: np.ndarray) -> np.ndarray:
    """Unsharp mask, against a lens that was a little off."""
    return cv2.addWeighted(picture, 2.5, cv2.GaussianBlur(picture, (0, 0), 3), -1.5, 0)


def _parts(picture: np.ndarray) -> Iterator[np.ndarray]:
    """Overlapping parts from the foot of the picture up, for that is where sheets carry the code."""
    height, width = picture.shape
    tall, wide = int(height * _PART), int(width * _PART)
    for top in range(height - tall, -1, -max(tall // 2, 1)):
        for left in range(0, width - wide + 1, max(wide // 2, 1)):
            part = picture[top : top + tall, left : left + wide]
            if part.size and float(part.std()) >= _LEAST_CONTRAST:
                yield part
