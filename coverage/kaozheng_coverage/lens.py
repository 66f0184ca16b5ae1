"""Lenses: from directions to pixels and back, and the lens that fits a datasheet's angles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from kaozheng_coverage.errors import LensError

Array = npt.NDArray[np.float64]

# A real 2.8 mm lens (106.4/57.9/124.6 degrees) spreads 5.5% as f-theta and 69% as pinhole, a 6 mm one 3-4%:
# angles that spread more than twice the worst true fit describe neither model, or another resolution's crop.
MAX_SPREAD = 0.12

# Nearer to the axis than this (tangent of the angle) both models agree to better than 1e-12 relative.
_ON_AXIS = 1e-6


class LensModel(StrEnum):
    """How the distance from the picture's middle grows with the angle from the axis."""

    PINHOLE = "pinhole"  # r = f tan(theta)
    F_THETA = "f-theta"  # r = f theta


@dataclass(frozen=True, slots=True)
class Lens:
    """A lens and the picture behind it.

    The camera frame is x right, y down, z forward. Pixel coordinates are continuous: the picture spans
    0..width_px and 0..height_px, and the middle of the top left pixel is (0.5, 0.5).

    Attributes
    ----------
    spread : relative spread (max/min - 1) of the focal lengths that each stated angle gives by itself
    note : how the model was chosen, one English sentence
    image_circle_rad : angle from the axis beyond which the picture is black, as in a fisheye's corners; None if
        light reaches every corner
    """

    model: LensModel
    focal_px: float
    centre_px: tuple[float, float]
    width_px: int
    height_px: int
    spread: float = 0.0
    note: str = ""
    image_circle_rad: float | None = None

    def project(self, rays: Array) -> Array:
        """Pixels of directions: (N, 3) in the camera frame, any length, to (N, 2); nan where it cannot be seen.

        A pixel may lie outside the picture. Nan means behind a pinhole camera, beyond the image circle, or beyond
        the angle that an f-theta picture's farthest corner reaches (at least 90 degrees).
        """
        rays = np.asarray(rays, dtype=np.float64).reshape(-1, 3)
        x, y, z = rays[:, 0], rays[:, 1], rays[:, 2]
        off_axis = np.hypot(x, y)
        theta = np.arctan2(off_axis, z)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.model is LensModel.PINHOLE:
                scale = self.focal_px / z
            else:
                scale = self.focal_px * np.where(off_axis > _ON_AXIS * np.abs(z), theta / off_axis, 1.0 / z)
            pixels = np.stack([x * scale, y * scale], axis=1) + np.asarray(self.centre_px)
        seen = (theta < self.limit_rad) & np.isfinite(pixels).all(axis=1) & ((z > 0) | (off_axis > 0))
        return np.where(seen[:, None], pixels, np.nan)

    def unproject(self, pixels: Array) -> Array:
        """Unit directions in the camera frame, (N, 3), of pixels (N, 2)."""
        offset = (
            np.asarray(pixels, dtype=np.float64).reshape(-1, 2) - np.asarray(self.centre_px)
        ) / self.focal_px
        radius = np.hypot(offset[:, 0], offset[:, 1])
        theta = np.arctan(radius) if self.model is LensModel.PINHOLE else radius
        with np.errstate(divide="ignore", invalid="ignore"):
            sideways = np.where(radius > 0, np.sin(theta) / radius, 1.0)
        return np.stack([offset[:, 0] * sideways, offset[:, 1] * sideways, np.cos(theta)], axis=1)

    def jacobian(self, rays: Array) -> Array:
        """Derivative of the pixel by the point in the camera frame: (N, 3) points to (N, 2, 3), pixels per metre."""
        rays = np.asarray(rays, dtype=np.float64).reshape(-1, 3)
        x, y, z = rays[:, 0], rays[:, 1], rays[:, 2]
        off_axis = np.hypot(x, y)
        near_axis = off_axis <= _ON_AXIS * np.abs(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.model is LensModel.PINHOLE:
                gain, by_x, by_y, by_z = 1.0 / z, np.zeros_like(z), np.zeros_like(z), -1.0 / z**2
            else:
                # pixel = f g(x, y, z) (x, y) with g = theta / off_axis; on the axis g -> 1/z as for a pinhole.
                distance_squared = off_axis**2 + z**2
                theta = np.arctan2(off_axis, z)
                radial = (z / distance_squared - theta / off_axis) / off_axis**2
                gain = np.where(near_axis, 1.0 / z, theta / off_axis)
                by_x = np.where(near_axis, 0.0, x * radial)
                by_y = np.where(near_axis, 0.0, y * radial)
                by_z = np.where(near_axis, -1.0 / z**2, -1.0 / distance_squared)
        rows = np.empty((len(rays), 2, 3))
        rows[:, 0, 0], rows[:, 0, 1], rows[:, 0, 2] = gain + x * by_x, x * by_y, x * by_z
        rows[:, 1, 0], rows[:, 1, 1], rows[:, 1, 2] = y * by_x, gain + y * by_y, y * by_z
        return rows * self.focal_px

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
        if self.model is LensModel.PINHOLE:
            return math.pi / 2
        return min(math.pi, max(math.pi / 2, self.corner_rad * (1 + 1e-9)))

    @property
    def corner_rad(self) -> float:
        """Angle from the axis to the picture's farthest corner."""
        across = max(self.centre_px[0], self.width_px - self.centre_px[0])
        down = max(self.centre_px[1], self.height_px - self.centre_px[1])
        return self._angle_rad(math.hypot(across, down))

    @property
    def hfov_deg(self) -> float:
        """Horizontal angle of view, degrees, through the picture's middle row."""
        left, right = self.centre_px[0], self.width_px - self.centre_px[0]
        return math.degrees(self._angle_rad(left) + self._angle_rad(right))

    def _angle_rad(self, radius_px: float) -> float:
        ratio = radius_px / self.focal_px
        return math.atan(ratio) if self.model is LensModel.PINHOLE else ratio


def fit_lens(
    width_px: int,
    height_px: int,
    hfov_deg: float,
    vfov_deg: float | None = None,
    dfov_deg: float | None = None,
) -> Lens:
    """The lens that a datasheet's angles of view describe.

    From the horizontal angle alone a pinhole is assumed. With more angles both models are fitted and the one
    whose angles agree better on a focal length is taken.

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
        note = "pinhole assumed: only the horizontal angle is stated; state vfov and dfov to have it checked"
    return Lens(model, focal_px, (width / 2, height / 2), int(width_px), int(height_px), spread, note)


def _fit(model: LensModel, half_extents: Array, reach: Array) -> tuple[float, LensModel, float]:
    """(spread, model, focal length in px) of one model, ``reach`` being the half extents at focal length 1."""
    each = half_extents / reach
    focal_px = float((half_extents * reach).sum() / (reach * reach).sum())
    return float(each.max() / each.min() - 1.0), model, focal_px
