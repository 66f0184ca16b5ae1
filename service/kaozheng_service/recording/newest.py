"""The newest picture of a file that is still being written: no second connection to the camera, no whole decode."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from kaozheng_vision.picture import Frame

from kaozheng_service.recording.fragments import first_sample, read_box


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


def decode_first(data: bytes, *, width_px: int | None = None) -> Frame | None:
    """The first picture of a header and a fragment, (height, width, 3) BGR; None where it cannot be decoded.

    Parameters
    ----------
    width_px : make the picture so wide, its shape kept; a smaller one is converted faster
    """
    try:
        frame = _decode(data)
    except (av.error.FFmpegError, IndexError, ValueError, struct.error):
        return None
    if frame is None or not frame.width or not frame.height:
        return None
    if width_px is not None and width_px < frame.width:
        height_px = max(1, round(frame.height * width_px / frame.width))
        frame = frame.reformat(width=width_px, height=height_px, format="bgr24", interpolation="AREA")
    return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)


def _decode(data: bytes) -> av.VideoFrame | None:
    """The keyframe's packet straight to a decoder: a demuxer decodes two to four frames more to learn the format.

    (Measured on 1080p H.264: 15 ms against 47 ms.)
    """
    sample = first_sample(data)
    if sample is not None:
        context = cast(VideoCodecContext, av.CodecContext.create(sample.codec, "r"))
        context.thread_count = 1
        context.extradata = sample.header
        # Else FFmpeg paints what it cannot read grey, and garbage passes for a picture.
        context.options = {"err_detect": "explode"}
        decoded = [*context.decode(av.Packet(sample.data)), *context.decode(None)]
    else:
        with av.open(io.BytesIO(data), mode="r", format="mp4") as container:
            decoded = [frame for _, frame in zip(range(1), container.decode(video=0), strict=False)]
    frame = next((one for one in decoded if isinstance(one, av.VideoFrame)), None)
    return None if frame is None or frame.is_corrupt else frame


def _bytes(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)
