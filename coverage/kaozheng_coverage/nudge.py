"""A camera turned by any small angles, exactly: for what may be off, not for what can be set by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kaozheng_coverage.camera import Camera
from kaozheng_coverage.projection import axes


def nudged(camera: Camera, pan_deg: float, tilt_deg: float, roll_deg: float) -> Camera:
    """The camera turned about its picture's own axes: right and up are positive, and roll as the camera counts it."""
    right, down, forward = axes(camera)
    pan, tilt = math.tan(math.radians(pan_deg)), math.tan(math.radians(tilt_deg))
    ahead = forward + pan * right - tilt * down
    ahead = ahead / np.linalg.norm(ahead)
    far = math.dist(camera.position_m, camera.aim_m)
    aim = tuple(float(value) for value in np.asarray(camera.position_m) + far * ahead)
    return replace(camera, aim_m=aim, roll_deg=camera.roll_deg + roll_deg)  # type: ignore[arg-type]
