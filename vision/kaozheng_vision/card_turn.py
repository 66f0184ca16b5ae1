"""By how much a camera as a whole looks elsewhere than stated, told by the cards in its picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.projection import project, unproject
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]

# From so many cards on it is they who tell where the camera looks; fewer may all stand wrong.
FEWEST_CARDS = 4
# A turn is fitted again without the cards that are off by more than this many times the median.
_FAR_OFF = 3.0
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """From where the model expects things to where they are seen: a rotation of the room about the camera.

    ``known`` is whether enough cards told it; else it is none.
    """

    rotation: Rotation
    known: bool

    @property
    def degrees(self) -> float:
        return math.degrees(float(self.rotation.magnitude()))

    def middle_px(self, camera: Camera) -> float:
        """How far it moves what the middle of the picture shows, pixels."""
        eye = np.asarray(camera.position_m, dtype=np.float64)
        aim = np.asarray(camera.aim_m, dtype=np.float64) - eye
        moved = project(camera, np.stack([eye + aim, eye + self.rotation.apply(aim)]))
        return float(np.linalg.norm(moved[1] - moved[0]))


def camera_turn(camera: Camera, expected_m: Sequence[Array], seen_px: Sequence[Array]) -> Turn:
    """The turn with which most cards stand where they should.

    Parameters
    ----------
    expected_m : (3,) room points of the cards' middles
    seen_px : (2,) pixels where these are seen

    Notes
    -----
    The best rotation between two bundles of directions (Kabsch 1976), begun from the pair of cards whose turn the
    others agree with best, then fitted to all cards that are not far off it.
    """
    none = Turn(Rotation.identity(), False)
    if len(expected_m) < FEWEST_CARDS:
        return none
    expected = np.asarray(expected_m) - np.asarray(camera.position_m)
    expected = expected / np.linalg.norm(expected, axis=1)[:, None]
    seen = unproject(camera, np.asarray(seen_px))
    usable = np.isfinite(seen).all(axis=1)
    if usable.sum() < FEWEST_CARDS:
        return none
    expected, seen = expected[usable], seen[usable]
    best = _of_a_pair(expected, seen)
    for _ in range(_ROUNDS):
        off = np.linalg.norm(best.apply(expected) - seen, axis=1)
        kept = off <= _FAR_OFF * max(float(np.median(off)), 1e-4)
        best = _best(expected[kept], seen[kept])
    return Turn(best, True)


def _of_a_pair(expected: Array, seen: Array) -> Rotation:
    best, least = Rotation.identity(), math.inf
    for first in range(len(expected)):
        for second in range(first + 1, len(expected)):
            pair = [first, second]
            turn = _best(expected[pair], seen[pair])
            off = float(np.median(np.linalg.norm(turn.apply(expected) - seen, axis=1)))
            if off < least:
                best, least = turn, off
    return best


def _best(expected: Array, seen: Array) -> Rotation:
    left, _, right = np.linalg.svd(seen.T @ expected)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return Rotation.from_matrix(left @ sign @ right)
