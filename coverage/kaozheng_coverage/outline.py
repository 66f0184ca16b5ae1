"""Where a seat and a zone should appear in a camera's picture: what is drawn on the live frame to check the model."""

from __future__ import annotations

import math

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.person import (
    CHAIR_HEIGHT_M,
    SHORT,
    SITTERS,
    STATURES,
    TALL,
    Stature,
    desk_corners,
    seat_frame,
)
from kaozheng_coverage.profile import Part
from kaozheng_coverage.projection import to_camera_frame
from kaozheng_coverage.room import Point2, Seat, Zone
from kaozheng_coverage.targets import seat_patches
from kaozheng_coverage.volumes import is_flat

# Edges are cut this fine before they are projected: at 2 m and 106 degrees f-theta a straight edge then misses the
# bent one by less than 0.1 px.
_STEP_M = 0.05
# Nothing farther than this outside the picture's corner is projected: a pinhole would send it to infinity.
_BEYOND_CORNER_RAD = math.radians(10.0)
# Points that lie nearer than this to the line without them are left out of an outline.
_SMOOTH_PX = 0.2
# Corners of the round outline of a head and a trunk.
_ROUND = 24


def seat_outline(seat: Seat, camera: Camera) -> dict[Part, Array]:
    """Outlines of head, torso, hands and desk top in the picture, as polygons that are not closed.

    Returns
    -------
    By part an (N, 2) float array, pixels. A part wholly outside the picture has no entry; a part that reaches over
    the border is not cut there, and of what lies far outside or behind the camera nothing is drawn. What hides the
    part is not asked.

    Notes
    -----
    The sitter is of the mean measures of the short and the tall stature (sitting height 884 mm, the median of
    men and women together): the likeliest to meet the person on the live picture.
    """
    outlines = {
        Part.HEAD: _hull(camera, _head(seat, _MEAN)),
        Part.TORSO: _hull(camera, _torso(seat, _MEAN)),
        Part.HANDS: _flat(camera, _hands(seat)),
        Part.DESK: _flat(camera, _desk_top(seat)),
    }
    return {part: outline for part, outline in outlines.items() if _touches_picture(camera, outline)}


def seat_box(seat: Seat, camera: Camera) -> tuple[float, float, float, float] | None:
    """The upright box (left, top, right, bottom), pixels, around the seat in the picture.

    It holds the desk top and a sitter of any stature judged, clipped to the picture. None if neither is in it.
    """
    parts = [_flat(camera, _desk_top(seat)), _flat(camera, _hands(seat))]
    for stature in (*STATURES, _MEAN):
        parts += [_hull(camera, _head(seat, stature)), _hull(camera, _torso(seat, stature))]
    touching = [part for part in parts if _touches_picture(camera, part)]
    if not touching:
        return None
    size = np.array([camera.lens.width_px, camera.lens.height_px], dtype=np.float64)
    corners = np.clip(np.concatenate(touching), 0.0, size)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def seat_region(seat: Seat, camera: Camera, margin_m: float = 0.0) -> Array:
    """Where anything of a seated person and the desk top may appear: a convex (N, 2) polygon, pixels, not closed.

    It holds every posture judged, from leaning back to writing, of the tallest stature, and the space between the
    person and the desk. Empty if none of it is in the picture; not cut at its border.

    Parameters
    ----------
    margin_m : how far the person may reach beyond the postures, metres, on every side and upwards
    """
    half_m = TALL.shoulder_breadth_m / 2 + margin_m
    deep_m = max(TALL.chest_depth_m, TALL.head_length_m) / 2 + margin_m
    reached = [sitter.reach(above) for sitter in SITTERS for above in (0.0, sitter.stature.sitting_height_m)]
    back_m, front_m = min(at for at, _ in reached) - deep_m, max(at for at, _ in reached) + deep_m
    frame = seat_frame(seat)
    corners = ((-half_m, back_m), (half_m, back_m), (half_m, front_m), (-half_m, front_m))
    sides = tuple(frame.at(frame.near_edge, right, forward) for right, forward in corners)
    top_m = max(height for _, height in reached) + margin_m
    points = np.concatenate(
        [_prism(sides, CHAIR_HEIGHT_M, top_m), _ring(desk_corners(seat), seat.desk.height_m)]
    )
    region = _hull(camera, points)
    return region if _touches_picture(camera, region) else np.empty((0, 2))


def zone_outline(zone: Zone, camera: Camera) -> Array:
    """Outline of a zone's volume in the picture: an (N, 2) polygon, pixels, not closed; empty if it is not in it.

    A flat zone is its top surface. Of a zone that reaches behind the camera only what lies ahead is drawn.
    """
    if is_flat(zone):
        outline = _flat(camera, _ring(zone.polygon, zone.top_m))
    else:
        pieces = [
            _hull(camera, _prism(piece, zone.bottom_m, zone.top_m)) for piece in _convex_pieces(zone.polygon)
        ]
        outline = _united(pieces)
    return outline if _touches_picture(camera, outline) else np.empty((0, 2))


def _mean(short: Stature, tall: Stature) -> Stature:
    return Stature(
        "mean",
        (short.sitting_height_m + tall.sitting_height_m) / 2,
        (short.shoulder_height_m + tall.shoulder_height_m) / 2,
        (short.shoulder_breadth_m + tall.shoulder_breadth_m) / 2,
        (short.chest_depth_m + tall.chest_depth_m) / 2,
        (short.head_height_m + tall.head_height_m) / 2,
        (short.head_breadth_m + tall.head_breadth_m) / 2,
        (short.head_length_m + tall.head_length_m) / 2,
    )


_MEAN = _mean(SHORT, TALL)


def _head(seat: Seat, stature: Stature) -> Array:
    """Points on the ellipsoid of a head."""
    middle_m = CHAIR_HEIGHT_M + stature.sitting_height_m - stature.head_height_m / 2
    rings = [
        _ellipse(
            seat,
            stature.head_breadth_m / 2 * math.cos(rise),
            stature.head_length_m / 2 * math.cos(rise),
            middle_m + stature.head_height_m / 2 * math.sin(rise),
        )
        for rise in np.linspace(-math.pi / 2, math.pi / 2, _ROUND // 2 + 1)
    ]
    return np.concatenate(rings)


def _torso(seat: Seat, stature: Stature) -> Array:
    """The trunk from the desk's height to the shoulders: below it the desk hides the sitter."""
    shoulders_m = CHAIR_HEIGHT_M + stature.shoulder_height_m
    bottom_m = min(max(CHAIR_HEIGHT_M, seat.desk.height_m), shoulders_m - 0.1)
    half_m, deep_m = stature.shoulder_breadth_m / 2, stature.chest_depth_m / 2
    heights = np.linspace(bottom_m, shoulders_m, 8)
    return np.concatenate([_ellipse(seat, half_m, deep_m, float(height_m)) for height_m in heights])


def _ellipse(seat: Seat, half_width_m: float, half_depth_m: float, height_m: float) -> Array:
    frame = seat_frame(seat)
    turns = np.arange(_ROUND) * (2 * math.pi / _ROUND)
    plan = (
        frame.body
        + half_width_m * np.outer(np.cos(turns), frame.right)
        + half_depth_m * np.outer(np.sin(turns), frame.forward)
    )
    return np.column_stack([plan, np.full(_ROUND, height_m)])


def _hands(seat: Seat) -> Array:
    # Flat on the desk, so the same from everywhere: the eye only turns head and torso.
    (patch,) = seat_patches(seat, np.array([*seat.centre, 10.0]))[Part.HANDS]
    return _along_edges(patch.corners)


def _desk_top(seat: Seat) -> Array:
    return _ring(desk_corners(seat), seat.desk.height_m)


def _ring(polygon: tuple[Point2, ...], height_m: float) -> Array:
    return _along_edges(np.column_stack([np.asarray(polygon), np.full(len(polygon), height_m)]))


def _prism(polygon: tuple[Point2, ...], bottom_m: float, top_m: float) -> Array:
    """Points on every edge of an upright solid, and on its faces, so that a cut by the camera's limit shows right."""
    steps = max(2, math.ceil((top_m - bottom_m) / _STEP_M) + 1)
    return np.concatenate(
        [_ring(polygon, float(height_m)) for height_m in np.linspace(bottom_m, top_m, steps)]
    )


def _along_edges(corners: Array) -> Array:
    """The corners (N, 3) of a closed ring with points between them, in order."""
    sides = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        steps = max(1, math.ceil(float(np.linalg.norm(end - start)) / _STEP_M))
        share = np.arange(steps)[:, None] / steps
        sides.append(start + share * (end - start))
    return np.concatenate(sides)


def _convex_pieces(polygon: tuple[Point2, ...]) -> list[tuple[Point2, ...]]:
    area = shapely.Polygon(polygon)
    if area.convex_hull.area - area.area < 1e-9:
        return [polygon]
    return [
        tuple((float(x), float(y)) for x, y in piece.exterior.coords[:-1])
        for piece in shapely.constrained_delaunay_triangles(area).geoms
    ]


def _hull(camera: Camera, points: Array) -> Array:
    """Convex hull of the points' pixels, (N, 2), empty if fewer than three can be drawn."""
    hull = shapely.convex_hull(shapely.MultiPoint(_pixels(camera, points)))
    return _exterior(hull)


def _flat(camera: Camera, ring: Array) -> Array:
    """Pixels of a flat ring in its order; a stretch that cannot be drawn is bridged straight."""
    pixels = _pixels(camera, ring)
    return _exterior(shapely.Polygon(pixels)) if len(pixels) >= 3 else np.empty((0, 2))


def _united(pieces: list[Array]) -> Array:
    if len(pieces) == 1:
        return pieces[0]
    # Half a pixel closes the seams between pieces that rounding leaves open.
    shapes = [shapely.Polygon(piece).buffer(0.5, join_style="mitre") for piece in pieces if len(piece) >= 3]
    union = shapely.union_all(shapes).buffer(-0.5, join_style="mitre")
    return _exterior(max(shapely.get_parts(union), key=shapely.area, default=shapely.Polygon()))


def _exterior(shape: shapely.Geometry) -> Array:
    if not isinstance(shape, shapely.Polygon) or shape.is_empty:
        return np.empty((0, 2))
    shape = shapely.simplify(shape, _SMOOTH_PX)
    return np.asarray(shape.exterior.coords, dtype=np.float64)[:-1]


def _pixels(camera: Camera, points: Array) -> Array:
    """Pixels of the points that lie not far outside the picture, in their order."""
    rays = to_camera_frame(camera, points)
    angle = np.arctan2(np.hypot(rays[:, 0], rays[:, 1]), rays[:, 2])
    pixels = camera.lens.project(rays)
    near = (angle <= camera.lens.corner_rad + _BEYOND_CORNER_RAD) & np.isfinite(pixels).all(axis=1)
    return np.asarray(pixels[near])


def _touches_picture(camera: Camera, outline: Array) -> bool:
    """Whether any of the outline's area is in the picture."""
    if len(outline) < 3:
        return False
    lens = camera.lens
    shape = shapely.Polygon(outline)
    if not shape.is_valid:
        shape = shapely.make_valid(shape)
    return bool(shapely.intersects(shape, shapely.box(0, 0, lens.width_px, lens.height_px)))
