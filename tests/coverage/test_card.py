"""Desk cards: where their markers stand in the room, and that what is printed and what is judged are the same card."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_coverage.card import (
    DEFAULT_MARKER_M,
    FORMS,
    IDS,
    LEAST_MARKER_M,
    SHEET_HEIGHT_M,
    SHEET_WIDTH_M,
    TALL,
    TENT,
    CardFace,
    card_faces,
    card_form,
    card_place,
    marker_place,
)
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.room import Desk, Room, Seat, Zone, ZoneKind

SEAL = Zone("seal", ZoneKind.SEAL_OPENING, ((3, 7), (5, 7), (5, 7.6), (3, 7.6)), 1.1, 1.5, 180.0)

markers = st.floats(LEAST_MARKER_M, TALL.most_marker_m)
desks = st.builds(Desk, st.floats(0.4, 2.0), st.floats(0.3, 1.0), st.floats(0.5, 1.0))
seats = st.builds(
    Seat,
    st.just("01"),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    st.floats(0, 360),
    desks,
    st.none(),
)


def room(*places: Seat, zones: tuple[Zone, ...] = ()) -> Room:
    return Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, (), places, zones)


def middle(face: CardFace) -> np.ndarray:
    return np.asarray(face.corners.mean(axis=0))


def forward(seat: Seat) -> np.ndarray:
    bearing = math.radians(seat.bearing_deg)
    return np.array([math.sin(bearing), math.cos(bearing), 0.0])


@given(seats, markers)
def test_a_marker_is_a_square_of_the_stated_side(seat, marker_m):
    for face in card_faces(room(seat), marker_m):
        sides = np.roll(face.corners, -1, axis=0) - face.corners
        assert np.linalg.norm(sides, axis=1) == pytest.approx([marker_m] * 4, rel=1e-9)
        diagonals = face.corners[2] - face.corners[0], face.corners[3] - face.corners[1]
        assert diagonals[0] @ diagonals[1] == pytest.approx(0.0, abs=1e-9)
        # Flat: the two ways round give the same middle.
        assert face.corners[0] + face.corners[2] == pytest.approx(face.corners[1] + face.corners[3])


@given(seats, markers)
def test_the_far_face_looks_where_the_sitter_looks_and_the_near_one_at_the_sitter(seat, marker_m):
    far, near = card_faces(room(seat), marker_m)
    assert far.normal @ forward(seat) > 0.9
    assert near.normal @ forward(seat) < -0.9
    assert far.normal[2] > 0, "the paper leans, so that a camera above sees it better"
    # The faces look away from each other, the ridge between them.
    apart = middle(far) - middle(near)
    assert apart @ far.normal > 0
    assert apart @ near.normal < 0


@given(seats, markers)
def test_whoever_reads_a_face_sees_its_first_corner_top_left(seat, marker_m):
    for face in card_faces(room(seat), marker_m):
        right, up = face.tangents
        assert up[2] > 0.9
        assert np.cross(right, up) == pytest.approx(face.normal)
        top_left = face.corners[0] - middle(face)
        assert top_left @ right < 0 < top_left @ up


@given(seats, markers)
def test_a_card_stands_on_its_desk_and_its_marker_above_it(seat, marker_m):
    form = card_form(marker_m)
    for face in card_faces(room(seat), marker_m):
        assert face.corners[:, 2].min() > seat.desk.height_m
        assert face.corners[:, 2].max() < seat.desk.height_m + form.height_m
    right_m, forward_m = card_place(seat)
    assert right_m >= 0
    assert forward_m >= 0
    if seat.desk.width_m >= SHEET_WIDTH_M + 0.04:
        assert right_m + SHEET_WIDTH_M / 2 <= seat.desk.width_m / 2
    if seat.desk.depth_m >= TALL.base_m + 0.04:
        assert forward_m + TALL.spread_m <= seat.desk.depth_m / 2


@given(seats, markers, st.floats(0, 360), st.floats(-5, 5), st.floats(-5, 5))
def test_turned_and_moved_with_its_room_a_card_stays_where_it_is_on_the_desk(seat, marker_m, turn, x, y):
    angle = math.radians(-turn)  # bearings run clockwise
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = rotation @ np.asarray(seat.centre) + (x, y)
    other = dataclasses.replace(
        seat, centre=(float(centre[0]), float(centre[1])), bearing_deg=seat.bearing_deg + turn
    )
    for before, after in zip(
        card_faces(room(seat), marker_m), card_faces(room(other), marker_m), strict=True
    ):
        moved = before.corners.copy()
        moved[:, :2] = moved[:, :2] @ rotation.T + (x, y)
        assert after.corners == pytest.approx(moved, abs=1e-9)


@given(seats, markers)
def test_turned_about_its_own_middle_the_far_face_stands_where_the_near_one_stood(seat, marker_m):
    """The card is the same from both sides, so half a turn about the ridge's middle exchanges the faces' places."""
    far, near = card_faces(room(seat), marker_m)
    ridge = (middle(far) + middle(near)) / 2
    if (
        card_form(marker_m) is TENT
    ):  # its marker is right of the middle on both faces, as each one's reader sees it
        right = np.array([forward(seat)[1], -forward(seat)[0], 0.0])
        ridge -= (ridge - np.array([*seat.centre, 0.0])) @ right * right
        ridge += card_place(seat)[0] * right
    half_turn = np.diag([-1.0, -1.0, 1.0])
    assert (far.corners - ridge) @ half_turn + ridge == pytest.approx(near.corners, abs=1e-9)


@given(markers)
def test_a_marker_and_its_white_border_are_on_the_paper_and_nowhere_folded(marker_m):
    form = card_form(marker_m)
    across_m, down_m = marker_place(form, marker_m)
    border = marker_m / 8
    assert abs(across_m) + marker_m / 2 + border <= SHEET_WIDTH_M / 2 + 1e-9
    assert down_m - marker_m / 2 - border >= -1e-9
    assert down_m + marker_m / 2 + border <= form.face_m + 1e-9


@pytest.mark.parametrize("form", FORMS)
def test_a_card_is_made_of_its_sheets(form):
    """The faces, the base and what is glued or overlaps come to exactly the paper there is."""
    if form is TENT:
        assert 2 * form.face_m + form.base_m == pytest.approx(SHEET_HEIGHT_M - 0.011)
    else:
        folded_in_m = SHEET_HEIGHT_M - form.face_m
        assert 2 * folded_in_m - 0.012 == pytest.approx(form.base_m)
    assert form.height_m > 0.8 * form.face_m, "it stands steep enough to be read from the side"


def test_a_tent_is_taken_as_long_as_it_holds_the_marker():
    assert card_form(0.094) is TENT
    assert card_form(0.095) is TALL
    assert card_form(0.168) is TALL
    assert card_form(DEFAULT_MARKER_M) is TALL


@pytest.mark.parametrize("marker_m", [0.039, 0.17, 1.0, 0.0, -0.1, math.nan])
def test_a_marker_that_no_paper_holds_is_refused(marker_m):
    with pytest.raises(CoverageError, match="fits on no card"):
        card_faces(room(Seat("01", (1, 1), 0, Desk(1.2, 0.6, 0.75), None)), marker_m)


def test_every_face_has_a_marker_of_its_own_and_zones_count_from_the_end():
    other = dataclasses.replace(SEAL, id="seal-2")
    door = Zone("door", ZoneKind.DOOR, ((7, 5), (8, 5), (8, 6), (7, 6)), 0.0, 2.0, None)
    places = [Seat(f"{n:02d}", (1.0 + n, 1.0), 0, Desk(1.2, 0.6, 0.75), None) for n in range(3)]
    faces = card_faces(room(*places, zones=(SEAL, door, other)))
    assert [(face.label, face.marker_id) for face in faces] == [
        *(("00", 0), ("00", 1), ("01", 2), ("01", 3), ("02", 4), ("02", 5)),
        *(("seal", 586), ("seal-2", 585)),
    ]


def test_a_zones_card_is_held_in_its_middle_and_faces_as_the_bag_does():
    face = card_faces(room(zones=(SEAL,)))[0]
    assert middle(face) == pytest.approx([4.0, 7.3, 1.3])
    assert face.normal == pytest.approx([0.0, -1.0, 0.0], abs=1e-12)
    sideways = card_faces(room(zones=(dataclasses.replace(SEAL, bearing_deg=90.0),)))[0]
    assert sideways.normal == pytest.approx([1.0, 0.0, 0.0], abs=1e-12)


def test_a_hall_of_more_cards_than_there_are_markers_is_refused_and_told_what_to_do():
    places = [Seat(f"{n:03d}", (float(n), 1.0), 0, Desk(1.2, 0.6, 0.75), None) for n in range(293)]
    assert len(card_faces(room(*places, zones=(SEAL,)))) == IDS
    one_more = Seat("293", (293.0, 1.0), 0, Desk(1.2, 0.6, 0.75), None)
    with pytest.raises(CoverageError, match="more than 293 seats as two rooms"):
        card_faces(room(*places, one_more, zones=(SEAL,)))


def test_the_card_is_beside_a_screen_and_within_reach_of_the_desks_edge():
    seat = Seat("01", (2.0, 3.0), 0.0, Desk(1.3, 0.6, 0.75), None)
    far, near = card_faces(room(seat), 0.168)
    assert middle(far)[:2] == pytest.approx([2.46, 3.12 + 0.019718], abs=1e-3)
    footprint = shapely.box(2.46 - 0.105, 3.12 - 0.046, 2.46 + 0.105, 3.12 + 0.046)
    for face in (far, near):
        assert all(footprint.covers(shapely.Point(x, y)) for x, y, _ in face.corners)
