"""The site's key changed for another one: prepared, proven in the log, then put in place.

1. ``next.key`` is written. 2. The record ``key.changed`` enters the log, whose head the new key signs from then on.
3. ``next.key`` is renamed ``site.key``. Whoever opens the log after a crash finds by the record which of the two it
is: before it the old key signs as ever, after it step 3 is done at once.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kaozheng_service.clock import now
from kaozheng_service.disputes.standalone.key_changes import change_text
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.key_history import is_key_change, key_history
from kaozheng_service.evidence.keys import SITE_KEY, is_encrypted, load_or_make_key, read_key, write_draft
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.note import verifier_key
from kaozheng_service.evidence.records import KeyChanged
from kaozheng_service.recording.durable import rename_durably, sync_folder
from kaozheng_service.recording.leases import try_lease

NEXT_KEY = "next.key"


@dataclass(frozen=True, slots=True)
class Rotation:
    """Entry ``leaf`` of the log gives up ``old`` for ``new``."""

    old: Ed25519PublicKey
    new: Ed25519PublicKey
    leaf: int


def open_log(state: Path, site_id: str) -> EvidenceLog:
    """The site's log with the key that signs it; both are begun the first time. Raises as they do."""
    origin = f"kaozheng/{site_id}"
    settle_rotation(state, origin)
    return EvidenceLog(state / "log", origin=origin, key=load_or_make_key(state / "keys"))


def settle_rotation(state: Path, origin: str) -> None:
    """Put the new key in place where a crash left that undone; one that the log does not name is left lying."""
    prepared, entries = state / "keys" / NEXT_KEY, state / "log" / "entries.jsonl"
    if not prepared.exists() or not entries.exists():
        return
    with entries.open("rb") as file:
        lines = (line.rstrip(b"\n") if line.endswith(b"\n") and is_key_change(line) else b"" for line in file)
        key = read_key(prepared).public_key()
        newest = key_history(origin, lines, key)[-1]
    if newest.since and newest.key.public_bytes_raw() == key.public_bytes_raw():
        with suppress(FileNotFoundError):  # another process did it meanwhile
            rename_durably(prepared, state / "keys" / SITE_KEY)


@contextmanager
def service_stopped(state: Path) -> Iterator[None]:
    """Nothing of the service runs meanwhile. UserError where it does: its processes hold the key in memory."""
    with ExitStack() as held:
        for name in ("daemon", "second"):
            lease = try_lease(state / "locks" / f"{name}.lock")
            if lease is None:
                raise UserError(
                    "the service is running with this key; stop it first, outside exam hours: systemctl stop kaozheng"
                )
            held.callback(lease.release)
        yield


def rotate_key(state: Path, site_id: str, reason: str) -> Rotation:
    """Make a new key, prove it by the old one in the log, and let it sign from then on.

    Raises
    ------
    UserError : the service runs, or no reason is given
    """
    reason = reason.strip()
    if not reason:
        raise UserError("a change of key needs a reason, for the record; give it with --reason")
    with service_stopped(state):
        log = open_log(state, site_id)
        folder = state / "keys"
        new = _prepare(folder)
        old = read_key(folder / SITE_KEY)
        names = [verifier_key(log.origin, one.public_key()) for one in (old, new)]
        signature = base64.b64encode(old.sign(change_text(log.origin, *names))).decode()
        record = KeyChanged(at=now(), old=names[0], new=names[1], reason=reason, signature=signature)
        leaf = log.change_key(record, new)
        settle_rotation(state, log.origin)
        return Rotation(old.public_key(), new.public_key(), leaf)


def _prepare(folder: Path) -> Ed25519PrivateKey:
    """A new key as ``next.key``, under the passphrase if the present one is; replaces one that never signed."""
    key = Ed25519PrivateKey.generate()
    draft = write_draft(folder / NEXT_KEY, key, encrypted=is_encrypted((folder / SITE_KEY).read_bytes()))
    draft.replace(folder / NEXT_KEY)
    sync_folder(folder)
    return key
