"""Alarms in words, in Chinese and in English: names, what to do first, and the lines of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kaozheng_vision.diagnose import Fault

from kaozheng_service import wording
from kaozheng_service.alarms.kinds import AlarmKind

Language = Literal["zh_CN", "en"]

_NAMES: dict[str, tuple[str, str]] = {
    AlarmKind.NO_FOOTAGE: ("应录未录", "no footage"),
    AlarmKind.GAP: ("录像缺口", "gap in the footage"),
    AlarmKind.UNEXPLAINED_GAP: ("录像缺失且无说明", "footage missing without explanation"),
    AlarmKind.DISK_LOW: ("磁盘空间不足", "disk space low"),
    AlarmKind.DISK_FORECAST: ("磁盘预计不够", "disk will not suffice"),
    AlarmKind.CLOCK_UNSYNCHRONISED: ("系统时钟未同步", "clock not synchronised"),
    AlarmKind.CLOCK_STEPPED: ("系统时钟被调整", "clock was set"),
    AlarmKind.LOG_UNWRITABLE: ("存证日志无法写入", "evidence log cannot be written"),
    AlarmKind.DATABASE_UNWRITABLE: ("数据库无法写入", "database cannot be written"),
    AlarmKind.ARCHIVE_UNWRITABLE: ("录像存储无法写入", "archive cannot be written"),
    AlarmKind.SECOND_TARGET: ("第二份存储异常", "second copy not kept"),
    AlarmKind.FILE_DAMAGED: ("录像文件损坏", "footage file damaged"),
    AlarmKind.VERIFICATION_STALLED: ("定期校验停滞", "verification does not go on"),
    AlarmKind.WATCH_DEAD: ("画面监看停止", "pictures are not being watched"),
    AlarmKind.ANCHOR_OVERDUE: ("存证外送超期", "evidence not anchored for a day"),
    AlarmKind.ANCHOR_REFUSED: ("见证方拒绝：日志不符", "a witness refuses: another log"),
    AlarmKind.SERVICE_STALLED: ("录像服务停滞", "recording service stalled"),
    AlarmKind.EMERGENCY_ACCESS: ("紧急调阅录像", "emergency access to footage"),
}
_PICTURES = {
    Fault.LOST: "picture lost",
    Fault.BLACK: "picture black",
    Fault.TOO_DARK: "picture too dark",
    Fault.TOO_BRIGHT: "picture too bright",
    Fault.BLURRED: "picture blurred",
    Fault.FROZEN: "picture frozen",
    Fault.NOISY: "picture noisy",
    Fault.COVERED: "camera covered",
    Fault.COLOUR_CAST: "colours off",
    Fault.MOVED: "camera moved",
}
_STEPS: dict[str, tuple[str, str]] = {
    AlarmKind.NO_FOOTAGE: (
        "请检查摄像机的电源、网线和登录密码；服务会自动重连",
        "check the camera's power, cable and login; the service goes on trying",
    ),
    AlarmKind.GAP: (
        "缺口已签名存证；请记入考场记录",
        "the gap is signed in the log; note it in the exam's record",
    ),
    AlarmKind.UNEXPLAINED_GAP: (
        "请勿改动录像文件夹，运行 kaozheng verify 并联系技术人员",
        "leave the archive as it is, run `kaozheng verify`, call your engineer",
    ),
    AlarmKind.DISK_LOW: (
        "请转走旧批次或更换更大的磁盘；非考试时段不再开始录像",
        "move old batches away or add disk; only exams are begun now",
    ),
    AlarmKind.DISK_FORECAST: (
        "现在录像不受影响；请在该时段之前转走旧批次或加磁盘，明细：kaozheng disk",
        "nothing is lost yet; move old batches away or add disk before that window: kaozheng disk",
    ),
    AlarmKind.CLOCK_UNSYNCHRONISED: (
        "请检查chrony和时间服务器：chronyc tracking",
        "check chrony and its time servers: chronyc tracking",
    ),
    AlarmKind.CLOCK_STEPPED: (
        "请查明谁调整了时钟；录像未中断，调整已记入日志",
        "find out who set the clock; footage goes on and the step is on record",
    ),
    AlarmKind.LOG_UNWRITABLE: (
        "录像仍在进行但暂未签名；请检查状态文件夹所在磁盘的空间和权限",
        "footage goes on unsigned; check space and rights of the state folder's disk",
    ),
    AlarmKind.DATABASE_UNWRITABLE: (
        "请检查状态文件夹所在磁盘的空间和权限",
        "check space and rights of the state folder's disk",
    ),
    AlarmKind.ARCHIVE_UNWRITABLE: (
        "请立即检查录像磁盘是否已满、已挂载、可写",
        "check at once that the archive's disk is mounted, writable and not full",
    ),
    AlarmKind.SECOND_TARGET: (
        "录像照常进行；请检查第二块磁盘是否已挂载、已满、可写，恢复后自动补齐：kaozheng second",
        "recording goes on; check that the second disk is mounted, writable and not full: kaozheng second",
    ),
    AlarmKind.FILE_DAMAGED: (
        "录像照常进行；请勿改动录像文件夹，检查磁盘健康状况并准备更换：kaozheng verify",
        "recording goes on; leave the archive as it is, look at the disk's health: kaozheng verify",
    ),
    AlarmKind.VERIFICATION_STALLED: (
        "录像照常进行；请检查磁盘是否有响应，考后重启服务",
        "recording goes on; see whether the disks answer, restart the service after the exam",
    ),
    AlarmKind.WATCH_DEAD: (
        "录像照常进行；请安排人员查看画面，考后重启服务",
        "recording goes on; have someone look at the pictures, restart after the exam",
    ),
    AlarmKind.ANCHOR_OVERDUE: (
        "录像照常进行；请检查网络和时间戳、见证或邮件服务：kaozheng anchor stamp",
        "recording goes on; check the network and the time stamp, witness or mail server: kaozheng anchor stamp",
    ),
    AlarmKind.ANCHOR_REFUSED: (
        "请勿改动任何文件，运行 kaozheng verify，并以已签字的纸件核对日志",
        "change nothing, run `kaozheng verify`, and hold signed sheets against the log",
    ),
    AlarmKind.SERVICE_STALLED: (
        "已开始的录像继续；请重启服务：systemctl restart kaozheng",
        "running recorders go on; restart the service: systemctl restart kaozheng",
    ),
    AlarmKind.EMERGENCY_ACCESS: (
        "请负责人核查并登记结论：kaozheng case review",
        "the head reviews it and notes the finding: kaozheng case review",
    ),
}
_PICTURE_STEP = ("录像照常进行；请到考场查看摄像机", "recording goes on; look at the camera in the room")
_LOST_STEP = ("没有新画面写入；请检查摄像机", "no new picture is written; look at the camera")
_EVENTS = {
    "raised": ("告警", "alarm"),
    "cleared": ("恢复", "over"),
    "reminder": ("仍在持续", "still on"),
    "test": ("测试", "test"),
}


@dataclass(frozen=True, slots=True)
class MailWords:
    """The frame of a mail; the rest is made of alarms."""

    many: str
    site: str
    since: str
    until: str
    next_step: str
    footer: str


MAIL_WORDS: dict[Language, MailWords] = {
    "zh_CN": MailWords(
        "{count} 条告警消息",
        "考点",
        "开始",
        "结束",
        "下一步",
        "本邮件由考证录像服务自动发出，请勿回复。",
    ),
    "en": MailWords(
        "{count} alarm messages",
        "site",
        "since",
        "until",
        "next",
        "Sent by the recording service of kaozheng; nobody reads replies.",
    ),
}


def alarm_name(kind: str, language: Language = "zh_CN") -> str:
    """An alarm's name; one that has no word here is shown as it is written, not hidden."""
    if kind in set(Fault):
        return wording.fault_name(Fault(kind)) if language == "zh_CN" else _PICTURES[Fault(kind)]
    return _pick(_NAMES.get(kind, (kind, kind)), language)


def is_picture(kind: str) -> bool:
    """Whether the alarm is about what a camera sees, not about the service."""
    return kind in set(Fault)


def next_step(kind: str, language: Language = "zh_CN") -> str:
    """What to do first; empty for a kind that is not known here."""
    if kind == Fault.LOST:
        return _pick(_LOST_STEP, language)
    if is_picture(kind):
        return _pick(_PICTURE_STEP, language)
    return _pick(_STEPS.get(kind, ("", "")), language)


def event_name(event: str, language: Language) -> str:
    return _pick(_EVENTS[event], language)


def _pick(words: tuple[str, str], language: Language) -> str:
    return words[0] if language == "zh_CN" else words[1]
