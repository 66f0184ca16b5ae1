"""What footage takes beyond a role: a case, the head's approval, two people present."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kaozheng_service.access.actor import Actor, Role


@dataclass(frozen=True, slots=True)
class Need:
    """Something that is lacking, in words, and who can give it."""

    kind: str
    chinese: str
    english: str
    given_by: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """``actor`` may see it, for ``case`` ("" where footage is open to all) and for the reason ``why``."""

    case: str
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is needed first; never empty."""

    needs: tuple[Need, ...]


class Grants(Protocol):
    """Asked before any picture of an archive is shown, for each camera and range."""

    def may_watch(
        self, actor: Actor, room: str, camera: str, starts_at: datetime, ends_at: datetime, at: datetime
    ) -> Grant | Refusal:
        """Whether ``actor`` may see ``starts_at`` to ``ends_at`` of a camera at the moment ``at``."""
        ...


CASE = Need(
    "case",
    "一个案件，写明申请人、理由、考场和时间",
    "a case that names requester, reason, room and time",
    (Role.CENTRE, Role.HEAD),
)
APPROVAL = Need(
    "approval",
    "鉴定中心负责人批准",
    "the approval of the head of the appraisal centre",
    (Role.HEAD,),
)


class OpenFootage:
    """The site file says ``access: {open_footage: true}``: for rehearsals, and every page says so."""

    def may_watch(
        self, actor: Actor, room: str, camera: str, starts_at: datetime, ends_at: datetime, at: datetime
    ) -> Grant | Refusal:
        return Grant("", "access.open_footage in the site file")
