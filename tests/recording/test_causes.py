"""Why footage is missing, from the words of the ffmpeg that we ship."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from kaozheng_service.recording.causes import Cause, end_of_stream, failure_to_open, last_error
from kaozheng_service.recording.child import Ended


def said_of(address: str, tmp_path: Path) -> str:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-loglevel",
        "warning",
        "-rtsp_transport",
        "tcp",
    ]
    command += ["-i", address, "-c", "copy", str(tmp_path / "out.mp4")]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_a_port_where_nobody_listens_is_connection_refused(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert failure_to_open(said_of(f"rtsp://127.0.0.1:{port}/x", tmp_path))[0] is Cause.CONNECTION_REFUSED


def test_a_name_that_does_not_exist_is_not_reachable(tmp_path):
    assert failure_to_open(said_of("rtsp://camera.invalid/x", tmp_path))[0] is Cause.NOT_REACHABLE


def test_silence_is_unknown_and_says_so():
    assert failure_to_open("") == (Cause.UNKNOWN, "the recorder ended without a word")


@pytest.mark.parametrize(
    ("errors", "status", "same_boot", "cause"),
    [
        ("", 0, True, Cause.STREAM_LOST),
        ("", -9, True, Cause.RECORDER_DIED),
        ("", None, True, Cause.RECORDER_DIED),
        ("", None, False, Cause.SERVICE_NOT_RUNNING),
        ("[rtsp @ 0x1] Connection timed out", 1, True, Cause.STALLED),
        ("[mp4 @ 0x1] No space left on device", 1, True, Cause.DISK_FULL),
    ],
)
def test_how_a_recorder_ended_tells_why(errors, status, same_boot, cause):
    assert end_of_stream(errors, Ended(status), same_boot=same_boot)[0] is cause


def test_the_last_telling_line_is_given_without_its_origin():
    assert last_error("[rtsp @ 0x5] one\n[rtsp @ 0x5] [x] two\n[mp4 @ 0x2] Non-monotonic DTS\n") == "two"
