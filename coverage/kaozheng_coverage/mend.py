"""The smallest change that makes a failing seat or zone pass: turn, zoom or move a camera, or add one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kaozheng_coverage.adjust import hung, middle, mounts, pan_tilt, place_words, turned, zoomed
from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera, Point3
from kaozheng_coverage.profile import Part, Rule
from kaozheng_coverage.projection import in_picture, pixel_density
from kaozheng_coverage.room import Room
from kaozheng_coverage.shadows import Solids, room_occluders, solids_of
from kaozheng_coverage.sight import Glimpse, Scenes, Target, Vantage, target_key, target_name
from kaozheng_coverage.verdict import Mend, Outcome, TargetVerdict

JudgeOne = Callable[[Sequence[Camera]], TargetVerdict]
JudgeAll = Callable[[Sequence[Camera]], Sequence[TargetVerdict]]

# A turn beyond this shows another part of the room: that is a new camera position, not an adjustment.
_MOST_TURN_DEG = 30
_COARSE_DEG = 3
_DIRECTIONS = 16
# Focal lengths tried, as factors, the least change first: from half to two and a half times, as varifocal domes span.
_ZOOMS = tuple(factor for step in range(1, 10) for factor in (1.1**step, 1.1**-step) if 0.5 <= factor <= 2.5)
_MOST_MOUNTS = 40
# A camera that is moved keeps its cable: farther than this is a new installation.
_NEAREST_MOVE_M, _FARTHEST_MOVE_M = 0.5, 3.0
_MOVE_STEP_M = 0.75
_MOST_MOVES = 40
# Sampled fractions are this coarse (one row of the grid): a candidate is dropped only if it fails by more.
_SAMPLING_ERROR = 1.0 / 6
_MOST_ROOM_CALLS = 3

_RANK = {Outcome.FAIL: 0, Outcome.UNDETERMINED: 1, Outcome.PASS: 2}


def find_mend(
    target: Target,
    room: Room,
    cameras: Sequence[Camera],
    judge_one: JudgeOne,
    judge_all: JudgeAll | None = None,
    *,
    before: Sequence[TargetVerdict] | None = None,
    most_calls: int = 60,
) -> Mend | None:
    """The smallest single change that makes a failing target pass.

    Parameters
    ----------
    judge_one : judges ``target`` with the cameras given. Every mend returned has passed it. It should take the
        pictures as verified: a camera that was changed has to be verified anew in any case.
    judge_all : judges the whole room. With it, a turn or a lens that lowers any other target's outcome is no mend;
        without it the sentence says that the others were not checked.
    before : what ``judge_all`` says of the room as it is, if that is known already
    most_calls : most times that ``judge_one`` is asked; ``judge_all`` is asked at most ten times

    Returns
    -------
    Mend or None. None for a target that does not fail (what is undetermined is mended by verifying the picture, the
    lens and the aim), that no rule judges, or for which no single change within the limits was found.

    Notes
    -----
    Order: the smallest turn of any camera (3 to 30 degrees in 16 directions, refined to 1 degree), then the least
    change of a focal length, then the shortest move of a camera along the walls (to 3 m, aimed as before or at
    the target), then a new camera on the wall with the lens of the camera that sees the target best, where its margin
    is largest. Turns and lenses are searched on shadows cast once for each camera, and first on
    sampled points; only what suffices there is judged.
    """
    now = judge_one(cameras)
    if now.outcome is not Outcome.FAIL or any(part.rule is None for part in now.parts):
        return None
    search = _Search(target, room, tuple(cameras), now, judge_one, judge_all, before, most_calls - 1)
    for changes in (search.turns(), search.zooms(), search.moves(), search.additions()):
        for change in changes:
            if search.holds(change):
                return change.mend
            if search.spent:
                break
        search.refill()
    return None


@dataclass(frozen=True, slots=True)
class _Need:
    """What one part asks for, and the cameras that give it now."""

    part: Part
    rule: Rule
    passing: frozenset[str]

    def lacks(self, camera: Camera) -> bool:
        """Whether this camera must see the part, the other cameras being as they are."""
        return len(self.passing - {camera.id}) < self.rule.needed

    def reachable(self, camera: Camera) -> bool:
        return len(self.passing - {camera.id}) + 1 >= self.rule.needed


@dataclass(frozen=True, slots=True)
class _Sampled:
    """What one place sees of one flat piece: the unhidden share, points in it, and the piece's own directions."""

    share: float
    points: Array
    tangents: Array


@dataclass(frozen=True, slots=True)
class _Change:
    mend: Mend
    cameras: tuple[Camera, ...]
    harmless: bool  # a new camera takes nothing away from any target


class _Search:
    """One target's search: the shadows cast so far and the calls left."""

    def __init__(
        self,
        target: Target,
        room: Room,
        cameras: tuple[Camera, ...],
        now: TargetVerdict,
        judge_one: JudgeOne,
        judge_all: JudgeAll | None,
        before: Sequence[TargetVerdict] | None,
        calls_left: int,
    ) -> None:
        self._target, self._room, self._cameras, self._now = target, room, cameras, now
        self._judge_one, self._judge_all = judge_one, judge_all
        self._calls_left, self._room_calls_left = calls_left, _MOST_ROOM_CALLS
        self._needs = _needs(now)
        if before is None and judge_all is not None:
            before = judge_all(cameras)
        self._before = {(_kind(one), one.id): one for one in before or ()} if judge_all else {}
        self._solids: Solids = solids_of(room_occluders(room))
        self._scenes = Scenes(self._solids)
        self._vantages: dict[Point3, Vantage] = {}
        self._samples: dict[Point3, dict[Part, list[_Sampled]]] = {}
        self._name = target_name(target)

    def refill(self) -> None:
        """Every kind of change may ask for the whole room as often; only the calls for the target are shared."""
        self._room_calls_left = _MOST_ROOM_CALLS

    @property
    def spent(self) -> bool:
        return self._calls_left <= 0 or self._room_calls_left <= 0

    def holds(self, change: _Change) -> bool:
        """Judge a change by the engine: the target passes, and no other target does worse."""
        if self.spent:
            return False
        self._calls_left -= 1
        if self._judge_one(change.cameras).outcome is not Outcome.PASS:
            return False
        if self._judge_all is None or change.harmless:
            return True
        self._room_calls_left -= 1
        after = {(_kind(one), one.id): one for one in self._judge_all(change.cameras)}
        return all(_RANK[after[key].outcome] >= _RANK[one.outcome] for key, one in self._before.items())

    def turns(self) -> Iterator[_Change]:
        """Turned cameras that suffice, the smallest turn first."""
        able = [camera for camera in self._cameras if self._could_ever(camera)]
        for radius_deg in range(_COARSE_DEG, _MOST_TURN_DEG + 1, _COARSE_DEG):
            found = []
            for camera in able:
                for index in range(_DIRECTIONS):
                    angle = 2 * math.pi * index / _DIRECTIONS
                    turn = self._least_turn(camera, angle, radius_deg)
                    if turn is not None:
                        found.append((math.hypot(*turn), camera.id, turn, camera))
            for _, _, turn, camera in sorted(found, key=lambda one: one[:3]):
                yield self._turn(camera, *turn)

    def zooms(self) -> Iterator[_Change]:
        """Changed focal lengths that suffice, the least change first."""
        able = [camera for camera in self._cameras if self._could_ever(camera)]
        for factor in _ZOOMS:
            for camera in able:
                changed = zoomed(camera, factor)
                if changed is not None and self._suffices(camera, changed):
                    yield self._zoom(camera, changed)

    def moves(self) -> Iterator[_Change]:
        """Cameras hung elsewhere on the walls that suffice, the shortest way first."""
        aim = middle(self._target)
        ways = sorted(
            (math.dist(camera.position_m, mount), camera.id, mount, camera)
            for mount in mounts(self._room, every_m=_MOVE_STEP_M)
            for camera in self._cameras
            if _NEAREST_MOVE_M <= math.dist(camera.position_m, mount) <= _FARTHEST_MOVE_M
        )
        for _, _, mount, camera in ways[:_MOST_MOVES]:
            for towards in (camera.aim_m, aim):
                if math.dist(mount, towards) >= 0.5:
                    changed = hung(camera, camera.id, mount, towards, camera.roll_deg)
                    if self._could_ever(changed) and self._suffices(camera, changed):
                        yield self._move(camera, changed)

    def additions(self) -> Iterator[_Change]:
        """New cameras on the walls that suffice, the largest margin first."""
        if not self._cameras or not self._needs:
            return
        best_id = self._now.binding.sights[0].camera_id if self._now.binding.sights else self._cameras[0].id
        pattern = next((camera for camera in self._cameras if camera.id == best_id), self._cameras[0])
        taken = {camera.id for camera in self._cameras}
        name = next(f"new-{index}" for index in range(1, len(taken) + 2) if f"new-{index}" not in taken)
        aim = middle(self._target)
        found: list[tuple[float, Point3, Camera]] = []
        for mount in mounts(self._room)[:_MOST_MOUNTS]:
            if math.dist(mount, aim) < 0.5:
                continue
            camera = hung(pattern, name, mount, aim, 0.0)
            margin = self._margin(camera)
            if margin is not None:
                found.append((-margin, mount, camera))
        for _, _, camera in sorted(found, key=lambda one: one[:2]):
            yield self._add(camera, pattern)

    def _least_turn(self, camera: Camera, angle: float, radius_deg: int) -> tuple[float, float] | None:
        """Pan and tilt that suffice in one direction: ``radius_deg``, bisected towards the step before it."""
        best = pan_tilt(angle, radius_deg)
        if not self._suffices(camera, turned(camera, *best)):
            return None
        enough, short = float(radius_deg), float(radius_deg - _COARSE_DEG)
        while enough - short > 1.0:
            half = (enough + short) / 2
            turn = pan_tilt(angle, half)
            if self._suffices(camera, turned(camera, *turn)):
                enough, best = half, turn
            else:
                short = half
        return best

    def _could_ever(self, camera: Camera) -> bool:
        """Whether a camera here could suffice at all, whatever it looks at: enough of the target is unhidden."""
        for need in self._needs:
            if not need.lacks(camera):
                continue
            if not need.reachable(camera):
                return False
            if min(one.share for one in self._sampled(camera)[need.part]) < need.rule.visible:
                return False
        return True

    def _suffices(self, camera: Camera, changed: Camera) -> bool:
        return (
            self._likely(changed)
            and self._margin(changed) is not None
            and self._spares_others(camera, changed)
        )

    def _likely(self, changed: Camera) -> bool:
        """On sampled points alone: enough of each part in the picture, and sharp enough? What passes is judged yet."""
        for need in self._needs:
            if not need.lacks(changed):
                continue
            for one in self._sampled(changed)[need.part]:
                inside = in_picture(changed, one.points)
                if one.share * float(inside.mean()) < need.rule.visible - _SAMPLING_ERROR:
                    return False
                # The density counts where it is least, so a single sample below the rule decides.
                density = pixel_density(changed, one.points[inside], one.tangents)
                if len(density) and float(density.min()) < need.rule.px_per_m:
                    return False
        return True

    def _margin(self, changed: Camera) -> float | None:
        """By how much the target passes with this camera as it is changed, 0 or more; None if it does not pass."""
        lacking = [need for need in self._needs if need.lacks(changed)]
        if not all(need.reachable(changed) for need in lacking):
            return None
        glimpses = self._vantage(changed).glimpses(changed, self._target)
        margins = [_margin(glimpses[need.part], need.rule, changed) for need in lacking]
        least = min(margins, default=0.0)
        return least if least >= 0.0 else None

    def _spares_others(self, camera: Camera, changed: Camera) -> bool:
        """Whether the targets that pass by this camera alone still do. The engine is asked again at the end."""
        others: tuple[Target, ...] = (*self._room.seats, *self._room.zones)
        for other in others:
            verdict = self._before.get(target_key(other))
            if verdict is None or verdict.outcome is not Outcome.PASS:
                continue
            lost = [need for need in _needs(verdict) if camera.id in need.passing and need.lacks(camera)]
            if lost:
                glimpses = self._vantage(changed).glimpses(changed, other)
                if any(_margin(glimpses[need.part], need.rule, changed) < 0.0 for need in lost):
                    return False
        return True

    def _vantage(self, camera: Camera) -> Vantage:
        if camera.position_m not in self._vantages:
            self._vantages[camera.position_m] = Vantage(camera.position_m, self._solids, self._scenes)
        return self._vantages[camera.position_m]

    def _sampled(self, camera: Camera) -> dict[Part, list[_Sampled]]:
        """For each part and stature the unhidden fraction of it and points in that."""
        if camera.position_m not in self._samples:
            self._samples[camera.position_m] = {
                part: [_Sampled(*one) for one in sampled]
                for part, sampled in self._vantage(camera).samples(self._target).items()
            }
        return self._samples[camera.position_m]

    def _with(self, changed: Camera) -> tuple[Camera, ...]:
        return tuple(changed if camera.id == changed.id else camera for camera in self._cameras)

    def _then(self) -> str:
        if self._judge_all is None:
            return f"{self._name} then passes as stated; the other seats and zones were not checked."
        return f"{self._name} then passes as stated, and no other seat or zone does worse."

    def _turn(self, camera: Camera, pan_deg: float, tilt_deg: float) -> _Change:
        words = [
            f"{abs(value):g} degrees {words[0] if value > 0 else words[1]}"
            for value, words in ((pan_deg, ("to the right", "to the left")), (tilt_deg, ("up", "down")))
            if value
        ]
        text = f"Turn camera {camera.id} {' and '.join(words)}: {self._then()}"
        changed = turned(camera, pan_deg, tilt_deg)
        mend = Mend("turn", camera.id, text, True, pan_deg=pan_deg, tilt_deg=tilt_deg, aim_m=changed.aim_m)
        return _Change(mend, self._with(changed), harmless=False)

    def _zoom(self, camera: Camera, changed: Camera) -> _Change:
        before, after = camera.lens.hfov_deg, changed.lens.hfov_deg
        text = (
            f"Change the lens of camera {camera.id} from {before:.0f} to {after:.0f} degrees of horizontal view: "
            f"{self._then()}"
        )
        mend = Mend("zoom", camera.id, text, True, hfov_deg=round(after, 1))
        return _Change(mend, self._with(changed), harmless=False)

    def _move(self, camera: Camera, changed: Camera) -> _Change:
        far_m = math.dist(camera.position_m, changed.position_m)
        aimed = "" if changed.aim_m == camera.aim_m else f" and aim it at {place_words(changed.aim_m)}"
        text = f"Move camera {camera.id} by {far_m:.1f} m to {place_words(changed.position_m)}{aimed}: {self._then()}"
        mend = Mend("move", camera.id, text, True, position_m=changed.position_m, aim_m=changed.aim_m)
        return _Change(mend, self._with(changed), harmless=False)

    def _add(self, camera: Camera, pattern: Camera) -> _Change:
        text = (
            f"Add a camera at {place_words(camera.position_m)} aimed at {place_words(camera.aim_m)} with the lens of "
            f"camera {pattern.id} ({pattern.lens.hfov_deg:.0f} degrees of horizontal view): {self._name} then passes "
            f"as stated, and no other seat or zone can do worse."
        )
        hfov_deg = round(camera.lens.hfov_deg, 1)
        mend = Mend(
            "add", camera.id, text, True, hfov_deg=hfov_deg, position_m=camera.position_m, aim_m=camera.aim_m
        )
        return _Change(mend, (*self._cameras, camera), harmless=True)


def _needs(verdict: TargetVerdict) -> tuple[_Need, ...]:
    return tuple(
        _Need(
            part.part,
            part.rule,
            frozenset(sight.camera_id for sight in part.sights if sight.outcome is Outcome.PASS),
        )
        for part in verdict.parts
        if part.rule is not None
    )


def _kind(verdict: TargetVerdict) -> str:
    return "seat" if verdict.kind == "seat" else "zone"


def _margin(glimpse: Glimpse, rule: Rule, camera: Camera) -> float:
    """The smaller of the margins in visible fraction and in relative density, with the tolerances against it."""
    if glimpse.wrong_side(rule):
        return -1.0
    density = glimpse.px_per_m * (1.0 - camera.lens.spread / 2)
    return min(glimpse.least - rule.visible, density / rule.px_per_m - 1.0)
