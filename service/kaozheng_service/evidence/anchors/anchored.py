"""What putting a head somewhere brings back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import Record


@dataclass(frozen=True, slots=True)
class Anchored:
    """``files`` are to be kept, by name, under ``folder`` ("" for none); ``record`` names them."""

    record: Record
    folder: str
    files: Mapping[str, bytes]


class Anchor(Protocol):
    """A place that a head is put to. ``kind`` is of its record, ``id`` what the site file calls it."""

    kind: str
    id: str

    def put(self, log: EvidenceLog, checkpoint: str) -> Anchored:
        """Put it there. Raises AnchorError where it is not taken."""
