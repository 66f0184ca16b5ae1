"""The reason of a verdict as one plain English sentence that names camera, occluder and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kaozheng_coverage.profile import Part, Rule
from kaozheng_coverage.verdict import Cause, Outcome, Sight

PART_NAMES = {
    Part.HEAD: "head",
    Part.TORSO: "torso",
    Part.HANDS: "hands",
    Part.DESK: "desk in front of the screen",
    Part.AREA: "area",
}


def part_reason(
    part: Part,
    rule: Rule,
    outcome: Outcome,
    cause: Cause | None,
    sights: Sequence[Sight],
    unverified: frozenset[str],
) -> str:
    """Why a part has its outcome; ``sights`` best first, the rule's ``cameras``-th decides."""
    name = PART_NAMES[part]
    needed = f"{rule.visible:.0%} of the {name} at {rule.px_per_m:g} px/m"
    if rule.facing_deg is not None:
        needed += f" from within {rule.facing_deg:g} degrees of its front"
    if rule.needed > 1:
        needed += f" by {rule.needed} cameras"
    if rule.spare:
        needed += f" ({rule.spare} of them to spare)"
    if len(sights) < rule.needed:
        return f"needs {needed}, but the room has {len(sights)} camera{'' if len(sights) == 1 else 's'}"
    deciding = sights[rule.needed - 1]
    shown = f"{deciding.camera_id} shows {_share(deciding.visible)} of the {name}"
    if outcome is Outcome.PASS:
        return f"{shown} at {math.floor(deciding.px_per_m)} px/m (needs {needed})"
    if cause is Cause.NO_FRONT:
        return f"needs {needed}, but the room file does not say where it faces: state its bearing"
    if outcome is Outcome.UNDETERMINED:
        return f"{shown} at {math.floor(deciding.px_per_m)} px/m (needs {needed}), {_doubt(deciding, rule, unverified)}"
    passing = sum(sight.outcome is Outcome.PASS for sight in sights)
    if cause is Cause.TOO_FEW_CAMERAS:
        next_best = f"{shown}{_because(deciding, deciding.cause)}"
        return f"{passing} of {rule.needed} cameras: needs {needed}; next best, {next_best}"
    return f"no camera gives {needed}: the best, {shown}{_because(deciding, cause)}"


def _share(fraction: float) -> str:
    """Per cent, rounded down: what just fails a rule never reads as what the rule asks."""
    return f"{math.floor(fraction * 100 + 1e-9)}%"


def _because(sight: Sight, cause: Cause | None) -> str:
    if cause is Cause.WRONG_SIDE:
        return ", being on its wrong side"
    if cause is Cause.TOO_FEW_PIXELS:
        return f" at only {math.floor(sight.px_per_m)} px/m"
    if cause is Cause.OUT_OF_VIEW:
        return f"; {sight.outside:.0%} of it is out of the picture"
    if cause is Cause.HIDDEN and sight.hidden_by:
        others = f" and {len(sight.hidden_by) - 1} more" if len(sight.hidden_by) > 1 else ""
        return f", hidden by {sight.hidden_by[0]}{others}"
    return ""


def _doubt(sight: Sight, rule: Rule, unverified: frozenset[str]) -> str:
    if sight.camera_id in unverified:
        return "but its live picture is not verified"
    if sight.visible < rule.visible:
        return "which passes only if its aim or lens is a little off what is stated"
    if sight.visible_least < rule.visible:
        return f"but only {_share(sight.visible_least)} if its aim and lens are off by their tolerance"
    return "but too few if its focal length is at the lower end of what the stated angles allow"
