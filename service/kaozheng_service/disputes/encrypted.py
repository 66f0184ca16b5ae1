"""A bag for one reader alone: one tar, streamed through age, that nobody opens without the key or the passphrase."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyrage

from kaozheng_service.disputes.derived import Extras
from kaozheng_service.disputes.export import ExportRequest, ExportResult, Progress, export_bag
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.durable import sync_file, sync_folder
from kaozheng_service.station import Station

SUFFIX = ".tar.age"
KEY_SUFFIX = ".key.age"
_FILE_SIZE = 1 << 20
_SECRET = "AGE-SECRET-KEY-"  # noqa: S105 - how every such key begins

# The library has one class for each kind of key, and no types.
Recipient: TypeAlias = Any
Identity: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Lock:
    """Who can open it: the ``recipients``, and whoever knows the ``passphrase``, if there is one."""

    recipients: tuple[Recipient, ...]
    passphrase: str | None = None


def read_recipients(named: Sequence[str]) -> tuple[Recipient, ...]:
    """Public keys (``age1...``, ``ssh-ed25519 ...``), or files of them, one a line as ``age -R`` reads them.

    Raises
    ------
    UserError : something that is neither, a file that cannot be read or holds none; naming file and line
    """
    found: list[Recipient] = []
    for text in named:
        if text.lower().startswith(("age1", "ssh-", _SECRET.lower())):
            found.append(_recipient(text.strip(), "--encrypt-to"))
            continue
        lines = _lines(Path(text), "--encrypt-to: an age1... key, or a file of such keys")
        found += [_recipient(line, f"{text}:{number}") for number, line in lines]
        if not lines:
            raise UserError(f"{text}: 没有公钥 / it holds no public key; write one a line")
    return tuple(found)


def read_identities(path: Path) -> list[Identity]:
    """Private keys of a file of age-keygen, or one of OpenSSH. UserError if it holds none; no key is ever shown."""
    if path.is_file() and path.stat().st_size <= _FILE_SIZE and path.read_bytes().startswith(b"-----BEGIN "):
        try:
            return [pyrage.ssh.Identity.from_buffer(path.read_bytes())]
        except (pyrage.IdentityError, ValueError):
            raise UserError(
                f"{path}: this private key cannot be used; give an age or unencrypted OpenSSH key"
            ) from None
    found: list[Identity] = []
    for number, line in _lines(path, "--identity: a file with an AGE-SECRET-KEY"):
        try:
            found.append(pyrage.x25519.Identity.from_str(line))
        except pyrage.IdentityError:
            raise UserError(
                f"{path}:{number}: 不是私钥 / not a private key; it begins with {_SECRET}1"
            ) from None
    if not found:
        raise UserError(f"{path}: 没有私钥 / it holds no private key")
    return found


def export_encrypted(
    station: Station,
    request: ExportRequest,
    out: Path,
    lock: Lock,
    progress: Progress | None = None,
    *,
    extras: Extras = Extras(),  # noqa: B008 - frozen
) -> ExportResult:
    """Make the bag, sign it, and leave it only as the encrypted tar ``out``; raises as ``export_bag`` does too."""
    if not out.name.endswith(SUFFIX) or out.name == SUFFIX:
        raise UserError(f"{out}: an encrypted export is one file; name it with the end {SUFFIX}")
    for path in (out, key_file(out)):
        if path.exists():
            raise UserError(f"{path} exists and is not written over; name another file")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Readable by this account alone, and beside the result: another disk may have no room for it.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.parent) as folder:
        bag = Path(folder, out.name.removesuffix(SUFFIX))
        result = export_bag(station, request, bag, progress, extras=extras)
        encrypt_folder(bag, out, lock)
    return replace(result, path=out)


def encrypt_folder(folder: Path, out: Path, lock: Lock) -> None:
    """Write ``folder`` as the tar ``out``, encrypted; no plain tar touches the disk.

    With a passphrase a key made for this file alone is its recipient too, and lies beside it as ``*.key.age``,
    encrypted with the passphrase: ``age -d -i KEY`` asks for it.

    Raises
    ------
    UserError : ``out`` appeared meanwhile
    ServiceError : it cannot be written
    """
    recipients: list[Recipient] = list(lock.recipients)
    files: dict[Path, bytes] = {}
    if lock.passphrase is not None:
        once = pyrage.x25519.Identity.generate()
        recipients.append(once.to_public())
        files[key_file(out)] = pyrage.passphrase.encrypt(f"{once}\n".encode(), lock.passphrase)
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("xb") as sink:
            _stream(lambda pipe: _pack(folder, pipe), lambda pipe: pyrage.encrypt_io(pipe, sink, recipients))
        sync_file(part)
        for path, content in files.items():
            with path.open("xb") as key:
                key.write(content)
            sync_file(path)
        if out.exists():
            raise UserError(f"{out} appeared meanwhile; name another file")
        part.rename(out)
    except (OSError, pyrage.EncryptError) as error:
        raise ServiceError(f"{out}: it cannot be encrypted ({error})") from None
    finally:
        part.unlink(missing_ok=True)
    sync_folder(out.parent)


def key_file(out: Path) -> Path:
    """Where the key of ``out`` lies that a passphrase opens."""
    return out.with_name(out.name.removesuffix(SUFFIX) + KEY_SUFFIX)


def decrypt_folder(
    sealed: Path, out: Path, identities: Sequence[Identity] = (), passphrase: str | None = None
) -> Path:
    """Unpack what :func:`encrypt_folder` wrote into the new folder ``out``. It appears whole, or not at all.

    Raises
    ------
    UserError : no such file, ``out`` exists, the key or passphrase does not open it, or it is no such file
    """
    if not sealed.is_file():
        raise UserError(f"{sealed}: there is no such file")
    if out.exists():
        raise UserError(f"{out} exists and is not written over; name another folder")
    keys = list(identities)
    if passphrase is not None:
        keys.append(_key_of(sealed, passphrase))
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        with sealed.open("rb") as source:
            _stream(lambda pipe: pyrage.decrypt_io(source, pipe, keys), lambda pipe: _unpack(pipe, draft))
        (bag,) = draft.iterdir()
        bag.rename(out)
    except (pyrage.DecryptError, OSError) as error:
        # Of a changed or cut file the library tells as of a failed read, without a number of the system's.
        if isinstance(error, OSError) and error.errno is not None:
            raise ServiceError(f"{out}: it cannot be written ({error.strerror})") from None
        raise UserError(
            f"{sealed}: 不能解密 / it does not open: {error}; it needs the private key, or passphrase, "
            "of one to whom it was encrypted, and every byte of the file"
        ) from None
    except (tarfile.TarError, ValueError):
        raise UserError(f"{sealed}: it holds no whole export; ask for it anew") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out


def _key_of(sealed: Path, passphrase: str) -> Identity:
    path = key_file(sealed)
    try:
        return pyrage.x25519.Identity.from_str(
            pyrage.passphrase.decrypt(path.read_bytes(), passphrase).decode().strip()
        )
    except FileNotFoundError:
        raise UserError(
            f"{path} is not there: it lies beside what a passphrase opens; or give a private key with --identity"
        ) from None
    except (pyrage.DecryptError, pyrage.IdentityError, UnicodeDecodeError):
        raise UserError(
            f"{path}: 口令不对，或文件被改动 / wrong passphrase, or the file was changed"
        ) from None


def _stream(produce: Callable[[BinaryIO], None], consume: Callable[[BinaryIO], None]) -> None:
    """Run both ends of a pipe. What the producer raises comes first: the consumer then only saw a sudden end."""
    reading, writing = os.pipe()
    produced: list[Exception] = []
    consumed: list[Exception] = []

    def run() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                produce(pipe)
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            produced.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    with os.fdopen(reading, "rb") as pipe:
        try:
            consume(pipe)
        except Exception as error:  # noqa: BLE001 - raised below, if the producer has nothing to say
            consumed.append(error)
        # Read to the end, so that a broken pipe never hides what really failed.
        while pipe.read(1 << 16):
            pass
    worker.join()
    failures = [*produced, *consumed]
    if failures:
        raise failures[0]


def _pack(folder: Path, pipe: BinaryIO) -> None:
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, arcname=folder.name, filter=_nobody)


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose account exported it is nobody's business."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _unpack(pipe: BinaryIO, folder: Path) -> None:
    with tarfile.open(fileobj=pipe, mode="r|") as tar:
        tar.extractall(folder, filter="data")


def _recipient(text: str, where: str) -> Recipient:
    if text.upper().startswith(_SECRET):
        raise UserError(
            f"{where}: 这是私钥 / this is a private key: give the public one, age1..., and keep this secret"
        )
    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text)
    except (pyrage.RecipientError, ValueError):
        raise UserError(
            f"{where}: 不是公钥 / not a public key: {text[:70]!r}; it looks like age1..., as age-keygen prints it"
        ) from None


def _lines(path: Path, expected: str) -> list[tuple[int, str]]:
    try:
        if path.stat().st_size > _FILE_SIZE:
            raise UserError(f"{path}: too large for a file of keys; expected {expected}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: no text; expected {expected}") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]
