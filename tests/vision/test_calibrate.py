"""A camera's pose by the desk cards in its picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import CardFace, card_faces
from kaozheng_coverage.distortion import LensModel
from kaozheng_coverage.lens import Lens, calibrated_lens, fit_lens
from kaozheng_coverage.pose import change_between, changed, posed, turn
from kaozheng_coverage.projection import axes, project
from kaozheng_coverage.robustness import Survey
from kaozheng_coverage.room import Desk, Room, Seat
from kaozheng_vision.calibrate import PoseCalibration, PoseCause, PoseVerdict, calibrate_pose
from kaozheng_vision.markers import Marker
from kaozheng_vision.pose import Cards, Noise, Pose, covariance_of, fit

Array = npt.NDArray[np.float64]
Sightings = list[tuple[CardFace, Marker]]

WIDE = fit_lens(1920, 1080, 106.4, 57.9, 124.6)
BENT = calibrated_lens(
    LensModel.BROWN_CONRADY, 1920, 1080, (1050.0, 1050.0), (970.0, 530.0), (-0.28, 0.075, 4e-4, -3e-4, -0.008)
)
STATED = Camera("c", (0.25, 7.75, 2.8), (5.0, 3.0, 0.8), WIDE)
# 3 degrees and more each way, 10 cm, a focal length 1% longer.
OFF = np.array([0.1, -0.08, 0.06, 0.05, -0.06, 0.05, 0.01])
EXACT = Survey(desk_m=0.0, desk_deg=0.0)


def room(rows: int = 4, columns: int = 5, step_m: float = 1.7) -> Room:
    desk = Desk(1.3, 0.6, 0.75)
    seats = tuple(
        Seat(f"{row * columns + column + 1:02d}", (1.5 + step_m * column, 5.6 - 1.3 * row), 0.0, desk, None)
        for row in range(rows)
        for column in range(columns)
    )
    return Room("r", "r", ((0, 0), (9.6, 0), (9.6, 8), (0, 8)), 3.2, (), seats, ())


def seen(true: Camera, place: Room, *, noise_px: float = 0.05, seed: int = 1) -> Sightings:
    """The cards of a room that face a camera, with their corners in its picture."""
    random = np.random.default_rng(seed)
    found = []
    for face in card_faces(place):
        pixels = project(true, face.corners)
        sight = np.asarray(true.position_m) - face.corners.mean(axis=0)
        shown = true.lens.inside(pixels).all() and sight @ face.normal > 0.35 * np.linalg.norm(sight)
        if shown:
            found.append((face, Marker(face.marker_id, pixels + random.normal(0, noise_px, (4, 2)))))
    return found


def by_hand(sightings: Sightings, true: Camera, *, printed: float, careful: bool, seed: int = 1) -> Sightings:
    """The same cards as people print, fold and put them: of another size, and where not careful turned and leant."""
    random = np.random.default_rng((seed, 8))
    found = []
    for face, marker in sightings:
        middle = face.corners.mean(axis=0)
        across = (face.corners[1] - face.corners[0]) / np.linalg.norm(face.corners[1] - face.corners[0])
        angles = np.zeros(2) if careful else np.radians(random.normal(0, (3.0, 2.0)))
        turned = turn(np.array([0, 0, angles[0]])) @ turn(angles[1] * across)
        corners = middle + printed * (face.corners - middle) @ turned.T
        noise_px = marker.corners_px - project(true, face.corners)
        found.append((face, Marker(marker.id, project(true, corners) + noise_px)))
    return found


def as_it_stands(plan: Room, *, desk_m: float, desk_deg: float, seed: int) -> Room:
    """The room with its desks off the plan by so much (standard deviations)."""
    random = np.random.default_rng((seed, 7))

    def shifted(seat: Seat) -> Seat:
        right, forward, bearing = random.normal(0, 1, 3) * (desk_m, desk_m, desk_deg)
        centre = (seat.centre[0] + float(right), seat.centre[1] + float(forward))
        return replace(seat, centre=centre, bearing_deg=seat.bearing_deg + float(bearing))

    return replace(plan, seats=tuple(shifted(seat) for seat in plan.seats))


def with_labels_of(plan: Room, sightings: Sightings) -> Sightings:
    """What was seen in the real room, held against the plan's cards."""
    planned = {face.marker_id: face for face in card_faces(plan)}
    return [(planned[marker.id], marker) for _, marker in sightings]


def found_off(result: PoseCalibration, true: Camera) -> Array:
    assert result.camera is not None
    return change_between(result.camera, true)


@pytest.mark.parametrize("lens", [WIDE, BENT, replace(WIDE, spread=0.0)], ids=["f-theta", "bent", "exact"])
def test_the_pose_is_found_through_the_real_lens_from_a_stated_one_far_off(lens: Lens) -> None:
    stated = replace(STATED, lens=lens)
    true = changed(stated, OFF if lens.spread > 0 else OFF * [1, 1, 1, 1, 1, 1, 0])
    result = calibrate_pose(stated, seen(true, room()), survey=EXACT)
    assert (result.verdict, result.reason) == (PoseVerdict.GOOD, "")
    off = found_off(result, true)
    assert np.linalg.norm(off[:3]) < 0.005
    assert np.degrees(np.linalg.norm(off[3:6])) < 0.05
    assert abs(off[6]) < 0.001
    assert result.rms_px is not None
    assert result.rms_px < 0.2
    assert result.outliers == ()


def test_what_changed_since_the_stated_pose_is_said_as_a_mounter_would_turn_it() -> None:
    turned = changed(STATED, np.array([0.05, 0, 0, 0, math.radians(-2.0), 0, 0]))
    result = calibrate_pose(STATED, seen(turned, room(), noise_px=0.0), survey=EXACT)
    # What is in the picture turns left: the camera turned right.
    assert result.pan_deg == pytest.approx(2.0, abs=0.02)
    assert (result.tilt_deg, result.roll_deg) == pytest.approx((0.0, 0.0), abs=0.02)
    assert result.moved_cm == pytest.approx((5.0, 0.0, 0.0), abs=0.3)
    rolled = calibrate_pose(STATED, seen(replace(STATED, roll_deg=1.5), room(), noise_px=0.0), survey=EXACT)
    assert rolled.roll_deg == pytest.approx(1.5, abs=0.02)


@given(
    bearing_deg=st.floats(-180, 180),
    shift=st.tuples(st.floats(-40, 40), st.floats(-40, 40)),
)
@settings(max_examples=3, deadline=None)
def test_moving_and_turning_the_whole_room_moves_the_pose_with_it(
    bearing_deg: float, shift: tuple[float, float]
) -> None:
    angle = math.radians(bearing_deg)
    turned = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])

    def moved_point(point: tuple[float, ...]) -> tuple[float, ...]:
        x, y = turned @ np.asarray(point[:2]) + shift
        return (float(x), float(y), *point[2:])

    plan = room(3, 4)
    elsewhere = replace(
        plan,
        seats=tuple(
            replace(seat, centre=moved_point(seat.centre), bearing_deg=seat.bearing_deg + bearing_deg)
            for seat in plan.seats
        ),
    )
    stated = replace(STATED, position_m=moved_point(STATED.position_m), aim_m=moved_point(STATED.aim_m))
    here = calibrate_pose(STATED, seen(changed(STATED, OFF), plan))
    there = calibrate_pose(stated, seen(changed(stated, OFF), elsewhere))
    assert here.verdict is there.verdict
    # The error of the pose as the room has it turns with the room; in the camera's own axes it is the same.
    first, second = found_off(here, changed(STATED, OFF)), found_off(there, changed(stated, OFF))
    assert turned @ first[:2] == pytest.approx(second[:2], abs=2e-3)
    assert first[2:] == pytest.approx(second[2:], abs=1e-3)


def test_a_card_on_a_wrong_desk_is_named_with_where_it_stands_and_does_not_move_the_pose() -> None:
    true = changed(STATED, OFF)
    right = seen(true, room())
    labels = [face.label for face, _ in right]
    first, second = labels.index("07"), labels.index("14")
    swapped = list(right)
    swapped[first] = (right[first][0], right[second][1])
    result = calibrate_pose(STATED, swapped)
    without = calibrate_pose(STATED, [one for index, one in enumerate(right) if index != first])
    assert [one.label for one in result.outliers] == ["07"]
    (wrong,) = result.outliers
    place = right[second][0].corners.mean(axis=0)
    assert wrong.stands_at_m == pytest.approx(place[:2], abs=0.05)
    assert wrong.off_cm == pytest.approx(
        100 * float(np.linalg.norm(place[:2] - right[first][0].corners.mean(axis=0)[:2])), abs=5
    )
    assert result.verdict is PoseVerdict.GOOD
    assert result.camera is not None
    assert without.camera is not None
    assert np.linalg.norm(change_between(result.camera, without.camera)[:3]) < 0.002


def test_a_third_of_the_cards_on_wrong_desks_are_all_named() -> None:
    true = changed(STATED, OFF)
    right = seen(true, room())
    swapped = list(right)
    for one, other in ((0, 5), (2, 9)):
        swapped[one], swapped[other] = (right[one][0], right[other][1]), (right[other][0], right[one][1])
    assert len(right) >= 12
    result = calibrate_pose(STATED, swapped)
    assert {one.label for one in result.outliers} == {right[index][0].label for index in (0, 5, 2, 9)}
    assert np.linalg.norm(found_off(result, true)[:3]) < 0.03


def test_a_marker_that_was_found_badly_is_left_out_and_not_said_to_stand_elsewhere() -> None:
    sightings = seen(changed(STATED, OFF), room())
    face, marker = sightings[4]
    corners = marker.corners_px.copy()
    corners[2] += (1.6, -1.6)
    sightings[4] = (face, Marker(marker.id, corners))
    result = calibrate_pose(STATED, sightings)
    assert [one.label for one in result.unsharp] == [face.label]
    assert result.outliers == ()
    assert result.verdict is PoseVerdict.GOOD


def test_cards_that_agree_on_nothing_give_no_pose() -> None:
    sightings = seen(changed(STATED, OFF), room())
    order = np.random.default_rng(3).permutation(len(sightings))
    shuffled = [(face, sightings[other][1]) for (face, _), other in zip(sightings, order, strict=True)]
    result = calibrate_pose(STATED, shuffled)
    assert (result.verdict, result.cause) == (PoseVerdict.CANNOT_JUDGE, PoseCause.DISAGREE)
    assert result.camera is None


def test_too_few_cards_a_single_row_and_a_corner_of_the_picture_give_no_pose() -> None:
    true = changed(STATED, OFF)
    everything = seen(true, room())
    few = calibrate_pose(STATED, everything[:5])
    assert (few.verdict, few.cause) == (PoseVerdict.CANNOT_JUDGE, PoseCause.TOO_FEW)
    assert "cards seen: 5" in few.reason
    row = calibrate_pose(STATED, seen(true, room(1, 12, 0.6)))
    assert (row.verdict, row.cause) == (PoseVerdict.CANNOT_JUDGE, PoseCause.IN_A_LINE)
    far = Camera("far", (4.6, -20.0, 2.8), (4.6, 3.0, 0.8), WIDE)
    corner = calibrate_pose(far, seen(far, room(), noise_px=0.0))
    assert (corner.verdict, corner.cause) == (PoseVerdict.CANNOT_JUDGE, PoseCause.IN_A_CORNER)
    assert calibrate_pose(STATED, []).cause is PoseCause.TOO_FEW


@pytest.mark.parametrize("printed", [0.94, 1.03])
def test_markers_printed_at_another_size_do_not_move_the_pose(printed: float) -> None:
    true = changed(STATED, OFF)
    result = calibrate_pose(STATED, by_hand(seen(true, room()), true, printed=printed, careful=True))
    assert result.verdict is PoseVerdict.GOOD
    assert result.printed == pytest.approx(printed, abs=0.005)
    assert np.linalg.norm(found_off(result, true)[:3]) < 0.02


def test_no_pose_is_given_where_another_one_explains_the_picture_as_well() -> None:
    """Cards printed so small that each is a point, in a plane, far off through a long lens: the plane may lean either
    way.
    """
    long = replace(WIDE, model=LensModel.PINHOLE, focal_px=14000.0, spread=0.0)
    far = Camera("far", (4.5, -30.0, 30.0), (4.5, 3.5, 0.8), long)
    sightings = []
    for face, marker in seen(far, room(), noise_px=0.0):
        middle, middle_px = face.corners.mean(axis=0), marker.corners_px.mean(axis=0)
        points = tuple(tuple(float(v) for v in middle + 0.01 * (corner - middle)) for corner in face.corners)
        small = replace(face, corners_m=points)  # type: ignore[arg-type]
        noise = np.random.default_rng(face.marker_id).normal(0, 4.0, 2)
        near = middle_px + 0.01 * (marker.corners_px - middle_px) + noise
        sightings.append((small, Marker(marker.id, near)))
    result = calibrate_pose(far, sightings, pixel_sigma_px=2.0)
    assert result.verdict is PoseVerdict.CANNOT_JUDGE
    assert result.cause in {PoseCause.AMBIGUOUS, PoseCause.LOOSE}
    assert result.camera is None


def test_desks_that_stand_worse_than_surveyed_are_said_and_the_verdict_is_poor() -> None:
    plan = room()
    real = as_it_stands(plan, desk_m=0.06, desk_deg=3.0, seed=5)
    result = calibrate_pose(STATED, with_labels_of(plan, seen(changed(STATED, OFF), real)))
    assert (result.verdict, result.cause) == (PoseVerdict.POOR, PoseCause.HELD_OUT)
    assert result.desk_cm is not None
    assert 4.0 < result.desk_cm < 8.0
    assert result.rms_px is not None
    assert result.rms_px < 1.0  # each marker has its shape: the lens is right


def test_a_lens_that_is_not_the_stated_one_is_no_good_pose() -> None:
    true = changed(replace(STATED, lens=replace(WIDE, model=LensModel.PINHOLE)), OFF)
    result = calibrate_pose(STATED, seen(true, room()))
    assert result.verdict is not PoseVerdict.GOOD


def test_the_calibrated_camera_carries_its_covariance_and_a_better_known_lens() -> None:
    result = calibrate_pose(STATED, seen(changed(STATED, OFF), room()))
    assert result.camera is not None
    assert result.covariance is not None
    assert np.asarray(result.camera.pose_covariance) == pytest.approx(np.asarray(result.covariance))
    assert result.camera.lens.spread < STATED.lens.spread / 3
    assert 0 < result.camera.aim_tolerance_deg < 0.5
    assert result.zoom == pytest.approx(math.exp(OFF[6]), abs=4 * result.zoom_sd)


def test_more_noise_in_desks_or_pixels_leaves_more_open() -> None:
    sightings = seen(changed(STATED, OFF), room())
    cards = Cards.of(sightings)
    pose = Pose(np.asarray(STATED.position_m), np.asarray(axes(STATED)))
    pose = fit(cards, WIDE, pose, Noise(0.1, 0.02, 0.017, 0.016), robust=True)
    small, desks, pixels = (
        float(np.trace(covariance_of(cards, WIDE, pose, noise)[:3, :3]))
        for noise in (
            Noise(0.1, 0.02, 0.017, 0.016),
            Noise(0.1, 0.04, 0.017, 0.016),
            Noise(0.4, 0.02, 0.017, 0.016),
        )
    )
    assert small < desks
    assert small < pixels


def test_the_covariance_is_what_many_worlds_scatter_by() -> None:
    """60 draws of desks and pixels: the squared distances have the mean of a chi-squared of 7 degrees of freedom."""
    plan, true = room(), changed(STATED, OFF)
    noise = Noise(0.1, 0.02, math.radians(1.0), STATED.lens.spread / math.sqrt(12))
    squared = []
    for world in range(60):
        random = np.random.default_rng(world)
        real = as_it_stands(plan, desk_m=0.02, desk_deg=1.0, seed=world)
        zoom = math.log(1 + random.normal(0, noise.zoom))
        here = changed(true, np.array([0, 0, 0, 0, 0, 0, zoom]))
        shown = seen(here, real, noise_px=0.1, seed=world)
        shown = by_hand(shown, here, printed=1 + random.normal(0, 0.02), careful=False, seed=world)
        cards = Cards.of(with_labels_of(plan, shown))
        start = Pose(np.asarray(true.position_m), np.asarray(axes(true)))
        pose = fit(cards, WIDE, start, noise, robust=False)
        camera = replace(
            posed(true, pose.position_m, pose.rotation),
            lens=replace(WIDE, focal_px=WIDE.focal_px * pose.zoom),
        )
        off = change_between(camera, here)
        squared.append(float(off @ np.linalg.solve(covariance_of(cards, WIDE, pose, noise), off)))
    # Mean 7, standard deviation sqrt(2 * 7 / 60) = 0.48: four of them either way.
    assert np.mean(squared) == pytest.approx(7.0, abs=1.9)
