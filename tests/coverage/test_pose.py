"""A camera's pose as numbers: changed, compared, and drawn from what a calibration leaves open."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.adjust import hung, turned, with_hfov
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.lens import fit_lens
from kaozheng_coverage.nudge import nudged
from kaozheng_coverage.pose import change_between, changed, drawn_change, posed, turn, with_covariance
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.projection import axes
from kaozheng_coverage.robustness import Survey, judge_draws
from kaozheng_coverage.room import Desk, Room, Seat
from kaozheng_coverage.verdict import Outcome

LENS = fit_lens(1920, 1080, 106.4, 57.9, 124.6)
CAMERA = Camera("c", (0.3, 8.1, 2.9), (7.0, 2.5, 0.9), LENS, roll_deg=1.5)
HEADS = Profile("heads", 1, "of this test", {Part.HEAD: Rule(Level.DETECT, 0.9)}, {})
NO_ERROR = Survey(0.0, 0.0, 0.0, 0.0)

small = st.floats(-0.3, 0.3)
changes = st.tuples(*[small] * 7).map(np.array)


def covariance(position_m: float, aim_deg: float, roll_deg: float, focal: float) -> np.ndarray:
    aim, roll = math.radians(aim_deg), math.radians(roll_deg)
    return np.diag([position_m, position_m, position_m, aim, aim, roll, focal]) ** 2


@settings(max_examples=60, deadline=None)
@given(changes)
def test_a_change_is_found_again_between_the_two_cameras(change):
    assert change_between(CAMERA, changed(CAMERA, change)) == pytest.approx(change, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_a_pose_is_that_of_its_own_axes_also_straight_down(change):
    for camera in (CAMERA, dataclasses.replace(CAMERA, aim_m=(0.3, 8.1, 0.0))):
        other = changed(camera, change)
        again = posed(camera, np.asarray(other.position_m), axes(other))
        assert axes(again) == pytest.approx(axes(other), abs=1e-12)
        assert math.dist(again.aim_m, other.aim_m) < 1e-9


def test_the_three_angles_are_tilt_pan_and_roll_about_the_pictures_own_axes():
    one = math.radians(1.0)
    up = changed(CAMERA, np.array([0, 0, 0, -one, 0, 0, 0]))
    right = changed(CAMERA, np.array([0, 0, 0, 0, -one, 0, 0]))
    assert axes(up)[2] == pytest.approx(axes(nudged(CAMERA, 0.0, 1.0, 0.0))[2], abs=1e-6)
    assert axes(right)[2] == pytest.approx(axes(nudged(CAMERA, 1.0, 0.0, 0.0))[2], abs=1e-6)
    rolled = changed(CAMERA, np.array([0, 0, 0, 0, 0, one, 0]))
    assert rolled.roll_deg == pytest.approx(CAMERA.roll_deg + 1.0)
    longer = changed(CAMERA, np.array([0, 0, 0, 0, 0, 0, math.log(1.02)]))
    assert longer.lens.focal_px == pytest.approx(1.02 * LENS.focal_px)


def test_a_turn_by_half_a_turn_is_told_too():
    assert change_between(
        CAMERA, posed(CAMERA, np.asarray(CAMERA.position_m), turn([0, 0, 3.1]) @ axes(CAMERA))
    )[5] == pytest.approx(3.1)


def test_the_tolerances_of_a_verdict_are_two_standard_deviations():
    camera = with_covariance(CAMERA, covariance(0.02, 0.1, 0.2, 0.004))
    assert camera.aim_tolerance_deg == pytest.approx(0.2)
    assert camera.lens.spread == pytest.approx(0.004 * math.sqrt(12))


def test_a_calibrated_camera_that_is_touched_is_as_well_known_as_by_hand():
    camera = with_covariance(with_covariance(CAMERA, covariance(0.02, 0.1, 0.2, 0.004)), np.eye(7) * 1e-8)
    stated = (CAMERA.aim_tolerance_deg, CAMERA.lens.spread, None)
    wider = with_hfov(camera, 80)
    for touched in (turned(camera, 5, 0), wider, hung(camera, "new", (1, 1, 2.5), (4, 4, 1), 0)):
        assert (touched.aim_tolerance_deg, touched.lens.spread, touched.pose_covariance) == stated


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        (np.eye(6), "7 rows of 7"),
        (np.full((7, 7), math.nan), "7 rows of 7"),
        (np.diag([1.0, 1, 1, 1, 1, 1, -1]), "no covariance"),
        (np.ones((7, 7)) * 2 - np.eye(7), "no covariance"),
    ],
)
def test_what_is_no_covariance_is_refused(matrix, why):
    with pytest.raises(CoverageError, match=why):
        with_covariance(CAMERA, matrix)


def test_draws_have_the_covariance_they_are_drawn_from():
    random = np.random.default_rng(7)
    mix = random.normal(0.0, 1.0, (7, 7)) * np.array([[0.02] * 3 + [0.002] * 3 + [0.004]]).T
    camera = with_covariance(CAMERA, mix @ mix.T)
    assert camera.pose_covariance is not None
    drawn = np.array([drawn_change("c", camera.pose_covariance, random) for _ in range(4000)])
    scale = np.sqrt(np.diag(mix @ mix.T))
    assert np.abs((np.cov(drawn.T) - mix @ mix.T) / np.outer(scale, scale)).max() < 0.1


def test_a_calibrated_camera_is_drawn_from_its_own_covariance():
    """A seat near the border: lost with the aim as surveyed to two degrees, kept with an aim that cards measured."""
    desk = Desk(1.2, 0.6, 0.75)
    place = Room(
        "r", "r", ((0, 0), (8, 0), (8, 8.4), (0, 8.4)), 3.2, (), (Seat("1", (1.0, 6.4), 0.0, desk, None),), ()
    )
    stated = Camera("c", (4.0, 8.2, 2.6), (4.0, 3.0, 1.1), LENS, aim_tolerance_deg=0.0)
    aims = (dataclasses.replace(stated, aim_m=(x / 20, 3.0, 1.1)) for x in range(80, 160))
    last = None
    for camera in aims:
        if judge_room(place, (camera,), HEADS, mends=False).outcome is not Outcome.PASS:
            break
        last = camera
    assert last is not None
    last = nudged(last, -0.7, 0.0, 0.0)

    def passed(matrix: np.ndarray) -> tuple[int, str | None]:
        camera = dataclasses.replace(with_covariance(last, matrix), aim_tolerance_deg=0.0)
        verdict = judge_room(place, (camera,), HEADS, mends=False)
        draws = judge_draws(place, (camera,), HEADS, verdict, draws=30, survey=NO_ERROR)
        return draws.passed, draws.measure

    assert passed(covariance(0.0, 0.05, 0.05, 0.0)) == (30, None)
    few, blamed = passed(covariance(0.0, 2.0, 0.05, 0.0))
    assert few < 30
    assert blamed == "aim"
