"""Whether the cameras of a room cover every seat and zone: the engine's entry point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kaozheng_coverage.camera import Camera, Point3
from kaozheng_coverage.check import check_room
from kaozheng_coverage.loss import camera_losses
from kaozheng_coverage.mend import find_mend
from kaozheng_coverage.outcome import sight_outcome
from kaozheng_coverage.profile import Part, Profile, Rule
from kaozheng_coverage.reason import part_reason
from kaozheng_coverage.room import Room, Seat, ZoneKind
from kaozheng_coverage.shadows import room_occluders, solids_of
from kaozheng_coverage.sight import Glimpse, Scenes, Target, Vantage
from kaozheng_coverage.verdict import (
    Cause,
    LensReport,
    Mend,
    Outcome,
    PartVerdict,
    RoomVerdict,
    Sight,
    TargetVerdict,
)

_BEST_FIRST = {Outcome.PASS: 0, Outcome.UNDETERMINED: 1, Outcome.FAIL: 2}
_WORST_FIRST = (Outcome.FAIL, Outcome.UNDETERMINED)
# Cameras kept with their shadows; a search for a mend tries some forty places beside the room's own cameras.
_MOST_VANTAGES = 128
# Targets judged in one go: a room of thirty seats at once, progress shown in a larger one.
_TOGETHER = 40
# Failing targets that a mend is searched for; a room with more needs cameras, not adjustments.
_MOST_MENDS = 60


def judge_room(
    room: Room,
    cameras: Sequence[Camera],
    profile: Profile,
    *,
    unverified: frozenset[str] = frozenset(),
    mends: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> RoomVerdict:
    """Judge every seat and zone of a room.

    Parameters
    ----------
    unverified : ids of cameras whose live picture has not been shown to be the stated one; what only they show is
        undetermined
    mends : also search the smallest change that mends each failing target, which takes longer than judging
    progress : called with (targets judged and mended, so many in all)

    Raises
    ------
    CoverageError : the geometry is impossible; the message names what and the mend
    """
    check_room(room, cameras)
    judge = Judge(room, profile)
    targets: tuple[Target, ...] = (*room.seats, *room.zones)
    judged: list[TargetVerdict] = []
    for start in range(0, len(targets), _TOGETHER):
        judged += judge.targets(targets[start : start + _TOGETHER], cameras, unverified)
        if progress is not None:
            progress(len(judged), len(targets))
    skipped: tuple[str, ...] = ()
    if mends:
        # A changed camera has to be verified anew in any case, so mends are searched as if all pictures were.
        stated = judge.targets(targets, cameras) if unverified else judged
        failing = [index for index, one in enumerate(judged) if one.outcome is Outcome.FAIL]
        unsearched = failing[_MOST_MENDS:]
        failing = failing[:_MOST_MENDS]
        for done, index in enumerate(failing, 1):
            mend = _mend(judge, targets[index], cameras, stated)
            judged[index] = replace(judged[index], mend=mend)
            if progress is not None:
                progress(len(targets) + done, len(targets) + len(failing))
        if unsearched:
            skipped = (
                f"{len(unsearched)} more targets fail, for which no mend was searched: mend the first {_MOST_MENDS} "
                "and judge again",
            )
    return RoomVerdict(
        room_id=room.id,
        profile_id=profile.id,
        profile_version=profile.version,
        outcome=worst_outcome([one.outcome for one in judged]),
        seats=tuple(judged[: len(room.seats)]),
        zones=tuple(judged[len(room.seats) :]),
        lenses=tuple(
            LensReport(
                camera.id,
                camera.lens.model.value,
                camera.lens.focal_px,
                camera.lens.hfov_deg,
                camera.lens.spread,
                camera.lens.note,
            )
            for camera in cameras
        ),
        warnings=(*_warnings(room, profile), *skipped),
        losses=camera_losses(
            judged[: len(room.seats)], judged[len(room.seats) :], [camera.id for camera in cameras]
        ),
    )


class Judge:
    """Judges targets of one room under one profile; shadows are cast once for each place a camera stands.

    Not safe for two threads.
    """

    def __init__(self, room: Room, profile: Profile) -> None:
        self.room = room
        self.profile = profile
        self._solids = solids_of(room_occluders(room))
        self._scenes = Scenes(self._solids)
        self._vantages: dict[Point3, Vantage] = {}

    def target(
        self, target: Target, cameras: Sequence[Camera], unverified: frozenset[str] = frozenset()
    ) -> TargetVerdict:
        """The verdict of one seat or zone, without a mend."""
        return self.targets([target], cameras, unverified)[0]

    def targets(
        self, targets: Sequence[Target], cameras: Sequence[Camera], unverified: frozenset[str] = frozenset()
    ) -> list[TargetVerdict]:
        """The verdicts of many, without mends: much faster than one by one."""
        rules = [rules_of(target, self.profile) for target in targets]
        wanted = [(target, part) for target, of in zip(targets, rules, strict=True) for part in of]
        seen = {camera.id: iter(self.vantage(camera).look(camera, wanted)) for camera in cameras}
        verdicts = []
        for target, of in zip(targets, rules, strict=True):
            parts = tuple(
                _judge_part(
                    part, rule, cameras, {name: next(looks) for name, looks in seen.items()}, unverified
                )
                for part, rule in of.items()
            )
            if isinstance(target, Seat):
                name, kind = target.number, "seat"
            else:
                name, kind = target.id, target.kind.value
            verdicts.append(
                TargetVerdict(name, kind, worst_outcome([part.outcome for part in parts]), parts, None)
            )
        return verdicts

    def vantage(self, camera: Camera) -> Vantage:
        """What is seen from where a camera stands, its shadows cast once."""
        if camera.position_m not in self._vantages:
            if len(self._vantages) >= _MOST_VANTAGES:
                self._vantages.pop(next(iter(self._vantages)))
            self._vantages[camera.position_m] = Vantage(camera.position_m, self._solids, self._scenes)
        return self._vantages[camera.position_m]


def _mend(
    judge: Judge, target: Target, cameras: Sequence[Camera], before: Sequence[TargetVerdict]
) -> Mend | None:
    everything: tuple[Target, ...] = (*judge.room.seats, *judge.room.zones)

    def all_targets(changed: Sequence[Camera]) -> Sequence[TargetVerdict]:
        return judge.targets(everything, changed)

    return find_mend(
        target,
        judge.room,
        cameras,
        lambda changed: judge.target(target, changed),
        all_targets,
        before=before,
    )


def rules_of(target: Target, profile: Profile) -> dict[Part, Rule | None]:
    """The rule of each part of a target that is judged; None where the profile has none."""
    if isinstance(target, Seat):
        return dict(profile.seat) or {Part.HEAD: None}
    return {Part.AREA: profile.zones.get(target.kind.value)}


def _judge_part(
    part: Part,
    rule: Rule | None,
    cameras: Sequence[Camera],
    glimpses: dict[str, Glimpse],
    unverified: frozenset[str],
) -> PartVerdict:
    sights = [_sight(camera, glimpses[camera.id], rule, camera.id in unverified) for camera in cameras]
    if rule is None:
        reason = "the profile has no rule for this kind of target, so nothing is said of it"
        return PartVerdict(part, None, Outcome.UNDETERMINED, Cause.NO_RULE, reason, 0.0, 0.0, tuple(sights))
    sights.sort(key=lambda sight: (_BEST_FIRST[sight.outcome], -_headroom(sight, rule), sight.camera_id))
    passing = sum(sight.outcome is Outcome.PASS for sight in sights)
    if len(sights) < rule.needed:
        outcome = Outcome.FAIL
        cause: Cause | None = Cause.TOO_FEW_CAMERAS
        visible, density = 0.0, 0.0
    else:
        deciding = sights[rule.needed - 1]
        outcome, cause = deciding.outcome, deciding.cause
        visible, density = deciding.visible, deciding.px_per_m
        if outcome is Outcome.FAIL and passing > 0:
            cause = Cause.TOO_FEW_CAMERAS
    return PartVerdict(
        part=part,
        rule=rule,
        outcome=outcome,
        cause=cause,
        reason=part_reason(part, rule, outcome, cause, sights, unverified),
        margin_visible=visible - rule.visible,
        margin_px_per_m=density - rule.px_per_m,
        sights=tuple(sights),
    )


def _sight(camera: Camera, glimpse: Glimpse, rule: Rule | None, unverified: bool) -> Sight:
    outcome, cause = sight_outcome(camera, glimpse, rule, unverified)
    return Sight(
        camera_id=camera.id,
        visible=glimpse.visible,
        visible_least=glimpse.least,
        px_per_m=glimpse.density.least,
        px_per_m_p5=glimpse.density.p5,
        px_per_m_median=glimpse.density.median,
        outside=glimpse.outside,
        hidden_by=tuple(name for name, _ in glimpse.hidden_by),
        outcome=outcome,
        cause=cause,
    )


def _headroom(sight: Sight, rule: Rule) -> float:
    """How far a sight is above the rule in its scarcer quantity, as a fraction of what the rule asks."""
    return min(sight.visible / rule.visible, sight.px_per_m / rule.px_per_m) - 1.0


def worst_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """A room without targets has nothing that could be shown to be covered: undetermined."""
    for outcome in _WORST_FIRST:
        if outcome in outcomes:
            return outcome
    return Outcome.PASS if outcomes else Outcome.UNDETERMINED


def _warnings(room: Room, profile: Profile) -> tuple[str, ...]:
    """What the verdicts say nothing about."""
    found = []
    asks_for_seal = ZoneKind.SEAL_OPENING.value in profile.zones
    if asks_for_seal and not any(zone.kind is ZoneKind.SEAL_OPENING for zone in room.zones):
        found.append(
            "no seal_opening zone is drawn: whether a camera shows the seal being opened is not judged"
        )
    for zone in room.zones:
        if zone.kind.value not in profile.zones:
            found.append(
                f"profile {profile.id} has no rule for {zone.kind.value}: zone {zone.id} is not judged"
            )
    if profile.seat and not room.seats:
        found.append("the room has no seats")
    return tuple(found)
