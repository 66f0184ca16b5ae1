"""The site's signing key: made once, kept readable by its owner alone, under a passphrase where there is one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from kaozheng_service.config.secrets import read_secret
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.durable import sync_folder

SITE_KEY = "site.key"
# Where the passphrase is found, in this order. Never on a command line: other accounts see those.
FILE_VARIABLE = "KAOZHENG_KEY_PASSPHRASE_FILE"
CREDENTIAL = "kaozheng-key-passphrase"  # systemd's LoadCredential=, a file below $CREDENTIALS_DIRECTORY
VARIABLE = "KAOZHENG_KEY_PASSPHRASE"
# The PEM form stretches a passphrase little (PBKDF2, 2048 rounds), so it must hold the key's strength itself: 128
# random bits are 22 characters of base64.
LEAST_CHARACTERS = 22
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
# Six groups of five digits, each of 5 bytes, hold 99 bits: nobody finds another key with the same.
_GROUPS = 6


def load_or_make_key(folder: Path, name: str = SITE_KEY) -> Ed25519PrivateKey:
    """The key in ``folder``; a new one the first time, encrypted where a passphrase is given.

    Raises
    ------
    ServiceError : the file is not an Ed25519 key; a log signed by another key is another log, so none is ever made in
        its place
    UserError : it is encrypted, and the passphrase is not given or another
    """
    path = folder / name
    if not path.exists():
        draft = write_draft(path, Ed25519PrivateKey.generate(), encrypted=passphrase() is not None)
        try:
            os.link(draft, path)  # of two processes that start at once, one wins
            sync_folder(folder)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return read_key(path)


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file; raises as :func:`load_or_make_key`, and OSError."""
    pem = path.read_bytes()
    secret = _required(path) if is_encrypted(pem) else None
    try:
        key = load_pem_private_key(pem, password=secret)
    except (ValueError, TypeError):
        if secret is not None:
            raise UserError(
                f"{path}: the passphrase does not open it, or the file is damaged; give the passphrase that it was "
                "encrypted with, or restore the file from its backup"
            ) from None
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ServiceError(
            f"{path}: not an Ed25519 private key; restore it from its backup, do not make a new one"
        )
    return key


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key's PEM needs a passphrase."""
    return pem.lstrip().startswith(_ENCRYPTED)


def passphrase() -> bytes | None:
    """The passphrase from its file, from systemd's credential or from the environment; None where there is none.

    Raises
    ------
    UserError : the file that is named cannot be read, or what is there is shorter than ``LEAST_CHARACTERS``
    """
    what = "the signing key's passphrase"
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), CREDENTIAL)
    if named := os.environ.get(FILE_VARIABLE):
        secret = read_secret(what, Path(), env=None, file=Path(named))
    elif credential.is_file():
        secret = read_secret(what, Path(), env=None, file=credential)
    elif VARIABLE in os.environ:
        secret = read_secret(what, Path(), env=VARIABLE, file=None)
    else:
        return None
    if len(secret) < LEAST_CHARACTERS:
        raise UserError(
            f"{what} has fewer than {LEAST_CHARACTERS} characters; make one with: openssl rand -base64 32"
        )
    return secret.encode()


def encrypt_key(path: Path) -> None:
    """Put the key under the passphrase. UserError where it is, or no passphrase is given."""
    if is_encrypted(path.read_bytes()):
        raise UserError(f"{path}: is encrypted already; for another passphrase decrypt it first")
    _required(path)
    _rewrite(path, encrypted=True)


def decrypt_key(path: Path) -> None:
    """Take the passphrase off the key. UserError where it has none, or the one given is another."""
    if not is_encrypted(path.read_bytes()):
        raise UserError(f"{path}: is not encrypted")
    _rewrite(path, encrypted=False)


def write_draft(path: Path, key: Ed25519PrivateKey, *, encrypted: bool) -> Path:
    """Write a key durably beside ``path``, 0600, under a name of its own, and return that name."""
    secret = _required(path) if encrypted else None
    method: KeySerializationEncryption = NoEncryption() if secret is None else BestAvailableEncryption(secret)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, method))
        file.flush()
        os.fsync(file.fileno())
    return draft


def public_pem(key: Ed25519PublicKey) -> str:
    """A public key as openssl reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def fingerprint(key: Ed25519PublicKey) -> str:
    """Six groups of five digits, to be read out and compared in any language.

    Of SHA-256 over the 32 bytes of the key, each five bytes as a big-endian number, modulo 100000.
    """
    digest = hashlib.sha256(key.public_bytes_raw()).digest()
    parts = (digest[start : start + 5] for start in range(0, 5 * _GROUPS, 5))
    return " ".join(f"{int.from_bytes(part, 'big') % 100_000:05d}" for part in parts)


def _required(path: Path) -> bytes:
    secret = passphrase()
    if secret is None:
        raise UserError(
            f"{path}: a passphrase is needed; name its file in {FILE_VARIABLE}, or give it to the service as the "
            f"systemd credential {CREDENTIAL}"
        )
    return secret


def _rewrite(path: Path, *, encrypted: bool) -> None:
    """Replace the file at once: a crash leaves the old or the new, and either is the same key."""
    key = read_key(path)
    draft = write_draft(path, key, encrypted=encrypted)
    try:
        if read_key(draft).private_bytes_raw() != key.private_bytes_raw():
            raise ServiceError(f"{draft}: reads back differently; the disk is failing; nothing was changed")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
