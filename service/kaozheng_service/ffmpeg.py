"""The one place that builds ffmpeg command lines. ffmpeg-python only writes them; it never runs a child."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg
from kaozheng_vision.reach import encryption_options
from kaozheng_vision.source import Source

QUIET = ("-nostdin", "-hide_banner", "-loglevel", "level+warning")
# One fragment a keyframe, written at once: kill -9 after 13.5 s left 300 of 330 frames, and 0 in plain MP4.
FRAGMENTED = "movflags=frag_keyframe+empty_moov+default_base_moof:flush_packets=1"
OPEN_FILES = "open-%05d.mp4"
SEGMENT_LIST = "segments.csv"
NO_AUDIO = "none"
# In front of a picture that waits to be watched, speed counts before size; 23 is x264's own default.
_WATCHED = {"c:v": "libx264", "preset": "veryfast", "crf": "23", "pix_fmt": "yuv420p"}


@functools.cache
def ffmpeg_path() -> str:
    """The ffmpeg binary that came with the installation, or the one that IMAGEIO_FFMPEG_EXE names."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def recording_command(
    source: Source,
    folder: Path,
    *,
    segment_s: float,
    offset_s: float,
    length_s: float,
    silence_s: float,
    audio_codec: str = "copy",
) -> list[str]:
    """The recorder of one take: stream copy into numbered fragmented files. Never print it: it holds the password.

    Parameters
    ----------
    folder : where ``open-00001.mp4`` ... and ``segments.csv`` go; the muxer overwrites what is there
    segment_s, offset_s : files are cut at clock times that are a multiple of ``segment_s``, less ``offset_s``
    length_s : media time after which it ends by itself, s
    silence_s : network reads that wait longer fail, s; ffmpeg tries a second time before it gives up
    audio_codec : ``copy``, ``aac`` where the camera's audio (such as G.711) cannot stand in an MP4, or ``none``: no
        sound is recorded
    """
    return _segments(
        source,
        folder,
        length_s=length_s,
        silence_s=silence_s,
        audio_codec=audio_codec,
        segment_time=f"{segment_s:g}",
        segment_atclocktime=1,
        segment_clocktime_offset=f"{offset_s:.3f}",
    )


def playback_command(
    source: Source, folder: Path, *, segment_s: float, length_s: float, silence_s: float, audio_codec: str
) -> list[str]:
    """The fetcher of one backfilled take: as :func:`recording_command`, but cut by media time, for the clock says
    nothing about footage that is played back. Never print it: it holds the password.
    """
    return _segments(
        source,
        folder,
        length_s=length_s,
        silence_s=silence_s,
        audio_codec=audio_codec,
        segment_time=f"{segment_s:g}",
    )


def _segments(
    source: Source,
    folder: Path,
    *,
    length_s: float,
    silence_s: float,
    audio_codec: str,
    **cut: str | int,
) -> list[str]:
    stream = ffmpeg.input(source.secret_url(), **_input_options(source, silence_s))
    sound = {} if audio_codec == NO_AUDIO else {"c:a": audio_codec}
    output = ffmpeg.output(
        *([stream["v:0"], stream["a?"]] if sound else [stream["v:0"]]),
        f"{_without_patterns(folder)}/{OPEN_FILES}",
        t=f"{length_s:.3f}",
        f="segment",
        **cut,
        segment_start_number=1,
        segment_list=str(folder / SEGMENT_LIST),
        segment_list_type="csv",
        segment_format="mp4",
        segment_format_options=FRAGMENTED,
        **{"c:v": "copy"},
        **sound,
    )
    return [ffmpeg_path(), *QUIET, *output.compile()[1:]]


def _input_options(source: Source, silence_s: float) -> dict[str, str]:
    if source.is_file:
        # -re begins with half a second at once, which dates the footage half a second early.
        return {"readrate": "1", "readrate_initial_burst": "0.01", "stream_loop": "-1"}
    return {
        "rtsp_transport": "tcp",
        "timeout": str(round(silence_s * 1_000_000)),
        **encryption_options(source),
    }


def _without_patterns(folder: Path) -> str:
    """A folder's name for a muxer that would read ``%d`` in it."""
    return str(folder).replace("%", "%%")


def viewing_copy_command(parts: Path, out: Path, *, encode: bool, title: str = "") -> list[str]:
    """One MP4 with its index in front, of the files that the concat script ``parts`` names. Never evidence.

    ``encode`` turns the picture into H.264, which every browser plays; without it nothing is decoded.
    ``title`` is shown by players.
    """
    stream = ffmpeg.input(str(parts), f="concat", safe="0")
    picture = _WATCHED if encode else {"c:v": "copy"}
    output = ffmpeg.output(
        stream["v:0"],
        stream["a?"],
        str(out),
        f="mp4",
        movflags="+faststart",
        **picture,
        **{"c:a": "copy"},
        **({"metadata": f"title={title}"} if title else {}),
    )
    return [ffmpeg_path(), *QUIET, *output.overwrite_output().compile()[1:]]


def subtitled_command(copy: Path, subtitles: Path, out: Path) -> list[str]:
    """``copy`` with ``subtitles`` (WebVTT) as a soft track that players show at once; nothing is decoded."""
    video, text = ffmpeg.input(str(copy)), ffmpeg.input(str(subtitles))
    output = ffmpeg.output(
        video["v"],
        video["a?"],
        text["s"],
        str(out),
        f="mp4",
        movflags="+faststart",
        **{"c": "copy", "c:s": "mov_text", "metadata:s:s:0": "language=chi", "disposition:s:0": "default"},
    )
    return [ffmpeg_path(), *QUIET, *output.overwrite_output().compile()[1:]]


def masked_command(
    parts: Path, mask: Path, label: Path, out: Path, *, label_px: int, title: str
) -> list[str]:
    """The files of ``parts`` encoded anew without sound, under ``mask``, with ``label`` in a strip below the picture.

    Parameters
    ----------
    mask : PNG of the picture's size, opaque where nothing may be seen
    label : PNG; its first ``label_px`` lines are the strip
    """
    picture = ffmpeg.input(str(parts), f="concat", safe="0")["v:0"].overlay(ffmpeg.input(str(mask)))
    picture = picture.filter("pad", "ceil(iw/2)*2", f"ceil((ih+{label_px})/2)*2", 0, 0, "black")
    picture = picture.overlay(ffmpeg.input(str(label)), x=0, y=f"main_h-{label_px}")
    output = ffmpeg.output(
        picture, str(out), f="mp4", movflags="+faststart", metadata=f"title={title}", **_WATCHED
    )
    return [ffmpeg_path(), *QUIET, *output.overwrite_output().compile()[1:]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A stretch of a video in a tile: ``length_s`` of ``path`` from ``media_s`` on, at ``at_s`` of the common axis."""

    path: Path
    media_s: float
    length_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Card:
    """A picture (PNG of the tile's size) shown in a tile from ``at_s`` to ``until_s`` of the common axis."""

    path: Path
    at_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Tile:
    """One camera's place; what is later in ``shown`` or ``cards`` lies on top, cards over footage."""

    shown: tuple[Shown, ...]
    cards: tuple[Card, ...]
    label: Path


# Frames a second of the common view: what it is for is who did what when, at a size that fits beside others.
TOGETHER_FPS = 10


def together_command(
    tiles: Sequence[Tile],
    out: Path,
    *,
    tile_px: tuple[int, int],
    columns: int,
    length_s: float,
    clock_s: float | None,
    font: Path,
    title: str,
) -> list[str]:
    """One MP4 of all tiles on a common axis, without sound; black where nothing is shown.

    Parameters
    ----------
    clock_s : the local time at the axis' begin as seconds since 1970 were it UTC, to be burnt in; None for none
    """
    width, height = tile_px
    pictures = [_tile(tile, width, height, length_s) for tile in tiles]
    black = f"color=black:s={width}x{height}:r={TOGETHER_FPS}:d={length_s:.3f}"
    while len(pictures) > 1 and len(pictures) % columns:
        pictures.append(ffmpeg.input(black, f="lavfi"))
    whole = pictures[0]
    if len(pictures) > 1:
        layout = "|".join(f"{at % columns * width}_{at // columns * height}" for at in range(len(pictures)))
        whole = ffmpeg.filter(pictures, "xstack", inputs=len(pictures), layout=layout)
    if clock_s is not None:
        # In a strip of its own, so that it hides nothing. The border makes up for a font whose first face is thin.
        whole = whole.filter("pad", "iw", "ih+40", 0, 0, "black").filter(
            "drawtext",
            fontfile=str(font),
            text=f"%{{pts:gmtime:{clock_s:.3f}:%F %T}}",
            fontsize=24,
            fontcolor="white",
            borderw=1,
            bordercolor="white",
            x="(w-tw)/2",
            y="h-32",
        )
    output = ffmpeg.output(
        whole,
        str(out),
        f="mp4",
        movflags="+faststart",
        t=f"{length_s:.3f}",
        metadata=f"title={title}",
        **_WATCHED,
    )
    return [ffmpeg_path(), *QUIET, *output.overwrite_output().compile()[1:]]


def _tile(tile: Tile, width: int, height: int, length_s: float) -> Any:
    source = f"color=black:s={width}x{height}:r={TOGETHER_FPS}:d={length_s:.3f}"
    picture = ffmpeg.input(source, f="lavfi")
    for part in tile.shown:
        video = ffmpeg.input(str(part.path), ss=f"{part.media_s:.3f}", t=f"{part.length_s:.3f}")["v:0"]
        video = video.filter("scale", width, height, force_original_aspect_ratio="decrease")
        video = video.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2", "black").filter("setsar", 1)
        video = video.filter("setpts", f"PTS-STARTPTS+{part.at_s:.3f}/TB")
        # The frame that a stretch ends with must not stand on where nothing was recorded.
        until = part.at_s + part.length_s
        picture = picture.overlay(video, eof_action="pass", enable=f"between(t,{part.at_s:.3f},{until:.3f})")
    for card in tile.cards:
        image = ffmpeg.input(str(card.path))
        picture = picture.overlay(image, enable=f"between(t,{card.at_s:.3f},{card.until_s:.3f})")
    return picture.overlay(ffmpeg.input(str(tile.label)))


@functools.cache
def draws_text() -> bool:
    """Whether this ffmpeg can burn text into a picture."""
    run = subprocess.run([ffmpeg_path(), "-hide_banner", "-filters"], capture_output=True, text=True)
    return " drawtext " in run.stdout
