"""What became of a session in Chinese words: the sheet, the pictures and the pages say it the same way."""

from __future__ import annotations

_COMPLETENESS = {
    "complete": "完整",
    "incomplete_explained": "不完整（已说明）",
    "incomplete_unexplained": "不完整（有未说明缺口）",
    "not_over": "未结束",
    "cancelled": "已取消（开始之前）",
}
_CAMERA_VERDICTS = {"incomplete_explained": "已说明", "incomplete_unexplained": "有未说明"}
_MARKS = {"seal_opened": "启封", "paper_handed_out": "发卷", "incident": "突发情况"}
_CAUSES_EXPLAINED = {
    "stream_lost": "录像中途摄像机或网络断开",
    "connection_refused": "摄像机在线，但拒绝了录像连接",
    "auth_failed": "摄像机不接受登记的用户名或密码",
    "not_reachable": "网络上找不到这台摄像机或其视频流",
    "stalled": "连接还在，但不再有画面数据到达",
    "frames_missing": "录像进程在运行，但摄像机的时间戳有跳跃",
    "clock_step": "录像期间服务器的时钟被调整",
    "recorder_died": "录像进程被终止或崩溃，随后重新启动",
    "service_not_running": "录像服务或服务器当时没有运行",
    "late_start": "时段开始之后才收到第一帧画面",
    "disk_full": "磁盘空间不足，录像让位于考试",
    "overtaken": "另一台录像主机接管了这一时段",
    "storage_failed": "录像存储无法写入（只读、断开或损坏）",
    "stream_changed": "摄像机中途改变了画面尺寸或格式，录像重新开始",
    "time_stamps_jumped": "摄像机自身的时间戳中途跳变，录像重新开始",
    "stopped_by_operator": "工作人员停止了录像",
    "unknown": "系统不能判定原因",
}


def completeness_name(verdict: str) -> str:
    """Whether a window is complete; a verdict that has no word here as it is."""
    return _COMPLETENESS.get(verdict, verdict.replace("_", " "))


def camera_verdict(verdict: str) -> str:
    """The same in the few letters that a table has room for."""
    return _CAMERA_VERDICTS.get(verdict, completeness_name(verdict))


def cause_explained(cause: str) -> str:
    """A gap's cause in a sentence; "" where its name says all there is."""
    return _CAUSES_EXPLAINED.get(cause, "")


def mark_name(kind: str) -> str:
    """A mark on a room's timeline; one of the site's own as it is."""
    return _MARKS.get(kind, kind)


def length_text(seconds: float) -> str:
    """A length such as 2小时05分, 3分20秒, 12.5秒; tenths only under a minute."""
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "秒"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}小时{minutes:02d}分" if minutes or rest else f"{hours}小时"
    return f"{minutes}分{rest:02d}秒" if rest else f"{minutes}分钟"


def share_text(part: float, whole: float) -> str:
    """A share in percent, cut to hundredths: what is not whole never reads 100%."""
    if whole <= 0:
        return "—"
    hundredths = int(part / whole * 10_000 + 1e-6)
    return "100%" if hundredths >= 10_000 else f"{hundredths / 100:.2f}%"
