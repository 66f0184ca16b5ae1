"""Random secrets that are shown once, and what is kept of them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from kaozheng_service.errors import ServiceError

# 256 bits: nothing is gained by a slow hash over what cannot be guessed.
_BYTES = 32


def new_secret() -> str:
    """A secret of 256 random bits, URL-safe text."""
    return secrets.token_urlsafe(_BYTES)


def hashed(secret: str) -> str:
    """SHA-256 in hexadecimal: what is stored of a random secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def form_key(secret: str) -> str:
    """The anti-forgery key of the browser that holds ``secret``; tells nothing of it."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), b"kaozheng form", hashlib.sha256).hexdigest()


class Vault:
    """Encrypts what must be read again, with a key of its own beside the site's: copies of the database lack it."""

    def __init__(self, state: Path) -> None:
        self._path = state / "keys" / "totp.key"

    def seal(self, text: str) -> str:
        if not self._path.exists():
            self._make()
        return self._key().encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """ServiceError where the key is missing or another one."""
        try:
            return self._key().decrypt(sealed.encode("ascii")).decode()
        except (InvalidToken, OSError, ValueError):
            raise ServiceError(
                f"{self._path}: the key of the one-time codes is missing or another one; restore it, or turn the "
                "codes off with: kaozheng account totp ACCOUNT --off"
            ) from None

    def _key(self) -> Fernet:
        return Fernet(self._path.read_bytes())

    def _make(self) -> None:
        """Write under a name of its own and link it: of two that make one at the same time, one wins."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, self._path)
            except FileExistsError:
                return
        finally:
            draft.unlink()
