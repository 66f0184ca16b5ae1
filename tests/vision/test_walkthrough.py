"""The walk-through: cards drawn where they stand, read back, and what disagrees with the model named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import CardFace, card_faces
from kaozheng_coverage.card_sight import CardCause
from kaozheng_coverage.lens import pinhole_lens
from kaozheng_coverage.projection import project
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.verdict import Outcome
from kaozheng_vision.markers import marker_modules
from kaozheng_vision.walkthrough import walk_through
from kaozheng_vision.walkthrough_result import CameraState, Reading, WalkThrough

MARKER_M = 0.168
DESK = Desk(1.3, 0.6, 0.75)
SCREEN = Monitor(0.54, 0.33, 0.80, 0.05, 0.20)
LENS = pinhole_lens(1280, 720, 70.0)
SEATS = tuple(
    Seat(f"{3 * row + column + 1:02d}", (1.5 + 1.8 * column, 4.0 - 1.4 * row), 0.0, DESK, SCREEN)
    for row in range(2)
    for column in range(3)
)
ROOM = Room("r", "r", ((0, 0), (7, 0), (7, 8), (0, 8)), 3.2, (), SEATS, ())
FRONT = Camera("front", (3.6, 7.6, 2.6), (3.6, 3.2, 0.9), LENS)
BACK = Camera("back", (5.8, 0.3, 2.6), (3.4, 3.6, 0.9), LENS)

Frame = npt.NDArray[np.uint8]


def faces_of(room: Room) -> dict[int, CardFace]:
    return {face.marker_id: face for face in card_faces(room, MARKER_M)}


def picture(camera: Camera, faces: Sequence[CardFace]) -> Frame:
    """What the camera shows of cards in an otherwise empty room; their far side is not drawn."""
    frame = np.full((camera.lens.height_px, camera.lens.width_px), 120, np.uint8)
    for face in sorted(faces, key=lambda one: -_distance(camera, one)):
        towards = np.asarray(camera.position_m) - face.corners.mean(axis=0)
        if face.normal @ towards <= 0:
            continue
        tag = np.full((10, 10), 235, np.uint8)
        tag[1:9, 1:9] = np.where(marker_modules(face.marker_id), 25, 235)
        card = cv2.resize(tag, (800, 800), interpolation=cv2.INTER_NEAREST)
        inner = np.array([(80, 80), (720, 80), (720, 720), (80, 720)], np.float32) - np.float32(0.5)
        onto = cv2.getPerspectiveTransform(inner, 4 * project(camera, face.corners).astype(np.float32) - 0.5)
        # Drawn four times as large and averaged, as a sensor does.
        size = (4 * frame.shape[1], 4 * frame.shape[0])
        fine = cv2.warpPerspective(card, onto, size, flags=cv2.INTER_AREA)
        mask = cv2.warpPerspective(np.full_like(card, 255), onto, size)
        share = cv2.resize(mask, frame.shape[::-1], interpolation=cv2.INTER_AREA) / 255.0
        light = cv2.resize(fine, frame.shape[::-1], interpolation=cv2.INTER_AREA)
        frame = np.asarray(np.clip(frame * (1 - share) + light, 0, 255), np.uint8)
    return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]


def _distance(camera: Camera, face: CardFace) -> float:
    return float(np.linalg.norm(face.corners.mean(axis=0) - np.asarray(camera.position_m)))


def moved(face: CardFace, onto: CardFace) -> CardFace:
    """The card of one desk on another desk."""
    return CardFace(face.label, face.marker_id, onto.corners_m)


def turned(camera: Camera, degrees: float) -> Camera:
    """The camera turned about the upright axis."""
    (x, y, _), (aim_x, aim_y, aim_z) = camera.position_m, camera.aim_m
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    aim = (x + cosine * (aim_x - x) - sine * (aim_y - y), y + sine * (aim_x - x) + cosine * (aim_y - y))
    return replace(camera, aim_m=(float(aim[0]), float(aim[1]), aim_z))


def read(room: Room, pictures: Mapping[str, Sequence[Frame]], *cameras: Camera, **other: bool) -> WalkThrough:
    return walk_through(room, cameras or (FRONT,), MARKER_M, pictures, **other)


def labels(walk: WalkThrough, reading: Reading) -> set[str]:
    return {one.label for one in walk.readings if one.reading is reading}


@pytest.fixture(scope="module")
def as_stated() -> WalkThrough:
    every = list(faces_of(ROOM).values())
    return read(ROOM, {one.id: [picture(one, every)] for one in (FRONT, BACK)}, FRONT, BACK)


def test_where_all_is_as_stated_every_seat_is_proven(as_stated: WalkThrough) -> None:
    assert as_stated.outcome is Outcome.PASS
    assert as_stated.unproven == as_stated.repeated == as_stated.misplaced == as_stated.strangers == ()
    assert {one.label for one in as_stated.of("01")} == {"01"}
    assert [one.state for one in as_stated.cameras] == [CameraState.AGREES, CameraState.AGREES]


def test_cards_are_read_within_a_pixel_of_where_the_model_expects_them(as_stated: WalkThrough) -> None:
    off = [one.off_px for one in as_stated.readings if one.off_px is not None]
    assert len(off) >= 6
    assert max(off) < 0.5
    assert all(camera.turn_deg is not None and camera.turn_deg < 0.05 for camera in as_stated.cameras)


def test_a_front_camera_reads_the_far_face_and_a_back_camera_the_near_one(as_stated: WalkThrough) -> None:
    sides = {
        (one.camera_id, one.sight.face.marker_id % 2) for one in as_stated.readings if one.seen_px is not None
    }
    assert sides == {("front", 0), ("back", 1)}


def test_a_card_that_is_not_set_up_is_missing() -> None:
    there = [face for face in faces_of(ROOM).values() if face.label != "02"]
    walk = read(ROOM, {"front": [picture(FRONT, there)]})
    assert labels(walk, Reading.MISSING) == {"02"}
    assert walk.unproven == ("02",)
    assert walk.outcome is Outcome.FAIL


def test_a_card_hidden_in_one_picture_and_shown_in_another_is_read() -> None:
    every = list(faces_of(ROOM).values())
    hidden = [face for face in every if face.label != "02"]
    walk = read(ROOM, {"front": [picture(FRONT, hidden), picture(FRONT, every)]})
    (card,) = walk.of("02")
    assert (card.reading, card.pictures) == (Reading.SEEN, 1)
    assert walk.of("01")[0].pictures == 2


def test_two_cards_that_changed_desks_are_named_with_the_desks_on_which_they_stand() -> None:
    faces = faces_of(ROOM)
    first, second = faces[0], faces[8]
    swapped = {**faces, 0: moved(first, second), 8: moved(second, first)}
    walk = read(ROOM, {"front": [picture(FRONT, list(swapped.values()))]})
    assert {(one.label, one.place_of) for one in walk.misplaced} == {("01", "05"), ("05", "01")}
    assert set(walk.unproven) == {"01", "05"}
    assert walk.cameras[0].state is CameraState.AGREES
    assert walk.outcome is Outcome.FAIL


def test_a_turned_camera_is_told_from_cards_on_wrong_desks() -> None:
    shown = picture(turned(FRONT, 4.0), list(faces_of(ROOM).values()))
    walk = read(ROOM, {"front": [shown]})
    (camera,) = walk.cameras
    assert camera.state is CameraState.TURNED
    assert camera.turn_deg == pytest.approx(4.0, abs=0.05)
    assert walk.misplaced == ()
    assert walk.outcome is Outcome.FAIL


def test_two_cards_of_one_number_are_reported() -> None:
    faces = faces_of(ROOM)
    copy = moved(faces[0], faces[8])
    walk = read(
        ROOM, {"front": [picture(FRONT, [*(one for one in faces.values() if one.marker_id != 8), copy])]}
    )
    assert walk.repeated == ("01",)
    assert labels(walk, Reading.MISSING) >= {"05"}
    assert walk.outcome is Outcome.FAIL


def test_two_cards_of_one_number_are_told_though_no_camera_shows_both() -> None:
    faces = faces_of(ROOM)
    # The one on the desk of 06 is of another print; both of its faces say 01.
    behind = {**faces, 1: moved(faces[1], faces[11])}
    del behind[11]
    shown = {"front": [picture(FRONT, list(faces.values()))], "back": [picture(BACK, list(behind.values()))]}
    walk = read(ROOM, shown, FRONT, BACK)
    assert walk.repeated == ("01",)
    assert {one.camera_id for one in walk.misplaced} == {"back"}


def test_a_card_of_another_room_is_a_stranger() -> None:
    faces = list(faces_of(ROOM).values())
    other = CardFace("99", 400, faces[0].corners_m)
    walk = read(ROOM, {"front": [picture(FRONT, [*faces[2:], other])]})
    assert [(one.camera_id, one.marker_id) for one in walk.strangers] == [("front", 400)]
    assert walk.outcome is Outcome.FAIL


def test_a_card_read_though_the_model_hides_it_refutes_the_model() -> None:
    # A pillar that the site file has and the room has not.
    hidden = replace(
        ROOM, obstacles=(Prism("pillar", ((3.5, 5.0), (4.6, 5.0), (4.6, 5.3), (3.5, 5.3)), 0, 3.2),)
    )
    walk = read(hidden, {"front": [picture(FRONT, list(faces_of(ROOM).values()))]})
    refuting = [one for one in walk.readings if one.refutes]
    assert {"02", "05"} <= {one.label for one in refuting}
    assert not {"01", "03", "04"} & {one.label for one in refuting}
    assert {one.sight.cause for one in refuting} == {CardCause.HIDDEN}
    assert all("pillar" in one.sight.hidden_by for one in refuting)
    assert walk.outcome is Outcome.FAIL


def test_a_camera_without_a_picture_is_never_a_pass() -> None:
    every = list(faces_of(ROOM).values())
    walk = read(ROOM, {"front": [picture(FRONT, every)]}, FRONT, BACK)
    assert walk.cameras[1].state is CameraState.NO_PICTURE
    assert {one.reading for one in walk.readings if one.camera_id == "back"} == {Reading.CANNOT_JUDGE}
    assert walk.outcome is Outcome.UNDETERMINED


def test_a_picture_of_another_size_is_not_judged() -> None:
    small = np.zeros((360, 640, 3), np.uint8)
    walk = read(ROOM, {"front": [small]})
    assert walk.cameras[0].state is CameraState.OTHER_SIZE
    assert walk.outcome is Outcome.UNDETERMINED


def test_the_seal_openings_card_is_asked_for_unless_seats_only_are() -> None:
    zone = Zone(
        "seal", ZoneKind.SEAL_OPENING, ((3.2, 5.4), (4.0, 5.4), (4.0, 6.0), (3.2, 6.0)), 1.1, 1.5, 0.0
    )
    room = replace(ROOM, zones=(zone,))
    seats = [face for face in faces_of(room).values() if face.label != "seal"]
    without = {"front": [picture(FRONT, seats)]}
    walk = read(room, without)
    assert walk.unproven == ("seal",)
    # Nobody held it up: nothing is proven of the area, and no camera is to blame.
    assert walk.outcome is Outcome.UNDETERMINED
    only = read(room, without, zones=False)
    assert "seal" not in only.labels
    # Held up where someone happens to stand: half a metre aside is no wrong desk.
    held = faces_of(room)[586]
    aside = CardFace("seal", 586, tuple((x + 0.5, y, z) for x, y, z in held.corners_m))
    shown = read(room, {"front": [picture(FRONT, [*seats, aside])]})
    assert shown.unproven == ()
    assert shown.misplaced == ()


@pytest.mark.parametrize(("degrees", "state"), [(0.2, CameraState.AGREES), (0.6, CameraState.TURNED)])
def test_a_calibrated_camera_is_not_said_to_have_turned_for_what_hands_and_plan_are_off(
    degrees: float, state: CameraState
) -> None:
    calibrated = replace(FRONT, aim_tolerance_deg=0.05)
    shown = picture(turned(FRONT, degrees), list(faces_of(ROOM).values()))
    assert read(ROOM, {"front": [shown]}, calibrated).cameras[0].state is state
