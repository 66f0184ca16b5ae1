"""Cases in words, Chinese first."""

from __future__ import annotations

from collections.abc import Iterable

from kaozheng_service.access.actor import Role
from kaozheng_service.cases.steps import State

ROLES = {
    Role.SUPERVISOR: ("督导员", "supervisor"),
    Role.EXAM_STAFF: ("考务", "exam staff"),
    Role.CENTRE: ("鉴定中心工作人员", "appraisal centre"),
    Role.HEAD: ("鉴定中心负责人", "head of the appraisal centre"),
    Role.OFFICE: ("办公室", "general office"),
    Role.QUALITY: ("内部质量督导", "internal quality supervisor"),
    Role.INSPECTOR: ("巡视组", "inspector"),
    Role.ADMIN: ("系统管理员", "administrator"),
}
STATES = {
    State.OPEN: ("已立案", "open"),
    State.REQUESTED: ("待审批", "waits for approval"),
    State.APPROVED: ("已批准", "approved"),
    State.REFUSED: ("已驳回", "refused"),
    State.CLOSED: ("已结案", "closed"),
}
STEPS = {
    "opened": ("立案", "opened"),
    "noted": ("备注", "noted"),
    "access_requested": ("申请调阅", "access requested"),
    "approved": ("批准调阅", "approved"),
    "refused": ("驳回调阅", "refused"),
    "confirmed": ("在场确认", "present"),
    "emergency": ("紧急调阅", "emergency access"),
    "reviewed": ("核查紧急调阅", "emergency reviewed"),
    "exported": ("导出", "exported"),
    "closed": ("结案", "closed"),
}


def role_names(roles: Iterable[Role], *, chinese: bool) -> str:
    return ("、" if chinese else ", ").join(ROLES[one][0 if chinese else 1] for one in sorted(roles))


def both(pair: tuple[str, str]) -> str:
    """``已立案 · open``"""
    return f"{pair[0]} · {pair[1]}"
