"""How far a growing fragmented MP4 has come, read from its box headers alone (ISO/IEC 14496-12).

A recorder's file is looked at every second or two; demuxing it each time would read it hundreds of times.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kaozheng_service.recording.timing import HOLE_S

# The boxes that hold a decoder's parameters (ISO/IEC 14496-15), and PyAV's name of the decoder.
_DECODERS = {b"avcC": "h264", b"hvcC": "hevc"}
# Kinds of NAL units (H.264 table 7-1, H.265 table 7-1): sequence parameter sets; pictures are those below the second.
_SEQUENCE_SET = {b"avcC": 7, b"hvcC": 33}
_FIRST_NOT_PICTURE = {b"avcC": 6, b"hvcC": 32}
# Parameter sets come first and are small.
_HEAD_BYTES = 2048
# No camera takes 1000 pictures a second; ffmpeg's muxer sets time stamps that went back one tick after the last.
PRESSED_S = 0.001
_MOVED_IN = (b"moov", b"trak", b"mdia", b"mvex", b"traf")


@dataclass(frozen=True, slots=True)
class Progress:
    """``media_s`` is the length of the whole fragments; ``torn`` where bytes follow that are no whole one.

    ``form`` is what the newest keyframe says of its pictures (its sequence parameter sets, ITU-T H.264 7.3.2.1 and
    H.265 7.3.2.2, in hexadecimal), "" where it says nothing: it changes with their size. ``hole_s`` of the media time
    is without a picture, in pieces of a second or more. ``pressed_s`` is how long those pictures usually take that
    follow each other at once, in the longest row of them: the camera's time stamps went back, which no MP4 can say.
    """

    bytes: int
    fragments: int
    media_s: float
    torn: bool
    written_at: float  # mtime, s since the epoch
    form: str = ""
    hole_s: float = 0.0
    pressed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A coded picture: ``codec`` by PyAV's name, ``header`` the decoder's parameters."""

    codec: str
    header: bytes
    data: bytes


def first_sample(data: bytes) -> Sample | None:
    """The first video sample of a file's header with one fragment; None where it is not plain H.264 or H.265.

    Raises
    ------
    struct.error : a box that ends within its fields
    """
    reader = FragmentReader(Path())
    outer = {kind: (body, end) for kind, body, end in _walk(data)}
    if not {b"moov", b"moof", b"mdat"} <= outer.keys():
        return None
    moov = data[slice(*outer[b"moov"])]
    reader.read_track(moov)
    name = next((box for box in _DECODERS if box in moov), None)
    if name is None:
        return None
    at = moov.index(name) - 4
    header = moov[at + 8 : at + _integer(moov, at)]
    moof = outer[b"moof"][0] - 8
    track, size = 0, 0
    for kind, body in boxes(data[slice(*outer[b"moof"])]):
        if kind == b"tfhd":
            track, size = _integer(body, 4), _default_size(body)
        elif kind == b"trun" and track == reader.track:
            flags = _integer(body, 0) & 0xFFFFFF
            if not flags & 0x01:
                return None
            begin = moof + _integer(body, 8)
            if flags & 0x200:
                size = _integer(body, 12 + (4 if flags & 0x04 else 0) + (4 if flags & 0x100 else 0))
            return Sample(_DECODERS[name], header, data[begin : begin + size]) if size else None
    return None


class FragmentReader:
    """Reads one file again and again, each time only what is new. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = self._size = 0
        self._fragments = 0
        self._timescale = 0
        self.track = 0
        self._default_duration = 0
        self._first: int | None = None
        self._last = 0
        self._end = 0
        self._coding = b""
        self._data_offset: int | None = None
        self._form = ""
        self._hole_s = 0.0
        self._usual = 0
        self._pressed = 0
        self._most_pressed = 0

    def read(self) -> Progress:
        """Raises OSError where there is no such file."""
        found = self.path.stat()
        if found.st_size != self._size:
            with self.path.open("rb") as file:
                while self._take_next(file, found.st_size):
                    pass
            self._size = found.st_size
        # A fragment's own last duration may be anything; the next one's begin will tell.
        last = min(self._end - self._last, 2 * self._usual) or self._usual
        media = (self._last + last - (self._first or 0)) / self._timescale if self._timescale else 0.0
        torn = self._offset < found.st_size
        return Progress(
            found.st_size,
            self._fragments,
            media,
            torn,
            found.st_mtime,
            self._form,
            self._hole_s,
            self._most_pressed * self._usual / self._timescale if self._timescale else 0.0,
        )

    def _take_next(self, file: BinaryIO, size: int) -> bool:
        """Go past the next whole box, or the next fragment with its data; False where it is not all there."""
        head = read_box(file, self._offset, size)
        if head is None:
            return False
        kind, body, end = head
        if kind == b"moov":
            self.read_track(_read(file, body, end))
        elif kind == b"moof":
            data = read_box(file, end, size)
            if data is None or data[0] != b"mdat":
                return False
            self._read_fragment(_read(file, body, end))
            self._fragments += 1
            if self._data_offset is not None:
                begin = self._offset + self._data_offset
                said = sequence_sets(_read(file, begin, min(begin + _HEAD_BYTES, data[2])), self._coding)
                self._form = said.hex() or self._form
            end = data[2]
        self._offset = end
        return True

    def read_track(self, moov: bytes) -> None:
        """Learn the video track's id, time scale and default sample duration."""
        track = timescale = 0
        durations: dict[int, int] = {}
        for kind, body in boxes(moov):
            if kind == b"tkhd":
                track = _integer(body, 20 if body[0] == 1 else 12)
            elif kind == b"mdhd":
                timescale = _integer(body, 20 if body[0] == 1 else 12)
            elif kind == b"hdlr" and body[8:12] == b"vide":
                self.track, self._timescale = track, timescale
            elif kind == b"trex":
                durations[_integer(body, 4)] = _integer(body, 12)
        self._default_duration = durations.get(self.track, 0)
        self._coding = next((box for box in _DECODERS if box in moov), b"")

    def _read_fragment(self, moof: bytes) -> None:
        track, duration, self._data_offset = 0, 0, None
        for kind, body in boxes(moof):
            if kind == b"tfhd":
                track = _integer(body, 4)
                duration = self._header_duration(body)
            elif track != self.track:
                continue
            elif kind == b"tfdt":
                begin = struct.unpack_from(">Q", body, 4)[0] if body[0] == 1 else _integer(body, 4)
                if self._first is None:
                    self._first = begin
                else:
                    self._note_pace([begin - self._last])
                self._last = self._end = begin
            elif kind == b"trun":
                durations = _run_durations(body, duration)
                self._note_pace(durations[:-1])
                self._last = self._end + sum(durations[:-1])
                self._end += sum(durations)
                if self._data_offset is None and _integer(body, 0) & 0x01:
                    self._data_offset = _integer(body, 8)

    def _note_pace(self, durations: list[int]) -> None:
        least = self._timescale * PRESSED_S
        apart = sorted(one for one in durations if one >= least)
        if apart and (len(durations) > 1 or not self._usual):
            self._usual = apart[len(apart) // 2]
        for one in durations:
            self._note_hole(one - self._usual)
            self._pressed = 0 if one >= least else self._pressed + 1
            self._most_pressed = max(self._most_pressed, self._pressed)

    def _note_hole(self, length: int) -> None:
        if self._timescale and length >= self._timescale * HOLE_S:
            self._hole_s += length / self._timescale

    def _header_duration(self, body: bytes) -> int:
        flags = _integer(body, 0) & 0xFFFFFF
        if not flags & 0x08:
            return self._default_duration
        return _integer(body, 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0))


def sequence_sets(sample: bytes, coding: bytes) -> bytes:
    """The sequence parameter sets in front of a coded picture (``coding`` is avcC or hvcC), joined; b"" without one.

    Notes
    -----
    Every NAL unit has its length in four bytes before it, as ffmpeg writes them.
    """
    found, at = b"", 0
    while coding and at + 5 < len(sample):
        length, head = _integer(sample, at), sample[at + 4]
        kind = head & 0x1F if coding == b"avcC" else head >> 1 & 0x3F
        if kind < _FIRST_NOT_PICTURE[coding]:
            break
        if kind == _SEQUENCE_SET[coding]:
            found += sample[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def _default_size(body: bytes) -> int:
    """A fragment's default sample size, of its track header; 0 where it states none."""
    flags = _integer(body, 0) & 0xFFFFFF
    if not flags & 0x10:
        return 0
    return _integer(body, 8 + sum(size for bit, size in ((0x01, 8), (0x02, 4), (0x08, 4)) if flags & bit))


def _run_durations(body: bytes, default: int) -> list[int]:
    """A track run's sample durations, in its time scale."""
    flags, count = _integer(body, 0) & 0xFFFFFF, _integer(body, 4)
    if not flags & 0x100:
        return [default] * count
    at = 8 + (4 if flags & 0x01 else 0) + (4 if flags & 0x04 else 0)
    fields = sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    return list(struct.unpack_from(f">{count * fields}I", body, at)[::fields])


def read_box(file: BinaryIO, offset: int, size: int) -> tuple[bytes, int, int] | None:
    """Kind, start of the body and end of the box at ``offset``; None where it is not all there."""
    file.seek(offset)
    head = file.read(16)
    if len(head) < 8:
        return None
    length, kind, body = _integer(head, 0), head[4:8], offset + 8
    if length == 1 and len(head) == 16:
        length, body = struct.unpack_from(">Q", head, 8)[0], offset + 16
    end = offset + length
    return (kind, body, end) if body <= end <= size else None


def _walk(data: bytes) -> list[tuple[bytes, int, int]]:
    """Kind, start of the body and end of every outer box."""
    file = io.BytesIO(data)
    found: list[tuple[bytes, int, int]] = []
    while (box := read_box(file, found[-1][2] if found else 0, len(data))) is not None:
        found.append(box)
    return found


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Every box inside ``data``, those within containers too, in file order."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at + 8 <= len(data):
        length, kind = _integer(data, at), data[at + 4 : at + 8]
        if length < 8:
            break
        body = data[at + 8 : at + length]
        found += boxes(body) if kind in _MOVED_IN else [(kind, body)]
        at += length
    return found


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)


def _integer(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])
