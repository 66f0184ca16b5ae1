"""The smallest change that makes a failing seat or zone pass, proven by judging the room with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.adjust import turned, with_hfov, zoomed
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import Judge, judge_room
from kaozheng_coverage.lens import fit_lens, pinhole_lens
from kaozheng_coverage.mend import find_mend
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.projection import axes, project
from kaozheng_coverage.room import Desk, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.sight import Target
from kaozheng_coverage.verdict import Mend, Outcome, TargetVerdict

DESK = Desk(1.3, 0.6, 0.75)
LENS = pinhole_lens(1920, 1080, 80.0)
RULES = Profile(
    "test",
    1,
    "for these tests",
    {Part.HEAD: Rule(Level.OBSERVE, 0.9), Part.DESK: Rule(Level.DETECT, 0.33)},
    {ZoneKind.SEAL_OPENING.value: Rule(Level.RECOGNISE, 0.9)},
)
WORSE_FIRST = (Outcome.FAIL, Outcome.UNDETERMINED, Outcome.PASS)


def room(*seats: Seat, obstacles: tuple[Prism, ...] = (), zones: tuple[Zone, ...] = ()) -> Room:
    return Room("r", "room", ((0.0, 0.0), (12.0, 0.0), (12.0, 8.0), (0.0, 8.0)), 3.2, obstacles, seats, zones)


def seat(number: str, x: float, y: float) -> Seat:
    return Seat(number, (x, y), 0.0, DESK, None)


class Judging:
    """One room under one profile: its verdicts, and the mends of its targets."""

    def __init__(self, judged: Room, profile: Profile = RULES) -> None:
        self.room = judged
        self._judge = Judge(judged, profile)

    def one(self, target: Target, cameras: Sequence[Camera]) -> TargetVerdict:
        return self._judge.target(target, cameras)

    def all(self, cameras: Sequence[Camera]) -> tuple[TargetVerdict, ...]:
        return tuple(self.one(target, cameras) for target in (*self.room.seats, *self.room.zones))

    def mend(self, target: Target, cameras: Sequence[Camera], *, whole_room: bool = True) -> Mend | None:
        return find_mend(
            target,
            self.room,
            cameras,
            lambda those: self.one(target, those),
            self.all if whole_room else None,
        )


def applied(mend: Mend, cameras: Sequence[Camera]) -> tuple[Camera, ...]:
    """The cameras once a technician has done what the mend's numbers say."""
    if mend.kind == "add":
        assert mend.position_m is not None
        assert mend.aim_m is not None
        pattern = next(camera for camera in cameras if f"lens of camera {camera.id} " in mend.text)
        return (
            *cameras,
            replace(pattern, id=mend.camera_id, position_m=mend.position_m, aim_m=mend.aim_m, roll_deg=0.0),
        )
    camera = next(camera for camera in cameras if camera.id == mend.camera_id)
    if mend.kind == "turn":
        changed = turned(camera, mend.pan_deg or 0.0, mend.tilt_deg or 0.0)
    elif mend.kind == "move":
        assert mend.position_m is not None
        assert mend.aim_m is not None
        changed = replace(camera, position_m=mend.position_m, aim_m=mend.aim_m)
    else:
        assert mend.hfov_deg is not None
        changed = with_hfov(camera, mend.hfov_deg)
    return tuple(changed if one.id == camera.id else one for one in cameras)


def test_a_camera_that_looks_past_a_seat_is_turned_towards_it() -> None:
    place = room(seat("1", 9.5, 4.0))
    cameras = (Camera("left", (6.0, 7.9, 2.8), (4.0, 2.0, 1.0), LENS),)
    judging = Judging(place)
    mend = judging.mend(place.seats[0], cameras)
    assert mend is not None
    assert mend.kind == "turn"
    assert mend.verified
    assert mend.pan_deg is not None
    # Seen from the front wall the seat is on the left of the picture's middle.
    assert mend.pan_deg < 0
    assert judging.one(place.seats[0], applied(mend, cameras)).outcome is Outcome.PASS


def test_the_turn_is_no_more_than_a_degree_or_so_larger_than_needed() -> None:
    place = room(seat("1", 9.5, 4.0))
    camera = Camera("left", (6.0, 7.9, 2.8), (4.0, 2.0, 1.0), LENS)
    judging = Judging(place)
    mend = judging.mend(place.seats[0], (camera,))
    assert mend is not None
    size_deg = math.hypot(mend.pan_deg or 0.0, mend.tilt_deg or 0.0)
    smaller = (size_deg - 1.6) / size_deg
    less = turned(camera, (mend.pan_deg or 0.0) * smaller, (mend.tilt_deg or 0.0) * smaller)
    assert judging.one(place.seats[0], (less,)).outcome is not Outcome.PASS


def test_a_turn_that_would_lose_another_seat_is_no_mend() -> None:
    place = room(seat("1", 8.2, 4.0), seat("2", 3.0, 4.0))
    cameras = (Camera("only", (6.0, 7.9, 2.8), (4.4, 2.0, 1.0), pinhole_lens(1920, 1080, 60.0)),)
    judging = Judging(place)
    assert [verdict.outcome for verdict in judging.all(cameras)] == [Outcome.FAIL, Outcome.PASS]
    alone = judging.mend(place.seats[0], cameras, whole_room=False)
    together = judging.mend(place.seats[0], cameras)
    assert alone is not None
    assert together is not None
    assert "not checked" in alone.text
    assert "no other" in together.text
    assert judging.one(place.seats[1], applied(alone, cameras)).outcome is not Outcome.PASS
    assert all(verdict.outcome is Outcome.PASS for verdict in judging.all(applied(together, cameras)))


def test_a_seat_too_small_in_the_picture_gets_a_longer_lens() -> None:
    place = room(seat("1", 6.0, 1.5))
    cameras = (Camera("front", (6.0, 7.9, 2.8), (6.0, 1.2, 1.1), pinhole_lens(640, 360, 100.0)),)
    judging = Judging(place)
    mend = judging.mend(place.seats[0], cameras)
    assert mend is not None
    assert mend.kind == "zoom"
    assert mend.hfov_deg is not None
    assert mend.hfov_deg < 100.0
    assert judging.one(place.seats[0], applied(mend, cameras)).outcome is Outcome.PASS


def test_a_seat_behind_a_cabinet_gets_a_camera_that_sees_it() -> None:
    cabinet = Prism("cabinet", ((5.0, 5.0), (7.0, 5.0), (7.0, 5.4), (5.0, 5.4)), 0.0, 3.0)
    place = room(seat("1", 6.0, 4.0), obstacles=(cabinet,))
    cameras = (Camera("front", (6.0, 7.9, 2.8), (6.0, 4.0, 1.0), LENS),)
    judging = Judging(place)
    mend = judging.mend(place.seats[0], cameras)
    assert mend is not None
    assert mend.kind == "add"
    assert mend.camera_id != "front"
    assert mend.position_m is not None
    assert 2.5 <= mend.position_m[2] <= 2.8
    assert judging.one(place.seats[0], applied(mend, cameras)).outcome is Outcome.PASS


def test_a_bag_shown_away_from_the_only_camera_gets_one_on_its_front() -> None:
    bag = Zone(
        "seal", ZoneKind.SEAL_OPENING, ((5.2, 7.0), (6.8, 7.0), (6.8, 7.8), (5.2, 7.8)), 1.1, 1.5, 180.0
    )
    place = room(zones=(bag,))
    cameras = (Camera("front", (6.0, 7.9, 2.8), (6.0, 2.0, 1.0), pinhole_lens(3840, 2160, 80.0)),)
    judging = Judging(place)
    mend = judging.mend(bag, cameras)
    assert mend is not None
    assert mend.kind == "add"
    assert mend.position_m is not None
    assert mend.position_m[1] < 7.0


def test_what_passes_or_is_only_undetermined_gets_no_mend() -> None:
    place = room(seat("1", 6.0, 4.0))
    good = Camera("front", (6.0, 7.9, 2.8), (6.0, 4.0, 1.0), LENS)
    judging = Judging(place)
    assert judging.one(place.seats[0], (good,)).outcome is Outcome.PASS
    assert judging.mend(place.seats[0], (good,)) is None
    unsure = replace(good, aim_tolerance_deg=40.0)
    assert judging.one(place.seats[0], (unsure,)).outcome is Outcome.UNDETERMINED
    assert judging.mend(place.seats[0], (unsure,)) is None


def test_what_no_single_change_mends_gets_none() -> None:
    walls = tuple(
        Prism(f"wall-{index}", corners, 0.0, 3.2)
        for index, corners in enumerate(
            (
                ((4.5, 5.5), (7.5, 5.5), (7.5, 5.7), (4.5, 5.7)),
                ((4.5, 2.0), (7.5, 2.0), (7.5, 2.2), (4.5, 2.2)),
                ((4.5, 2.2), (4.7, 2.2), (4.7, 5.5), (4.5, 5.5)),
                ((7.3, 2.2), (7.5, 2.2), (7.5, 5.5), (7.3, 5.5)),
            )
        )
    )
    place = room(seat("1", 6.0, 4.0), obstacles=walls)
    judging = Judging(place)
    assert judging.mend(place.seats[0], (Camera("front", (6.0, 7.9, 2.8), (6.0, 4.0, 1.0), LENS),)) is None


def test_judging_a_room_brings_a_mend_for_each_seat_that_fails_and_none_for_others() -> None:
    place = room(seat("1", 9.5, 4.0), seat("2", 4.0, 4.0))
    verdict = judge_room(place, (Camera("left", (6.0, 7.9, 2.8), (4.0, 2.0, 1.0), LENS),), RULES)
    assert [one.outcome for one in verdict.seats] == [Outcome.FAIL, Outcome.PASS]
    assert verdict.seats[0].mend is not None
    assert verdict.seats[1].mend is None


def test_a_room_without_cameras_has_no_lens_to_propose() -> None:
    place = room(seat("1", 6.0, 4.0))
    assert Judging(place).mend(place.seats[0], ()) is None


def test_two_cameras_missing_are_not_mended_by_one() -> None:
    profile = replace(RULES, seat={Part.HEAD: Rule(Level.OBSERVE, 0.9, cameras=3)})
    place = room(seat("1", 6.0, 4.0))
    cameras = (Camera("front", (6.0, 7.9, 2.8), (6.0, 4.0, 1.0), LENS),)
    assert Judging(place, profile).mend(place.seats[0], cameras) is None


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(1.0, 11.0),
    y=st.floats(1.5, 6.0),
    aim=st.tuples(st.floats(0.0, 12.0), st.floats(0.0, 6.0), st.floats(0.0, 2.0)),
    hfov=st.floats(40.0, 110.0),
)
def test_every_mend_passes_when_it_is_done_and_is_found_within_its_budget(x, y, aim, hfov) -> None:
    place = room(seat("1", x, y), seat("2", 12.0 - x if abs(x - 6.0) > 1.0 else x - 3.0, y))
    cameras = (
        Camera("a", (0.3, 7.7, 2.8), aim, pinhole_lens(1280, 720, hfov)),
        Camera("b", (11.7, 0.3, 2.8), (5.0, 5.0, 1.0), pinhole_lens(1280, 720, 60.0)),
    )
    judging = Judging(place)
    before = judging.all(cameras)
    calls = []

    def judge_one(those: Sequence[Camera]) -> TargetVerdict:
        calls.append(those)
        return judging.one(place.seats[0], those)

    mend = find_mend(place.seats[0], place, cameras, judge_one, judging.all, before=before)
    assert len(calls) <= 60
    if before[0].outcome is not Outcome.FAIL:
        assert mend is None
    if mend is None:
        return
    assert calls
    after = judging.all(applied(mend, cameras))
    assert after[0].outcome is Outcome.PASS
    assert all(
        WORSE_FIRST.index(new.outcome) >= WORSE_FIRST.index(old.outcome)
        for new, old in zip(after, before, strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(pan=st.floats(-30, 30), tilt=st.floats(-30, 30))
def test_a_turn_turns_by_what_it_says(pan: float, tilt: float) -> None:
    camera = Camera("c", (6.0, 4.0, 2.5), (9.0, 7.0, 1.5), LENS)
    before, after = axes(camera)[2], axes(turned(camera, pan, tilt))[2]
    bearing = math.degrees(math.atan2(after[0], after[1]) - math.atan2(before[0], before[1]))
    rise = math.degrees(math.asin(after[2]) - math.asin(before[2]))
    assert bearing == pytest.approx(pan, abs=0.05)
    assert rise == pytest.approx(tilt, abs=0.05)


def test_a_turn_to_the_right_moves_the_scene_to_the_left() -> None:
    camera = Camera("c", (6.0, 1.0, 2.5), (6.0, 7.0, 1.5), LENS)
    point = np.array([[6.0, 7.0, 1.5]])
    moved = project(turned(camera, 5.0, 5.0), point)[0] - project(camera, point)[0]
    assert moved[0] < 0 < moved[1]


def test_a_longer_lens_sees_a_narrower_angle_and_no_lens_sees_all_around() -> None:
    camera = Camera("c", (6.0, 1.0, 2.5), (6.0, 7.0, 1.5), LENS)
    longer = zoomed(camera, 2.0)
    assert longer is not None
    assert longer.lens.hfov_deg == pytest.approx(
        round(2 * math.degrees(math.atan(math.tan(math.radians(40)) / 2)))
    )
    fisheye = replace(camera, lens=fit_lens(1920, 1080, 150.0, 84.0))
    assert zoomed(fisheye, 0.5) is None
