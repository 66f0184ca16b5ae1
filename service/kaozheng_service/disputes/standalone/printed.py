"""Printed checkpoints: does the log that this export was taken from follow from what stands on paper?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.disputes.standalone.files import read_integer, read_text
from kaozheng_service.disputes.standalone.findings import BadInputError, Findings
from kaozheng_service.disputes.standalone.signature import (
    CHECKPOINT,
    SignedHead,
    parse_note,
    signed_by,
)

CONSISTENCY = "data/evidence/consistency.jsonl"


@dataclass(frozen=True)
class Earlier:
    """The log's head when it had ``size`` entries, proven to lead to the head of this export."""

    size: int
    root: bytes


def read_printed(text: str) -> str:
    """A checkpoint as it was printed, from its text or from a file that holds it; BadInputError where it is none.

    What a scanner or an editor did to line ends and edges is undone.
    """
    try:
        if "\n" not in text and Path(text).is_file():
            text = Path(text).read_text(encoding="utf-8-sig")
        note = "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"
        parse_note(note)
    except (ValueError, OSError):
        raise BadInputError(
            f"{text[:80]!r}: 不是检查点 / not a checkpoint; give the text of the printed QR code, "
            "all five lines of it, or a file that holds it"
        ) from None
    return note


def check_printed(
    folder: Path, printed: Iterable[str], head: SignedHead, keys: Sequence[bytes], found: Findings
) -> dict[int, bytes]:
    """Check every proof that the bag carries, and hold the head against each printed checkpoint by one of them.

    Parameters
    ----------
    printed : as ``read_printed`` gives them
    keys : the keys that may have signed this log; the newest last

    Returns
    -------
    the roots that the log is proven to have had, by its size then
    """
    earlier = {one.size: one.root for one in read_consistency(folder, head, found)} | {head.size: head.root}
    for text in printed:
        note = parse_note(text)
        proven = earlier.get(note.size)
        if note.log != head.log:
            found.add("printed_elsewhere", CHECKPOINT, log=note.log)
        elif not any(signed_by(key, note) for key in keys):
            found.add("printed_signature", CHECKPOINT, size=note.size)
        elif proven is not None and proven != note.root:
            found.add("printed_changed", CHECKPOINT, size=note.size)
        elif proven is not None:
            found.add("printed_holds", CHECKPOINT, size=note.size)
        else:
            code = "printed_later" if note.size > head.size else "printed_unproven"
            found.add(code, CONSISTENCY, size=note.size, head=head.size)
    return earlier


def read_consistency(folder: Path, head: SignedHead, found: Findings) -> list[Earlier]:
    """The earlier heads that are proven; a line that does not lead to the signed head is named."""
    if not (folder / CONSISTENCY).exists():
        return []
    heads: list[Earlier] = []
    for number, line in enumerate((read_text(folder, CONSISTENCY, found) or "").split("\n")[:-1], 1):
        try:
            fields = json.loads(line, parse_int=read_integer)
            size, root = fields["size"], bytes.fromhex(fields["root"])
            proof = [bytes.fromhex(step) for step in fields["proof"]]
            proven = type(size) is int and verify_consistency(size, root, head, proof)
        except (ValueError, KeyError, TypeError, RecursionError):
            proven = False
        if proven and (not heads or heads[-1].size < size):
            heads.append(Earlier(size, root))
        else:
            found.add("consistency", CONSISTENCY, line=number)
    return heads


def verify_consistency(size: int, root: bytes, head: SignedHead, proof: list[bytes]) -> bool:
    """Whether ``proof`` leads from an earlier root to the signed one (RFC 9162, 2.1.4.2)."""
    if not 0 < size < head.size or any(len(step) != 32 for step in (root, *proof)):
        return False
    steps = [root, *proof] if size & (size - 1) == 0 else proof
    if not steps:
        return False
    node, last = size - 1, head.size - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while node and node % 2 == 0:
                node, last = node >> 1, last >> 1
        else:
            new = _node(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and (old, new) == (root, head.root)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
