"""Where a seat and a zone should appear in the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.lens import fit_lens, pinhole_lens
from kaozheng_coverage.outline import seat_box, seat_outline, zone_outline
from kaozheng_coverage.profile import Part
from kaozheng_coverage.projection import project
from kaozheng_coverage.room import Desk, Monitor, Seat, Zone, ZoneKind

DESK = Desk(1.3, 0.6, 0.75)
SEAT = Seat("17", (6.0, 5.0), 0.0, DESK, Monitor(0.54, 0.33, 0.80, 0.05, 0.20))
PINHOLE = pinhole_lens(1920, 1080, 80.0)
WIDE = fit_lens(1920, 1080, 106.4, 57.9, 124.6)
FISHEYE = fit_lens(2000, 2000, 185.0, 185.0)

in_room = st.tuples(st.floats(0.0, 12.0), st.floats(0.0, 8.4), st.floats(1.0, 3.1))
lenses = st.sampled_from([PINHOLE, WIDE, FISHEYE])


def camera(
    position: tuple[float, float, float], aim: tuple[float, float, float], lens=WIDE, roll=0.0
) -> Camera:
    return Camera("c", position, aim, lens, roll)


@pytest.mark.parametrize("lens", [PINHOLE, WIDE, FISHEYE])
def test_a_seat_straight_ahead_is_in_the_middle_and_symmetric(lens) -> None:
    seen = seat_outline(SEAT, camera((6.0, 8.0, 1.2), (6.0, 4.45, 1.2), lens))
    assert set(seen) == {Part.HEAD, Part.TORSO, Part.HANDS, Part.DESK}
    for outline in seen.values():
        left, right = outline[:, 0].min(), outline[:, 0].max()
        assert (left + right) / 2 == pytest.approx(lens.width_px / 2, abs=0.5)


def test_a_head_stands_above_its_torso_and_the_torso_above_the_desk() -> None:
    seen = seat_outline(SEAT, camera((6.0, 8.0, 1.6), (6.0, 4.5, 1.0)))
    head, torso, desk = (seen[part][:, 1].mean() for part in (Part.HEAD, Part.TORSO, Part.DESK))
    assert head < torso < desk


def test_a_head_is_as_large_as_its_distance_says() -> None:
    # Mean head height 0.2205 m at 3.85 m, head's middle at 0.44 + 0.8835 - 0.11 m: a pinhole looks straight at it.
    height_m, distance_m = 0.2205, 3.85
    middle_m = 0.44 + 0.8835 - height_m / 2
    seen = seat_outline(SEAT, camera((6.0, 4.45 + distance_m, middle_m), (6.0, 4.45, middle_m), PINHOLE))
    assert np.ptp(seen[Part.HEAD][:, 1]) == pytest.approx(PINHOLE.focal_px * height_m / distance_m, rel=0.01)


def test_the_desk_top_is_the_projected_desk_top() -> None:
    eye = camera((1.0, 8.0, 2.9), (6.0, 4.5, 0.8))
    corners = project(
        eye, np.array([[x, y, 0.75] for x, y in ((5.35, 4.7), (6.65, 4.7), (6.65, 5.3), (5.35, 5.3))])
    )
    drawn = shapely.Polygon(seat_outline(SEAT, eye)[Part.DESK])
    exact = shapely.Polygon(corners)
    assert shapely.symmetric_difference(drawn, exact).area < 0.03 * exact.area


def test_a_wide_lens_bends_the_edge_of_a_near_desk() -> None:
    near = Seat("1", (6.0, 5.0), 0.0, Desk(3.0, 0.6, 0.75), None)
    bent = seat_outline(near, camera((6.0, 6.3, 2.0), (6.0, 5.6, 2.0 - 0.2), WIDE))[Part.DESK]
    straight = seat_outline(near, camera((6.0, 6.3, 2.0), (6.0, 5.6, 2.0 - 0.2), PINHOLE))[Part.DESK]
    assert len(straight) <= 6 < len(bent)


def test_a_seat_behind_the_camera_is_not_drawn() -> None:
    eye = camera((6.0, 3.0, 2.0), (6.0, 0.5, 1.0), PINHOLE)
    assert seat_outline(SEAT, eye) == {}
    assert seat_box(SEAT, eye) is None


def test_parts_outside_the_picture_are_left_out_and_parts_on_its_border_are_not_cut() -> None:
    # Aimed so high that the picture's lower border runs through the head.
    seen = seat_outline(SEAT, camera((6.0, 8.0, 1.2), (6.0, 4.45, 2.85), PINHOLE))
    assert set(seen) == {Part.HEAD}
    assert seen[Part.HEAD][:, 1].min() < PINHOLE.height_px < seen[Part.HEAD][:, 1].max()


@settings(max_examples=150, deadline=None)
@given(position=in_room, aim=in_room, lens=lenses, roll=st.floats(-180, 180), bearing=st.floats(0, 360))
def test_the_box_holds_every_outline_and_lies_in_the_picture(position, aim, lens, roll, bearing) -> None:
    if math.dist(position, aim) < 0.05:
        return
    seat = Seat("1", (6.0, 4.2), bearing, DESK, None)
    eye = camera(position, aim, lens, roll)
    seen, box = seat_outline(seat, eye), seat_box(seat, eye)
    if box is None:
        assert seen == {}
        return
    left, top, right, bottom = box
    assert 0 <= left <= right <= lens.width_px
    assert 0 <= top <= bottom <= lens.height_px
    for outline in seen.values():
        assert np.isfinite(outline).all()
        assert len(outline) >= 3
        x = np.clip(outline[:, 0], 0, lens.width_px)
        y = np.clip(outline[:, 1], 0, lens.height_px)
        assert x.min() >= left - 0.5
        assert x.max() <= right + 0.5
        assert y.min() >= top - 0.5
        assert y.max() <= bottom + 0.5


@settings(max_examples=60, deadline=None)
@given(x=st.floats(1.0, 11.0), y=st.floats(5.5, 8.0), z=st.floats(1.5, 3.1))
def test_a_mirrored_room_gives_the_mirrored_outline(x, y, z) -> None:
    seen = seat_box(SEAT, camera((x, y, z), (6.0, 4.5, 0.9)))
    mirrored = seat_box(SEAT, camera((12.0 - x, y, z), (6.0, 4.5, 0.9)))
    assert seen is not None
    assert mirrored is not None
    assert mirrored == pytest.approx((1920 - seen[2], seen[1], 1920 - seen[0], seen[3]), abs=0.5)


def test_a_volume_is_drawn_from_its_floor_to_its_top() -> None:
    door = Zone("door", ZoneKind.DOOR, ((11.6, 6.2), (12.0, 6.2), (12.0, 7.2), (11.6, 7.2)), 0.0, 2.0, None)
    eye = camera((0.25, 0.25, 2.9), (6.8, 4.6, 0.9))
    drawn = zone_outline(door, eye)
    corners = project(eye, np.array([[x, y, z] for x, y in door.polygon for z in (0.0, 2.0)]))
    assert drawn.min(axis=0) == pytest.approx(corners.min(axis=0), abs=0.5)
    assert drawn.max(axis=0) == pytest.approx(corners.max(axis=0), abs=0.5)


def test_a_flat_zone_is_its_top_surface() -> None:
    table = ((9.4, 7.2), (10.2, 7.2), (10.2, 7.7), (9.4, 7.7))
    zone = Zone("answers", ZoneKind.ANSWER_SEALING, table, 1.1, 1.2, None)
    eye = camera((0.25, 0.25, 2.9), (9.8, 7.4, 1.2), PINHOLE)
    exact = shapely.Polygon(project(eye, np.array([[x, y, 1.2] for x, y in table])))
    drawn = shapely.Polygon(zone_outline(zone, eye))
    assert shapely.symmetric_difference(drawn, exact).area < 0.03 * exact.area


def test_a_zone_with_an_inner_corner_keeps_it() -> None:
    angle = ((4.0, 6.0), (8.0, 6.0), (8.0, 7.0), (5.0, 7.0), (5.0, 8.0), (4.0, 8.0))
    zone = Zone("wait", ZoneKind.WAITING, angle, 0.0, 0.4, None)
    eye = camera((6.0, 7.0, 3.1), (6.0, 7.01, 0.0), fit_lens(1920, 1080, 100.0, 100.0 * 9 / 16))
    drawn = shapely.Polygon(zone_outline(zone, eye))
    assert drawn.area < 0.9 * drawn.convex_hull.area


def test_a_zone_out_of_view_is_empty() -> None:
    zone = Zone("door", ZoneKind.DOOR, ((11.6, 6.2), (12.0, 6.2), (12.0, 7.2), (11.6, 7.2)), 0.0, 2.0, None)
    assert zone_outline(zone, camera((6.0, 3.0, 2.0), (0.0, 0.5, 1.0), PINHOLE)).shape == (0, 2)


def test_a_camera_inside_a_zone_still_draws_what_lies_ahead() -> None:
    zone = Zone("room", ZoneKind.MARKING, ((0.0, 0.0), (12.0, 0.0), (12.0, 8.0), (0.0, 8.0)), 0.0, 3.0, None)
    drawn = shapely.Polygon(zone_outline(zone, camera((1.0, 1.0, 2.5), (8.0, 6.0, 1.0), PINHOLE)))
    assert drawn.contains(shapely.Point(960, 540))
