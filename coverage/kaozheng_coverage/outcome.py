"""Whether one camera's sight of one part satisfies a rule, and if not, what is in the way."""

from __future__ import annotations

from kaozheng_coverage.camera import Camera
from kaozheng_coverage.profile import Rule
from kaozheng_coverage.sight import Glimpse
from kaozheng_coverage.verdict import Cause, Outcome


def sight_outcome(
    camera: Camera, glimpse: Glimpse, rule: Rule | None, unverified: bool = False
) -> tuple[Outcome, Cause | None]:
    """Pass or fail only where every aim and focal length within the tolerances would say the same."""
    if rule is None:
        return Outcome.UNDETERMINED, Cause.NO_RULE
    if rule.facing_deg is not None and glimpse.off_front_deg is None:
        return Outcome.UNDETERMINED, Cause.NO_FRONT
    if glimpse.wrong_side(rule):
        return Outcome.FAIL, Cause.WRONG_SIDE
    # The stated angles leave the focal length open by this fraction either way, and the density with it.
    play = camera.lens.spread / 2
    if glimpse.most < rule.visible:
        return Outcome.FAIL, _shortage(glimpse, rule)
    if glimpse.visible > 0 and glimpse.px_per_m * (1 + play) < rule.px_per_m:
        return Outcome.FAIL, Cause.TOO_FEW_PIXELS
    if unverified or glimpse.least < rule.visible or glimpse.px_per_m * (1 - play) < rule.px_per_m:
        return Outcome.UNDETERMINED, Cause.NOT_VERIFIED
    return Outcome.PASS, None


def _shortage(glimpse: Glimpse, rule: Rule) -> Cause:
    """What takes the larger part away: the picture's border, or what stands in front."""
    hidden = 1.0 - glimpse.outside - glimpse.visible
    return Cause.OUT_OF_VIEW if glimpse.outside >= hidden else Cause.HIDDEN
