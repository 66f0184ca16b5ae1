"""The picture's border, bent as the lens bends it, as a window on a patch's plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.distortion import angle_of, fold_rad, radius_of
from kaozheng_coverage.lens import Lens
from kaozheng_coverage.projection import axes, project
from kaozheng_coverage.targets import Patch, to_room

# Points along each side of the border. At 106 degrees f-theta they lie 0.08 rad apart: a chord misses the bent
# border by less than 0.08 squared / 8, 1 mm per metre of distance.
_POINTS_A_SIDE = 24
# A border that stays nearer to the axis than this (cosine of 84 degrees) is followed as one loop. What a wider one
# encloses on a plane is not what it runs around there, so such a picture is cut into pieces that are narrow enough.
_ONE_LOOP_COS = 0.1
_WIDEST_PIECE_RAD = math.radians(30.0)
# Halvings of the way from the picture's middle to a pixel: to 1e-9 of it.
_HALVINGS = 30
# Sight lines flatter than this to the plane (sine) are not followed: they meet it a thousand distances away.
_FLATTEST = 1e-3
_NOTHING = shapely.Polygon()


class Bound(Enum):
    """Which picture: as stated, or with aim and lens off by their tolerance against or in favour of the target."""

    LEAST = 1
    STATED = 0
    MOST = -1


@dataclass(frozen=True, slots=True)
class _Border:
    loops: tuple[
        Array, ...
    ]  # closed loops of unit directions (N, 3) in the camera frame; the picture is all of them
    inset_px: float  # largest distance to the true border, positive inwards


def windows(camera: Camera, patch: Patch) -> dict[Bound, shapely.Geometry | None]:
    """For each bound the part of the patch's plane in the picture; None where the whole patch is in it."""
    return windows_all(camera, [patch])[0]


def windows_all(camera: Camera, patches: Sequence[Patch]) -> list[dict[Bound, shapely.Geometry | None]]:
    """The windows on the planes of many patches, as :func:`windows` gives them."""
    if not patches:
        return []
    rims, owner = shapely.get_coordinates(
        shapely.segmentize([patch.outline for patch in patches], 0.2), return_index=True
    )
    pixels = project(camera, to_room(patches, owner, rims))
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    low, high = (ufunc.reduceat(pixels, starts, axis=0) for ufunc in (np.minimum, np.maximum))
    # nan, a point without a pixel, carries over into the least and the largest.
    followed = np.isfinite(low).all(axis=1) & (camera.lens.image_circle_rad is None)
    size = np.array([camera.lens.width_px, camera.lens.height_px])
    rotation = axes(camera)
    exact = camera.aim_tolerance_deg == 0 and camera.lens.spread == 0
    found: list[dict[Bound, shapely.Geometry | None]] = [{} for _ in patches]
    for bound in (Bound.STATED,) if exact else Bound:
        border = _border(camera.lens, camera.aim_tolerance_deg, bound)
        # The bent image of a patch's rim lies within 2 px of the chords between its points.
        inset, beyond = border.inset_px + 2.0, min(border.inset_px, 0.0) - 2.0
        whole = np.asarray(followed & (low >= inset).all(axis=1) & (high <= size - inset).all(axis=1))
        none = np.asarray(followed & ((high < beyond).any(axis=1) | (low > size - beyond).any(axis=1)))
        loops = [loop @ rotation for loop in border.loops] if not (whole | none).all() else []
        for index, patch in enumerate(patches):
            if whole[index]:
                found[index][bound] = None
            elif none[index]:
                found[index][bound] = _NOTHING
            else:
                found[index][bound] = shapely.union_all([_on_plane(camera, loop, patch) for loop in loops])
    return [dict.fromkeys(Bound, one[Bound.STATED]) for one in found] if exact else found


def border_px(lens: Lens, shrink_rad: float = 0.0, zoom: float = 0.0) -> Array:
    """The picture's border, (N, 2) pixels in order around it, along the image circle where that is nearer.

    ``shrink_rad`` moves every side inwards by that angle as the lens images it there; ``zoom`` is the fraction by
    which the true focal length may exceed the stated one. Negative values move it outwards.
    """
    share = np.arange(_POINTS_A_SIDE) / _POINTS_A_SIDE
    width, height = float(lens.width_px), float(lens.height_px)
    zero, one = np.zeros_like(share), np.ones_like(share)
    unit = np.concatenate(
        [
            np.stack([share, zero], axis=1),
            np.stack([one, share], axis=1),
            np.stack([1 - share, one], axis=1),
            np.stack([zero, 1 - share], axis=1),
        ]
    )
    border = unit * np.array([width, height])
    inwards = np.where(unit <= 0, 1.0, 0.0) - np.where(unit >= 1, 1.0, 0.0)
    centre = np.asarray(lens.centre_px)
    radius = np.linalg.norm((border - centre) / (1.0, lens.aspect), axis=1) / lens.focal_px
    theta = np.nan_to_num(angle_of(lens.model, lens.coefficients, radius), nan=lens.limit_rad)
    theta = np.minimum(theta, lens.limit_rad)
    along = radius_of(lens.model, lens.coefficients, theta)[1]
    # Along the radius or around it, whichever an angle moves the border farther.
    around = radius / np.maximum(np.sin(np.minimum(theta, math.pi - 0.1)), 0.1)
    px_per_rad = lens.focal_px * np.maximum(along, around)
    shift = inwards * (shrink_rad * px_per_rad)[:, None]
    moved = centre + (border + shift - centre) * (1 - zoom)
    if shrink_rad > 0:
        moved = _all_sides_in(border, shift, centre, zoom)
    if lens.image_circle_rad is not None:
        fold = fold_rad(lens.model, lens.coefficients) * (1 - 1e-6)
        circle = np.array([min(max(0.0, lens.image_circle_rad - shrink_rad), fold)])
        reach = lens.focal_px * float(radius_of(lens.model, lens.coefficients, circle)[0][0]) * (1 - zoom)
        away = np.linalg.norm((moved - centre) / (1.0, lens.aspect), axis=1)
        moved = centre + (moved - centre) * np.minimum(1.0, reach / np.maximum(away, 1e-9))[:, None]
    return np.asarray(moved)


def _all_sides_in(border: Array, shift: Array, centre: Array, zoom: float) -> Array:
    """The border with every side moved inwards: what is within all four, so that no corner of one sticks out.

    A tolerance wider than the picture leaves nothing: the centre.
    """
    within: list[shapely.Geometry] = []
    for axis in (0, 1):
        for towards in (1.0, -1.0):
            this_side = np.zeros_like(shift)
            this_side[:, axis] = np.where(shift[:, axis] * towards > 0, shift[:, axis], 0.0)
            moved = border + this_side
            # Not beyond the centre: an inverted side would enclose something again.
            beyond = (border - centre) * (moved - centre) < 0
            moved = centre + (np.where(beyond, centre, moved) - centre) * (1 - zoom)
            within.append(shapely.Polygon(moved).buffer(0.0))
    left = shapely.intersection_all(within)
    if not isinstance(left, shapely.Polygon) or left.area < 1.0:
        return np.repeat(centre[None], 3, axis=0)
    return np.asarray(left.exterior.coords)[:-1]


@lru_cache(maxsize=512)
def _border(lens: Lens, tolerance_deg: float, bound: Bound) -> _Border:
    sign = float(bound.value)
    pixels = border_px(lens, sign * math.radians(tolerance_deg), sign * lens.spread / 2)
    if bound is Bound.STATED:
        return _Border(_loops(lens, pixels), 0.0)
    stated, moved = shapely.Polygon(border_px(lens)), shapely.MultiPoint(pixels)
    inset = float(shapely.hausdorff_distance(stated.exterior, moved.convex_hull.boundary))
    return _Border(_loops(lens, pixels), inset if bound is Bound.LEAST else -inset)


def _loops(lens: Lens, border: Array) -> tuple[Array, ...]:
    """The picture within a border as loops of directions that a plane can be cut with."""
    directions = _reached(lens, border)
    if directions[:, 2].min() > _ONE_LOOP_COS:
        return (directions,)
    # Slices from the middle to the border, and these across: each piece is small enough to be nearly flat.
    offset = border - np.asarray(lens.centre_px)
    radius = np.linalg.norm(offset / (1.0, lens.aspect), axis=1) / lens.focal_px
    limit = np.array([min(lens.limit_rad, math.pi)])
    farthest = float(radius_of(lens.model, lens.coefficients, limit)[0][0])
    offset = offset * np.minimum(1.0, farthest / np.maximum(radius, 1e-9))[:, None]
    rings = math.ceil(lens.angle_rad(min(float(radius.max()), farthest) * lens.focal_px) / _WIDEST_PIECE_RAD)
    share = np.arange(rings + 1) / rings
    pixels = np.asarray(lens.centre_px) + share[:, None, None] * offset
    grid = _reached(lens, pixels.reshape(-1, 2)).reshape(rings + 1, len(border), 3)
    following = np.roll(grid, -1, axis=1)
    return tuple(
        np.stack([grid[ring, side], grid[ring + 1, side], following[ring + 1, side], following[ring, side]])
        for ring in range(rings)
        for side in range(len(border))
    )


def _reached(lens: Lens, pixels: Array) -> Array:
    """Directions of pixels (N, 2); for one that a folding lens never reaches, of the last that it does on the way."""
    directions = lens.unproject(pixels)
    lost = np.isnan(directions).any(axis=1)
    if lost.any():
        centre = np.asarray(lens.centre_px)
        offset = pixels[lost] - centre
        near, far = np.zeros(len(offset)), np.ones(len(offset))
        for _ in range(_HALVINGS):
            share = (near + far) / 2
            reached = np.isfinite(lens.unproject(centre + share[:, None] * offset)).all(axis=1)
            near, far = np.where(reached, share, near), np.where(reached, far, share)
        directions[lost] = lens.unproject(centre + near[:, None] * offset)
    if lens.image_circle_rad is not None and lens.image_circle_rad < math.pi / 2:
        # The border along the circle is the circle itself, which tangential distortion images a little oval.
        radius = np.linalg.norm((pixels - np.asarray(lens.centre_px)) / (1.0, lens.aspect), axis=1)
        along = angle_of(lens.model, lens.coefficients, radius / lens.focal_px)
        sideways = np.hypot(directions[:, 0], directions[:, 1])
        most = math.tan(lens.image_circle_rad) * np.maximum(directions[:, 2], 0.0)
        onto = (sideways > most) | ~(along < lens.image_circle_rad * (1 - 1e-6))
        directions[:, :2] *= np.where(onto, most / np.maximum(sideways, 1e-12), 1.0)[:, None]
        directions /= np.linalg.norm(directions, axis=1)[:, None]
    return directions


def _on_plane(camera: Camera, directions: Array, patch: Patch) -> shapely.Geometry:
    """The window that a closed loop of directions cuts out of the patch's plane."""
    eye = np.asarray(camera.position_m)
    distance = float(patch.normal @ (eye - patch.origin))
    towards = -(directions @ patch.normal)
    if distance <= 0 or (towards <= _FLATTEST).all():
        return _NOTHING
    loop = _in_front(directions, towards)
    hits = eye + loop * (distance / -(loop @ patch.normal))[:, None] - patch.origin
    window = shapely.Polygon(hits @ patch.tangents.T)
    return window if window.is_valid else shapely.make_valid(window)


def _in_front(directions: Array, towards: Array) -> Array:
    """The loop cut to the half-space that meets the plane (Sutherland and Hodgman's clip, 1974)."""
    now = towards - _FLATTEST
    before, previous = np.roll(now, 1), np.roll(directions, 1, axis=0)
    ahead = now > 0
    crossing = np.flatnonzero((before > 0) != ahead)
    share = before[crossing] / (before[crossing] - now[crossing])
    cut = previous[crossing] + share[:, None] * (directions[crossing] - previous[crossing])
    # Where the loop crosses between two corners, its crossing comes before the second.
    places = np.concatenate([2 * crossing, 2 * np.flatnonzero(ahead) + 1])
    return np.asarray(np.concatenate([cut, directions[ahead]])[np.argsort(places)])
