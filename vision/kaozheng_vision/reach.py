"""Can the camera's host be reached at all? A plain TCP connection tells what a demuxer's error hides."""

from __future__ import annotations

import queue
import socket
import threading
from enum import StrEnum
from urllib.parse import urlsplit

from kaozheng_vision.errors import VisionError
from kaozheng_vision.source import Source

# RFC 7826: the registered ports of rtsp and rtsps.
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322}


class Failure(StrEnum):
    """Why a stream cannot be used."""

    NAME = "name"  # the host name cannot be resolved
    REFUSED = "refused"  # the host is there, nothing listens
    UNREACHABLE = "unreachable"  # no route, host down
    TIMEOUT = "timeout"  # no answer in time
    AUTH = "auth"
    NOT_FOUND = "not_found"
    PROTOCOL = "protocol"  # an answer that is no RTSP, or an error of the camera's own
    NO_VIDEO = "no_video"
    UNDECODABLE = "undecodable"
    STALLED = "stalled"  # described, then no packet


class StreamError(VisionError):
    """A stream that failed in a known way."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


def reach(source: Source, timeout_s: float) -> None:
    """Connect to the source's host and port once, and hang up. A file is reached by being opened.

    Raises
    ------
    StreamError : NAME, REFUSED, UNREACHABLE or TIMEOUT
    """
    if source.is_file:
        return
    parts = urlsplit(source.url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    address = _resolve(host, port, timeout_s)
    try:
        socket.create_connection(address, timeout=timeout_s).close()
    except ConnectionRefusedError:
        raise StreamError(
            Failure.REFUSED,
            f"{host} refuses connections on port {port}; is the camera's RTSP service on, the port right?",
        ) from None
    except TimeoutError:
        raise StreamError(
            Failure.TIMEOUT,
            f"{host} port {port} gave no answer within {timeout_s:.0f} s; check power, address and firewall",
        ) from None
    except OSError as error:
        raise StreamError(
            Failure.UNREACHABLE,
            f"{host} cannot be reached ({error.strerror}); check power, cable, address and network",
        ) from None


def _resolve(host: str, port: int, timeout_s: float) -> tuple[str, int]:
    """In a thread of its own: the system's resolver has no time limit that a caller could set."""
    answers: queue.Queue[tuple[str, int] | OSError] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][:2])  # type: ignore[arg-type]
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        answer = TimeoutError("no answer from the name server")
    if isinstance(answer, OSError):
        raise StreamError(
            Failure.NAME,
            f"the name {host!r} cannot be resolved ({answer}); check its spelling or use its address",
        )
    return answer
