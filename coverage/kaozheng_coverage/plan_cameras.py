"""Cameras on a plan: the symbol that points where they look, and the wedge that they span."""

from __future__ import annotations

import math

import numpy as np
import shapely

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.drawing import Labels, attributes, number
from kaozheng_coverage.plan_sheet import CAMERA_INKS, NORMAL_MM, Sheet, halo, leader
from kaozheng_coverage.projection import axes
from kaozheng_coverage.room import Room
from kaozheng_coverage.window import border_px

# Steeper than this a camera has no wedge: the picture's trace on the desks is drawn instead.
_STEEP = math.sin(math.radians(65.0))
_DESK_HEIGHT_M = 0.75


def camera_wedge(sheet: Sheet, room: Room, camera: Camera, index: int) -> str:
    """What a camera's picture spans of the floor plan, cut at the walls."""
    ink = CAMERA_INKS[index % len(CAMERA_INKS)]
    area = shapely.intersection(_span(room, camera), shapely.Polygon(room.boundary))
    eye = shapely.Point(camera.position_m[:2])
    # Of a room with inner corners only the piece at the camera: what lies behind a wall is not in view.
    pieces = [piece for piece in shapely.get_parts(area) if isinstance(piece, shapely.Polygon)]
    nearest = min(pieces, key=lambda piece: shapely.distance(piece, eye), default=None)
    if nearest is None:
        return ""
    ring = [(float(x), float(y)) for x, y in nearest.exterior.coords[:-1]]
    return svg.polygon(
        sheet.all(ring),
        fill=ink,
        fill_opacity="0.06",
        stroke=ink,
        stroke_opacity="0.55",
        stroke_width=0.25,
        stroke_dasharray="2.2 0.8",
    )


def _span(room: Room, camera: Camera) -> shapely.Geometry:
    rotation = axes(camera)
    eye = np.asarray(camera.position_m)
    if -rotation[2][2] > _STEEP:
        directions = camera.lens.unproject(border_px(camera.lens)) @ rotation
        down = np.minimum(directions[:, 2], -0.05)
        reach = max(eye[2] - _DESK_HEIGHT_M, 0.1)
        trace = eye[:2] + directions[:, :2] * (reach / -down)[:, None]
        return shapely.make_valid(shapely.Polygon(trace))
    width, middle = camera.lens.width_px, camera.lens.centre_px[1]
    rays = camera.lens.unproject(np.array([[0.0, middle], [float(width), middle]])) @ rotation
    first, last, ahead = (math.atan2(ray[0], ray[1]) for ray in (*rays, rotation[2]))
    if (ahead - first) % (2 * math.pi) > (last - first) % (2 * math.pi):
        first, last = last, first  # mounted upside down: the picture's left is on the right
    sweep = (last - first) % (2 * math.pi)
    left, back, right, front = shapely.Polygon(room.boundary).bounds
    far = 2 * math.hypot(right - left, front - back)
    bearings = first + sweep * np.linspace(0.0, 1.0, 33)
    fan = eye[:2] + far * np.stack([np.sin(bearings), np.cos(bearings)], axis=1)
    return shapely.make_valid(shapely.Polygon([eye[:2], *fan]))


def camera_mark(sheet: Sheet, camera: Camera, index: int, labels: Labels) -> str:
    """A camera that points where it looks, with its id at a free place."""
    ink = CAMERA_INKS[index % len(CAMERA_INKS)]
    x, y = sheet.at(camera.position_m)
    forward = axes(camera)[2]
    bearing = math.degrees(math.atan2(forward[0], forward[1]))
    turn = f"rotate({number(bearing)} {number(x)} {number(y)})"
    body = svg.path(
        f"M{number(x - 1.1)} {number(y + 1.5)}h2.2v-2.6h-2.2z"
        f"M{number(x - 0.5)} {number(y - 1.1)}l-0.7-1.4h2.4l-0.7 1.4z",
        fill=ink,
        stroke="#ffffff",
        stroke_width=0.3,
        transform=turn,
    )
    place = labels.place(camera.id, NORMAL_MM, (x, y), start=2.6)
    pointer = leader((x, y), place, ink, 4.0)
    named = attributes(data_camera=camera.id)
    return f"<g{named}>{pointer}{body}{halo(camera.id, place, NORMAL_MM, ink, weight='bold')}</g>"
