"""Signed records: read, held against the log's head (RFC 6962), and their fields checked."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kaozheng_service.disputes.standalone.files import read_integer, read_text
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.signature import SignedHead

RECORDS = "data/evidence/records.jsonl"
Span = tuple[datetime, datetime]

_TIMES: dict[str, type] = {"starts_at": datetime, "ends_at": datetime}
_TAKE: dict[str, type] = {"take": str, "window": str, "camera": str}
# The fields that the checks read, by kind; a kind that is not here is only proven to be in the log.
_FIELDS: dict[str, dict[str, Any]] = {
    "window.expected": {**_TIMES, "at": datetime, "window": str, "cameras": list},
    "window.cancelled": {"at": datetime, "window": str, "reason": str},
    "window.closed": {"window": str, "takes": dict, "gaps": dict},
    "take.opened": _TAKE,
    "take.closed": {**_TAKE, "segments": int, "last": str},
    "segment": {**_TIMES, **_TAKE, "number": int, "sha256": str, "previous": str, "path": str},
    "gap": {**_TIMES, "window": str, "camera": str, "cause": str},
    "backfill.opened": {
        **_TAKE,
        "gap": int,
        "source": str,
        "time_source": str,
        "uncertainty_s": (int, float),
    },
    "backfill.segment": {**_TIMES, **_TAKE, "number": int, "sha256": str, "previous": str, "path": str},
    "backfill.closed": {**_TAKE, "segments": int, "last": str},
    "backfill.given_up": {"window": str, "camera": str, "gap": int, "reason": str},
    "segment.deleted": {"at": datetime, "path": str, "sha256": str, "reason": str},
    "gap.healed": {**_TIMES, **_TAKE, "gap": int},
    "key.changed": {"at": datetime, "old": str, "new": str, "reason": str, "signature": str},
    "anchor.stamped": {
        "size": int,
        "root": str,
        "tsa": str,
        "folder": str,
        "token": str,
        "stamped_at": datetime,
    },
    "anchor.witnessed": {"size": int, "root": str, "key": str, "folder": str, "checkpoint": str},
    "export": {**_TIMES, "export": str, "room": str, "cameras": list, "files": dict, "records": list},
}
_MEMBERS: dict[str, type] = {"cameras": str, "files": str, "records": int, "takes": int, "gaps": int}


@dataclass(frozen=True)
class Record:
    """Entry ``index`` of the log. ``body`` is as signed; ``times`` are its fields that are moments."""

    index: int
    kind: str
    body: dict[str, Any]
    times: dict[str, datetime] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    @property
    def camera(self) -> str:
        """Its camera; "" where it is about none."""
        return str(self.body.get("camera", ""))

    @property
    def span(self) -> Span:
        return self.times["starts_at"], self.times["ends_at"]

    def meets(self, span: Span) -> bool:
        return self.span[0] < span[1] and self.span[1] > span[0]


def parse_record(index: int, entry: bytes) -> Record:
    """ValueError where a field that its kind needs is missing or of another type."""
    body = json.loads(entry, parse_int=read_integer)
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        raise ValueError("not a record")
    times = {}
    for name, kind in _FIELDS.get(body["kind"], {}).items():
        value = body.get(name)
        if kind is datetime:
            times[name] = _moment(value)
        elif not isinstance(value, kind):
            raise ValueError(f"{name} is missing")
        if kind in (list, dict) and isinstance(value, (list, dict)):
            members = value.values() if isinstance(value, dict) else value
            if not all(isinstance(member, _MEMBERS[name]) for member in members):
                raise ValueError(f"{name} holds something else")
    return Record(index, body["kind"], body, times)


def _moment(text: object) -> datetime:
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text):
        raise ValueError(f"{text!r} is not a moment")
    return datetime.fromisoformat(text[:-1] + "+00:00")


def verify_inclusion(entry: bytes, index: int, proof: list[bytes], head: SignedHead) -> bool:
    """Whether ``proof`` leads from ``entry`` at ``index`` to the signed root (RFC 9162, 2.1.3.2)."""
    node, last, digest = index, head.size - 1, hashlib.sha256(b"\x00" + entry).digest()
    if not 0 <= index < head.size:
        return False
    for sibling in proof:
        if last == 0:
            return False
        on_the_left = node % 2 == 1 or node == last
        pair = sibling + digest if on_the_left else digest + sibling
        digest = hashlib.sha256(b"\x01" + pair).digest()
        while on_the_left and node and node % 2 == 0:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    return last == 0 and digest == head.root


def read_records(folder: Path, head: SignedHead, found: Findings) -> list[Record]:
    """The records that are in the signed log, in its order. Lines that are not, and lines out of order, are named."""
    records: list[Record] = []
    before = -1
    for number, line in enumerate((read_text(folder, RECORDS, found) or "").split("\n")[:-1], 1):
        try:
            fields = json.loads(line, parse_int=read_integer)
            index, entry = fields["index"], fields["entry"].encode()
            if type(index) is not int:
                raise ValueError("not an index")
            proof = [bytes.fromhex(step) for step in fields["proof"]]
            record = parse_record(index, entry)
            proven = verify_inclusion(entry, index, proof, head)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            found.add("record_line", RECORDS, line=number)
            continue
        if not proven:
            found.add("record_proof", RECORDS, line=number)
            continue
        if index <= before:
            found.add("record_order", RECORDS, line=number)
        before = index
        records.append(record)
    return sorted(records, key=lambda record: record.index)
