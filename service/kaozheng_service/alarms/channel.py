"""What every channel of alarms does alike: how a delivery fails, and how long it may take in all."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

# A step of a connection, and all of a delivery: a server that drips a byte now and then holds nobody up.
STEP_S, WHOLE_S = 10.0, 30.0


class DeliveryError(Exception):
    """A message was not taken; the text says why, without secrets.

    ``reached`` tells whether a server answered at all: if none did, the next message need not be tried.
    """

    def __init__(self, why: str, *, reached: bool) -> None:
        super().__init__(why)
        self.reached = reached


class Channel(Protocol):
    """Takes messages, JSON of the schema ``kaozheng/alarm/1``. ``together`` is whether it takes many in one."""

    name: str
    together: bool

    def send(self, bodies: Sequence[str]) -> str:
        """What is to be mended though it was taken, "" for nothing.

        Raises DeliveryError, and UserError where a secret cannot be read.
        """

    def target(self) -> str:
        """Where it goes, without secrets, for people."""


def tls_context(certificate: Path | None) -> ssl.SSLContext:
    """Trusts the system's authorities, or only what is in the file. Raises DeliveryError where it cannot be read."""
    try:
        return ssl.create_default_context(cafile=None if certificate is None else str(certificate))
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(f"{certificate} cannot be read as certificates: {error}", reached=False) from None


def connection_trouble(error: OSError) -> str:
    """Why no connection came about, in words that hold no address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    return error.strerror or type(error).__name__


@contextmanager
def ended_in_time(close: Callable[[], None], whole_s: float = WHOLE_S) -> Iterator[None]:
    """Call ``close`` from another thread where the block takes longer than ``whole_s``; its reads then fail."""
    timer = threading.Timer(whole_s, close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def shut(connection: socket.socket | None) -> None:
    """End a connection that another thread reads from."""
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
