"""Zones as volumes: points spread evenly through them, and the surface that is looked at in each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.person import invigilator_id
from kaozheng_coverage.room import Zone, ZoneKind

# A zone flatter than this is a surface to look down on (a table with papers), not a volume.
FLAT_ZONE_M = 0.3
# A bag shown towards one side is not seen from farther round than this: at 75 degrees its width appears at a
# quarter, and the writing across the seal is lost whatever the density along it.
WRONG_SIDE_DEG = 75.0
# Points of a volume. Over 400 random rooms fractions were off by 0.0009 in the middle and 0.0104 at worst: the error
# stated is twice that.
POINTS = 2000
SAMPLING_ERROR = 0.02


@dataclass(frozen=True)
class Volume:
    """A zone's volume.

    Attributes
    ----------
    points : (N, 3) metres, room coordinates, even through the volume
    front : (3,) unit vector, where its content faces; None if nowhere
    widest_deg : an eye farther off the front than this is on the wrong side unless a rule says otherwise
    own : ids of the occluders that belong to it and do not hide it (who holds the bag stands behind it)
    """

    points: Array
    front: Array | None
    widest_deg: float | None
    own: frozenset[str]

    def tangents(self, eye: Array) -> Array:
        """Two orthonormal directions, (2, 3), of the upright surface looked at: its front, or what faces the eye."""
        across = self.front
        if across is None:
            across = np.array([*(np.asarray(eye)[:2] - self.points.mean(axis=0)[:2]), 0.0])
            length = float(np.linalg.norm(across))
            across = across / length if length > 1e-6 else np.array([0.0, 1.0, 0.0])
        return np.array([[-across[1], across[0], 0.0], [0.0, 0.0, 1.0]])

    def off_front_deg(self, eye: Array) -> float | None:
        """Angle between the front and the eye, degrees, 0-180, from the volume's middle; None without front."""
        if self.front is None:
            return None
        towards = np.asarray(eye) - self.points.mean(axis=0)
        cosine = float(self.front @ towards / np.linalg.norm(towards))
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def is_flat(zone: Zone) -> bool:
    """Whether a zone is a surface to look down on: its top is judged, exactly. What faces somewhere is not."""
    return zone.top_m - zone.bottom_m < FLAT_ZONE_M and zone.bearing_deg is None


def zone_volume(zone: Zone) -> Volume:
    """The volume of a zone that is not flat."""
    front = None
    if zone.bearing_deg is not None:
        bearing = math.radians(zone.bearing_deg)
        front = np.array([math.sin(bearing), math.cos(bearing), 0.0])
    own = frozenset({invigilator_id(zone)}) if zone.kind is ZoneKind.SEAL_OPENING else frozenset()
    return Volume(_spread(zone), front, None if front is None else WRONG_SIDE_DEG, own)


@lru_cache(maxsize=256)
def _spread(zone: Zone) -> Array:
    """POINTS points in the volume by the additive recurrence of the plastic number (Roberts 2018), in three dimensions.

    The same points for the same zone always, so that a verdict can be repeated.
    """
    corners = np.asarray(zone.polygon, dtype=np.float64)
    along = next(side for side in np.diff(corners, axis=0) if np.linalg.norm(side) > 1e-9)
    along = along / np.linalg.norm(along)
    # Rows: along the first side and across it, however the plan lies.
    turn = np.array([along, [-along[1], along[0]]])
    local = (corners - corners[0]) @ turn.T
    area = shapely.Polygon(local)
    left, near, right, far = area.bounds
    share = area.area / ((right - left) * (far - near))
    root = 1.2207440846057596  # the real root of x^4 = x + 1
    steps = np.array([1 / root, 1 / root**2, 1 / root**3])
    tried = math.ceil(POINTS / share * 1.2) + 64
    unit = (0.5 + np.outer(np.arange(1, tried + 1), steps)) % 1.0
    points = np.array([left, near, zone.bottom_m]) + unit * np.array(
        [right - left, far - near, zone.top_m - zone.bottom_m]
    )
    inside = points[shapely.contains_xy(area, points[:, :2])][:POINTS]
    return np.column_stack([corners[0] + inside[:, :2] @ turn, inside[:, 2]])
