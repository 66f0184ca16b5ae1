"""A seated person and what stands at a seat: their measures, and the solids that hide what is behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.room import Point2, Seat, Zone

# Seat surface above the floor. GB/T 3976-2014 gives 0.44 m for adults' school chairs (size 1).
CHAIR_HEIGHT_M = 0.44
# Middle of the body behind the desk's near edge: measured practice is 0.15 m (writing) to 0.35 m (leaning back).
BEHIND_DESK_M = 0.25
# GB/T 12985-1991 adds so much to a man's stature for his shoes.
SHOES_M = 0.025
# Corners of the polygon that stands for the round outline of a trunk or a head. Circumscribed, so it hides
# a little too much (at most 1/cos(pi/8), 8%, at a corner) and never too little.
_ROUND_CORNERS = 8


@dataclass(frozen=True, slots=True)
class Stature:
    """Measures of a seated adult, metres, heights above the seat surface.

    Notes
    -----
    GB/T 10000-1988, adults of 18-60 (male) and 18-55 (female) years. Sitting height P5/P50/P95: male
    858/908/958 mm, female 809/855/901 mm; sitting shoulder height: male P95 641, female P5 518; maximum
    shoulder breadth: male P95 469, female P5 363; chest depth: male P95 245; head height, breadth and length:
    male P95 241, 164, 195, female P5 200, 141, 165 mm. The standard measures undressed, upright people.
    """

    name: str
    sitting_height_m: float
    shoulder_height_m: float
    shoulder_breadth_m: float
    chest_depth_m: float
    head_height_m: float
    head_breadth_m: float
    head_length_m: float


SHORT = Stature("short", 0.809, 0.518, 0.363, 0.170, 0.200, 0.141, 0.165)
TALL = Stature("tall", 0.958, 0.641, 0.469, 0.245, 0.241, 0.164, 0.195)
STATURES = (SHORT, TALL)


@dataclass(frozen=True, slots=True)
class Posture:
    """How someone sits: hips so far behind the desk's near edge, metres, and the trunk's lean forward, degrees."""

    name: str
    hips_m: float
    lean_deg: float


UPRIGHT = Posture("upright", BEHIND_DESK_M, 0.0)
WRITING = Posture("writing", 0.28, 26.0)
LEANING_BACK = Posture("leaning back", 0.30, -10.0)


@dataclass(frozen=True, slots=True)
class Sitter:
    """A stature in a posture: one of the people that a seat must be seen with.

    Notes
    -----
    Reading and writing at a flat table, adults bend the trunk 26.0 degrees on average (de Wall, van Riel, Snijders and
    van Wingerden, Ergonomics 34, 1991). The hips are set so that the middle of the trunk lies 0.15 m (writing) and
    0.35 m (leaning back) behind the desk's edge, as measured in practice.
    """

    stature: Stature
    posture: Posture

    def reach(self, above_seat_m: float) -> tuple[float, float]:
        """Where a point of the trunk's line lies: (metres forward of the desk's near edge, metres above the floor)."""
        lean = math.radians(self.posture.lean_deg)
        forward_m = above_seat_m * math.sin(lean) - self.posture.hips_m
        return forward_m, CHAIR_HEIGHT_M + above_seat_m * math.cos(lean)


# The ends of the range: the short one bent low over the desk and upright behind a screen, the tall one leaning back.
SITTERS = (Sitter(SHORT, UPRIGHT), Sitter(SHORT, WRITING), Sitter(TALL, LEANING_BACK))


@dataclass(frozen=True, slots=True)
class Occluder:
    """A convex upright solid that hides what is behind it. Several may share an ``id`` (a body's trunk and head)."""

    id: str
    footprint: tuple[Point2, ...]
    bottom_m: float
    top_m: float


@dataclass(frozen=True, slots=True)
class SeatFrame:
    """The seat's own directions and marks on the floor plan, metres."""

    forward: Array
    right: Array
    near_edge: Array
    body: Array

    def at(self, start: Array, right_m: float, forward_m: float) -> Point2:
        """The plan point that lies so far right and forward of ``start``, as the sitter sees it."""
        point = start + right_m * self.right + forward_m * self.forward
        return float(point[0]), float(point[1])


@lru_cache(maxsize=4096)
def seat_frame(seat: Seat) -> SeatFrame:
    """Where the sitter looks, the middle of the desk's near edge, and the middle of the body."""
    bearing = math.radians(seat.bearing_deg)
    forward = np.array([math.sin(bearing), math.cos(bearing)])
    right = np.array([math.cos(bearing), -math.sin(bearing)])
    near_edge = np.asarray(seat.centre) - forward * seat.desk.depth_m / 2
    return SeatFrame(forward, right, near_edge, near_edge - forward * BEHIND_DESK_M)


def person_id(seat: Seat) -> str:
    """The name under which a seat's sitter hides things."""
    return f"seat-{seat.number} person"


def monitor_id(seat: Seat) -> str:
    """The name under which a seat's screen hides things."""
    return f"seat-{seat.number} monitor"


def desk_id(seat: Seat) -> str:
    """The name under which a seat's desk hides things."""
    return f"seat-{seat.number} desk"


def invigilator_id(zone: Zone) -> str:
    """The name under which whoever holds the bag in a seal-opening area hides things."""
    return f"{zone.id} invigilator"


def invigilator_occluders(zone: Zone, boundary: shapely.Polygon) -> tuple[Occluder, ...]:
    """Who stands behind the bag: opposite to where it faces, at the area's rim, or as far back as the walls allow.

    Standing man, P95 (GB/T 10000-1988): stature 1775 and shoulder height 1455 mm, and 25 mm of shoes (GB/T
    12985-1991); breadths as of the tall sitter.
    """
    bearing = math.radians(zone.bearing_deg or 0.0)
    forward = np.array([math.sin(bearing), math.cos(bearing)])
    right = np.array([math.cos(bearing), -math.sin(bearing)])
    ring = np.asarray(zone.polygon)
    area = shapely.Polygon(zone.polygon)
    middle = np.array([area.centroid.x, area.centroid.y])
    half_depth = TALL.chest_depth_m / 2
    behind = float(((ring - middle) @ -forward).max()) + half_depth
    body = middle - forward * behind
    while behind > 0 and not boundary.contains(shapely.Point(body).buffer(half_depth * 0.99)):
        behind -= 0.05
        body = middle - forward * behind
    frame = SeatFrame(forward, right, body, body)
    shoulders_m, top_m = 1.455 + SHOES_M, 1.775 + SHOES_M
    name = invigilator_id(zone)
    return (
        Occluder(name, _ellipse(frame, TALL.shoulder_breadth_m / 2, half_depth), 0.0, shoulders_m),
        Occluder(name, _ellipse(frame, TALL.head_breadth_m / 2, TALL.head_length_m / 2), shoulders_m, top_m),
    )


def seat_occluders(seat: Seat) -> tuple[Occluder, ...]:
    """The sitter, the screen and the desk as solids.

    The sitter is the tall one: it hides more than the short one everywhere, so it is the worst case for whoever
    is behind. The desk is solid down to the floor, as computer desks with their panels and machines are.
    """
    frame = seat_frame(seat)
    desk, monitor, body = seat.desk, seat.monitor, TALL
    shoulders_m = CHAIR_HEIGHT_M + body.shoulder_height_m
    top_m = CHAIR_HEIGHT_M + body.sitting_height_m
    solids = [
        Occluder(
            person_id(seat),
            _ellipse(frame, body.shoulder_breadth_m / 2, body.chest_depth_m / 2),
            CHAIR_HEIGHT_M,
            shoulders_m,
        ),
        # From the shoulders up, so that no one looks through the neck.
        Occluder(
            person_id(seat),
            _ellipse(frame, body.head_breadth_m / 2, body.head_length_m / 2),
            shoulders_m,
            top_m,
        ),
        Occluder(
            desk_id(seat),
            desk_corners(seat),
            0.0,
            desk.height_m,
        ),
    ]
    if monitor is not None:
        middle_m = desk.depth_m - monitor.setback_m
        half_m = monitor.thickness_m / 2
        footprint = _rectangle(
            frame, frame.near_edge, monitor.width_m / 2, middle_m - half_m, middle_m + half_m
        )
        screen = Occluder(monitor_id(seat), footprint, monitor.bottom_m, monitor.bottom_m + monitor.height_m)
        solids.append(screen)
    return tuple(solids)


def desk_corners(seat: Seat) -> tuple[Point2, ...]:
    """The desk top on the floor plan, from its near left corner around."""
    frame, desk = seat_frame(seat), seat.desk
    return _rectangle(frame, frame.near_edge, desk.width_m / 2, 0.0, desk.depth_m)


def _rectangle(
    frame: SeatFrame, start: Array, half_width_m: float, near_m: float, far_m: float
) -> tuple[Point2, ...]:
    corners = ((-half_width_m, near_m), (half_width_m, near_m), (half_width_m, far_m), (-half_width_m, far_m))
    return tuple(frame.at(start, right_m, forward_m) for right_m, forward_m in corners)


def _ellipse(frame: SeatFrame, half_width_m: float, half_depth_m: float) -> tuple[Point2, ...]:
    outward = 1 / math.cos(math.pi / _ROUND_CORNERS)
    turns = (np.arange(_ROUND_CORNERS) + 0.5) * (2 * math.pi / _ROUND_CORNERS)
    return tuple(
        frame.at(frame.body, half_width_m * outward * math.cos(turn), half_depth_m * outward * math.sin(turn))
        for turn in turns
    )
