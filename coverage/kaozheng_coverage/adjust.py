"""What can be changed about a camera: turned in its bracket, given another focal length, mounted elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import shapely

from kaozheng_coverage.camera import Camera, Point3
from kaozheng_coverage.distortion import radius_of
from kaozheng_coverage.pose import by_hand
from kaozheng_coverage.projection import axes
from kaozheng_coverage.room import Room, Seat
from kaozheng_coverage.sight import Target

# A bracket's scale is read to half a degree at best.
_READABLE_DEG = 0.5
# Cameras are mounted under the ceiling, out of reach and of the way of heads.
_MOUNT_HEIGHTS_M = (2.5, 2.8)
_BELOW_CEILING_M = 0.1
_OFF_WALL_M = 0.25
# A candidate mount every so far along the walls gives 18 in a room of 12 x 8 m, at two heights.
_MOUNT_EVERY_M = 2.5


def pan_tilt(angle: float, radius_deg: float) -> tuple[float, float]:
    """Pan and tilt, degrees, of a turn so far in a direction, rounded to what can be set by hand."""
    pan = round(radius_deg * math.cos(angle) / _READABLE_DEG) * _READABLE_DEG
    tilt = round(radius_deg * math.sin(angle) / _READABLE_DEG) * _READABLE_DEG
    return pan + 0.0, tilt + 0.0


def turned(camera: Camera, pan_deg: float, tilt_deg: float) -> Camera:
    """The camera panned to the right and tilted up, aiming as far as before, to the millimetre."""
    forward = axes(camera)[2]
    bearing = math.atan2(forward[0], forward[1]) + math.radians(pan_deg)
    rise = math.asin(max(-1.0, min(1.0, float(forward[2])))) + math.radians(tilt_deg)
    rise = max(-math.radians(89.9), min(math.radians(89.9), rise))
    far = math.dist(camera.position_m, camera.aim_m)
    x, y, z = camera.position_m
    aim = (
        round(x + far * math.cos(rise) * math.sin(bearing), 3),
        round(y + far * math.cos(rise) * math.cos(bearing), 3),
        round(z + far * math.sin(rise), 3),
    )
    return replace(by_hand(camera), aim_m=aim)


def zoomed(camera: Camera, factor: float) -> Camera | None:
    """The camera with its focal length multiplied, to a whole degree of horizontal view; None from 180 degrees up."""
    lens = replace(camera.lens, focal_px=camera.lens.focal_px * factor)
    hfov_deg = round(lens.hfov_deg)
    return with_hfov(camera, hfov_deg) if 0 < hfov_deg < 180 else None


def with_hfov(camera: Camera, hfov_deg: float) -> Camera:
    """The camera with a lens of the same model and picture and this horizontal angle of view (below 180 degrees)."""
    camera = by_hand(camera)
    lens = camera.lens
    # Exact in one step for a centred picture; a calibrated centre some per cent off needs two more.
    for _ in range(3):
        now, wanted = math.radians(lens.hfov_deg) / 2, math.radians(hfov_deg) / 2
        radii = radius_of(lens.model, lens.coefficients, np.array([now, wanted]))[0]
        lens = replace(lens, focal_px=lens.focal_px * float(radii[0] / radii[1]))
    return replace(camera, lens=lens)


def hung(camera: Camera, name: str, mount: Point3, aim: Point3, roll_deg: float) -> Camera:
    """That camera, or another of its kind, hung there."""
    return replace(by_hand(camera), id=name, position_m=mount, aim_m=aim, roll_deg=roll_deg)


def place_words(point: Point3) -> str:
    """A place in a sentence: (1, 2.5, 2.8) m."""
    return f"({point[0]:g}, {point[1]:g}, {point[2]:g}) m"


def middle(target: Target) -> Point3:
    """What a new camera aims at: above the middle of the desk at chest height, or the middle of the zone."""
    if isinstance(target, Seat):
        return (round(target.centre[0], 2), round(target.centre[1], 2), round(target.desk.height_m + 0.2, 2))
    area = shapely.Polygon(target.polygon).centroid
    return round(area.x, 2), round(area.y, 2), round((target.bottom_m + target.top_m) / 2, 2)


def mounts(room: Room, every_m: float = _MOUNT_EVERY_M) -> list[Point3]:
    """Places for a camera: along the walls and in the corners, under the ceiling, in nothing solid."""
    inner = shapely.Polygon(room.boundary).buffer(-_OFF_WALL_M, join_style="mitre")
    solids = [(shapely.Polygon(solid.footprint).buffer(0.05), solid) for solid in room.obstacles]
    mounts = []
    for piece in shapely.get_parts(inner):
        ring = shapely.segmentize(piece.exterior, every_m)
        for x, y in np.asarray(ring.coords)[:-1]:
            for height_m in _MOUNT_HEIGHTS_M:
                if height_m > room.height_m - _BELOW_CEILING_M:
                    continue
                if any(
                    area.contains(shapely.Point(x, y)) and solid.bottom_m < height_m < solid.top_m
                    for area, solid in solids
                ):
                    continue
                mounts.append((round(float(x), 2), round(float(y), 2), height_m))
    return mounts
