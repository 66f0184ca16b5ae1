"""Which cards a camera will read, and the one thing that is against the others."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import FORMS, TALL, TENT, card_faces
from kaozheng_coverage.card_sight import (
    LEAST_PX,
    MOST_SLANT_DEG,
    SURE_PX,
    CardCause,
    CardChance,
    CardSight,
    advised_marker_m,
    best_sights,
    card_sights,
    face_patch,
)
from kaozheng_coverage.lens import fit_lens, pinhole_lens
from kaozheng_coverage.projection import project
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind

DESK = Desk(1.3, 0.6, 0.75)
MONITOR = Monitor(0.54, 0.33, 0.80, 0.05, 0.20)
LENS = pinhole_lens(1920, 1080, 80.0)
SEAL = Zone("seal", ZoneKind.SEAL_OPENING, ((4, 8), (5, 8), (5, 8.6), (4, 8.6)), 1.1, 1.5, 180.0)


def room(*places: Seat, obstacles: tuple[Prism, ...] = (), zones: tuple[Zone, ...] = ()) -> Room:
    return Room("r", "r", ((0, 0), (9, 0), (9, 9), (0, 9)), 3.2, obstacles, places, zones)


def seat(x: float, y: float, number: str = "01", monitor: Monitor | None = None) -> Seat:
    return Seat(number, (x, y), 0.0, DESK, monitor)


def camera(x: float, y: float, aim: tuple[float, float], z: float = 2.6) -> Camera:
    return Camera("c", (x, y, z), (*aim, 0.9), LENS)


def best(place: Room, eye: Camera, marker_m: float = 0.168) -> dict[str, CardSight]:
    return {label: sight for (_, label), sight in best_sights(card_sights(place, [eye], marker_m)).items()}


def test_a_camera_in_front_reads_the_far_face_and_one_behind_the_near_one():
    front = best(room(seat(4, 4)), camera(4.4, 8.5, (4.4, 4)))["01"]
    back = best(room(seat(4, 4)), camera(4.4, 0.5, (4.4, 4)))["01"]
    assert (front.chance, front.face.marker_id) == (CardChance.SURE, 0)
    assert front.cause is None
    # Behind the card is its sitter, who hides it while there.
    assert (back.chance, back.face.marker_id) == (CardChance.SURE, 1)


def test_the_size_is_that_of_the_marker_seen_through_the_lens():
    sight = best(room(seat(4, 4)), camera(4.46, 7.0, (4.46, 4), z=1.0))["01"]
    corners = np.array(sight.corners_px)
    assert corners == pytest.approx(project(camera(4.46, 7.0, (4.46, 4), z=1.0), sight.face.corners))
    width, height = (np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0]))
    assert sight.side_px == pytest.approx(min(width, height), rel=0.05)
    assert sight.slant_deg < 15


def test_a_card_too_far_says_how_large_it_would_have_to_be():
    eye = dataclasses.replace(camera(4.46, 8.9, (4.46, 1.0)), lens=fit_lens(1280, 720, 106.4, 57.9, 124.6))
    sight = best(room(seat(4, 1)), eye)["01"]
    assert sight.cause is CardCause.TOO_FAR
    assert sight.chance is CardChance.DOUBTFUL
    assert LEAST_PX <= sight.side_px < SURE_PX
    assert sight.needed_m == pytest.approx(0.168 * SURE_PX / sight.side_px)
    assert sight.needed_m > TALL.most_marker_m
    nearer = dataclasses.replace(eye, lens=pinhole_lens(1920, 1080, 30.0))
    assert best(room(seat(4, 1)), nearer)["01"].chance is CardChance.SURE


@settings(max_examples=25, deadline=None)
@given(st.floats(1.5, 7.5), st.floats(1.5, 6.5), st.floats(0.06, 0.09))
def test_a_marker_of_the_needed_size_is_surely_read(x, y, marker_m):
    place, eye = room(seat(x, y)), camera(4.5, 8.7, (4.5, 4))
    sight = best(place, eye, marker_m)["01"]
    if sight.cause is not CardCause.TOO_FAR or (sight.needed_m or 1) > TENT.most_marker_m:
        return
    assert best(place, eye, sight.needed_m * 1.01)["01"].chance is CardChance.SURE


def test_a_card_beside_the_picture_is_out_of_view_and_one_at_its_border_doubtful():
    aside = best(room(seat(8, 7.5)), camera(4.0, 8.5, (2.0, 4)))["01"]
    assert (aside.chance, aside.cause) == (CardChance.NONE, CardCause.OUT_OF_VIEW)
    # The marker's left corner just inside the picture's left border: the aim's degree decides.
    eye = camera(4.46, 8.5, (4.46, 4))
    middle = np.array(best(room(seat(4, 4)), eye)["01"].corners_px).mean(axis=0)
    moved = dataclasses.replace(LENS, centre_px=(LENS.centre_px[0] - middle[0] + 22, LENS.centre_px[1]))
    border = best(room(seat(4, 4)), dataclasses.replace(eye, lens=moved))["01"]
    assert (border.chance, border.cause) == (CardChance.DOUBTFUL, CardCause.OUT_OF_VIEW)
    assert border.needed_m is None


def test_a_pillar_hides_a_card_and_is_named():
    pillar = Prism("pillar", ((4.2, 6.0), (4.8, 6.0), (4.8, 6.4), (4.2, 6.4)), 0.0, 3.2)
    sight = best(room(seat(4, 4), obstacles=(pillar,)), camera(4.46, 8.5, (4.46, 4)))["01"]
    assert (sight.chance, sight.cause) == (CardChance.NONE, CardCause.HIDDEN)
    assert sight.hidden == pytest.approx(1.0)
    assert sight.hidden_by[0] == "pillar"
    assert sight.needed_m is None


def test_whoever_may_sit_there_makes_it_doubtful_and_not_impossible():
    """The walk-through is done in an empty room or in a full one."""
    behind, before = seat(4.46, 4, "02"), seat(4.92, 5.35, "01")
    sight = best(room(before, behind), camera(4.9, 8.5, (4.46, 4), z=1.5))["02"]
    assert sight.cause is CardCause.HIDDEN
    assert sight.chance is CardChance.DOUBTFUL
    assert "seat-01 person" in sight.hidden_by


def test_its_own_desk_never_hides_a_card_and_its_own_screen_may():
    place = room(seat(4, 4, monitor=MONITOR))
    flat = camera(0.3, 4.15, (4, 4), z=0.9)
    sight = best(place, flat)["01"]
    assert "seat-01 desk" not in sight.hidden_by
    assert "seat-01 monitor" in sight.hidden_by


def test_a_card_seen_from_its_side_is_edge_on():
    sight = best(room(seat(4, 4)), camera(8.8, 4.6, (4, 4), z=0.95))["01"]
    assert sight.cause is CardCause.EDGE_ON
    assert sight.chance is CardChance.NONE
    assert MOST_SLANT_DEG < sight.slant_deg < 90


def test_of_the_two_faces_one_is_always_turned_away():
    sights = card_sights(room(seat(4, 4)), [camera(4.46, 8.5, (4.46, 4), z=1.2)], 0.168)
    assert [sight.cause for sight in sights] == [None, CardCause.TURNED_AWAY]


def test_the_bag_card_is_not_hidden_by_who_holds_it():
    sight = best(room(zones=(SEAL,)), camera(4.5, 0.5, (4.5, 8)))["seal"]
    assert sight.chance is CardChance.SURE
    assert sight.face.marker_id == 586


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 8.5), st.floats(2.0, 8.5), st.floats(1.0, 3.1))
def test_mirrored_room_mirrored_size(x, z_y, z):
    """Left and right: a card and its mirror image (beside the screen on the other side) have the same size."""
    place = room(seat(4.5 - 0.46, 4))  # the card in the middle of the room
    if abs(x - 4.5) < 0.2 and abs(z_y - 4.12) < 0.2:
        return
    one = {s.face.marker_id: s for s in card_sights(place, [camera(x, z_y, (4.5, 4), z)], 0.168)}
    other = {s.face.marker_id: s for s in card_sights(place, [camera(9 - x, z_y, (4.5, 4), z)], 0.168)}
    for marker_id, sight in one.items():
        assert other[marker_id].side_px == pytest.approx(sight.side_px, rel=1e-6, abs=1e-6)
        assert other[marker_id].slant_deg == pytest.approx(sight.slant_deg, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(2, 7), st.floats(2, 6))
def test_one_more_obstacle_never_makes_a_card_surer(x, y):
    pillar = Prism("pillar", ((x, y), (x + 0.4, y), (x + 0.4, y + 0.4), (x, y + 0.4)), 0.0, 3.2)
    places = [
        seat(2 + 1.8 * column, 2 + 1.4 * row, f"{row}{column}") for row in range(3) for column in range(3)
    ]
    eye = camera(0.3, 8.7, (5, 3))
    order = [CardChance.SURE, CardChance.DOUBTFUL, CardChance.NONE]
    free, obstructed = best(room(*places), eye), best(room(*places, obstacles=(pillar,)), eye)
    assert all(order.index(obstructed[label].chance) >= order.index(free[label].chance) for label in free)


def test_one_sheet_is_advised_where_it_does_and_two_where_it_does_not():
    near = room(seat(4, 6), seat(2, 6, "02"))
    assert advised_marker_m(near, [camera(3.5, 8.5, (3.5, 6))]) == TENT.most_marker_m
    wide = dataclasses.replace(camera(4.46, 8.9, (4.46, 1.0)), lens=fit_lens(1920, 1080, 106.4, 57.9, 124.6))
    assert advised_marker_m(room(seat(4, 3)), [wide]) == TALL.most_marker_m
    # With nothing to gain by any size the larger is as good as any: there, doubt is least.
    assert advised_marker_m(room(seat(4, 3)), []) == TALL.most_marker_m


@pytest.mark.parametrize("form", FORMS)
def test_what_must_be_seen_is_the_marker_and_half_its_border(form):
    place = room(seat(4, 4))
    face = card_faces(place, form.most_marker_m)[0]
    patch = face_patch(place, face)
    assert math.sqrt(patch.outline.area) == pytest.approx(form.most_marker_m * 9 / 8)
    assert patch.normal == pytest.approx(face.normal)
    assert patch.own == {"seat-01 desk"}
