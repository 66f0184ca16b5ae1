"""The report as pages to be printed, signed and sealed: the same facts as ``report.html``, and the certificate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kaozheng_service.disputes.custody import custody
from kaozheng_service.disputes.cutting import Original
from kaozheng_service.disputes.report import Claim, ViewingCopy, healed_seconds
from kaozheng_service.disputes.report_timeline import camera_lines, lines_svg, trusted_selection
from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.evidence.keys import fingerprint
from kaozheng_service.evidence.note import parse_checkpoint, verifier_key
from kaozheng_service.paper import print_sheet, short_hash
from kaozheng_service.session_wording import length_text
from kaozheng_service.station import Station
from kaozheng_service.wording import gap_cause_name

REPORT_PDF = "data/report.pdf"
TEMPLATE = Path(__file__).with_name("report.typ")
_COPIES = {"": "观看副本", "masked": "遮挡副本", "together": "同步画面"}


def report_pdf(
    station: Station,
    claim: Claim,
    selection: Selection,
    placed: Mapping[int, Original],
    copies: Sequence[ViewingCopy],
    damaged: set[str],
    out: Path,
) -> None:
    """Write the PDF file ``out``. Its QR code is the log's signed head from before this export's own record.

    Parameters
    ----------
    placed : where each original lies in the bag, by its record's index
    damaged : paths in the bag whose original is missing or not as it was signed
    """
    checkpoint = station.log.checkpoint()
    gaps = [gap for gap in selection.of_kind("gap") if gap.meets(claim.span)]
    zone = station.site.zone
    whole = trusted_selection(selection, damaged)
    lines = camera_lines(whole, claim.cameras, claim.span, gaps, zone)
    data = {
        **_asked(station, claim, selection),
        "lines": [
            {
                "camera": _soft(line.camera),
                "recorded": length_text(line.recorded_s),
                "missing": length_text(line.missing_s) if line.missing_s else "无",
                "backfilled": length_text(line.backfilled_s) if line.backfilled_s else "无",
                "unexplained": [_precise(station, *hole) for hole in line.unexplained],
            }
            for line in lines
        ],
        "gaps": _gaps(station, gaps, healed_seconds(selection)),
        "files": [_file(station, placed[part.record.index], damaged) for part in selection.originals],
        "count": len(selection.originals) - len(damaged),
        "bytes": f"{sum(placed[part.record.index].size for part in whole.originals) / 1e6:.2f} MB",
        "damaged": len(damaged),
        "parts": sum(bool(one.leaves) for one in placed.values()),
        "copies": [
            {
                "kind": _COPIES[copy.kind],
                "path": _soft(copy.path),
                "said": f"无法生成：{copy.failure}" if copy.failure else "",
            }
            for copy in copies
        ],
        "custody": [
            {
                "at": f"{_local(station, step.at, '%Y-%m-%d')}\n{_local(station, step.at, '%H:%M:%S')}",
                "what": _soft(step.what),
                "who": _soft(step.who),
                "leaf": "另签" if step.leaf is None else str(step.leaf),
            }
            for step in custody(claim, selection, placed.values())
        ],
        "key": verifier_key(station.log.origin, station.log.public_key),
        "log_size": parse_checkpoint(checkpoint).size,
        "checkpoint": checkpoint.strip(),
        "checkpoint_hash": short_hash(checkpoint),
        "key_fingerprint": fingerprint(station.log.public_key),
    }
    picture = {"timeline.svg": lines_svg(lines, claim.span, zone)}
    print_sheet(TEMPLATE, out, data, at=claim.at, checkpoint=checkpoint, texts=picture)


def _asked(station: Station, claim: Claim, selection: Selection) -> dict[str, Any]:
    site = station.site
    room = site.room(claim.room_id)
    begin, end = (_local(station, at, "%Y-%m-%d %H:%M:%S") for at in claim.span)
    cancelled = {record["window"]: record for record in selection.of_kind("window.cancelled")}
    return {
        "id": claim.id,
        "site": site.name,
        "room": _soft(room.name),
        "room_id": claim.room_id,
        "seat": claim.seat or "未指定",
        "cameras": "、".join(claim.cameras),
        "span": f"{begin} 至 {end}（{site.timezone}）",
        "length": length_text((claim.span[1] - claim.span[0]).total_seconds()),
        "windows": [
            f"{window['title']}（{_precise(station, *window.span, seconds=True)}）"
            + (f"，已取消：{cancelled[window['window']]['reason']}" if window["window"] in cancelled else "")
            for window in selection.of_kind("window.expected")
        ],
        "reason": claim.reason,
        "by": claim.by or "未注明",
        "at": _local(station, claim.at, "%Y-%m-%d %H:%M:%S"),
    }


def _gaps(station: Station, gaps: Sequence[Record], healed: dict[int, float]) -> list[dict[str, str]]:
    return [
        {
            "number": str(number),
            "camera": _soft(gap.camera),
            "times": _precise(station, *gap.span),
            "length": length_text((gap.span[1] - gap.span[0]).total_seconds()),
            "cause": gap_cause_name(gap["cause"]),
            "detail": _soft(str(gap.body.get("detail", ""))),
            "healed": length_text(healed[gap.index]) if gap.index in healed else "无",
            "leaf": str(gap.index),
        }
        for number, gap in enumerate(gaps, 1)
    ]


def _file(station: Station, one: Original, damaged: set[str]) -> dict[str, Any]:
    record = one.record
    name = f"{record.camera}/{record['take'].rpartition('/')[2]}/{record['number']:05d}"
    digest = str(record["sha256"])
    return {
        "name": _soft(name),
        "times": _precise(station, *one.span),
        "bytes": f"{one.size:,}",
        "digest": [digest[:32], digest[32:]],
        "leaf": str(record.index),
        "damaged": one.path in damaged,
        "part": one.words,
        "backfilled": record.kind == "backfill.segment",
    }


def _local(station: Station, at: datetime, form: str) -> str:
    return f"{at.astimezone(station.site.zone):{form}}"


def _precise(station: Station, begin: datetime, end: datetime, *, seconds: bool = False) -> str:
    def clock(at: datetime) -> str:
        text = _local(station, at, "%H:%M:%S")
        return text if seconds else f"{text}.{at.microsecond // 1000:03d}"

    return f"{clock(begin)}–{clock(end)}"


def _soft(text: str) -> str:
    """Places to break a line, unseen: after marks, and in words that are too long for a cell."""
    text = re.sub(r"([-_/;.])(?=\S)", "\\1\u200b", text)
    return re.sub(r"[!-~]{20}(?=[!-~])", "\\g<0>\u200b", text)
