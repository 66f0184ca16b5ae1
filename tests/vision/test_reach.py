"""Reaching a camera: names, ports, and who vouches for an encrypted one."""

from __future__ import annotations

import socket
import ssl
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kaozheng_vision.describe import describe
from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.reach import encryption_options, reach
from kaozheng_vision.source import Source

PASSWORD = "p@ss/word"  # noqa: S105 - of servers that these tests start


def failure_of(url: str, certificate: Path | None = None, timeout_s: float = 5.0) -> StreamError:
    with pytest.raises(StreamError) as caught:
        reach(Source(url, "viewer", PASSWORD, certificate), timeout_s)
    assert PASSWORD not in str(caught.value)
    return caught.value


def polite(loopback: ModuleType, certificate: Path) -> Any:
    """A server that answers all in good order."""

    def talk(connection: socket.socket) -> None:
        for request in loopback.requests(connection):
            connection.sendall(loopback.reply(request, body="v=0\r\nm=video 0 RTP/AVP 96\r\n"))

    return loopback.Server(talk, certificate)


def test_a_name_that_does_not_exist_is_a_name_failure() -> None:
    assert failure_of("rtsp://camera.invalid/x").failure is Failure.NAME
    assert failure_of(f"rtsp://{'a' * 64}.invalid/x").failure is Failure.NAME


def test_an_address_that_no_network_leads_to_is_unreachable() -> None:
    assert failure_of("rtsp://255.255.255.255/x").failure is Failure.UNREACHABLE


def test_a_port_where_nothing_listens_is_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = failure_of(f"rtsp://127.0.0.1:{closed.getsockname()[1]}/x")
    assert error.failure is Failure.REFUSED
    assert "RTSP service" in str(error)


def test_a_certificate_that_nobody_vouches_for_is_refused_with_its_fingerprint_and_before_any_word(
    loopback: ModuleType, tmp_path: Path
) -> None:
    certificate, both = loopback.make_certificate(tmp_path)
    with polite(loopback, both) as server:
        error = failure_of(f"rtsps://127.0.0.1:{server.port}/x")
        assert b"".join(server.received) == b""
    assert error.failure is Failure.CERTIFICATE
    assert "self-signed" in str(error)
    assert fingerprint(certificate) in str(error)
    assert f"openssl s_client -connect 127.0.0.1:{server.port}" in str(error)


@pytest.mark.parametrize("address", [None, "127.0.0.1"], ids=["by another name", "by its address"])
def test_the_cameras_own_certificate_is_accepted_when_it_is_named(
    loopback: ModuleType, tmp_path: Path, address: str | None
) -> None:
    certificate, both = loopback.make_certificate(tmp_path, address=address)
    with polite(loopback, both) as server:
        source = Source(f"rtsps://127.0.0.1:{server.port}/x", certificate=certificate)
        assert describe(source, 5).media == ("video",)
    options = encryption_options(source)
    assert options["tls_verify"] == "1"
    assert options["ca_file"] == str(certificate)
    assert options["verifyhost"] == (address or "camera")


def test_another_certificate_than_the_named_one_is_refused(loopback: ModuleType, tmp_path: Path) -> None:
    certificate, _ = loopback.make_certificate(tmp_path, "camera")
    _, stranger = loopback.make_certificate(tmp_path, "stranger")
    with polite(loopback, stranger) as server:
        error = failure_of(f"rtsps://127.0.0.1:{server.port}/x", certificate)
    assert error.failure is Failure.CERTIFICATE
    assert "camera.pem" in str(error)


def test_a_certificate_that_has_run_out_is_refused_though_it_is_named(
    loopback: ModuleType, tmp_path: Path
) -> None:
    certificate, both = loopback.make_certificate(tmp_path, days_left=-3)
    with polite(loopback, both) as server:
        error = failure_of(f"rtsps://127.0.0.1:{server.port}/x", certificate)
    assert error.failure is Failure.CERTIFICATE
    assert "expired" in str(error)


def test_a_certificate_file_that_is_missing_or_none_is_told(tmp_path: Path, loopback: ModuleType) -> None:
    words = tmp_path / "words.pem"
    words.write_text("no certificate")
    _, both = loopback.make_certificate(tmp_path)
    with polite(loopback, both) as server:
        for path, said in ((tmp_path / "none.pem", "cannot be read"), (words, "PEM form")):
            error = failure_of(f"rtsps://127.0.0.1:{server.port}/x", path)
            assert error.failure is Failure.CERTIFICATE
            assert said in str(error)


def test_a_server_that_does_not_encrypt_or_never_begins_to_is_told_apart(loopback: ModuleType) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"RTSP/1.0 400 Bad Request\r\n\r\n")

    with loopback.Server(plain) as server:
        assert failure_of(f"rtsps://127.0.0.1:{server.port}/x").failure is Failure.PROTOCOL
    with loopback.Server(loopback.silent) as server:
        assert failure_of(f"rtsps://127.0.0.1:{server.port}/x", timeout_s=0.5).failure is Failure.TIMEOUT


def fingerprint(certificate: Path) -> str:

    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return sha256(der).digest().hex(":").upper()
