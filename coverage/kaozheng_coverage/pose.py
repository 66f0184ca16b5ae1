"""A camera's pose as numbers that can be estimated and drawn: where it stands, how it is turned, its focal length.

A change of pose is seven numbers: three of position (metres, room coordinates), three of rotation (radians, a rotation
vector in the camera frame: about its right, its down and its forward axis) and one of the focal length (relative).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera, Covariance
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.projection import axes

# Position, rotation, focal length.
NUMBERS = 7
# Covariances come from files with a few digits: rounding may leave an eigenvalue this share of the largest below zero.
_ROUNDING = 1e-3


def posed(camera: Camera, position_m: Array, rotation: Array) -> Camera:
    """The camera standing there and turned so; it aims as far as before.

    Parameters
    ----------
    position_m : (3,) room coordinates
    rotation : (3, 3) from room to camera frame, rows right, down and forward, as
        :func:`kaozheng_coverage.projection.axes` gives it
    """
    far = math.dist(camera.position_m, camera.aim_m)
    forward = rotation[2] / np.linalg.norm(rotation[2])
    x, y, z = (float(value) for value in position_m)
    aim = (x + far * float(forward[0]), y + far * float(forward[1]), z + far * float(forward[2]))
    level = replace(camera, position_m=(x, y, z), aim_m=aim, roll_deg=0.0)
    return replace(level, roll_deg=roll_of(level, rotation))


def changed(camera: Camera, change: Array) -> Camera:
    """The camera with a change of pose, (7,), applied; what is known of its errors stays as it was."""
    change = np.asarray(change, dtype=np.float64)
    rotation = turn(change[3:6]) @ axes(camera)
    lens = replace(camera.lens, focal_px=camera.lens.focal_px * math.exp(float(change[6])))
    return replace(posed(camera, np.asarray(camera.position_m) + change[:3], rotation), lens=lens)


def change_between(camera: Camera, other: Camera) -> Array:
    """The change of pose, (7,), that makes ``camera`` stand, look and magnify as ``other`` does."""
    return np.concatenate(
        [
            np.asarray(other.position_m) - np.asarray(camera.position_m),
            _rotation_vector(axes(other) @ axes(camera).T),
            [math.log(other.lens.focal_px / camera.lens.focal_px)],
        ]
    )


def turn(vector: Array) -> Array:
    """The (3, 3) rotation about a rotation vector (3,), radians (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-9:
        return np.asarray(np.eye(3) + cross)
    return np.asarray(
        np.eye(3) + math.sin(angle) / angle * cross + (1.0 - math.cos(angle)) / angle**2 * cross @ cross
    )


def with_covariance(camera: Camera, covariance: Array) -> Camera:
    """The camera with what a calibration leaves open, and the tolerances that a verdict takes from it.

    Parameters
    ----------
    covariance : (7, 7) of a change of pose

    Notes
    -----
    ``aim_tolerance_deg`` is two standard deviations of the aim in its worst direction, as of a stated aim. The lens'
    spread is that of the even distribution of the same standard deviation, spread / sqrt(12).

    Raises
    ------
    CoverageError : not (7, 7) finite numbers, or no covariance
    """
    checked = checked_covariance(camera.id, covariance)
    aim = float(np.linalg.eigvalsh(checked[3:5, 3:5])[-1])
    spread = math.sqrt(12.0 * max(0.0, float(checked[6, 6])))
    return replace(
        camera,
        aim_tolerance_deg=math.degrees(2.0 * math.sqrt(max(0.0, aim))),
        lens=replace(camera.lens, spread=spread),
        pose_covariance=_tuples(checked),
        by_hand=camera.by_hand or (camera.aim_tolerance_deg, camera.lens.spread),
    )


def by_hand(camera: Camera) -> Camera:
    """The camera with the tolerances that it was stated with: what was calibrated ends when it is touched, and says
    nothing of another camera of its kind.
    """
    if camera.by_hand is None:
        return camera
    tolerance_deg, spread = camera.by_hand
    lens = replace(camera.lens, spread=spread)
    return replace(camera, aim_tolerance_deg=tolerance_deg, lens=lens, pose_covariance=None, by_hand=None)


def checked_covariance(camera_id: str, covariance: Array | Covariance) -> Array:
    """(7, 7), made symmetric. Raises CoverageError where it is no covariance of a change of pose."""
    matrix = np.asarray(covariance, dtype=np.float64)
    what = f"camera {camera_id}: pose covariance"
    if matrix.shape != (NUMBERS, NUMBERS) or not np.isfinite(matrix).all():
        raise CoverageError(
            f"{what}: give {NUMBERS} rows of {NUMBERS} numbers: position, rotation, focal length"
        )
    matrix = (matrix + matrix.T) / 2
    # Metres, radians and shares differ by orders: compared as correlations.
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    values = np.linalg.eigvalsh(matrix / np.outer(scale, scale))
    if (np.diag(matrix) < 0).any() or values[0] < -_ROUNDING * max(1.0, float(values[-1])):
        raise CoverageError(f"{what}: it is no covariance (not positive): calibrate the camera anew")
    return matrix


def drawn_change(camera_id: str, covariance: Covariance, random: np.random.Generator) -> Array:
    """A change of pose, (7,), drawn from the normal distribution of this covariance around none."""
    matrix = checked_covariance(camera_id, covariance)
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    normal = random.normal(0.0, 1.0, NUMBERS)
    return np.asarray(scale * (vectors @ (np.sqrt(np.maximum(values, 0.0)) * normal)))


def roll_of(level: Camera, rotation: Array) -> float:
    """``roll_deg`` with which a camera whose own roll is 0 is turned so, its aim being right; degrees."""
    right, down, _ = axes(level)
    return math.degrees(math.atan2(-float(rotation[0] @ down), float(rotation[0] @ right)))


def _rotation_vector(rotation: Array) -> Array:
    """The rotation vector (3,), radians, of a rotation by less than half a turn."""
    cosine = max(-1.0, min(1.0, (float(np.trace(rotation)) - 1.0) / 2.0))
    skew = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = float(np.linalg.norm(skew)) / 2.0
    angle = math.atan2(sine, cosine)
    if sine > 1e-7:
        return np.asarray(skew / (2.0 * sine) * angle)
    if cosine > 0:
        return skew / 2.0
    vectors = np.linalg.eigh((rotation + rotation.T) / 2)[1]
    return np.asarray(vectors[:, -1] * math.pi)


def _tuples(matrix: Array) -> Covariance:
    return tuple(tuple(float(value) for value in row) for row in matrix)
