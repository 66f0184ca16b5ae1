"""The one place that writes cases down: row first, then the record, then the row's leaf; one step at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.cases.case import Case, Taken, after, fold
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.records import CaseStepped
from kaozheng_service.cases.steps import KINDS, ROLES, Closed, Opened, State, Step, read_step, step_text
from kaozheng_service.cases.tables import CaseStep
from kaozheng_service.cases.words import STATES, STEPS
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.leases import try_lease
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station

LONGEST_TEXT = 2000
# A step takes milliseconds, a file of a deletion a little more; who waits longer than this waits for something stuck.
_PATIENCE_S = 30.0


@contextmanager
def disputes_lock(station: Station) -> Iterator[None]:
    """Held while a case, a hold or a deletion takes one step, over threads and processes.

    Nothing can be held between the question whether it is held and its deletion. ServiceError when it stays taken.
    """
    path = station.state / "locks" / "disputes.lock"
    until = time.monotonic() + _PATIENCE_S
    while (lease := try_lease(path)) is None:
        if time.monotonic() >= until:
            raise ServiceError(
                f"another process works on cases ({path} is locked); try again when it is done"
            )
        time.sleep(0.01)
    try:
        yield
    finally:
        lease.release()


def open_case(station: Station, step: Opened, by: Actor, at: datetime, *, console: bool = False) -> Case:
    """A new case, ``case-2024-0007``: the year in the site's time, and how many cases it has. NotAllowedError for a
    role that opens none.
    """
    with disputes_lock(station):
        year = at.astimezone(station.site.zone).year
        with station.sessions() as session:
            ids = session.scalars(
                select(CaseStep.case_id).where(CaseStep.number == 1, CaseStep.case_id.like(f"case-{year}-%"))
            ).all()
        number = max((int(one.rpartition("-")[2]) for one in ids), default=0) + 1
        return _append(station, f"case-{year}-{number:04d}", None, step, by, at, console)


def take_step(
    station: Station,
    case_id: str,
    make: Callable[[Case], Step],
    by: Actor,
    at: datetime,
    *,
    console: bool = False,
) -> Case:
    """One more step of a case; ``make`` is given the case as it is, and says which.

    Raises
    ------
    UserError : no such case
    NotAllowedError : a role that may not, or a step that cannot follow; also what ``make`` refuses
    """
    with disputes_lock(station):
        case = _load(station, case_id)
        return _append(station, case_id, case, make(case), by, at, console)


def load_case(station: Station, case_id: str) -> Case:
    """UserError where there is no such case, naming the newest there are."""
    return _load(station, case_id)


def load_cases(
    station: Station, *, living: bool = False, room_id: str | None = None, signed: bool = False
) -> list[Case]:
    """All cases by id.

    Parameters
    ----------
    living : only those that are not closed
    signed : as far as their steps are in the log: what grants something has its record
    """
    opened = select(CaseStep.case_id).where(CaseStep.step == Opened.kind)
    if room_id is not None:
        opened = opened.where(CaseStep.room_id == room_id)
    if living:
        closed = select(CaseStep.case_id).where(CaseStep.step == Closed.kind)
        opened = opened.where(CaseStep.case_id.not_in(closed))
    with station.sessions() as session:
        rows = session.scalars(
            select(CaseStep).where(CaseStep.case_id.in_(opened)).order_by(CaseStep.case_id, CaseStep.number)
        ).all()
    steps: dict[str, list[Taken]] = {}
    for row in rows:
        taken = steps.setdefault(row.case_id, [])
        if not signed or (row.leaf is not None and row.number == len(taken) + 1):
            taken.append(_taken(row))
    return [case for one, taken in steps.items() if (case := fold(one, taken)) is not None]


def sign_steps(station: Station) -> None:
    """Give every step the record that a crash prevented."""
    with station.sessions() as session:
        left = session.scalars(select(CaseStep).where(CaseStep.leaf.is_(None)).order_by(CaseStep.id)).all()
        for row in left:
            row.leaf = append_once(station.log, _record(row), in_doubt=True)
            session.commit()


def _load(station: Station, case_id: str) -> Case:
    with station.sessions() as session:
        rows = session.scalars(
            select(CaseStep).where(CaseStep.case_id == case_id).order_by(CaseStep.number)
        ).all()
        case = fold(case_id, [_taken(row) for row in rows])
        if case is None:
            newest = session.scalars(
                select(CaseStep.case_id).where(CaseStep.number == 1).order_by(CaseStep.id.desc()).limit(5)
            ).all()
            known = f"newest are {', '.join(newest)}" if newest else "there are none yet"
            raise UserError(f"没有案件 {case_id} · there is no case {case_id}; {known}: kaozheng case list")
    return case


def _append(
    station: Station, case_id: str, case: Case | None, step: Step, by: Actor, at: datetime, console: bool
) -> Case:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    refuse_role(step.kind, by)
    _refuse_texts(step)
    taken = Taken((len(case.steps) if case else 0) + 1, at, by, console, step, None)
    try:
        changed = after(case_id, case, taken)
    except ValueError:
        _refuse_transition(case, step)
        raise
    sign_steps(station)
    with station.sessions() as session:
        row = CaseStep(
            case_id=case_id,
            number=taken.number,
            step=step.kind,
            at=at,
            account=by.account,
            name=by.name,
            role=by.role.value,
            console=console,
            facts=step_text(step),
            room_id=step.room if isinstance(step, Opened) else "",
        )
        session.add(row)
        session.commit()
        _sign(station, session, row)
    return changed


def _sign(station: Station, session: Session, row: CaseStep) -> None:
    row.leaf = append_once(station.log, _record(row), in_doubt=False)
    session.commit()


def refuse_role(kind: str, by: Actor) -> None:
    """NotAllowedError where ``by`` may not take steps of this kind; of `confirmed` the site's pairs decide."""
    allowed = ROLES.get(kind)
    if allowed is not None and by.role not in allowed:
        chinese, english = STEPS[kind]
        raise NotAllowedError(
            f"账号 {by.account} 无权{chinese}",
            f"account {by.account} ({by.role.value}) may not do this: {english}",
            allowed,
        )


def _refuse_transition(case: Case | None, step: Step) -> None:
    if case is None:
        return
    state, word = STATES[case.state], STEPS[step.kind]
    head = (Role.HEAD,)
    needed: dict[State, tuple[str, str, tuple[Role, ...]]] = {
        State.OPEN: (
            "先申请调阅",
            "access must be requested first: kaozheng case request-access",
            (Role.CENTRE, Role.HEAD),
        ),
        State.REQUESTED: (
            "先由负责人审批",
            "the head must approve or refuse first: kaozheng case approve",
            head,
        ),
        State.APPROVED: (
            "已经批准，可由两人在场确认",
            "it is approved; two people confirm: kaozheng case confirm",
            (),
        ),
        State.REFUSED: (
            "已驳回，需重新申请",
            "it was refused; request access anew",
            (Role.CENTRE, Role.HEAD),
        ),
        State.CLOSED: ("已结案，请另立案件", "it is closed; open another case", (Role.CENTRE, Role.HEAD)),
    }
    chinese, english, given_by = needed[case.state]
    raise NotAllowedError(
        f"{case.id} {state[0]}，不能{word[0]}：{chinese}",
        f"{case.id} is in state {case.state.value}, so not: {word[1]}; {english}",
        given_by,
    )


def _refuse_texts(step: Step) -> None:
    """What is written must say something, and is no book."""
    for name in ("reason", "text", "why", "finding", "result"):
        value = getattr(step, name, None)
        if value is None:
            continue
        if not value.strip():
            raise UserError(f"{name}: 不能为空 · is empty; say it in a sentence, for the record")
        if len(value) > LONGEST_TEXT:
            raise UserError(
                f"{name}: 超过 {LONGEST_TEXT} 字 · is longer than {LONGEST_TEXT} characters; shorten it"
            )


def _taken(row: CaseStep) -> Taken:
    if row.step not in KINDS:
        raise ServiceError(
            f"{row.case_id}: step {row.step!r} is of a newer version of this program; update it"
        )
    by = Actor(row.account, row.name, Role(row.role))
    return Taken(row.number, row.at, by, row.console, read_step(row.step, json.loads(row.facts)), row.leaf)


def _record(row: CaseStep) -> CaseStepped:
    return CaseStepped(
        at=row.at,
        case=row.case_id,
        number=row.number,
        step=row.step,
        account=row.account,
        name=row.name,
        role=row.role,
        console=row.console,
        facts=json.loads(row.facts),
    )
