"""The newest picture of a file that is still being written: no second connection to the camera, no whole decode."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np
from kaozheng_vision.picture import Frame

from kaozheng_service.recording.fragments import read_box


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a fragment is: file name, then offset in it. A later picture has a greater place."""

    file: str
    offset: int


def newest_fragment(path: Path) -> tuple[Place, bytes] | None:
    """The header and the last whole fragment of a growing file, which begins with a keyframe; None before the first.

    Raises
    ------
    OSError : the file is gone, as when it was closed and renamed since
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header_end = 0
        last: tuple[int, int] | None = None
        offset = 0
        while (box := read_box(file, offset, size)) is not None:
            kind, _, end = box
            if kind == b"moof":
                data = read_box(file, end, size)
                if data is None or data[0] != b"mdat":
                    break
                last = (offset, data[2])
                end = data[2]
            elif kind == b"moov":
                header_end = end
            offset = end
        if last is None or not header_end:
            return None
        return Place(path.name, last[0]), _bytes(file, 0, header_end) + _bytes(file, *last)


def decode_first(data: bytes) -> Frame | None:
    """The first picture of a header and a fragment, (height, width, 3) BGR; None where it cannot be decoded."""
    try:
        with av.open(io.BytesIO(data), mode="r", format="mp4") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            stream.codec_context.skip_frame = "NONKEY"
            for frame in container.decode(stream):
                return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    except (av.error.FFmpegError, IndexError, ValueError):
        return None
    return None


def _bytes(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)
