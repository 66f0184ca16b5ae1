"""What people do with a case: open it, ask for access, approve, be present, look, review, close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.kinds import AlarmKind, Subject
from kaozheng_service.cases.book import open_case, take_step
from kaozheng_service.cases.case import Case, Request, Taken, partner_of
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.steps import (
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
)
from kaozheng_service.database import Window
from kaozheng_service.errors import UserError
from kaozheng_service.sealed_names import load_or_make_name_key
from kaozheng_service.station import Station

logger = structlog.get_logger()

# A complaint is about a session; what is longer is several cases.
LONGEST_RANGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What somebody asks about. ``requester`` is a name in plain words, "" where none is named."""

    requester: str
    reason: str
    room: str
    starts_at: datetime
    ends_at: datetime
    batch: str = ""
    window: str = ""
    seat: str = ""
    candidate: str = ""
    cameras: tuple[str, ...] = ()
    results_on: date | None = None


def open_for(
    station: Station, complaint: Complaint, by: Actor, at: datetime, *, console: bool = False
) -> Case:
    """A case of a complaint. The requester's name is sealed before it is stored.

    Raises
    ------
    UserError : no such room, camera or window, or a range that cannot be meant
    NotAllowedError : a role that opens no case
    """
    room = station.site.room(complaint.room)
    batch = complaint.batch
    if complaint.window:
        with station.sessions() as session:
            window = session.get(Window, complaint.window)
        if window is None or window.room_id != room.id:
            raise UserError(
                f"room {room.id} has no window {complaint.window!r}; see: kaozheng window list --day"
            )
        batch = batch or window.batch or ""
    _refuse_range(complaint.starts_at, complaint.ends_at)
    name = complaint.requester.strip()
    step = Opened(
        requester=load_or_make_name_key(station.state / "keys").seal(name) if name else "",
        reason=complaint.reason,
        batch=batch,
        window=complaint.window,
        room=room.id,
        cameras=_cameras(station, room.id, complaint.cameras),
        seat=complaint.seat,
        candidate=complaint.candidate,
        starts_at=complaint.starts_at,
        ends_at=complaint.ends_at,
        results_on=complaint.results_on,
    )
    return open_case(station, step, by, at, console=console)


def note(
    station: Station,
    case_id: str,
    text: str,
    by: Actor,
    at: datetime,
    *,
    results_on: date | None = None,
    console: bool = False,
) -> Case:
    return take_step(
        station, case_id, lambda _: Noted(text=text, results_on=results_on), by, at, console=console
    )


def request_access(
    station: Station,
    case_id: str,
    why: str,
    by: Actor,
    at: datetime,
    *,
    cameras: Sequence[str] = (),
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    minutes: float | None = None,
    console: bool = False,
) -> Case:
    """Ask the head for a viewing; cameras and range are the case's where none are given, minutes the site's.

    Raises
    ------
    UserError : a range or a camera outside of the case's, or minutes that cannot be meant
    """

    def make(case: Case) -> AccessRequested:
        first, last = starts_at or case.opened.starts_at, ends_at or case.opened.ends_at
        _refuse_outside(case, first, last)
        asked = station.site.cases.viewing_min if minutes is None else minutes
        if not 1 <= asked <= 480:
            raise UserError("minutes: 应在 1 到 480 之间 · a viewing lasts between 1 and 480 minutes")
        return AccessRequested(
            request=len(case.requests) + 1,
            cameras=_of_case(station, case, cameras),
            starts_at=first,
            ends_at=last,
            why=why,
            minutes=asked,
        )

    return take_step(station, case_id, make, by, at, console=console)


def approve(
    station: Station, case_id: str, by: Actor, at: datetime, *, remark: str = "", console: bool = False
) -> Case:
    """The head lets the request that waits be seen; never who asked for it."""

    def make(case: Case) -> Approved:
        request = _waiting(case)
        if request is not None and request.by.account == by.account:
            raise NotAllowedError(
                f"{by.account} 本人提出的申请须由他人批准",
                f"request {request.number} is {by.account}'s own; another account must approve it",
                (Role.HEAD,),
            )
        return Approved(request=request.number if request else 0, note=remark)

    return take_step(station, case_id, make, by, at, console=console)


def refuse(
    station: Station, case_id: str, reason: str, by: Actor, at: datetime, *, console: bool = False
) -> Case:
    def make(case: Case) -> Refused:
        request = _waiting(case)
        return Refused(request=request.number if request else 0, reason=reason)

    return take_step(station, case_id, make, by, at, console=console)


def confirm_present(
    station: Station, case_id: str, by: Actor, at: datetime, *, console: bool = False
) -> Case:
    """Somebody says to be present. The second of two, of the other role of a pair, opens the viewing.

    Raises
    ------
    NotAllowedError : a role of no pair, one who confirmed already, or an approval that was used
    """
    rules = station.site.cases
    together = timedelta(minutes=rules.together_min)

    def make(case: Case) -> Confirmed:
        roles = sorted({role for pair in rules.present for role in pair})
        if by.role not in roles:
            raise NotAllowedError(
                f"账号 {by.account} 不是规定的在场人员",
                f"account {by.account} ({by.role.value}) is not of those who are present",
                roles,
            )
        request = case.requests[-1] if case.requests else None
        if request is None or request.approved is None:
            return Confirmed(request=0)  # refused by the table of steps, with what is needed first
        if request.viewing is not None:
            raise NotAllowedError(
                "本次批准已使用，需重新申请调阅",
                "this approval was used; request access anew",
                (Role.CENTRE, Role.HEAD),
            )
        me = Taken(0, at, by, console, Confirmed(request=request.number), None)
        others = [one for one in request.confirmed if one.by.account != by.account]
        if not others or at - others[-1].at > together:
            return Confirmed(request=request.number)
        partner = partner_of(request, me).by.role
        if not any({partner, by.role} == set(pair) for pair in rules.present):
            others_needed = sorted(
                {role for pair in rules.present if by.role in pair for role in pair} - {by.role}
            )
            raise NotAllowedError(
                "两名在场人员须来自不同部门",
                "the two who are present must be of different roles",
                others_needed,
            )
        return Confirmed(request=request.number, opens_until=at + timedelta(minutes=request.asked.minutes))

    return take_step(station, case_id, make, by, at, console=console)


def open_emergency(
    station: Station,
    case_id: str,
    why: str,
    by: Actor,
    at: datetime,
    *,
    cameras: Sequence[str] = (),
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    console: bool = False,
    alarms: AlarmBook | None = None,
) -> Case:
    """Head or centre alone, for some minutes; told as an alarm at once, and open until the head has reviewed it.

    Parameters
    ----------
    alarms : the process' own book where it has one
    """

    def make(case: Case) -> EmergencyOpened:
        first, last = starts_at or case.opened.starts_at, ends_at or case.opened.ends_at
        _refuse_outside(case, first, last)
        return EmergencyOpened(
            emergency=len(case.emergencies) + 1,
            cameras=_of_case(station, case, cameras),
            starts_at=first,
            ends_at=last,
            why=why,
            until=at + timedelta(minutes=station.site.cases.emergency_min),
        )

    case = take_step(station, case_id, make, by, at, console=console)
    detail = f"{case.id}: {by.account} ({by.role.value}): {why}"
    subject = Subject(AlarmKind.EMERGENCY_ACCESS.value, room=case.opened.room)
    (alarms or AlarmBook(station)).tell(subject, detail, case.steps[-1].at)
    logger.warning("emergency access to footage", case=case.id, account=by.account, room=case.opened.room)
    return case


def review(
    station: Station,
    case_id: str,
    finding: str,
    by: Actor,
    at: datetime,
    *,
    emergency: int | None = None,
    console: bool = False,
) -> Case:
    """The head notes what an emergency access was: the oldest that is not reviewed, or the one named.

    Raises
    ------
    UserError : there is none to review
    """

    def make(case: Case) -> Reviewed:
        open_ = {one.number for one in case.unreviewed}
        number = emergency if emergency is not None else min(open_, default=0)
        if number not in open_:
            raise UserError(f"{case.id}: 没有待核查的紧急调阅 · there is no emergency access to review")
        return Reviewed(emergency=number, finding=finding)

    return take_step(station, case_id, make, by, at, console=console)


def note_export(
    station: Station,
    case_id: str,
    export: str,
    record: int,
    by: Actor,
    at: datetime,
    *,
    console: bool = False,
) -> Case:
    """An export was made for this case."""
    return take_step(
        station, case_id, lambda _: HandedOver(export=export, record=record), by, at, console=console
    )


def close(
    station: Station, case_id: str, result: str, by: Actor, at: datetime, *, console: bool = False
) -> Case:
    """NotAllowedError while an emergency access is not reviewed."""

    def make(case: Case) -> Closed:
        if case.unreviewed:
            raise NotAllowedError(
                f"{case.id} 有紧急调阅尚未核查",
                f"{case.id} has an emergency access to review first",
                (Role.HEAD,),
            )
        return Closed(result=result)

    return take_step(station, case_id, make, by, at, console=console)


def _waiting(case: Case) -> Request | None:
    newest = case.requests[-1] if case.requests else None
    return newest if newest is not None and newest.approved is None and newest.refused is None else None


def _refuse_range(starts_at: datetime, ends_at: datetime) -> None:
    if not timedelta(0) < ends_at - starts_at <= LONGEST_RANGE:
        raise UserError(
            "时间范围：结束应晚于开始，且不超过 24 小时 · the range must end after it begins and last at most 24 hours"
        )


def _refuse_outside(case: Case, starts_at: datetime, ends_at: datetime) -> None:
    _refuse_range(starts_at, ends_at)
    if starts_at < case.opened.starts_at or ends_at > case.opened.ends_at:
        raise UserError(
            f"{case.id}: 超出案件的时间范围 · the range goes beyond the case's; open another case for the rest"
        )


def _cameras(station: Station, room_id: str, names: Sequence[str]) -> list[str]:
    room = station.site.room(room_id)
    return [room.stream(one).id for one in names] or [one.id for one in room.streams]


def _of_case(station: Station, case: Case, names: Sequence[str]) -> list[str]:
    wanted = _cameras(station, case.opened.room, names) if names else list(case.opened.cameras)
    beyond = [one for one in wanted if one not in case.opened.cameras]
    if beyond:
        raise UserError(
            f"{case.id}: 机位 {beyond[0]} 不在案件内 · camera {beyond[0]} is not of this case; "
            f"it has {', '.join(case.opened.cameras)}"
        )
    return wanted
