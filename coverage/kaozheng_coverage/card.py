"""Desk cards: upright name cards with a marker, and where their markers' corners are in the room.

A card is a folded sheet that stands like a tent. Both faces carry the number of the seat and a 36h11 marker of their
own, so that a picture tells which face it shows. One size of marker serves a whole room: what was printed is one fact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
DEFAULT_MARKER_M = 0.105


@dataclass(frozen=True, slots=True)
class CardForm:
    """A sheet of paper as a card: its upright face, and how far each face's foot stands from under the ridge.

    ``most_marker_m`` is the largest marker that fits with its white border.
    """

    name: str
    width_m: float
    height_m: float
    spread_m: float
    most_marker_m: float


# An A4 sheet folded twice across: two faces of 210 x 140 mm, the rest a flap underneath.
TENT = CardForm("tent", 0.21, 0.14, 0.03, 0.112)
# Two A4 sheets upright, joined at the ridge: faces of 210 x 250 mm with a flap each.
TALL = CardForm("tall", 0.21, 0.25, 0.05, 0.168)

# Where a card stands on its desk, from the desk's middle: right of the screen, where the sitter's arms are not, and far
# enough from the near edge to stay.
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
        top_left, top_right, _, bottom_left = self.corners
        across, down = top_right - top_left, bottom_left - top_left
        normal = np.cross(down, across)
        return np.asarray(normal / np.linalg.norm(normal))


def card_form(marker_m: float) -> CardForm:
    """The smaller form that holds such a marker. Raises CoverageError where none does."""
    for form in (TENT, TALL):
        if 0.02 <= marker_m <= form.most_marker_m + 1e-9:
            return form
    raise CoverageError(
        f"a marker of {marker_m:g} m fits on no card: give 0.02 to {TALL.most_marker_m:g} m, the width of A4"
    )


def card_faces(room: Room, marker_m: float = DEFAULT_MARKER_M) -> tuple[CardFace, ...]:
    """Every seat's two faces (far: where its sitter looks; near: towards the sitter), and one for each place where
    bags are opened.

    Parameters
    ----------
    marker_m : side of the marker's black border, metres

    Returns
    -------
    Seat i of the room has ids 2 i (far face) and 2 i + 1 (near face); the j-th seal-opening zone 586 - j.

    Raises
    ------
    CoverageError : no card holds such a marker, or the room has more cards than the family has markers
    """
    form = card_form(marker_m)
    zones = [zone for zone in room.zones if zone.kind is ZoneKind.SEAL_OPENING]
    if 2 * len(room.seats) + len(zones) > IDS:
        raise CoverageError(
            f"room {room.id} has {len(room.seats)} seats and the family {IDS} markers, two a card: "
            f"give a hall of more than {IDS // 2} seats as two rooms"
        )
    faces = []
    for index, seat in enumerate(room.seats):
        faces.append(_face(seat, form, marker_m, 2 * index, far=True))
        faces.append(_face(seat, form, marker_m, 2 * index + 1, far=False))
    return (*faces, *(_zone_face(zone, marker_m, _ZONE_ID - index) for index, zone in enumerate(zones)))


def marker_place(form: CardForm, marker_m: float) -> tuple[float, float]:
    """Where the marker's middle is on a face: metres right of the face's middle and above its foot.

    On a tent at the right, its white border reaching the edge, the number left of it; on a tall card at the top, the
    number under it.
    """
    border_m = marker_m / MODULES
    if form is TENT:
        return form.width_m / 2 - border_m - marker_m / 2, form.height_m / 2
    return 0.0, form.height_m - border_m - marker_m / 2


def card_place(seat: Seat) -> tuple[float, float]:
    """Where the card's middle stands on the desk: metres right and forward of the desk's middle, as its sitter sees."""
    right_m = min(RIGHT_M, seat.desk.width_m / 2 - TENT.width_m / 2 - _EDGE_M)
    forward_m = min(FORWARD_M, seat.desk.depth_m / 2 - TALL.spread_m - _EDGE_M)
    return max(right_m, 0.0), max(forward_m, 0.0)


def _face(seat: Seat, form: CardForm, marker_m: float, marker_id: int, *, far: bool) -> CardFace:
    frame = seat_frame(seat)
    right_m, forward_m = card_place(seat)
    facing = np.array([*frame.forward, 0.0]) * (1.0 if far else -1.0)
    # Whoever reads the face looks against it: their right is the sitter's left on the far one.
    right = np.array([*frame.right, 0.0]) * (-1.0 if far else 1.0)
    foot = np.array(
        [
            *(
                np.asarray(seat.centre)
                + np.asarray(frame.right) * right_m
                + np.asarray(frame.forward) * forward_m
            ),
            0.0,
        ]
    )
    foot[2] = seat.desk.height_m
    foot = foot + facing * form.spread_m
    up = np.array([0.0, 0.0, form.height_m]) - facing * form.spread_m
    up = up / np.linalg.norm(up)
    across_m, above_m = marker_place(form, marker_m)
    middle = foot + right * across_m + up * above_m
    return CardFace(seat.number, marker_id, _corners(middle, right, up, marker_m))


def _zone_face(zone: Zone, marker_m: float, marker_id: int) -> CardFace:
    """Held upright where the bag is shown, facing as the bag does (towards the back wall where it says nothing)."""
    bearing = np.radians(180.0 if zone.bearing_deg is None else zone.bearing_deg)
    right = np.array([-np.cos(bearing), np.sin(bearing), 0.0])
    x, y = np.asarray(zone.polygon).mean(axis=0)
    middle = np.array([x, y, (zone.bottom_m + zone.top_m) / 2])
    return CardFace(zone.id, marker_id, _corners(middle, right, np.array([0.0, 0.0, 1.0]), marker_m))


def _corners(middle: Array, right: Array, up: Array, side_m: float) -> tuple[tuple[float, float, float], ...]:
    half = side_m / 2
    corners = [middle + half * (x * right + y * up) for x, y in ((-1, 1), (1, 1), (1, -1), (-1, -1))]
    return tuple((float(x), float(y), float(z)) for x, y, z in corners)
