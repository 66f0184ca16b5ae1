"""When the pictures of a file's pieces are, read from the proven bytes (ISO/IEC 14496-12): boxes alone, no decoder."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.disputes.standalone.pieces import Pieces

# Pictures of one group: at 60 a second this is more than four hours. It bounds what a forged count makes us do.
_MOST_PICTURES = 1_000_000


class NoTimesError(Exception):
    """The boxes do not tell when the pictures are, in the one form that is read here."""


@dataclass(frozen=True)
class PieceTimes:
    """Of one piece, in s of the stream's own time: its first picture in the file, which stands alone, is at
    ``begins_s``; ``ends_s`` is when the last that is shown has been; ``earliest_s`` is the first that is shown.
    """

    begins_s: float
    ends_s: float
    earliest_s: float


@dataclass(frozen=True)
class _VideoTrack:
    number: int
    timescale: int
    duration: int  # of a picture, where a fragment states none


def piece_times(path: Path, pieces: Pieces) -> list[PieceTimes]:
    """The times of pieces 1 and up, which must come one after the other.

    Raises
    ------
    NoTimesError : another form, an edit list that shifts the media, or times that do not ascend
    OSError : it cannot be read
    """
    with path.open("rb") as file:
        header = file.read(pieces.extent(0)[1])
        try:
            track = _read_video_track(header)
            times = []
            for number in range(1, len(pieces.starts)):
                begin, end = pieces.extent(number)
                file.seek(begin)
                length = _extent(file.read(16), 0)[1]
                file.seek(begin)
                times.append(_read_times(track, file.read(min(length, end - begin))))
        except (struct.error, IndexError, KeyError) as error:
            raise NoTimesError from error
    if any(later.begins_s <= earlier.begins_s for earlier, later in zip(times, times[1:])):  # noqa: B905, RUF007 - Python 3.9
        raise NoTimesError
    return times


def _read_video_track(header: bytes) -> _VideoTrack:
    """The first video track, as ``moov`` describes it."""
    moov = dict(_boxes_of(header))[b"moov"]
    for kind, body in _boxes_of(moov):
        if kind != b"trak":
            continue
        track = dict(_boxes_of(body))
        media = dict(_boxes_of(track[b"mdia"]))
        if media[b"hdlr"][8:12] != b"vide":
            continue
        edits = dict(_boxes_of(track.get(b"edts", b""))).get(b"elst", b"")
        wide, count = edits[:1] == b"\x01", _integer(edits, 4) if edits else 0
        for index in range(count):
            if struct.unpack_from(">Qq" if wide else ">Ii", edits, 8 + index * (20 if wide else 12))[1] != 0:
                raise NoTimesError
        number = _integer(track[b"tkhd"], 20 if track[b"tkhd"][0] == 1 else 12)
        timescale = _integer(media[b"mdhd"], 20 if media[b"mdhd"][0] == 1 else 12)
        defaults = [box for name, box in _boxes_of(dict(_boxes_of(moov))[b"mvex"]) if name == b"trex"]
        durations = {_integer(box, 4): _integer(box, 12) for box in defaults}
        if timescale == 0:
            raise NoTimesError
        return _VideoTrack(number, timescale, durations[number])
    raise NoTimesError


def _read_times(track: _VideoTrack, moof: bytes) -> PieceTimes:
    """Times of one fragment's pictures, from its track runs."""
    shown: list[int] = []
    ends: list[int] = []
    for kind, fragment in _boxes_of(dict(_boxes_of(moof))[b"moof"]):
        if kind != b"traf":
            continue
        inside = list(_boxes_of(fragment))
        fields = dict(inside)
        if _integer(fields[b"tfhd"], 4) != track.number:
            continue
        start = fields[b"tfdt"]
        at = struct.unpack_from(">Q" if start[0] == 1 else ">I", start, 4)[0]
        usual = _stated_duration(fields[b"tfhd"], track.duration)
        for duration, shift in _pictures(body for name, body in inside if name == b"trun"):
            shown.append(at + shift)
            at += usual if duration is None else duration
            ends.append(at + shift)
    if not shown:
        raise NoTimesError
    first, last, earliest = (one / track.timescale for one in (shown[0], max(ends), min(shown)))
    return PieceTimes(first, last, earliest)


def _stated_duration(header: bytes, default: int) -> int:
    """A picture's duration by the fragment's own header (``tfhd``, 8.8.7)."""
    flags = _integer(header, 0)
    if not flags & 0x08:
        return default
    return _integer(header, 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0))


def _pictures(runs: Iterator[bytes]) -> Iterator[tuple[int | None, int]]:
    """Duration, None where the run states none, and composition offset of each picture (``trun``, 8.8.8)."""
    for run in runs:
        flags, count = struct.unpack_from(">II", run)
        if count > _MOST_PICTURES:
            raise NoTimesError
        at = 8 + (4 if flags & 0x01 else 0) + (4 if flags & 0x04 else 0)
        offset = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400))
        step = offset + (4 if flags & 0x800 else 0)
        form = ">i" if run[0] else ">I"
        for _ in range(count):
            duration = _integer(run, at) if flags & 0x100 else None
            yield duration, struct.unpack_from(form, run, at + offset)[0] if flags & 0x800 else 0
            at += step


def _boxes_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each box that stands in ``data``, whole."""
    at = 0
    while at < len(data):
        head, length = _extent(data, at)
        if not head <= length <= len(data) - at:
            raise NoTimesError
        yield data[at + 4 : at + 8], data[at + head : at + length]
        at += length


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """The length of a box's header, and of all of it."""
    length = _integer(data, at)
    return (16, struct.unpack_from(">Q", data, at + 8)[0]) if length == 1 else (8, length)


def _integer(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])
