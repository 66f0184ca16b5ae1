"""What a verification of an archive found, for programs and in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kaozheng_service.verification.archive import ArchiveReport
from kaozheng_service.verification.verdicts import verdict_json

SCHEMA = "kaozheng/verify/2"

# sign, colour, Chinese, English
VERDICT_WORDS = {
    "altered": ("✗", "red", "被改动或损坏", "altered"),
    "incomplete_unexplained": ("✗", "red", "不完整，有无说明的缺失", "incomplete, unexplained"),
    "cannot_judge": ("?", "yellow", "无法判断", "cannot judge"),
    "not_over": ("○", "cyan", "尚未结束", "not over"),
    "incomplete_explained": ("▲", "yellow", "不完整，原因均已签名", "incomplete, explained"),
    "complete": ("✓", "green", "完整", "complete"),
    "cancelled": ("⊘", "cyan", "开始前已取消", "cancelled"),
}
OUTCOME_WORDS = {
    "intact": ("✓", "green", "完好", "intact"),
    "altered": ("✗", "red", "不完好", "altered"),
    "cannot_judge": ("?", "yellow", "无法判断", "cannot judge"),
}


def archive_json(report: ArchiveReport) -> dict[str, Any]:
    """Schema ``kaozheng/verify/2``."""
    return {
        "schema": SCHEMA,
        "outcome": report.outcome,
        "scope": report.scope.as_json(),
        "windows": [verdict_json(one) for one in report.windows],
        "findings": [asdict(finding) for finding in report.findings],
        "files": report.files,
        "bytes": report.bytes,
        "earlier": report.earlier,
        "earlier_since": report.earlier_since or None,
        "segments": report.segments,
        "records": report.records,
        "log": report.log,
        "log_size": report.log_size,
        "key": report.key,
    }
