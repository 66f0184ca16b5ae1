"""Exam profiles: what must be seen of each target, how sharply, and by how many cameras."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kaozheng_coverage.errors import CoverageError


class Part(StrEnum):
    """What of a target is judged by itself. A zone has the single part AREA."""

    HEAD = "head"
    TORSO = "torso"
    HANDS = "hands"
    DESK = "desk"
    AREA = "area"


class Level(StrEnum):
    """Detail levels of EN 62676-4:2014, named as there."""

    MONITOR = "monitor"
    DETECT = "detect"
    OBSERVE = "observe"
    RECOGNISE = "recognise"
    IDENTIFY = "identify"
    INSPECT = "inspect"

    @property
    def px_per_m(self) -> float:
        """Pixels per metre on the target (EN 62676-4:2014, table of operational requirements)."""
        return _PX_PER_M[self]


_PX_PER_M = {
    Level.MONITOR: 12.5,
    Level.DETECT: 25.0,
    Level.OBSERVE: 62.5,
    Level.RECOGNISE: 125.0,
    Level.IDENTIFY: 250.0,
    Level.INSPECT: 1000.0,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """At least ``cameras`` cameras each see ``visible`` (fraction 0-1) of the target at ``px_per_m`` or better.

    Attributes
    ----------
    spare : so many cameras more must see it, so that the rule still holds when as many of them fail
    facing_deg : a camera farther off the direction in which the target faces than this does not count; None for
        the target's own limit (a seal-opening area has one, a seat has none)
    """

    level: Level
    visible: float
    cameras: int = 1
    spare: int = 0
    facing_deg: float | None = None

    def __post_init__(self) -> None:
        """Raise CoverageError for a rule that could not be failed, or not be met."""
        if not 0 < self.visible <= 1:
            raise CoverageError(f"a rule's visible fraction of {self.visible:g}: give more than 0, at most 1")
        if self.cameras < 1 or self.spare < 0:
            raise CoverageError(
                f"a rule for {self.cameras} cameras and {self.spare} to spare: ask for at least one"
            )
        if self.facing_deg is not None and not 0 < self.facing_deg <= 90:
            raise CoverageError(
                f"a rule's facing of {self.facing_deg:g} degrees: give more than 0, at most 90"
            )

    @property
    def needed(self) -> int:
        """How many cameras must see the target for a pass: ``cameras`` and the spare ones."""
        return self.cameras + self.spare

    @property
    def px_per_m(self) -> float:
        return self.level.px_per_m


@dataclass(frozen=True, slots=True)
class Profile:
    """One versioned set of rules and where it comes from. ``zones`` is keyed by the zone kind's value.

    A zone whose kind has no rule here is judged by no rule and listed as such, never passed.
    """

    id: str
    version: int
    source: str
    seat: dict[Part, Rule]
    zones: dict[str, Rule]
