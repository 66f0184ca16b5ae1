"""Who does something: an account and its one role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person is to the exams. Invigilators and assessors are in the picture and have no account."""

    SUPERVISOR = "supervisor"  # 督导员: inspects and signs, may stop a room from being used
    EXAM_STAFF = "exam_staff"  # 考务: timetable, cameras, the recording day
    CENTRE = "centre"  # 鉴定中心工作人员: archive, cases, exports, retention
    HEAD = "head"  # 鉴定中心负责人: approves accesses and deletions
    OFFICE = "office"  # 办公室: present at a look-up, as the first of two
    QUALITY = "quality"  # 内部质量督导: present at a look-up, as the second of two
    INSPECTOR = "inspector"  # 巡视组、省级督导: reads everything, changes nothing
    ADMIN = "admin"  # 系统管理员: accounts and settings; sees no footage by that


@dataclass(frozen=True, slots=True)
class Actor:
    """``account`` is the sign-in name, unique in a site; ``name`` is the person's, for people to read."""

    account: str
    name: str
    role: Role
