"""The pages' own words: each state has a symbol beside its word, so that nothing is told by colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaozheng_coverage.profile import Part
from kaozheng_coverage.verdict import Cause, Outcome

from kaozheng_service.disputes.timeline import State
from kaozheng_service.session_wording import length_text
from kaozheng_service.wording import cause_name, gap_cause_name, outcome_name, part_name


@dataclass(frozen=True, slots=True)
class Word:
    """``tone`` is a CSS class: good, active, calm, warn or bad."""

    symbol: str
    text: str
    tone: str


_CAMERA = {
    "recording": Word("●", "录像中", "active"),
    "starting": Word("◌", "启动中", "calm"),
    "silent": Word("✕", "无数据", "bad"),
    "missing": Word("✕", "应录未录", "bad"),
    "idle": Word("○", "待机", "calm"),
}
_WINDOW = {
    "upcoming": Word("○", "未开始", "calm"),
    "running": Word("●", "录像中", "active"),
    "ended": Word("◐", "收尾中", "calm"),
    "closed": Word("■", "已结束", "calm"),
    "cancelled": Word("⊘", "已取消", "calm"),
}
_STRETCH = {
    State.RECORDED.value: Word("✓", "已录", "good"),
    State.WRITING.value: Word("●", "正在写入", "active"),
    State.BACKFILLED.value: Word("◇", "补录", "warn"),
    State.GAP.value: Word("▲", "缺口", "warn"),
    State.UNEXPLAINED.value: Word("✕", "未录且无说明", "bad"),
    State.UPCOMING.value: Word("○", "未到时间", "calm"),
    State.CANCELLED.value: Word("⊘", "时段已取消", "calm"),
    State.NOT_EXPECTED.value: Word("–", "不在录像时段内", "calm"),
}


def camera_state(state: str) -> Word:
    return _CAMERA[state]


def picture_state(picture: dict[str, Any]) -> Word:
    """The newest look at a camera's picture; a fault in its own words."""
    match picture["judgement"]:
        case "fault":
            return Word("▣", picture["words"], "bad")
        case "cannot_judge":
            return Word("?", "无法判断", "warn")
        case "not_compared":
            return Word("○", "正常，无验收画面可比对", "calm")
        case _:
            return Word("✓", "正常", "good")


def window_state(state: str) -> Word:
    return _WINDOW[state]


def moment_state(state: str) -> Word:
    return _STRETCH[state]


def stretch_words(part: dict[str, Any]) -> str:
    """A stretch of a timeline (as in the JSON) in words, a gap with its cause, what was backfilled with its source."""
    word = _STRETCH[part["state"]].text
    if part["state"] == State.BACKFILLED.value:
        return f"缺口（{gap_cause_name(part['cause'])}），{word}自{part['source']}"
    if part["state"] == State.CANCELLED.value and part["detail"]:
        return f"{word}：{part['detail']}"
    return f"{word}：{gap_cause_name(part['cause'])}" if part["cause"] else word


def line_verdict(seconds: dict[str, float]) -> Word:
    """A camera's whole window in a word: the worst of it, with how long that is."""
    if seconds[State.UNEXPLAINED.value] > 0:
        return Word("✕", f"无说明 {length_text(seconds[State.UNEXPLAINED.value])}", "bad")
    healed_s = seconds[State.BACKFILLED.value]
    if seconds[State.GAP.value] + healed_s > 0:
        afterwards = f"，补录 {length_text(healed_s)}" if healed_s > 0 else ""
        return Word("▲", f"缺口 {length_text(seconds[State.GAP.value] + healed_s)}{afterwards}", "warn")
    if seconds[State.WRITING.value] > 0 or (
        seconds[State.UPCOMING.value] > 0 and seconds[State.RECORDED.value] > 0
    ):
        return Word("●", "至今完整", "active")
    if seconds[State.CANCELLED.value] > 0:
        return Word("⊘", "已取消", "calm")
    return Word("✓", "完整", "good") if seconds[State.RECORDED.value] > 0 else Word("○", "未开始", "calm")


def part(name: str) -> str:
    return part_name(Part(name))


def sight_cause(cause: str) -> str:
    return cause_name(Cause(cause))


def outcome(value: str) -> Word:
    """A verdict with its symbol; the word itself is the one of the acceptance sheet."""
    symbol, tone = {"pass": ("✓", "good"), "fail": ("✕", "bad"), "undetermined": ("?", "warn")}[value]
    return Word(symbol, outcome_name(Outcome(value)), tone)
