"""The first question to an RTSP server: each way of answering told apart, and nobody else gets the login."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import ModuleType
from typing import Any

import pytest
from kaozheng_vision.camera_clock import ClockSource, from_whole_seconds
from kaozheng_vision.describe import describe
from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.source import Source

PASSWORD = "p@ss/word"  # noqa: S105 - of servers that these tests start
SDP = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 8\r\n"
Answer = Callable[[str], bytes]


def failure_of(server: Any, timeout_s: float = 5.0, scheme: str = "rtsp") -> StreamError:
    """What ``describe`` says of a server."""
    source = Source(f"{scheme}://127.0.0.1:{server.port}/live", "viewer", PASSWORD)
    with pytest.raises(StreamError) as caught:
        describe(source, timeout_s)
    assert PASSWORD not in str(caught.value)
    return caught.value


def answering(loopback: ModuleType, answer: Answer) -> Any:
    """A server that answers OPTIONS in good order and all else by ``answer(request)``."""

    def talk(connection: socket.socket) -> None:
        for request in loopback.requests(connection):
            polite = request.startswith("OPTIONS")
            connection.sendall(loopback.reply(request) if polite else answer(request))

    return loopback.Server(talk)


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>",
        b"\x00\xff\x17garbage" * 40,
        b"RTSP/1.0 2xx\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nX: " + b"a" * 100_000,
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    ],
    ids=["a web page", "garbage", "no status", "a header without end", "a body without end"],
)
def test_what_is_no_rtsp_is_told_as_such(loopback: ModuleType, bytes_sent: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(bytes_sent)
        connection.recv(4096)

    with loopback.Server(talk) as server:
        assert failure_of(server).failure is Failure.PROTOCOL


def test_silence_and_one_byte_at_a_time_are_no_answer(loopback: ModuleType) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        for byte in b"RTSP/1.0 200 OK\r\n" * 20:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    for talk in (loopback.silent, drip):
        with loopback.Server(talk) as server:
            error = failure_of(server, timeout_s=0.5)
        assert error.failure is Failure.TIMEOUT
        assert "load" in str(error)


def test_a_server_that_hangs_up_is_told(loopback: ModuleType) -> None:
    with loopback.Server(lambda connection: None) as server:
        error = failure_of(server)
    assert error.failure is Failure.PROTOCOL
    assert "hangs up" in str(error)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("401 Unauthorized", Failure.AUTH),
        ("403 Forbidden", Failure.AUTH),
        ("404 Not Found", Failure.NOT_FOUND),
        ("453 Not Enough Bandwidth", Failure.PROTOCOL),
        ("503 Service Unavailable", Failure.PROTOCOL),
    ],
)
def test_refusals_are_told_apart(loopback: ModuleType, status: str, failure: Failure) -> None:
    challenge = ('WWW-Authenticate: Digest realm="camera", nonce="1"',) if status.startswith("401") else ()
    with answering(loopback, lambda request: loopback.reply(request, status, *challenge)) as server:
        assert failure_of(server).failure is failure


def test_a_camera_that_wants_a_login_where_none_is_named_says_so(loopback: ModuleType) -> None:
    def ask(request: str) -> bytes:
        return loopback.reply(request, "401 Unauthorized", 'WWW-Authenticate: Digest realm="c", nonce="1"')

    with answering(loopback, ask) as server, pytest.raises(StreamError, match="name a credential") as caught:
        describe(Source(f"rtsp://127.0.0.1:{server.port}/live"), 5)
    assert caught.value.failure is Failure.AUTH


@pytest.mark.parametrize("before_login", [True, False])
def test_a_redirect_to_another_host_is_refused_and_that_host_never_called(
    loopback: ModuleType, before_login: bool
) -> None:
    with loopback.Server(loopback.silent) as elsewhere:
        there = f"Location: rtsp://someone:planted@127.0.0.1:{elsewhere.port}/live?password=planted"

        def send_on(request: str) -> bytes:
            if not before_login and "Authorization" not in request:
                return loopback.reply(
                    request, "401 Unauthorized", 'WWW-Authenticate: Digest realm="c", nonce="1"'
                )
            return loopback.reply(request, "302 Moved Temporarily", there)

        with answering(loopback, send_on) as server:
            error = failure_of(server)
        assert elsewhere.received == []
    assert error.failure is Failure.REDIRECT
    assert f"127.0.0.1:{elsewhere.port}" in str(error)
    assert "planted" not in str(error)
    assert "site file" in str(error)


def test_a_redirect_already_of_the_first_question_is_refused(loopback: ModuleType) -> None:
    def talk(connection: socket.socket) -> None:
        for request in loopback.requests(connection):
            connection.sendall(loopback.reply(request, "301 Moved", "Location: rtsp://198.51.100.7/live"))

    with loopback.Server(talk) as server:
        assert failure_of(server).failure is Failure.REDIRECT


def test_a_redirect_within_the_server_is_followed_and_a_circle_ends(loopback: ModuleType) -> None:
    def once(request: str) -> bytes:
        if "/live" in request.splitlines()[0]:
            port = request.splitlines()[0].partition("127.0.0.1:")[2].partition("/")[0]
            return loopback.reply(request, "302 Found", f"Location: rtsp://127.0.0.1:{port}/main")
        return loopback.reply(request, body=SDP)

    with answering(loopback, once) as server:
        assert describe(Source(f"rtsp://127.0.0.1:{server.port}/live"), 5).media == ("video", "audio")

    def forever(request: str) -> bytes:
        return loopback.reply(request, "302 Found", f"Location: {request.split()[1]}")

    with answering(loopback, forever) as server:
        assert failure_of(server).failure is Failure.PROTOCOL


@pytest.mark.parametrize("algorithm", ["", ", algorithm=MD5", ", algorithm=SHA-256"])
def test_a_digest_login_is_chosen_where_a_basic_one_is_offered_too(
    loopback: ModuleType, algorithm: str
) -> None:
    def ask(request: str) -> bytes:
        if "Authorization: Digest" in request:
            return loopback.reply(request, body=SDP)
        return loopback.reply(
            request,
            "401 Unauthorized",
            'WWW-Authenticate: Basic realm="camera"',
            f'WWW-Authenticate: Digest realm="camera", nonce="af", qop="auth"{algorithm}',
        )

    with answering(loopback, ask) as server:
        described = describe(Source(f"rtsp://127.0.0.1:{server.port}/live", "viewer", PASSWORD), 5)
    assert described.login == "digest"
    sent = b"".join(server.received)
    assert PASSWORD.encode() not in sent
    assert b"Basic" not in sent


def test_a_camera_that_offers_only_a_basic_login_is_told_of(loopback: ModuleType) -> None:
    def ask(request: str) -> bytes:
        if "Authorization: Basic" in request:
            return loopback.reply(request, body=SDP)
        return loopback.reply(request, "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')

    with answering(loopback, ask) as server:
        described = describe(Source(f"rtsp://127.0.0.1:{server.port}/live", "viewer", PASSWORD), 5)
    assert described.login == "basic"


def test_the_date_of_its_answers_tells_a_camera_that_is_an_hour_behind(loopback: ModuleType) -> None:
    def dated(request: str) -> bytes:
        moment = datetime.now(UTC) - timedelta(hours=1)
        return loopback.reply(request, "200 OK", f"Date: {format_datetime(moment, usegmt=True)}", body=SDP)

    with answering(loopback, dated) as server:
        described = describe(Source(f"rtsp://127.0.0.1:{server.port}/live"), 5)
    clock = from_whole_seconds(described.answers, ClockSource.RTSP)
    assert clock is not None
    assert clock.error_s is not None
    assert abs(clock.offset_s + 3600) <= clock.error_s
    assert clock.error_s >= 0.5, "whole seconds cannot tell more"
