"""Probing real streams: files at native pace, and GStreamer's RTSP server."""

from __future__ import annotations

import base64
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from kaozheng_service.ffmpeg import ffmpeg_path, recording_command
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python
from kaozheng_vision.camera_clock import ClockSource
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


@pytest.mark.e2e
def test_a_live_stream_with_the_right_login_is_measured(server: RehearsalServer) -> None:
    result = probe(Source(server.url("/room/front"), "viewer", PASSWORD), seconds=3)
    assert result.ok, result.message
    assert result.fps == pytest.approx(20, rel=0.05)
    assert result.gop_s == pytest.approx(1.0, abs=0.1)
    assert result.first_frame_delay_s is not None
    assert result.login == "digest"
    assert result.frames[0].shape == (180, 320, 3)


@pytest.mark.e2e
def test_a_wrong_password_is_told_and_not_shown(server: RehearsalServer) -> None:
    result = probe(Source(server.url("/room/front"), "viewer", "wr0ng@secret"))
    assert result.failure is Failure.AUTH
    assert "credential" in result.message
    assert "wr0ng" not in repr(result)
    assert result.keyframes == 0


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


SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{parameters}a=control:track\r\n"
)


@pytest.fixture(scope="module")
def launched(
    tmp_path_factory: pytest.TempPathFactory, need: Callable[[bool, str], None]
) -> Iterator[RehearsalServer]:
    """Streams that no file makes, from GStreamer's server."""
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    folder = tmp_path_factory.mktemp("streams")
    sizes = transport_stream(folder / "sizes", [(320, 180), (640, 360)], seconds_each=3)
    keyless = transport_stream(folder / "keyless", [(320, 180)], seconds_each=12, without_keyframes=True)
    raw = folder / "sizes.h264"
    sound = "audiotestsrc is-live=true ! alawenc ! rtppcmapay"
    film = "h264parse ! rtph264pay config-interval=-1 name=pay0"
    pipelines = {
        "/sound": f"( {sound} name=pay0 )",
        "/sizes": f"( filesrc location={sizes} ! tsdemux ! {film} )",
        "/keyless": f"( filesrc location={keyless} ! tsdemux ! {film} )",
        "/timeless": f"( filesrc location={raw} ! {film} )",
        "/sound-goes-on": f"( {sound} name=pay1"
        " videotestsrc is-live=true num-buffers=30 ! jpegenc ! rtpjpegpay name=pay0 )",
        "/jpeg": f"( {sound} name=pay1 videotestsrc is-live=true ! jpegenc ! rtpjpegpay name=pay0 )",
    }
    with RehearsalServer({}, launched=pipelines) as running:
        yield running


@pytest.mark.e2e
def test_sound_alone_is_no_video(launched: RehearsalServer) -> None:
    result = probe(Source(launched.url("/sound")), seconds=1, timeout_s=5)
    assert result.failure is Failure.NO_VIDEO
    assert result.audio
    assert "video profile" in result.message


@pytest.mark.e2e
def test_sound_beside_the_picture_is_noted_and_not_each_picture_of_mjpeg_decoded(
    launched: RehearsalServer,
) -> None:
    result = probe(Source(launched.url("/jpeg")), seconds=2, timeout_s=5)
    assert result.ok, result.message
    assert result.audio
    assert result.codec == "mjpeg"
    assert result.keyframes > 40
    assert min(np.diff(result.frame_times_s)) > 0.39


@pytest.mark.e2e
def test_a_picture_that_changes_its_size_is_told_with_both_sizes(launched: RehearsalServer) -> None:
    result = probe(Source(launched.url("/sizes")), seconds=4, timeout_s=5)
    assert result.failure is Failure.SIZE_CHANGES
    assert result.sizes == ((320, 180), (640, 360))
    assert "320x180" in result.message
    assert "640x360" in result.message
    assert {frame.shape for frame in result.frames} == {(360, 640, 3)}, "kept frames can be compared"


@pytest.mark.e2e
def test_a_stream_without_a_keyframe_is_told_with_the_mend(launched: RehearsalServer) -> None:
    result = probe(Source(launched.url("/keyless")), seconds=1, timeout_s=2)
    assert result.failure is Failure.NO_KEYFRAME
    assert "interval" in result.message
    assert result.fps == pytest.approx(20, rel=0.05)


@pytest.mark.e2e
def test_time_stamps_that_stand_still_end_the_probe(launched: RehearsalServer) -> None:
    result = probe(Source(launched.url("/timeless")), seconds=1, timeout_s=1)
    assert result.failure is Failure.PROTOCOL
    assert "time stamps" in result.message


@pytest.mark.e2e
def test_sound_that_goes_on_does_not_hide_that_the_picture_has_stopped(launched: RehearsalServer) -> None:
    result = probe(Source(launched.url("/sound-goes-on")), seconds=30, timeout_s=2)
    assert result.failure is Failure.STALLED
    assert result.frames


@pytest.mark.e2e
def test_sender_reports_tell_the_cameras_clock(server: RehearsalServer) -> None:
    """The server's clock is ours, so what is measured is the error."""
    result = probe(Source(server.url("/room/front"), "viewer", PASSWORD), seconds=4)
    assert result.clock is not None
    assert result.clock.source is ClockSource.RTCP
    assert result.clock.offset_s == pytest.approx(0, abs=0.25)


@pytest.mark.e2e
def test_an_encrypted_stream_is_probed_and_recorded_with_its_own_certificate_only(
    write_clip: Write, loopback: ModuleType, tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    certificate, both = loopback.make_certificate(tmp_path, "camera")
    stranger, _ = loopback.make_certificate(tmp_path, "stranger")
    clip = write_clip("encrypted.mp4")
    with RehearsalServer({"/a": clip}, user="viewer", password=PASSWORD, certificate=both) as running:
        url = running.url("/a")
        assert probe(Source(url, "viewer", PASSWORD)).failure is Failure.CERTIFICATE
        assert probe(Source(url, "viewer", PASSWORD, stranger)).failure is Failure.CERTIFICATE
        result = probe(Source(url, "viewer", PASSWORD, certificate), seconds=1)
        assert result.ok, result.message
        assert result.login == "digest"
        # The recorder opens it by itself: that it verifies too is what keeps the login from a stranger.
        recorded = {
            name: record(Source(url, "viewer", PASSWORD, named), tmp_path / name)
            for name, named in {"right": certificate, "wrong": stranger}.items()
        }
    assert recorded == {"right": True, "wrong": False}


@pytest.mark.e2e
@pytest.mark.parametrize("asked", ["Basic", "Digest"])
def test_neither_probe_nor_recorder_gives_the_login_to_where_a_camera_sends_them(
    loopback: ModuleType, tmp_path: Path, asked: str
) -> None:
    def lure(connection: socket.socket) -> None:
        for request in loopback.requests(connection):
            connection.sendall(
                loopback.reply(request, "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"')
            )

    with loopback.Server(lure) as elsewhere:

        def send_on(connection: socket.socket) -> None:
            for request in loopback.requests(connection):
                if "Authorization" in request:
                    there = f"Location: rtsp://127.0.0.1:{elsewhere.port}/x"
                    connection.sendall(loopback.reply(request, "302 Found", there))
                else:
                    wanted = f'WWW-Authenticate: {asked} realm="c", nonce="1"'
                    connection.sendall(loopback.reply(request, "401 Unauthorized", wanted))

        with loopback.Server(send_on) as server:
            source = Source(f"rtsp://127.0.0.1:{server.port}/x", "viewer", PASSWORD)
            assert probe(source, seconds=0.5, timeout_s=5).failure is Failure.REDIRECT
            assert elsewhere.received == [], "the probe does not even call"
            assert not record(source, tmp_path / "recorded")
        assert b"Authorization" not in b"".join(elsewhere.received)


def test_a_camera_that_is_described_and_then_silent_has_stalled(loopback: ModuleType) -> None:
    result = probe_hostile(loopback, loopback.playing(SDP.format(parameters=""), loopback.silent))
    assert result.failure is Failure.STALLED
    assert "restart" in result.message or "load" in result.message


def test_garbage_in_place_of_the_picture_ends_in_a_finding(loopback: ModuleType) -> None:
    def garbage(connection: socket.socket) -> None:
        for _ in range(400):
            connection.sendall(os.urandom(2000))
            threading.Event().wait(0.01)

    result = probe_hostile(loopback, loopback.playing(SDP.format(parameters=""), garbage))
    assert result.failure in {Failure.STALLED, Failure.PROTOCOL}


def test_keyframes_that_cannot_be_decoded_are_counted_and_never_a_grey_picture(
    loopback: ModuleType, tmp_path: Path
) -> None:
    transport_stream(tmp_path / "real", [(320, 180)], seconds_each=1)
    units = (tmp_path / "real.h264").read_bytes().replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    sets = [
        base64.b64encode(unit).decode() for kind in (7, 8) for unit in units if unit and unit[0] & 31 == kind
    ][:2]
    parameters = f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={','.join(sets)}\r\n"
    spoilt = loopback.pictures(lambda _number: b"\x65" + os.urandom(700))
    result = probe_hostile(loopback, loopback.playing(SDP.format(parameters=parameters), spoilt))
    assert result.failure is Failure.UNDECODABLE
    assert result.damaged_keyframes == result.keyframes > 0
    assert result.frames == ()
    assert "H.264" in result.message


def test_pictures_of_no_size_are_told_as_such(loopback: ModuleType) -> None:
    """RFC 2435, 3.1: type 1, quality 60, width and height 0."""
    sdp = SDP.format(parameters="").replace("96\r\na=rtpmap:96 H264/90000", "26")
    empty = struct.pack(">B3sBBBB", 0, b"\0\0\0", 1, 60, 0, 0) + os.urandom(400)
    result = probe_hostile(loopback, loopback.playing(sdp, loopback.pictures(lambda _number: empty, kind=26)))
    assert result.failure is Failure.ZERO_SIZE
    assert "0x0" in result.message


def test_a_codec_that_nobody_knows_is_undecodable(loopback: ModuleType) -> None:
    sdp = SDP.format(parameters="").replace("a=rtpmap:96 H264/90000\r\n", "")
    result = probe_hostile(loopback, loopback.playing(sdp, loopback.silent))
    assert result.failure is Failure.UNDECODABLE


def test_all_cameras_are_probed_at_once(loopback: ModuleType) -> None:
    """Each camera answers only when all are connected: one after the other, none would."""
    together = threading.Barrier(30)

    def answer(connection: socket.socket) -> None:
        for request in loopback.requests(connection):
            together.wait(20)
            connection.sendall(loopback.reply(request, "404 Not Found"))

    with loopback.Server(answer) as server:
        sources = {n: (Source(f"rtsp://127.0.0.1:{server.port}/{n}"), None) for n in range(30)}
        results = probe_all(sources, timeout_s=20)
    assert {result.failure for result in results.values()} == {Failure.NOT_FOUND}


def probe_hostile(loopback: ModuleType, talk: Callable[[socket.socket], None]) -> Any:
    with loopback.Server(talk) as server:
        result = probe(
            Source(f"rtsp://127.0.0.1:{server.port}/x", "viewer", PASSWORD), seconds=0.5, timeout_s=1
        )
    assert PASSWORD not in repr(result)
    return result


def record(source: Source, folder: Path) -> bool:
    """Whether the recorder brings media of two seconds."""
    folder.mkdir()
    command = recording_command(source, folder, segment_s=30, offset_s=0, length_s=2, silence_s=5)
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert PASSWORD.encode() not in done.stdout
    return done.returncode == 0 and any(path.stat().st_size > 10_000 for path in folder.glob("*.mp4"))


def transport_stream(
    stem: Path, sizes: list[tuple[int, int]], *, seconds_each: int, without_keyframes: bool = False
) -> Path:
    """``stem``.h264 and ``stem``.ts: a moving picture, 20 frames a second, of one size after the other."""
    content = b"".join(coded(size, seconds_each * 20, without_keyframes) for size in sizes)
    raw, wrapped = stem.with_suffix(".h264"), stem.with_suffix(".ts")
    raw.write_bytes(content)
    command = [ffmpeg_path(), "-nostdin", "-loglevel", "error", "-framerate", "20", "-i", str(raw)]
    subprocess.run(
        [*command, "-c", "copy", "-copyinkf", "-f", "mpegts", str(wrapped)], check=True, timeout=60
    )
    return wrapped


def coded(size: tuple[int, int], count: int, without_keyframes: bool) -> bytes:
    """Annex B H.264; without keyframes, their parameter sets stay."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = Fraction(1, 20), Fraction(20)
    context.gop_size = 10 * count if without_keyframes else 20
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "scenecut=0"}
    noise = np.random.default_rng(1).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    packets = []
    for number in range(count):
        picture = np.roll(noise, number, axis=1).repeat(8, 0).repeat(8, 1)
        picture = np.pad(picture, ((0, size[1] - picture.shape[0]), (0, 0), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return b"".join(
        parameter_sets(bytes(packet)) if without_keyframes and packet.is_keyframe else bytes(packet)
        for packet in packets
    )


def parameter_sets(content: bytes) -> bytes:
    units = content.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return b"".join(b"\0\0\0\1" + unit for unit in units if unit and unit[0] & 31 in (7, 8))
