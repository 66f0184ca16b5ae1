"""From room coordinates to pixels and back, and how many pixels a metre of a surface gets."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera

# Within this of the vertical (sine of the angle) a camera has no horizontal heading of its own.
_STRAIGHT_DOWN = 1e-9


@lru_cache(maxsize=256)
def axes(camera: Camera) -> Array:
    """Rotation from room to camera frame: (3, 3) with the rows right, down and forward in room coordinates.

    A camera that looks straight down (or up) has its picture's top towards the front wall (or its right to
    the room's right). Roll turns what the picture shows clockwise. The array is read-only, being kept.
    """
    forward = np.asarray(camera.aim_m, dtype=np.float64) - np.asarray(camera.position_m, dtype=np.float64)
    forward /= np.linalg.norm(forward)
    right = np.array([forward[1], -forward[0], 0.0])  # forward x up
    sideways = float(np.linalg.norm(right))
    right = right / sideways if sideways > _STRAIGHT_DOWN else np.array([1.0, 0.0, 0.0])
    down = np.array(
        [
            forward[1] * right[2] - forward[2] * right[1],
            forward[2] * right[0] - forward[0] * right[2],
            forward[0] * right[1] - forward[1] * right[0],
        ]
    )
    cosine, sine = math.cos(math.radians(camera.roll_deg)), math.sin(math.radians(camera.roll_deg))
    rotation = np.stack([cosine * right - sine * down, sine * right + cosine * down, forward])
    rotation.flags.writeable = False
    return rotation


def to_camera_frame(camera: Camera, points: Array) -> Array:
    """Points (N, 3) in room metres to the camera frame, metres: x right, y down, z forward."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return np.asarray((points - np.asarray(camera.position_m)) @ axes(camera).T)


def project(camera: Camera, points: Array) -> Array:
    """Pixels (N, 2) of points (N, 3) in room metres; nan behind the camera or beyond its lens.

    A pixel may lie outside the picture: ``in_picture`` tells.
    """
    return camera.lens.project(to_camera_frame(camera, points))


def in_picture(camera: Camera, points: Array) -> npt.NDArray[np.bool_]:
    """Which points (N, 3) lie inside the picture, hidden or not."""
    return camera.lens.inside(project(camera, points))


def unproject(camera: Camera, pixels: Array) -> Array:
    """Unit directions in room coordinates, (N, 3), of pixels (N, 2)."""
    return np.asarray(camera.lens.unproject(pixels) @ axes(camera))


def pixel_density(camera: Camera, points: Array, tangents: Array) -> Array:
    """Worst-direction pixel density on a surface, through the real lens.

    Parameters
    ----------
    points : (N, 3) float array, metres, room coordinates
    tangents : (2, 3) or (N, 2, 3) float array, two orthonormal directions in the surface

    Returns
    -------
    (N,) float array, pixels per metre; 0 where a point has no pixel. Occlusion and the picture's border are
    not asked.

    Notes
    -----
    Smallest singular value of the 2x2 Jacobian d(pixel)/d(surface). EN 62676-4:2014 measures the same
    quantity on a plane facing the camera; on the lens axis the two agree.
    """
    in_frame = to_camera_frame(camera, points)
    directions = np.asarray(tangents, dtype=np.float64) @ axes(camera).T
    directions = np.broadcast_to(directions, (len(in_frame), 2, 3))
    jacobian = camera.lens.jacobian(in_frame)
    a, b, c, d = (
        jacobian[:, row, 0] * directions[:, way, 0]
        + jacobian[:, row, 1] * directions[:, way, 1]
        + jacobian[:, row, 2] * directions[:, way, 2]
        for row in (0, 1)
        for way in (0, 1)
    )
    # Singular values of a 2x2 matrix in closed form: half the sum and half the difference of these two.
    smallest = np.abs(np.hypot(a + d, b - c) - np.hypot(a - d, b + c)) / 2
    seen = np.isfinite(camera.lens.project(in_frame)).all(axis=1) & np.isfinite(smallest)
    return np.where(seen, smallest, 0.0)
