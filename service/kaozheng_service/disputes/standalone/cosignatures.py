"""Cosignatures of witnesses on a checkpoint: C2SP tlog-cosignature, version 1, Ed25519."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from kaozheng_service.disputes.standalone.signature import key_of_printed, verify_ed25519

# The signed-note algorithm byte of an Ed25519 cosignature.
COSIGNATURE = 4


@dataclass(frozen=True)
class Cosignature:
    """``at_s`` is when the witness signed, seconds since 1970 UTC."""

    name: str
    at_s: int


def cosigned_text(body: str, at_s: int) -> bytes:
    """What a witness signs: two lines, then the checkpoint's body with its last line end."""
    return f"cosignature/v1\ntime {at_s}\n{body}".encode()


def body_of(note: str) -> str:
    """A checkpoint's text without its signatures, with its last line end."""
    return note.partition("\n\n")[0] + "\n"


def cosigners(note: str) -> list[str]:
    """The names on a checkpoint's signature lines but the first, which is the log's own; unverified."""
    lines = note.partition("\n\n")[2].split("\n")
    return [
        parts[1] for parts in (line.split(" ") for line in lines[1:]) if len(parts) == 3 and parts[0] == "—"
    ]


def check_cosignature(note: str, witness: str) -> Cosignature | None:
    """The cosignature of the witness with that printed key; None where there is none that holds."""
    key, name = key_of_printed(witness, COSIGNATURE), witness.partition("+")[0]
    if key is None:
        return None
    body = body_of(note)
    for line in note.partition("\n\n")[2].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[:2] != ["—", name]:
            continue
        try:
            raw = base64.b64decode(parts[2], validate=True)
        except ValueError:
            continue
        if len(raw) != 76 or raw[:4].hex() != witness.split("+")[1]:
            continue
        at_s = int.from_bytes(raw[4:12], "big")
        if at_s < 2**63 and verify_ed25519(key, raw[12:], cosigned_text(body, at_s)):
            return Cosignature(name, at_s)
    return None
