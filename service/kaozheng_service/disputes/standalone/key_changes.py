"""Changes of the log's key: each proven by the old key's signature, all of them one chain."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.records import RECORDS, Record
from kaozheng_service.disputes.standalone.signature import (
    KEY,
    SignedHead,
    key_of_printed,
    printed_key,
    verify_ed25519,
)


def change_text(log: str, old: str, new: str) -> bytes:
    """What the old key signs: a line that is no checkpoint's, the log's name, old and new key as printed."""
    return f"kaozheng-key-change/v1\n{log}\n{old}\n{new}\n".encode()


def proven_change(log: str, body: Mapping[str, Any]) -> tuple[bytes, bytes] | None:
    """Old and new key, 32 bytes each, of a record ``key.changed``; None where the old key did not sign the new one."""
    try:
        old, new = key_of_printed(body["old"]), key_of_printed(body["new"])
        signature = base64.b64decode(body["signature"], validate=True)
    except (KeyError, TypeError, ValueError):
        return None
    if (
        old is None
        or new is None
        or [body["old"], body["new"]] != [printed_key(log, key) for key in (old, new)]
    ):
        return None
    return (old, new) if verify_ed25519(old, signature, change_text(log, body["old"], body["new"])) else None


def check_key(
    records: Sequence[Record], head: SignedHead, expected: bytes | None, found: Findings
) -> list[bytes]:
    """Hold the key that signed the head against the one named by the user, over every change in between.

    Returns
    -------
    the log's keys, the oldest that is known first; the last is the one that signed the head
    """
    keys: list[bytes] = []
    for record in records:
        if record.kind != "key.changed":
            continue
        change = proven_change(head.log, record.body)
        if change is None or (keys and keys[-1] != change[0]):
            found.add("key_change", RECORDS, index=record.index)
            continue
        keys = keys or [change[0]]
        keys.append(change[1])
        if expected in keys[:-1]:
            found.add(
                "key_changed",
                RECORDS,
                index=record.index,
                at=record["at"],
                reason=record["reason"],
                key=record["new"],
            )
    signer = key_of_printed(head.key) or b""
    if keys and keys[-1] != signer:
        found.add("key_given_up", KEY)
    keys = keys or [signer]
    if expected is not None and expected not in keys:
        found.add("other_key", KEY)
    return keys
