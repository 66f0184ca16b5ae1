"""The one place that builds ffmpeg command lines. ffmpeg-python only writes them; it never runs a child."""

from __future__ import annotations

import functools
from pathlib import Path

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
    # In front of a picture that waits to be watched, speed counts before size; 23 is x264's own default.
    picture = (
        {"c:v": "libx264", "preset": "veryfast", "crf": "23", "pix_fmt": "yuv420p"}
        if encode
        else {"c:v": "copy"}
    )
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
