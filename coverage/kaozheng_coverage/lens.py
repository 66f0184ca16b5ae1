"""Lenses: from directions to pixels and back; the lens of a calibration, or of a datasheet's angles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.distortion import (
    LensModel,
    angle_of,
    brown_conrady,
    fold_rad,
    radius_of,
    undo_brown_conrady,
)
from kaozheng_coverage.errors import LensError

# A real 2.8 mm lens (106.4/57.9/124.6 degrees) spreads 5.5% as f-theta and 69% as pinhole, a 6 mm one 3-4%:
# angles that spread more than twice the worst true fit describe neither model, or another resolution's crop.
MAX_SPREAD = 0.12

# How many numbers each model takes.
_COEFFICIENTS = {
    LensModel.PINHOLE: 0,
    LensModel.F_THETA: 0,
    LensModel.BROWN_CONRADY: 8,
    LensModel.KANNALA_BRANDT: 4,
}
# A picture that folds ends before: at nine tenths of the angle the density along the radius is down to a fifth, and
# tangential distortion begins to decide which pixels are reached.
_BEFORE_FOLD = 0.9
_WELL_WITHIN = 0.9

# Nearer to the axis than this (tangent of the angle) both models agree to better than 1e-12 relative.
_ON_AXIS = 1e-6


@dataclass(frozen=True, slots=True)
class Lens:
    """A lens and the picture behind it.

    The camera frame is x right, y down, z forward. Pixel coordinates are continuous: the picture spans
    0..width_px and 0..height_px, and the middle of the top left pixel is (0.5, 0.5).

    Attributes
    ----------
    focal_px : focal length across, pixels (fx)
    spread : how far the focal length may be off, as max/min - 1: of those that each stated angle gives by itself, or
        of what a calibration leaves open
    note : how the model was chosen, one English sentence
    image_circle_rad : angle from the axis beyond which the picture is black, as in a fisheye's corners; None if
        light reaches every corner
    aspect : focal length down over the one across (fy / fx)
    coefficients : of the model: none, 8 of Brown-Conrady (k1 k2 p1 p2 k3 k4 k5 k6), 4 of Kannala-Brandt (k1 to k4)
    """

    model: LensModel
    focal_px: float
    centre_px: tuple[float, float]
    width_px: int
    height_px: int
    spread: float = 0.0
    note: str = ""
    image_circle_rad: float | None = None
    aspect: float = 1.0
    coefficients: tuple[float, ...] = ()

    def project(self, rays: Array) -> Array:
        """Pixels of directions: (N, 3) in the camera frame, any length, to (N, 2); nan where it cannot be seen.

        A pixel may lie outside the picture. Nan means behind a pinhole camera, beyond the image circle, beyond the
        angle where the model folds back, or beyond what a fisheye's farthest corner reaches (at least 90 degrees).
        """
        rays = np.asarray(rays, dtype=np.float64).reshape(-1, 3)
        x, y, z = rays[:, 0], rays[:, 1], rays[:, 2]
        off_axis = np.hypot(x, y)
        theta = np.arctan2(off_axis, z)
        with np.errstate(divide="ignore", invalid="ignore"):
            folds = np.zeros(len(rays), dtype=bool)
            if self.model is LensModel.PINHOLE:
                flat = rays[:, :2] / z[:, None]
            elif self.model is LensModel.BROWN_CONRADY:
                flat, by = brown_conrady(rays[:, :2] / z[:, None], self.coefficients)
                folds = by[:, 0, 0] * by[:, 1, 1] <= by[:, 0, 1] * by[:, 1, 0]
            else:
                radius = radius_of(self.model, self.coefficients, theta)[0]
                gain = np.where(off_axis > _ON_AXIS * np.abs(z), radius / off_axis, 1.0 / z)
                flat = rays[:, :2] * gain[:, None]
            pixels = flat * self._focals + np.asarray(self.centre_px)
        seen = (
            (theta < self.limit_rad) & np.isfinite(pixels).all(axis=1) & ((z > 0) | (off_axis > 0)) & ~folds
        )
        return np.where(seen[:, None], pixels, np.nan)

    def unproject(self, pixels: Array) -> Array:
        """Unit directions in the camera frame, (N, 3), of pixels (N, 2); nan beyond where the model folds back."""
        pixels = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        offset = (pixels - np.asarray(self.centre_px)) / self._focals
        if self.model is LensModel.BROWN_CONRADY:
            ahead = np.ones((len(offset), 3))
            ahead[:, :2] = undo_brown_conrady(offset, self.coefficients)
            return np.asarray(ahead / np.linalg.norm(ahead, axis=1)[:, None])
        radius = np.hypot(offset[:, 0], offset[:, 1])
        theta = angle_of(self.model, self.coefficients, radius)
        with np.errstate(divide="ignore", invalid="ignore"):
            sideways = np.where(radius > 0, np.sin(theta) / radius, 1.0)
        return np.stack([offset[:, 0] * sideways, offset[:, 1] * sideways, np.cos(theta)], axis=1)

    def jacobian(self, rays: Array) -> Array:
        """Derivative of the pixel by the point in the camera frame: (N, 3) points to (N, 2, 3), pixels per metre."""
        rays = np.asarray(rays, dtype=np.float64).reshape(-1, 3)
        x, y, z = rays[:, 0], rays[:, 1], rays[:, 2]
        off_axis = np.hypot(x, y)
        near_axis = off_axis <= _ON_AXIS * np.abs(z)
        focals = self._focals[:, None]
        if self.model is LensModel.BROWN_CONRADY:
            with np.errstate(divide="ignore", invalid="ignore"):
                by_flat = brown_conrady(rays[:, :2] / z[:, None], self.coefficients)[1]
                flat_by = np.zeros((len(rays), 2, 3))
                flat_by[:, 0, 0] = flat_by[:, 1, 1] = 1.0 / z
                flat_by[:, 0, 2], flat_by[:, 1, 2] = -x / z**2, -y / z**2
                return np.asarray(by_flat @ flat_by * focals)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.model is LensModel.PINHOLE:
                gain, by_x, by_y, by_z = 1.0 / z, np.zeros_like(z), np.zeros_like(z), -1.0 / z**2
            else:
                # pixel = f g(x, y, z) (x, y) with g = radius / off_axis; on the axis g -> 1/z as for a pinhole.
                distance_squared = off_axis**2 + z**2
                radius, slope = radius_of(self.model, self.coefficients, np.arctan2(off_axis, z))
                radial = (slope * z / distance_squared - radius / off_axis) / off_axis**2
                gain = np.where(near_axis, 1.0 / z, radius / off_axis)
                by_x = np.where(near_axis, 0.0, x * radial)
                by_y = np.where(near_axis, 0.0, y * radial)
                by_z = np.where(near_axis, -1.0 / z**2, -slope / distance_squared)
        rows = np.empty((len(rays), 2, 3))
        rows[:, 0, 0], rows[:, 0, 1], rows[:, 0, 2] = gain + x * by_x, x * by_y, x * by_z
        rows[:, 1, 0], rows[:, 1, 1], rows[:, 1, 2] = y * by_x, gain + y * by_y, y * by_z
        return rows * focals

    def inside(self, pixels: Array) -> npt.NDArray[np.bool_]:
        """Which pixels (N, 2) lie in the picture; nan does not."""
        pixels = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        with np.errstate(invalid="ignore"):
            size = np.array([self.width_px, self.height_px])
            return np.asarray(((pixels >= 0.0) & (pixels <= size)).all(axis=1))

    @property
    def limit_rad(self) -> float:
        """Largest angle from the axis at which a direction still has a pixel."""
        if self.image_circle_rad is not None:
            return self.image_circle_rad
        if self.model in (LensModel.PINHOLE, LensModel.BROWN_CONRADY):
            return fold_rad(self.model, self.coefficients)
        widest = max(math.pi / 2, self.corner_rad * (1 + 1e-9))
        return min(fold_rad(self.model, self.coefficients), widest)

    @property
    def corner_rad(self) -> float:
        """Angle from the axis to the picture's farthest corner, or to the image circle where that is nearer."""
        across = max(self.centre_px[0], self.width_px - self.centre_px[0])
        down = max(self.centre_px[1], self.height_px - self.centre_px[1])
        return self.angle_rad(math.hypot(across, down / self.aspect))

    @property
    def hfov_deg(self) -> float:
        """Horizontal angle of view, degrees, through the picture's middle row."""
        left, right = self.centre_px[0], self.width_px - self.centre_px[0]
        return math.degrees(self.angle_rad(left) + self.angle_rad(right))

    def angle_rad(self, radius_px: float) -> float:
        """Angle from the axis of a distance across the picture from its middle; where nothing is seen, the limit."""
        angle = _angle_rad(self.model, self.coefficients, radius_px / self.focal_px)
        return angle if self.image_circle_rad is None else min(angle, self.image_circle_rad)

    @property
    def _focals(self) -> Array:
        return np.array([self.focal_px, self.focal_px * self.aspect])


@lru_cache(maxsize=4096)
def _angle_rad(model: LensModel, coefficients: tuple[float, ...], radius: float) -> float:
    angle = float(angle_of(model, coefficients, np.array([radius]))[0])
    return fold_rad(model, coefficients) if math.isnan(angle) else angle


def calibrated_lens(
    model: LensModel,
    width_px: int,
    height_px: int,
    focals_px: tuple[float, float],
    centre_px: tuple[float, float],
    coefficients: tuple[float, ...] = (),
    tolerance: float = 0.0,
) -> Lens:
    """The lens that a calibration found.

    Parameters
    ----------
    focals_px : fx and fy, pixels
    centre_px : the principal point, pixels, the middle of the top left pixel being (0.5, 0.5)
    coefficients : up to 8 of Brown-Conrady, in OpenCV's order k1 k2 p1 p2 k3 k4 k5 k6, or up to 4 of
        Kannala-Brandt; those left out are 0
    tolerance : fraction by which the focal length may be off either way

    Raises
    ------
    LensError
        no size; a value that is no number; a focal length that is not positive; too many coefficients; a middle
        outside the picture; coefficients that no pixel survives.

    Notes
    -----
    Where the model folds back inside the picture (a fisheye's black corners, or coefficients that were fitted to
    marks in the middle only), the picture is taken to end there, and the note says so.
    """
    if not (width_px > 0 and height_px > 0):
        raise LensError(
            f"picture size {width_px} x {height_px}: give the camera's resolution as two positive numbers"
        )
    values = (*focals_px, *centre_px, *coefficients, tolerance)
    if not all(math.isfinite(value) for value in values):
        raise LensError(
            "the calibration holds a value that is no finite number: write it again from the calibration"
        )
    if not (focals_px[0] > 0 and focals_px[1] > 0 and 0.5 <= focals_px[1] / focals_px[0] <= 2):
        raise LensError(
            f"focal lengths {focals_px[0]:g} and {focals_px[1]:g} px: give fx and fy of the camera matrix, in pixels"
        )
    if not (0 < centre_px[0] < width_px and 0 < centre_px[1] < height_px):
        raise LensError(
            f"middle ({centre_px[0]:g}, {centre_px[1]:g}) px is outside the picture of {width_px} x {height_px}: "
            "give cx and cy of the camera matrix at this resolution"
        )
    most = _COEFFICIENTS[model]
    if len(coefficients) > most:
        raise LensError(f"{len(coefficients)} coefficients: a {model.value} lens has at most {most}")
    padded = tuple(float(value) for value in coefficients) + (0.0,) * (most - len(coefficients))
    lens = Lens(
        model,
        float(focals_px[0]),
        (float(centre_px[0]), float(centre_px[1])),
        int(width_px),
        int(height_px),
        2 * tolerance,
        "from a calibration",
        aspect=float(focals_px[1] / focals_px[0]),
        coefficients=padded,
    )
    return _without_fold(lens)


def _without_fold(lens: Lens) -> Lens:
    """The lens, its picture ended where its model folds back; checked to lead every pixel back to itself."""
    fold = fold_rad(lens.model, lens.coefficients)
    across = np.array([lens.centre_px[0], lens.width_px - lens.centre_px[0]]).max()
    down = np.array([lens.centre_px[1], lens.height_px - lens.centre_px[1]]).max() / lens.aspect
    corner = float(
        angle_of(lens.model, lens.coefficients, np.array([math.hypot(across, down) / lens.focal_px]))[0]
    )
    if math.isnan(corner):
        end = fold * _BEFORE_FOLD
        note = f"{lens.note}; its coefficients fold back at {math.degrees(fold):.1f} degrees: the picture ends there"
        lens = replace(lens, image_circle_rad=end, note=note)
    columns, rows = np.meshgrid(np.linspace(0, lens.width_px, 33), np.linspace(0, lens.height_px, 33))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    radius = np.hypot(*((pixels - np.asarray(lens.centre_px)) / (1.0, lens.aspect)).T) / lens.focal_px
    angle = angle_of(lens.model, lens.coefficients, radius)
    rays = lens.unproject(pixels)
    again = lens.project(rays)
    # Near the fold the tangential part decides which pixels are still reached; well within it all must be.
    reached = np.asarray(np.isfinite(again).all(axis=1))
    due = np.asarray(angle < _WELL_WITHIN * lens.limit_rad)
    misses = np.abs(again - pixels)[reached]
    if not due.any() or not reached[due].all() or misses.max(initial=0.0) >= 1e-6:
        raise LensError(
            f"these coefficients fit no {lens.model.value} lens: the picture folds within {math.degrees(fold):.1f} "
            "degrees of the axis; check their order (k1 k2 p1 p2 k3 k4 k5 k6) and signs"
        )
    return lens


def pinhole_lens(width_px: int, height_px: int, hfov_deg: float) -> Lens:
    """A pinhole of exactly that horizontal angle of view, degrees, below 180: for a lens that is known to be one."""
    focal_px = width_px / 2 / math.tan(math.radians(hfov_deg) / 2)
    return Lens(
        LensModel.PINHOLE, focal_px, (width_px / 2, height_px / 2), width_px, height_px, note="a pinhole"
    )


def fit_lens(
    width_px: int,
    height_px: int,
    hfov_deg: float,
    vfov_deg: float | None = None,
    dfov_deg: float | None = None,
) -> Lens:
    """The lens that a datasheet's angles of view describe.

    From the horizontal angle alone a pinhole is assumed, and how much longer an f-theta lens of that angle would be is
    its spread: it shows less above and below. With more angles both models are fitted and the one whose angles agree
    better on a focal length is taken.

    Parameters
    ----------
    width_px, height_px : size of the decoded picture
    hfov_deg, vfov_deg, dfov_deg : full horizontal, vertical and diagonal angles of view, degrees

    Raises
    ------
    LensError
        no size; an angle that is no number, not positive or too wide; angles that fit neither model within
        MAX_SPREAD.

    Notes
    -----
    Least squares of the half extents h_i = f g(a_i) over the stated half angles a_i, with g = tan for the
    pinhole and g = identity for f-theta: f = sum(h g) / sum(g g).
    """
    if not (width_px > 0 and height_px > 0):
        raise LensError(
            f"picture size {width_px} x {height_px}: give the camera's resolution as two positive numbers"
        )
    width, height = float(width_px), float(height_px)
    stated = [
        ("hfov", hfov_deg, width),
        ("vfov", vfov_deg, height),
        ("dfov", dfov_deg, math.hypot(width, height)),
    ]
    angles = [(name, float(angle), extent / 2) for name, angle, extent in stated if angle is not None]
    for name, angle, _ in angles:
        if not (math.isfinite(angle) and 0 < angle < 360):
            raise LensError(
                f"{name} of {angle:g} degrees: a full angle of view lies between 0 and 360 degrees"
            )
    if len(angles) == 1 and angles[0][1] >= 180:
        raise LensError(
            f"hfov of {angles[0][1]:g} degrees alone fits no lens: state vfov or dfov too, to fit a fisheye"
        )

    half_extents = np.array([extent for _, _, extent in angles])
    half_angles = np.radians([angle for _, angle, _ in angles]) / 2
    fits = [_fit(LensModel.F_THETA, half_extents, half_angles)] if len(angles) > 1 else []
    if half_angles.max() < math.pi / 2:
        fits.append(_fit(LensModel.PINHOLE, half_extents, np.tan(half_angles)))
    spread, model, focal_px = min(fits)
    tried = ", ".join(f"{other.value} {other_spread:.1%}" for other_spread, other, _ in sorted(fits))
    if spread > MAX_SPREAD:
        listed = ", ".join(f"{name} {angle:g}" for name, angle, _ in angles)
        raise LensError(
            f"angles {listed} degrees at {width_px} x {height_px} fit no lens: the focal lengths they give differ by "
            f"{tried} (at most {MAX_SPREAD:.0%}); check them against the datasheet for this resolution"
        )
    note = f"focal lengths from {len(angles)} stated angles differ by: {tried}"
    if len(angles) == 1:
        spread = float(half_extents[0] / half_angles[0]) / focal_px - 1.0
        note = (
            "pinhole assumed from the horizontal angle alone; an f-theta lens of that angle would be "
            f"{spread:.0%} longer: state vfov and dfov"
        )
    return Lens(model, focal_px, (width / 2, height / 2), int(width_px), int(height_px), spread, note)


def _fit(model: LensModel, half_extents: Array, reach: Array) -> tuple[float, LensModel, float]:
    """(spread, model, focal length in px) of one model, ``reach`` being the half extents at focal length 1."""
    each = half_extents / reach
    focal_px = float((half_extents * reach).sum() / (reach * reach).sum())
    return float(each.max() / each.min() - 1.0), model, focal_px
