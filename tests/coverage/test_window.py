"""The picture's border on a plane, against points that are projected one by one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.distortion import LensModel
from kaozheng_coverage.errors import LensError
from kaozheng_coverage.lens import Lens, calibrated_lens, fit_lens, pinhole_lens
from kaozheng_coverage.projection import in_picture
from kaozheng_coverage.room import Desk, Seat, Zone, ZoneKind
from kaozheng_coverage.shadows import solids_of
from kaozheng_coverage.sight import Vantage, patches_of
from kaozheng_coverage.window import border_px
from scipy.spatial.transform import Rotation

SIZE = (1000, 1000)
# One row of a 60 x 60 grid of points is what a border through the patch may misjudge.
SAMPLING_ERROR = 0.035


def fisheye(full_angle_deg: float, circle_deg: float | None = None) -> Lens:
    """An f-theta lens whose horizontal picture spans the angle."""
    focal_px = SIZE[0] / np.radians(full_angle_deg)
    circle = None if circle_deg is None else float(np.radians(circle_deg) / 2)
    centre = (SIZE[0] / 2, SIZE[1] / 2)
    return Lens(LensModel.F_THETA, float(focal_px), centre, *SIZE, image_circle_rad=circle)


def shown(camera: Camera, target: Seat | Zone) -> list[tuple[float, float]]:
    """(the engine's fraction, the sampled one) in the picture, for each part with one patch, nothing in the way."""
    glimpses = Vantage(camera.position_m, solids_of(())).glimpses(camera, target)
    found = []
    for part, patches in patches_of(target, np.asarray(camera.position_m)).items():
        if len(patches) > 1:
            continue
        (patch,) = patches
        left, low, right, high = patch.outline.bounds
        share = (np.arange(60) + 0.5) / 60
        grid = np.stack(np.meshgrid(left + share * (right - left), low + share * (high - low)), axis=-1)
        points = grid.reshape(-1, 2)
        points = points[shapely.contains_xy(patch.outline, points)]
        found.append((glimpses[part].visible, float(in_picture(camera, patch.to_room(points)).mean())))
    return found


SPOTS = st.tuples(st.floats(0.3, 7.7), st.floats(0.3, 7.7), st.floats(1.2, 3.1))


@settings(max_examples=150, deadline=None)
@given(
    spot=SPOTS,
    aim=SPOTS,
    angle=st.sampled_from((100.0, 150.0, 178.0, 185.0, 220.0)),
    circle=st.sampled_from((None, 120.0, 170.0, 190.0)),
)
def test_what_a_wide_picture_holds_is_what_its_points_say(spot, aim, angle, circle):
    if np.linalg.norm(np.subtract(spot, aim)) < 0.2:
        return
    camera = Camera("c", spot, aim, fisheye(angle, circle), aim_tolerance_deg=0.0)
    seat = Seat("01", (4.0, 4.0), 0.0, Desk(3.0, 2.0, 0.75), None)
    floor = Zone("wait", ZoneKind.WAITING, ((1, 1), (7, 1), (7, 7), (1, 7)), 0.0, 0.1, None)
    for exact, sampled in (*shown(camera, seat), *shown(camera, floor)):
        assert exact == pytest.approx(sampled, abs=SAMPLING_ERROR)


@settings(max_examples=100, deadline=None)
@given(
    spot=SPOTS,
    aim=SPOTS,
    model=st.sampled_from((LensModel.BROWN_CONRADY, LensModel.KANNALA_BRANDT)),
    focal_px=st.floats(260.0, 1200.0),
    first=st.floats(-0.35, 0.3),
    second=st.floats(-0.02, 0.05),
)
def test_what_a_distorted_picture_holds_is_what_its_points_say(spot, aim, model, focal_px, first, second):
    if np.linalg.norm(np.subtract(spot, aim)) < 0.2:
        return
    tangential = (0.001, -0.0005) if model is LensModel.BROWN_CONRADY else ()
    try:
        lens = calibrated_lens(
            model, *SIZE, (focal_px, focal_px * 1.01), (507.0, 490.0), (first, second, *tangential)
        )
    except LensError:
        return  # not the numbers of a lens
    camera = Camera("c", spot, aim, lens, aim_tolerance_deg=0.0)
    seat = Seat("01", (4.0, 4.0), 0.0, Desk(3.0, 2.0, 0.75), None)
    floor = Zone("wait", ZoneKind.WAITING, ((1, 1), (7, 1), (7, 7), (1, 7)), 0.0, 0.1, None)
    for exact, sampled in (*shown(camera, seat), *shown(camera, floor)):
        assert exact == pytest.approx(sampled, abs=SAMPLING_ERROR)


def test_a_ceiling_fisheye_sees_the_whole_desk_below_it():
    camera = Camera("c", (4.0, 4.0, 3.0), (4.0, 4.0, 0.0), fisheye(185.0, 185.0), aim_tolerance_deg=0.0)
    desk = Seat("01", (4.2, 4.1), 0.0, Desk(1.2, 0.6, 0.75), None)
    assert all(exact == pytest.approx(1.0, abs=1e-6) for exact, _ in shown(camera, desk))


def test_beyond_the_image_circle_there_is_no_picture():
    wide = fisheye(180.0)
    narrow = dataclasses.replace(wide, image_circle_rad=float(np.radians(40.0)))
    beside = np.array([[np.sin(np.radians(60.0)), 0.0, np.cos(np.radians(60.0))]])
    assert np.isfinite(wide.project(beside)).all()
    assert np.isnan(narrow.project(beside)).all()


TOLERANT = {
    "narrow pinhole": pinhole_lens(1920, 1080, 60.0),
    "wide pinhole": pinhole_lens(1920, 1080, 90.0),
    "f-theta": dataclasses.replace(fit_lens(1920, 1080, 106.4, 57.9, 124.6), spread=0.0),
    "fisheye": fisheye(185.0, 185.0),
    "kannala-brandt": calibrated_lens(
        LensModel.KANNALA_BRANDT,
        2048,
        2048,
        (640.0, 642.0),
        (1030.0, 1015.0),
        (0.012, -0.004, 0.0012, -0.00005),
    ),
}


@pytest.mark.parametrize("name", list(TOLERANT))
@pytest.mark.parametrize("tolerance_deg", [1.0, 3.0, 8.0])
def test_what_the_least_picture_holds_is_in_it_however_the_aim_is_off(
    name: str, tolerance_deg: float
) -> None:
    lens = TOLERANT[name]
    least = shapely.Polygon(border_px(lens, np.radians(tolerance_deg)))
    assert least.is_valid
    size = (lens.width_px, lens.height_px)
    pixels = np.random.default_rng(7).uniform((0, 0), size, (3000, 2))
    kept = pixels[shapely.contains_xy(least, pixels)]
    assert len(kept) > 500
    rays = lens.unproject(kept)
    for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        axis = np.array([np.cos(turn), np.sin(turn), 0.0])
        off = Rotation.from_rotvec(axis * np.radians(tolerance_deg))
        assert lens.inside(lens.project(off.apply(rays))).all()
