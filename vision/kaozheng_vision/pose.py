"""The pose of a camera by the cards that it sees: what is minimised, and how well it is known at the minimum.

Each card adds eight numbers, the pixels of its four corners. They are off by pixel noise, which is independent, and by
how its desk stands off the plan (along, across, turned), which moves all four together. The desk's part is not solved
for but put into the eight numbers' covariance, C = s^2 I + J D J^T with J the pixels' derivative by the desk's place:
the estimate and its covariance are those of solving for every desk with its prior (generalised least squares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from kaozheng_coverage.card import FORWARD_M, RIGHT_M, CardFace
from kaozheng_coverage.lens import Lens
from kaozheng_coverage.pose import turn
from scipy.optimize import least_squares

from kaozheng_vision.markers import Marker

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# A marker's corners are found the worse the smaller it is. On rendered pictures with blur, noise and JPEG (the pose
# bench) their standard deviation is 0.05 to 0.07 px from 23 px on, 0.08 at 21 and 0.12 at 18: as the square.
_SMALL_PX = 23.0
# A marker's corners are where its edges cross, two corners on each edge, so that they tell less than independent ones:
# over 30 rendered rooms with desks exactly on the plan the squared distance of the pose from the truth was 1.6 times
# what independent corners would leave.
_CORNERS_TOGETHER = 1.6
# Of a corner that the lens cannot show from a pose that is tried: whatever it is, it is far off, in pixels.
_UNSEEN_PX = 2000.0
# A card is put on its desk by hand and folded by hand: it is turned and leant by so much, and printed larger or smaller
# ("fit to page" takes 3% off A4; unscaled, a printer's feed is within 0.5%). Standard deviations.
_CARD_TURN_RAD = math.radians(3.0)
_CARD_LEAN_RAD = math.radians(2.0)
_PRINT_SD = 0.02
NUMBERS = 8
# Weights follow the pose, so the minimum is sought again with the weights there: the third time changes < 0.01 mm.
_ROUNDS = 3
# Residuals beyond so many standard deviations pull no harder while it is not yet known which cards are wrong.
_PULL = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """``rotation`` (3, 3) from room to camera frame; ``zoom`` is the focal length over the stated one, ``printed`` the
    markers' size over the stated one.
    """

    position_m: Array
    rotation: Array
    zoom: float = 1.0
    printed: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Standard deviations: of a large marker's corner along each axis, of a desk's place and bearing, of the zoom."""

    pixel_px: float
    desk_m: float
    desk_rad: float
    zoom: float


@dataclass(frozen=True, slots=True, eq=False)
class Cards:
    """N cards: corners in the room (N, 4, 3) and in the picture (N, 4, 2), and which way each faces (N, 2)."""

    corners_m: Array
    seen_px: Array
    facing: Array

    @classmethod
    def of(cls, sightings: Sequence[tuple[CardFace, Marker]]) -> Cards:
        facing = np.stack([face.normal[:2] / np.linalg.norm(face.normal[:2]) for face, _ in sightings])
        return cls(
            np.stack([face.corners for face, _ in sightings]),
            np.stack([marker.corners_px for _, marker in sightings]),
            facing,
        )

    def __len__(self) -> int:
        return len(self.corners_m)

    def only(self, which: Flags) -> Cards:
        return Cards(self.corners_m[which], self.seen_px[which], self.facing[which])

    def pixel_variance(self, noise: Noise) -> Array:
        """(N,) of each corner along each axis."""
        side_px = np.linalg.norm(np.roll(self.seen_px, -1, axis=1) - self.seen_px, axis=2).mean(axis=1)
        return np.asarray((noise.pixel_px * np.maximum(1.0, (_SMALL_PX / side_px) ** 2)) ** 2)

    @property
    def middles_m(self) -> Array:
        """(N, 3)"""
        return np.asarray(self.corners_m.mean(axis=1))

    def in_frame(self, pose: Pose) -> Array:
        """(N, 4, 3) corners in the camera frame."""
        middles = self.middles_m[:, None]
        corners = middles + pose.printed * (self.corners_m - middles)
        return np.asarray((corners - pose.position_m) @ pose.rotation.T)

    def expected_px(self, lens: Lens, pose: Pose) -> Array:
        """(N, 4, 2) where the corners should be in the picture, nan where the lens has no pixel."""
        return zoomed(lens, pose.zoom).project(self.in_frame(pose).reshape(-1, 3)).reshape(-1, 4, 2)

    def by_place(self) -> Array:
        """(N, 4, 3, 4) derivative of the corners by their card's x, y, bearing and lean, turned about its middle."""
        away = self.corners_m - self.middles_m[:, None]
        across = np.stack([-self.facing[:, 1], self.facing[:, 0], np.zeros(len(self))], axis=1)
        by = np.zeros((len(self), 4, 3, 4))
        by[..., 0, 0] = by[..., 1, 1] = 1.0
        by[..., 0, 2], by[..., 1, 2] = -away[..., 1], away[..., 0]
        by[..., 3] = np.cross(across[:, None], away)
        return by

    def place_covariance(self, noise: Noise) -> Array:
        """(N, 4, 4) of x, y, bearing and lean.

        A desk turns about its own middle and carries its card along: 0.46 m beside it the card moves along the way it
        faces, 0.12 m before it across.
        """
        along, across = self.facing, np.stack([-self.facing[:, 1], self.facing[:, 0]], axis=1)
        spread = np.zeros((len(self), 4, 4))
        spread[:, :2, :2] = (
            noise.desk_m**2 * np.eye(2)
            + (RIGHT_M * noise.desk_rad) ** 2 * along[:, :, None] * along[:, None, :]
            + (FORWARD_M * noise.desk_rad) ** 2 * across[:, :, None] * across[:, None, :]
        )
        spread[:, 2, 2] = noise.desk_rad**2 + _CARD_TURN_RAD**2
        spread[:, 3, 3] = _CARD_LEAN_RAD**2
        return spread


@dataclass(frozen=True, slots=True, eq=False)
class Misfit:
    """Per card: squared distance of its eight numbers in standard deviations (N,), the part of it that lies where a
    shift along the floor takes it (2 degrees of freedom), the part where neither a shift nor a turn does (4), and
    pixels left when the card's own place is taken out (N, 4, 2).
    """

    squared: Array
    by_shift: Array
    by_pixels: Array
    left_px: Array


def zoomed(lens: Lens, zoom: float) -> Lens:
    return replace(lens, focal_px=lens.focal_px * zoom)


def misfit(cards: Cards, lens: Lens, pose: Pose, noise: Noise) -> Misfit:
    """How far every card is from where the pose expects it."""
    off = (cards.seen_px - cards.expected_px(lens, pose)).reshape(-1, 8)
    unseen = ~np.isfinite(off).all(axis=1)
    off = np.where(np.isfinite(off), off, _UNSEEN_PX)
    covariance, by_place = _covariance(cards, lens, pose, noise)
    weighed = np.asarray(np.linalg.solve(covariance, off[:, :, None]), np.float64)
    squared = (off[:, None, :] @ weighed)[:, 0, 0]
    by_shift = _explained(covariance, by_place[:, :, :2], weighed)
    by_pixels = squared - _explained(covariance, by_place, weighed)
    left = cards.pixel_variance(noise)[:, None] * weighed[:, :, 0]
    squared = np.where(unseen, np.inf, squared)
    return Misfit(squared, by_shift, by_pixels, np.asarray(left.reshape(-1, 4, 2)))


def _explained(covariance: Array, by: Array, weighed: Array) -> Array:
    """(N,) the squared distance that the best step along the columns of ``by`` (N, 8, k) takes away."""
    pull = by.transpose(0, 2, 1) @ weighed
    information = by.transpose(0, 2, 1) @ np.linalg.solve(covariance, by)
    # A card edge on has no lean to speak of: kept from being singular.
    information = information + 1e-12 * np.trace(information, axis1=1, axis2=2)[:, None, None] * np.eye(
        by.shape[2]
    )
    return np.asarray((pull.transpose(0, 2, 1) @ np.linalg.solve(information, pull))[:, 0, 0])


def fit(cards: Cards, lens: Lens, start: Pose, noise: Noise, *, robust: bool) -> Pose:
    """The pose nearest to ``start`` that agrees best with the cards.

    Parameters
    ----------
    robust : pull of each residual bounded (Cauchy loss), for cards among which some may stand wrong
    """
    pose = start
    for _ in range(_ROUNDS):
        whiten = _whitening(cards, lens, pose, noise)
        origin = pose

        def residuals(step: Array, whiten: Array = whiten, origin: Pose = origin) -> Array:
            moved = _moved(origin, step, noise)
            off = (cards.expected_px(lens, moved) - cards.seen_px).reshape(-1, 8)
            off = np.where(np.isfinite(off), off, _UNSEEN_PX)
            prior = [step[6] + _zoom_sd(origin, noise), step[7] + (origin.printed - 1.0) / _PRINT_SD]
            return np.append((whiten @ off[:, :, None]).ravel(), prior)

        def jacobian(step: Array, whiten: Array = whiten, origin: Pose = origin) -> Array:
            by = _by_pose(cards, lens, _moved(origin, step, noise), noise, step[3:6])
            return np.vstack([(whiten @ by).reshape(-1, NUMBERS), np.eye(NUMBERS)[6:]])

        found = least_squares(
            residuals,
            np.zeros(NUMBERS),
            jacobian,
            method="trf",
            x_scale=np.array([0.02, 0.02, 0.02, 0.005, 0.005, 0.005, 1.0, 1.0]),
            loss="cauchy" if robust else "linear",
            f_scale=_PULL,
            xtol=1e-10,
            ftol=1e-10,
            gtol=1e-10,
            max_nfev=60,
        )
        pose = _moved(origin, found.x, noise)
    return pose


def covariance_of(cards: Cards, lens: Lens, pose: Pose, noise: Noise) -> Array:
    """(7, 7) of a change of pose, as ``Camera.pose_covariance``. Raises LinAlgError where the pose is open."""
    noise = replace(noise, pixel_px=noise.pixel_px * math.sqrt(_CORNERS_TOGETHER))
    by = _whitening(cards, lens, pose, noise) @ _by_pose(cards, lens, pose, noise, np.zeros(3))
    by = by.reshape(-1, NUMBERS)
    information = by.T @ by
    information[6:, 6:] += np.eye(2)
    # Metres and radians differ by orders: scaled to one, so that the inverse loses no digits.
    scale = 1 / np.sqrt(np.diagonal(information))
    found = np.linalg.inv(information * scale[:, None] * scale) * scale[:, None] * scale
    units = np.array([1.0] * 6 + [noise.zoom / pose.zoom])
    return np.asarray(found[:7, :7] * units[:, None] * units)


def _moved(origin: Pose, step: Array, noise: Noise) -> Pose:
    rotation = turn(step[3:6]) @ origin.rotation
    # A step of a wild start must not turn the picture inside out.
    zoom = max(origin.zoom + noise.zoom * float(step[6]), 0.2)
    printed = max(origin.printed + _PRINT_SD * float(step[7]), 0.2)
    return Pose(origin.position_m + step[:3], rotation, zoom, printed)


def _zoom_sd(pose: Pose, noise: Noise) -> float:
    return (pose.zoom - 1.0) / noise.zoom if noise.zoom > 0 else 0.0


def _by_pose(cards: Cards, lens: Lens, pose: Pose, noise: Noise, vector: Array) -> Array:
    """(N, 8, 8) derivative of the pixels by position, turn, and zoom and print (in their standard deviations)."""
    points = cards.in_frame(pose).reshape(-1, 3)
    by_point = _finite(zoomed(lens, pose.zoom).jacobian(points))
    by = np.empty((len(points), 2, NUMBERS))
    by[:, :, :3] = -by_point @ pose.rotation
    by[:, :, 3:6] = -by_point @ _cross(points) @ _left_jacobian(vector)
    away = zoomed(lens, pose.zoom).project(points) - np.asarray(lens.centre_px)
    by[:, :, 6] = _finite(away) * (noise.zoom / pose.zoom)
    larger = _PRINT_SD * (cards.corners_m - cards.middles_m[:, None]).reshape(-1, 3) @ pose.rotation.T
    by[:, :, 7] = (by_point @ larger[:, :, None])[:, :, 0]
    return by.reshape(-1, 8, NUMBERS)


def _covariance(cards: Cards, lens: Lens, pose: Pose, noise: Noise) -> tuple[Array, Array]:
    """(N, 8, 8) of each card's pixels, and their derivative by its place (N, 8, 4)."""
    points = cards.in_frame(pose).reshape(-1, 3)
    by_room = (_finite(zoomed(lens, pose.zoom).jacobian(points)) @ pose.rotation).reshape(-1, 4, 2, 3)
    by_place = (by_room @ cards.by_place()).reshape(-1, 8, 4)
    spread = by_place @ cards.place_covariance(noise) @ by_place.transpose(0, 2, 1)
    return spread + cards.pixel_variance(noise)[:, None, None] * np.eye(8), by_place


def _whitening(cards: Cards, lens: Lens, pose: Pose, noise: Noise) -> Array:
    """(N, 8, 8) that make each card's eight numbers independent and of variance one."""
    lower = np.linalg.cholesky(_covariance(cards, lens, pose, noise)[0])
    return np.asarray(np.linalg.inv(lower))


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0.0)


def _cross(vectors: Array) -> Array:
    """(N, 3, 3) matrices of the cross product with (N, 3) vectors."""
    matrices = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    matrices[:, 0, 1], matrices[:, 0, 2] = -z, y
    matrices[:, 1, 0], matrices[:, 1, 2] = z, -x
    matrices[:, 2, 0], matrices[:, 2, 1] = -y, x
    return matrices


def _left_jacobian(vector: Array) -> Array:
    """Of rotations at a rotation vector v: exp(v + d) = exp(J d) exp(v) to first order (Barfoot 2017, 7.77b)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-6:
        return np.eye(3)
    matrix = _cross(vector[None])[0]
    return np.asarray(
        np.eye(3)
        + (1 - math.cos(angle)) / angle**2 * matrix
        + (angle - math.sin(angle)) / angle**3 * matrix @ matrix
    )
