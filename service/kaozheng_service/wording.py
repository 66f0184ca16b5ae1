"""Every verdict in Chinese words: the acceptance sheet and the pages say the same thing the same way.

Names as exam staff use them (design, vocabulary). Sentences are made from the verdict's numbers, never from
its English text.
"""

from __future__ import annotations

import re

from kaozheng_coverage.profile import Level, Part, Rule
from kaozheng_coverage.room import ZoneKind
from kaozheng_coverage.verdict import (
    Additions,
    CameraTolerance,
    Cause,
    Draws,
    Mend,
    Outcome,
    PartVerdict,
    Sight,
    TargetVerdict,
)
from kaozheng_vision.diagnose import Diagnosis, Fault, Finding, Judgement
from kaozheng_vision.failures import Failure

from kaozheng_service.config.window_rules import Activity

_PARTS = {
    Part.HEAD: "头部",
    Part.TORSO: "上身",
    Part.HANDS: "双手",
    Part.DESK: "桌面",
    Part.AREA: "区域",
}
_LEVELS = {
    Level.MONITOR: "监视",
    Level.DETECT: "察觉",
    Level.OBSERVE: "观察",
    Level.RECOGNISE: "辨认",
    Level.IDENTIFY: "识别",
    Level.INSPECT: "细查",
}
_ZONES = {
    ZoneKind.SEAL_OPENING: "启封区",
    ZoneKind.ANSWER_SEALING: "密封区",
    ZoneKind.INVIGILATOR: "监考位",
    ZoneKind.DOOR: "门口",
    ZoneKind.WAITING: "候考区",
    ZoneKind.SECURE_STORE: "保密室",
    ZoneKind.MARKING: "阅卷室",
}
_PROFILES = {"theory": "理论考试", "practical": "实操考核", "marking": "阅卷", "secure-store": "保密室"}
_OUTCOMES = {Outcome.PASS: "合格", Outcome.FAIL: "不合格", Outcome.UNDETERMINED: "未能判定"}
_CAUSES = {
    Cause.OUT_OF_VIEW: "在画面之外",
    Cause.HIDDEN: "被遮挡",
    Cause.TOO_FEW_PIXELS: "清晰度不足",
    Cause.WRONG_SIDE: "只拍到背面",
    Cause.TOO_FEW_CAMERAS: "机位数不足",
    Cause.NOT_VERIFIED: "未经核实",
    Cause.NO_RULE: "规则未作规定",
    Cause.NO_FRONT: "未注明朝向",
    Cause.NOT_ROBUST: "测量误差内不能保证达标",
}
_MEASURES = {"aim": "摄像机朝向", "mount": "摄像机位置", "lens": "镜头视角", "layout": "桌位"}
_INSPECTION_OUTCOMES = {"accepted": "合格", "conditional": "有条件合格", "rejected": "不合格"}
_GAP_CAUSES = {
    "stream_lost": "视频流中断",
    "connection_refused": "摄像机拒绝连接",
    "auth_failed": "摄像机登录失败",
    "not_reachable": "摄像机无法连接",
    "stalled": "视频流停滞无数据",
    "frames_missing": "画面缺帧",
    "clock_step": "系统时钟被调整",
    "recorder_died": "录像进程异常退出",
    "service_not_running": "录像服务未运行",
    "late_start": "开始过晚",
    "overtaken": "已由另一台录像主机接管",
    "stream_changed": "摄像机中途改变画面格式",
    "time_stamps_jumped": "摄像机自身的时间戳跳变",
    "disk_full": "磁盘空间不足",
    "storage_failed": "存储无法写入",
    "stopped_by_operator": "人工停止",
    "unknown": "原因不明",
}
_BACKFILLS = {
    "waiting": "待再取",
    "fetching": "正在取回",
    "healed": "已补录",
    "partly": "部分补录",
    "given_up": "未能补录",
}
_ACTIVITIES = {
    Activity.PAPER_SETTING: "命题",
    Activity.PAPER_COLLECTION: "领取试卷",
    Activity.MEETING: "考前会议",
    Activity.WAITING: "候考",
    Activity.SEALING: "密封答卷",
    Activity.MARKING: "阅卷",
    Activity.OTHER: "其他",
}
_FAULTS = {
    Fault.LOST: "无画面",
    Fault.BLACK: "黑屏",
    Fault.TOO_DARK: "过暗",
    Fault.TOO_BRIGHT: "过亮",
    Fault.BLURRED: "模糊",
    Fault.FROZEN: "画面静止",
    Fault.NOISY: "噪点过多",
    Fault.COVERED: "遮挡",
    Fault.COLOUR_CAST: "偏色",
    Fault.MOVED: "移位",
}
_FAILURES = {
    Failure.NAME: "域名无法解析，请核对地址",
    Failure.REFUSED: "拒绝连接，请检查摄像机的RTSP服务和端口",
    Failure.UNREACHABLE: "网络不通，请检查供电、网线和地址",
    Failure.TIMEOUT: "无应答，请检查供电、地址和防火墙",
    Failure.CERTIFICATE: "证书不受信任，请核对指纹并保存该摄像机的证书",
    Failure.AUTH: "登录被拒，请核对用户名、密码和权限",
    Failure.NOT_FOUND: "没有该视频流，请核对路径",
    Failure.REDIRECT: "视频流转到了其他主机，已拒绝登录，请核对地址",
    Failure.PROTOCOL: "应答异常，请核对地址和端口",
    Failure.NO_VIDEO: "流中没有视频，请选择视频码流",
    Failure.NO_KEYFRAME: "没有关键帧，请把I帧间隔设为2秒",
    Failure.UNDECODABLE: "视频无法解码，请改用H.264或H.265编码",
    Failure.ZERO_SIZE: "画面尺寸为零，请重新设置分辨率",
    Failure.SIZE_CHANGES: "画面尺寸中途改变，请固定分辨率",
    Failure.STALLED: "视频流中断，请重启视频流或摄像机",
}
_OBSTACLES = {
    "pillar": "立柱",
    "cabinet": "柜子",
    "lectern": "讲台",
    "wall": "墙",
    "door": "门",
    "blackboard": "黑板",
    "whiteboard": "白板",
    "partition": "隔断",
    "projector": "投影机",
    "invigilator": "监考员",
}
_FURNITURE = {"person": "考生", "monitor": "显示器", "desk": "课桌", "chair": "座椅"}


def outcome_name(outcome: Outcome) -> str:
    return _OUTCOMES[outcome]


def inspection_outcome_name(outcome: str) -> str:
    """``accepted``, ``conditional`` or ``rejected``. KeyError for another."""
    return _INSPECTION_OUTCOMES[outcome]


def part_name(part: Part) -> str:
    return _PARTS[part]


def level_name(level: Level) -> str:
    return _LEVELS[level]


def cause_name(cause: Cause) -> str:
    return _CAUSES[cause]


def gap_cause_name(cause: str) -> str:
    """A gap's cause; one that has no word here is shown as it is written in the log, not hidden."""
    return _GAP_CAUSES.get(cause, cause)


def backfill_name(state: str) -> str:
    """How far the backfilling of a gap has come. KeyError for another state."""
    return _BACKFILLS[state]


def activity_name(activity: Activity) -> str:
    return _ACTIVITIES[activity]


def zone_name(kind: ZoneKind | str) -> str:
    """KeyError for no such kind."""
    return _ZONES[ZoneKind(kind)]


def profile_name(profile_id: str) -> str:
    """A built-in profile in words; a site's own by its id."""
    return _PROFILES.get(profile_id, profile_id)


def fault_name(fault: Fault) -> str:
    return _FAULTS[fault]


def failure_sentence(failure: Failure) -> str:
    """Why a camera cannot be used, and what to look at first."""
    return _FAILURES[failure]


def target_name(target: TargetVerdict) -> str:
    """``座位17``, or a zone by its kind."""
    return f"座位{target.id}" if target.kind == "seat" else zone_name(target.kind)


def occluder_name(occluder: str) -> str:
    """``seat-07 monitor`` is 座位07显示器, ``pillar-1`` 立柱1; what has no word here keeps its id."""
    if match := re.fullmatch(r"seat-(\S+) (\w+)", occluder):
        return f"座位{match[1]}{_FURNITURE.get(match[2], match[2])}"
    if match := re.fullmatch(r"(\S+) invigilator", occluder):
        return f"区域{match[1]}的监考员"
    if (match := re.fullmatch(r"([a-z]+)-?(\d*)", occluder)) and match[1] in _OBSTACLES:
        return f"{_OBSTACLES[match[1]]}{match[2]}"
    return f"“{occluder}”"


def cause_sentence(target: TargetVerdict, part: PartVerdict) -> str:
    """Why a part of a target is not covered, with camera and numbers; "" if it passes."""
    if part.cause is None or part.outcome is Outcome.PASS:
        return ""
    subject = "" if part.part is Part.AREA else part_name(part.part)
    if part.rule is None or part.cause is Cause.NO_RULE:
        return f"所用规则未对{target_name(target)}作出规定，未作判定"
    rule = part.rule
    good = sum(sight.outcome is Outcome.PASS for sight in part.sights)
    if not part.sights:
        return f"{subject}没有可用的摄像机（要求{rule.needed}台）"
    sight = _deciding(part)
    seen, needed = _share(sight.visible), _share(rule.visible)
    best = f"最佳机位{sight.camera_id}" if rule.needed == 1 else f"第{rule.needed}佳机位{sight.camera_id}"
    match part.cause:
        case Cause.OUT_OF_VIEW:
            return f"{subject}有{_share(sight.outside)}在画面外，可见{seen}（要求{needed}；{best}）"
        case Cause.HIDDEN:
            by = "、".join(occluder_name(one) for one in sight.hidden_by[:3]) or "其他物体"
            return f"{subject}被{by}遮挡，可见{seen}（要求{needed}；{best}）"
        case Cause.TOO_FEW_PIXELS:
            density = (
                f"{int(sight.px_per_m)}像素/米（要求{rule.px_per_m:g}，{level_name(rule.level)}级；{best}）"
            )
            return f"{subject}清晰度不足，{density}"
        case Cause.WRONG_SIDE:
            return f"{subject}只拍到背面（{best}不在其正面一侧）"
        case Cause.TOO_FEW_CAMERAS:
            return f"{subject}只有{good}台摄像机达到要求（要求{rule.needed}台；{best}可见{seen}）"
        case Cause.NOT_ROBUST if part.drawn is not None:
            drawn = part.drawn
            better = f"，须更准确测量{_MEASURES[drawn.measure]}" if drawn.measure else ""
            return f"{subject}标称达标，但计入测量误差后{drawn.draws}次抽样中{drawn.passed}次达标{better}（{best}）"
        case Cause.NOT_VERIFIED if sight.visible_least < rule.visible:
            least = _share(sight.visible_least)
            doubt = f"{subject}标称可见{seen}，朝向偏差最不利时{least}（要求{needed}；{best}）"
            return doubt + _measure_better(part)
        case Cause.NOT_VERIFIED:
            return f"{subject}标称达标，但机位姿态、镜头或实时画面未经核实（{best}）" + _measure_better(part)
    return f"{subject}{cause_name(part.cause)}"


def draws_sentence(drawn: Draws | None) -> str:
    """How sure the verdict is: 59次抽样中59次全部达标，达标概率不低于95%（置信度95%）."""
    if drawn is None or not drawn.targets:
        return ""
    text = (
        f"计入姿态、镜头与桌位误差，{drawn.draws}次抽样中{drawn.passed}次全部达标"
        f"（标称不合格的{drawn.left_out}项除外），达标概率不低于{_share(drawn.probability)}（置信度{drawn.confidence:.0%}）"
    )
    return text if drawn.measure is None else f"{text}；须更准确测量{_MEASURES[drawn.measure]}"


def additions_sentence(found: Additions | None) -> str:
    """The fewest cameras that mend everything at once: 增设2台摄像机可使10项达标（按标称值核算）……."""
    if found is None or not found.cameras:
        return ""
    where = "；".join(
        f"在{_place(one.position_m)}处，对准{_place(one.aim_m)}处，水平视角{one.hfov_deg:.0f}°"
        for one in found.cameras
    )
    checked = "按标称值核算" if found.verified else "未经核算"
    left = f"；仍不达标：{len(found.left)}项" if found.left else ""
    return f"增设{len(found.cameras)}台摄像机可使{found.mended}项达标（{checked}）：{where}{left}"


def tolerance_sentence(one: CameraTolerance) -> str:
    """How far a camera may turn: 水平8.5°、俯仰>10°、旋转>10°，首先丢失seat 19."""
    if not one.depending:
        return "无独有目标，转动无损失"
    turns = (("水平", one.pan_deg), ("俯仰", one.tilt_deg), ("旋转", one.roll_deg))
    return "、".join(f"{name}{'>10' if angle is None else f'{angle:g}'}°" for name, angle in turns)


def _measure_better(part: PartVerdict) -> str:
    measure = part.drawn.measure if part.drawn is not None else None
    return f"，须更准确测量{_MEASURES[measure]}" if measure else ""


def cameras_rule(rule: Rule) -> str:
    """How many cameras a rule asks for, and from where: 至少2台（含备用1台），偏离正面60°以内."""
    text = f"≥{rule.needed}台"
    if rule.spare:
        text += f"（含备用{rule.spare}台）"
    if rule.facing_deg is not None:
        text += f"，偏离正面{rule.facing_deg:g}°以内"
    return text


def advice(target: TargetVerdict) -> str:
    """What to do about a target that does not pass: nothing is to be bought where the picture decides."""
    if target.outcome is Outcome.UNDETERMINED and target.mend is None:
        return "核对实时画面、镜头角度与朝向后重新验收"
    return mend_sentence(target.mend)


def mend_sentence(mend: Mend | None) -> str:
    """The smallest change that was found, in words; says so when it is not proven to suffice."""
    if mend is None:
        return "未找到单项调整办法，须增设摄像机或移动遮挡物后重新验收"
    camera = mend.camera_id
    match mend.kind:
        case "turn":
            turns = [
                f"向{words[0] if value > 0 else words[1]}转{abs(value):.1f}°"
                for value, words in ((mend.pan_deg, "右左"), (mend.tilt_deg, "上下"))
                if value is not None and abs(value) >= 0.05
            ]
            text = f"将{camera}{'、'.join(turns) or '微调朝向'}"
        case "zoom":
            text = f"将{camera}的水平视角调为{mend.hfov_deg:.0f}°" if mend.hfov_deg else f"调整{camera}的视角"
        case "move":
            text = f"将{camera}移至{_place(mend.position_m)}处"
        case "add":
            text = f"在{_place(mend.position_m)}处增设一台摄像机"
            if mend.hfov_deg:
                text += f"，水平视角{mend.hfov_deg:.0f}°"
        case _:
            text = mend.text
    if mend.kind in ("move", "add") and mend.aim_m is not None:
        text += f"，对准{_place(mend.aim_m)}处"
    return f"{text}（{'按标称值核算可达标' if mend.verified else '未经核算，仅供参考'}）"


def diagnosis_sentence(diagnosis: Diagnosis) -> str:
    """A picture in few words: its faults, or that it has none, or what could not be judged."""
    if diagnosis.faults:
        return "、".join(fault_words(diagnosis, fault) for fault in diagnosis.faults)
    unsure = [one.kind for one in diagnosis.findings if one.judgement is Judgement.CANNOT_JUDGE]
    if unsure:
        return f"{'、'.join(fault_name(fault) for fault in unsure)}无法判断"
    return "正常" if diagnosis.compared else "正常（尚无验收画面可比对）"


def fault_words(diagnosis: Diagnosis, fault: Fault) -> str:
    """A fault that was found, and for a turned camera by how much: ``移位2.0°（向右1.9°、向上0.5°）``."""
    name, drift = fault_name(fault), diagnosis.drift
    if fault is not Fault.MOVED:
        return name
    if drift is None:
        return f"{name}（与验收画面完全不符，可能转动很大或不是同一摄像机）"
    turns = (
        (drift.pan_deg, "向右", "向左"),
        (drift.tilt_deg, "向上", "向下"),
        # A picture that turns clockwise comes from a camera that was turned the other way.
        (drift.roll_deg, "画面顺时针", "画面逆时针"),
    )
    parts = [
        f"{more if turn > 0 else less}{abs(turn):.1f}°" for turn, more, less in turns if abs(turn) >= 0.05
    ]
    return f"{name}{drift.angle_deg:.1f}°（{'、'.join(parts)}）" if parts else f"{name}{drift.angle_deg:.1f}°"


def finding_sentence(finding: Finding) -> str:
    """One question about a picture and its answer, such as ``模糊：正常（0.031，限值0.008）``."""
    name = fault_name(finding.kind)
    if finding.judgement is Judgement.NOT_COMPARED:
        return f"{name}：未比对"
    if finding.judgement is Judgement.CANNOT_JUDGE:
        return f"{name}：无法判断"
    if finding.value is None:
        return f"{name}：有（与验收画面完全不符）"
    answer = "有" if finding.judgement is Judgement.FAULT else "无"
    return f"{name}：{answer}（{finding.value:.3g}，限值{finding.threshold:g}）"


def _deciding(part: PartVerdict) -> Sight:
    """The camera on which the rule hangs: the k-th best."""
    return part.sights[min(part.rule.cameras if part.rule else 1, len(part.sights)) - 1]


def _share(fraction: float) -> str:
    # Rounded down: 89.7% of a rule's 90% must not print as 90%.
    return f"{int(fraction * 100 + 1e-9)}%"


def _place(point: tuple[float, float, float] | None) -> str:
    if point is None:
        return "指定位置"
    return f"距左墙{point[0]:.1f}米、距后墙{point[1]:.1f}米、高{point[2]:.1f}米"
