"""Ray casting and shading: what a camera sees of meshes, supersampled, lit by the ceiling and the windows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from rendering.lens import View
from rendering.mesh import Array, Mesh

# 2 x 2 rays a pixel: edges of desks and letters read as a camera's do; 3 x 3 doubles the time for no visible gain.
GRID = 2
# A multiple of the light pattern below.
_STRIP_ROWS = 120
# Directions of the light that a bright ceiling and walls give; hidden ones darken a point. Each pixel of a
# 4 x 4 pattern turns them otherwise and the pattern is then averaged over like surfaces: 256 directions in
# all, smooth without noise (noise would cost most of the clips' bytes).
_SKY_COUNT = 16
_PATTERN = 4
_SKY_REACH_M = 1.6
_BIAS_M = 0.004
_AMBIENT = 0.17
_SKY = 0.62
_WINDOW = 0.42
_EXPOSURE = 1.04


class Solids:
    """A mesh ready for rays."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._scene = EmbreeScene()
        # The scene keeps pointers into it.
        self._triangles = TriangleMesh(self._scene, mesh.corners.astype(np.float32))

    def hits(self, origins: npt.NDArray[np.float32], rays: npt.NDArray[np.float32]) -> dict[str, npt.NDArray]:
        """Nearest hits: ``primID`` (-1 for none), ``tfar``, ``u``, ``v``."""
        return self._scene.run(origins, rays, output=True)

    def hides(self, origins: npt.NDArray[np.float32], rays: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which rays meet anything within the reach of the sky light."""
        reach = np.full(len(origins), _SKY_REACH_M, np.float32)
        return self._scene.run(origins, rays, dists=reach, query="OCCLUDED") >= 0


@dataclass(frozen=True)
class Layer:
    """A piece of a picture at (``left``, ``top``): BGR times alpha, and alpha, 8 bit."""

    left: int
    top: int
    colour: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8]


def render_room(
    view: View, room: Solids, shades: Sequence[Solids]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The empty room as a picture, and its distances (GRID times as fine). ``shades`` darken it unseen."""
    height, width = view.height_px, view.width_px
    picture = np.empty((height, width, 3), np.uint8)
    depth = np.empty((height * GRID, width * GRID), np.float32)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(height, top + _STRIP_ROWS)
        # One pattern more above and below, so that strips meet without a seam.
        above, below = min(top, _PATTERN), min(height - bottom, _PATTERN)
        colour, _, far = _trace(view, room, [room, *shades], (0, top - above, width, bottom + below), None)
        picture[top:bottom] = colour[above : above + bottom - top]
        depth[top * GRID : bottom * GRID] = far[above * GRID : (above + bottom - top) * GRID]
    return picture, depth


def render_layer(view: View, body: Solids, room: Solids, depth: npt.NDArray[np.float32]) -> Layer | None:
    """A body in front of the room: only what the room does not hide. None when out of the picture."""
    box = _bounds(view, body.mesh)
    if box is None:
        return None
    left, top, right, bottom = box
    colour, alpha, _ = _trace(
        view, body, [room, body], box, depth[top * GRID : bottom * GRID, left * GRID : right * GRID]
    )
    return Layer(left, top, colour, alpha) if alpha.any() else None


def _bounds(view: View, mesh: Mesh) -> tuple[int, int, int, int] | None:
    pixels = view.pixels(mesh.corners.reshape(-1, 3))
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if not len(pixels):
        return None
    left, top = np.floor(pixels.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + 1
    left, top, right, bottom = (
        max(0, left),
        max(0, top),
        min(view.width_px, right),
        min(view.height_px, bottom),
    )
    return (left, top, right, bottom) if left < right and top < bottom else None


def _trace(
    view: View,
    solids: Solids,
    hiders: list[Solids],
    box: tuple[int, int, int, int],
    depth: npt.NDArray[np.float32] | None,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Colour times alpha, alpha and fine distances of a box (left, top, right, bottom) of the picture."""
    left, top, right, bottom = box
    columns = left + (np.arange((right - left) * GRID) + 0.5) / GRID
    rows = top + (np.arange((bottom - top) * GRID) + 0.5) / GRID
    shape = (len(rows), len(columns))
    rays = view.rays(*np.meshgrid(columns, rows)).reshape(-1, 3).astype(np.float32)
    origins = np.broadcast_to(view.position.astype(np.float32), rays.shape).copy()
    found = solids.hits(origins, rays)
    hit = found["primID"] >= 0
    if depth is not None:
        hit &= found["tfar"] < depth.reshape(-1)
    light = np.zeros((shape[0] * shape[1], 3), np.float32)
    which = np.flatnonzero(hit)
    if len(which):
        light[which] = _shade(
            view,
            solids.mesh,
            hiders,
            rays[which],
            {name: value[which] for name, value in found.items()},
            which,
            shape,
        )
    mean = cv2.resize(light.reshape(*shape, 3), (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(
        hit.reshape(shape).astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_AREA
    )
    far = np.where(found["primID"] >= 0, found["tfar"], np.inf).astype(np.float32).reshape(shape)
    return np.rint(np.clip(mean, 0, 1) * 255).astype(np.uint8), np.rint(alpha * 255).astype(np.uint8), far


def _shade(
    view: View,
    mesh: Mesh,
    hiders: list[Solids],
    rays: npt.NDArray[np.float32],
    found: dict[str, npt.NDArray],
    which: npt.NDArray[np.int64],
    shape: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """Display values 0..1 (BGR) of the rays' hits."""
    triangle = found["primID"]
    weights = np.stack([1 - found["u"] - found["v"], found["u"], found["v"]], axis=1)
    normals = np.einsum("nk,nkc->nc", weights, mesh.normals[triangle])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    normals *= -np.sign(np.einsum("nc,nc->n", normals, rays))[:, None]
    points = view.position + rays * found["tfar"][:, None]
    albedo, glow = _surface(view, mesh, triangle, weights, rays, normals, found["tfar"])
    sky = _sky_light(hiders, points, normals, which, shape)
    window = np.clip(-normals[:, 0] * 0.9 + normals[:, 2] * 0.25 + 0.25, 0, None) / (
        1 + 0.10 * np.clip(points[:, 0], 0, None) ** 1.5
    )
    facing = np.clip(-np.einsum("nc,nc->n", normals, rays), 0, 1)
    bounce = 0.10 * np.clip(-normals[:, 2], 0, 1) + 0.05 * facing
    strength = _AMBIENT + bounce + _SKY * sky + _WINDOW * window * (0.35 + 0.65 * sky)
    warm = np.array([0.97, 1.0, 1.0])
    lit = albedo**2.2 * (strength[:, None] * warm * (1 - glow[:, None]) + glow[:, None])
    return np.clip(_EXPOSURE * lit, 0, 1.6).clip(0, 1) ** (1 / 2.2)


def _surface(
    view: View, mesh: Mesh, triangle: Array, weights: Array, rays: Array, normals: Array, far: Array
) -> tuple[Array, Array]:
    """Colour (BGR) and glow of every hit; textures are read at the level that fits the distance."""
    material = mesh.material[triangle]
    colours = np.array([entry.colour[::-1] for entry in mesh.materials])
    albedo, glow = colours[material], np.array([entry.glow for entry in mesh.materials])[material]
    glow = np.minimum(glow, 1.0)
    for index in np.unique(material):
        texture = mesh.materials[index].texture
        if texture is None:
            continue
        mine = np.flatnonzero(material == index)
        where = np.einsum("nk,nkc->nc", weights[mine], mesh.texture_at[triangle[mine]])
        slant = np.maximum(np.abs(np.einsum("nc,nc->n", rays[mine], normals[mine])), 0.08)
        # Texels that one ray's share of a pixel covers, between the best and the worst direction.
        texels = far[mine] / (view.focal_px * GRID) / np.sqrt(slant) * mesh.materials[index].texels_per_m
        level = np.clip(np.rint(np.log2(np.maximum(texels, 1.0))), 0, 6).astype(int)
        for at in np.unique(level):
            some = mine[level == at]
            albedo[some] = _read(_reduced(texture, int(at)), where[level == at])
    return albedo, glow


def _reduced(texture: npt.NDArray[np.uint8], level: int) -> npt.NDArray[np.uint8]:
    for _ in range(level):
        if min(texture.shape[:2]) <= 4:
            break
        texture = cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return texture


def _read(texture: npt.NDArray[np.uint8], where: Array) -> Array:
    height, width = texture.shape[:2]
    padded = cv2.copyMakeBorder(texture, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    x = ((where[:, 0] - np.floor(where[:, 0] - 1e-9)) * width + 0.5).astype(np.float32)
    y = ((where[:, 1] - np.floor(where[:, 1] - 1e-9)) * height + 0.5).astype(np.float32)
    found = np.empty((len(where), 3))
    # OpenCV's remap takes at most 32767 rows at once.
    for start in range(0, len(where), 30000):
        part = slice(start, start + 30000)
        found[part] = cv2.remap(padded, x[part, None], y[part, None], cv2.INTER_LINEAR)[:, 0]
    return found / 255.0


def _sky_light(
    hiders: list[Solids], points: Array, normals: Array, which: npt.NDArray[np.int64], shape: tuple[int, int]
) -> Array:
    """Share of the ceiling's light that reaches each point, 0..1: traced once a pixel, shared by its rays."""
    rows, columns = np.divmod(which, shape[1])
    height, width = shape[0] // GRID, shape[1] // GRID
    pixel, first, back = np.unique(
        (rows // GRID) * width + columns // GRID, return_index=True, return_inverse=True
    )
    pattern = (pixel // width % _PATTERN) * _PATTERN + pixel % width % _PATTERN
    normal = normals[first]
    start = (points[first] + normal * _BIAS_M).astype(np.float32)
    reached, whole = np.zeros(len(first)), np.zeros(len(first))
    for number in range(_SKY_COUNT):
        direction = _sky_directions(number)[pattern]
        facing = np.clip(np.einsum("nc,nc->n", normal, direction), 0, None)
        some = np.flatnonzero(facing > 0.02)
        if not len(some):
            continue
        open_sky = np.ones(len(some), bool)
        for hider in hiders:
            open_sky &= ~hider.hides(start[some], direction[some].astype(np.float32))
        reached[some] += facing[some] * open_sky
        whole += facing
    share = _average_over_like(
        reached, whole, pixel, normal, np.linalg.norm(points[first], axis=1), (height, width)
    )
    # A face that looks down or sideways sees less of the ceiling to begin with.
    return (share * (0.45 + 0.55 * (0.5 + 0.5 * normal[:, 2])))[back]


def _average_over_like(
    reached: Array,
    whole: Array,
    pixel: npt.NDArray[np.int64],
    normal: Array,
    place: Array,
    shape: tuple[int, int],
) -> Array:
    """Reached over whole, summed over each pixel's pattern where the surface is the same."""
    grids = np.zeros((6, shape[0] * shape[1]), np.float32)
    grids[:, pixel] = np.vstack([reached, whole, normal.T, place])
    grids = np.pad(grids.reshape(6, *shape), ((0, 0), (_PATTERN, _PATTERN), (_PATTERN, _PATTERN)))
    inner = (slice(_PATTERN, -_PATTERN),) * 2
    total, parts = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for down in range(-_PATTERN // 2, _PATTERN // 2):
        for across in range(-_PATTERN // 2, _PATTERN // 2):
            other = np.roll(grids, (-down, -across), axis=(1, 2))[:, inner[0], inner[1]]
            mine = grids[:, inner[0], inner[1]]
            like = (np.einsum("chw,chw->hw", mine[2:5], other[2:5]) > 0.9) & (
                np.abs(mine[5] - other[5]) < 0.08
            )
            total += other[0] * like
            parts += other[1] * like
    return (total / np.maximum(parts, 1e-6)).reshape(-1)[pixel].astype(np.float64)


@functools.cache
def _sky_directions(number: int) -> Array:
    """One of the directions for each pixel of the pattern, evenly spread down to a little below the horizon."""
    spread = np.arange(_PATTERN**2) * 7 % _PATTERN**2
    index = number + (spread + 0.5) / _PATTERN**2
    up = 1 - index / _SKY_COUNT * 1.12
    around = np.pi * (1 + 5**0.5) * (number * _PATTERN**2 + spread)
    flat = np.sqrt(1 - up**2)
    return np.stack([flat * np.cos(around), flat * np.sin(around), up], axis=1)
