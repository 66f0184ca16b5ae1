"""Heads of the log that left the site before the export: held against it, and witnesses' signatures checked."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kaozheng_service.disputes.standalone.cosignatures import body_of, check_cosignature
from kaozheng_service.disputes.standalone.files import read_text
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.disputes.standalone.signature import SignedHead, printed_key, verify_ed25519

PLACE, CONSISTENCY = "data/evidence/anchors/", "data/evidence/consistency.jsonl"
WITH_FILES = ("anchor.stamped", "anchor.witnessed")


def check_anchors(
    folder: Path,
    records: Sequence[Record],
    head: SignedHead,
    keys: Sequence[bytes],
    witnesses: Sequence[str],
    found: Findings,
) -> None:
    """Hold every anchor of a bag against its head; check cosignatures by the witnesses that the user named.

    Parameters
    ----------
    keys : the log's, any of which may have signed an earlier head
    witnesses : printed keys as known from elsewhere
    """
    proofs = _proofs(folder, found)
    confirmed: set[str] = set()
    for record in records:
        if record.kind not in WITH_FILES:
            continue
        path = f"{PLACE}{record['folder']}/checkpoint"
        unsafe = "/" in record["folder"] or record["folder"] in ("", ".", "..")
        note = None if unsafe else read_text(folder, path, found)
        root = _signed_root(note or "", record, head.log, keys)
        if note is None or root is None:
            found.add("anchor_files", path, index=record.index)
            continue
        if not follows(record["size"], head.size, root, head.root, proofs.get(record["size"], [])):
            found.add("anchor_fork", path, size=record["size"])
            continue
        if record.kind == "anchor.stamped":
            _check_token(folder, record, found)
            continue
        signed = {key: one for key in witnesses if (one := check_cosignature(note, key)) is not None}
        for key, one in signed.items():
            confirmed.add(key)
            at = datetime.fromtimestamp(one.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            found.add("witnessed", path, name=one.name, at=at, size=record["size"])
        if record["key"] in witnesses and not signed:
            found.add("anchor_files", path, index=record.index)
        elif not signed:
            found.add("witness_unchecked", path, key=record["key"])
    for key in witnesses:
        if key not in confirmed:
            found.add("not_witnessed", key=key)


def follows(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the tree of ``old`` leaves begins that of ``new`` (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    node, last = old - 1, new - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    from_old = from_new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            from_old, from_new = _node(step, from_old), _node(step, from_new)
            while node and node % 2 == 0:
                node, last = node >> 1, last >> 1
        else:
            from_new = _node(from_new, step)
        node, last = node >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _signed_root(note: str, record: Record, log: str, keys: Sequence[bytes]) -> bytes | None:
    """The root of an anchored checkpoint that is what its record says, signed by one of the log's keys; else None."""
    lines = note.split("\n")
    try:
        root = base64.b64decode(lines[2], validate=True)
        raw = base64.b64decode(lines[4].split(" ")[2], validate=True)
    except (IndexError, ValueError):
        return None
    if lines[:2] != [log, str(record["size"])] or root.hex() != record["root"]:
        return None
    if (
        record.kind == "anchor.witnessed"
        and hashlib.sha256(note.encode()).hexdigest() != record["checkpoint"]
    ):
        return None
    ids = {bytes.fromhex(printed_key(log, key).split("+")[1]): key for key in keys}
    key = ids.get(raw[:4])
    return root if key is not None and verify_ed25519(key, raw[4:], body_of(note).encode()) else None


def _check_token(folder: Path, record: Record, found: Findings) -> None:
    """That the token is the recorded one, and of this checkpoint. Its signature takes a library or openssl."""
    path = f"{PLACE}{record['folder']}/token.tsr"
    try:
        token = (folder / path).read_bytes()
        data = (folder / PLACE / record["folder"] / "checkpoint").read_bytes()
    except OSError:
        token, data = b"", b""
    if hashlib.sha256(token).hexdigest() != record["token"] or hashlib.sha256(data).digest() not in token:
        found.add("anchor_files", path, index=record.index)
    else:
        found.add("stamp_unchecked", path, tsa=record["tsa"], at=record["stamped_at"])


def _proofs(folder: Path, found: Findings) -> dict[int, list[bytes]]:
    """Consistency proofs by size; none where the file is not there, and a finding where it is no such file."""
    if not (folder / CONSISTENCY).is_file():
        return {}
    proofs = {}
    try:
        for line in (read_text(folder, CONSISTENCY, found) or "").splitlines():
            fields = json.loads(line)
            proofs[int(fields["size"])] = [bytes.fromhex(step) for step in fields["proof"]]
    except (ValueError, KeyError, TypeError):
        found.add("record_line", CONSISTENCY, line=len(proofs) + 1)
    return proofs
