"""Rooms that cannot be: each is refused with what is wrong and the mend, and never judged."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from collections.abc import Callable

import pytest
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.judge import Judge, judge_room
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.verdict import Cause

DESK = Desk(1.2, 0.6, 0.75)
SCREEN = Monitor(0.54, 0.33, 0.80, 0.05, 0.20)
SEAT = Seat("01", (4.0, 4.0), 0.0, DESK, SCREEN)
DOOR = Zone("door", ZoneKind.DOOR, ((7.0, 3.0), (8.0, 3.0), (8.0, 4.0), (7.0, 4.0)), 0.0, 2.0, None)
PILLAR = Prism("pillar", ((2.0, 2.0), (2.4, 2.0), (2.4, 2.4), (2.0, 2.4)), 0.0, 3.2)
ROOM = Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (PILLAR,), (SEAT,), (DOOR,))
CAMERA = Camera("c", (4.0, 7.8, 2.8), (4.0, 4.0, 0.9), pinhole_lens(1920, 1080, 90.0))
RULES = Profile(
    "p", 1, "of this test", {Part.HEAD: Rule(Level.OBSERVE, 0.9)}, {"door": Rule(Level.DETECT, 0.6)}
)

BOW = ((0.0, 0.0), (8.0, 8.0), (8.0, 0.0), (0.0, 8.0))


def room(**changes: object) -> Callable[[], tuple[Room, tuple[Camera, ...]]]:
    return lambda: (dataclasses.replace(ROOM, **changes), (CAMERA,))


def seat(**changes: object) -> Callable[[], tuple[Room, tuple[Camera, ...]]]:
    return room(seats=(dataclasses.replace(SEAT, **changes),))


def zone(**changes: object) -> Callable[[], tuple[Room, tuple[Camera, ...]]]:
    return room(zones=(dataclasses.replace(DOOR, **changes),))


def pillar(**changes: object) -> Callable[[], tuple[Room, tuple[Camera, ...]]]:
    return room(obstacles=(dataclasses.replace(PILLAR, **changes),))


def camera(**changes: object) -> Callable[[], tuple[Room, tuple[Camera, ...]]]:
    return lambda: (ROOM, (dataclasses.replace(CAMERA, **changes),))


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (room(boundary=BOW), "crosses itself"),
        (room(boundary=((0, 0), (8, 0))), "at least three"),
        (room(boundary=((0, 0), (8, 0), (4, 0))), "enclose no area"),
        (room(boundary=((0, 0), (math.nan, 0), (8, 8))), "finite number"),
        (room(boundary=((0, 0), (8000, 0), (8000, 8000), (0, 8000))), "give lengths in metres"),
        (room(boundary=((0, 0), (0.8, 0), (0.8, 0.8), (0, 0.8)), height_m=0.3), "give lengths in metres"),
        (room(height_m=0.0), "ceiling's height"),
        (room(height_m=math.inf), "finite number"),
        (room(height_m=32.0), "give it in metres"),
        (room(seats=(SEAT, dataclasses.replace(SEAT, centre=(5.5, 4.0)))), "seat 01 appears 2 times"),
        (room(seats=(SEAT, dataclasses.replace(SEAT, number="02"))), "seats 01 and 02 stand at one place"),
        (room(zones=(DOOR, DOOR)), "zone door appears 2 times"),
        (seat(centre=(9.0, 4.0)), "outside the room"),
        (seat(centre=(math.nan, 4.0)), "finite number"),
        (seat(bearing_deg=math.inf), "finite number"),
        (seat(desk=Desk(0.0, 0.6, 0.75)), "greater than zero"),
        (seat(desk=Desk(120.0, 60.0, 75.0)), "give lengths in metres"),
        (seat(monitor=dataclasses.replace(SCREEN, width_m=54.0)), "give lengths in metres"),
        (seat(monitor=dataclasses.replace(SCREEN, thickness_m=-0.1)), "greater than zero"),
        (zone(polygon=BOW), "crosses itself"),
        (zone(top_m=0.0), "not above its bottom"),
        (zone(polygon=((17.0, 3.0), (18.0, 3.0), (18.0, 4.0))), "outside the room"),
        (zone(kind=ZoneKind.SEAL_OPENING), "state its bearing"),
        (pillar(footprint=BOW), "crosses itself"),
        (pillar(top_m=math.nan), "finite number"),
        (pillar(top_m=-1.0), "not above its bottom"),
        (
            pillar(footprint=((200.0, 200.0), (240.0, 200.0), (240.0, 240.0))),
            "outside the room and hides nothing",
        ),
        (pillar(bottom_m=3.3, top_m=4.0), "outside the room and hides nothing"),
        (seat(monitor=dataclasses.replace(SCREEN, setback_m=4.9)), "setback 4.9 m"),
        (zone(bottom_m=3.3, top_m=4.3), "mend its heights"),
        (lambda: (ROOM, (CAMERA, dataclasses.replace(CAMERA, id="copy"))), "they are one camera"),
        (camera(position_m=(2.2, 2.2, 2.0)), "is inside pillar"),
        (camera(position_m=(4.0, 9.0, 2.8)), "outside the room"),
        (camera(position_m=(4.0, 7.8, 4.0)), "but the room is 3.2 m high"),
        (camera(position_m=(4.0, 7.8, math.nan)), "finite number"),
        (camera(aim_m=(4.0, 7.8, 2.8)), "its own position"),
        (camera(aim_tolerance_deg=-1.0), "0 or more"),
        (lambda: (ROOM, (CAMERA, CAMERA)), "camera c appears 2 times"),
    ],
)
def test_what_cannot_be_is_refused_with_the_mend(
    faulty: Callable[[], tuple[Room, tuple[Camera, ...]]], said: str
) -> None:
    place, cameras = faulty()
    with pytest.raises(CoverageError, match=said) as error:
        judge_room(place, cameras, RULES)
    assert str(error.value).startswith("room r")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"visible": math.nan}, "visible fraction"),
        ({"visible": 0.0}, "visible fraction"),
        ({"visible": 1.1}, "visible fraction"),
        ({"visible": 0.9, "cameras": 0}, "at least one"),
        ({"visible": 0.9, "spare": -1}, "at least one"),
        ({"visible": 0.9, "facing_deg": math.nan}, "facing"),
    ],
)
def test_a_rule_that_could_not_be_failed_is_no_rule(fields: dict[str, float], said: str) -> None:
    with pytest.raises(CoverageError, match=said):
        Rule(Level.OBSERVE, **fields)  # type: ignore[arg-type]


def test_a_camera_on_the_face_of_a_pillar_is_not_blinded_by_it() -> None:
    on_the_face = dataclasses.replace(
        CAMERA, position_m=(2.4, 2.2, 2.8), aim_m=(7.5, 3.5, 1.0), aim_tolerance_deg=0.0
    )
    (door,) = judge_room(ROOM, (on_the_face,), RULES, mends=False).zones
    assert door.parts[0].sights[0].visible > 0.9


def test_a_zone_whose_first_corner_is_written_twice_is_judged() -> None:
    ring = (DOOR.polygon[0], *DOOR.polygon)
    once, twice = (
        judge_room(
            dataclasses.replace(ROOM, zones=(dataclasses.replace(DOOR, polygon=one),)), (CAMERA,), RULES
        )
        for one in (DOOR.polygon, ring)
    )
    assert twice.zones[0].outcome is once.zones[0].outcome


def test_a_flat_area_that_faces_somewhere_is_not_seen_from_behind() -> None:
    bag = Zone(
        "bag", ZoneKind.SEAL_OPENING, ((3.5, 4.0), (4.5, 4.0), (4.5, 4.6), (3.5, 4.6)), 1.1, 1.2, 180.0
    )
    rules = Profile("p", 1, "of this test", {}, {"seal_opening": Rule(Level.DETECT, 0.5)})
    place = dataclasses.replace(ROOM, seats=(), zones=(bag,))
    (verdict,) = judge_room(place, (CAMERA,), rules, mends=False).zones
    assert verdict.parts[0].cause is Cause.WRONG_SIDE


def test_a_camera_in_the_wall_of_an_inner_corner_is_outside_the_room() -> None:
    corner = dataclasses.replace(
        ROOM, boundary=((0, 0), (8, 0), (8, 5), (5, 5), (5, 8), (0, 8)), obstacles=(), zones=()
    )
    inside_the_wall = dataclasses.replace(CAMERA, position_m=(6.5, 6.5, 2.8))
    with pytest.raises(CoverageError, match="outside the room"):
        judge_room(corner, (inside_the_wall,), RULES)


def many(count: int) -> Room:
    columns = 40
    seats = tuple(
        Seat(f"{index:05d}", (1.2 + 1.4 * (index % columns), 1.5 + 1.1 * (index // columns)), 0.0, DESK, None)
        for index in range(count)
    )
    depth = 1.1 * -(-count // columns) + 4.0
    return Room("hall", "hall", ((0, 0), (58, 0), (58, depth), (0, depth)), 5.0, (), seats, ())


def test_a_hall_of_a_thousand_seats_is_judged_as_each_seat_by_itself_in_bounded_memory() -> None:
    """Seats are judged many at once; how many never changes a verdict, nor fills the memory."""
    hall = many(1000)
    eye = Camera("c", (29.0, 0.5, 4.5), (29.0, 16.0, 1.0), pinhole_lens(3840, 2160, 90.0))
    tracemalloc.start()
    verdict = judge_room(hall, (eye,), RULES, mends=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
    assert len(verdict.seats) == 1000
    judge = Judge(hall, RULES)
    for index in range(0, 1000, 111):
        assert judge.target(hall.seats[index], (eye,)) == verdict.seats[index]


def test_where_very_many_fail_the_search_for_mends_ends_and_says_so() -> None:
    hall = many(80)
    blind = Camera("c", (29.0, 0.5, 4.5), (29.0, 0.3, 4.9), pinhole_lens(1920, 1080, 20.0))
    rules = dataclasses.replace(RULES, seat={Part.HEAD: Rule(Level.INSPECT, 1.0, cameras=3)})
    verdict = judge_room(hall, (blind,), rules)
    assert any("20 more targets fail" in warning for warning in verdict.warnings)
