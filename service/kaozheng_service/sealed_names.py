"""People's names at rest: encrypted with a key that stands beside the signing key, and found again by exact name.

The log is for ever and the database is copied; a name that stands in them is of use to nobody without the key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import unicodedata
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kaozheng_service.errors import ServiceError

KEY_FILE = "names.key"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_FORM = "v1."


class NameKey:
    """Seals and opens names. Of one name every seal differs; its blind index is always the same.

    AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D), the index HMAC-SHA-256; both keys by HKDF (RFC 5869)
    from the one in the file.
    """

    def __init__(self, secret: bytes) -> None:
        self._seal = AESGCM(_derived(secret, b"kaozheng/name/seal/1"))
        self._index = _derived(secret, b"kaozheng/name/index/1")

    def seal(self, name: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return (
            _FORM + base64.urlsafe_b64encode(nonce + self._seal.encrypt(nonce, name.encode(), None)).decode()
        )

    def open(self, sealed: str) -> str:
        """The name; ServiceError where another key sealed it, or it was changed."""
        try:
            raw = base64.urlsafe_b64decode(sealed.removeprefix(_FORM))
            return self._seal.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag):
            raise ServiceError(
                f"a name cannot be read with this {KEY_FILE}; put the key of the site's backup in its place"
            ) from None

    def index(self, name: str) -> str:
        """By which an exact name is found without reading any. White space and full-width forms make no other name."""
        plain = "".join(unicodedata.normalize("NFKC", name).split()).casefold()
        return hmac.new(self._index, plain.encode(), hashlib.sha256).hexdigest()


def load_or_make_name_key(folder: Path) -> NameKey:
    """The key in ``folder``, mode 0600; a new one the first time. ServiceError where the file is no such key."""
    path = folder / KEY_FILE
    if not path.exists():
        _make(path)
    secret = path.read_bytes()
    if len(secret) != _KEY_BYTES:
        raise ServiceError(f"{path}: is not {_KEY_BYTES} bytes long; restore it from its backup")
    return NameKey(secret)


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(secret)


def _make(path: Path) -> None:
    """Written under a name of its own and linked: of two processes that start at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
