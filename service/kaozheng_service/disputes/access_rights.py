"""Who may see which footage now: asked of the cases, before any picture is shown. What no case allows is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from kaozheng_service.access.actor import Actor
from kaozheng_service.access.grants import APPROVAL, CASE, Grant, Need, Refusal
from kaozheng_service.cases.book import load_cases
from kaozheng_service.cases.case import Case, Request
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.words import role_names
from kaozheng_service.station import Station


class CaseGrants:
    """By the rows of cases, as they are at the moment of asking."""

    def __init__(self, station: Station) -> None:
        self._station = station
        # Footage is shown a file at a time: whoever may see a moment may see the file that holds it.
        self._edge = timedelta(seconds=station.site.recording.segment_s)

    def may_watch(
        self, actor: Actor, room: str, camera: str, starts_at: datetime, ends_at: datetime, at: datetime
    ) -> Grant | Refusal:
        """Whether ``actor`` may see ``starts_at`` to ``ends_at`` of a camera at the moment ``at``.

        A grant only inside of a viewing that two present people opened, for these two, or of an emergency access, for
        who opened it; only its cameras, and its range but for one segment at either end.
        """

        def covers(cameras: list[str], first: datetime, last: datetime) -> bool:
            return camera in cameras and first - self._edge <= starts_at and ends_at <= last + self._edge

        reached: list[tuple[Case, Request]] = []
        in_case = False
        for case in load_cases(self._station, living=True, room_id=room, signed=True):
            for emergency in case.emergencies:
                asked = emergency.asked
                mine = emergency.by.account == actor.account and emergency.is_open(at)
                if mine and covers(asked.cameras, asked.starts_at, asked.ends_at):
                    return Grant(case.id, f"紧急调阅 · emergency: {asked.why}")
            opened = case.opened
            in_case = in_case or covers(opened.cameras, opened.starts_at, opened.ends_at)
            for request in case.requests:
                if not covers(request.asked.cameras, request.asked.starts_at, request.asked.ends_at):
                    continue
                viewing = request.viewing
                if viewing is not None and viewing.is_open(at) and actor.account in viewing.accounts:
                    return Grant(case.id, request.asked.why)
                if request is case.requests[-1] and request.approved is not None and viewing is None:
                    reached.append((case, request))
        return Refusal(self._needs(actor, in_case=in_case, approved=bool(reached)))

    def _needs(self, actor: Actor, *, in_case: bool, approved: bool) -> tuple[Need, ...]:
        present = self._present()
        if approved:
            return (present,)
        return (APPROVAL, present) if in_case else (CASE, APPROVAL, present)

    def _present(self) -> Need:
        roles = tuple(sorted({role for pair in self._station.site.cases.present for role in pair}))
        chinese, english = role_names(roles, chinese=True), role_names(roles, chinese=False)
        return Need(
            "two_present",
            f"两名不同部门的人同时在场并各自确认：{chinese}",
            f"two people of different roles present, each having confirmed: {english}",
            roles,
        )


def require_case(
    station: Station,
    case_id: str,
    actor: Actor,
    room: str,
    cameras: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    at: datetime,
) -> Grant:
    """That ``actor`` may be handed this for exactly this case now.

    Raises
    ------
    NotAllowedError : no; it says what is needed and who can give it
    """
    grants = CaseGrants(station)
    answer: Grant | None = None
    for camera in cameras:
        said = grants.may_watch(actor, room, camera, starts_at, ends_at, at)
        if isinstance(said, Refusal):
            raise NotAllowedError(
                f"{camera}: 需要" + "；".join(need.chinese for need in said.needs),
                f"{camera}: needs " + "; ".join(need.english for need in said.needs),
                said.needs[0].given_by,
            )
        if said.case != case_id:
            raise NotAllowedError(
                f"{camera}: 当前查阅属于 {said.case}", f"{camera}: the viewing that is open is of {said.case}"
            )
        answer = said
    if answer is None:
        raise NotAllowedError("请写明机位", "name at least one camera")
    return answer
