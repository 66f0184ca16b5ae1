"""Desk cards: upright name cards with a marker, and where their markers' corners are in the room.

A card is folded paper that stands like a tent. Both faces carry the number of the seat and a 36h11 marker of their own,
so that a picture tells which face it shows. What is printed, folded and judged all rests on the measures here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.person import seat_frame
from kaozheng_coverage.room import Room, Seat, Zone, ZoneKind

# AprilTag family 36h11 (Wang and Olson 2016): ids 0 to 586; black border and code are 8 modules across, and one module
# of white around them is part of the marker.
IDS = 587
MODULES = 8
# Two of each seat, from 0 on; zones from the end.
_ZONE_ID = IDS - 1
# No printed marker is smaller: 2 m before a 106 degree lens it has 21 px of 1080p, and few cameras hang nearer.
LEAST_MARKER_M = 0.04

# A4, of which every card is folded.
SHEET_WIDTH_M, SHEET_HEIGHT_M = 0.210, 0.297


@dataclass(frozen=True, slots=True)
class CardForm:
    """How sheets of A4 become a card, metres.

    Attributes
    ----------
    sheets : of paper, one card
    face_m : from the ridge down to the fold at a face's foot, along the paper; a face is as wide as the sheet
    base_m : from foot to foot
    most_marker_m : the largest marker that fits on a face with its white border
    """

    name: str
    sheets: int
    face_m: float
    base_m: float
    most_marker_m: float

    @property
    def spread_m(self) -> float:
        """How far a face's foot stands from under the ridge."""
        return self.base_m / 2

    @property
    def height_m(self) -> float:
        """Of the ridge above the desk."""
        return math.sqrt(self.face_m**2 - self.spread_m**2)


# One sheet folded across into face, face, base and a tab of 11 mm that is glued under the first face.
TENT = CardForm("tent", 1, 0.118, 0.050, 0.094)
# Two sheets, a face each, taped at the ridge; the 52 mm below the faces are folded inwards and overlap by 12 mm.
TALL = CardForm("tall", 2, 0.245, 0.092, 0.168)
FORMS = (TENT, TALL)
DEFAULT_MARKER_M = TALL.most_marker_m

# Where the middle of a card's base stands, from the middle of the desk top as the sitter sees it: right of a screen of
# up to 0.7 m, where the sitter's arms are not.
RIGHT_M, FORWARD_M = 0.46, 0.12
# Kept from the desk's edge, where it is narrower.
_EDGE_M = 0.02


@dataclass(frozen=True, slots=True)
class CardFace:
    """One face: ``label`` is a seat's number or a zone's id.

    ``corners_m`` are the outer corners of the marker's black border, room coordinates, as one reads the card: top left,
    top right, bottom right, bottom left.
    """

    label: str
    marker_id: int
    corners_m: tuple[tuple[float, float, float], ...]

    @property
    def corners(self) -> Array:
        """(4, 3) metres."""
        return np.asarray(self.corners_m)

    @property
    def normal(self) -> Array:
        """(3,) unit vector towards whoever reads it."""
        right, up = self.tangents
        return np.cross(right, up)

    @property
    def tangents(self) -> Array:
        """(2, 3) unit vectors in the face: the reader's right and up."""
        top_left, _, bottom_right, bottom_left = self.corners
        right, up = bottom_right - bottom_left, top_left - bottom_left
        return np.stack([right / np.linalg.norm(right), up / np.linalg.norm(up)])

    @property
    def marker_m(self) -> float:
        """Side of the marker's black border."""
        return float(np.linalg.norm(self.corners[1] - self.corners[0]))


def card_form(marker_m: float) -> CardForm:
    """The smaller form that holds such a marker. Raises CoverageError where none does."""
    for form in FORMS:
        if LEAST_MARKER_M <= marker_m <= form.most_marker_m + 1e-9:
            return form
    raise CoverageError(
        f"a marker of {marker_m:g} m fits on no card: give {LEAST_MARKER_M:g} to {TALL.most_marker_m:g} m, "
        "the width of A4 with its white border"
    )


def card_faces(room: Room, marker_m: float = DEFAULT_MARKER_M) -> tuple[CardFace, ...]:
    """Every seat's two faces (far: where its sitter looks; near: towards the sitter), and one for each place where
    bags are opened.

    Parameters
    ----------
    marker_m : side of the markers' black border, metres, one for all cards of a room

    Returns
    -------
    Seat i of the room has ids 2 i (far face) and 2 i + 1 (near face); the j-th seal-opening zone 586 - j.

    Raises
    ------
    CoverageError : no card holds such a marker, or the room has more cards than the family has markers
    """
    zones = card_zones(room)
    if 2 * len(room.seats) + len(zones) > IDS:
        raise CoverageError(
            f"room {room.id} has {len(room.seats)} seats and {len(zones)} seal-opening zones, and the family {IDS} "
            f"markers, two a seat: describe a hall of more than {(IDS - len(zones)) // 2} seats as two rooms"
        )
    faces = []
    for index, seat in enumerate(room.seats):
        faces.append(_face(seat, marker_m, 2 * index, far=True))
        faces.append(_face(seat, marker_m, 2 * index + 1, far=False))
    for index, zone in enumerate(zones):
        faces.append(_zone_face(zone, marker_m, _ZONE_ID - index))
    return tuple(faces)


def card_zones(room: Room) -> tuple[Zone, ...]:
    """The zones that have a card."""
    return tuple(zone for zone in room.zones if zone.kind is ZoneKind.SEAL_OPENING)


def card_place(seat: Seat) -> tuple[float, float]:
    """Where the card's middle stands: metres right and forward of the desk top's middle, as the sitter sees it.

    The same for both forms, so that a card can be replaced by a taller one.
    """
    right_m = min(RIGHT_M, seat.desk.width_m / 2 - SHEET_WIDTH_M / 2 - _EDGE_M)
    forward_m = min(FORWARD_M, seat.desk.depth_m / 2 - TALL.spread_m - _EDGE_M)
    return max(right_m, 0.0), max(forward_m, 0.0)


def marker_place(form: CardForm, marker_m: float) -> tuple[float, float]:
    """Where the marker's middle is on a face: metres right of the face's middle, and down from the ridge.

    On a tent at the right and half-way up, the number left of it; on a tall card at the top, the number under it. A
    module of white is left to the edge.
    """
    border_m = marker_m / MODULES
    if form is TENT:
        return SHEET_WIDTH_M / 2 - border_m - marker_m / 2, form.face_m / 2
    return 0.0, border_m + marker_m / 2


def _face(seat: Seat, marker_m: float, marker_id: int, *, far: bool) -> CardFace:
    form = card_form(marker_m)
    frame = seat_frame(seat)
    right_m, forward_m = card_place(seat)
    middle = np.asarray(seat.centre) + right_m * frame.right + forward_m * frame.forward
    facing = np.array([*frame.forward, 0.0]) * (1.0 if far else -1.0)
    # Whoever reads the face looks against it: their right is the sitter's left on the far one.
    right = np.array([*frame.right, 0.0]) * (-1.0 if far else 1.0)
    ridge = np.array([*middle, seat.desk.height_m + form.height_m])
    down = (facing * form.spread_m - np.array([0.0, 0.0, form.height_m])) / form.face_m
    across_m, below_m = marker_place(form, marker_m)
    return CardFace(
        seat.number, marker_id, _corners(ridge + across_m * right + below_m * down, right, -down, marker_m)
    )


def _zone_face(zone: Zone, marker_m: float, marker_id: int) -> CardFace:
    """Held upright where the bag is shown, facing as the bag does (towards the back wall where it says nothing)."""
    card_form(marker_m)
    bearing = math.radians(180.0 if zone.bearing_deg is None else zone.bearing_deg)
    right = np.array([-math.cos(bearing), math.sin(bearing), 0.0])
    centre = shapely.Polygon(zone.polygon).centroid
    middle = np.array([centre.x, centre.y, (zone.bottom_m + zone.top_m) / 2])
    return CardFace(zone.id, marker_id, _corners(middle, right, np.array([0.0, 0.0, 1.0]), marker_m))


def _corners(middle: Array, right: Array, up: Array, side_m: float) -> tuple[tuple[float, float, float], ...]:
    half = side_m / 2
    corners = [middle + half * (x * right + y * up) for x, y in ((-1, 1), (1, 1), (1, -1), (-1, -1))]
    return tuple((float(x), float(y), float(z)) for x, y, z in corners)
