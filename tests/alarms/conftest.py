"""Who takes alarms: a real HTTP server and a real mail server on the loopback interface, and a site that names them."""

from __future__ import annotations

import importlib.util
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from kaozheng_service.config.site import load_site
from kaozheng_service.station import Station, open_station

DEMO_SITE = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"
MakeStation = Callable[..., Station]


@pytest.fixture(scope="session")
def loopback() -> ModuleType:
    """The module ``tests/vision/loopback.py``: servers that answer as a test says."""
    path = Path(__file__).parents[1] / "vision" / "loopback.py"
    spec = importlib.util.spec_from_file_location("loopback", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["loopback"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_station(tmp_path: Path) -> MakeStation:
    """``make_station(alarms={...})``: the demo site with that section; called again, the same site opened anew."""

    def make(alarms: dict[str, Any] | None = None, **other: Any) -> Station:
        site = yaml.safe_load(DEMO_SITE.read_text(encoding="utf-8"))
        site.pop("timetable")
        site |= other
        if alarms is not None:
            site["alarms"] = alarms
        path = tmp_path / "site.yaml"
        path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
        return open_station(load_site(path))

    return make


@dataclass
class Received:
    """One POST, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class Receiver:
    """Takes POSTs and answers with ``status``; a redirect leads to itself."""

    def __init__(self, port: int = 0, certificate: Path | None = None) -> None:
        self.status = 204
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def receiving() -> Iterator[Callable[..., Receiver]]:
    """``receiving(port, certificate)``: further receivers, ended with the test."""
    opened: list[Receiver] = []

    def make(*arguments: Any, **named: Any) -> Receiver:
        opened.append(Receiver(*arguments, **named))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@dataclass
class Postbox:
    """A mail server's letters. It knows one login; ``refused`` recipients are not taken."""

    username: str = "exam"
    password: str = "fear-of-heights"  # noqa: S105 - planted, to be looked for where it must not be
    refused: set[str] = field(default_factory=set)
    letters: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd asks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 taken"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        right = (data.login.decode(), data.password.decode()) == (self.username, self.password)
        return AuthResult(success=right, handled=False)

    def text(self) -> str:
        """All letters' subjects and words."""
        return "\n".join(f"{letter['Subject']}\n{letter.get_content()}" for letter in self.letters)


@contextmanager
def mail_server(box: Postbox, security: str, certificate: Path | None) -> Iterator[Postbox]:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    options: dict[str, Any] = {}
    if security == "starttls":
        options = {"tls_context": context, "require_starttls": True}
    if certificate is not None:
        options |= {
            "authenticator": box.authenticate,
            "auth_required": True,
            "auth_require_tls": security == "starttls",
        }
    if not box.port:
        with socket.create_server(("127.0.0.1", 0)) as free:  # the controller cannot do with port 0
            box.port = free.getsockname()[1]
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        ssl_context=context if security == "tls" else None,
        **options,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@pytest.fixture
def serving_mail() -> Callable[..., Any]:
    """``with serving_mail(box, security, certificate):`` a mail server that fills the box."""
    return mail_server


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    """A mail server without encryption or login."""
    with mail_server(Postbox(), "plain", None) as box:
        yield box
