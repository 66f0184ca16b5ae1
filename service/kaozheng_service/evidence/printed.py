"""Which heads of the log left the machine on paper, as the log itself tells."""

from __future__ import annotations

from kaozheng_service.evidence.log import EvidenceLog

# The records of what was printed, and the field that holds the size of the checkpoint on it.
_SIZES = {"sheet.printed": "log_size", "inspection": "log_size"}


def printed_sizes(log: EvidenceLog) -> list[int]:
    """Sizes of all printed checkpoints, ascending; reads all entries. An empty log proves nothing and is left out."""
    sizes = {body.get(_SIZES[body["kind"]]) for _, body in log.find(*_SIZES)}
    return sorted(size for size in sizes if isinstance(size, int) and 0 < size < log.size)
