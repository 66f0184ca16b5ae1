"""What deletions leave in the log: each approval, and a tombstone for each file, written before the file goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kaozheng_service.evidence.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionApproved(Record):
    """One of two approvals of a list of ``files``; ``items_sha256`` is over the list."""

    kind: ClassVar[str] = "retention.approved"
    deletion: str
    batch: str
    files: int
    bytes: int
    items_sha256: str
    account: str
    name: str
    role: str
    console: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDeleted(Record):
    """The file of this segment is deleted, from both copies. Its other records stay."""

    kind: ClassVar[str] = "segment.deleted"
    take: str
    window: str
    room: str
    camera: str
    number: int
    path: str
    sha256: str
    reason: str
    approved_by: list[str]
