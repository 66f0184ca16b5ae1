"""Finds 36h11 markers in a picture and measures their corners to a few hundredths of a pixel.

Quads are found and decoded by OpenCV in two ways, as small ones are found only when enlarged; then each side is fitted
anew as a line through the picture's own gradient, as the detectors' own corners are off by 0.1 to 0.6 px.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

# Ways of finding quads, each with an enlargement: AprilTag's own (gradient segments) and the contour finder. Of the
# reference photos' 47 markers of 18 to 45 px AprilTag's finds 29 at 1, 43 at 2; with the contours at 2 it is 46, and no
# other way or enlargement to 3 finds the last (13 px, half behind another). An enlargement of 3 took half as long again
# and found no more from 14 px on.
PASSES = (
    (cv2.aruco.CORNER_REFINE_APRILTAG, 1),
    (cv2.aruco.CORNER_REFINE_APRILTAG, 2),
    (cv2.aruco.CORNER_REFINE_SUBPIX, 2),
)
# An enlarged picture beyond this is not searched: it takes seconds, and its smallest markers were found before.
_MOST_PIXELS = 36_000_000
# Markers of one id whose middles are nearer than a third of their side are the same one, found at two scales.
_SAME = 1 / 3
# The side is sampled from here to there, away from the corners that the neighbour side rounds, at this many places.
_INSET = 0.12
_SAMPLES = 24
# How far from the found side its edge is looked for: a share of a module, at least and at most so many pixels.
_REACH_MODULES = 0.45
_REACH_PX = (0.8, 2.5)
_STEP_PX = 0.125
# A refined corner farther than this from the found one is another edge's, in pixels and modules, whichever is more.
# The window round an edge cuts its blur off on one side until it is centred on it.
_ROUNDS = 5
_MOST_SHIFT_PX = 1.5
_MOST_SHIFT_MODULES = 0.5
MODULES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Marker:
    """``corners_px`` is (4, 2): the black border's outer corners, the middle of the picture's first pixel being
    (0.5, 0.5), in the order in which one reads the marker: top left, top right, bottom right, bottom left.
    """

    id: int
    corners_px: Array

    @property
    def side_px(self) -> float:
        """Mean length of its sides."""
        return float(np.linalg.norm(np.roll(self.corners_px, -1, axis=0) - self.corners_px, axis=1).mean())


def find_markers(grey: Grey) -> tuple[Marker, ...]:
    """Every marker in a picture, by id.

    Parameters
    ----------
    grey : (height, width) luma, at full size

    Returns
    -------
    Two markers of one id, at different places, are both returned: one of them stands wrong, and it is for the caller to
    say so.
    """
    found: list[Marker] = []
    for method, scale in PASSES:
        if scale > 1 and grey.size * scale * scale > _MOST_PIXELS:
            continue
        picture = (
            grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        )
        corners, ids, _ = _detector(method).detectMarkers(picture)
        if ids is None:
            continue
        # AprilTag counts from the corner of the first pixel, as we do, OpenCV from its middle (measured on drawn
        # markers: their middles agree with the true ones to 0.04 px so, and to 0.5 px otherwise).
        middle = 0.0 if method == cv2.aruco.CORNER_REFINE_APRILTAG else 0.5
        one_way = [
            Marker(int(number), (np.asarray(quad, np.float64).reshape(4, 2) + middle) / scale)
            for quad, number in zip(corners, ids.ravel(), strict=True)
        ]
        found += [marker for marker in one_way if not any(_is_same(marker, other) for other in found)]
    picture = grey.astype(np.float32)
    return tuple(sorted((_refined(picture, marker) for marker in found), key=lambda one: one.id))


def repeated(markers: Iterable[Marker]) -> tuple[int, ...]:
    """Ids that stand more than once in one picture."""
    ids = [marker.id for marker in markers]
    return tuple(sorted({number for number in ids if ids.count(number) > 1}))


def marker_modules(number: int) -> npt.NDArray[np.bool_]:
    """The modules of a marker as one reads it: (8, 8), true where black. Raises IndexError for an id of none."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
    if not 0 <= number < len(dictionary.bytesList):
        raise IndexError(f"36h11 has no marker {number}")
    return np.equal(cv2.aruco.generateImageMarker(dictionary, number, MODULES), 0)


def _detector(method: int) -> cv2.aruco.ArucoDetector:
    parameters = cv2.aruco.DetectorParameters()
    parameters.adaptiveThreshWinSizeMin = 5
    parameters.adaptiveThreshWinSizeMax = 45
    parameters.adaptiveThreshWinSizeStep = 8
    # Perimeter of the smallest quad, as a share of the picture's longer side: 4 x 12 px of 1920.
    parameters.minMarkerPerimeterRate = 0.025
    parameters.polygonalApproxAccuracyRate = 0.06
    parameters.minCornerDistanceRate = 0.03
    parameters.perspectiveRemovePixelPerCell = 8
    parameters.perspectiveRemoveIgnoredMarginPerCell = 0.2
    # 36h11 has 11 bits between any two codes, so that three wrong ones leave the right id the nearest by far. Of 143
    # real pictures without markers and some 4000 drawn markers none was read wrong; two wrong bits only would lose 2 to
    # 17% of the markers of 14 to 20 px.
    parameters.errorCorrectionRate = 0.6
    parameters.cornerRefinementMethod = method
    parameters.cornerRefinementWinSize = 3
    parameters.relativeCornerRefinmentWinSize = 0.3
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
    return cv2.aruco.ArucoDetector(dictionary, parameters)


def _is_same(marker: Marker, other: Marker) -> bool:
    apart = np.linalg.norm(marker.corners_px.mean(axis=0) - other.corners_px.mean(axis=0))
    return marker.id == other.id and bool(apart < _SAME * min(marker.side_px, other.side_px))


def _refined(picture: npt.NDArray[np.float32], marker: Marker) -> Marker:
    """Each side as a line through where the luma rises most across it; the corners are where the lines meet."""
    limit = max(_MOST_SHIFT_PX, _MOST_SHIFT_MODULES * marker.side_px / MODULES)
    corners = marker.corners_px
    for _ in range(_ROUNDS):
        moved = _once_refined(picture, corners, marker.side_px)
        near = np.linalg.norm(moved - marker.corners_px, axis=1) <= limit
        corners = np.where(near[:, None], moved, marker.corners_px)
    return Marker(marker.id, corners)


def _once_refined(picture: npt.NDArray[np.float32], corners: Array, side_px: float) -> Array:
    lines = [_side(picture, corners[index], corners[(index + 1) % 4], side_px) for index in range(4)]
    refined = corners.copy()
    for index in range(4):
        before, after = lines[index - 1], lines[index]
        if before is None or after is None:
            continue
        matrix = np.stack([before[0], after[0]])
        if abs(np.linalg.det(matrix)) < 0.1:  # sides that are nearly parallel meet nowhere in particular
            continue
        refined[index] = np.linalg.solve(matrix, np.array([before[1], after[1]]))
    return refined


def _side(
    picture: npt.NDArray[np.float32], start: Array, end: Array, side_px: float
) -> tuple[Array, float] | None:
    """(unit normal, offset) of the line along a side, n . p = offset; None where no edge is found."""
    along = end - start
    length = float(np.linalg.norm(along))
    if length < 4:
        return None
    along = along / length
    outward = np.array([along[1], -along[0]])
    reach = float(np.clip(_REACH_MODULES * side_px / MODULES, *_REACH_PX))
    offsets = np.arange(-reach, reach + _STEP_PX / 2, _STEP_PX)
    places = start + np.linspace(_INSET, 1 - _INSET, _SAMPLES)[:, None] * along * length
    points = places[:, None, :] + offsets[None, :, None] * outward
    luma = cv2.remap(
        picture,
        (points[..., 0] - 0.5).astype(np.float32),
        (points[..., 1] - 0.5).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # White outside, black inside: the luma rises outwards. Its rise's centre of gravity is the edge.
    rise = np.clip(np.diff(np.asarray(luma, np.float64), axis=1), 0, None)
    rise[rise < 0.2 * rise.max(axis=1, keepdims=True)] = 0
    weight = rise.sum(axis=1)
    strong = weight > 0.3 * np.median(weight)
    if np.median(weight) < 5 or strong.sum() < _SAMPLES // 2:
        return None
    middles = (offsets[:-1] + offsets[1:]) / 2
    shift = (rise @ middles)[strong] / weight[strong]
    at = np.linspace(_INSET, 1 - _INSET, _SAMPLES)[strong] * length
    kept = np.ones(len(at), bool)
    for _ in range(3):
        slope, offset = np.polyfit(at[kept], shift[kept], 1)
        off = np.abs(shift - slope * at - offset)
        kept = off <= max(0.1, 2.0 * float(np.median(off[kept])))
        if kept.sum() < _SAMPLES // 3:
            return None
    first = start + offset * outward
    last = end + (slope * length + offset) * outward
    direction = (last - first) / np.linalg.norm(last - first)
    normal = np.array([direction[1], -direction[0]])
    return normal, float(normal @ first)
