"""How good the inputs must be: turns that a camera tolerates, and draws of everything that may be off."""

from __future__ import annotations

import dataclasses

import pytest
from kaozheng_coverage.assess import assess_room
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.nudge import nudged
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.robustness import Survey, camera_tolerances, judge_draws, lower_bound
from kaozheng_coverage.room import Desk, Room, Seat
from kaozheng_coverage.verdict import Cause, Outcome

HEADS = Profile("heads", 1, "of this test", {Part.HEAD: Rule(Level.DETECT, 0.9)}, {})
LENS = pinhole_lens(1920, 1080, 60.0)
NO_ERROR = Survey(0.0, 0.0, 0.0, 0.0)


def room(*seats: tuple[float, float]) -> Room:
    desk = Desk(1.2, 0.6, 0.75)
    numbered = tuple(Seat(f"{index:02d}", at, 0.0, desk, None) for index, at in enumerate(seats, 1))
    return Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (), numbered, ())


def front(aim_x: float = 4.0, tolerance: float = 1.0, name: str = "front") -> Camera:
    return Camera(name, (4.0, 7.8, 2.6), (aim_x, 3.0, 1.1), LENS, aim_tolerance_deg=tolerance)


def test_59_of_59_prove_95_percent_at_95_percent_confidence():
    assert lower_bound(59, 59) == pytest.approx(0.05 ** (1 / 59))
    assert lower_bound(59, 59) >= 0.95 > lower_bound(58, 58)
    assert lower_bound(0, 59) == 0.0
    assert lower_bound(30, 59) < 30 / 59  # half passed: the bound lies below a half


def test_a_seat_in_the_middle_of_the_picture_passes_every_draw():
    place, cameras = room((4.0, 3.3)), (front(),)
    verdict = assess_room(place, cameras, HEADS)
    assert verdict.outcome is Outcome.PASS
    assert verdict.draws is not None
    assert (verdict.draws.passed, verdict.draws.measure) == (59, None)
    assert verdict.draws.probability >= 0.95


def test_a_seat_at_the_border_passes_as_stated_and_is_undetermined():
    cameras = (front(tolerance=0.0),)
    # The outermost place, to the centimetre, whose head is still in the picture: its desk is not placed so well.
    places = (room((x / 100, 3.6)) for x in range(100, 300))
    place = next(
        one for one in places if judge_room(one, cameras, HEADS, mends=False).outcome is Outcome.PASS
    )
    verdict = assess_room(place, cameras, HEADS, mends=False)
    assert verdict.draws is not None
    assert verdict.draws.passed < 59
    (seat,) = verdict.seats
    assert (seat.outcome, verdict.outcome) == (Outcome.UNDETERMINED, Outcome.UNDETERMINED)
    assert seat.binding.cause is Cause.NOT_ROBUST
    assert f"passes in {verdict.draws.passed} of 59 draws" in seat.binding.reason
    assert "measure where the" in seat.binding.reason


def test_what_to_measure_better_is_what_is_known_worst():
    place = room((1.45, 3.6))
    loose = dataclasses.replace(front(), aim_tolerance_deg=4.0)
    verdict = judge_room(place, (loose,), HEADS, mends=False)
    assert verdict.seats[0].outcome is Outcome.UNDETERMINED  # the worst aim within 4 degrees loses it
    drawn = judge_draws(place, (loose,), HEADS, verdict)
    assert drawn.passed < 59
    assert drawn.measure == "aim"
    sure = judge_room(place, (front(tolerance=0.0),), HEADS, mends=False)
    desks = judge_draws(place, (front(tolerance=0.0),), HEADS, sure, survey=Survey(0.0, 0.0, 0.3, 0.0))
    assert desks.passed < 59
    assert desks.measure == "layout"


def test_without_errors_every_draw_is_the_room_as_stated():
    place, cameras = room((4.0, 3.3), (2.5, 3.3), (1.8, 3.6)), (front(tolerance=0.0),)
    verdict = judge_room(place, cameras, HEADS, mends=False)
    drawn = judge_draws(place, cameras, HEADS, verdict, draws=3, survey=NO_ERROR)
    assert drawn.passed == 3
    assert drawn.left_out == sum(seat.outcome is Outcome.FAIL for seat in verdict.seats)


def test_the_same_room_gives_the_same_draws():
    place, cameras = room((1.8, 3.6), (4.0, 3.3)), (front(tolerance=3.0),)
    assert assess_room(place, cameras, HEADS, draws=12) == assess_room(place, cameras, HEADS, draws=12)


def test_a_failing_seat_is_left_out_and_stays_a_failure():
    verdict = assess_room(room((4.0, 3.3), (0.8, 7.0)), (front(),), HEADS, mends=False, draws=5)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.draws is not None
    assert (verdict.draws.left_out, len(verdict.draws.targets)) == (1, 1)


def test_the_tolerance_of_a_turn_is_where_the_seat_is_lost():
    place, cameras = room((1.75, 3.3)), (front(tolerance=0.0),)
    verdict = judge_room(place, cameras, HEADS, mends=False)
    (tolerance,) = camera_tolerances(place, cameras, HEADS, verdict)
    assert tolerance.first_lost == "seat 01"
    assert tolerance.pan_deg is not None
    assert 0.1 < tolerance.pan_deg < 10
    # Turned a little less either way it passes; a little more, to one side it does not.
    assert outcomes(place, cameras[0], tolerance.pan_deg - 0.1) == {Outcome.PASS}
    assert Outcome.FAIL in outcomes(place, cameras[0], tolerance.pan_deg + 0.2)


def outcomes(place: Room, camera: Camera, pan_deg: float) -> set[Outcome]:
    turned = [nudged(camera, sign * pan_deg, 0.0, 0.0) for sign in (1, -1)]
    return {judge_room(place, (one,), HEADS, mends=False).outcome for one in turned}


def test_a_camera_that_another_stands_in_for_may_be_turned_freely():
    cameras = (front(), dataclasses.replace(front(name="twin"), position_m=(4.3, 7.8, 2.6)))
    place = room((4.0, 3.3))
    for one in camera_tolerances(place, cameras, HEADS, judge_room(place, cameras, HEADS, mends=False)):
        assert (one.depending, one.pan_deg, one.first_lost) == (0, None, None)


def test_what_a_tolerance_leaves_open_says_what_to_measure() -> None:
    loose = dataclasses.replace(front(), aim_tolerance_deg=4.0)
    verdict = assess_room(room((1.45, 3.6)), (loose,), HEADS, mends=False)
    (seat,) = verdict.seats
    assert (seat.outcome, seat.binding.cause) == (Outcome.UNDETERMINED, Cause.NOT_VERIFIED)
    assert "measure where the cameras aim better" in seat.binding.reason
    assert seat.binding.drawn is not None
    assert seat.binding.drawn.measure == "aim"


def test_neither_order_nor_company_changes_what_is_drawn() -> None:
    place = room((1.45, 3.6), (4.0, 3.3))
    first, second = front(tolerance=3.0), dataclasses.replace(front(name="side"), position_m=(6.0, 7.8, 2.6))
    drawn = assess_room(place, (first, second), HEADS, mends=False, draws=15).draws
    again = assess_room(
        dataclasses.replace(place, seats=place.seats[::-1]), (second, first), HEADS, mends=False, draws=15
    ).draws
    assert drawn is not None
    assert again is not None
    assert {one.id: one for one in drawn.targets} == {one.id: one for one in again.targets}
