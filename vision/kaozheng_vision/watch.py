"""From diagnoses to alarms: a fault must last before it is raised, and be well over before it ends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from kaozheng_vision.diagnose import Diagnosis, Fault, Finding, Judgement

# Raised when three of the last four diagnoses say so: at one every 5 s a fault is told 10 to 15 s after it began, and
# who walks past the lens is gone by then.
RAISE_OF = (3, 4)
# Over when four in a row are clear of the threshold.
CLEAR_AFTER = 4


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that was raised, or that ended. ``at_s`` is the diagnosis that decided it, ``finding`` what it found."""

    kind: Fault
    raised: bool
    at_s: float
    finding: Finding


@dataclass(slots=True)
class AlarmState:
    """The alarms of one camera. Not for two threads at once.

    ``active`` is since when each alarm is on. A diagnosis that cannot judge a kind neither raises nor ends its alarm.
    """

    active: dict[Fault, float] = field(default_factory=dict)
    _recent: dict[Fault, deque[bool]] = field(default_factory=dict)
    _clear: dict[Fault, int] = field(default_factory=dict)

    def update(self, at_s: float, diagnosis: Diagnosis) -> tuple[Change, ...]:
        """Take the diagnosis of ``at_s`` (seconds of any clock, growing) and say what changed."""
        return tuple(
            change for finding in diagnosis.findings if (change := self._take(at_s, finding)) is not None
        )

    def undo(self, change: Change) -> None:
        """Take back a change that could not be acted on, so that the next diagnosis makes it again."""
        if change.raised:
            self.active.pop(change.kind, None)
        else:
            self.active[change.kind] = change.at_s
            self._clear[change.kind] = CLEAR_AFTER - 1

    def _take(self, at_s: float, finding: Finding) -> Change | None:
        kind = finding.kind
        if finding.judgement in (Judgement.CANNOT_JUDGE, Judgement.NOT_COMPARED):
            return None
        recent = self._recent.setdefault(kind, deque(maxlen=RAISE_OF[1]))
        recent.append(finding.judgement is Judgement.FAULT)
        self._clear[kind] = self._clear.get(kind, 0) + 1 if finding.clear else 0
        if kind not in self.active and sum(recent) >= RAISE_OF[0]:
            self.active[kind] = at_s
            return Change(kind, True, at_s, finding)
        if kind in self.active and self._clear[kind] >= CLEAR_AFTER:
            del self.active[kind]
            recent.clear()
            return Change(kind, False, at_s, finding)
        return None
