"""Servers on the loopback interface that answer as a test says, for what no well-behaved server does."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Talk = Callable[[socket.socket], None]


class Server:
    """Runs ``talk(connection)`` for each connection, in a thread of its own; encrypted where a certificate is given.

    Attributes
    ----------
    received : all bytes that clients sent, connection after connection
    """

    def __init__(self, talk: Talk, certificate: Path | None = None) -> None:
        self._talk = talk
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        self.received: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed by ``__exit__``
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            self._talk(_Recording(connection, self.received))
            connection.close()


class _Recording:
    """A connection whose received bytes are written down."""

    def __init__(self, connection: socket.socket, received: list[bytes]) -> None:
        self._connection = connection
        self._received = received

    def recv(self, size: int) -> bytes:
        content = self._connection.recv(size)
        self._received.append(content)
        return content

    def sendall(self, content: bytes) -> None:
        self._connection.sendall(content)


def requests(connection: socket.socket) -> Iterator[str]:
    """Each RTSP request without a body, as text, until the client hangs up."""
    waiting = b""
    while True:
        head, separator, rest = waiting.partition(b"\r\n\r\n")
        if separator:
            waiting = rest
            yield head.decode()
            continue
        more = connection.recv(4096)
        if not more:
            return
        waiting += more


def reply(request: str, status: str = "200 OK", *headers: str, body: str = "") -> bytes:
    """An RTSP answer to ``request``."""
    number = next(line for line in request.splitlines() if line.lower().startswith("cseq"))
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join((f"RTSP/1.0 {status}", number, *headers, *length, "", body)).encode()


def silent(connection: socket.socket) -> None:
    """Reads and never answers."""
    while connection.recv(4096):
        pass


def make_certificate(
    folder: Path, name: str = "camera", *, days_left: int = 30, address: str | None = None
) -> tuple[Path, Path]:
    """A self-signed certificate as cameras make their own: (certificate, certificate with its key), PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days_left))
    )
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    shown = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate, both = folder / f"{name}.pem", folder / f"{name}-with-key.pem"
    certificate.write_bytes(shown)
    both.write_bytes(shown + secret)
    return certificate, both


def playing(sdp: str, send: Talk) -> Talk:
    """An RTSP camera of one stream: describes ``sdp``, and after PLAY does ``send(connection)``."""

    def talk(connection: socket.socket) -> None:
        for request in requests(connection):
            method, url = request.split()[:2]
            if method == "DESCRIBE":
                connection.sendall(
                    reply(
                        request, "200 OK", "Content-Type: application/sdp", f"Content-Base: {url}/", body=sdp
                    )
                )
            elif method == "SETUP":
                transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
                connection.sendall(reply(request, "200 OK", transport, "Session: 1"))
            else:
                connection.sendall(reply(request, "200 OK", "Session: 1"))
                if method == "PLAY":
                    send(connection)

    return talk


def rtp(payload: bytes, number: int, *, kind: int = 96, ticks: int = 4500) -> bytes:
    """The ``number``-th picture of 20 a second, in one packet on the first interleaved channel (RFC 2326, 10.12)."""
    header = struct.pack(">BBHII", 0x80, 0x80 | kind, number & 0xFFFF, number * ticks, 7)
    return b"$\x00" + struct.pack(">H", len(header) + len(payload)) + header + payload


def pictures(payload: Callable[[int], bytes], *, kind: int = 96, seconds: float = 20.0) -> Talk:
    """Sends ``payload(number)`` as the picture of that number, 20 a second, until the client hangs up."""

    def send(connection: socket.socket) -> None:
        for number in range(round(seconds * 20)):
            connection.sendall(rtp(payload(number), number, kind=kind))
            time.sleep(0.05)

    return send
