"""The fewest cameras that mend a whole room at once, and a camera that is moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kaozheng_coverage.additions import find_additions
from kaozheng_coverage.assess import assess_room
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.room import Desk, Prism, Room, Seat
from kaozheng_coverage.verdict import Mend, Outcome

RULES = Profile("heads", 1, "of this test", {Part.HEAD: Rule(Level.OBSERVE, 0.9)}, {})
LENS = pinhole_lens(1920, 1080, 90.0)
# A wall across the room, ceiling high, with a seat on either side of it.
WALL = Prism("partition", ((0.0, 4.0), (12.0, 4.0), (12.0, 4.1), (0.0, 4.1)), 0.0, 3.2)


def room(*places: tuple[float, float], obstacles: tuple[Prism, ...] = ()) -> Room:
    desk = Desk(1.2, 0.6, 0.75)
    seats = tuple(Seat(f"{index:02d}", at, 0.0, desk, None) for index, at in enumerate(places, 1))
    return Room("r", "r", ((0, 0), (12, 0), (12, 8), (0, 8)), 3.2, obstacles, seats, ())


def looking_away() -> Camera:
    return Camera("old", (0.3, 0.3, 2.8), (0.3, 3.0, 2.8), LENS, aim_tolerance_deg=0.0)


def with_added(cameras: tuple[Camera, ...], mends: tuple[Mend, ...]) -> tuple[Camera, ...]:
    added = []
    for mend in mends:
        assert mend.position_m is not None
        assert mend.aim_m is not None
        added.append(replace(cameras[0], id=mend.camera_id, position_m=mend.position_m, aim_m=mend.aim_m))
    return (*cameras, *added)


def test_one_camera_is_proposed_where_one_suffices_and_the_room_then_passes():
    place, cameras = room((5.0, 5.0), (7.0, 5.0), (9.0, 5.0)), (looking_away(),)
    verdict = judge_room(place, cameras, RULES, mends=False)
    assert all(seat.outcome is Outcome.FAIL for seat in verdict.seats)
    found = find_additions(place, cameras, RULES, verdict)
    assert found is not None
    assert (len(found.cameras), found.mended, found.left, found.verified) == (1, 3, (), True)
    after = judge_room(place, with_added(cameras, found.cameras), RULES, mends=False)
    assert after.outcome is Outcome.PASS


def test_two_are_proposed_where_a_wall_parts_the_room():
    place, cameras = room((9.0, 2.0), (9.0, 6.0), obstacles=(WALL,)), (looking_away(),)
    verdict = judge_room(place, cameras, RULES, mends=False)
    found = find_additions(place, cameras, RULES, verdict)
    assert found is not None
    assert len(found.cameras) == 2
    after = judge_room(place, with_added(cameras, found.cameras), RULES, mends=False)
    assert after.outcome is Outcome.PASS


def test_a_rule_for_two_cameras_gets_two():
    twice = replace(RULES, seat={Part.HEAD: Rule(Level.OBSERVE, 0.9, cameras=2)})
    place, cameras = room((6.0, 4.0)), (looking_away(),)
    found = find_additions(place, cameras, twice, judge_room(place, cameras, twice, mends=False))
    assert found is not None
    assert (len(found.cameras), found.verified) == (2, True)


def test_what_no_place_on_the_walls_shows_is_named():
    # A seat boxed in to the ceiling on all sides.
    box = tuple(
        Prism(f"screen-{name}", ring, 0.0, 3.2)
        for name, ring in {
            "s": ((5.0, 3.0), (8.0, 3.0), (8.0, 3.1), (5.0, 3.1)),
            "n": ((5.0, 5.0), (8.0, 5.0), (8.0, 5.1), (5.0, 5.1)),
            "w": ((5.0, 3.0), (5.1, 3.0), (5.1, 5.1), (5.0, 5.1)),
            "e": ((7.9, 3.0), (8.0, 3.0), (8.0, 5.1), (7.9, 5.1)),
        }.items()
    )
    place, cameras = room((6.5, 4.0), (9.5, 6.0), obstacles=box), (looking_away(),)
    found = find_additions(place, cameras, RULES, judge_room(place, cameras, RULES, mends=False))
    assert found is not None
    assert found.left == ("seat 01",)
    assert len(found.cameras) == 1


def test_nothing_is_proposed_where_nothing_fails_or_no_lens_is_known():
    place = room((6.0, 5.0))
    good = (Camera("good", (6.0, 7.8, 2.8), (6.0, 5.0, 1.0), LENS, aim_tolerance_deg=0.0),)
    assert find_additions(place, good, RULES, judge_room(place, good, RULES, mends=False)) is None
    assert find_additions(place, (), RULES, judge_room(place, (), RULES, mends=False)) is None


def test_the_whole_verdict_carries_them_only_when_several_targets_fail():
    cameras = (looking_away(),)
    many = assess_room(room((5.0, 5.0), (9.0, 5.0)), cameras, RULES, draws=0)
    assert many.additions is not None
    one = assess_room(room((9.0, 5.0)), cameras, RULES, draws=0)
    assert one.additions is None
    assert one.seats[0].mend is not None


def test_a_camera_behind_a_pillar_is_moved_aside():
    """No turn and no lens helps a camera before whose eye a pillar stands: a step along the wall does."""
    pillar = Prism("pillar", ((5.6, 7.0), (6.4, 7.0), (6.4, 7.4), (5.6, 7.4)), 0.0, 3.2)
    place = room((6.0, 4.5), obstacles=(pillar,))
    hidden = Camera("front", (6.0, 7.75, 2.8), (6.0, 4.5, 1.0), LENS, aim_tolerance_deg=0.0)
    (seat,) = judge_room(place, (hidden,), RULES).seats
    assert seat.outcome is Outcome.FAIL
    mend = seat.mend
    assert mend is not None
    assert (mend.kind, mend.camera_id) == ("move", "front")
    assert mend.position_m is not None
    assert mend.aim_m is not None
    assert "Move camera front by" in mend.text
    moved = replace(hidden, position_m=mend.position_m, aim_m=mend.aim_m)
    assert judge_room(place, (moved,), RULES, mends=False).outcome is Outcome.PASS
    assert mend.position_m[0] == pytest.approx(6.0, abs=3.0)
