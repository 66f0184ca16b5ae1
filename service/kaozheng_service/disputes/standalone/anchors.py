"""Heads of the log that left the site before the export: held against it, and witnesses' signatures checked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kaozheng_service.disputes.standalone.cosignatures import body_of, check_cosignature
from kaozheng_service.disputes.standalone.files import read_text
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.disputes.standalone.signature import SignedHead, printed_key, verify_ed25519

PLACE = "data/evidence/anchors/"
WITH_FILES = ("anchor.stamped", "anchor.witnessed")


def check_anchors(
    folder: Path,
    records: Sequence[Record],
    head: SignedHead,
    keys: Sequence[bytes],
    witnesses: Sequence[str],
    earlier: Mapping[int, bytes],
    found: Findings,
) -> None:
    """Hold every anchor of a bag against its head; check cosignatures by the witnesses that the user named.

    Parameters
    ----------
    keys : the log's, any of which may have signed an earlier head
    witnesses : printed keys as known from elsewhere
    earlier : the roots that the log is proven to have had, by its size then
    """
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
        if earlier.get(record["size"]) != root:
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
