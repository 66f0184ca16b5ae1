"""Is a room's geometry fit to be judged? What is impossible is named with its mend, never judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import shapely

from kaozheng_coverage.camera import Camera
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.room import Point2, Room, Seat, Zone, ZoneKind

# No exam room is longer than this; a plan in millimetres or centimetres is.
MAX_EXTENT_M = 100.0
# Nor smaller than a desk with its chair.
MIN_EXTENT_M = 1.5
# No desk, screen or ceiling is larger than these; one in centimetres or millimetres is.
MAX_DESK_M, MAX_SCREEN_M, MAX_HEIGHT_M = 5.0, 3.0, 20.0
# Survey precision: what stands on the wall may be written a little beyond it.
_ON_THE_WALL_M = 0.05
# Nearer than this two desks are one.
_ONE_PLACE_M = 0.1


def check_room(room: Room, cameras: Sequence[Camera]) -> None:
    """Raise CoverageError for the first thing in a room that cannot be judged; the message says the mend."""
    _numbers(f"room {room.id}", [room.height_m, *(value for point in room.boundary for value in point)])
    outline = _polygon(f"room {room.id}: boundary", room.boundary)
    left, near, right, far = outline.bounds
    extent_m = max(right - left, far - near, room.height_m)
    if extent_m > MAX_EXTENT_M:
        raise CoverageError(
            f"room {room.id}: {extent_m:g} m in extent, more than {MAX_EXTENT_M:g} m: give lengths in metres"
        )
    if extent_m < MIN_EXTENT_M:
        raise CoverageError(
            f"room {room.id}: {extent_m:g} m in extent, less than {MIN_EXTENT_M:g} m: give lengths in metres"
        )
    if room.height_m > MAX_HEIGHT_M:
        raise CoverageError(
            f"room {room.id}: height {room.height_m:g} m, more than {MAX_HEIGHT_M:g} m: give it in metres"
        )
    if room.height_m <= 0:
        raise CoverageError(
            f"room {room.id}: height {room.height_m:g} m: give the ceiling's height above the floor"
        )
    inside = outline.buffer(_ON_THE_WALL_M)

    for solid in room.obstacles:
        what = f"room {room.id}: obstacle {solid.id}"
        _numbers(what, [solid.bottom_m, solid.top_m])
        _polygon(what, solid.footprint)
        if solid.top_m <= solid.bottom_m:
            raise CoverageError(
                f"{what}: its top {solid.top_m:g} m is not above its bottom {solid.bottom_m:g} m"
            )
        if not inside.intersects(shapely.Polygon(solid.footprint)) or solid.bottom_m >= room.height_m:
            raise CoverageError(
                f"{what} lies outside the room and hides nothing: mend its place (metres), or remove it"
            )
    _apart(room)
    _unique(room, "seat", (seat.number for seat in room.seats))
    _unique(room, "zone", (zone.id for zone in room.zones))
    _unique(room, "camera", (camera.id for camera in cameras))
    for seat in room.seats:
        _seat(room, seat, inside)
    for zone in room.zones:
        _zone(room, zone, inside)
    for camera in cameras:
        _camera(room, camera, inside)
    _no_twins(room, cameras)


def _seat(room: Room, seat: Seat, inside: shapely.Geometry) -> None:
    what = f"room {room.id}: seat {seat.number}"
    desk, monitor = seat.desk, seat.monitor
    _numbers(what, [*seat.centre, seat.bearing_deg])
    _positive(f"{what}: desk", [desk.width_m, desk.depth_m, desk.height_m])
    _at_most(f"{what}: desk", MAX_DESK_M, [desk.width_m, desk.depth_m, desk.height_m])
    if monitor is not None:
        _positive(
            f"{what}: monitor", [monitor.width_m, monitor.height_m, monitor.bottom_m, monitor.thickness_m]
        )
        _numbers(f"{what}: monitor", [monitor.setback_m])
        if not 0 <= monitor.setback_m <= desk.depth_m:
            raise CoverageError(
                f"{what}: monitor: setback {monitor.setback_m:g} m: give how far the screen's middle stands from the "
                f"far edge of its desk, which is {desk.depth_m:g} m deep"
            )
        _at_most(f"{what}: monitor", MAX_SCREEN_M, [monitor.width_m, monitor.height_m, monitor.bottom_m])
    if not inside.contains(shapely.Point(seat.centre)):
        raise CoverageError(
            f"{what} at {_at(seat.centre)} is outside the room's boundary: mend its position or the wall"
        )


def _zone(room: Room, zone: Zone, inside: shapely.Geometry) -> None:
    what = f"room {room.id}: zone {zone.id}"
    _numbers(what, [zone.bottom_m, zone.top_m, zone.bearing_deg or 0.0])
    area = _polygon(what, zone.polygon)
    if zone.top_m <= zone.bottom_m:
        raise CoverageError(f"{what}: its top {zone.top_m:g} m is not above its bottom {zone.bottom_m:g} m")
    if zone.bottom_m < -_ON_THE_WALL_M or zone.top_m > room.height_m + _ON_THE_WALL_M:
        raise CoverageError(
            f"{what}: reaches from {zone.bottom_m:g} to {zone.top_m:g} m, but the room from 0 to {room.height_m:g} m: "
            "mend its heights"
        )
    if not inside.contains(area.centroid):
        raise CoverageError(
            f"{what}: its middle is outside the room's boundary: mend its polygon or the wall"
        )
    if zone.kind is ZoneKind.SEAL_OPENING and zone.bearing_deg is None:
        raise CoverageError(
            f"{what}: state its bearing: which way the sealed bag is shown (0 front wall, 180 candidates)"
        )


def _camera(room: Room, camera: Camera, inside: shapely.Geometry) -> None:
    what = f"room {room.id}: camera {camera.id}"
    _numbers(what, [*camera.position_m, *camera.aim_m, camera.roll_deg, camera.aim_tolerance_deg])
    x, y, z = camera.position_m
    if not inside.contains(shapely.Point(x, y)):
        raise CoverageError(
            f"{what} at {_at((x, y))} is outside the room's boundary: mend its position or the wall"
        )
    if not 0 < z <= room.height_m + _ON_THE_WALL_M:
        raise CoverageError(
            f"{what} hangs at {z:g} m, but the room is {room.height_m:g} m high: mend one of the two"
        )
    if math.dist(camera.position_m, camera.aim_m) < 1e-3:
        raise CoverageError(
            f"{what}: it aims at its own position: give the point that the picture's middle shows"
        )
    if camera.aim_tolerance_deg < 0:
        raise CoverageError(f"{what}: aim tolerance of {camera.aim_tolerance_deg:g} degrees: give 0 or more")
    for solid in room.obstacles:
        within = shapely.Polygon(solid.footprint).contains(shapely.Point(x, y))
        if within and solid.bottom_m < z < solid.top_m:
            raise CoverageError(f"{what} is inside {solid.id}: move it to the face that it hangs on")


def _no_twins(room: Room, cameras: Sequence[Camera]) -> None:
    """One camera written twice would count as two."""
    seen: dict[object, str] = {}
    for camera in cameras:
        view = (camera.position_m, camera.aim_m, camera.roll_deg, camera.lens)
        if view in seen:
            raise CoverageError(
                f"room {room.id}: cameras {seen[view]} and {camera.id} hang at one place and look the same way: "
                "they are one camera; remove one"
            )
        seen[view] = camera.id


def _polygon(what: str, points: Sequence[Point2]) -> shapely.Polygon:
    _numbers(what, [value for point in points for value in point])
    if len(points) < 3:
        raise CoverageError(f"{what}: {len(points)} corners: a polygon needs at least three")
    polygon = shapely.Polygon(points)
    if polygon.convex_hull.area < 1e-6:
        raise CoverageError(
            f"{what}: its corners enclose no area: give at least three that are not in one line"
        )
    if not polygon.is_valid:
        raise CoverageError(
            f"{what}: its line crosses itself ({shapely.is_valid_reason(polygon)}): list the corners in order around it"
        )
    return polygon


def _numbers(what: str, values: Iterable[float]) -> None:
    for value in values:
        if not math.isfinite(value):
            raise CoverageError(f"{what}: {value} is no length or angle: give a finite number")


def _positive(what: str, values: Iterable[float]) -> None:
    for value in values:
        if not (math.isfinite(value) and value > 0):
            raise CoverageError(f"{what}: a size of {value:g} m: give one greater than zero")


def _apart(room: Room) -> None:
    """Two seats at one place are one seat written twice."""
    points = [shapely.Point(seat.centre) for seat in room.seats if all(map(math.isfinite, seat.centre))]
    if len(points) < max(2, len(room.seats)):
        return  # a seat without a place is named next
    pairs = shapely.STRtree(points).query(points, predicate="dwithin", distance=_ONE_PLACE_M).T
    for first, second in pairs[pairs[:, 0] < pairs[:, 1]]:
        one, other = room.seats[first], room.seats[second]
        raise CoverageError(
            f"room {room.id}: seats {one.number} and {other.number} stand at one place, {_at(one.centre)}: "
            "mend the position of one"
        )


def _at_most(what: str, most_m: float, values: Iterable[float]) -> None:
    for value in values:
        if value > most_m:
            raise CoverageError(
                f"{what}: a size of {value:g} m, more than {most_m:g} m: give lengths in metres"
            )


def _unique(room: Room, kind: str, ids: Iterable[str]) -> None:
    for name, count in Counter(ids).items():
        if count > 1:
            raise CoverageError(f"room {room.id}: {kind} {name} appears {count} times: give each its own")


def _at(point: Point2) -> str:
    return f"({point[0]:g}, {point[1]:g})"
