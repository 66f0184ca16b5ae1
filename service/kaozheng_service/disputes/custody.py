"""Who had the footage in hands: the chain of custody as the signed log tells it, in Chinese words."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from kaozheng_service.clock import from_text
from kaozheng_service.disputes.cutting import Original
from kaozheng_service.disputes.report import Claim
from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.wording import gap_cause_name

_ENDINGS = {"window_ended": "时段结束", "range_ended": "所求时段取完", "live_recording": "让位于录像"}


@dataclass(frozen=True, slots=True)
class Hold:
    """One step. ``leaf`` is the index of its record; None for the export, which is signed after this is written."""

    at: datetime
    what: str
    who: str
    leaf: int | None


def custody(claim: Claim, selection: Selection, originals: Collection[Original]) -> list[Hold]:
    """The steps in the log's order, the export last. Of backfilled footage it begins when it was fetched."""
    steps = [
        Hold(from_text(record["at"]), _TOLD[record.kind](record), _who(record), record.index)
        for record in selection.records
        if record.kind in _TOLD
    ]
    many, parts = f"{len(originals)}个原始片段", sum(bool(one.leaves) for one in originals)
    many += f"（其中{parts}个只截取所求部分）" if parts else ""
    return [
        *steps,
        Hold(
            claim.at,
            f"导出：逐字节复制{many}，边复制边核对SHA-256与录制时的签名，导出内容另行签名；理由：{claim.reason}",
            claim.by or "未注明",
            None,
        ),
    ]


def _who(record: Record) -> str:
    if record.kind == "window.cancelled":
        return str(record["by"])
    return str(record["source"]) if record.kind == "backfill.opened" else "录像服务"


def _ending(record: Record) -> str:
    cause = str(record["cause"])
    return _ENDINGS.get(cause) or gap_cause_name(cause)


def _take(record: Record) -> str:
    return f"{record.camera} {record['take'].rpartition('/')[2]}"


_TOLD: dict[str, Callable[[Record], str]] = {
    "window.expected": lambda record: f"预定录像：{record['title']}，{len(record['cameras'])}台摄像机",
    "window.cancelled": lambda record: f"取消录像：{record['reason']}",
    "take.opened": lambda record: f"开始录制：{_take(record)}",
    "take.closed": lambda record: (
        f"录制结束：{_take(record)}，共{record['segments']}个片段，逐个已计算SHA-256并签名（{_ending(record)}）"
    ),
    "take.copied": lambda record: (
        f"第二份：{_take(record)}的{record['segments']}个片段已复制到另一磁盘并读回核对（{record['copy']}）"
    ),
    "backfill.opened": lambda record: f"补录取回：{_take(record)}，此前由该设备保存，不受本系统签名保护",
    "backfill.closed": lambda record: (
        f"补录结束：{_take(record)}，共{record['segments']}个片段，取回后逐个签名"
    ),
    "window.closed": lambda _: "录像时段结束并签名，此后不再增加",
}
