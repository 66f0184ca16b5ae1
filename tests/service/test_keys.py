"""The signing key: under a passphrase, changed for another, and what a crash between two steps leaves."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_service.cli import main
from kaozheng_service.clock import now
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.standalone.assemble import standalone_verifier
from kaozheng_service.disputes.verify import verify_archive, verify_bag
from kaozheng_service.evidence.anchor import hold_against
from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.key_rotation import open_log, rotate_key
from kaozheng_service.evidence.keys import VARIABLE, fingerprint, load_or_make_key
from kaozheng_service.evidence.log import EvidenceLog, KeyReplacedError
from kaozheng_service.evidence.note import NoteError, parse_checkpoint, sign_checkpoint, verifier_key
from kaozheng_service.evidence.records import KeyChanged, Marked
from kaozheng_service.recording.leases import try_lease

SECRET = base64.b64encode(bytes(range(32))).decode()


def kaozheng(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The whole command, but for a process of its own."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    words = ["kaozheng", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def mark(note: str = "") -> Marked:
    return Marked(at=now(), room="9-101", moment=now(), mark="incident", note=note)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def site(small_archive: Any) -> Path:
    small_archive.station.log.append(mark())
    return small_archive.station.site.folder / "site.yaml"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(SECRET + "\n", encoding="utf-8")
    return path


def test_the_key_is_shown_as_printed_as_pem_and_as_digits_and_never_the_private_one(
    site: Path, small_archive: Any, tmp_path: Path
) -> None:
    log = small_archive.station.log
    done = kaozheng("key", "show", "-c", site, "--json", "--qr", tmp_path / "key.svg")
    body = json.loads(done.stdout)
    assert (body["schema"], body["encrypted"], body["before"]) == ("kaozheng/key/1", False, [])
    assert body["key"] == verifier_key(log.origin, log.public_key)
    assert re.fullmatch(r"(\d{5} ){5}\d{5}", body["fingerprint"])
    assert body["fingerprint"] == fingerprint(log.public_key)
    assert "<svg" in (tmp_path / "key.svg").read_text(encoding="utf-8")
    said = kaozheng("key", "show", "-c", site).stdout
    assert body["fingerprint"] in said
    assert "PRIVATE" not in said + done.stdout
    pem = tmp_path / "site.pub"
    pem.write_text(kaozheng("key", "show", "-c", site, "--pem").stdout, encoding="ascii")
    text = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", pem, "-text", "-noout"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "ED25519 Public-Key" in text


def test_the_fingerprint_is_the_one_that_the_formats_page_describes() -> None:
    # By hand: printf of 32 zero bytes' public key | sha256sum, five bytes a group, modulo 100000.
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    digest = hashlib.sha256(key.public_bytes_raw()).hexdigest()
    groups = [int(digest[at : at + 10], 16) % 100000 for at in range(0, 60, 10)]
    assert fingerprint(key) == " ".join(f"{group:05d}" for group in groups)


def test_a_key_under_a_passphrase_needs_it_and_stays_the_same_key(
    site: Path, secret_file: Path, small_archive: Any
) -> None:
    path = small_archive.station.state / "keys" / "site.key"
    before = load_or_make_key(path.parent).private_bytes_raw()
    given = {"KAOZHENG_KEY_PASSPHRASE_FILE": str(secret_file)}
    assert "a passphrase is needed" in refused(kaozheng("key", "encrypt", "-c", site))
    done = kaozheng("key", "encrypt", "-c", site, "--json", **given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["encrypted"] is True
    assert path.read_text(encoding="ascii").startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["site.key"]
    assert "a passphrase is needed" in refused(kaozheng("window", "list", "-c", site))
    assert kaozheng("window", "list", "-c", site, **given).returncode == 0
    wrong = kaozheng("window", "list", "-c", site, **{VARIABLE: "a wrong one of enough characters"})
    assert "the passphrase does not open it" in refused(wrong)
    assert "a wrong one" not in wrong.stderr
    assert "fewer than 22" in refused(kaozheng("window", "list", "-c", site, **{VARIABLE: "short"}))
    assert "already" in refused(kaozheng("key", "encrypt", "-c", site, **given))
    assert kaozheng("key", "decrypt", "-c", site, **given).returncode == 0
    assert load_or_make_key(path.parent).private_bytes_raw() == before
    assert "is not encrypted" in refused(kaozheng("key", "decrypt", "-c", site, **given))


def test_systemd_hands_the_passphrase_over_as_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "kaozheng-key-passphrase").write_text(SECRET, encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    made = load_or_make_key(tmp_path / "keys")
    assert b"ENCRYPTED" in (tmp_path / "keys" / "site.key").read_bytes()
    assert load_or_make_key(tmp_path / "keys").private_bytes_raw() == made.private_bytes_raw()


def test_openssl_opens_the_encrypted_key(site: Path, secret_file: Path, small_archive: Any) -> None:
    assert (
        kaozheng("key", "encrypt", "-c", site, KAOZHENG_KEY_PASSPHRASE_FILE=str(secret_file)).returncode == 0
    )
    path = small_archive.station.state / "keys" / "site.key"
    command = ["openssl", "pkey", "-in", path, "-passin", f"file:{secret_file}", "-noout"]
    assert subprocess.run(command, check=False).returncode == 0


def test_a_running_service_keeps_its_key(site: Path, small_archive: Any, secret_file: Path) -> None:
    given = {"KAOZHENG_KEY_PASSPHRASE_FILE": str(secret_file)}
    lease = try_lease(small_archive.station.state / "locks" / "daemon.lock")
    assert lease is not None
    for command in (["rotate", "--reason", "one year"], ["encrypt"], ["decrypt"]):
        assert "the service is running" in refused(kaozheng("key", *command, "-c", site, **given))
    lease.release()
    assert "needs a reason" in refused(kaozheng("key", "rotate", "--reason", " ", "-c", site))


def test_a_changed_key_signs_from_then_on_and_the_paper_of_before_still_holds(
    site: Path, small_archive: Any
) -> None:
    station = small_archive.station
    printed, old = station.log.checkpoint(), station.log.public_key
    done = kaozheng("key", "rotate", "--reason", "换班交接", "-c", site, "--json")
    assert done.returncode == 0, done.stderr
    log = open_log(station.state, station.site.id)
    body = json.loads(done.stdout)
    assert body["new"] == verifier_key(log.origin, log.public_key)
    assert log.public_key.public_bytes_raw() != old.public_bytes_raw()
    assert [one.name for one in (station.state / "keys").iterdir()] == ["site.key"]
    assert json.loads(log.entry(body["leaf"]))["reason"] == "换班交接"
    assert hold_against(log, printed).holds
    log.append(mark("after"))
    assert hold_against(log, printed).holds
    report = verify_archive(
        type(station)(station.site, station.archive, station.state, station.sessions, log)
    )
    assert report.outcome == "intact", report.findings


def test_who_still_has_the_old_key_signs_nothing_of_after(site: Path, small_archive: Any) -> None:
    station = small_archive.station
    old = load_or_make_key(station.state / "keys")
    rotate_key(station.state, station.site.id, "the stick was lost")
    with pytest.raises(KeyReplacedError, match="start this command anew"):
        station.log.append(mark("a process that was running meanwhile"))
    with pytest.raises(KeyReplacedError):
        EvidenceLog(station.state / "log", origin=station.log.origin, key=old)
    log = open_log(station.state, station.site.id)
    forged = sign_checkpoint(parse_checkpoint(log.checkpoint()), old)
    with pytest.raises(NoteError, match="after it was given up"):
        hold_against(log, forged)


STEPS = ("prepared", "entered", "derived", "signed")


@pytest.mark.parametrize("killed_after", STEPS)
def test_killed_at_any_step_either_key_works_and_the_change_can_be_made(
    site: Path, small_archive: Any, killed_after: str
) -> None:
    station = small_archive.station
    before = station.log.size
    old = station.log.public_key.public_bytes_raw()
    script = """
import os, sys
from pathlib import Path
from kaozheng_service.evidence import key_rotation
from kaozheng_service.evidence.log import EvidenceLog
step = sys.argv[3]
def die_after(call):
    def wrapped(*arguments, **options):
        call(*arguments, **options)
        os._exit(9)
    return wrapped
def die_before(call):
    return lambda *arguments, **options: os._exit(9)
armed = key_rotation.change_text
def arm(*arguments):
    if step == "prepared":
        os._exit(9)
    if step == "entered":
        EvidenceLog._derive = die_before(EvidenceLog._derive)
    if step == "derived":
        EvidenceLog._derive = die_after(EvidenceLog._derive)
    if step == "signed":
        EvidenceLog._sign = die_after(EvidenceLog._sign)
    return armed(*arguments)
key_rotation.change_text = arm
key_rotation.rotate_key(Path(sys.argv[1]), sys.argv[2], "yearly")
"""
    command = [sys.executable, "-c", script, str(station.state), station.site.id, killed_after]
    assert subprocess.run(command, check=False).returncode == 9
    if killed_after == "derived":  # a process of before, still running: it must not sign over the change
        with pytest.raises(KeyReplacedError):
            station.log.append(mark("late"))
    log = open_log(station.state, station.site.id)
    changed = log.public_key.public_bytes_raw() != old
    assert changed == (killed_after != "prepared")
    assert log.append(mark("goes on")) == before + changed
    again = rotate_key(station.state, station.site.id, "again")
    log = open_log(station.state, station.site.id)
    assert log.public_key.public_bytes_raw() == again.new.public_bytes_raw()
    assert [one.name for one in (station.state / "keys").iterdir()] == ["site.key"]
    assert len(log.keys()) == 2 + changed


def test_an_export_leads_from_the_old_key_to_the_new_one(disputed: Any, tmp_path: Path) -> None:
    station = disputed.station
    oldest = verifier_key(station.log.origin, station.log.public_key)
    for reason in ("first", "second"):
        rotate_key(station.state, station.site.id, reason)
    log = open_log(station.state, station.site.id)
    changed = type(station)(station.site, station.archive, station.state, station.sessions, log)
    bag = tmp_path / "bag"
    export_bag(changed, disputed.request(), bag)
    report = verify_bag(bag, trusted_key=oldest)
    assert report.outcome == "intact", report.findings
    assert [finding.code for finding in report.findings] == ["key_changed", "key_changed"]
    assert verify_bag(bag, trusted_key=verifier_key(log.origin, log.public_key)).findings == ()
    alone = subprocess.run(
        [sys.executable, "-I", bag / "verify.py", bag, "--key", oldest, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(alone.stdout)["outcome"] == "intact", alone.stdout + alone.stderr
    stranger = verifier_key(log.origin, Ed25519PrivateKey.generate().public_key())
    assert "other_key" in {one.code for one in verify_bag(bag, trusted_key=stranger).findings}
    assert "key_changes" not in standalone_verifier()  # one file that imports nothing of ours


def test_a_change_that_the_old_key_did_not_sign_leads_nowhere(disputed: Any, tmp_path: Path) -> None:
    """A thief of the machine without the key: a new key, and a record that says it is the old one's successor."""
    station = disputed.station
    known = verifier_key(station.log.origin, station.log.public_key)
    thief = Ed25519PrivateKey.generate()
    forged = tmp_path / "forged"
    shutil.copytree(station.state / "log", forged)
    lines = (forged / "entries.jsonl").read_bytes()
    record = KeyChanged(
        at=now(),
        old=known,
        new=verifier_key(station.log.origin, thief.public_key()),
        reason="yearly",
        signature="QUJD" * 20,
    )
    shutil.rmtree(forged)
    forged.mkdir()
    (forged / "entries.jsonl").write_bytes(lines + canonical(record.to_json()) + b"\n")
    log = EvidenceLog(forged, origin=station.log.origin, key=thief)
    changed = type(station)(station.site, station.archive, station.state, station.sessions, log)
    export_bag(changed, disputed.request(), tmp_path / "bag")
    found = {one.code for one in verify_bag(tmp_path / "bag", trusted_key=known).findings}
    assert {"key_change", "other_key"} <= found
