"""A case as its steps make it: state, requests, viewings and emergencies. Pure; nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.cases.steps import (
    TRANSITIONS,
    AccessRequested,
    Approved,
    Closed,
    Confirmed,
    EmergencyOpened,
    HandedOver,
    Noted,
    Opened,
    Refused,
    Reviewed,
    State,
    Step,
)
from kaozheng_service.config.calendar import Calendar


@dataclass(frozen=True, slots=True)
class Taken:
    """A step as it was taken. ``leaf`` is its record; None in the moment between row and record.

    ``console`` : the operator of the machine did it in this person's name.
    """

    number: int
    at: datetime
    by: Actor
    console: bool
    step: Step
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Viewing:
    """Two people before the footage, from ``opened_at`` to ``until``."""

    accounts: tuple[str, ...]
    opened_at: datetime
    until: datetime

    def is_open(self, at: datetime) -> bool:
        return self.opened_at <= at < self.until


@dataclass(frozen=True, slots=True)
class Request:
    """An access that was asked for, and how far it came. ``confirmed`` are who said that they are present."""

    number: int
    asked: AccessRequested
    by: Actor
    at: datetime
    approved: Taken | None = None
    refused: Taken | None = None
    confirmed: tuple[Taken, ...] = ()
    viewing: Viewing | None = None


@dataclass(frozen=True, slots=True)
class Emergency:
    """Footage that one person opened alone; ``reviewed`` is None until the head noted a finding."""

    number: int
    asked: EmergencyOpened
    by: Actor
    at: datetime
    reviewed: Taken | None = None

    def is_open(self, at: datetime) -> bool:
        return self.at <= at < self.asked.until


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    state: State
    opened: Opened
    steps: tuple[Taken, ...]
    results_on: date | None = None
    requests: tuple[Request, ...] = ()
    emergencies: tuple[Emergency, ...] = ()
    exports: tuple[HandedOver, ...] = ()
    result: str = field(default="")

    @property
    def unreviewed(self) -> tuple[Emergency, ...]:
        return tuple(one for one in self.emergencies if one.reviewed is None)

    def deadline(self, calendar: Calendar, days: int, zone: tzinfo) -> datetime | None:
        """The end of the last working day on which the results are public; None where their first day is not known."""
        if self.results_on is None:
            return None
        last = calendar.working_day_after(self.results_on, days)
        return datetime.combine(last + timedelta(days=1), time(), zone)


def fold(case_id: str, taken: Iterable[Taken]) -> Case | None:
    """The case after these steps, in their order; None of none.

    Raises
    ------
    ValueError : a step that may not follow what is before it
    """
    case: Case | None = None
    for one in taken:
        case = after(case_id, case, one)
    return case


def after(case_id: str, case: Case | None, taken: Taken) -> Case:
    """The case with one step more. ValueError where that step may not follow."""
    state = TRANSITIONS.get((case.state if case is not None else None, taken.step.kind))
    if state is None:
        raise ValueError(f"{case_id}: {taken.step.kind} cannot follow {case.state if case else 'nothing'}")
    step = taken.step
    if case is None:
        assert isinstance(step, Opened)  # noqa: S101 - the table lets nothing else begin a case
        return Case(case_id, state, step, (taken,), step.results_on)
    case = replace(case, state=state, steps=(*case.steps, taken))
    match step:
        case Noted(results_on=results_on) if results_on is not None:
            return replace(case, results_on=results_on)
        case AccessRequested():
            return replace(case, requests=(*case.requests, Request(step.request, step, taken.by, taken.at)))
        case Approved() | Refused() | Confirmed():
            return replace(case, requests=_decided(case.requests, taken))
        case EmergencyOpened():
            return replace(
                case, emergencies=(*case.emergencies, Emergency(step.emergency, step, taken.by, taken.at))
            )
        case Reviewed():
            reviewed = tuple(
                replace(one, reviewed=taken) if one.number == step.emergency else one
                for one in case.emergencies
            )
            return replace(case, emergencies=reviewed)
        case HandedOver():
            return replace(case, exports=(*case.exports, step))
        case Closed():
            return replace(case, result=step.result)
    return case


def _decided(requests: tuple[Request, ...], taken: Taken) -> tuple[Request, ...]:
    step = taken.step
    changed = []
    for one in requests:
        if isinstance(step, Approved) and one.number == step.request:
            one = replace(one, approved=taken)
        elif isinstance(step, Refused) and one.number == step.request:
            one = replace(one, refused=taken)
        elif isinstance(step, Confirmed) and one.number == step.request:
            present = (*one.confirmed, taken)
            viewing = one.viewing
            if step.opens_until is not None:
                accounts = (partner_of(one, taken).by.account, taken.by.account)
                viewing = Viewing(accounts, taken.at, step.opens_until)
            one = replace(one, confirmed=present, viewing=viewing)
        changed.append(one)
    return tuple(changed)


def partner_of(request: Request, taken: Taken) -> Taken:
    """The newest confirmation of another person, which the second one completed. ValueError where there is none."""
    others = [one for one in request.confirmed if one.by.account != taken.by.account]
    if not others:
        raise ValueError(f"request {request.number}: nobody else confirmed before {taken.by.account}")
    return others[-1]


def waiting_for(
    request: Request, pairs: Iterable[tuple[Role, Role]], together: timedelta, at: datetime
) -> str:
    """In words whom an approved request still waits for."""
    fresh = [one for one in request.confirmed if at - one.at <= together]
    if not fresh:
        return " / ".join(f"{first.value} + {second.value}" for first, second in pairs)
    there = fresh[-1].by.role
    return " / ".join(
        (second if first is there else first).value for first, second in pairs if there in (first, second)
    )
