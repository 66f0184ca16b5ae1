"""Row first, then record, then the row's leaf: each can be taken up again after a crash, none is done twice."""

from __future__ import annotations

import json

from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import Record

# A crash leaves at most the records of the moment in doubt; a day of a college's segments is some 100,000.
_SEARCHED = 20_000
# A failure between a record and the note of its leaf, in a process that lives on, is tried again within a round or two.
_RECENT = 32


def append_once(log: EvidenceLog, record: Record, *, in_doubt: bool) -> int:
    """Append ``record`` and return its leaf.

    Parameters
    ----------
    in_doubt : a process may have died between the record and the note of its leaf: look for it first
    """
    wanted, size = _content(record.to_json()), log.size
    for index in range(size - 1, max(size - (_SEARCHED if in_doubt else _RECENT), 0) - 1, -1):
        if _content(json.loads(log.entry(index))) == wanted:
            return index
    return log.append(record)


def _content(body: dict[str, object]) -> dict[str, object]:
    """All but the moment of writing it down."""
    return {name: value for name, value in body.items() if name != "at"}
