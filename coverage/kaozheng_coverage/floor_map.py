"""What the cameras see at one height, all over a room: how many see each place, and how sharply the best does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.projection import in_picture, pixel_density
from kaozheng_coverage.rays import RayScene
from kaozheng_coverage.room import Room
from kaozheng_coverage.shadows import room_occluders, solids_of

# The head of a seated adult: 0.44 m of chair and some 0.75 m to the middle of the head (GB/T 10000-1988).
HEAD_HEIGHT_M = 1.15
_CELLS_A_SIDE = 90
_LEAST_CELL_M = 0.1


@dataclass(frozen=True)
class FloorMap:
    """A grid of square cells over a room.

    Attributes
    ----------
    centres : (N, 2) metres, middles of the cells that lie in the room
    cell_m : side of a cell
    height_m : above the floor
    cameras : (N,) how many cameras see the place unhidden
    px_per_m : (N,) worst-direction density of the best camera on an upright surface that faces it; 0 unseen
    solid : (N,) whether something stands there: nobody can be, and nothing is said of it
    """

    centres: Array
    cell_m: float
    height_m: float
    cameras: np.ndarray
    px_per_m: Array
    solid: np.ndarray


def floor_map(room: Room, cameras: Sequence[Camera], height_m: float = HEAD_HEIGHT_M) -> FloorMap:
    """What is seen at a height, by rays: everything hides that hides in a verdict, the sitters too."""
    outline = shapely.Polygon(room.boundary)
    left, near, right, far = outline.bounds
    cell_m = max(_LEAST_CELL_M, max(right - left, far - near) / _CELLS_A_SIDE)
    columns = np.arange(left + cell_m / 2, right, cell_m)
    rows = np.arange(near + cell_m / 2, far, cell_m)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    centres = grid[shapely.contains_xy(outline, grid)]
    points = np.column_stack([centres, np.full(len(centres), height_m)])

    occluders = room_occluders(room)
    scene = RayScene(solids_of(occluders))
    solid = np.zeros(len(centres), dtype=bool)
    for one in occluders:
        if one.bottom_m < height_m < one.top_m:
            solid |= np.asarray(shapely.contains_xy(shapely.Polygon(one.footprint), centres))
    count = np.zeros(len(centres), dtype=int)
    densest = np.zeros(len(centres))
    for camera in cameras:
        eye = np.asarray(camera.position_m)
        seen = in_picture(camera, points) & scene.hits(eye, points).unhidden
        count += seen
        away = centres - eye[:2]
        away /= np.maximum(np.linalg.norm(away, axis=1), 1e-9)[:, None]
        tangents = np.zeros((len(centres), 2, 3))
        tangents[:, 0, 0], tangents[:, 0, 1], tangents[:, 1, 2] = -away[:, 1], away[:, 0], 1.0
        densest = np.maximum(densest, np.where(seen, pixel_density(camera, points, tangents), 0.0))
    return FloorMap(centres, cell_m, height_m, count, densest, solid)
