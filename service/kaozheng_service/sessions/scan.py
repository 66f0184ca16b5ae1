"""The checkpoint of a sheet, from the text that a scanner gave or from a picture of the page."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kaozheng_service.errors import UserError

# As it is, then made this wide. Of 12 pages at 100, 150, 200 and 300 dpi each, OpenCV's finder by marker patterns read
# 47 of 48 as they were and all at 2000 px; its older one 40 and 42.
_WIDTHS_PX = (0, 2000, 3000)


def read_checkpoint(path: Path) -> str:
    """Text of the file, or of the QR code in it where it is a picture.

    Raises
    ------
    UserError : no such file, neither text nor picture, or no code to be read in it
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; give the text or a picture of the code"
        ) from None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if picture is not None:
        text = _qr_text(picture)
        if not text:
            raise UserError(f"{path}: no QR code can be read in it; take it closer, flat and in good light")
        return text
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: neither text nor a picture; a PDF is first to be printed or shown"
        ) from None


def _qr_text(picture: np.ndarray) -> str:
    for width in _WIDTHS_PX:
        scale = width / picture.shape[1] if width else 1.0
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        sized = picture if width == 0 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
        for finder in (cv2.QRCodeDetectorAruco(), cv2.QRCodeDetector()):
            text, corners, _ = finder.detectAndDecode(sized)
            if corners is not None and text:
                return str(text)
    return ""
