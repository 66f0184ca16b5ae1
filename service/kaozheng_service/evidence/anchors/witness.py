"""This site as a witness of other logs: cosigns a head only after proof that it follows the last one (tlog-witness)."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kaozheng_service.config.anchors import WitnessService
from kaozheng_service.disputes.standalone.cosignatures import COSIGNATURE, cosigned_text
from kaozheng_service.disputes.standalone.signature import key_of_printed
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.keys import load_or_make_key
from kaozheng_service.evidence.merkle import verify_consistency
from kaozheng_service.evidence.note import (
    Checkpoint,
    NoteError,
    open_checkpoint,
    parse_checkpoint,
    verifier_key,
)
from kaozheng_service.recording.durable import write_durably

WITNESS_KEY = "witness.key"
SIZE_TYPE, TEXT_TYPE = "text/x.tlog.size", "text/plain; charset=utf-8"
# Of tlog-witness: more are never needed for a tree of 2^63 leaves.
MOST_PROOF_LINES = 63


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``why`` is for our own log."""

    status: int
    body: str
    content_type: str = TEXT_TYPE
    why: str = ""


class Witness:
    """Threads and processes may ask at once; what was cosigned last is on the disk before it is answered.

    Parameters
    ----------
    state : of this site; memory lies in ``witness/`` below it, the key of its own in ``keys/``
    """

    def __init__(self, state: Path, site_id: str, service: WitnessService) -> None:
        self.name = f"kaozheng-witness/{site_id}"
        self._memory = state / "witness"
        self._logs = {log.name: log.keys for log in service.logs}
        self._key = load_or_make_key(state / "keys", WITNESS_KEY)
        self._memory.mkdir(parents=True, exist_ok=True)

    @property
    def key(self) -> str:
        """As printed: what other sites put into their site file."""
        return verifier_key(self.name, self._key.public_key(), COSIGNATURE)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request of ``add-checkpoint``."""
        try:
            old, proof, note = _parsed(body)
            asked = parse_checkpoint(note)
        except (ValueError, NoteError) as error:
            return Answer(400, f"{error}\n")
        if asked.origin not in self._logs:
            return Answer(
                404, "this witness does not know that log\n", why=f"unknown log {asked.origin[:80]!r}"
            )
        if not self._is_signed(note, asked.origin):
            return Answer(403, "not signed by a key of that log that this witness knows\n", why=asked.origin)
        if old > asked.size:
            return Answer(400, "the old size is larger than the checkpoint's\n")
        with self._alone():
            return self._judge(old, proof, asked)

    def _judge(self, old: int, proof: list[bytes], asked: Checkpoint) -> Answer:
        last = self._last(asked.origin)
        size, root = (last.size, last.root) if last is not None else (0, b"")
        if old != size:
            return Answer(
                409, f"{size}\n", SIZE_TYPE, why=f"{asked.origin} begins at {old}, last seen {size}"
            )
        if last is not None and asked.size == size and asked.root != root:
            return Answer(
                409, f"{size}\n", SIZE_TYPE, why=f"FORK: {asked.origin} has another root for {size}"
            )
        if old == 0 and proof:
            return Answer(422, "a proof from nothing must be empty\n")
        if old and not verify_consistency(old, asked.size, root, asked.root, proof):
            return Answer(
                422,
                "the proof does not hold\n",
                why=f"FORK: {asked.origin} of {asked.size} does not follow {size}",
            )
        write_durably(
            self._file(asked.origin),
            json.dumps({"origin": asked.origin, "size": asked.size, "root": asked.root.hex()}) + "\n",
        )
        return Answer(200, cosign(asked, self.name, self._key, int(time.time())))

    def _is_signed(self, note: str, origin: str) -> bool:
        for printed in self._logs[origin]:
            key = Ed25519PublicKey.from_public_bytes(key_of_printed(printed) or b"")
            try:
                open_checkpoint(note, key)
            except NoteError:
                continue
            return True
        return False

    def _last(self, origin: str) -> Checkpoint | None:
        """What was cosigned last. ServiceError where it cannot be read: forgetting it would let a rewritten log in."""
        path = self._file(origin)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["origin"] != origin:
                raise ValueError("of another log")
            return Checkpoint(origin, int(kept["size"]), bytes.fromhex(kept["root"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServiceError(f"{path}: cannot be read ({error}); restore it from its backup") from None

    def _file(self, origin: str) -> Path:
        return self._memory / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._memory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def cosign(checkpoint: Checkpoint, name: str, key: Ed25519PrivateKey, at_s: int) -> str:
    """A cosignature/v1 line of a checkpoint, with its line end."""
    key_id = bytes.fromhex(verifier_key(name, key.public_key(), COSIGNATURE).split("+")[1])
    signed = key.sign(cosigned_text(checkpoint.body(), at_s))
    return f"— {name} {base64.b64encode(key_id + at_s.to_bytes(8, 'big') + signed).decode()}\n"


def _parsed(body: bytes) -> tuple[int, list[bytes], str]:
    """Old size, proof and checkpoint of a request; ValueError where it is not written as the protocol says."""
    head, blank, note = body.decode("utf-8").partition("\n\n")
    first, *lines = head.split("\n")
    match = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", first)
    if not blank or match is None or len(lines) > MOST_PROOF_LINES or not note.endswith("\n"):
        raise ValueError("expected: old SIZE, at most 63 lines of proof, an empty line, a checkpoint")
    proof = [base64.b64decode(line, validate=True) for line in lines]
    if any(len(step) != 32 for step in proof):
        raise ValueError("a line of the proof is not 32 bytes in base64")
    return int(match[1]), proof, note
