"""Maps of what is seen and predicted views: true numbers under the drawing, well-formed, readable without colour."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from kaozheng_coverage import map_svg
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.floor_map import FloorMap, floor_map
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.map_svg import blind_svg, density_svg
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.room import Desk, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.view_svg import view_svg

LENS = pinhole_lens(1920, 1080, 90.0)
# A wall to the ceiling that cuts off the right third of the room, and one camera to its left.
PARTITION = Prism("partition", ((8.0, 0.0), (8.1, 0.0), (8.1, 8.0), (8.0, 8.0)), 0.0, 3.2)
RULES = Profile(
    "heads", 1, "of this test", {Part.HEAD: Rule(Level.OBSERVE, 0.9)}, {"door": Rule(Level.DETECT, 0.6)}
)


def room(*obstacles: Prism) -> Room:
    desk = Desk(1.2, 0.6, 0.75)
    seats = (Seat("01", (4.0, 4.0), 0.0, desk, None), Seat("02", (10.0, 4.0), 0.0, desk, None))
    door = Zone("d&r", ZoneKind.DOOR, ((0.0, 6.0), (0.5, 6.0), (0.5, 7.0), (0.0, 7.0)), 0.0, 2.0, None)
    return Room("r", "机房<1>", ((0, 0), (12, 0), (12, 8), (0, 8)), 3.2, obstacles, seats, (door,))


CAMERA = Camera("a", (0.2, 4.0, 2.8), (6.0, 4.0, 1.0), LENS, aim_tolerance_deg=0.0)


def at(seen: FloorMap, x: float, y: float) -> int:
    return int(np.linalg.norm(seen.centres - (x, y), axis=1).argmin())


def test_behind_a_wall_nothing_is_seen_and_in_front_what_the_lens_gives():
    seen = floor_map(room(PARTITION), (CAMERA,))
    assert seen.cameras[at(seen, 10.0, 2.0)] == 0
    assert seen.px_per_m[at(seen, 10.0, 2.0)] == 0.0
    spot = at(seen, 5.0, 5.5)
    assert seen.cameras[spot] == 1
    # On a surface that faces the camera: focal length over depth, foreshortened by looking down on it, and no more.
    x, y = seen.centres[spot]
    depth = np.hypot(x - 0.2, y - 4.0)
    assert seen.px_per_m[spot] == pytest.approx(LENS.focal_px / depth, rel=0.35)
    assert seen.solid[at(seen, 8.05, 4.0)]


def test_two_cameras_are_counted_and_the_sharper_one_is_told():
    near = dataclasses.replace(CAMERA, id="b", position_m=(5.0, 7.8, 2.8), aim_m=(5.0, 4.0, 1.0))
    one, two = floor_map(room(), (CAMERA,)), floor_map(room(), (CAMERA, near))
    assert (two.cameras >= one.cameras).all()
    assert (two.px_per_m >= one.px_per_m).all()
    assert two.cameras[at(two, 5.0, 5.5)] == 2


def test_the_cells_cover_the_floor_of_a_room_of_any_shape():
    corner = dataclasses.replace(
        room(), boundary=((0, 0), (12, 0), (12, 4), (6, 4), (6, 8), (0, 8)), seats=(), zones=()
    )
    seen = floor_map(corner, ())
    assert len(seen.centres) * seen.cell_m**2 == pytest.approx(72.0, rel=0.03)
    assert (seen.cameras == 0).all()


@pytest.mark.parametrize("draw", [density_svg, blind_svg])
def test_a_map_is_well_formed_repeatable_and_says_its_height(draw):
    place = room(PARTITION)
    seen = floor_map(place, (CAMERA,))
    text = draw(place, (CAMERA,), seen)
    ET.fromstring(text)  # noqa: S314 - our own drawing
    assert text == draw(place, (CAMERA,), seen)
    assert "1.15 m" in text
    assert "url(#blind)" in text


def test_the_blind_share_is_printed():
    place = room(PARTITION)
    seen = floor_map(place, (CAMERA,))
    share = float((seen.cameras[~seen.solid] == 0).mean())
    assert 0.3 < share < 0.6
    assert f"盲区占{share:.1%}" in blind_svg(place, (CAMERA,), seen)


@pytest.mark.parametrize("bands", [map_svg._DENSITY, map_svg._COUNTS])
def test_without_colour_the_bands_keep_their_order(bands):
    """Luminance (ITU-R BT.709) falls from band to band by steps that a printer shows."""
    greys = []
    for _, band in bands:
        if band.fill.startswith("#"):
            red, green, blue = (int(band.fill[index : index + 2], 16) for index in (1, 3, 5))
            greys.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    steps = -np.diff(greys)
    assert (steps >= 15).all()


def test_a_view_outlines_every_seat_it_holds_with_its_verdict():
    place = room()
    verdict = judge_room(place, (CAMERA,), RULES, mends=False)
    text = view_svg(place, CAMERA, verdict)
    ET.fromstring(text)  # noqa: S314 - our own drawing
    assert set(re.findall(r'data-seat="(\d+)"', text)) == {"01", "02"}
    assert text == view_svg(place, CAMERA, verdict)
    assert "预计画面" in text
    away = dataclasses.replace(CAMERA, aim_m=(0.2, 7.9, 2.8))
    assert "data-seat" not in view_svg(place, away, judge_room(place, (away,), RULES, mends=False))


def test_a_view_without_a_verdict_still_draws():
    ET.fromstring(view_svg(room(PARTITION), CAMERA))  # noqa: S314 - our own drawing


def test_a_fisheye_from_the_ceiling_draws():
    from kaozheng_coverage.distortion import LensModel
    from kaozheng_coverage.lens import Lens

    lens = Lens(LensModel.F_THETA, 320.0, (512.0, 512.0), 1024, 1024, image_circle_rad=1.57)
    ceiling = Camera("c", (6.0, 4.0, 3.1), (6.0, 4.0, 0.0), lens)
    text = view_svg(room(PARTITION), ceiling, judge_room(room(PARTITION), (ceiling,), RULES, mends=False))
    ET.fromstring(text)  # noqa: S314 - our own drawing
    assert "nan" not in text
