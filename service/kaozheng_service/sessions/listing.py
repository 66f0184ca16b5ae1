"""What is missing of a window, what was wrong with its pictures and what was marked, each under its number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kaozheng_service import session_wording, wording
from kaozheng_service.alarms.words import alarm_name
from kaozheng_service.recording.completeness import ExplainedGap
from kaozheng_service.sessions.facts import SessionFacts


@dataclass(frozen=True, slots=True)
class Item:
    """``number`` is the one in the picture: 1 … for gaps, U1 … for what is unexplained, A1 … for alarms.

    ``ends_at`` is None for what lasts. ``cause`` is in Chinese words, ``code`` as in the log, ``detail`` as signed;
    ``leaf`` is its record in the log; ``healed`` how much of a gap was backfilled, and from where.
    """

    number: str
    camera: str
    starts_at: datetime
    ends_at: datetime | None
    cause: str
    code: str
    detail: str
    leaf: int | None
    healed: str = ""

    @property
    def seconds(self) -> float | None:
        return None if self.ends_at is None else (self.ends_at - self.starts_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Listing:
    """Camera by camera, each in the order of time."""

    gaps: tuple[Item, ...]
    unexplained: tuple[Item, ...]
    alarms: tuple[Item, ...]


def _healed_words(gap: ExplainedGap) -> str:
    if not gap.healed_s:
        return ""
    return f"（其中{session_wording.length_text(gap.healed_s)}事后补录，来自{'、'.join(gap.sources)}）"


def listing(facts: SessionFacts) -> Listing:
    gaps = [
        (
            camera.id,
            gap.starts_at,
            gap.ends_at,
            wording.gap_cause_name(gap.cause) + _healed_words(gap),
            gap.cause,
            gap.detail,
            gap.leaf,
            f"; {gap.healed_s:.1f} s backfilled from {', '.join(gap.sources)}" if gap.healed_s else "",
        )
        for camera in facts.cameras
        for gap in camera.numbers.gaps
    ]
    unexplained = [
        (camera.id, hole.starts_at, hole.ends_at, "未录且无说明", "unexplained", "", None)
        for camera in facts.cameras
        for hole in camera.numbers.unexplained
    ]
    alarms = [
        (
            camera.id,
            alarm.raised_at,
            alarm.cleared_at,
            alarm_name(alarm.kind),
            alarm.kind,
            alarm.detail,
            alarm.leaf,
        )
        for camera in facts.cameras
        for alarm in camera.alarms
    ]
    return Listing(
        tuple(Item(str(number), *one) for number, one in enumerate(gaps, 1)),
        tuple(Item(f"U{number}", *one) for number, one in enumerate(unexplained, 1)),
        tuple(Item(f"A{number}", *one) for number, one in enumerate(alarms, 1)),
    )
