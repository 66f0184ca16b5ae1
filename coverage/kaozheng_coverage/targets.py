"""What is looked at and is flat: the parts of a seat, and zones that are surfaces, as patches in the room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.person import CHAIR_HEIGHT_M, SITTERS, Sitter, person_id, seat_frame
from kaozheng_coverage.profile import Part
from kaozheng_coverage.room import Point2, Seat, Zone

# The back of a hand on a keyboard or on paper lies about its own thickness (GB/T 10000-1988: 28 mm) above it.
HAND_THICKNESS_M = 0.03
# Both forearms on the desk, elbow to elbow: as broad as the broadest shoulders (male P95).
HANDS_WIDTH_M = 0.469

_UP = np.array([0.0, 0.0, 1.0])
_NO_FRONT = np.zeros(3)


@dataclass(frozen=True)
class Patch:
    """A flat piece of a target.

    Attributes
    ----------
    origin : (3,) metres, a point of its plane
    tangents : (2, 3), orthonormal, first along the floor; ``normal`` = first x second points to the visible side
    outline : polygon in the plane's own metres along the two tangents
    own : ids of the occluders that belong to the target itself and do not hide it
    front : (3,) unit vector, where the target faces; None if it faces nowhere
    """

    origin: Array
    tangents: Array
    outline: shapely.Polygon
    own: frozenset[str]
    front: Array | None = None

    @cached_property
    def normal(self) -> Array:
        (a, b, c), (d, e, f) = self.tangents
        return np.array([b * f - c * e, c * d - a * f, a * e - b * d])

    @cached_property
    def corners(self) -> Array:
        """The outline's corners in room coordinates, (N, 3)."""
        return self.to_room(np.asarray(self.outline.exterior.coords)[:-1])

    def to_room(self, points: Array) -> Array:
        """Points (N, 2) of the plane in room coordinates, (N, 3)."""
        return np.asarray(self.origin + np.asarray(points) @ self.tangents)


def to_room(patches: Sequence[Patch], owner: np.ndarray, points: Array) -> Array:
    """Points (N, 2) of patches' planes in room coordinates, (N, 3); ``owner`` (N,) says of which patch each is."""
    origins = np.array([patch.origin for patch in patches])[owner]
    tangents = np.array([patch.tangents for patch in patches])[owner]
    return np.asarray(origins + points[:, :1] * tangents[:, 0] + points[:, 1:] * tangents[:, 1])


def seat_patches(seat: Seat, eye: Array) -> dict[Part, tuple[Patch, ...]]:
    """The parts of a seat as seen from ``eye`` (3,): for each part one patch for every sitter that matters.

    Head and torso are upright patches turned towards the eye; hands and desk lie flat. The body does not hide
    its own head and torso, and does hide its own hands and desk. Only the torso above the desk top is asked for,
    and only the desk between the sitter and the screen: nothing is written behind a screen.
    """
    body_id = frozenset({person_id(seat)})
    parts: dict[Part, tuple[Patch, ...]] = {
        Part.HEAD: tuple(_head(seat, sitter, eye, body_id) for sitter in SITTERS),
        Part.TORSO: tuple(_torso(seat, sitter, eye, body_id) for sitter in SITTERS),
    }
    desk, monitor = seat.desk, seat.monitor
    usable_m = desk.depth_m
    if monitor is not None:
        usable_m = min(desk.depth_m, max(0.1, desk.depth_m - monitor.setback_m - monitor.thickness_m / 2))
    near_half_m = min(desk.depth_m / 2, usable_m)
    hands_m = min(HANDS_WIDTH_M, desk.width_m)
    parts[Part.HANDS] = (_on_desk(seat, hands_m, near_half_m, desk.height_m + HAND_THICKNESS_M),)
    parts[Part.DESK] = (_on_desk(seat, desk.width_m, usable_m, desk.height_m),)
    return parts


def zone_patch(zone: Zone) -> Patch:
    """The top of a flat zone."""
    return Patch(
        np.array([0.0, 0.0, zone.top_m]),
        np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        shapely.Polygon(zone.polygon),
        frozenset(),
    )


def off_front_deg(patches: Sequence[Patch], eye: Array) -> list[float | None]:
    """Angle between where each target faces and the eye, degrees, 0-180, in its patch's middle; None without front."""
    middles = shapely.get_coordinates(shapely.centroid([patch.outline for patch in patches]))
    towards = np.asarray(eye) - to_room(patches, np.arange(len(patches)), middles)
    fronts = np.array([_NO_FRONT if patch.front is None else patch.front for patch in patches])
    cosines = (fronts * towards).sum(axis=1) / np.linalg.norm(towards, axis=1)
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    return [
        None if patch.front is None else float(angle) for patch, angle in zip(patches, angles, strict=True)
    ]


def _head(seat: Seat, sitter: Sitter, eye: Array, own: frozenset[str]) -> Patch:
    stature = sitter.stature
    forward_m, middle_m = sitter.reach(stature.sitting_height_m - stature.head_height_m / 2)
    half_m, tall_m = stature.head_breadth_m / 2, stature.head_height_m / 2
    return _standing(
        seat, forward_m, shapely.box(-half_m, middle_m - tall_m, half_m, middle_m + tall_m), eye, own
    )


def _torso(seat: Seat, sitter: Sitter, eye: Array, own: frozenset[str]) -> Patch:
    stature = sitter.stature
    _, shoulders_m = sitter.reach(stature.shoulder_height_m)
    # A desk as high as the shoulders leaves no torso to see; a hand's breadth below them is asked for even so.
    bottom_m = min(max(CHAIR_HEIGHT_M, seat.desk.height_m), shoulders_m - 0.1)
    # Of a trunk that leans, the middle of what stands above the desk.
    share = ((bottom_m + shoulders_m) / 2 - CHAIR_HEIGHT_M) / (shoulders_m - CHAIR_HEIGHT_M)
    forward_m, _ = sitter.reach(stature.shoulder_height_m * share)
    half_m = stature.shoulder_breadth_m / 2
    return _standing(seat, forward_m, shapely.box(-half_m, bottom_m, half_m, shoulders_m), eye, own)


def _standing(
    seat: Seat, forward_m: float, outline: shapely.Polygon, eye: Array, own: frozenset[str]
) -> Patch:
    """A piece of a body that stands upright so far forward of the desk's near edge, turned towards the eye."""
    frame = seat_frame(seat)
    middle = frame.at(frame.near_edge, 0.0, forward_m)
    towards = _towards(middle, eye, frame.forward)
    front = np.array([*frame.forward, 0.0])
    return _upright(middle, np.array([-towards[1], towards[0]]), outline, own, front)


def _on_desk(seat: Seat, width_m: float, depth_m: float, height_m: float) -> Patch:
    frame = seat_frame(seat)
    return Patch(
        np.array([*frame.near_edge, height_m]),
        np.array([[*frame.right, 0.0], [*frame.forward, 0.0]]),
        shapely.box(-width_m / 2, 0.0, width_m / 2, depth_m),
        frozenset(),
    )


def _upright(
    middle: Point2, across: Array, outline: shapely.Polygon, own: frozenset[str], front: Array
) -> Patch:
    return Patch(np.array([*middle, 0.0]), np.array([[*across, 0.0], _UP]), outline, own, front)


def _towards(middle: Point2, eye: Array, otherwise: Array) -> Array:
    """Unit plan direction from ``middle`` to the eye; ``otherwise`` for an eye straight above."""
    away = np.asarray(eye, dtype=np.float64)[:2] - np.asarray(middle)
    distance = float(np.linalg.norm(away))
    return away / distance if distance > 1e-6 else otherwise
