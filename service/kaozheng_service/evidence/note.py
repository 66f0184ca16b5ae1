"""Checkpoints: a tree's size and head, signed, in the forms of C2SP tlog-checkpoint and signed-note."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kaozheng_service.errors import ServiceError

# The signed-note algorithm byte of Ed25519.
_ED25519 = 1


class NoteError(ServiceError):
    """A checkpoint that is not one, or whose signature does not hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``origin`` names the log; ``root`` is the 32 bytes of the head over its first ``size`` leaves."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note; Ed25519 is deterministic, so the same tree always gives the same text."""
    body = checkpoint.body()
    signature = key_id(checkpoint.origin, key.public_key()) + key.sign(body.encode())
    return f"{body}\n— {checkpoint.origin} {base64.b64encode(signature).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """What a checkpoint says, unverified; NoteError if it is not one."""
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], lines[1], base64.b64decode(lines[2], validate=True)
        if not origin or lines[3] or size != str(int(size)) or int(size) < 0 or len(root) != 32:
            raise ValueError
    except (IndexError, ValueError, binascii.Error):
        raise NoteError(
            "not a checkpoint: expected the log's name, its size and its head on three lines"
        ) from None
    return Checkpoint(origin, int(size), root)


def open_checkpoint(text: str, key: Ed25519PublicKey) -> Checkpoint:
    """What a checkpoint says, its signature by ``key`` checked; NoteError if it does not hold."""
    checkpoint = parse_checkpoint(text)
    for line in text.split("\n")[4:]:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—" or name != checkpoint.origin:
            continue
        try:
            signature = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            continue
        if signature[:4] != key_id(name, key):
            continue
        try:
            key.verify(signature[4:], checkpoint.body().encode())
        except InvalidSignature:
            raise NoteError(f"the signature of {name} does not fit: this checkpoint was changed") from None
        return checkpoint
    raise NoteError(f"no signature of {checkpoint.origin} by this key")


def key_id(name: str, key: Ed25519PublicKey, algorithm: int = _ED25519) -> bytes:
    """The 4 bytes by which a note tells keys apart: of SHA-256(name, newline, algorithm, key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key.public_bytes_raw()).digest()[:4]


def verifier_key(name: str, key: Ed25519PublicKey, algorithm: int = _ED25519) -> str:
    """The public key as signed-note writes it: ``name+hash+base64``. A witness's has another algorithm byte."""
    raw = bytes([algorithm]) + key.public_bytes_raw()
    return f"{name}+{key_id(name, key, algorithm).hex()}+{base64.b64encode(raw).decode()}"
