"""A camera: where it stands, where it looks, and its lens."""

from __future__ import annotations

from dataclasses import dataclass

from kaozheng_coverage.lens import Lens

Point3 = tuple[float, float, float]
Covariance6 = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in a room.

    ``position_m`` and ``aim_m`` (the point that the middle of the picture shows) are room coordinates;
    ``roll_deg`` turns the picture clockwise as seen from the camera; ``aim_tolerance_deg`` is how far the
    true aim may be from the stated one.

    ``pose_covariance`` is that of a calibrated pose, None of a pose that was only measured by tape: (6, 6), metres and
    radians, first the position's x, y and z in the room, then the camera's turns about its own axes by the right-hand
    rule: about right (looking up is positive), about down (to the right), about forward (its body clockwise as seen
    from behind it, which is a negative roll). It takes the place of what a survey says of mounts, and of
    ``aim_tolerance_deg`` where errors are drawn.
    """

    id: str
    position_m: Point3
    aim_m: Point3
    lens: Lens
    roll_deg: float = 0.0
    aim_tolerance_deg: float = 1.0
    pose_covariance: Covariance6 | None = None
