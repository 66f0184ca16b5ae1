"""The checkpoint of a sheet: from the text that a scanner gave, a photo or scan of the page, or the sheet's PDF."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

from kaozheng_service.errors import UserError
from kaozheng_service.evidence.note import NoteError, parse_checkpoint
from kaozheng_service.sessions.qr import read_qr

# A module of the printed code is 5 pixels wide at this density.
_PDF_DPI = 200
_PDF_S = 120
_MEND = "photograph the square alone, upright, flat and in even light, or scan the page at 300 dpi"


def read_checkpoint(path: Path) -> str:
    """Text of the file, or of the QR code in it where it is a picture or a PDF.

    Raises
    ------
    UserError : no such file, neither text nor picture nor PDF, or no checkpoint to be read in it
    """
    data = _bytes_of(path)
    if _is_picture(data):
        return read_scan(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: neither text nor a picture nor a PDF; give what was scanned or photographed"
        ) from None


def read_scan(path: Path) -> str:
    """The checkpoint in the QR code of a photo, a scan or a PDF. Raises as :func:`read_checkpoint`."""
    data = _bytes_of(path)
    if not _is_picture(data):
        raise UserError(f"{path}: neither a picture nor a PDF; give a photo or scan (JPEG, PNG) of the sheet")
    other = ""
    for page in _pages(path, data):
        text = read_qr(page)
        if _is_checkpoint(text):
            return text
        other = other or text
    if other:
        raise UserError(f"{path}: the QR code in it is no checkpoint of a log but {other[:60]!r}; {_MEND}")
    raise UserError(f"{path}: 二维码无法识读 / no QR code can be read in it; {_MEND}")


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; give the text or a picture of the code"
        ) from None


def _is_picture(data: bytes) -> bool:
    return data.startswith(b"%PDF") or (bool(data) and _decoded(data) is not None)


def _decoded(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def _pages(path: Path, data: bytes) -> list[np.ndarray]:
    """A picture as it is; a PDF's pages as pictures, the last first: there a sheet carries the code."""
    if (picture := _decoded(data)) is not None:
        return [picture]
    renderer = shutil.which("pdftoppm")
    if renderer is None:
        raise UserError(
            f"{path}: a PDF needs pdftoppm to be looked at; apt install poppler-utils, or give a picture of the page"
        )
    with tempfile.TemporaryDirectory(prefix="kaozheng-scan-") as folder:
        command = [renderer, "-r", str(_PDF_DPI), "-gray", "-png", str(path.absolute()), f"{folder}/page"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PDF_S, check=False)
        except subprocess.TimeoutExpired:
            raise UserError(f"{path}: takes too long to be drawn; give a picture of the page") from None
        files = sorted(Path(folder).glob("page*.png"), reverse=True)
        pages = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    drawn = [page for page in pages if page is not None]
    if not drawn:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(f"{path}: is no PDF that can be drawn: {said[0] if said else 'no page came of it'}")
    return drawn


def _is_checkpoint(text: str) -> bool:
    try:
        parse_checkpoint(text)
    except NoteError:
        return False
    return True
