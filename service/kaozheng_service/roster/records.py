"""What an import of a roster leaves in the log: that it was, not whom it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kaozheng_service.evidence.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterImported(Record):
    """A file was taken over: its ``sha256``, and ``rows_sha256`` over its ``rows`` as they are stored."""

    kind: ClassVar[str] = "roster.imported"
    number: int
    file: str
    sha256: str
    rows: int
    rows_sha256: str
    by: str
