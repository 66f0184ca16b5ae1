"""Markers of what stands still, over several pictures of one camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kaozheng_vision.markers import Marker, find_markers

Frame = npt.NDArray[np.uint8]

# Sightings of one id are of one card when their middles are nearer than this share of its side.
_SAME = 1 / 3


@dataclass(frozen=True, slots=True, eq=False)
class SteadyMarker:
    """A marker with the median of its corners, and in how many pictures it was found."""

    marker: Marker
    pictures: int


def steady_markers(frames: Sequence[Frame]) -> tuple[SteadyMarker, ...]:
    """What is found in any of the pictures, by id.

    Parameters
    ----------
    frames : (height, width, 3) BGR each, of one size. Someone who passes before a card hides it in some only.

    Returns
    -------
    Two cards of one id at different places are two. One that was moved meanwhile is two as well.
    """
    groups: list[list[Marker]] = []
    for frame in frames:
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        for marker in find_markers(grey):
            group = next((one for one in groups if _same(one[0], marker)), None)
            if group is None:
                groups.append([marker])
            else:
                group.append(marker)
    steady = [
        SteadyMarker(
            Marker(group[0].id, np.median([marker.corners_px for marker in group], axis=0)), len(group)
        )
        for group in groups
    ]
    return tuple(sorted(steady, key=lambda one: one.marker.id))


def _same(marker: Marker, other: Marker) -> bool:
    apart = np.linalg.norm(marker.corners_px.mean(axis=0) - other.corners_px.mean(axis=0))
    return marker.id == other.id and bool(apart < _SAME * min(marker.side_px, other.side_px))
