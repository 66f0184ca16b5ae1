"""A camera: where it stands, where it looks, and its lens."""

from __future__ import annotations

from dataclasses import dataclass

from kaozheng_coverage.lens import Lens

Point3 = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in a room.

    ``position_m`` and ``aim_m`` (the point that the middle of the picture shows) are room coordinates;
    ``roll_deg`` turns the picture clockwise as seen from the camera; ``aim_tolerance_deg`` is how far the
    true aim may be from the stated one.
    """

    id: str
    position_m: Point3
    aim_m: Point3
    lens: Lens
    roll_deg: float = 0.0
    aim_tolerance_deg: float = 1.0
