"""A room judged as stated, and again with everything off that may be: the verdict that a sheet is signed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kaozheng_coverage.additions import find_additions
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import judge_room, worst_outcome
from kaozheng_coverage.profile import Profile
from kaozheng_coverage.reason import PART_NAMES
from kaozheng_coverage.robustness import DRAWS, camera_tolerances, judge_draws
from kaozheng_coverage.room import Room
from kaozheng_coverage.verdict import Cause, Outcome, RoomVerdict, TargetDraws, TargetVerdict

MEASURES = {
    "aim": "where the cameras aim",
    "mount": "where the cameras hang",
    "lens": "the lenses (state all three angles, or calibrate)",
    "layout": "where the desks stand",
}


def assess_room(
    room: Room,
    cameras: Sequence[Camera],
    profile: Profile,
    *,
    unverified: frozenset[str] = frozenset(),
    mends: bool = True,
    draws: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> RoomVerdict:
    """Judge every seat and zone, with what each camera tolerates and ``draws`` worlds in which all is off together.

    Where several targets fail and mends are asked for, also the fewest cameras that would mend them all.

    A target that passes as stated and not in every draw is UNDETERMINED, and its reason says what to measure better.

    Parameters
    ----------
    unverified, mends : as of :func:`kaozheng_coverage.judge.judge_room`
    draws : 0 leaves tolerances and draws out
    progress : called with (steps done, steps in all)

    Raises
    ------
    CoverageError : the geometry is impossible; the message names what and the mend
    """
    steps = 0

    def judging(done: int, total: int) -> None:
        nonlocal steps
        steps = total
        if progress is not None:
            progress(done, total + draws)

    def drawing(done: int, _: int) -> None:
        if progress is not None:
            progress(steps + done, steps + draws)

    verdict = judge_room(room, cameras, profile, unverified=unverified, mends=mends, progress=judging)
    if mends and sum(one.outcome is Outcome.FAIL for one in verdict.targets) > 1:
        verdict = replace(verdict, additions=find_additions(room, cameras, profile, verdict))
    if not draws:
        return verdict
    drawn = judge_draws(room, cameras, profile, verdict, draws=draws, progress=drawing)
    tallies = {(one.kind, one.id): one for one in drawn.targets}
    targets = [_held(one, tallies.get((one.kind, one.id)), draws) for one in verdict.targets]
    return replace(
        verdict,
        outcome=worst_outcome([one.outcome for one in targets]),
        seats=tuple(targets[: len(verdict.seats)]),
        zones=tuple(targets[len(verdict.seats) :]),
        tolerances=camera_tolerances(room, cameras, profile, verdict),
        draws=drawn,
    )


def _held(target: TargetVerdict, tally: TargetDraws | None, draws: int) -> TargetVerdict:
    """The target with what the draws say of it: undetermined where one loses it, and what to measure better."""
    if tally is None or tally.passed == draws or target.outcome is Outcome.FAIL:
        return target
    better = f": measure {MEASURES[tally.measure]} better" if tally.measure else ""
    lost_in = f"with cameras, lenses and desks off as they may be, the target passes in {tally.passed} of {draws} draws"
    if target.outcome is Outcome.UNDETERMINED:
        parts = tuple(
            replace(part, drawn=tally, reason=f"{part.reason}; {lost_in}{better}")
            if part.cause is Cause.NOT_VERIFIED
            else part
            for part in target.parts
        )
        return replace(target, parts=parts)
    parts = tuple(
        replace(
            part,
            outcome=Outcome.UNDETERMINED,
            cause=Cause.NOT_ROBUST,
            drawn=tally,
            reason=f"{part.reason}; but {lost_in}, losing the {PART_NAMES[part.part]}{better}",
        )
        if part.part is tally.part
        else part
        for part in target.parts
    )
    return replace(target, outcome=Outcome.UNDETERMINED, parts=parts)
