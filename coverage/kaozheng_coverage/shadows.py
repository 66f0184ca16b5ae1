"""What hides a flat patch from a point: the exact shadow of every solid on the patch's plane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    places: dict[str, tuple[int, ...]]  # where each id stands

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
    places: dict[str, tuple[int, ...]] = {}
    for index, one in enumerate(ordered):
        places[one.id] = (*places.get(one.id, ()), index)
    return Solids(tuple(one.id for one in ordered), rings, bottoms, tops, centres, radii, places)


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
    """The part of a patch that no solid hides from ``eye`` (3,). Nothing is seen from behind the patch's plane."""
    return cast_all(eye, [patch], solids)[0]


def cast_all(eye: Array, patches: Sequence[Patch], solids: Solids) -> list[Shade]:
    """The shade of every patch as :func:`cast` gives it, all patches of one eye at once.

    Notes
    -----
    Each convex solid is cut to the slab strictly between eye and plane, its corners are projected from the eye
    onto the plane, and their convex hull is its shadow. The union of the shadows is subtracted.
    """
    if not patches:
        return []
    planes = _Planes.of(eye, patches)
    shades = [
        Shade(patch.outline if ahead else _NOTHING, ())
        for patch, ahead in zip(patches, planes.ahead, strict=True)
    ]
    if not solids.ids:
        return shades
    patch_of, solid_of = np.nonzero(
        _may_hide(eye, planes, solids) & _foreign(patches, solids) & planes.ahead[:, None]
    )
    points, owner = _projected(eye, planes, patch_of, solids, solid_of)
    if not len(points):
        return shades
    present, owner = np.unique(owner, return_inverse=True)
    hulls = shapely.convex_hull(shapely.multipoints(points, indices=owner))
    outlines = np.array([patch.outline for patch in patches], dtype=object)
    covered = shapely.intersection(hulls, outlines[patch_of[present]])
    areas = shapely.area(covered)
    kept = np.flatnonzero(areas > _LEAST_AREA_M2)
    if not len(kept):
        return shades
    patch_of, solid_of = patch_of[present[kept]], solid_of[present[kept]]
    starts = np.flatnonzero(np.diff(patch_of, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(kept)], strict=True):
        index = int(patch_of[start])
        pieces, hidden = covered[kept[start:end]], areas[kept[start:end]]
        total = shapely.area(outlines[index])
        shares = _shares([solids.ids[one] for one in solid_of[start:end]], pieces, hidden, total)
        union = pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)
        shades[index] = Shade(shapely.difference(outlines[index], union), shares)
    return shades


def _shares(
    names: list[str], pieces: np.ndarray, areas: Array, total: float
) -> tuple[tuple[str, float], ...]:
    """Each occluder's share of a patch, most first; the pieces of one occluder may overlap."""
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        by_name.setdefault(name, []).append(index)
    shares = [
        (name, float((areas[of[0]] if len(of) == 1 else shapely.area(shapely.union_all(pieces[of]))) / total))
        for name, of in by_name.items()
    ]
    shares.sort(key=lambda share: (-round(share[1], 9), share[0]))
    return tuple(shares)


@dataclass(frozen=True, slots=True)
class _Planes:
    """The planes of P patches as arrays, and what bounds the bundle of sight lines to each."""

    origins: Array  # (P, 3)
    normals: Array
    tangents: Array  # (P, 2, 3)
    distances: Array  # of the eye, positive on the visible side
    ahead: np.ndarray
    middles: Array  # (P, 2)
    radii: Array
    lowest: Array
    highest: Array

    @classmethod
    def of(cls, eye: Array, patches: Sequence[Patch]) -> _Planes:
        origins = np.array([patch.origin for patch in patches]).reshape(-1, 3)
        tangents = np.array([patch.tangents for patch in patches]).reshape(-1, 2, 3)
        normals = np.array([patch.normal for patch in patches]).reshape(-1, 3)
        distances = _dot(normals, eye - origins)
        flat, owner = shapely.get_coordinates([patch.outline for patch in patches], return_index=True)
        corners = origins[owner] + flat[:, :1] * tangents[owner, 0] + flat[:, 1:] * tangents[owner, 1]
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        low, high = (ufunc.reduceat(corners, starts, axis=0) for ufunc in (np.minimum, np.maximum))
        middles = ((low + high) / 2)[:, :2]
        away = np.hypot(*(corners[:, :2] - middles[owner]).T)
        return cls(
            origins,
            normals,
            tangents,
            distances,
            distances > _CUT,
            middles,
            np.maximum.reduceat(away, starts),
            low[:, 2],
            high[:, 2],
        )


def _dot(left: Array, right: Array) -> Array:
    """Scalar products along the last axis, the same to the last bit however many there are."""
    return np.asarray(
        left[..., 0] * right[..., 0] + left[..., 1] * right[..., 1] + left[..., 2] * right[..., 2]
    )


def _foreign(patches: Sequence[Patch], solids: Solids) -> np.ndarray:
    """(P, M): which solids are not a patch's own."""
    foreign = np.ones((len(patches), len(solids.ids)), dtype=bool)
    for index, patch in enumerate(patches):
        for name in patch.own:
            foreign[index, list(solids.places.get(name, ()))] = False
    return foreign


def _may_hide(eye: Array, planes: _Planes, solids: Solids) -> np.ndarray:
    """Cheap and generous, (P, M): which solids come near each bundle of sight lines, in plan and in height."""
    lines = eye[:2] - planes.middles
    lengths = np.maximum(np.hypot(lines[:, 0], lines[:, 1]), 1e-9)
    ways = lines / lengths[:, None]
    reach = solids.radii + planes.radii[:, None]
    offset_x = solids.centres[:, 0] - planes.middles[:, :1]
    offset_y = solids.centres[:, 1] - planes.middles[:, 1:]
    along = offset_x * ways[:, :1] + offset_y * ways[:, 1:]
    nearest = np.clip(along, 0.0, lengths[:, None])
    beside = np.hypot(offset_x - nearest * ways[:, :1], offset_y - nearest * ways[:, 1:]) <= reach
    # Heights of the bundle where the solid's end nearer to the patch (lowest) or to the eye (highest) stands.
    start = np.clip((along - reach) / lengths[:, None], 0.0, 1.0)
    end = np.clip((along + reach) / lengths[:, None], 0.0, 1.0)
    rise_low, rise_high = (eye[2] - height[:, None] for height in (planes.lowest, planes.highest))
    floor = planes.lowest[:, None] + np.minimum(start * rise_low, end * rise_low)
    ceiling = planes.highest[:, None] + np.maximum(start * rise_high, end * rise_high)
    return np.asarray(beside & (solids.tops > floor) & (solids.bottoms < ceiling))


def _projected(
    eye: Array, planes: _Planes, patch_of: np.ndarray, solids: Solids, solid_of: np.ndarray
) -> tuple[Array, np.ndarray]:
    """Corners of cut solids seen from the eye on patches' planes: (N, 2), and which pair each belongs to, in order.

    The pairs are given by ``patch_of`` and ``solid_of``, both (C,).
    """
    rings = solids.rings[solid_of]
    count, size = rings.shape[:2]
    corners = np.empty((count, 2 * size, 3))
    corners[:, :size, :2] = corners[:, size:, :2] = rings
    corners[:, :size, 2] = solids.bottoms[solid_of][:, None]
    corners[:, size:, 2] = solids.tops[solid_of][:, None]
    ring = np.arange(size)
    following = (ring + 1) % size
    first = np.concatenate([ring, ring + size, ring])
    second = np.concatenate([following, following + size, ring + size])

    origins, distances = planes.origins[patch_of], planes.distances[patch_of]
    height = _dot(corners - origins[:, None], planes.normals[patch_of][:, None])
    low, high = _CUT * distances[:, None], (1 - _CUT) * distances[:, None]
    pairs = np.broadcast_to(np.arange(count)[:, None], height.shape)
    within = (height >= low) & (height <= high)
    points, heights, owner = [corners[within]], [height[within]], [pairs[within]]
    start, end = height[:, first], height[:, second]
    for level in (low, high):
        pair, edge = np.nonzero((start < level) != (end < level))
        share = (level[pair, 0] - start[pair, edge]) / (end[pair, edge] - start[pair, edge])
        from_corner, to_corner = corners[pair, first[edge]], corners[pair, second[edge]]
        points.append(from_corner + share[:, None] * (to_corner - from_corner))
        heights.append(level[pair, 0])
        owner.append(pair)
    owned = np.concatenate(owner)
    order = np.argsort(owned, kind="stable")
    owned = owned[order]
    solid_points, solid_heights = np.concatenate(points)[order], np.concatenate(heights)[order]
    stretch = distances[owned] / (distances[owned] - solid_heights)
    on_plane = eye + (solid_points - eye) * stretch[:, None] - origins[owned]
    tangents = planes.tangents[patch_of][owned]
    return np.stack([_dot(on_plane, tangents[:, 0]), _dot(on_plane, tangents[:, 1])], axis=1), owned


def _convex_pieces(polygon: shapely.Polygon) -> list[tuple[Point2, ...]]:
    """A polygon as convex ones: itself, or its triangles."""
    convex = abs(polygon.convex_hull.area - polygon.area) <= _LEAST_AREA_M2
    pieces = [polygon.convex_hull] if convex else list(shapely.constrained_delaunay_triangles(polygon).geoms)
    return [
        tuple((float(x), float(y)) for x, y in piece.exterior.coords[:-1])
        for piece in pieces
        if piece.area > _LEAST_AREA_M2
    ]
