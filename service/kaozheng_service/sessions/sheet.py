"""The session sheet (场次录像单): what was recorded of one window, printed to be checked and signed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kaozheng_service import session_wording as words
from kaozheng_service.config.site import Site
from kaozheng_service.disputes.timeline_svg import timeline_svg
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.paper import print_sheet, short_hash
from kaozheng_service.sessions.facts import CameraFacts, SessionFacts
from kaozheng_service.sessions.listing import Item, listing
from kaozheng_service.sessions.picture import session_panel
from kaozheng_service.wording import gap_cause_name

TEMPLATE = Path(__file__).with_name("session.typ")
# A name without a space is broken after this many letters, or it would run out of its cell.
_LONGEST_WORD = 20


def session_sheet(site: Site, facts: SessionFacts, checkpoint: str, out: Path) -> Path:
    """Print a window to the PDF file ``out``; the same facts and checkpoint give the same bytes.

    Parameters
    ----------
    checkpoint : the log's signed head, taken after the facts, so that it covers all of them
    """
    print_sheet(
        TEMPLATE,
        out,
        sheet_data(site, facts, checkpoint),
        at=facts.at,
        checkpoint=checkpoint,
        texts={"timeline.svg": timeline_svg([session_panel(facts, site.zone)], site.zone)},
    )
    return out


def sheet_data(site: Site, facts: SessionFacts, checkpoint: str) -> dict[str, Any]:
    """Every word and number of the sheet, in Chinese and the site's time; ``session.typ`` only places them."""
    window, result, found = facts.window, facts.result, listing(facts)
    room = next((one for one in site.rooms if one.id == window.room_id), None)
    building = next((one for one in site.buildings if room is not None and one.id == room.building), None)
    verdict, _, more = words.completeness_name(result.verdict).partition("（")
    size = parse_checkpoint(checkpoint).size
    closed = window.closed_leaf is not None and window.closed_leaf < size
    return {
        "id": window.id,
        "site": site.name,
        "room": _soft(room.name if room is not None else window.room_id),
        "room_id": _soft(window.room_id),
        "building": building.name if building is not None else "—",
        "batch": window.batch or "—",
        "title": _soft(window.title),
        "window": f"{_span(site, window.starts_at, window.ends_at)}（{site.timezone}）",
        "exam": _span(site, window.exam_starts_at, window.exam_ends_at)
        if window.exam_starts_at is not None and window.exam_ends_at is not None
        else "—",
        "at": f"{facts.at.astimezone(site.zone):%Y-%m-%d %H:%M:%S}",
        "verdict": result.verdict,
        "verdict_words": verdict,
        "verdict_more": more.removesuffix("）"),
        "judged": "时段已结束并签名" if closed else "时段尚未签名结束",
        "totals": _totals(facts),
        "cameras": [_camera(camera) for camera in facts.cameras],
        "none": _nothing(facts),
        "unexplained": [_item(site, item) for item in found.unexplained],
        "gaps": [_item(site, item) for item in found.gaps],
        "causes": _causes(found.gaps),
        "alarms": [_item(site, item) for item in found.alarms],
        "marks": [
            {
                "number": str(number),
                "time": f"{mark.at.astimezone(site.zone):%H:%M:%S}",
                "name": _soft(words.mark_name(mark.kind)),
                "note": _soft(mark.note),
                "leaf": _leaf(mark.leaf),
            }
            for number, mark in enumerate(facts.marks, 1)
        ],
        "log_size": size,
        "covers": "其中有本场次的全部录像、缺口和结束记录" if closed else "其中有本场次至此的录像和缺口记录",
        "checkpoint": checkpoint.strip(),
        "checkpoint_hash": short_hash(checkpoint),
        "key_fingerprint": facts.key_fingerprint,
    }


def _totals(facts: SessionFacts) -> list[dict[str, Any]]:
    numbers = [camera.numbers for camera in facts.cameras]
    expected = sum(one.expected_s for one in numbers)
    rows = (
        ("应录", expected, "录制次数", sum(one.takes for one in numbers)),
        ("已录", sum(one.recorded_s for one in numbers), "缺口", sum(len(one.gaps) for one in numbers)),
        (
            "已说明",
            sum(one.explained_s for one in numbers),
            "未说明",
            sum(len(one.unexplained) for one in numbers),
        ),
        (
            "未说明",
            sum(one.unexplained_s for one in numbers),
            "画面异常",
            sum(len(camera.alarms) for camera in facts.cameras),
        ),
    )
    return [
        {
            "name": name,
            "time": _clock(seconds),
            "share": words.share_text(seconds, expected),
            "bad": name == "未说明" and seconds > 0,
            "count_name": counted,
            "count": count,
        }
        for name, seconds, counted, count in rows
    ]


def _camera(camera: CameraFacts) -> dict[str, Any]:
    one = camera.numbers
    body: dict[str, Any] = {
        "id": _soft(camera.id),
        "expected": _clock(one.expected_s),
        "takes": one.takes,
        "gaps": len(one.gaps),
        "alarms": len(camera.alarms),
        "unexplained_s": one.unexplained_s,
        "verdict": one.verdict,
        "verdict_words": words.camera_verdict(one.verdict),
    }
    for name, seconds in (
        ("recorded", one.recorded_s),
        ("explained", one.explained_s),
        ("unexplained", one.unexplained_s),
    ):
        body[name] = _clock(seconds)
        body[f"{name}_share"] = words.share_text(seconds, one.expected_s)
    return body


def _nothing(facts: SessionFacts) -> str:
    """What there is nothing of, said where its table would be."""
    found = listing(facts)
    parts = {"缺口": (*found.gaps, *found.unexplained), "画面异常": found.alarms, "标记": facts.marks}
    absent = [name for name, items in parts.items() if not items]
    return f"本时段没有{'、'.join(absent)}记录。" if absent else ""


def _item(site: Site, item: Item) -> dict[str, str]:
    until = f"{item.ends_at.astimezone(site.zone):%H:%M:%S}" if item.ends_at is not None else "仍在持续"
    return {
        "number": item.number,
        "camera": _soft(item.camera),
        "times": f"{item.starts_at.astimezone(site.zone):%H:%M:%S}–{until}",
        "length": "—" if item.seconds is None else words.length_text(item.seconds),
        "cause": _soft(item.cause),
        "detail": _soft(item.detail),
        "leaf": _leaf(item.leaf),
    }


def _causes(gaps: Sequence[Item]) -> list[dict[str, str]]:
    """Each cause that occurs, explained once."""
    return [
        {"name": gap_cause_name(code), "words": words.cause_explained(code)}
        for code in dict.fromkeys(item.code for item in gaps)
        if words.cause_explained(code)
    ]


def _span(site: Site, begin: datetime, end: datetime) -> str:
    first, last = begin.astimezone(site.zone), end.astimezone(site.zone)
    day = "" if first.date() == last.date() else f"{last:%m-%d} "
    return f"{first:%Y-%m-%d %H:%M}–{day}{last:%H:%M}"


def _leaf(leaf: int | None) -> str:
    return "✗ 未入日志" if leaf is None else str(leaf)


def _clock(seconds: float) -> str:
    """``3:28:12.2``: to the tenth, so that the parts add up to the whole."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _soft(text: str) -> str:
    """Places to break a line, unseen: after hyphens and underscores, and in words that are too long for a cell."""
    text = re.sub(r"([-_/;])(?=\S)", "\\1\u200b", text)
    return re.sub(rf"[!-~]{{{_LONGEST_WORD}}}(?=[!-~])", "\\g<0>\u200b", text)
