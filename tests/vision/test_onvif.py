"""ONVIF against an independent device, the package ipycam, and against devices that mean harm."""

from __future__ import annotations

import logging
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ipycam.onvif
import numpy as np
import pytest
from ipycam import CameraConfig, IPCamera
from ipycam.http import IPCameraHTTPHandler
from kaozheng_service.config.sources import stream_of
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python
from kaozheng_vision.camera_clock import ClockSource
from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.onvif import ask_device, snapshot
from kaozheng_vision.probe import probe
from kaozheng_vision.source import Source

# With letters that XML and URLs must escape.
PASSWORD = "p@ss/<word>&"  # noqa: S105 - of devices that these tests start
PLANTED = "hunter2secret"
HOUR = timedelta(hours=1)


@contextmanager
def device(**settings: Any) -> Iterator[IPCamera]:
    """ipycam's ONVIF and web server, on the loopback interface and without its discovery."""
    settings = {"local_ip": "127.0.0.1", "username": "viewer", "password": PASSWORD, **settings}
    camera = IPCamera(CameraConfig(**settings))
    camera._last_frame = np.full((90, 160, 3), 120, np.uint8)
    handler = type("Handler", (IPCameraHTTPHandler,), {"camera": camera, "log_message": lambda *_: None})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        camera.config.onvif_port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield camera
        server.shutdown()


def source_of(camera: IPCamera, path: str = "", password: str = PASSWORD) -> Source:
    return Source(f"onvif://127.0.0.1:{camera.config.onvif_port}{path}", "viewer", password)


def failure_of(source: Source, timeout_s: float = 5.0) -> StreamError:
    with pytest.raises(StreamError) as caught:
        ask_device(source, timeout_s)
    assert PASSWORD not in str(caught.value)
    assert PLANTED not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("path", "name", "size"),
    [
        ("", "video_main", (1920, 1080)),
        ("/Profile_Sub", "video_sub", (640, 360)),
        ("/2", "video_sub", (640, 360)),
        ("/1", "video_main", (1920, 1080)),
    ],
)
def test_a_device_gives_the_stream_of_the_profile_that_is_named(
    path: str, name: str, size: tuple[int, int]
) -> None:
    with device() as camera:
        answer = ask_device(source_of(camera, path), 5, clock=False)
    assert answer.stream.url == f"rtsp://127.0.0.1:8554/{name}"
    assert (answer.stream.username, answer.stream.password) == ("viewer", PASSWORD)
    assert answer.size == size
    assert answer.clock is None


def test_its_clock_is_told_more_finely_than_its_whole_seconds() -> None:
    """The device's clock is ours."""
    with device() as camera:
        clock = ask_device(source_of(camera), 5).clock
    assert clock is not None
    assert clock.source is ClockSource.ONVIF
    assert clock.error_s is not None
    assert clock.error_s < 0.4
    assert abs(clock.offset_s) <= clock.error_s + 0.02


def test_a_device_an_hour_ahead_is_told_and_logged_in_to_by_its_own_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ipycam refuses a login that is dated more than five minutes from its own time."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + HOUR

    monkeypatch.setattr(ipycam.onvif, "datetime", Ahead)
    open_to_all = SimpleNamespace(gmtime=lambda: (datetime.utcnow() + HOUR).timetuple())  # noqa: DTZ003
    monkeypatch.setattr(ipycam.onvif, "time", open_to_all)
    monkeypatch.setattr(
        ipycam.onvif.ONVIFService,
        "verify_usernametoken",
        lambda self, body: (
            "GetSystemDateAndTime" in body
            or ipycam.onvif.verify_ws_username_token(body, self.config.username, self.config.password)
        ),
    )
    with device() as camera:
        clock = ask_device(source_of(camera), 5).clock
    assert clock is not None
    assert clock.offset_s == pytest.approx(3600, abs=0.5)


def test_a_profile_that_it_does_not_have_is_told_with_those_it_has() -> None:
    with device() as camera:
        error = failure_of(source_of(camera, "/Profile_Third"))
    assert error.failure is Failure.NOT_FOUND
    assert "Profile_Main, Profile_Sub" in str(error)


def test_a_wrong_password_and_none_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with device() as camera:
        error = failure_of(source_of(camera, password="wr0ng@secret"))  # noqa: S106
        nameless = failure_of(Source(f"onvif://127.0.0.1:{camera.config.onvif_port}"))
    assert error.failure is nameless.failure is Failure.AUTH
    assert "wr0ng" not in str(error)
    assert "name a credential" in str(nameless)


def test_a_device_that_asks_for_no_login_needs_none() -> None:
    with device(username="", password="") as camera:
        answer = ask_device(Source(f"onvif://127.0.0.1:{camera.config.onvif_port}"), 5, clock=False)
    assert answer.stream.username is None


@pytest.mark.parametrize(
    "written",
    [
        f"rtsp://admin:{PLANTED}@127.0.0.1:8554/live",
        f"rtsp://127.0.0.1:8554/user=admin&password={PLANTED}&channel=1&stream=0.sdp?",
        f"rtsp://127.0.0.1:8554/user=admin_password={PLANTED}_channel=1_stream=0.sdp",
        f"rtsp://127.0.0.1:8554/live?usr=admin&pwd={PLANTED}",
    ],
)
def test_a_login_that_the_device_writes_into_its_address_is_never_shown(
    written: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(CameraConfig, "main_stream_rtsp", property(lambda _self: written))
    with device() as camera:
        source = source_of(camera)
        stream = ask_device(source, 5, clock=False).stream
        result = probe(source, seconds=0.5, timeout_s=2)
    assert PLANTED not in stream.url
    assert PLANTED not in repr(stream) + repr(result)
    assert PLANTED not in stream.mask(f"ffmpeg could not open {stream.secret_url()}: {written}")
    assert PLANTED not in caplog.text
    assert PASSWORD not in caplog.text + repr(result)
    if "@" not in written:
        assert stream.request_url() == written.rstrip("?"), "what is opened is what the device wrote"
        assert stream.has_secrets


def test_a_stream_on_another_host_is_refused_and_told() -> None:
    """The device advertises 192.0.2.7 for its services too; those are asked where the site file says."""
    with device(local_ip="192.0.2.7") as camera:
        error = failure_of(source_of(camera))
    assert error.failure is Failure.REDIRECT
    assert "rtsp://192.0.2.7:8554/video_main" in str(error)
    assert "site file" in str(error)


def test_a_stream_that_is_no_rtsp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with device() as camera:
        for written in ("http://127.0.0.1/live", "rtsp://", "file:///etc/passwd", ""):
            monkeypatch.setattr(CameraConfig, "main_stream_rtsp", property(lambda _self, uri=written: uri))
            assert failure_of(source_of(camera)).failure is Failure.PROTOCOL


def test_a_snapshot_is_the_devices_picture() -> None:
    with device() as camera:
        picture = snapshot(source_of(camera), 5)
        assert picture.shape == (90, 160, 3)
        assert abs(int(picture.mean()) - 120) < 5
        camera._last_frame = None
        with pytest.raises(StreamError):
            snapshot(source_of(camera), 5)


@pytest.mark.parametrize(
    ("content", "failure"), [(b"", Failure.ZERO_SIZE), (b"<html>no picture</html>", Failure.UNDECODABLE)]
)
def test_an_empty_snapshot_or_one_that_is_no_picture_is_told(
    content: bytes, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    monkeypatch.setattr(IPCameraHTTPHandler, "serve_snapshot", serve)
    with device() as camera, pytest.raises(StreamError) as caught:
        snapshot(source_of(camera), 5)
    assert caught.value.failure is failure


@pytest.mark.e2e
def test_a_device_is_probed_and_recorded_through_the_stream_it_names(
    write_clip: Callable[..., Path], need: Callable[[bool, str], None]
) -> None:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    clip = write_clip("device.mp4")
    with (
        RehearsalServer({"/live": clip}, user="viewer", password=PASSWORD) as streaming,
        device(rtsp_port=streaming.port, main_stream_name="live") as camera,
    ):
        result = probe(source_of(camera), expected_size=(320, 180), seconds=2)
        recorded = stream_of(source_of(camera)).result(timeout=30)
    assert result.ok, result.message
    assert result.login == "digest"
    assert result.size_matches
    assert result.clock is not None
    assert result.clock.source is ClockSource.ONVIF
    assert recorded.url == f"rtsp://127.0.0.1:{streaming.port}/live"
    assert recorded.password == PASSWORD


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + ']><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>&i;</s:Body></s:Envelope>'
).encode()
READS_A_FILE = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>&f;</s:Body></s:Envelope>'
)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, BOMB),
        (200, READS_A_FILE),
        (200, b"<html><body>a web page</body></html>"),
        (200, b"\x00\xff" * 100),
        (200, b""),
        (404, b"<html>not here</html>"),
        (500, b""),
        (200, b"<a>" * 100_000),
    ],
    ids=["entity bomb", "external entity", "web page", "garbage", "empty", "not found", "error", "deep"],
)
def test_what_is_no_onvif_answer_is_told_as_such(loopback: ModuleType, status: int, body: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)

    with loopback.Server(talk) as server:
        error = failure_of(Source(f"onvif://127.0.0.1:{server.port}", "viewer", PASSWORD))
    assert error.failure is Failure.PROTOCOL
    assert "rtsp:// address" in str(error)


def test_an_answer_without_end_is_cut_off(loopback: ModuleType) -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"a" * 65536)

    with loopback.Server(flood) as server:
        error = failure_of(Source(f"onvif://127.0.0.1:{server.port}", "viewer", PASSWORD))
    assert error.failure is Failure.PROTOCOL
    assert "without end" in str(error)


def test_a_device_that_says_nothing_times_out(loopback: ModuleType) -> None:
    with loopback.Server(loopback.silent) as server:
        error = failure_of(Source(f"onvif://127.0.0.1:{server.port}"), timeout_s=0.5)
    assert error.failure is Failure.TIMEOUT
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = failure_of(Source(f"onvif://127.0.0.1:{closed.getsockname()[1]}"))
    assert error.failure is Failure.REFUSED
    assert "ONVIF service" in str(error)


def test_a_device_that_sends_its_askers_elsewhere_is_not_followed(loopback: ModuleType) -> None:
    with loopback.Server(loopback.silent) as elsewhere:

        def send_on(connection: socket.socket) -> None:
            connection.recv(65536)
            where = f"Location: http://127.0.0.1:{elsewhere.port}/onvif/device_service"
            connection.sendall(f"HTTP/1.1 307 X\r\n{where}\r\nContent-Length: 0\r\n\r\n".encode())

        with loopback.Server(send_on) as server:
            error = failure_of(Source(f"onvif://127.0.0.1:{server.port}", "viewer", PASSWORD))
        assert elsewhere.received == []
    assert error.failure is Failure.PROTOCOL


def test_a_dtd_is_what_is_refused_in_an_entity_bomb(loopback: ModuleType) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(BOMB)}\r\n\r\n"
        connection.sendall(head.encode() + BOMB)

    with loopback.Server(talk) as server:
        assert "DTDForbidden" in str(failure_of(Source(f"onvif://127.0.0.1:{server.port}")))


def test_the_library_leaves_the_programs_logging_alone_and_never_logs_an_answer() -> None:
    """In a process of its own, as the library is imported once."""
    code = (
        "import logging, kaozheng_vision.onvif; root = logging.getLogger(); root.setLevel(logging.DEBUG);"
        "print(root.handlers, [logging.getLogger(name).isEnabledFor(logging.DEBUG)"
        " for name in ('onvif.zeep_aiohttp', 'zeep.transports')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[] [False, False]"
