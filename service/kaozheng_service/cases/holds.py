"""Holds: what may not be deleted. Database and log are both asked; if either says held, it is held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.cases.book import disputes_lock, load_cases, sign_steps
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.records import HoldPlaced, HoldReleased
from kaozheng_service.cases.steps import Closed, Opened
from kaozheng_service.cases.tables import CaseStep, Hold
from kaozheng_service.clock import from_text
from kaozheng_service.errors import UserError
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station

# Times of a segment may be off by some seconds, and a complaint by more: what lies this near to a held range is held.
MARGIN = timedelta(minutes=1)
LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class Keep:
    """A range that is kept, and by what: a hold's or a case's id. All cameras where ``cameras`` is empty."""

    by: str
    room: str
    cameras: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime

    def meets(self, room: str, camera: str, starts_at: datetime, ends_at: datetime) -> bool:
        return (
            room == self.room
            and (not self.cameras or camera in self.cameras)
            and starts_at < self.ends_at + MARGIN
            and ends_at > self.starts_at - MARGIN
        )


def place_hold(
    station: Station,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    by: Actor,
    at: datetime,
    *,
    cameras: Sequence[str] = (),
    case_id: str = "",
) -> Hold:
    """From now on nothing of this range is deleted, until it is released.

    Raises
    ------
    UserError : no such room, camera or case, a range that ends before it begins, or no reason
    NotAllowedError : a role that holds nothing
    """
    _refuse_role(by, "保全", "hold footage", (Role.CENTRE, Role.HEAD))
    room = station.site.room(room_id)
    names = [room.stream(one).id for one in cameras]
    if ends_at <= starts_at:
        raise UserError("时间范围：结束应晚于开始 · the range ends before it begins; swap them")
    _refuse_reason(reason)
    with disputes_lock(station):
        with station.sessions() as session:
            if case_id and session.scalar(select(func.count()).where(CaseStep.case_id == case_id)) == 0:
                raise UserError(f"没有案件 {case_id} · there is no case {case_id}; see: kaozheng case list")
            year = at.astimezone(station.site.zone).year
            ids = session.scalars(select(Hold.id).where(Hold.id.like(f"hold-{year}-%"))).all()
            number = max((int(one.rpartition("-")[2]) for one in ids), default=0) + 1
            row = Hold(
                id=f"hold-{year}-{number:04d}",
                case_id=case_id,
                room_id=room.id,
                camera_ids=" ".join(names),
                starts_at=_whole(starts_at),
                ends_at=_whole(ends_at),
                reason=reason.strip(),
                placed_at=_whole(at),
                placed_by=by.account,
            )
            session.add(row)
            session.commit()
        sign_holds(station)
    return hold_of(station, row.id)


def release_hold(station: Station, hold_id: str, reason: str, by: Actor, at: datetime) -> Hold:
    """Let it go; the head alone may. UserError where there is no such hold, or it was released before."""
    _refuse_role(by, "解除保全", "release a hold", (Role.HEAD,))
    _refuse_reason(reason)
    with disputes_lock(station):
        with station.sessions.begin() as session:
            row = session.get(Hold, hold_id)
            if row is None or row.released_at is not None:
                raise UserError(
                    f"没有生效的保全 {hold_id} · there is no hold {hold_id} in force; see: kaozheng case list"
                )
            row.released_at, row.released_by = _whole(at), by.account
            row.release_reason = reason.strip()
        sign_holds(station)
    return hold_of(station, hold_id)


def hold_of(station: Station, hold_id: str) -> Hold:
    with station.sessions() as session:
        return session.get_one(Hold, hold_id)


def list_holds(station: Station, *, in_force: bool = False, case_id: str | None = None) -> list[Hold]:
    query = select(Hold).order_by(Hold.id)
    if in_force:
        query = query.where(Hold.released_at.is_(None))
    if case_id is not None:
        query = query.where(Hold.case_id == case_id)
    with station.sessions() as session:
        return list(session.scalars(query))


def sign_holds(station: Station) -> None:
    """Give every hold the records that are due; under the lock."""
    unsigned = Hold.leaf.is_(None) | (Hold.released_at.is_not(None) & Hold.released_leaf.is_(None))
    with station.sessions() as session:
        for row in session.scalars(select(Hold).where(unsigned).order_by(Hold.id)).all():
            if row.leaf is None:
                row.leaf = append_once(station.log, _placed(row), in_doubt=True)
                session.commit()
            if row.released_at is not None and row.released_leaf is None:
                row.released_leaf = append_once(station.log, _released(row), in_doubt=True)
                session.commit()


class Kept:
    """All that is held or in a living case, by the rows and by the log. Ask under the lock: it reads on by itself.

    The log is read from its beginning once, then only what was added. A hold that only one of the two knows, or that
    only one of them says was released, holds.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._read = 0
        self._holds: dict[str, Keep] = {}
        self._cases: dict[str, Keep] = {}
        self.tombstones: dict[str, int] = {}  # path -> index of the record that says it was deleted
        self._rows: list[Keep] = []
        self._seen: tuple[Any, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was added to the log, and the rows as they are."""
        log = self._station.log
        if self._read == 0:
            for index, entry in enumerate(log.entries()):
                self._take_in(index, entry)
                self._read = index + 1
        while self._read < log.size:
            self._take_in(self._read, log.entry(self._read))
            self._read += 1
        if (seen := self._counts()) == self._seen:
            return
        self._seen = seen
        holds = [
            Keep(row.id, row.room_id, tuple(row.camera_ids.split()), row.starts_at, row.ends_at)
            for row in list_holds(self._station, in_force=True)
        ]
        cases = [
            Keep(case.id, case.opened.room, (), case.opened.starts_at, case.opened.ends_at)
            for case in load_cases(self._station, living=True)
        ]
        self._rows = [*holds, *cases]

    def _counts(self) -> tuple[Any, ...]:
        """Whether the rows changed: they are only ever added to, and holds released."""
        with self._station.sessions() as session:
            steps = session.scalar(select(func.max(CaseStep.id)))
            placed, released = session.execute(
                select(func.count(Hold.id), func.count(Hold.released_at))
            ).one()
        return steps, placed, released

    def by(self, room: str, camera: str, starts_at: datetime, ends_at: datetime) -> tuple[str, ...]:
        """The ids of the holds and cases that keep this; empty where nothing does."""
        every = (*self._rows, *self._holds.values(), *self._cases.values())
        return tuple(dict.fromkeys(one.by for one in every if one.meets(room, camera, starts_at, ends_at)))

    def _take_in(self, index: int, entry: bytes) -> None:
        # Of hundreds of thousands of records only these few kinds are read as JSON.
        if not any(kind in entry for kind in _KINDS):
            return
        body: dict[str, Any] = json.loads(entry)
        if body["kind"] == HoldPlaced.kind:
            self._holds[body["hold"]] = _keep(body["hold"], body, tuple(body["cameras"]))
        elif body["kind"] == HoldReleased.kind:
            self._holds.pop(body["hold"], None)
        elif body["kind"] == "case.step" and body["step"] == Opened.kind:
            self._cases[body["case"]] = _keep(body["case"], body["facts"], ())
        elif body["kind"] == "case.step" and body["step"] == Closed.kind:
            self._cases.pop(body["case"], None)
        elif body["kind"] == "segment.deleted":
            self.tombstones.setdefault(body["path"], index)


_KINDS = (b'"hold.placed"', b'"hold.released"', b'"case.step"', b'"segment.deleted"')


def held(station: Station, room: str, camera: str, starts_at: datetime, ends_at: datetime) -> tuple[str, ...]:
    """What keeps this footage from being deleted: ids of holds and living cases; empty where nothing does."""
    return Kept(station).by(room, camera, starts_at, ends_at)


def sign_what_waits(station: Station) -> None:
    """Records of steps and holds that a crash prevented."""
    with disputes_lock(station):
        sign_steps(station)
        sign_holds(station)


def _keep(name: str, facts: dict[str, Any], cameras: tuple[str, ...]) -> Keep:
    # A case is kept whole, whatever cameras it names: what another camera shows may decide it.
    return Keep(name, facts["room"], cameras, from_text(facts["starts_at"]), from_text(facts["ends_at"]))


def _refuse_role(by: Actor, chinese: str, english: str, allowed: tuple[Role, ...]) -> None:
    if by.role not in allowed:
        raise NotAllowedError(
            f"账号 {by.account} 无权{chinese}",
            f"account {by.account} ({by.role.value}) may not {english}",
            allowed,
        )


def _refuse_reason(reason: str) -> None:
    if not reason.strip():
        raise UserError("请填写理由 · give a reason, for the record")
    if len(reason) > LONGEST_REASON:
        raise UserError(
            f"理由超过 {LONGEST_REASON} 字 · the reason is longer than {LONGEST_REASON} characters"
        )


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _placed(row: Hold) -> HoldPlaced:
    return HoldPlaced(
        at=row.placed_at,
        hold=row.id,
        case=row.case_id,
        room=row.room_id,
        cameras=row.camera_ids.split(),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        by=row.placed_by,
    )


def _released(row: Hold) -> HoldReleased:
    return HoldReleased(
        at=row.released_at or row.placed_at,
        hold=row.id,
        reason=row.release_reason or "",
        by=row.released_by or "",
    )
