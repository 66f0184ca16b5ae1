"""The time of day beside every copy for watching: WebVTT, one line a second, from the signed times of the originals."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import av

from kaozheng_service.disputes.standalone.completeness import INSIDE
from kaozheng_service.disputes.standalone.records import Record, Span
from kaozheng_service.errors import ServiceError
from kaozheng_service.ffmpeg import subtitled_command
from kaozheng_service.wording import gap_cause_name

# A break in the times is told for so long.
_TOLD_S = 3.0
# A picture may outlast its file's signed end by its own length; beyond that no time is known. A gap that the recorder
# signs at a window's edge is this long too.
_KNOWN_BEYOND_S = 1.0
_UNKNOWN = "时刻不明 / time not known"


@dataclass(frozen=True, slots=True)
class Piece:
    """One original of a copy, with its signed span."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class Placed:
    """A piece's place in its copy, seconds of media from ``media_s`` on. ``note`` tells a break before it."""

    media_s: float
    length_s: float
    span: Span
    note: str = ""


def place(copy: Path, pieces: Sequence[Piece], gaps: Sequence[Record] = ()) -> list[Placed]:
    """Where each piece lies in ``copy``, which was made of them in this order.

    Parameters
    ----------
    gaps : signed gaps of the camera; one that meets a break between two pieces, or ends at the first, names its cause

    Raises
    ------
    ServiceError : the copy does not hold the pictures of the pieces one for one, so no time in it is known
    """
    counts = [len(_times(piece.path)) for piece in pieces]
    times = _times(copy)
    if sum(counts) != len(times):
        raise ServiceError(
            f"{copy.name}: {len(times)} pictures made of {sum(counts)}; its times are not known"
        )
    starts, at = [], 0
    for count in counts:
        starts.append(min(times[at : at + count]))
        at += count
    ends = [*starts[1:], max(times) + (max(times) - min(times)) / max(len(times) - 1, 1)]
    placed = []
    before: datetime | None = None
    for piece, start, end in zip(pieces, starts, ends, strict=True):
        note = _break(before, piece.span[0], gaps)
        placed.append(Placed(start, end - start, piece.span, note))
        before = piece.span[1]
    return placed


def _break(before: datetime | None, at: datetime, gaps: Sequence[Record]) -> str:
    edge = timedelta(seconds=_KNOWN_BEYOND_S)
    if before is None:
        near = next((gap for gap in gaps if abs(gap.span[1] - at) <= edge), None)
        if near is None:
            return ""
        lost_s = (near.span[1] - near.span[0]).total_seconds()
        return f"此前未录 {lost_s:.1f} 秒：{gap_cause_name(near['cause'])} / gap before"
    step = (at - before).total_seconds()
    if abs(step) <= INSIDE.total_seconds():
        return ""
    if step < 0:
        return f"时刻回退 {-step:.1f} 秒 / times go back"
    cause = next((gap["cause"] for gap in gaps if gap.span[0] < at and gap.span[1] > before), None)
    why = gap_cause_name(cause) if cause is not None else "未说明 / not explained"
    return f"此处缺 {step:.1f} 秒：{why} / gap"


def subtitles(placed: Sequence[Placed], zone: tzinfo, title: str) -> str:
    """The WebVTT file: a cue for each second of the day in ``zone``, and what breaks the times where it does."""
    blocks = [f"WEBVTT\n\nNOTE\n{title}\n"]
    for piece in placed:
        for begin, end, words in _cues(piece, zone):
            blocks.append(f"{_stamp(begin)} --> {_stamp(end)}\n{words}\n")
    return "\n".join(blocks)


def _cues(piece: Placed, zone: tzinfo) -> list[tuple[float, float, str]]:
    signed_s = (piece.span[1] - piece.span[0]).total_seconds()
    known_s = min(piece.length_s, signed_s + _KNOWN_BEYOND_S)
    cues = []
    at = 0.0
    while at < known_s - 1e-3:
        moment = piece.span[0] + timedelta(seconds=at + 5e-4)
        until = min(at + 1.0 - moment.microsecond / 1e6 + 5e-4, known_s)
        words = f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
        if piece.note and at < _TOLD_S:
            words += f"\n▲ {piece.note}"
        cues.append((piece.media_s + at, piece.media_s + until, words))
        at = until
    if piece.length_s - known_s > 1e-3:
        cues.append((piece.media_s + known_s, piece.media_s + piece.length_s, _UNKNOWN))
    return cues


def add_track(copy: Path, text: Path) -> None:
    """Put the subtitles into the copy as a soft track too. Raises ServiceError and leaves it as it is."""
    part = copy.with_suffix(".part")
    run = subprocess.run(
        subtitled_command(copy, text, part), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if run.returncode != 0 or not part.is_file():
        part.unlink(missing_ok=True)
        raise ServiceError(f"{copy.name}: ffmpeg put no subtitles into it")
    part.replace(copy)


def _times(path: Path) -> list[float]:
    """The pictures' times in a file, seconds, as they are stored; nothing is decoded."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return [
                float(packet.pts * packet.time_base)
                for packet in container.demux(stream)
                if packet.pts is not None and packet.time_base is not None
            ]
    except (av.FFmpegError, IndexError) as error:
        raise ServiceError(f"{path.name}: its pictures cannot be counted ({error})") from None


def _stamp(seconds: float) -> str:
    whole = max(math.floor(seconds * 1000 + 0.5), 0)
    return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d}.{whole % 1000:03d}"
