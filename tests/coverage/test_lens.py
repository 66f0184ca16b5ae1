"""Lenses: known datasheets, and the way from directions to pixels and back."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.distortion import LensModel
from kaozheng_coverage.errors import LensError
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.lens import Lens, calibrated_lens, fit_lens, pinhole_lens
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.projection import pixel_density
from kaozheng_coverage.room import Desk, Room, Seat
from kaozheng_coverage.verdict import Outcome

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "lens.csv"
SHORT, WIDE = (1920, 1080), (2048, 2048)
# A 2.8 mm lens as OpenCV calibrates it, with all eight coefficients; one that is fitted to the middle only and folds
# in the corners; a fisheye, and one whose radius falls again from 60 degrees on.
LENSES = {
    "pinhole": Lens(LensModel.PINHOLE, 900.0, (960.0, 540.0), *SHORT),
    "f-theta": Lens(LensModel.F_THETA, 900.0, (960.0, 540.0), *SHORT),
    "brown-conrady": calibrated_lens(
        LensModel.BROWN_CONRADY,
        *SHORT,
        (1150.0, 1148.0),
        (972.5, 531.5),
        (0.2, 0.01, 0.0011, -0.0007, 0.0, 0.53, 0.05, 0.0),
    ),
    "brown-conrady, folding": calibrated_lens(
        LensModel.BROWN_CONRADY, *SHORT, (900.0, 905.0), (955.0, 545.0), (-0.36, 0.11, 0.0004, 0.0003, -0.03)
    ),
    "kannala-brandt": calibrated_lens(
        LensModel.KANNALA_BRANDT, *WIDE, (640.0, 642.0), (1030.0, 1015.0), (0.012, -0.004, 0.0012, -0.00005)
    ),
    "kannala-brandt, folding": calibrated_lens(
        LensModel.KANNALA_BRANDT, *WIDE, (900.0, 900.0), (1024.0, 1024.0), (-0.3,)
    ),
}
MODELS = st.sampled_from([LensModel.PINHOLE, LensModel.F_THETA])
ANY_LENS = st.sampled_from(list(LENSES))


def distance_m(lens: Lens, px_per_m: float) -> float:
    """The farthest distance on the axis at which a patch that faces the camera still has this density."""
    camera = Camera("c", (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), lens)
    facing = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    near, far = 0.01, 1000.0
    for _ in range(60):
        middle = (near + far) / 2
        dense = pixel_density(camera, np.array([[0.0, middle, 0.0]]), facing)[0] >= px_per_m
        near, far = (middle, far) if dense else (near, middle)
    return near


def test_the_known_lenses(need):
    need(CASES.is_file(), "the shared cases beside the project")
    with CASES.open(encoding="utf-8") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) >= 6
    for case in cases:
        angles = [float(case[name]) if case[name] else None for name in ("hfov_deg", "vfov_deg", "dfov_deg")]
        lens = fit_lens(int(case["width_px"]), int(case["height_px"]), *angles)
        if case["quantity"] == "lens_model":
            assert lens.model.value in case["expected"].split("-or-"), case["case"]
        elif case["quantity"].startswith("distance_at_"):
            density = float(case["quantity"].removeprefix("distance_at_").removesuffix("_px_per_m"))
            expected, tolerance = float(case["expected"]), float(case["tolerance"])
            assert distance_m(lens, density) == pytest.approx(expected, abs=tolerance), case["case"]
        else:
            pytest.fail(f"a quantity that this test does not know: {case['quantity']}")


def test_a_wide_lens_is_f_theta_because_its_angles_say_so():
    lens = fit_lens(1920, 1080, 106.4, 57.9, 124.6)
    assert lens.model is LensModel.F_THETA
    assert 0.04 < lens.spread < 0.07


def test_angles_that_fit_no_lens_are_refused():
    with pytest.raises(LensError, match="fit no lens"):
        fit_lens(1920, 1080, 106.4, 20.0, 124.6)


def test_a_density_on_the_axis_is_focal_length_over_distance():
    lens = fit_lens(1920, 1080, 90.0)
    assert distance_m(lens, 100.0) == pytest.approx(lens.focal_px / 100.0, rel=1e-6)


@given(MODELS, st.floats(300, 3000), st.floats(-0.9, 0.9), st.floats(-0.5, 0.5))
def test_a_pixel_leads_back_to_the_direction_it_came_from(model, focal_px, right, down):
    lens = Lens(model, focal_px, (960.0, 540.0), 1920, 1080)
    ray = np.array([[right, down, 1.0]])
    pixels = lens.project(ray)
    back = lens.unproject(pixels)
    assert back[0] == pytest.approx(ray[0] / np.linalg.norm(ray), abs=1e-9)


@given(MODELS, st.floats(-1.2, 1.2), st.floats(-0.8, 0.8), st.floats(0.5, 20))
def test_the_jacobian_is_the_derivative_of_the_projection(model, right, down, depth):
    lens = Lens(model, 900.0, (960.0, 540.0), 1920, 1080)
    point = np.array([[right * depth, down * depth, depth]])
    step = 1e-6 * depth
    for axis in range(3):
        moved = np.zeros((1, 3))
        moved[0, axis] = step
        slope = (lens.project(point + moved) - lens.project(point - moved))[0] / (2 * step)
        assert lens.jacobian(point)[0, :, axis] == pytest.approx(slope, rel=1e-4, abs=1e-4 * 900 / depth)


def test_the_horizontal_angle_is_kept():
    for angles in ((68.0,), (106.4, 57.9, 124.6), (51.9, 30.0, 58.8)):
        assert fit_lens(1920, 1080, *angles).hfov_deg == pytest.approx(angles[0], rel=0.06)


def test_nothing_is_seen_behind_a_pinhole():
    lens = fit_lens(1920, 1080, 68.0)
    assert np.isnan(lens.project(np.array([[0.0, 0.0, -1.0]]))).all()
    assert not math.isnan(lens.project(np.array([[0.0, 0.0, 1.0]]))[0, 0])


@given(ANY_LENS, st.floats(0, 1), st.floats(0, 1))
def test_every_pixel_of_the_picture_leads_back_to_itself(name, across, down):
    lens = LENSES[name]
    pixel = np.array([[across * lens.width_px, down * lens.height_px]])
    ray = lens.unproject(pixel)
    if np.isnan(ray).any() or math.acos(min(1.0, ray[0, 2])) >= lens.limit_rad:
        assert "folding" in name  # black: no direction is imaged there
        return
    assert lens.project(ray)[0] == pytest.approx(pixel[0], abs=1e-6)


@given(ANY_LENS, st.floats(0, math.pi), st.floats(0, 2 * math.pi), st.floats(0.1, 30))
def test_a_direction_projects_once_or_not_at_all(name, theta, around, far):
    lens = LENSES[name]
    side = math.sin(theta)
    ray = np.array([[side * math.cos(around), side * math.sin(around), math.cos(theta)]])
    pixel = lens.project(far * ray)
    if np.isnan(pixel).any():
        return
    assert theta < lens.limit_rad
    back = lens.unproject(pixel)[0]
    if lens.inside(pixel)[0]:
        assert back == pytest.approx(ray[0], abs=1e-6)
        assert lens.project(back[None])[0] == pytest.approx(pixel[0], abs=1e-6)


@given(ANY_LENS, st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.5, 20))
def test_the_jacobian_of_every_lens_is_its_derivative(name, across, down, depth):
    lens = LENSES[name]
    point = lens.unproject(np.array([[across * lens.width_px, down * lens.height_px]])) * depth
    if np.isnan(lens.project(point)).any():
        return
    step = 1e-6 * depth
    for axis in range(3):
        moved = np.zeros((1, 3))
        moved[0, axis] = step
        slope = (lens.project(point + moved) - lens.project(point - moved))[0] / (2 * step)
        if np.isnan(slope).any():
            return  # at the very limit
        assert lens.jacobian(point)[0, :, axis] == pytest.approx(slope, rel=1e-3, abs=1e-3 * 900 / depth)


@pytest.mark.parametrize("name", ["brown-conrady", "kannala-brandt"])
def test_the_picture_is_where_opencv_puts_it(name):
    lens = LENSES[name]
    rays = lens.unproject(np.random.default_rng(1).uniform((0, 0), (lens.width_px, lens.height_px), (500, 2)))
    rays = rays[rays[:, 2] > 0.1]
    # OpenCV counts from the middle of the top left pixel, kaozheng from its corner.
    centre_x, centre_y = lens.centre_px[0] - 0.5, lens.centre_px[1] - 0.5
    matrix = np.array([[lens.focal_px, 0, centre_x], [0, lens.focal_px * lens.aspect, centre_y], [0, 0, 1.0]])
    nothing, coefficients = np.zeros(3), np.array(lens.coefficients)
    if name == "kannala-brandt":
        theirs, _ = cv2.fisheye.projectPoints(rays[:, None], nothing, nothing, matrix, coefficients)
    else:
        theirs, _ = cv2.projectPoints(rays, nothing, nothing, matrix, coefficients)
    assert lens.project(rays) - 0.5 == pytest.approx(theirs[:, 0], abs=1e-6)


def test_beyond_the_fold_nothing_is_imaged_a_second_time():
    for name in ("brown-conrady, folding", "kannala-brandt, folding"):
        lens = LENSES[name]
        assert lens.image_circle_rad is not None
        assert "fold back" in lens.note
        angles = np.linspace(lens.image_circle_rad + 1e-6, math.pi, 400)
        rays = np.stack([np.sin(angles), np.zeros(400), np.cos(angles)], axis=1)
        assert np.isnan(lens.project(rays)).all()


@pytest.mark.parametrize(
    ("model", "focals", "centre", "coefficients", "said"),
    [
        (LensModel.BROWN_CONRADY, (900, 900), (960, 540), (0.1,) * 9, "at most 8"),
        (LensModel.KANNALA_BRANDT, (900, 900), (960, 540), (0.1,) * 5, "at most 4"),
        (LensModel.PINHOLE, (0.0, 900), (960, 540), (), "fx and fy"),
        (LensModel.PINHOLE, (900, 900), (2960, 540), (), "outside the picture"),
        (LensModel.BROWN_CONRADY, (900, 900), (960, 540), (math.nan,), "no finite number"),
        (LensModel.BROWN_CONRADY, (900, 900), (960, 540), (0.0, 0.0, 5.0, 5.0), "fit no brown-conrady lens"),
    ],
)
def test_a_calibration_that_is_no_lens_is_refused(model, focals, centre, coefficients, said):
    with pytest.raises(LensError, match=said):
        calibrated_lens(model, 1920, 1080, focals, centre, coefficients)


def test_from_the_horizontal_angle_alone_the_model_stays_open():
    wide, narrow = fit_lens(1920, 1080, 106.4), fit_lens(1920, 1080, 30.0)
    assert wide.spread == pytest.approx(math.tan(math.radians(53.2)) / math.radians(53.2) - 1, rel=1e-6)
    assert narrow.spread < 0.03 < 0.4 < wide.spread
    assert "state vfov and dfov" in wide.note
    assert pinhole_lens(1920, 1080, 106.4).spread == 0.0


def test_a_pass_never_rests_on_an_assumed_model():
    """A seat that a pinhole of 106 degrees shows at the lower edge, and an f-theta lens of that angle does not."""
    rules = Profile("heads", 1, "of this test", {Part.HEAD: Rule(Level.DETECT, 0.9)}, {})
    seat = Seat("01", (4.0, 6.6), 0.0, Desk(1.2, 0.6, 0.75), None)
    room = Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (), (seat,), ())
    outcomes = {}
    for name, lens in {
        "pinhole": pinhole_lens(1920, 1080, 106.4),
        "f-theta": fit_lens(1920, 1080, 106.4, 57.9, 124.6),
        "assumed": fit_lens(1920, 1080, 106.4),
    }.items():
        eye = Camera("c", (4.0, 7.8, 2.8), (4.0, 4.2, 1.5), lens, aim_tolerance_deg=0.0)
        outcomes[name] = judge_room(room, (eye,), rules, mends=False).outcome
    assert outcomes["pinhole"] is Outcome.PASS
    assert outcomes["f-theta"] is not Outcome.PASS
    assert outcomes["assumed"] is Outcome.UNDETERMINED
