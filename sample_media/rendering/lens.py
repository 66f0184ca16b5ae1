"""The renderer's own lens: from a pixel to the ray it shows, written from the datasheet's angles alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A camera as the renderer needs it; ``axes`` has the picture's right, down and forward as rows."""

    position: Array
    axes: Array
    focal_px: float
    is_f_theta: bool
    width_px: int
    height_px: int

    def rays(self, columns: Array, rows: Array) -> Array:
        """Unit directions in the room for pixel positions (0.5, 0.5 is the middle of the first pixel)."""
        x = (columns - self.width_px / 2) / self.focal_px
        y = (rows - self.height_px / 2) / self.focal_px
        radius = np.hypot(x, y)
        angle = radius if self.is_f_theta else np.arctan(radius)
        share = np.where(radius > 1e-12, np.sin(angle) / np.maximum(radius, 1e-12), 1.0)
        return np.stack([x * share, y * share, np.cos(angle)], axis=-1) @ self.axes

    def pixels(self, points: Array) -> Array:
        """Pixel positions (N, 2) of points in the room; nan behind the camera."""
        x, y, z = ((points - self.position) @ self.axes.T).T
        off_axis = np.hypot(x, y)
        angle = np.arctan2(off_axis, z)
        radius = self.focal_px * (angle if self.is_f_theta else np.tan(angle))
        share = np.where(off_axis > 1e-9, radius / np.maximum(off_axis, 1e-9), 0.0)
        found = np.stack([x * share + self.width_px / 2, y * share + self.height_px / 2], axis=-1)
        found[z <= 0.05] = np.nan
        return found


def view_of(camera: dict) -> View:
    """The view of one camera entry of a site file."""
    width, height = camera["resolution"]
    focal_px, is_f_theta = _fit(width, height, camera["lens"])
    position = np.asarray(camera["position"], float)
    forward = np.asarray(camera["aim"], float) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    roll = math.radians(camera.get("roll", 0.0))
    # The picture turns clockwise when the camera's right axis turns towards up, seen from behind it.
    turned_right = math.cos(roll) * right - math.sin(roll) * down
    turned_down = math.sin(roll) * right + math.cos(roll) * down
    return View(position, np.stack([turned_right, turned_down, forward]), focal_px, is_f_theta, width, height)


def _fit(width: int, height: int, lens: dict) -> tuple[float, bool]:
    """Focal length in pixels and whether the lens is f-theta: the model on which the stated angles agree better."""
    halves = {"hfov": width / 2, "vfov": height / 2, "dfov": math.hypot(width, height) / 2}
    stated = [(halves[name], math.radians(lens[name]) / 2) for name in halves if lens.get(name)]
    pinhole = [half / math.tan(angle) for half, angle in stated]
    f_theta = [half / angle for half, angle in stated]
    is_f_theta = len(stated) > 1 and max(f_theta) / min(f_theta) < max(pinhole) / min(pinhole)
    gains = [angle if is_f_theta else math.tan(angle) for _, angle in stated]
    focal = sum(half * gain for (half, _), gain in zip(stated, gains, strict=True)) / sum(
        g * g for g in gains
    )
    return focal, is_f_theta
