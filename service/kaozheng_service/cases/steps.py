"""Every step that a case can take, with exactly the facts that are stored and signed, and which may follow which."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

from kaozheng_service.access.actor import Role
from kaozheng_service.clock import from_text, to_text


class State(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    REQUESTED = "requested"  # an access waits for the head
    APPROVED = "approved"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """``requester`` is sealed; "" where none is named. ``seat``, ``candidate``, ``window`` and ``batch`` may be ""."""

    kind: ClassVar[str] = "opened"
    requester: str
    reason: str
    batch: str
    window: str
    room: str
    cameras: list[str]
    seat: str
    candidate: str
    starts_at: datetime
    ends_at: datetime
    results_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """``results_on`` is the day on which the session's results became public, where this note says it."""

    kind: ClassVar[str] = "noted"
    text: str
    results_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequested:
    """``request`` counts from 1 in the case; ``minutes`` is how long the viewing is to last."""

    kind: ClassVar[str] = "access_requested"
    request: int
    cameras: list[str]
    starts_at: datetime
    ends_at: datetime
    why: str
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    kind: ClassVar[str] = "approved"
    request: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    kind: ClassVar[str] = "refused"
    request: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """Somebody is present. ``opens_until`` is set where this was the second of two: the viewing is open until then."""

    kind: ClassVar[str] = "confirmed"
    request: int
    opens_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyOpened:
    """Footage opened by one alone; ``emergency`` counts from 1 in the case."""

    kind: ClassVar[str] = "emergency"
    emergency: int
    cameras: list[str]
    starts_at: datetime
    ends_at: datetime
    why: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    kind: ClassVar[str] = "reviewed"
    emergency: int
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """``export`` is the export's id, ``record`` its index in the log."""

    kind: ClassVar[str] = "exported"
    export: str
    record: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    kind: ClassVar[str] = "closed"
    result: str


Step = (
    Opened
    | Noted
    | AccessRequested
    | Approved
    | Refused
    | Confirmed
    | EmergencyOpened
    | Reviewed
    | HandedOver
    | Closed
)
KINDS: dict[str, type[Step]] = {
    one.kind: one
    for one in (
        Opened,
        Noted,
        AccessRequested,
        Approved,
        Refused,
        Confirmed,
        EmergencyOpened,
        Reviewed,
        HandedOver,
        Closed,
    )
}

_LIVING = (State.OPEN, State.REQUESTED, State.APPROVED, State.REFUSED)
# What is not here is refused. A case that closed stays closed: what comes later is another case.
TRANSITIONS: dict[tuple[State | None, str], State] = {
    (None, Opened.kind): State.OPEN,
    **{(state, AccessRequested.kind): State.REQUESTED for state in _LIVING if state is not State.REQUESTED},
    (State.REQUESTED, Approved.kind): State.APPROVED,
    (State.REQUESTED, Refused.kind): State.REFUSED,
    (State.APPROVED, Confirmed.kind): State.APPROVED,
    (State.APPROVED, HandedOver.kind): State.APPROVED,
    **{
        (state, kind): state
        for state in _LIVING
        for kind in (Noted.kind, EmergencyOpened.kind, Reviewed.kind)
    },
    **{(state, Closed.kind): State.CLOSED for state in _LIVING if state is not State.REQUESTED},
}

_KEEPERS = frozenset({Role.CENTRE, Role.HEAD})
# Who may take a step; of `confirmed` the site file's pairs decide.
ROLES: dict[str, frozenset[Role]] = {
    Opened.kind: _KEEPERS,
    Noted.kind: _KEEPERS | {Role.OFFICE, Role.QUALITY},
    AccessRequested.kind: _KEEPERS,
    Approved.kind: frozenset({Role.HEAD}),
    Refused.kind: frozenset({Role.HEAD}),
    EmergencyOpened.kind: _KEEPERS,
    Reviewed.kind: frozenset({Role.HEAD}),
    HandedOver.kind: _KEEPERS | {Role.OFFICE, Role.QUALITY},
    Closed.kind: _KEEPERS,
}


def step_facts(step: Step) -> dict[str, Any]:
    """The fields of a step as they are signed."""
    return {name: _plain(value) for name, value in asdict(step).items()}


def step_text(step: Step) -> str:
    return json.dumps(step_facts(step), ensure_ascii=False, sort_keys=True)


def read_step(kind: str, facts: dict[str, Any]) -> Step:
    """The step that was stored. KeyError for a kind that this version does not know."""
    model = KINDS[kind]
    given = {one.name: _read(str(one.type), facts[one.name]) for one in fields(model) if one.name in facts}
    return model(**given)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_text(value)
    return value.isoformat() if isinstance(value, date) else value


def _read(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind.startswith("datetime"):
        return from_text(value)
    return date.fromisoformat(value) if kind.startswith("date") else value
