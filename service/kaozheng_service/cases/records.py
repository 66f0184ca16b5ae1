"""What cases, holds and views leave in the log. ``docs/formats.md`` is the public description."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from kaozheng_service.evidence.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStepped(Record):
    """A step of a case. ``facts`` are the step's own fields; ``console``: by the machine's operator in that name."""

    kind: ClassVar[str] = "case.step"
    case: str
    number: int
    step: str
    account: str
    name: str
    role: str
    console: bool
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced(Record):
    """From now on nothing of this range is deleted; all cameras of the room where ``cameras`` is empty."""

    kind: ClassVar[str] = "hold.placed"
    hold: str
    case: str
    room: str
    cameras: list[str]
    starts_at: datetime
    ends_at: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(Record):
    kind: ClassVar[str] = "hold.released"
    hold: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FootageSeen(Record):
    """Footage was shown to ``account``, for ``case`` and for the reason ``why``."""

    kind: ClassVar[str] = "access"
    account: str
    name: str
    role: str
    room: str
    cameras: list[str]
    starts_at: datetime
    ends_at: datetime
    case: str
    why: str
