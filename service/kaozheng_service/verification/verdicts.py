"""What was found of each window: one verdict, and each fault with its camera and second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from kaozheng_service.clock import to_text
from kaozheng_service.disputes.standalone.findings import ALTERED, CANNOT_JUDGE, MESSAGES, NOTE, Findings
from kaozheng_service.disputes.standalone.records import Record, Span

# From the worst to the best. A window that is not over, or was cancelled before it began, is judged as neither.
VERDICTS = (
    "altered",
    "incomplete_unexplained",
    "cannot_judge",
    "not_over",
    "incomplete_explained",
    "complete",
    "cancelled",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a window: where (a camera, from when to when, a file) and what, in words."""

    window: str
    camera: str
    starts_at: datetime | None
    ends_at: datetime | None
    path: str
    code: str
    severity: str
    chinese: str
    english: str

    def place(self, zone: ZoneInfo) -> str:
        """Camera and time of day, to the second."""
        if self.starts_at is None or self.ends_at is None:
            return self.camera
        begin, end = self.starts_at.astimezone(zone), self.ends_at.astimezone(zone)
        return f"{self.camera} {begin:%H:%M:%S}–{end:%H:%M:%S}".strip()


@dataclass(frozen=True, slots=True)
class SignedGap:
    camera: str
    starts_at: datetime
    ends_at: datetime
    cause: str

    @property
    def seconds(self) -> float:
        return (self.ends_at - self.starts_at).total_seconds()


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """``explained_s`` sums the cameras' signed gaps, ``unexplained_s`` what has neither footage nor a gap.

    ``files`` were looked at, ``closed`` says whether it was signed that nothing will be added.
    """

    window: str
    room: str
    starts_at: datetime
    ends_at: datetime
    closed: bool
    verdict: str
    cameras: tuple[str, ...]
    files: int
    explained_s: float
    unexplained_s: float
    gaps: tuple[SignedGap, ...]
    faults: tuple[Fault, ...]


class Faults(Findings):
    """Findings, each also with the window, camera and time that it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[Fault] = []
        self._window = self._camera = ""
        self._span: Span | None = None
        self._segments: dict[int, Record] = {}

    def about(
        self, window: str = "", camera: str = "", span: Span | None = None, segments: Sequence[Record] = ()
    ) -> Faults:
        """What is found next is about this; ``segments`` let a place in a take be told to the second."""
        self._window, self._camera, self._span = window, camera, span
        self._segments = {record["number"]: record for record in segments}
        return self

    def add(self, code: str, path: str = "", **facts: object) -> None:
        super().add(code, path, **facts)
        severity, chinese, english = MESSAGES[code]
        if not self._window or severity == NOTE:
            return
        begin, end = self._place(code, facts)
        words = chinese.format(**facts), english.format(**facts)
        fault = Fault(self._window, self._camera, begin, end, path, code, severity, *words)
        if fault not in self.faults[-32:]:
            self.faults.append(fault)

    def _place(self, code: str, facts: dict[str, object]) -> tuple[datetime | None, datetime | None]:
        if code == "hole":
            return datetime.fromisoformat(str(facts["start"])), datetime.fromisoformat(str(facts["end"]))
        first, second, last = (
            self._segments.get(number) if isinstance(number := facts.get(name), int) else None
            for name in ("first", "second", "last")
        )
        if first is not None and second is not None:
            return first.span[1], max(second.span[0], first.span[1])
        if first is not None:
            return first.span[0], first.span[0]
        if last is not None:
            return last.span[1], last.span[1]
        return self._span or (None, None)


@dataclass(slots=True)
class SeenWindow:
    """A window of the scope while the log is read."""

    expected: Record
    cameras: tuple[str, ...]
    void: bool = False
    closed: bool = False
    files: int = 0
    gaps: list[SignedGap] = field(default_factory=list)


def window_verdict(seen: SeenWindow, faults: Sequence[Fault], present: datetime) -> WindowVerdict:
    """One window's verdict from its own faults."""
    begins, ends = seen.expected.span
    codes, severities = {fault.code for fault in faults}, {fault.severity for fault in faults}
    if ALTERED in severities:
        verdict = "altered"
    elif "hole" in codes:
        verdict = "incomplete_unexplained"
    elif CANNOT_JUDGE in severities:
        verdict = "cannot_judge"
    elif seen.void:
        verdict = "cancelled"
    elif not seen.closed and ends > present:
        verdict = "not_over"
    else:
        verdict = "incomplete_explained" if seen.gaps else "complete"
    unexplained_s = sum(
        (fault.ends_at - fault.starts_at).total_seconds()
        for fault in faults
        if fault.code == "hole" and fault.starts_at and fault.ends_at
    )
    return WindowVerdict(
        window=str(seen.expected["window"]),
        room=str(seen.expected.body.get("room", "")),
        starts_at=begins,
        ends_at=ends,
        closed=seen.closed,
        verdict=verdict,
        cameras=seen.cameras,
        files=seen.files,
        explained_s=round(sum(gap.seconds for gap in seen.gaps), 3),
        unexplained_s=round(unexplained_s, 3),
        gaps=tuple(sorted(seen.gaps, key=lambda gap: (gap.camera, gap.starts_at))),
        faults=tuple(faults),
    )


def verdict_json(one: WindowVerdict) -> dict[str, Any]:
    """One entry of ``windows`` in ``kaozheng/verify/2``."""
    return {
        "window": one.window,
        "room": one.room,
        "from": to_text(one.starts_at),
        "to": to_text(one.ends_at),
        "closed": one.closed,
        "verdict": one.verdict,
        "cameras": list(one.cameras),
        "files": one.files,
        "explained_s": one.explained_s,
        "unexplained_s": one.unexplained_s,
        "gaps": [
            {
                "camera": gap.camera,
                "from": to_text(gap.starts_at),
                "to": to_text(gap.ends_at),
                "seconds": round(gap.seconds, 3),
                "cause": gap.cause,
            }
            for gap in one.gaps
        ],
        "faults": [
            {
                "camera": fault.camera,
                "from": to_text(fault.starts_at) if fault.starts_at else None,
                "to": to_text(fault.ends_at) if fault.ends_at else None,
                "path": fault.path,
                "code": fault.code,
                "severity": fault.severity,
                "chinese": fault.chinese,
                "english": fault.english,
            }
            for fault in one.faults
        ],
    }
