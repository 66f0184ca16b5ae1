"""Row first, then record, then the row's leaf: each can be taken up again after a crash, none is done twice."""

from __future__ import annotations

import re

from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import Record

# A crash leaves at most the records of the moment in doubt; a day of a college's segments is some 100,000.
_SEARCHED = 20_000
# A failure between a record and the note of its leaf, in a process that lives on, is tried again within a round or two.
_RECENT = 32
# Within text quotes are escaped, so that only the field itself reads so.
_AT = re.compile(rb'"at":"([^"]*)"')


def append_once(log: EvidenceLog, record: Record, *, in_doubt: bool) -> int:
    """Append ``record`` and return its leaf.

    Parameters
    ----------
    in_doubt : a process may have died between the record and the note of its leaf: look for it first
    """
    line = canonical(record.to_json())
    # All but the moment of writing it down, which is as long in each; entries are canonical, so bytes tell.
    at = _AT.search(line)
    before, after = (line[: at.start(1)], line[at.end(1) :]) if at is not None else (line, b"")
    for index, entry in log.newest(_SEARCHED if in_doubt else _RECENT):
        if len(entry) == len(line) and entry.startswith(before) and entry.endswith(after):
            return index
    return log.append(record)
