"""The two engines, exact shadows and traced rays, held to each other; volumes and who stands in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage import volumes
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.person import Occluder, invigilator_id
from kaozheng_coverage.profile import Part
from kaozheng_coverage.rays import RayScene
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.shadows import cast, room_occluders, solids_of
from kaozheng_coverage.sight import Scenes, Vantage, patches_of

SIDE = 40
# Of SIDE x SIDE points in even cells, one row along each edge of what hides may be misjudged; several edges add up.
SAMPLING_ERROR = 0.05
MEAN_ERROR = 0.004


def random_room(random: np.random.Generator) -> Room:
    """Seats that face anywhere, with screens or without, pillars and boxes at any height: metres, 8 x 8."""
    seats = tuple(
        Seat(
            f"{number:02d}",
            (float(random.uniform(1, 7)), float(random.uniform(1, 7))),
            float(random.uniform(0, 360)),
            Desk(float(random.uniform(0.8, 1.6)), float(random.uniform(0.5, 0.9)), 0.75),
            Monitor(0.54, 0.33, 0.80, 0.05, 0.20) if random.random() < 0.6 else None,
        )
        for number in range(random.integers(2, 8))
    )
    solids = []
    for number in range(random.integers(0, 5)):
        x, y = random.uniform(0.5, 7.5, 2)
        corners = random.uniform(0.05, 0.5, 3)[:, None] * np.stack(
            [np.cos(random.uniform(0, 0.5) + np.arange(3) * 2.1), np.sin(np.arange(3) * 2.1)], axis=1
        )
        bottom = float(random.choice((0.0, random.uniform(0, 2))))
        ring = tuple((float(x + dx), float(y + dy)) for dx, dy in corners)
        solids.append(Prism(f"box-{number}", ring, bottom, bottom + float(random.uniform(0.2, 2.5))))
    return Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, tuple(solids), seats, ())


def inside_a_solid(point: np.ndarray, solid: Occluder) -> bool:
    area = shapely.Polygon(solid.footprint).buffer(1e-3)
    return area.contains(shapely.Point(point[:2])) and solid.bottom_m <= point[2] <= solid.top_m


def test_shadows_and_rays_agree_over_thousands_of_rooms():
    """2000 random rooms, an eye anywhere in each: every seat's head, torso, hands and desk by both engines."""
    misses = []
    for number in range(2000):
        random = np.random.default_rng(number)
        room = random_room(random)
        occluders = room_occluders(room)
        eye = random.uniform((0.1, 0.1, 0.8), (7.9, 7.9, 3.1))
        if any(inside_a_solid(eye, one) for one in occluders):
            continue
        solids = solids_of(occluders)
        scenes = Scenes(solids)
        seat = room.seats[number % len(room.seats)]
        for patches in patches_of(seat, eye).values():
            patch = patches[number % len(patches)]
            exact = cast(eye, patch, solids).unhidden.area / patch.outline.area
            left, low, right, high = patch.outline.bounds
            share = (np.arange(SIDE) + 0.5) / SIDE
            grid = np.stack(np.meshgrid(left + share * (right - left), low + share * (high - low)), axis=-1)
            points = patch.to_room(grid.reshape(-1, 2))
            if patch.normal @ (eye - patch.origin) <= 0:
                assert exact == 0.0
                continue
            traced = float(scenes.without(patch.own).hits(eye, points).unhidden.mean())
            assert exact == pytest.approx(traced, abs=SAMPLING_ERROR), (number, seat.number)
            misses.append(exact - traced)
    assert len(misses) > 5000
    # One side is not the better: the differences are the sampling's, and even out.
    assert abs(float(np.mean(misses))) < MEAN_ERROR
    assert float(np.std(misses)) < 0.01


def zone(bottom: float = 0.0, top: float = 2.0, bearing: float | None = None, kind=ZoneKind.DOOR) -> Zone:
    return Zone("area", kind, ((3.0, 3.0), (4.5, 3.0), (4.5, 4.2), (3.0, 4.2)), bottom, top, bearing)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_a_volume_is_sampled_finely_enough(seed):
    random = np.random.default_rng(seed)
    room = random_room(random)
    occluders = room_occluders(room)
    eye = random.uniform((0.1, 0.1, 1.5), (7.9, 7.9, 3.1))
    scene = RayScene(solids_of(occluders))
    few = volumes.zone_volume(zone()).points
    assert len(few) == volumes.POINTS
    many = random.uniform((3.0, 3.0, 0.0), (4.5, 4.2, 2.0), (10 * volumes.POINTS, 3))
    coarse, fine = (float(scene.hits(eye, points).unhidden.mean()) for points in (few, many))
    # The finer one, of 20,000 points at random, errs too: by 0.0035 at one standard deviation at most.
    assert coarse == pytest.approx(fine, abs=volumes.SAMPLING_ERROR + 0.01)


def test_half_a_volume_behind_a_wall_is_half_seen_and_the_wall_is_named():
    screen = Prism("screen", ((2.0, 5.0), (5.5, 5.0), (5.5, 5.1), (2.0, 5.1)), 0.0, 1.0)
    room = Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (screen,), (), (zone(),))
    lens = pinhole_lens(1920, 1080, 100.0)
    far = Camera("far", (3.75, 7.9, 1.0), (3.75, 3.6, 1.0), lens, aim_tolerance_deg=0.0)
    (glimpse,) = Vantage(far.position_m, solids_of(room_occluders(room))).glimpses(far, zone()).values()
    assert glimpse.visible == pytest.approx(0.5, abs=0.02)
    assert [name for name, _ in glimpse.hidden_by] == ["screen"]
    assert glimpse.least < glimpse.visible < glimpse.most


def test_a_zone_of_any_shape_is_filled_evenly():
    corner = Zone("l", ZoneKind.WAITING, ((0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3)), 0.0, 2.0, None)
    points = volumes.zone_volume(corner).points
    assert len(points) == volumes.POINTS
    assert shapely.contains_xy(shapely.Polygon(corner.polygon), points[:, :2]).all()
    assert (points[:, 0] > 1).mean() == pytest.approx(3 / 6, abs=0.02)
    assert (points[:, 2] > 1).mean() == pytest.approx(0.5, abs=0.02)


def test_who_holds_the_bag_hides_what_is_behind_but_not_the_bag():
    bag = Zone(
        "seal", ZoneKind.SEAL_OPENING, ((3.5, 6.6), (4.5, 6.6), (4.5, 7.2), (3.5, 7.2)), 1.1, 1.5, 180.0
    )
    seat = Seat("01", (4.0, 2.0), 0.0, Desk(1.2, 0.6, 0.75), None)
    room = Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (), (seat,), (bag,))
    occluders = room_occluders(room)
    body = [one for one in occluders if one.id == invigilator_id(bag)]
    assert max(one.top_m for one in body) == pytest.approx(1.8)
    # Behind the bag, at the rim of the area.
    ring = np.array(body[0].footprint)
    assert ring[:, 1].min() == pytest.approx(7.2, abs=0.02)
    in_front = Vantage((4.0, 1.0, 2.8), solids_of(occluders))
    lens = pinhole_lens(1920, 1080, 90.0)
    front = Camera("f", (4.0, 1.0, 2.8), (4.0, 6.9, 1.3), lens, aim_tolerance_deg=0.0)
    assert in_front.glimpses(front, bag)[Part.AREA].visible == 1.0
    # From the front wall at shoulder height the body stands before the candidate's head.
    back = Camera("b", (4.0, 7.9, 1.35), (4.0, 2.0, 1.1), lens, aim_tolerance_deg=0.0)
    hidden = Vantage(back.position_m, solids_of(occluders)).glimpses(back, seat)[Part.HEAD]
    assert hidden.visible < 0.1
    assert hidden.hidden_by[0][0] == "seal invigilator"


def test_an_area_against_the_wall_keeps_its_invigilator_in_the_room():
    bag = Zone(
        "seal", ZoneKind.SEAL_OPENING, ((3.5, 7.4), (4.5, 7.4), (4.5, 8.0), (3.5, 8.0)), 1.1, 1.5, 180.0
    )
    room = Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (), (), (bag,))
    (ring, *_) = [np.array(one.footprint) for one in room_occluders(room) if one.id == invigilator_id(bag)]
    assert ring[:, 1].max() <= 8.0 + 0.02
    front = Camera(
        "f", (4.0, 1.0, 2.8), (4.0, 7.7, 1.3), pinhole_lens(1920, 1080, 90.0), aim_tolerance_deg=0.0
    )
    seen = Vantage(front.position_m, solids_of(room_occluders(room))).glimpses(front, bag)[Part.AREA]
    assert seen.visible == 1.0


@pytest.mark.parametrize("off_deg", [0, 60, 74, 76, 90, 150])
def test_the_bag_faces_one_side(off_deg):
    bag = zone(1.1, 1.5, 180.0, ZoneKind.SEAL_OPENING)
    angle = math.radians(180 + off_deg)
    spot = (3.75 + 2.5 * math.sin(angle), 3.6 + 2.5 * math.cos(angle), 1.3)
    camera = Camera("c", spot, (3.75, 3.6, 1.3), pinhole_lens(1920, 1080, 90.0), aim_tolerance_deg=0.0)
    (glimpse,) = Vantage(spot, solids_of(())).glimpses(camera, bag).values()
    assert glimpse.off_front_deg == pytest.approx(off_deg, abs=2.0)
    assert glimpse.widest_deg == 75.0
