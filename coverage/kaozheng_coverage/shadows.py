"""What hides a flat patch from a point: the exact shadow of every solid on the patch's plane."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.person import Occluder, invigilator_occluders, seat_occluders
from kaozheng_coverage.room import Point2, Room, ZoneKind
from kaozheng_coverage.targets import Patch

# A solid counts from this fraction of the eye's distance off the plane to one minus it. The far cut drops what
# touches the plane; the near cut keeps the shadow of a solid that reaches the eye's height finite (it then ends
# a million distances away, far beyond any room).
_CUT = 1e-6
# Shadows smaller than this are rounding, not hiding: a square of 0.1 mm.
_LEAST_AREA_M2 = 1e-8
_NOTHING = shapely.Polygon()


@dataclass(frozen=True, slots=True)
class Solids:
    """Convex upright solids as arrays, ready to cast shadows. Footprints are padded to one corner count."""

    ids: tuple[str, ...]
    rings: Array  # (M, K, 2)
    bottoms: Array
    tops: Array
    centres: Array  # (M, 2)
    radii: Array

    def without(self, names: frozenset[str]) -> np.ndarray:
        """Mask of the solids whose id is not among ``names``."""
        return np.array([name not in names for name in self.ids], dtype=bool)


@dataclass(frozen=True, slots=True)
class Shade:
    """How much of a patch a point sees, before any picture's border.

    ``unhidden`` is what remains of the outline, in the patch's plane; ``hidden_by`` lists each occluder with the
    fraction of the patch that its shadow covers, most first (two occluders may cover the same piece).
    """

    unhidden: shapely.Geometry
    hidden_by: tuple[tuple[str, float], ...]


def solids_of(occluders: Iterable[Occluder]) -> Solids:
    """Occluders as arrays, in an order that does not depend on the order given."""
    ordered = sorted(occluders, key=lambda one: (one.id, one.bottom_m, one.top_m, one.footprint))
    count = max((len(one.footprint) for one in ordered), default=3)
    rings = np.empty((len(ordered), count, 2))
    for index, one in enumerate(ordered):
        ring = np.asarray(one.footprint, dtype=np.float64)
        rings[index] = np.concatenate([ring, np.repeat(ring[-1:], count - len(ring), axis=0)])
    centres = (rings.min(axis=1) + rings.max(axis=1)) / 2 if len(ordered) else np.empty((0, 2))
    radii = np.linalg.norm(rings - centres[:, None, :], axis=2).max(axis=1) if len(ordered) else np.empty(0)
    bottoms = np.array([one.bottom_m for one in ordered])
    tops = np.array([one.top_m for one in ordered])
    return Solids(tuple(one.id for one in ordered), rings, bottoms, tops, centres, radii)


def room_occluders(room: Room) -> tuple[Occluder, ...]:
    """Everything in a room that hides: obstacles, people, screens, desks, and the walls of its inner corners."""
    occluders: list[Occluder] = []
    for solid in room.obstacles:
        for piece in _convex_pieces(shapely.Polygon(solid.footprint)):
            occluders.append(Occluder(solid.id, piece, solid.bottom_m, solid.top_m))
    # Between two points inside, only what the convex hull has and the room has not can stand in the way.
    outline = shapely.Polygon(room.boundary)
    for pocket in shapely.get_parts(shapely.difference(outline.convex_hull, outline)):
        if pocket.geom_type == "Polygon" and pocket.area > _LEAST_AREA_M2:
            for piece in _convex_pieces(pocket):
                occluders.append(Occluder("wall", piece, 0.0, room.height_m))
    for seat in room.seats:
        occluders.extend(seat_occluders(seat))
    for zone in room.zones:
        if zone.kind is ZoneKind.SEAL_OPENING:
            occluders.extend(invigilator_occluders(zone, outline))
    return tuple(occluders)


def cast(eye: Array, patch: Patch, solids: Solids) -> Shade:
    """The part of a patch that no solid hides from ``eye`` (3,). Nothing is seen from behind the patch's plane.

    Notes
    -----
    Each convex solid is cut to the slab strictly between eye and plane, its corners are projected from the eye
    onto the plane, and their convex hull is its shadow. The union of the shadows is subtracted.
    """
    distance = float(patch.normal @ (eye - patch.origin))
    if distance <= _CUT:
        return Shade(_NOTHING, ())
    near = np.flatnonzero(_may_hide(eye, patch, solids) & solids.without(patch.own))
    if not len(near):
        return Shade(patch.outline, ())
    points, owner = _projected(eye, patch, distance, solids, near)
    if not len(points):
        return Shade(patch.outline, ())
    present, owner = np.unique(owner, return_inverse=True)
    hulls = shapely.convex_hull(shapely.multipoints(points, indices=owner))
    covered = shapely.intersection(hulls, patch.outline)
    areas = shapely.area(covered)
    kept = np.flatnonzero(areas > _LEAST_AREA_M2)
    if not len(kept):
        return Shade(patch.outline, ())

    by_name: dict[str, list[shapely.Geometry]] = {}
    for index in kept:
        by_name.setdefault(solids.ids[near[present[index]]], []).append(covered[index])
    total = patch.outline.area
    shares = [
        (name, float(shapely.area(shapely.union_all(pieces)) / total)) for name, pieces in by_name.items()
    ]
    shares.sort(key=lambda share: (-round(share[1], 9), share[0]))
    unhidden = shapely.difference(patch.outline, shapely.union_all(covered[kept]))
    return Shade(unhidden, tuple(shares))


def _may_hide(eye: Array, patch: Patch, solids: Solids) -> np.ndarray:
    """Cheap and generous: which solids come near the bundle of sight lines, in plan and in height."""
    corners = patch.corners
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    patch_radius = float(np.linalg.norm((corners - middle)[:, :2], axis=1).max())
    lowest, highest = float(corners[:, 2].min()), float(corners[:, 2].max())
    line = eye[:2] - middle[:2]
    length = float(np.linalg.norm(line))
    reach = solids.radii + patch_radius
    offset = solids.centres - middle[:2]
    if length < 1e-9:
        beside = np.linalg.norm(offset, axis=1) <= reach
        return np.asarray(beside & (solids.tops > lowest) & (solids.bottoms < max(highest, float(eye[2]))))
    along = offset @ (line / length)
    nearest = np.clip(along, 0.0, length)[:, None] * (line / length)
    beside = np.linalg.norm(offset - nearest, axis=1) <= reach
    # Heights of the bundle where the solid's end nearer to the patch (lowest) or to the eye (highest) stands.
    start = np.clip((along - reach) / length, 0.0, 1.0)
    end = np.clip((along + reach) / length, 0.0, 1.0)
    rise_low, rise_high = float(eye[2]) - lowest, float(eye[2]) - highest
    floor = lowest + np.minimum(start * rise_low, end * rise_low)
    ceiling = highest + np.maximum(start * rise_high, end * rise_high)
    return np.asarray(beside & (solids.tops > floor) & (solids.bottoms < ceiling))


def _projected(
    eye: Array, patch: Patch, distance: float, solids: Solids, chosen: np.ndarray
) -> tuple[Array, np.ndarray]:
    """Corners of the cut solids, seen from the eye on the plane: (N, 2), and which of ``chosen`` each belongs to."""
    rings = solids.rings[chosen]
    count, size = rings.shape[:2]
    corners = np.empty((count, 2 * size, 3))
    corners[:, :size, :2] = corners[:, size:, :2] = rings
    corners[:, :size, 2] = solids.bottoms[chosen][:, None]
    corners[:, size:, 2] = solids.tops[chosen][:, None]
    ring = np.arange(size)
    following = (ring + 1) % size
    first = np.concatenate([ring, ring + size, ring])
    second = np.concatenate([following, following + size, ring + size])

    height = (corners - patch.origin) @ patch.normal
    low, high = _CUT * distance, (1 - _CUT) * distance
    owners = np.broadcast_to(np.arange(count)[:, None], height.shape)
    within = (height >= low) & (height <= high)
    points, heights, owner = [corners[within]], [height[within]], [owners[within]]
    start, end = height[:, first], height[:, second]
    for level in (low, high):
        crossing = (start < level) != (end < level)
        share = (level - start[crossing]) / (end[crossing] - start[crossing])
        from_corner, to_corner = corners[:, first][crossing], corners[:, second][crossing]
        points.append(from_corner + share[:, None] * (to_corner - from_corner))
        heights.append(np.full(len(share), level))
        owner.append(np.broadcast_to(np.arange(count)[:, None], start.shape)[crossing])
    solid_points, solid_heights = np.concatenate(points), np.concatenate(heights)
    stretch = distance / (distance - solid_heights)
    on_plane = eye + (solid_points - eye) * stretch[:, None] - patch.origin
    owned = np.concatenate(owner)
    order = np.argsort(owned, kind="stable")
    return np.asarray(on_plane @ patch.tangents.T)[order], owned[order]


def _convex_pieces(polygon: shapely.Polygon) -> list[tuple[Point2, ...]]:
    """A polygon as convex ones: itself, or its triangles."""
    convex = abs(polygon.convex_hull.area - polygon.area) <= _LEAST_AREA_M2
    pieces = [polygon.convex_hull] if convex else list(shapely.constrained_delaunay_triangles(polygon).geoms)
    return [
        tuple((float(x), float(y)) for x, y in piece.exterior.coords[:-1])
        for piece in pieces
        if piece.area > _LEAST_AREA_M2
    ]
