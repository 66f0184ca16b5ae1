"""Roles and permissions in words, Chinese first."""

from __future__ import annotations

from kaozheng_service.access.actor import Role
from kaozheng_service.access.grants import Need
from kaozheng_service.access.policy import ROLES, Anyone, Permission

_ROLES = {
    Role.SUPERVISOR: ("督导员", "supervisor"),
    Role.EXAM_STAFF: ("考务", "exam staff"),
    Role.CENTRE: ("鉴定中心工作人员", "appraisal centre"),
    Role.HEAD: ("鉴定中心负责人", "head of the appraisal centre"),
    Role.OFFICE: ("办公室", "general office"),
    Role.QUALITY: ("内部质量督导", "internal quality"),
    Role.INSPECTOR: ("巡视组、省级督导", "inspector"),
    Role.ADMIN: ("系统管理员", "administrator"),
}
_PERMISSIONS = {
    Permission.STATUS: ("查看录像状态", "see what is recorded"),
    Permission.METRICS: ("读取监控数据", "read monitoring numbers"),
    Permission.WINDOWS_CHANGE: ("增加和取消录像时段", "add and cancel recording windows"),
    Permission.SHEETS: ("查看场次记录单", "read session sheets"),
    Permission.FOOTAGE_FIND: ("查找录像", "find footage"),
    Permission.FOOTAGE_WATCH: ("观看录像", "watch footage"),
    Permission.ACCOUNTS: ("管理账号", "manage accounts"),
    Permission.TOKENS: ("管理令牌", "manage tokens"),
}


def role_name(role: Role) -> str:
    return _ROLES[role][0]


def role_english(role: Role) -> str:
    return _ROLES[role][1]


def permission_name(permission: Permission) -> str:
    return _PERMISSIONS[permission][0]


def need_of(requirement: Permission | Anyone | None) -> Need:
    """What an endpoint's requirement lacks, as a refusal tells it."""
    match requirement:
        case Permission():
            chinese, english = _PERMISSIONS[requirement]
            roles = tuple(role for role in Role if role in ROLES[requirement])
            held = "、".join(role_name(role) for role in roles)
            return Need(
                f"permission:{requirement}",
                f"“{chinese}”的权限，下列角色拥有：{held}；账号和角色由系统管理员设置",
                f"the permission to {english}, which these roles have: {', '.join(map(role_english, roles))}; "
                "an administrator sets roles",
                (Role.ADMIN,),
            )
        case Anyone.PERSON:
            return Need(
                "person",
                "用账号和密码登录，令牌不行",
                "a sign-in with account and password; a token is not enough",
                (Role.ADMIN,),
            )
        case Anyone.PENDING | Anyone.SIGNED_IN:
            return Need("sign_in", "登录", "a sign-in", (Role.ADMIN,))
        case _:
            return Need(
                "policy",
                "此地址未列入权限表，任何人都不能使用；请联系开发者",
                "this address is not in the table of permissions, so nobody may use it; tell the developers",
                (),
            )
