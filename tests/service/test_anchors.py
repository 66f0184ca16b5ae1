"""The log's head time-stamped by a real authority (openssl) and mailed through a real SMTP server."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from kaozheng_service.alarms.kinds import AlarmKind
from kaozheng_service.cli import app
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchor import hold_against
from kaozheng_service.evidence.anchors.keeper import AnchorKeeper
from kaozheng_service.evidence.anchors.making import anchors_of, make_anchor
from kaozheng_service.evidence.anchors.posting import AnchorError
from kaozheng_service.evidence.note import NoteError
from kaozheng_service.station import Station, open_station
from typer.testing import CliRunner

CONFIG = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/signer.pem
signer_key = {folder}/signer.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class Authority:
    """A time-stamping authority of its own: CA, signer and `openssl ts -reply` behind HTTP."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.ca = folder, folder / "ca.pem"
        self.asked = 0
        self.spoil: Callable[[bytes], bytes] = lambda answer: answer
        (folder / "conf").write_text(CONFIG.format(folder=folder), encoding="ascii")
        (folder / "serial").write_text("01\n", encoding="ascii")
        made = "-newkey rsa:2048 -nodes -config conf"
        signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile conf -extensions signer"
        for step in (
            f"req -x509 {made} -keyout ca.key -out ca.pem -subj /CN=TestCA -days 30 -extensions ca",
            f"req {made} -keyout signer.key -out signer.csr -subj /CN=TestTSA",
            f"x509 -req -in signer.csr -out signer.pem {signed}",
        ):
            self._openssl(*step.split())

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def reply(self, query: bytes) -> bytes:
        self.asked += 1
        (self.folder / "query").write_bytes(query)
        self._openssl(
            "ts", "-reply", "-config", "conf", "-section", "one", "-queryfile", "query", "-out", "answer"
        )
        return self.spoil((self.folder / "answer").read_bytes())

    @contextmanager
    def running(self) -> Iterator[str]:
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = authority.reply(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="session")
def authorities(
    tmp_path_factory: pytest.TempPathFactory, need: Callable[[bool, str], None]
) -> tuple[Authority, Authority]:
    need(shutil.which("openssl") is not None, "openssl")
    folder = tmp_path_factory.mktemp("tsa")
    return Authority(folder / "one"), Authority(folder / "two")


@pytest.fixture
def authority(authorities: tuple[Authority, Authority]) -> Authority:
    authorities[0].spoil = lambda answer: answer
    return authorities[0]


def reopened(station: Station, **sections: Any) -> Station:
    path = station.site.folder / "site.yaml"
    body = yaml.safe_load(path.read_text(encoding="utf-8")) | sections
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


def stamped(disputed: Any, url: str, ca: Path | None) -> Station:
    entry = {"id": "test-tsa", "url": url} | ({"ca_file": str(ca)} if ca is not None else {})
    return reopened(disputed.station, anchors={"stamps": [entry]})


def test_a_head_is_stamped_on_demand_and_openssl_agrees(disputed: Any, authority: Authority) -> None:
    with authority.running() as url:
        station = stamped(disputed, url, authority.ca)
        before = station.log.size
        site = str(station.site.folder / "site.yaml")
        done = CliRunner().invoke(app, ["anchor", "stamp", "-c", site, "--json"])
    assert done.exit_code == 0, done.output
    body = json.loads(done.stdout)
    assert (body["schema"], body["anchors"][0]["size"]) == ("kaozheng/anchor/1", before)
    record = json.loads(station.log.entry(body["anchors"][0]["leaf"]))
    assert (record["kind"], record["size"], record["checked"]) == ("anchor.stamped", before, True)
    folder = station.state / "anchors" / record["folder"]
    assert hold_against(station.log, (folder / "checkpoint").read_text(encoding="utf-8")).holds
    command = ["openssl", "ts", "-verify", "-in", folder / "token.tsr", "-data", folder / "checkpoint"]
    assert (
        subprocess.run([*command, "-CAfile", authority.ca], check=False, capture_output=True).returncode == 0
    )


def test_an_export_carries_the_stamp_and_it_is_checked_against_the_right_authority_only(
    disputed: Any, authorities: tuple[Authority, Authority], authority: Authority, tmp_path: Path
) -> None:
    with authority.running() as url:
        station = stamped(disputed, url, authority.ca)
        (anchor,) = anchors_of(station.site)
        make_anchor(station, anchor)
        make_anchor(station, anchor)  # a later one, which this export does not need
    bag = tmp_path / "bag"
    export_bag(station, disputed.request(), bag)
    assert len(list((bag / "data/evidence/anchors").iterdir())) == 1
    assert "stamp_unchecked" in {one.code for one in verify_bag(bag).findings}
    good = verify_bag(bag, tsa_ca=authority.ca)
    assert good.outcome == "intact", good.findings
    codes = {one.code for one in good.findings}
    assert "stamped" in codes
    assert "stamp_unchecked" not in codes
    assert verify_bag(bag, tsa_ca=authorities[1].ca).outcome == "cannot_judge"
    with pytest.raises(UserError, match="no PEM certificate"):
        verify_bag(bag, tsa_ca=bag / "README.txt")
    token = next(bag.rglob("token.tsr"))
    content = bytearray(token.read_bytes())
    content[-5] ^= 1
    token.write_bytes(content)
    assert verify_bag(bag).outcome == "altered"
    token.unlink()
    assert verify_bag(bag).outcome == "altered"


def test_what_is_no_stamp_of_this_head_is_refused(
    disputed: Any, authorities: tuple[Authority, Authority], authority: Authority
) -> None:
    with authority.running() as url:
        station = stamped(disputed, url, authority.ca)
        (anchor,) = anchors_of(station.site)
        size = station.log.size
        old = []
        authority.spoil = lambda answer: old.append(answer) or answer  # type: ignore[func-returns-value]
        make_anchor(station, anchor)
        authority.spoil = lambda _answer: old[0]
        with pytest.raises(AnchorError, match="a stamp of something else, or an old one"):
            make_anchor(station, anchor)
        authority.spoil = lambda _answer: b"hello"
        with pytest.raises(AnchorError, match="no time stamp in strict DER"):
            make_anchor(station, anchor)
        assert station.log.size == size + 1  # nothing but the good one is on record
        authority.spoil = lambda answer: answer
        other = stamped(disputed, url, authorities[1].ca)
        with pytest.raises(AnchorError):
            make_anchor(other, anchors_of(other.site)[0])


def test_the_service_stamps_once_an_hour_and_only_what_closed(disputed: Any, authority: Authority) -> None:
    with authority.running() as url:
        station = stamped(disputed, url, authority.ca)
        keeper = AnchorKeeper(station)
        before = authority.asked
        keeper.look(now())
        keeper.look(now())
        keeper.look(now() + timedelta(hours=2))  # nothing closed since
        assert authority.asked == before + 1
        begins = disputed.archive.local("2024-11-24 09:00:00")
        disputed.archive.close(
            disputed.archive.window(begins, begins + timedelta(seconds=20), room="9-101", closed=False)
        )
        keeper.look(now())
        assert authority.asked == before + 1  # not within the hour
        keeper.look(now() + timedelta(hours=2))
        assert authority.asked == before + 2
        assert keeper.troubles() == {}


def test_an_authority_that_is_away_for_a_day_is_told(disputed: Any) -> None:
    station = stamped(disputed, "http://127.0.0.1:9/tsa", None)
    keeper = AnchorKeeper(station)
    ended = disputed.archive.local("2024-11-23 09:00:20")
    keeper.look(ended + timedelta(hours=2))
    assert keeper.troubles() == {}
    keeper.look(ended + timedelta(hours=25))
    said = keeper.troubles()
    assert set(said) == {AlarmKind.ANCHOR_OVERDUE}
    assert "time stamp test-tsa" in said[AlarmKind.ANCHOR_OVERDUE]


class Inbox:
    def __init__(self) -> None:
        self.letters: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters.append((sorted(envelope.rcpt_tos), letter))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    box = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def mailed(disputed: Any, port: int) -> Station:
    mail = {
        "host": "127.0.0.1",
        "port": port,
        "security": "plain",
        "from": "kz@a.example",
        "to": ["duty@a.example"],
    }
    to = ["dean@a.example", "commission@b.example"]
    return reopened(disputed.station, alarms={"mail": mail}, anchors={"mail": {"to": to}})


def test_the_days_head_is_mailed_once_after_the_last_window_and_can_be_held_against_the_log(
    disputed: Any, inbox: tuple[Inbox, int], tmp_path: Path
) -> None:
    box, port = inbox
    station = mailed(disputed, port)
    keeper = AnchorKeeper(station)
    evening: datetime = disputed.archive.local("2024-11-23 09:30:00")
    later = disputed.archive.window(
        evening + timedelta(hours=1), evening + timedelta(hours=2), room="9-101", closed=False
    )
    keeper.look(evening)
    assert box.letters == []  # a window of this day is still to come
    disputed.archive.close(later)
    keeper.look(evening + timedelta(hours=3))
    keeper.look(evening + timedelta(hours=3))
    ((to, letter),) = box.letters
    assert to == ["commission@b.example", "dean@a.example"]
    (record,) = [body for _, body in station.log.find("anchor.mailed")]
    assert (record["recipients"], record["message"]) == (2, letter["Message-ID"])
    assert "commission@b.example" not in json.dumps(record)
    text = letter.get_content()
    begin = text.index(f"{station.log.origin}\n")
    lines = text[begin:].splitlines()[:5]
    assert lines[4].startswith("— ")
    assert hold_against(station.log, "\n".join(lines)).size == record["size"]
    with pytest.raises(NoteError):
        hold_against(station.log, "\n".join([*lines[:2], lines[2][::-1], *lines[3:]]))


def test_mail_without_a_server_is_a_fault_of_the_site_file(disputed: Any) -> None:
    with pytest.raises(UserError, match="alarms: mail:"):
        reopened(disputed.station, anchors={"mail": {"to": ["dean@a.example"]}})
