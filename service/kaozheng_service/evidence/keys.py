"""The site's signing key: made once, kept readable by its owner alone."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from kaozheng_service.errors import ServiceError

_NAME = "site.key"


def load_or_make_key(folder: Path) -> Ed25519PrivateKey:
    """The key in ``folder``; a new one the first time.

    ServiceError when the file is not an Ed25519 key: a log signed by another key is another log, so none is
    ever made in its place.
    """
    path = folder / _NAME
    if not path.exists():
        _make(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ServiceError(
            f"{path}: not an Ed25519 private key; restore it from its backup, do not make a new one"
        )
    return key


def public_pem(key: Ed25519PublicKey) -> str:
    """A public key as openssl reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _make(path: Path) -> None:
    """Write a new key under a name of its own and link it: of two processes that start at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
