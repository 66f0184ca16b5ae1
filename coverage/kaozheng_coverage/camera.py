"""A camera: where it stands, where it looks, and its lens."""

from __future__ import annotations

from dataclasses import dataclass

from kaozheng_coverage.lens import Lens

Point3 = tuple[float, float, float]
Covariance = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in a room.

    ``position_m`` and ``aim_m`` (the point that the middle of the picture shows) are room coordinates;
    ``roll_deg`` turns the picture clockwise as seen from the camera; ``aim_tolerance_deg`` is how far the
    true aim may be from the stated one.

    ``pose_covariance`` is what a calibration by cards leaves open, None for a pose that was measured by hand: 7 rows of
    7 of a change of pose as :mod:`kaozheng_coverage.pose` counts it, position (metres), rotation (radians, about the
    camera's right, down and forward axes) and focal length (relative). Then ``aim_tolerance_deg`` and the lens' spread
    follow from it (:func:`kaozheng_coverage.pose.with_covariance`), and draws are made from it as a whole;
    ``by_hand`` keeps what both were before, degrees and a share: how well it will hang again once it was touched.
    """

    id: str
    position_m: Point3
    aim_m: Point3
    lens: Lens
    roll_deg: float = 0.0
    aim_tolerance_deg: float = 1.0
    pose_covariance: Covariance | None = None
    by_hand: tuple[float, float] | None = None
