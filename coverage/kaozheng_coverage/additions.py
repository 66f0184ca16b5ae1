"""The fewest cameras that, added, make every failing target of a room pass: a set cover over places and aims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from kaozheng_coverage.adjust import hung, middle, mounts, place_words
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import Judge, rules_of
from kaozheng_coverage.outcome import sight_outcome
from kaozheng_coverage.profile import Part, Profile, Rule
from kaozheng_coverage.room import Room
from kaozheng_coverage.sight import Target, target_name
from kaozheng_coverage.verdict import Additions, Mend, Outcome, RoomVerdict, Sight

# Places tried along the walls.
_MOST_MOUNTS = 24
# A picture of someone nearer than this shows little but the crown of a head.
_NEAREST_M = 0.5
# Seconds that the solver may take; with a few dozen places it needs hundredths.
_SOLVER_S = 20.0


@dataclass(frozen=True, slots=True)
class _Lack:
    """A part that fails, and how many cameras more it needs."""

    target: Target
    part: Part
    rule: Rule
    more: int


def find_additions(
    room: Room, cameras: Sequence[Camera], profile: Profile, verdict: RoomVerdict
) -> Additions | None:
    """The fewest cameras to add so that what fails passes.

    Returns
    -------
    None if nothing fails by a rule or there is no camera whose lens could be proposed. What no place on the walls can
    show is named in ``left`` and left out of the cover. ``verified`` is what the engine says of the room with the
    cameras added.

    Notes
    -----
    Minimise the number of cameras x_c in {0, 1} subject to sum over the c that pass part p of x_c >= what p lacks,
    solved by HiGHS through ``scipy.optimize.milp``. Candidates: each place on a wall, with the lens of each camera of
    the room that is unlike the others, aimed at the middle of what fails and at its nearest and farthest target.
    """
    targets: tuple[Target, ...] = (*room.seats, *room.zones)
    lacks = [
        _Lack(target, part.part, rule, rule.needed - _passing(part.sights))
        for target, one in zip(targets, verdict.targets, strict=True)
        if one.outcome is Outcome.FAIL
        for part in one.parts
        if (rule := rules_of(target, profile)[part.part]) is not None and _passing(part.sights) < rule.needed
    ]
    if not lacks or not cameras:
        return None
    judge = Judge(room, profile)
    candidates = _candidates(room, cameras, [lack.target for lack in lacks])
    covers = np.zeros((len(lacks), len(candidates)))
    for index, camera in enumerate(candidates):
        covers[:, index] = _passes(judge, camera, lacks)
    more = np.array([lack.more for lack in lacks], dtype=float)
    reachable = covers.sum(axis=1) >= more if len(candidates) else np.zeros(len(lacks), dtype=bool)
    left = sorted({target_name(lack.target) for lack, can in zip(lacks, reachable, strict=True) if not can})
    chosen: list[Camera] = []
    if reachable.any():
        solved = milp(
            c=np.ones(len(candidates)),
            constraints=LinearConstraint(covers[reachable], more[reachable], np.inf),
            integrality=np.ones(len(candidates)),
            bounds=Bounds(0, 1),
            options={"time_limit": _SOLVER_S},
        )
        if solved.success:  # proven to be the fewest; what a search cut short had so far is not
            chosen = [candidates[index] for index in np.flatnonzero(solved.x > 0.5)]
    if not chosen:
        return Additions((), 0, tuple(left), False)
    added = [replace(camera, id=name) for camera, name in zip(chosen, _names(cameras), strict=False)]
    after = judge.targets(targets, (*cameras, *added))
    mended = sum(
        with_them.outcome is Outcome.PASS and without.outcome is not Outcome.PASS
        for with_them, without in zip(after, verdict.targets, strict=True)
    )
    still = {
        target_name(target) for target, one in zip(targets, after, strict=True) if one.outcome is Outcome.FAIL
    }
    verified = not still - set(left)
    return Additions(
        tuple(_mend(camera, verified) for camera in added),
        mended,
        tuple(sorted({*left, *still})),
        verified,
    )


def _candidates(room: Room, cameras: Sequence[Camera], failing: Sequence[Target]) -> list[Camera]:
    lenses = {(camera.lens.model, round(camera.lens.hfov_deg)): camera for camera in cameras}
    places = mounts(room)
    places = [
        places[index] for index in np.linspace(0, len(places) - 1, min(_MOST_MOUNTS, len(places))).astype(int)
    ]
    points = np.array(list(dict.fromkeys(middle(target) for target in failing)))
    found = []
    for place in dict.fromkeys(places):
        far = np.linalg.norm(points - np.asarray(place), axis=1)
        aims = [points.mean(axis=0), points[far.argmin()], points[far.argmax()]]
        rounded = dict.fromkeys(
            (round(float(x), 2), round(float(y), 2), round(float(z), 2)) for x, y, z in aims
        )
        for aim in rounded:
            if math.dist(place, aim) >= _NEAREST_M:
                found += [hung(pattern, "candidate", place, aim, 0.0) for pattern in lenses.values()]
    return found


def _passes(judge: Judge, camera: Camera, lacks: Sequence[_Lack]) -> list[bool]:
    """Which of the parts a camera would show as its rule asks."""
    seen = judge.vantage(camera).look(camera, [(lack.target, lack.part) for lack in lacks])
    return [
        math.dist(camera.position_m, middle(lack.target)) >= _NEAREST_M
        and sight_outcome(camera, glimpse, lack.rule)[0] is Outcome.PASS
        for lack, glimpse in zip(lacks, seen, strict=True)
    ]


def _passing(sights: Sequence[Sight]) -> int:
    return sum(sight.outcome is Outcome.PASS for sight in sights)


def _names(cameras: Sequence[Camera]) -> list[str]:
    taken = {camera.id for camera in cameras}
    return [name for index in range(1, 2 * len(taken) + 60) if (name := f"new-{index}") not in taken]


def _mend(camera: Camera, verified: bool) -> Mend:
    hfov_deg = round(camera.lens.hfov_deg, 1)
    text = (
        f"Add a camera at {place_words(camera.position_m)} aimed at {place_words(camera.aim_m)} with "
        f"{hfov_deg:.0f} degrees of horizontal view."
    )
    return Mend(
        "add", camera.id, text, verified, hfov_deg=hfov_deg, position_m=camera.position_m, aim_m=camera.aim_m
    )
