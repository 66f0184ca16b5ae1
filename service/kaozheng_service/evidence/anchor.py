"""A checkpoint that left the machine, on a sheet or in a letter, held against the log as it is today."""

from __future__ import annotations

from dataclasses import dataclass

from kaozheng_service.evidence.key_history import open_by_any
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.merkle import GrowingTree, verify_consistency
from kaozheng_service.evidence.note import NoteError, open_checkpoint


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a printed checkpoint says of today's log.

    ``size`` entries were printed, ``log_size`` there are. ``why`` is "" when the printed ones still stand as they were;
    else shorter (entries are missing), changed (the entries are others) or inconsistent (the entries are the
    printed ones, but today's signed head does not follow from them).
    """

    size: int
    log_size: int
    why: str

    @property
    def holds(self) -> bool:
        return not self.why


def hold_against(log: EvidenceLog, text: str) -> Anchor:
    """Whether today's log begins with the entries that a checkpoint was printed of.

    The entries are hashed anew, so that nothing but them is trusted; then today's signed head must follow from the
    printed one by the proof of RFC 6962, 2.1.2, the proof that also convinces who does not have the log.

    Raises
    ------
    NoteError : the text is no checkpoint of this log, or not signed by the key that this log had then
    """
    printed = open_by_any(cleaned(text), log.keys())
    if printed.origin != log.origin:
        raise NoteError(f"a checkpoint of {printed.origin}, not of {log.origin}: another site's sheet")
    head = open_checkpoint(log.checkpoint(), log.public_key)
    if printed.size > head.size:
        return Anchor(printed.size, head.size, "shorter")
    tree = GrowingTree()
    for entry in log.entries():
        if tree.size == printed.size:
            break
        tree.add(entry)
    if (tree.size, tree.root()) != (printed.size, printed.root):
        return Anchor(printed.size, head.size, "changed")
    if printed.size and not verify_consistency(
        printed.size, head.size, printed.root, head.root, log.consistency_proof(printed.size, head.size)
    ):
        return Anchor(printed.size, head.size, "inconsistent")
    return Anchor(printed.size, head.size, "")


def cleaned(text: str) -> str:
    """A checkpoint as it was printed: what a scanner or an editor did to line ends and edges undone."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"
