"""Ask an RTSP server what it has, before a demuxer does: each answer told apart, and no login given away.

FFmpeg reports much as "invalid data", and follows a redirect to any host: measured, the 8.1 in PyAV 18 sends the
login there at once, in clear if the first server asked for a basic one (9.0 drops it). So the first question is
asked here, and FFmpeg only opens what was answered in good order.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from kaozheng_vision.camera_clock import Answer
from kaozheng_vision.digest_login import answer_digest, challenges
from kaozheng_vision.failures import BusyError, Failure, StreamError
from kaozheng_vision.reach import reach
from kaozheng_vision.source import PORTS, Source, printable, without_login

# An answer with all headers of a camera is about 1 kB; more than this is not one.
LONGEST_ANSWER = 65536
# Of redirects within one server; more is a circle.
LONGEST_CHAIN = 4
_STATUS = re.compile(rb"RTSP/\d\.\d (\d{3})(?: ([^\r\n]*))?\r?\n")
_MEDIA = re.compile(r"^m=(\w+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Description:
    """What an RTSP server says of a stream.

    Attributes
    ----------
    login : what it asked for: "none", "basic" or "digest"
    media : kinds of its streams in order, such as ("video", "audio"); empty where it does not say
    answers : the times in its answers' Date headers
    round_trip_s : the shortest from question to answer
    """

    login: str
    media: tuple[str, ...]
    answers: tuple[Answer, ...]
    round_trip_s: float


def describe(source: Source, timeout_s: float) -> Description:
    """Ask for a stream's description and log in where that is asked for.

    Parameters
    ----------
    timeout_s : for the connection and for each answer

    Raises
    ------
    StreamError : all that ``reach`` raises, TIMEOUT, PROTOCOL, AUTH, NOT_FOUND or REDIRECT
    """
    dialogue = _Dialogue(source, timeout_s, source.request_url())
    login = "none"
    try:
        # Nothing has to be prepared for it, so its round trip is the network's.
        greeting = dialogue.ask("OPTIONS")
        if 300 <= greeting.status < 400:
            dialogue.url = _same_server(source, next(iter(greeting.all("location")), ""))
        for _ in range(LONGEST_CHAIN):
            answer = dialogue.ask("DESCRIBE")
            if answer.status == 401:
                login, authorization = _log_in(source, answer, dialogue.url)
                if authorization is None:
                    # Only FFmpeg may know this kind of login.
                    return Description(login, (), tuple(dialogue.answers), dialogue.round_trip_s)
                answer = dialogue.ask("DESCRIBE", authorization)
            if not 300 <= answer.status < 400:
                break
            dialogue.url = _same_server(source, next(iter(answer.all("location")), ""))
    finally:
        dialogue.close()
    _refuse(source, answer)
    media = tuple(_MEDIA.findall(answer.body.replace("\r\n", "\n")))
    return Description(login, media, tuple(dialogue.answers), dialogue.round_trip_s)


@dataclass(frozen=True, slots=True)
class _RtspAnswer:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass(slots=True)
class _Dialogue:
    """One connection, opened anew when the server hangs up after it asked for a login."""

    source: Source
    timeout_s: float
    url: str
    connection: socket.socket | None = None
    number: int = 0
    answers: list[Answer] = field(default_factory=list)
    round_trip_s: float = float("inf")

    def ask(self, method: str, authorization: str | None = None) -> _RtspAnswer:
        try:
            return self._ask(method, authorization)
        except _HungUpError:
            if self.number > 1:  # it was open already
                self.close()
                with contextlib.suppress(_HungUpError):
                    return self._ask(method, authorization)
            raise StreamError(
                Failure.PROTOCOL,
                f"{self.source.url} hangs up without an answer; check address and port, and how many viewers"
                " the camera allows",
            ) from None

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def _ask(self, method: str, authorization: str | None) -> _RtspAnswer:
        if self.connection is None:
            self.connection = reach(self.source, self.timeout_s)
        self.number += 1
        lines = [
            f"{method} {self.url} RTSP/1.0",
            f"CSeq: {self.number}",
            "Accept: application/sdp",
            "User-Agent: kaozheng",
        ]
        if authorization is not None:
            lines.append(f"Authorization: {authorization}")
        sent_s, began_s = time.time(), time.monotonic()
        try:
            self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            answer = _receive(self.connection, self.source, began_s + self.timeout_s)
        except TimeoutError:
            raise StreamError(
                Failure.TIMEOUT,
                f"{self.source.url} accepts the connection and gives no answer in {self.timeout_s:.0f} s; check"
                " the port, and the camera's load",
            ) from None
        except OSError:
            raise _HungUpError from None
        took_s = time.monotonic() - began_s
        self.round_trip_s = min(self.round_trip_s, took_s)
        for text in answer.all("date")[:1]:
            with contextlib.suppress(ValueError, OverflowError):
                moment = parsedate_to_datetime(text)
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                self.answers.append(Answer(sent_s, sent_s + took_s, moment.timestamp()))
        return answer


class _HungUpError(Exception):
    """The server closed the connection."""


def _receive(connection: socket.socket, source: Source, deadline_s: float) -> _RtspAnswer:
    received = b""
    while b"\r\n\r\n" not in received and b"\n\n" not in received:
        received += _more(connection, deadline_s)
        # Whatever it is, its first bytes tell whether it is RTSP.
        if len(received) >= 5 and not received.startswith(b"RTSP/"):
            raise _no_rtsp(source)
        if len(received) > LONGEST_ANSWER:
            raise _no_rtsp(source)
    status = _STATUS.match(received)
    if status is None:
        raise _no_rtsp(source)
    head, _, rest = received.partition(b"\r\n\r\n" if b"\r\n\r\n" in received else b"\n\n")
    headers = tuple(
        (name.strip().lower(), value.strip())
        for line in head.decode("utf-8", "replace").splitlines()[1:]
        for name, separator, value in [line.partition(":")]
        if separator
    )
    lengths = [value for name, value in headers if name == "content-length"]
    length = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
    if length > LONGEST_ANSWER:
        raise _no_rtsp(source)
    while len(rest) < length:
        rest += _more(connection, deadline_s)
    reason = (status.group(2) or b"").decode("utf-8", "replace")[:60]
    return _RtspAnswer(int(status.group(1)), reason, headers, rest[:length].decode("utf-8", "replace"))


def _more(connection: socket.socket, deadline_s: float) -> bytes:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    connection.settimeout(left_s)
    received = connection.recv(4096)
    if not received:
        raise _HungUpError
    return received


def _log_in(source: Source, answer: _RtspAnswer, url: str) -> tuple[str, str | None]:
    """(what was asked for, the Authorization header; None where we cannot make it)."""
    if source.username is None:
        raise StreamError(
            Failure.AUTH, f"{source.url} asks for a login; name a credential in the camera's entry"
        )
    offered = challenges(answer.all("www-authenticate"))
    digests = [challenge for challenge in offered if challenge.scheme == "digest"]
    password = source.password or ""
    for challenge in digests:
        header = answer_digest(challenge, source.username, password, "DESCRIBE", url)
        if header is not None:
            return "digest", header
    if digests:
        return "digest", None
    if any(challenge.scheme == "basic" for challenge in offered):
        return "basic", "Basic " + base64.b64encode(f"{source.username}:{password}".encode()).decode()
    return "unknown", None


def _refuse(source: Source, answer: _RtspAnswer) -> None:
    """Raise for every answer that is not a description."""
    status = answer.status
    where = source.url
    if status in (401, 403):
        raise StreamError(
            Failure.AUTH,
            f"{where} refuses the login; check the credential's user name and password, and its rights",
        )
    if status == 404:
        raise StreamError(
            Failure.NOT_FOUND, f"{where}: the camera answers but has no such stream; check the path"
        )
    if not 200 <= status < 300:
        raise (BusyError if status >= 500 else StreamError)(
            Failure.PROTOCOL,
            f"{where} answers with an error ({status} {answer.reason}); look at the camera's own page",
        )


def _same_server(source: Source, location: str) -> str:
    """Where a redirect leads, if that is the same server, to which the login belongs: FFmpeg will follow."""
    try:
        parts = urlsplit(location)
        there = (parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme, 0))
    except ValueError:
        there = ("", None, 0)
    if there == (urlsplit(source.url).scheme, source.host, source.port):
        return without_login(location)
    raise StreamError(
        Failure.REDIRECT,
        f"{source.url} sends its viewers on to {printable(location) or 'nowhere'}, which was not asked and gets"
        " no login; if that is the camera, write that address into the site file",
    )


def _no_rtsp(source: Source) -> StreamError:
    return StreamError(
        Failure.PROTOCOL,
        f"{source.url} does not speak RTSP; check address and port, another service answers there",
    )
