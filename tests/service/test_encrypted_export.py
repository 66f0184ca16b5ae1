"""An export for one reader alone: encrypted as age does it, opened with the key or passphrase, by nobody else."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyrage
import pytest
from kaozheng_service.cli.commands import app
from kaozheng_service.disputes.encrypted import decrypt_folder, read_identities
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.errors import UserError
from typer.testing import CliRunner, Result

PHRASE = "正确 马 电池 订书钉 correct horse"


@pytest.fixture
def reader(tmp_path: Path) -> tuple[str, Path]:
    """A public key, and the file of its private one as age-keygen writes it."""
    key = pyrage.x25519.Identity.generate()
    path = tmp_path / "reader.txt"
    path.write_text(f"# created: 2024-11-20\n# public key: {key.to_public()}\n{key}\n", encoding="utf-8")
    return str(key.to_public()), path


def ask(disputed: Any, out: Path, *more: str, typed: str | None = None) -> Result:
    site = disputed.station.state.parent / "site.yaml"
    asked = ["--room", "9-101", "--from", "2024-11-23 09:00:03", "--to", "2024-11-23 09:00:07"]
    arguments = ["export", "--config", str(site), *asked, "--reason", "复核", "--out", str(out), *more]
    return CliRunner().invoke(app, arguments, input=typed)


def refusal(result: Result) -> str:
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def plain_files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.suffix == ".mp4" or path.name == "verify.py"]


def test_whoever_has_the_key_opens_a_whole_export(
    disputed: Any, tmp_path: Path, reader: tuple[str, Path]
) -> None:
    out = tmp_path / "out" / "bag.tar.age"
    result = ask(disputed, out, "--encrypt-to", reader[0], "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["path"] == str(out)
    assert [path.name for path in out.parent.iterdir()] == ["bag.tar.age"]
    assert out.read_bytes().startswith(b"age-encryption.org/v1\n")
    opened = CliRunner().invoke(app, ["decrypt", str(out), "--identity", str(reader[1]), "--json"])
    assert opened.exit_code == 0, opened.output
    assert json.loads(opened.stdout) == {
        "schema": "kaozheng/decrypt/1",
        "path": str(tmp_path / "out" / "bag"),
    }
    report = verify_bag(tmp_path / "out" / "bag")
    assert report.outcome == "intact"
    leaf = json.loads(result.stdout)["leaf"]
    assert json.loads(disputed.station.log.entry(leaf))["files"] == report.claim["files"]


def test_what_is_written_is_a_tar_that_age_itself_reads(
    disputed: Any, tmp_path: Path, reader: tuple[str, Path]
) -> None:
    out = tmp_path / "out" / "bag.tar.age"
    assert ask(disputed, out, "--encrypt-to", reader[0]).exit_code == 0
    plain = pyrage.decrypt(out.read_bytes(), read_identities(reader[1]))
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        entries = tar.getmembers()
    assert {entry.name.split("/")[0] for entry in entries} == {"bag"}
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {(0, 0, "", "")}


def test_each_of_several_readers_opens_it_and_a_stranger_does_not(
    disputed: Any, tmp_path: Path, reader: tuple[str, Path]
) -> None:
    second, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    listed = tmp_path / "readers.txt"
    listed.write_text(f"# 仲裁委员会\n{second.to_public()}\n\n", encoding="utf-8")
    out = tmp_path / "out" / "bag.tar.age"
    assert ask(disputed, out, "--encrypt-to", reader[0], "--encrypt-to", str(listed)).exit_code == 0
    for number, keys in enumerate((read_identities(reader[1]), [second])):
        bag = decrypt_folder(out, tmp_path / f"bag-{number}", keys)
        assert verify_bag(bag).outcome == "intact"
    with pytest.raises(UserError, match="it does not open"):
        decrypt_folder(out, tmp_path / "bag-2", [stranger])
    assert not list(tmp_path.glob("*bag-2*"))


def test_whoever_knows_the_passphrase_opens_it_and_nobody_by_guessing(disputed: Any, tmp_path: Path) -> None:
    out = tmp_path / "out" / "bag.tar.age"
    result = ask(disputed, out, "--passphrase", typed=f"{PHRASE}\n")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.parent.iterdir()) == ["bag.key.age", "bag.tar.age"]
    assert PHRASE not in result.output
    wrong = CliRunner().invoke(app, ["decrypt", str(out)], input="another passphrase\n")
    assert "wrong passphrase" in refusal(wrong)
    assert not (tmp_path / "out" / "bag").exists()
    opened = CliRunner().invoke(app, ["decrypt", str(out)], input=f"{PHRASE}\n")
    assert opened.exit_code == 0, opened.output
    assert verify_bag(tmp_path / "out" / "bag").outcome == "intact"


@pytest.mark.parametrize("where", [0.1, 0.5, 1.0])
def test_a_flipped_bit_or_a_lost_end_leaves_nothing_half_opened(
    disputed: Any, tmp_path: Path, reader: tuple[str, Path], where: float
) -> None:
    out = tmp_path / "out" / "bag.tar.age"
    assert ask(disputed, out, "--encrypt-to", reader[0]).exit_code == 0
    data = bytearray(out.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    out.write_bytes(bytes(data))
    with pytest.raises(UserError, match="does not open"):
        decrypt_folder(out, tmp_path / "bag", read_identities(reader[1]))
    data[int(where * (len(data) - 1))] ^= 1
    out.write_bytes(bytes(data[:-1000]))
    with pytest.raises(UserError, match="does not open"):
        decrypt_folder(out, tmp_path / "bag", read_identities(reader[1]))
    assert not list(tmp_path.glob("*bag*"))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("age1zz", "--encrypt-to: 不是公钥 / not a public key: 'age1zz'"),
        ("nowhere.txt", "nowhere.txt: cannot be read"),
        ("# nothing\n", "it holds no public key"),
        ("# one\nage1nonsense\n", "keys.txt:2: 不是公钥"),
        ("\u2014\u2014\x00", "not a public key"),
    ],
)
def test_a_recipient_that_is_none_is_refused_before_anything_is_signed(
    disputed: Any, tmp_path: Path, named: str, why: str
) -> None:
    if "\n" in named or "\x00" in named:
        (tmp_path / "keys.txt").write_text(named, encoding="utf-8")
        named = str(tmp_path / "keys.txt")
    size = disputed.station.log.size
    assert why in refusal(ask(disputed, tmp_path / "out" / "bag.tar.age", "--encrypt-to", named))
    assert disputed.station.log.size == size
    assert not (tmp_path / "out").exists()


def test_a_private_key_given_by_mistake_is_refused_and_never_repeated(disputed: Any, tmp_path: Path) -> None:
    secret = str(pyrage.x25519.Identity.generate())
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{secret}\n", encoding="utf-8")
    for named in (secret, secret.lower(), str(keys)):
        result = ask(disputed, tmp_path / "bag.tar.age", "--encrypt-to", named)
        words = refusal(result) + result.output
        assert "this is a private key" in words
        assert secret[20:] not in words
        assert secret[20:].lower() not in words


def test_what_cannot_be_meant_is_refused(disputed: Any, tmp_path: Path, reader: tuple[str, Path]) -> None:
    out = tmp_path / "bag.tar.age"
    key = ("--encrypt-to", reader[0])
    assert "name it with the end .tar.age" in refusal(ask(disputed, tmp_path / "bag", *key))
    assert "is not encrypted" in refusal(ask(disputed, out, *key, "--masked-out", str(tmp_path / "m")))
    assert "shorter than 15" in refusal(ask(disputed, out, "--passphrase", typed="short\n"))
    out.write_bytes(b"")
    assert "is not written over" in refusal(ask(disputed, out, *key))
    assert out.read_bytes() == b""
    assert not plain_files(tmp_path / "out")


def test_a_tar_that_would_write_outside_its_folder_does_not(tmp_path: Path, reader: tuple[str, Path]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("../escaped.txt")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"evil"))
    sealed = tmp_path / "bag.tar.age"
    recipient = pyrage.x25519.Recipient.from_str(reader[0])
    sealed.write_bytes(pyrage.encrypt(buffer.getvalue(), [recipient]))
    with pytest.raises(UserError, match="it holds no whole export"):
        decrypt_folder(sealed, tmp_path / "deep" / "bag", read_identities(reader[1]))
    assert not list(tmp_path.rglob("escaped.txt"))
