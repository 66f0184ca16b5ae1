"""The case file (案件卷宗) and the access register (录像查阅登记表) as PDF, with the log's checkpoint on them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from kaozheng_service.access.actor import Role
from kaozheng_service.cases.book import load_case
from kaozheng_service.cases.case import Case, Taken
from kaozheng_service.cases.facts import case_deadline, last_day, requester_of
from kaozheng_service.cases.holds import list_holds
from kaozheng_service.cases.register import registered
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
from kaozheng_service.cases.tables import Hold, View
from kaozheng_service.cases.words import ROLES, STATES, STEPS
from kaozheng_service.config.site import Site
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.keys import fingerprint
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.paper import print_sheet, short_hash
from kaozheng_service.station import Station

# A word without a space is broken after this many letters, or it would run out of its cell.
_LONGEST_WORD = 18


def print_case(station: Station, case_id: str, out: Path, at: datetime) -> Path:
    """Print a case with all that belongs to it. UserError where there is none, or ``out`` cannot be written."""
    case = load_case(station, case_id)
    checkpoint = station.log.checkpoint()
    return _print(
        Path(__file__).with_name("case.typ"), out, case_data(station, case, checkpoint, at), checkpoint, at
    )


def print_register(
    station: Station,
    out: Path,
    at: datetime,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Path:
    """Print the looks of a time. UserError where ``out`` cannot be written."""
    found = registered(station, starts_at, ends_at)
    checkpoint = station.log.checkpoint()
    site = station.site
    first, last = (
        f"{one.astimezone(site.zone):%Y-%m-%d}" if one is not None else "" for one in (starts_at, ends_at)
    )
    data = {
        "site": site.name,
        "id": f"{site.id}-{at.astimezone(site.zone):%Y%m%d-%H%M%S}",
        "range": f"{first or '最初'} 至 {last or '打印之时'}",
        "views": [_view(site, one) for one in found.views],
        "unreviewed": [
            _soft(f"{case.id}：{_who(one.by.name, one.by.role)}，{_moment(site, one.at)}")
            for case, one in found.unreviewed
        ],
        **_evidence(station, checkpoint, at),
    }
    return _print(Path(__file__).with_name("register.typ"), out, data, checkpoint, at)


def case_data(station: Station, case: Case, checkpoint: str, at: datetime) -> dict[str, Any]:
    """Every word of the case file, in Chinese and the site's time."""
    site, opened = station.site, case.opened
    deadline = case_deadline(site, case)
    found = registered(station)
    return {
        "id": case.id,
        "site": site.name,
        "state": STATES[case.state][0],
        "requester": requester_of(station, case) or "—",
        "batch": opened.batch or "—",
        "room": _soft(site.room(opened.room).name if _has_room(site, opened.room) else opened.room),
        "seat": opened.seat or "—",
        "candidate": _soft(opened.candidate) or "—",
        "window": _soft(opened.window) or "—",
        "range": _span(site, opened.starts_at, opened.ends_at),
        "cameras": _soft("、".join(opened.cameras)),
        "results_on": case.results_on.isoformat() if case.results_on is not None else "未登记",
        "deadline": last_day(site, deadline) if deadline is not None else "不能判定：公布日未登记",
        "reason": _soft(opened.reason),
        "result": _soft(case.result) or "—",
        "steps": [_step(site, one) for one in case.steps],
        "views": [_view(site, one) for one in found.views if one.case_id == case.id],
        "holds": [_hold(site, one) for one in list_holds(station, case_id=case.id)],
        **_evidence(station, checkpoint, at),
    }


def step_words(site: Site, taken: Taken) -> str:
    """What a step says, in a line."""
    match taken.step:
        case Opened(reason=reason):
            return reason
        case Noted(text=text, results_on=on):
            return text if on is None else f"{text}（公布日 {on.isoformat()}）"
        case AccessRequested() as one:
            span = _span(site, one.starts_at, one.ends_at)
            return f"第{one.request}次：{span}，{'、'.join(one.cameras)}，{one.minutes:g}分钟；{one.why}"
        case Approved(request=number, note=note):
            return f"第{number}次申请{f'；{note}' if note else ''}"
        case Refused(request=number, reason=reason):
            return f"第{number}次申请：{reason}"
        case Confirmed(request=number, opens_until=until):
            return f"第{number}次申请" + (
                f"；两人在场，查阅至 {_moment(site, until)}" if until is not None else ""
            )
        case EmergencyOpened() as one:
            span = _span(site, one.starts_at, one.ends_at)
            return f"第{one.emergency}次：{span}，至 {_moment(site, one.until)}；{one.why}"
        case Reviewed(emergency=number, finding=finding):
            return f"第{number}次：{finding}"
        case HandedOver(export=export, record=record):
            return f"{export}（日志第{record}条）"
        case Closed(result=result):
            return result
    raise AssertionError(taken.step.kind)


def _step(site: Site, taken: Taken) -> dict[str, str]:
    by = _who(taken.by.name, taken.by.role)
    return {
        "number": str(taken.number),
        "at": _moment(site, taken.at),
        "name": STEPS[taken.step.kind][0],
        "by": _soft(f"{by}（本机代录）" if taken.console else by),
        "words": _soft(step_words(site, taken)),
        "leaf": _leaf(taken.leaf),
    }


def _view(site: Site, row: View) -> dict[str, str]:
    return {
        "number": str(row.id),
        "at": _moment(site, row.at),
        "by": _soft(_who(row.name, Role(row.role))),
        "range": _soft(
            f"{row.room_id} {'、'.join(row.camera_ids.split())} {_span(site, row.starts_at, row.ends_at)}"
        ),
        "why": _soft(row.why),
        "case": _soft(row.case_id) or "—",
        "leaf": _leaf(row.leaf),
    }


def _hold(site: Site, row: Hold) -> dict[str, str]:
    over = row.released_at
    cameras = "、".join(row.camera_ids.split()) or "全部机位"
    return {
        "id": row.id,
        "range": _soft(f"{row.room_id} {cameras} {_span(site, row.starts_at, row.ends_at)}"),
        "reason": _soft(row.reason),
        "state": "生效中" if over is None else _soft(f"{_moment(site, over)} 由 {row.released_by} 解除"),
    }


def _evidence(station: Station, checkpoint: str, at: datetime) -> dict[str, Any]:
    return {
        "at": _moment(station.site, at),
        "log_size": parse_checkpoint(checkpoint).size,
        "checkpoint": checkpoint.strip(),
        "checkpoint_hash": short_hash(checkpoint),
        "key_fingerprint": fingerprint(station.log.public_key),
    }


def _print(template: Path, out: Path, data: dict[str, Any], checkpoint: str, at: datetime) -> Path:
    if out.exists():
        raise UserError(f"{out}: 已存在 · exists and is not written over; name another file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch()
        out.unlink()
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}; name another place") from None
    print_sheet(template, out, data, at=at, checkpoint=checkpoint)
    return out


def _has_room(site: Site, room_id: str) -> bool:
    return any(one.id == room_id for one in site.rooms)


def _who(name: str, role: Role) -> str:
    return f"{name}（{ROLES[role][0]}）"


def _moment(site: Site, moment: datetime) -> str:
    return f"{moment.astimezone(site.zone):%Y-%m-%d %H:%M:%S}"


def _span(site: Site, begin: datetime, end: datetime) -> str:
    first, last = begin.astimezone(site.zone), end.astimezone(site.zone)
    day = "" if first.date() == last.date() else f"{last:%m-%d} "
    return f"{first:%Y-%m-%d %H:%M:%S}–{day}{last:%H:%M:%S}"


def _leaf(leaf: int | None) -> str:
    return "✗ 未入日志" if leaf is None else str(leaf)


def _soft(text: str) -> str:
    """Places to break a line, unseen: after hyphens and underscores, and in words that are too long for a cell."""
    text = re.sub(r"([-_/;])(?=\S)", "\\1\u200b", text)
    return re.sub(rf"[!-~]{{{_LONGEST_WORD}}}(?=[!-~])", "\\g<0>\u200b", text)
