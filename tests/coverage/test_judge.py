"""What the engine says of rooms whose answer is known, and what it must never do."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.person import Occluder
from kaozheng_coverage.profile import Level, Part, Profile, Rule
from kaozheng_coverage.projection import pixel_density
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.shadows import room_occluders, solids_of
from kaozheng_coverage.sight import Vantage, patches_of
from kaozheng_coverage.verdict import Cause, Outcome, RoomVerdict
from kaozheng_coverage.volumes import SAMPLING_ERROR
from kaozheng_service.config.profiles import built_in_profiles

PROJECT = Path(__file__).resolve().parents[2]
THEORY = built_in_profiles()["theory"]
PRACTICAL = built_in_profiles()["practical"]
DESK = Desk(1.2, 0.6, 0.75)
MONITOR = Monitor(0.54, 0.33, 0.80, 0.05, 0.20)
LENS = pinhole_lens(2560, 1440, 90.0)
SEAL = Zone("seal", ZoneKind.SEAL_OPENING, ((3.5, 7.0), (4.5, 7.0), (4.5, 7.6), (3.5, 7.6)), 1.1, 1.5, 180.0)


def seat(number: str, x: float, y: float, monitor: Monitor | None = None) -> Seat:
    return Seat(number, (x, y), 0.0, DESK, monitor)


def room(*seats: Seat, obstacles: tuple[Prism, ...] = (), zones: tuple[Zone, ...] = (SEAL,)) -> Room:
    return Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, obstacles, seats, zones)


def camera(
    name: str,
    x: float,
    y: float,
    aim: tuple[float, float] = (4.0, 4.0),
    z: float = 2.8,
    tolerance: float = 0.0,
) -> Camera:
    return Camera(name, (x, y, z), (*aim, 0.9), LENS, aim_tolerance_deg=tolerance)


def judged(
    place: Room, *cameras: Camera, profile: Profile = THEORY, **options: frozenset[str]
) -> RoomVerdict:
    return judge_room(place, cameras, profile, mends=False, **options)


def part(verdict: RoomVerdict, which: Part, number: int = 0):
    return next(one for one in verdict.seats[number].parts if one.part is which)


def box(name: str, x: float, y: float, half: float, top: float = 3.2) -> Prism:
    return Prism(
        name, ((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)), 0, top
    )


def test_a_seat_in_plain_view_passes():
    verdict = judged(room(seat("01", 4, 4)), camera("front", 2.0, 7.8), camera("side", 0.2, 4.0))
    assert verdict.seats[0].outcome is Outcome.PASS


def test_a_pillar_hides_the_seat_behind_it():
    verdict = judged(room(seat("01", 4, 2.5), obstacles=(box("pillar", 4, 5, 0.4),)), camera("front", 4, 7.8))
    head = part(verdict, Part.HEAD)
    assert head.outcome is Outcome.FAIL
    assert head.cause is Cause.HIDDEN
    assert head.sights[0].hidden_by[0] == "pillar"
    assert "pillar" in head.reason


def test_a_screen_hides_the_hands_from_the_front():
    low = camera("front", 4, 7.8, z=1.2)
    without = part(judged(room(seat("01", 4, 4), zones=()), low), Part.HANDS).sights[0]
    with_screen = part(judged(room(seat("01", 4, 4, MONITOR), zones=()), low), Part.HANDS).sights[0]
    assert with_screen.visible < 0.2 < without.visible
    assert with_screen.hidden_by[0] == "seat-01 monitor"


def test_the_own_back_hides_the_hands_from_behind():
    hands = part(judged(room(seat("01", 4, 5)), camera("back", 4, 0.2, z=1.5)), Part.HANDS)
    assert hands.sights[0].hidden_by[0] == "seat-01 person"


def test_the_neighbour_in_front_hides_a_face_from_a_low_camera():
    place = room(seat("01", 4, 2.5), seat("02", 4, 4), zones=())
    assert (
        part(judged(place, camera("front", 4, 7.8, z=1.1)), Part.HEAD).sights[0].hidden_by[0]
        == "seat-02 person"
    )


def test_a_bag_is_not_seen_from_behind():
    verdict = judged(room(seat("01", 4, 4)), camera("front", 4, 7.9, aim=(4, 6)))
    (seal,) = verdict.zones
    assert seal.outcome is Outcome.FAIL
    assert seal.binding.cause is Cause.WRONG_SIDE


def test_a_camera_that_looks_away_sees_nothing():
    verdict = judged(room(seat("01", 4, 4)), camera("front", 4, 6, aim=(4, 8)))
    assert part(verdict, Part.HEAD).cause is Cause.OUT_OF_VIEW


def test_far_away_there_are_too_few_pixels():
    far = dataclasses.replace(camera("front", 4, 7.8), lens=pinhole_lens(320, 180, 90.0))
    head = part(judged(room(seat("01", 4, 1.5)), far), Part.HEAD)
    assert head.cause is Cause.TOO_FEW_PIXELS
    assert head.margin_px_per_m < 0


def test_two_cameras_are_asked_for_and_one_is_not_enough():
    place = room(seat("01", 4, 4))
    one = part(judged(place, camera("front", 2, 7.8), profile=PRACTICAL), Part.HEAD)
    assert one.outcome is Outcome.FAIL
    assert one.cause is Cause.TOO_FEW_CAMERAS
    two = judged(place, camera("front", 2, 7.8), camera("other", 6, 7.8), profile=PRACTICAL)
    assert part(two, Part.HEAD).outcome is Outcome.PASS


def test_what_is_lost_with_a_camera_is_what_fails_without_it():
    place = room(seat("01", 2.5, 4), seat("02", 5.5, 4), seat("03", 4, 5.5))
    cameras = [camera("left", 0.2, 7.8), camera("right", 7.8, 7.8), camera("back", 4, 0.2, aim=(4, 6))]
    verdict = judged(place, *cameras)
    assert [loss.camera_id for loss in verdict.losses] == ["left", "right", "back"]
    for loss in verdict.losses:
        rest = judged(place, *(one for one in cameras if one.id != loss.camera_id))
        for before, after in zip(verdict.targets, rest.targets, strict=True):
            lost = before.outcome is Outcome.PASS and after.outcome is not Outcome.PASS
            assert (before.id in (*loss.seats, *loss.zones)) == lost
    assert any(loss.seats or loss.zones for loss in verdict.losses)


def test_a_zone_without_a_rule_is_never_passed():
    store = dataclasses.replace(SEAL, kind=ZoneKind.WAITING)
    bare = Profile("bare", 1, "none", dict(THEORY.seat), {})
    (zone,) = judged(room(seat("01", 4, 4), zones=(store,)), camera("front", 4, 0.2), profile=bare).zones
    assert zone.outcome is Outcome.UNDETERMINED
    assert zone.binding.cause is Cause.NO_RULE


def test_an_unverified_picture_proves_nothing():
    place, front = room(seat("01", 4, 4)), camera("front", 2, 7.8)
    head = part(judged(place, front, unverified=frozenset({"front"})), Part.HEAD)
    assert head.outcome is Outcome.UNDETERMINED
    assert head.cause is Cause.NOT_VERIFIED


def test_a_seat_at_the_picture_s_edge_is_undetermined_when_the_aim_is_loose():
    outcomes = set()
    for aside in np.linspace(0.0, 6.0, 121):
        loose = camera("front", 4, 7.8, aim=(4 + aside, 4), tolerance=3.0)
        outcomes.add(part(judged(room(seat("01", 4, 4)), loose), Part.HEAD).outcome)
    assert outcomes == set(Outcome)


def test_no_camera_at_all_fails_every_seat():
    verdict = judged(room(seat("01", 4, 4)))
    assert verdict.outcome is Outcome.FAIL
    assert "0 cameras" in verdict.seats[0].binding.reason


def test_a_room_without_targets_is_not_passed():
    assert judged(room(zones=()), camera("front", 4, 7.8)).outcome is Outcome.UNDETERMINED


def test_a_camera_outside_the_walls_is_an_error():
    with pytest.raises(CoverageError, match="outside the room"):
        judged(room(seat("01", 4, 4)), camera("front", 4, 12))


def test_progress_counts_every_target():
    seen: list[tuple[int, int]] = []
    place = room(seat("01", 3, 4), seat("02", 5, 4))
    judge_room(place, [camera("front", 4, 7.8)], THEORY, mends=False, progress=lambda *at: seen.append(at))
    assert seen[-1] == (3, 3)
    assert seen == sorted(seen)


def test_the_room_of_the_case_has_a_verdict_and_a_reason_for_every_seat_and_zone(need):
    from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
    from kaozheng_service.config.site import load_room

    path = PROJECT.parent / "shared" / "cases" / "room-9-201.yaml"
    need(path.is_file(), "the shared cases beside the project")
    entry = load_room(path)
    verdict = judge_room(room_geometry(entry), room_cameras(entry), room_profile(None, entry))
    assert len(verdict.seats) == 30
    assert len(verdict.zones) == 3
    assert all(target.binding.reason for target in verdict.targets)
    assert all(target.mend for target in verdict.targets if target.outcome is Outcome.FAIL)
    # The camera whose job it is shows the seal being opened; seat 30 is out of every picture.
    assert verdict.zones[0].outcome is Outcome.PASS
    assert verdict.zones[0].binding.sights[0].camera_id == "front-wall"
    assert verdict.seats[29].outcome is Outcome.FAIL


SPOTS = st.tuples(st.floats(0.3, 7.7), st.floats(0.3, 7.7), st.floats(1.0, 3.1))


@settings(max_examples=40, deadline=None)
@given(spot=SPOTS, pillar=st.tuples(st.floats(1, 7), st.floats(1, 7), st.floats(0.1, 0.5)))
def test_one_more_obstacle_never_shows_more(spot, pillar):
    x, y, z = spot
    added = box("pillar", *pillar)
    assume(not shapely.Polygon(added.footprint).buffer(0.01).contains(shapely.Point(x, y)))
    seats = (seat("01", 3, 3, MONITOR), seat("02", 5, 3, MONITOR), seat("03", 4, 5))
    eye = camera("c", x, y, z=z)
    before = judged(room(*seats), eye)
    after = judged(room(*seats, obstacles=(added,)), eye)
    for old, new in zip(before.targets, after.targets, strict=True):
        for was, now in zip(old.parts, new.parts, strict=True):
            assert now.sights[0].visible <= was.sights[0].visible + 1e-9


@settings(max_examples=25, deadline=None)
@given(turn=st.floats(0, 360), spot=SPOTS)
def test_the_verdict_does_not_depend_on_which_way_the_plan_lies(turn, spot):
    x, y, z = spot
    # Straight above its aim a camera has no heading; its picture's top is then the front wall's side by rule.
    assume(math.hypot(x - 4, y - 4) > 0.01)
    place = room(seat("01", 3, 3, MONITOR), seat("02", 5, 4), obstacles=(box("pillar", 4, 4.6, 0.2),))
    eye = camera("c", x, y, z=z)
    assume(not shapely.Polygon(place.obstacles[0].footprint).buffer(0.05).contains(shapely.Point(x, y)))
    straight, turned = judged(place, eye), judged(_turned(place, turn), _turned_camera(eye, turn))
    for old, new in zip(straight.targets, turned.targets, strict=True):
        for was, now in zip(old.parts, new.parts, strict=True):
            assert now.sights[0].visible == pytest.approx(was.sights[0].visible, abs=1e-5)
            assert now.sights[0].px_per_m == pytest.approx(was.sights[0].px_per_m, rel=0.02, abs=0.5)


@settings(max_examples=20, deadline=None)
@given(first=SPOTS, second=SPOTS)
def test_one_more_camera_never_fails_what_passed(first, second):
    assume(first != second)
    place = room(seat("01", 3, 3, MONITOR), seat("02", 5, 3), seat("03", 4, 5))
    one, more = camera("a", *first[:2], z=first[2]), camera("b", *second[:2], z=second[2])
    before, after = judged(place, one), judged(place, one, more)
    rank = {Outcome.FAIL: 0, Outcome.UNDETERMINED: 1, Outcome.PASS: 2}
    for old, new in zip(before.targets, after.targets, strict=True):
        assert rank[new.outcome] >= rank[old.outcome]


@settings(max_examples=15, deadline=None)
@given(shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(shuffle):
    seats = [seat("01", 3, 3, MONITOR), seat("02", 5, 3), seat("03", 4, 5)]
    solids = [box("p", 2, 5, 0.2), box("q", 6, 5, 0.3)]
    cameras = [camera("a", 0.2, 7.8), camera("b", 7.8, 7.8), camera("c", 4, 0.2)]
    straight = judged(room(*seats, obstacles=tuple(solids)), *cameras)
    for one in (seats, solids, cameras):
        shuffle.shuffle(one)
    mixed = judged(room(*seats, obstacles=tuple(solids)), *cameras)
    assert {one.id: one for one in mixed.targets} == {one.id: one for one in straight.targets}


@settings(max_examples=30, deadline=None)
@given(eye_m=st.floats(2.0, 3.0), top_m=st.floats(0.85, 1.3), away_m=st.floats(0.5, 2.0))
def test_a_box_s_shadow_is_as_long_as_similar_triangles_say(eye_m, top_m, away_m):
    """From H metres up, the edge of a box h metres high throws its shadow H/(H-h) times as far out."""
    desk_m = DESK.height_m
    far_edge = away_m * (eye_m - desk_m) / (eye_m - top_m)
    wide = Prism("box", ((-4.0, 0.5), (4.0, 0.5), (4.0, 0.5 + away_m), (-4.0, 0.5 + away_m)), 0.0, top_m)
    # The eye stands over the box's near edge, so only the far edge throws a shadow beyond the box.
    desk = Seat("01", (0.0, 0.5 + far_edge), 0.0, dataclasses.replace(DESK, depth_m=0.4), None)
    occluders = [Occluder(wide.id, wide.footprint, wide.bottom_m, wide.top_m)]
    shades = Vantage((0.0, 0.5, eye_m), solids_of(occluders)).views(desk)
    ((_, shade),) = shades[Part.DESK]
    # The desk's middle lies on the shadow's end: half of it is hidden.
    assert shade.unhidden.area / (DESK.width_m * 0.4) == pytest.approx(0.5, abs=1e-4)


def _grid(outline: shapely.Polygon, side: int = 40) -> np.ndarray:
    left, bottom, right, top = outline.bounds
    across = left + (np.arange(side) + 0.5) / side * (right - left)
    up = bottom + (np.arange(side) + 0.5) / side * (top - bottom)
    points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    return points[shapely.contains_xy(outline, points)]


def _triangles(solid) -> np.ndarray:
    ring = np.asarray(solid.footprint)
    low = np.column_stack([ring, np.full(len(ring), solid.bottom_m)])
    high = np.column_stack([ring, np.full(len(ring), solid.top_m)])
    faces = []
    for index in range(len(ring)):
        after = (index + 1) % len(ring)
        faces += [(low[index], low[after], high[after]), (low[index], high[after], high[index])]
    for lid in (low, high):
        faces += [(lid[0], lid[index], lid[index + 1]) for index in range(1, len(ring) - 1)]
    return np.asarray(faces)


def _spin(point: tuple[float, float], degrees: float) -> tuple[float, float]:
    """Clockwise about the origin, as bearings turn."""
    turn = math.radians(degrees)
    x, y = point
    return x * math.cos(turn) + y * math.sin(turn), -x * math.sin(turn) + y * math.cos(turn)


def _turned(place: Room, degrees: float) -> Room:
    def ring(points):
        return tuple(_spin(point, degrees) for point in points)

    return dataclasses.replace(
        place,
        boundary=ring(place.boundary),
        obstacles=tuple(dataclasses.replace(one, footprint=ring(one.footprint)) for one in place.obstacles),
        seats=tuple(
            dataclasses.replace(one, centre=_spin(one.centre, degrees), bearing_deg=one.bearing_deg + degrees)
            for one in place.seats
        ),
        zones=tuple(
            dataclasses.replace(one, polygon=ring(one.polygon), bearing_deg=(one.bearing_deg or 0) + degrees)
            for one in place.zones
        ),
    )


def _turned_camera(eye: Camera, degrees: float) -> Camera:
    return dataclasses.replace(
        eye,
        position_m=(*_spin(eye.position_m[:2], degrees), eye.position_m[2]),
        aim_m=(*_spin(eye.aim_m[:2], degrees), eye.aim_m[2]),
    )


def test_a_rule_asks_for_what_it_says():
    assert Rule(Level.OBSERVE, 0.9).px_per_m == 62.5


def zone_verdict(place: Room, rule: Rule, *cameras: Camera):
    profile = Profile("own", 1, "stated here", {}, {ZoneKind.DOOR.value: rule})
    return judge_room(place, cameras, profile, mends=False).zones[0]


DOOR = Zone("door", ZoneKind.DOOR, ((7.0, 3.0), (8.0, 3.0), (8.0, 4.0), (7.0, 4.0)), 0.0, 2.0, 270.0)


def test_facing_counts_only_cameras_in_front() -> None:
    place = room(zones=(DOOR,))
    inside, beside = camera("inside", 1.0, 3.5, aim=(7.5, 3.5)), camera("beside", 7.5, 7.8, aim=(7.5, 3.5))
    rule = Rule(Level.DETECT, 0.6, facing_deg=60.0)
    assert zone_verdict(place, rule, inside).outcome is Outcome.PASS
    seen_from_the_side = zone_verdict(place, rule, beside)
    assert seen_from_the_side.outcome is Outcome.FAIL
    assert seen_from_the_side.parts[0].cause is Cause.WRONG_SIDE
    # What faces nowhere cannot be judged by a rule that asks for a front: said, never passed.
    plain = dataclasses.replace(DOOR, bearing_deg=None)
    undecided = zone_verdict(room(zones=(plain,)), rule, inside)
    assert (undecided.outcome, undecided.parts[0].cause) == (Outcome.UNDETERMINED, Cause.NO_FRONT)
    assert "state its bearing" in undecided.parts[0].reason


def test_a_spare_camera_is_asked_for_and_its_loss_takes_nothing() -> None:
    place = room(zones=(DOOR,))
    one, two = camera("one", 1.0, 3.5, aim=(7.5, 3.5)), camera("two", 1.0, 5.5, aim=(7.5, 3.5))
    rule = Rule(Level.DETECT, 0.6, spare=1)
    assert zone_verdict(place, rule, one).outcome is Outcome.FAIL
    assert zone_verdict(place, rule, one, two).outcome is Outcome.PASS
    profile = Profile("own", 1, "stated here", {}, {ZoneKind.DOOR.value: rule})
    assert all(not loss.zones for loss in judge_room(place, (one, two), profile, mends=False).losses)


def test_density_is_told_as_minimum_5th_percentile_and_median() -> None:
    """A desk that runs away from a straight-down view: the three numbers against a fine grid of points."""
    desk = Seat("01", (4.0, 4.0), 0.0, Desk(1.2, 3.0, 0.75), None)
    eye = Camera("c", (4.0, 7.9, 2.8), (4.0, 4.0, 0.75), LENS, aim_tolerance_deg=0.0)
    sight = part(judged(room(desk), eye), Part.DESK).sights[0]
    assert sight.px_per_m <= sight.px_per_m_p5 <= sight.px_per_m_median
    (patch,) = patches_of(desk, np.asarray(eye.position_m))[Part.DESK]
    left, low, right, high = patch.outline.bounds
    share = (np.arange(100) + 0.5) / 100
    grid = np.stack(np.meshgrid(left + share * (right - left), low + share * (high - low)), -1).reshape(-1, 2)
    # The sitter hides the near end from the front: only what is unhidden counts.
    (_, shade), *_ = Vantage(eye.position_m, solids_of(room_occluders(room(desk)))).views(desk)[Part.DESK]
    grid = grid[shapely.contains_xy(shade.unhidden, grid)]
    fine = pixel_density(eye, patch.to_room(grid), patch.tangents)
    assert sight.px_per_m == pytest.approx(fine.min(), rel=0.03)
    assert sight.px_per_m_p5 == pytest.approx(np.percentile(fine, 5), rel=0.06)
    assert sight.px_per_m_median == pytest.approx(np.median(fine), rel=0.06)


def _mirrored(place: Room) -> Room:
    def flip(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((8.0 - x, y) for x, y in points)

    return dataclasses.replace(
        place,
        boundary=flip(place.boundary),
        obstacles=tuple(dataclasses.replace(one, footprint=flip(one.footprint)) for one in place.obstacles),
        seats=tuple(
            dataclasses.replace(one, centre=flip((one.centre,))[0], bearing_deg=-one.bearing_deg)
            for one in place.seats
        ),
        zones=tuple(
            dataclasses.replace(
                one,
                polygon=flip(one.polygon),
                bearing_deg=None if one.bearing_deg is None else -one.bearing_deg,
            )
            for one in place.zones
        ),
    )


@settings(max_examples=30, deadline=None)
@given(spot=SPOTS, bearing=st.floats(-180, 180), roll=st.floats(-30, 30))
def test_a_mirrored_room_has_the_mirrored_verdict(spot, bearing, roll):
    x, y, z = spot
    assume(math.hypot(x - 4, y - 4) > 0.05)
    turned = dataclasses.replace(seat("01", 3, 3, MONITOR), bearing_deg=bearing)
    place = room(turned, seat("02", 5, 4), obstacles=(box("pillar", 4.5, 4.6, 0.2),))
    assume(not shapely.Polygon(place.obstacles[0].footprint).buffer(0.05).contains(shapely.Point(x, y)))
    eye = dataclasses.replace(camera("c", x, y, z=z), roll_deg=roll)
    mirrored = dataclasses.replace(eye, position_m=(8 - x, y, z), aim_m=(4.0, 4.0, 0.9), roll_deg=-roll)
    for was, now in zip(judged(place, eye).targets, judged(_mirrored(place), mirrored).targets, strict=True):
        for old, new in zip(was.parts, now.parts, strict=True):
            # A zone is sampled, and its mirrored points are others; what is flat is exact.
            near = 2 * SAMPLING_ERROR if old.part is Part.AREA else 1e-5
            assert new.sights[0].visible == pytest.approx(old.sights[0].visible, abs=near)
