"""Lenses: known datasheets, and the way from directions to pixels and back."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.errors import LensError
from kaozheng_coverage.lens import Lens, LensModel, fit_lens
from kaozheng_coverage.projection import pixel_density

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "lens.csv"
MODELS = st.sampled_from(list(LensModel))


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
