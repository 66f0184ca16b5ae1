"""How good the inputs must be: how far each camera may turn, and whether a room passes whatever the survey's errors."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from scipy.special import betaincinv

from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import Judge, rules_of
from kaozheng_coverage.nudge import nudged
from kaozheng_coverage.outcome import sight_outcome
from kaozheng_coverage.pose import changed, drawn_change
from kaozheng_coverage.profile import Part, Profile, Rule
from kaozheng_coverage.room import Room, Seat
from kaozheng_coverage.sight import Target, target_name
from kaozheng_coverage.verdict import (
    CameraTolerance,
    Draws,
    Outcome,
    PartVerdict,
    RoomVerdict,
    TargetDraws,
    TargetVerdict,
)

# 0.95 to the power of 59 is below 0.05: if all of 59 draws pass, at least 95% of all would, with 95% confidence.
DRAWS = 59
CONFIDENCE = 0.95
# Beyond this a camera shows another part of the room.
_MOST_TURN_DEG = 10
_TURN_PRECISION_DEG = 0.1
_SEED = 59
# In so many draws that fail it is asked which error is to blame: enough to tell, and a fraction of the time.
_MOST_ASKED = 4


@dataclass(frozen=True, slots=True)
class Survey:
    """Standard deviations of what was measured in the room.

    Desks stand within 2 cm and 1 degree of a plan that was taped; a bracket is measured to 2 cm and levelled to half
    a degree. A camera's own ``aim_tolerance_deg`` is taken as two standard deviations of its pan and tilt, and half of
    its lens' spread as the bounds of an even distribution of the focal length. Of a camera that was calibrated by cards
    position, rotation and focal length are drawn together from its own ``pose_covariance`` instead.
    """

    mount_m: float = 0.02
    roll_deg: float = 0.5
    desk_m: float = 0.02
    desk_deg: float = 1.0


SOURCES = ("aim", "mount", "lens", "layout")


def judge_draws(
    room: Room,
    cameras: Sequence[Camera],
    profile: Profile,
    verdict: RoomVerdict,
    *,
    draws: int = DRAWS,
    survey: Survey | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Draws:
    """Judge the room again in ``draws`` worlds in which pose, lens and layout are off together, as they may be.

    Targets that fail as stated are left out: whatever the errors, they are to be mended. The same inputs give the
    same draws.

    Parameters
    ----------
    verdict : what :func:`kaozheng_coverage.judge.judge_room` says of the room as stated
    survey : how well the room was measured

    Notes
    -----
    With n of N draws passed, the probability that a world passes is at least the Clopper-Pearson bound
    I^-1(1 - C; n, N - n + 1) with confidence C (Clopper and Pearson 1934).
    """
    survey = survey or Survey()
    targets = [
        (target, one)
        for target, one in _paired(room, verdict)
        if one.outcome is not Outcome.FAIL and all(part.rule is not None for part in one.parts)
    ]
    tallies = {_key(one): _Tally() for _, one in targets}
    whole, asked = 0, 0
    for number in range(draws):
        lost = _lost(room, cameras, profile, targets, survey, number, frozenset())
        whole += not lost
        for _, one, part in lost:
            tallies[_key(one)].parts[part] += 1
        if lost and asked < _MOST_ASKED:
            asked += 1
            again = [(target, one) for target, one, _ in lost]
            for source in SOURCES:
                still = {
                    _key(one)
                    for _, one, _ in _lost(room, cameras, profile, again, survey, number, frozenset({source}))
                }
                for _, one in again:
                    tallies[_key(one)].mended[source] += _key(one) not in still
        if progress is not None:
            progress(number + 1, draws)
    counted = tuple(
        TargetDraws(
            one.id,
            one.kind,
            draws,
            draws - tallies[_key(one)].parts.total(),
            _most(tallies[_key(one)].parts),
            _most(tallies[_key(one)].mended),
        )
        for _, one in targets
    )
    return Draws(
        draws=draws,
        passed=whole,
        probability=lower_bound(whole, draws),
        confidence=CONFIDENCE,
        left_out=len(verdict.targets) - len(targets),
        targets=counted,
        measure=_most(sum((tally.mended for tally in tallies.values()), Counter())),
    )


@dataclass(slots=True)
class _Tally:
    """Of one target: in how many draws each part was lost first, and how many each source of error would mend."""

    parts: Counter[Part] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)


Key = TypeVar("Key", bound=str)


def _most(counts: Counter[Key]) -> Key | None:
    """What was counted most, the first by name among equals; None where nothing was."""
    best = min(counts, key=lambda name: (-counts[name], name), default=None)
    return best if best is not None and counts[best] > 0 else None


def _paired(room: Room, verdict: RoomVerdict) -> list[tuple[Target, TargetVerdict]]:
    targets: tuple[Target, ...] = (*room.seats, *room.zones)
    return list(zip(targets, verdict.targets, strict=True))


def lower_bound(passed: int, draws: int, confidence: float = CONFIDENCE) -> float:
    """Probability of passing that ``passed`` of ``draws`` prove at this confidence (Clopper-Pearson, one-sided)."""
    return float(betaincinv(passed, draws - passed + 1, 1 - confidence)) if passed else 0.0


def camera_tolerances(
    room: Room, cameras: Sequence[Camera], profile: Profile, verdict: RoomVerdict
) -> tuple[CameraTolerance, ...]:
    """For each camera how far it can be panned, tilted and rolled before a target that passes is lost.

    Each way by itself, in steps of a degree to 10 degrees, the last step halved to 0.1. A turn casts no shadow anew.
    """
    judge = Judge(room, profile)
    passing = [(target, one) for target, one in _paired(room, verdict) if one.outcome is Outcome.PASS]
    return tuple(_tolerance(judge, profile, camera, passing) for camera in cameras)


def _tolerance(
    judge: Judge,
    profile: Profile,
    camera: Camera,
    passing: Sequence[tuple[Target, TargetVerdict]],
) -> CameraTolerance:
    needing = [
        (target, part, rule)
        for target, one in passing
        for part, rule in _needing(one, camera, rules_of(target, profile))
    ]

    def first_lost(pan_deg: float, tilt_deg: float, roll_deg: float) -> str | None:
        turned = nudged(_exact(camera), pan_deg, tilt_deg, roll_deg)
        seen = judge.vantage(turned).look(turned, [(target, part) for target, part, _ in needing])
        for (target, _, rule), glimpse in zip(needing, seen, strict=True):
            if sight_outcome(turned, glimpse, rule)[0] is not Outcome.PASS:
                return target_name(target)
        return None

    pan = _either_way(lambda angle: first_lost(angle, 0.0, 0.0))
    tilt = _either_way(lambda angle: first_lost(0.0, angle, 0.0))
    roll = _either_way(lambda angle: first_lost(0.0, 0.0, angle))
    tightest = min((one for one in (pan, tilt, roll) if one is not None), default=None)
    return CameraTolerance(
        camera_id=camera.id,
        pan_deg=pan[0] if pan else None,
        tilt_deg=tilt[0] if tilt else None,
        roll_deg=roll[0] if roll else None,
        depending=len(needing),
        first_lost=tightest[1] if tightest else None,
    )


def _either_way(lost: Callable[[float], str | None]) -> tuple[float, str] | None:
    """The smaller of what is left to either side."""
    sides = (_reach(lost), _reach(lambda angle: lost(-angle)))
    return min((one for one in sides if one is not None), default=None)


def _reach(lost: Callable[[float], str | None]) -> tuple[float, str] | None:
    """The largest angle, degrees, that loses nothing, and what is lost first; None where nothing is."""
    for step in range(1, _MOST_TURN_DEG + 1):
        name = lost(float(step))
        if name is None:
            continue
        safe, short = float(step - 1), float(step)
        while short - safe > _TURN_PRECISION_DEG:
            middle = (safe + short) / 2
            nearer = lost(middle)
            safe, short, name = (middle, short, name) if nearer is None else (safe, middle, nearer)
        return math.floor(safe * 10) / 10, name
    return None


def _needing(
    one: TargetVerdict, camera: Camera, rules: dict[Part, Rule | None]
) -> Iterable[tuple[Part, Rule]]:
    """The parts that pass by this camera and would not by the others."""
    for part in one.parts:
        rule = rules[part.part]
        others = {
            sight.camera_id
            for sight in part.sights
            if sight.outcome is Outcome.PASS and sight.camera_id != camera.id
        }
        if rule is not None and len(others) < rule.needed:
            yield part.part, rule


def _lost(
    room: Room,
    cameras: Sequence[Camera],
    profile: Profile,
    targets: Sequence[tuple[Target, TargetVerdict]],
    survey: Survey,
    number: int,
    exact: frozenset[str],
) -> list[tuple[Target, TargetVerdict, Part]]:
    """The targets that do not pass in one world, and by which part; ``exact`` names errors that it is spared."""
    drawn = {
        camera.id: _drawn_camera(camera, survey, _random(number, "camera", camera.id), exact)
        for camera in cameras
    }
    world = _drawn_room(room, survey, number, exact)
    judge = Judge(world, profile)
    moved: dict[str, Target] = {seat.number: seat for seat in world.seats}
    asked = [
        _Asked(moved[target.number] if isinstance(target, Seat) else target, part, rule)
        for target, one in targets
        for part in one.parts
        if (rule := rules_of(target, profile)[part.part]) is not None
    ]
    pending = asked
    while pending:
        # Of every part still open the camera that saw it next best as stated; each camera is asked once a round.
        by_camera: dict[str, list[_Asked]] = {}
        for one in pending:
            by_camera.setdefault(one.part.sights[one.next].camera_id, []).append(one)
        for camera_id, several in by_camera.items():
            camera = drawn[camera_id]
            looks = judge.vantage(camera).look(camera, [(one.target, one.part.part) for one in several])
            for one, seen in zip(several, looks, strict=True):
                one.good += sight_outcome(camera, seen, one.rule)[0] is Outcome.PASS
                one.next += 1
        pending = [one for one in pending if one.open]
    lost = []
    answers = iter(asked)
    for target, verdict in targets:
        of = [next(answers) for part in verdict.parts if rules_of(target, profile)[part.part] is not None]
        part = next((one.part.part for one in of if one.good < one.rule.needed), None)
        if part is not None:
            lost.append((target, verdict, part))
    return lost


@dataclass(slots=True)
class _Asked:
    """One part in one world: how many cameras see it, and which is to be asked next."""

    target: Target
    part: PartVerdict
    rule: Rule
    good: int = 0
    next: int = 0

    @property
    def open(self) -> bool:
        return self.good < self.rule.needed and self.next < len(self.part.sights)


def _drawn_camera(
    camera: Camera, survey: Survey, random: np.random.Generator, exact: frozenset[str]
) -> Camera:
    # Every number is drawn, spared or not, so that sparing one source leaves the others as they were.
    if camera.pose_covariance is not None:
        # Its errors hang together (a camera taken for nearer is taken for turned too): they are spared as a whole, and
        # what would mend them is to measure its aim anew.
        change = drawn_change(camera.id, camera.pose_covariance, random)
        return _exact(camera) if "aim" in exact else changed(_exact(camera), change)
    pan, tilt = random.normal(0.0, camera.aim_tolerance_deg / 2, 2)
    roll = random.normal(0.0, survey.roll_deg)
    shift = random.normal(0.0, survey.mount_m, 3)
    zoom = random.uniform(-camera.lens.spread / 2, camera.lens.spread / 2)
    drawn = _exact(camera)
    if "lens" not in exact:
        drawn = replace(drawn, lens=replace(drawn.lens, focal_px=drawn.lens.focal_px * (1 + zoom)))
    if "aim" not in exact:
        drawn = nudged(drawn, float(pan), float(tilt), float(roll))
    if "mount" not in exact:
        position = tuple(float(value) for value in np.asarray(drawn.position_m) + shift)
        aim = tuple(float(value) for value in np.asarray(drawn.aim_m) + shift)
        drawn = replace(drawn, position_m=position, aim_m=aim)  # type: ignore[arg-type]
    return drawn


def _drawn_room(room: Room, survey: Survey, number: int, exact: frozenset[str]) -> Room:
    if "layout" in exact:
        return room
    seats = []
    for seat in room.seats:
        right, forward, turn = _random(number, "seat", seat.number).normal(0.0, 1.0, 3)
        x, y = seat.centre
        seats.append(
            replace(
                seat,
                centre=(x + float(right) * survey.desk_m, y + float(forward) * survey.desk_m),
                bearing_deg=seat.bearing_deg + float(turn) * survey.desk_deg,
            )
        )
    return replace(room, seats=tuple(seats))


def _random(number: int, kind: str, name: str) -> np.random.Generator:
    """A stream of its own for each thing in each draw, so that no order and no neighbour changes what is drawn."""
    return np.random.default_rng((_SEED, number, zlib.crc32(f"{kind} {name}".encode())))


def _exact(camera: Camera) -> Camera:
    """The camera as if aim and lens were exactly as stated."""
    return replace(camera, aim_tolerance_deg=0.0, lens=replace(camera.lens, spread=0.0), pose_covariance=None)


def _key(one: TargetVerdict) -> str:
    return f"{one.kind} {one.id}"
