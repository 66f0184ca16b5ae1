"""The signed head of the log: C2SP tlog-checkpoint and signed-note, Ed25519 by RFC 8032, in plain Python.

Whoever checks an export may have nothing but Python, so the signature cannot wait for a library.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.disputes.standalone.files import read_text
from kaozheng_service.disputes.standalone.findings import BadInputError, Findings

CHECKPOINT, KEY = "data/evidence/checkpoint", "data/evidence/key.pub"
# SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410).
_DER_HEAD = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True)
class SignedHead:
    """A log's name, size and Merkle root, and the key that signed them as ``name+hash+base64``."""

    log: str
    size: int
    root: bytes
    key: str


@dataclass(frozen=True)
class Note:
    """A checkpoint in a signed note, its signature not yet checked. ``signature`` begins with the key's id."""

    log: str
    size: int
    root: bytes
    signature: bytes

    @property
    def body(self) -> bytes:
        """The bytes that are signed."""
        return f"{self.log}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def check_signature(folder: Path, found: Findings) -> SignedHead | None:
    """The head that the bag's records are held against; None, and a finding, where there is none.

    It is held against the key that lies beside it; whose that is, is for ``check_key``.
    """
    pem, note = read_text(folder, KEY, found), read_text(folder, CHECKPOINT, found)
    if pem is None or note is None:
        return None
    try:
        key = read_key(pem)
    except BadInputError:
        found.add("not_a_key", KEY)
        return None
    try:
        head = parse_note(note)
    except ValueError:
        found.add("not_a_checkpoint", CHECKPOINT)
        return None
    log, size, root = head.log, head.size, head.root
    if not signed_by(key, head):
        found.add("signature", CHECKPOINT)
    return SignedHead(log, size, root, printed_key(log, key))


def printed_key(name: str, key: bytes) -> str:
    """A log's key as signed-note writes it: ``name+hash+base64``."""
    return f"{name}+{_key_id(name, key).hex()}+{base64.b64encode(bytes([1]) + key).decode()}"


def parse_note(text: str) -> Note:
    """ValueError where ``text`` is not a checkpoint with one signature of its log, byte for byte."""
    lines = text.split("\n")
    if len(lines) != 6 or lines[3] or lines[5] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise ValueError("not a checkpoint")
    root, (dash, name, encoded) = base64.b64decode(lines[2], validate=True), lines[4].split(" ")
    note = Note(lines[0], int(lines[1]), root, base64.b64decode(encoded, validate=True))
    # Spare bits of base64 could be changed unnoticed.
    spelt = [note.body.decode(), base64.b64encode(note.signature).decode()]
    if (dash, name, len(root)) != ("—", note.log, 32) or spelt != ["\n".join([*lines[:3], ""]), encoded]:
        raise ValueError("not a checkpoint")
    return note


def signed_by(key: bytes, note: Note) -> bool:
    """Whether the note's signature is this key's."""
    return note.signature[:4] == _key_id(note.log, key) and verify_ed25519(key, note.signature[4:], note.body)


def read_key(text: str) -> bytes:
    """The 32 bytes of a key: from PEM, from ``name+hash+base64`` (signed-note), or from a file that holds either.

    BadInputError where it is none of them.
    """
    try:
        if "\n" not in text and Path(text).is_file():
            text = Path(text).read_text(encoding="utf-8")
        body = re.fullmatch(r"\s*-----BEGIN PUBLIC KEY-----\s+([^-]+)-----END PUBLIC KEY-----\s*", text)
        if body is not None:
            raw = base64.b64decode(body[1])
            if len(raw) == 44 and raw.startswith(_DER_HEAD):
                return raw[12:]
    except (ValueError, OSError):
        body = None
    if body is None and (key := key_of_printed(text.strip())) is not None:
        return key
    raise BadInputError(
        f"{text[:80]!r}: 不是公钥 / not an Ed25519 public key; give its PEM file, or name+hash+base64 as printed"
    )


def key_of_printed(text: str, algorithm: int = 1) -> bytes | None:
    """The 32 bytes of a key that is written as :func:`printed_key` does; None where it is not one."""
    note = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+(\S+)", text)
    try:
        raw = base64.b64decode(note[3], validate=True) if note is not None else b""
    except ValueError:
        return None
    if note is None or len(raw) != 33 or raw[0] != algorithm:
        return None
    return raw[1:] if _key_id(note[1], raw[1:], algorithm).hex() == note[2] else None


def _key_id(name: str, key: bytes, algorithm: int = 1) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key).digest()[:4]


_PRIME = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _PRIME - 2, _PRIME) % _PRIME
_Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z


def verify_ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    """RFC 8032, 5.1.7. Everything here is public, so nothing need run in constant time; about 5 ms."""
    point, commitment = _decode(key), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or point is None or commitment is None or scalar >= _ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _ORDER
    base = _decode((4 * pow(5, _PRIME - 2, _PRIME) % _PRIME).to_bytes(32, "little"))
    if base is None:
        raise ArithmeticError("the curve's base point does not decode")
    left, right = _times(scalar, base), _sum(commitment, _times(challenge, point))
    return all((left[axis] * right[2] - right[axis] * left[2]) % _PRIME == 0 for axis in (0, 1))


def _decode(encoded: bytes) -> _Point | None:
    """A point from its 32 bytes (RFC 8032, 5.1.3); None where they are no point."""
    odd, y = divmod(int.from_bytes(encoded, "little"), 2**255)
    if len(encoded) != 32 or y >= _PRIME:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _PRIME - 2, _PRIME) % _PRIME
    x = pow(square, (_PRIME + 3) // 8, _PRIME)
    if x * x % _PRIME != square:
        x = x * pow(2, (_PRIME - 1) // 4, _PRIME) % _PRIME
    if x * x % _PRIME != square or (x == 0 and odd):
        return None
    if x % 2 != odd:
        x = _PRIME - x
    return x, y, 1, x * y % _PRIME


def _sum(one: _Point, two: _Point) -> _Point:
    """RFC 8032, 5.1.4: complete, so it doubles too."""
    a, b = (one[1] - one[0]) * (two[1] - two[0]), (one[1] + one[0]) * (two[1] + two[0])
    c, d = 2 * _D * one[3] * two[3], 2 * one[2] * two[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _PRIME, g * h % _PRIME, f * g % _PRIME, e * h % _PRIME


def _times(scalar: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar % 2:
            total = _sum(total, point)
        point, scalar = _sum(point, point), scalar // 2
    return total
