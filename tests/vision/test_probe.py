"""Probing real streams: files at native pace, and GStreamer's RTSP server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python
from kaozheng_vision.failures import Failure
from kaozheng_vision.probe import probe, probe_all
from kaozheng_vision.source import Source

Write = Callable[..., Path]
# With letters that a URL must escape.
PASSWORD = "p@ss/word"  # noqa: S105 - of the server that these tests start


@pytest.fixture
def server(write_clip: Write, need: Callable[[bool, str], None]) -> Iterator[RehearsalServer]:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    clip = write_clip("served.mp4")
    with RehearsalServer({"/room/front": clip}, user="viewer", password=PASSWORD) as running:
        yield running


def test_a_file_is_measured_at_native_pace_like_a_camera(write_clip: Write) -> None:
    result = probe(Source(write_clip("paced.mp4").as_uri()), expected_size=(320, 180), seconds=2.5)
    assert result.ok, result.message
    assert result.codec == "h264"
    assert (result.width, result.height, result.size_matches) == (320, 180, True)
    assert result.fps == pytest.approx(20, rel=0.01)
    assert result.gop_s == pytest.approx(1.0, abs=0.06)
    assert result.keyframes >= 3
    assert result.bitrate_bps is not None
    assert result.bitrate_bps > 0


def test_a_file_shorter_than_the_probe_is_looped_with_times_that_go_on(write_clip: Write) -> None:
    clip = write_clip("short.mp4", seconds=1, gop_s=0.5)
    result = probe(Source(clip.as_uri()), seconds=2.5)
    assert result.ok, result.message
    assert result.fps == pytest.approx(20, rel=0.05)
    assert list(result.frame_times_s) == sorted(result.frame_times_s)
    assert result.frame_times_s[-1] > 1.4


def test_h265_is_decoded_and_named(write_clip: Write) -> None:
    result = probe(Source(write_clip("clip.h265.mp4", codec="libx265").as_uri()), seconds=1)
    assert result.ok, result.message
    assert result.codec == "hevc"


def test_another_size_than_the_site_file_states_is_told(write_clip: Write) -> None:
    result = probe(Source(write_clip("size.mp4").as_uri()), expected_size=(1920, 1080), seconds=0.5)
    assert result.ok
    assert result.size_matches is False


def test_a_file_that_is_not_there_or_no_video_is_told_apart(tmp_path: Path) -> None:
    words = tmp_path / "words.mp4"
    words.write_text("no video")
    assert probe(Source((tmp_path / "none.mp4").as_uri())).failure is Failure.NOT_FOUND
    assert probe(Source(words.as_uri())).failure is Failure.UNDECODABLE


def test_a_port_where_nothing_listens_is_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = probe(Source(f"rtsp://127.0.0.1:{closed.getsockname()[1]}/x"), timeout_s=2)
    assert result.failure is Failure.REFUSED
    assert "RTSP service" in result.message


def test_a_name_that_does_not_exist_is_a_name_failure() -> None:
    assert probe(Source("rtsp://camera.invalid/x"), timeout_s=5).failure is Failure.NAME


def test_a_port_that_accepts_and_says_nothing_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = probe(Source(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"), timeout_s=1)
    assert result.failure is Failure.TIMEOUT


def test_a_server_that_speaks_something_else_is_a_protocol_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        threading.Thread(target=_answer_html, args=(web,), daemon=True).start()
        result = probe(Source(f"rtsp://127.0.0.1:{web.getsockname()[1]}/x"), timeout_s=5)
    assert result.failure is Failure.PROTOCOL


@pytest.mark.e2e
def test_a_live_stream_with_the_right_login_is_measured(server: RehearsalServer) -> None:
    result = probe(Source(server.url("/room/front"), "viewer", PASSWORD), seconds=3)
    assert result.ok, result.message
    assert result.fps == pytest.approx(20, rel=0.05)
    assert result.gop_s == pytest.approx(1.0, abs=0.1)
    assert result.first_frame_delay_s is not None
    assert result.frames[0].shape == (180, 320, 3)


@pytest.mark.e2e
def test_a_wrong_password_is_told_and_not_shown(server: RehearsalServer) -> None:
    result = probe(Source(server.url("/room/front"), "viewer", "wr0ng@secret"))
    assert result.failure is Failure.AUTH
    assert "credential" in result.message
    assert "wr0ng" not in repr(result)


@pytest.mark.e2e
def test_a_path_that_the_camera_does_not_have_is_told(server: RehearsalServer) -> None:
    result = probe(Source(server.url("/room/front") + "-none", "viewer", PASSWORD))
    assert result.failure is Failure.NOT_FOUND


@pytest.mark.e2e
def test_a_camera_that_loses_power_while_it_is_probed_has_failed(server: RehearsalServer) -> None:
    power_cut = threading.Timer(2.5, server.kill)
    power_cut.start()
    result = probe(Source(server.url("/room/front"), "viewer", PASSWORD), seconds=30, timeout_s=3)
    power_cut.join()
    assert result.failure is Failure.STALLED
    assert result.frames, "what came before it failed is kept"


def test_one_dead_camera_does_not_keep_the_others_from_being_probed(
    write_clip: Write, tmp_path: Path
) -> None:
    seen: list[str] = []
    results = probe_all(
        {
            "dead": (Source((tmp_path / "none.mp4").as_uri()), None),
            "alive": (Source(write_clip("alive.mp4").as_uri()), (320, 180)),
        },
        seconds=0.5,
        progress=lambda key, _result: seen.append(key),
    )
    assert [results["dead"].ok, results["alive"].ok] == [False, True]
    assert sorted(seen) == ["alive", "dead"]


def _answer_html(web: socket.socket) -> None:
    connection, _ = web.accept()  # the check whether anything listens
    connection.close()
    connection, _ = web.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>\r\n" * 20)
