"""Desk cards in Chinese words: what to do with the paper, and why a camera cannot read one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kaozheng_coverage.card import TENT, CardForm
from kaozheng_coverage.card_sight import CardCause, CardChance, CardSight
from kaozheng_coverage.room import Zone
from kaozheng_vision.walkthrough_result import CameraState, Reading, WalkThrough

from kaozheng_service.wording import occluder_name, zone_name

_CHANCES = {CardChance.SURE: "可识读", CardChance.DOUBTFUL: "不一定", CardChance.NONE: "不能识读"}
_CAUSES = {
    CardCause.TURNED_AWAY: "背向机位",
    CardCause.OUT_OF_VIEW: "在画面之外",
    CardCause.HIDDEN: "被遮挡",
    CardCause.EDGE_ON: "角度过斜",
    CardCause.TOO_FAR: "距离过远",
}
# The faces in the order of their markers.
SIDES = ("朝前", "朝后")
_FORMS = {"tent": "单张折叠式", "tall": "双张高立式"}


def chance_name(chance: CardChance) -> str:
    return _CHANCES[chance]


def card_cause_name(cause: CardCause) -> str:
    return _CAUSES[cause]


def form_name(form: CardForm) -> str:
    return _FORMS[form.name]


def sight_sentence(sight: CardSight) -> str:
    """One camera and one card in few words: ``27像素``, ``立柱1遮挡``, ``距离过远（9像素）``."""
    if sight.cause is None:
        return f"{math.floor(sight.side_px)}像素"
    name = card_cause_name(sight.cause)
    match sight.cause:
        case CardCause.HIDDEN if sight.hidden_by:
            return f"{'、'.join(occluder_name(one) for one in sight.hidden_by[:2])}遮挡"
        case CardCause.EDGE_ON:
            return f"{name}（{sight.slant_deg:.0f}°）"
        case CardCause.TOO_FAR:
            # Rounded down: 19.6 of 20 pixels must not print as 20.
            return f"{name}（{math.floor(sight.side_px)}像素）"
        case CardCause.OUT_OF_VIEW if sight.chance is CardChance.DOUBTFUL:
            return "在画面边缘"
    return name


def folding_sentences(form: CardForm, marker_m: float) -> tuple[str, ...]:
    """How the printed sheets become a card."""
    size = f"打印时选“实际大小（100%）”，勿选“适合纸张”：黑色方框边长应为{1000 * marker_m:g}毫米，标尺应为100毫米。"
    if form is TENT:
        fold = (
            "沿虚线折叠：中间一道折成屋脊，字面朝外；底面（本栏）折平，粘贴条粘在另一面下沿的内侧，"
            f"两脚相距{1000 * form.base_m:.0f}毫米。"
        )
    else:
        fold = (
            "两张为一套：上边缘对齐，背面相对，用胶带粘成屋脊；下部（本栏）沿虚线向内折平，两片重叠至点线处粘牢，"
            f"两脚相距{1000 * form.base_m:.0f}毫米。"
        )
    return (size, fold, "方框四周的白边属于标记，请勿书写、粘贴或遮盖。")


def placing_sentence(right_m: float, forward_m: float) -> str:
    """Where a card stands on its desk, as its sitter sees it."""
    across = f"右侧{100 * right_m:.0f}厘米" if right_m >= 0.005 else "正中"
    along = f"、向前{100 * forward_m:.0f}厘米" if forward_m >= 0.005 else ""
    return (
        f"摆放：以考生就座方向为准，底面中心在桌面中心{across}{along}，与桌沿平行；"
        "“朝前”一面朝考生前方，“朝后”一面朝考生。"
    )


def advice_sentence(marker_m: float, advised_m: float) -> str:
    """Why another size would be better."""
    why = "可被更多机位识读" if advised_m > marker_m else "同样能被识读，且每张桌签只用一张纸"
    return f"建议改用{1000 * advised_m:g}毫米的标记（--marker auto）：{why}。"


def summary_sentence(cards: Mapping[CardChance, Sequence[str]]) -> str:
    """How many cards any camera will read, and which none will."""
    total = sum(len(names) for names in cards.values())
    sure, doubtful, never = (cards[chance] for chance in CardChance)
    text = f"共{total}张：至少一台机位可识读的{len(sure)}张"
    if doubtful:
        text += f"；不一定的{len(doubtful)}张（{'、'.join(doubtful)}）"
    if never:
        text += f"；任何机位都不能识读的{len(never)}张（{'、'.join(never)}），须增设机位或改用更长焦距"
    return text + "。"


def walk_sentences(walk: WalkThrough) -> list[str]:
    """What a walk-through by desk cards has against a room, in few words each; none where every card is read in its
    place by a camera and none contradicts the model.
    """
    said = [
        f"{one.camera_id}：桌签整体偏{one.turn_deg:.1f}°，朝向与登记不符"
        for one in walk.cameras
        if one.state is CameraState.TURNED
    ]
    said += [f"{label}的桌签有两张" for label in walk.repeated]
    said += [
        f"{one.camera_id}：桌签{one.label}不在原位"
        + (f"，放在了{one.place_of}处" if one.place_of is not None else "")
        for one in walk.misplaced
    ]
    said += [f"{one.camera_id}：有不属于本考场的标记（{one.marker_id}）" for one in walk.strangers]
    said += [
        f"{one.camera_id}：应能识读桌签{one.label}而未识读"
        for one in walk.readings
        if one.reading is Reading.MISSING
    ]
    said += [
        f"{one.camera_id}：识读到桌签{one.label}，而模型认为其"
        + (card_cause_name(one.sight.cause) if one.sight.cause else "不可见")
        for one in walk.readings
        if one.refutes
    ]
    if walk.unproven:
        said.append(f"没有机位识读到桌签{'、'.join(walk.unproven)}")
    return said


def zone_sentence(zone: Zone, marker_m: float) -> str:
    """How the card of a seal-opening area is held up."""
    facing = {0: "前墙（讲台侧）", 90: "右墙", 180: "后墙（考生）", 270: "左墙"}
    bearing = (180.0 if zone.bearing_deg is None else zone.bearing_deg) % 360
    towards = (
        facing.get(round(bearing), f"方位角{bearing:g}°")
        if bearing == round(bearing)
        else f"方位角{bearing:g}°"
    )
    return (
        f"巡场时由一人手持此卡，竖直举在{zone_name(zone.kind)}中央，"
        f"标记中心离地{(zone.bottom_m + zone.top_m) / 2:.2f}米，正面朝{towards}，与展示试卷袋时相同。"
        f"黑色方框边长应为{1000 * marker_m:g}毫米。"
    )
