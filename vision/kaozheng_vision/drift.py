"""How far a camera has turned since its view was accepted, told from the picture, to a fraction of a pixel.

A camera on a bracket that is knocked, sags or is turned by hand turns about itself: the picture of what is far moves
as one rotation of all rays, through the real lens. People and what they carry move otherwise and are outvoted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.lens import Lens, pinhole_lens
from kaozheng_coverage.pose import by_hand
from kaozheng_coverage.projection import axes
from scipy.spatial.transform import Rotation

from kaozheng_vision.picture import Frame, Picture
from kaozheng_vision.reference import Reference, levelled

Array = npt.NDArray[np.float64]

# The angle of view that is assumed where no lens is stated: the estimate is then off by as much as the assumption.
ASSUMED_HFOV_DEG = 70.0
# Lucas-Kanade: a window of 21 px and four levels follow 60 small pixels, 3 degrees of the longest lens in use.
_WINDOW = (21, 21)
_LEVELS = 3
# There and back again: what does not return within half a pixel was hidden, or is noise.
_RETURN_PX = 0.5
# A corner agrees with a rotation within so many small pixels; untouched footage has residuals of 0.05-0.3.
_AGREE_PX = 1.0
# Fewest corners that agree, and the share of the picture's twelfths they must lie in: fewer may be one person's coat.
FEWEST = 16
_CELLS = (3, 4)
FEWEST_CELLS = 4
_TRIALS = 300
_SEED = 36
# Descriptors of turned pictures: SIFT, as ORB finds under half as many on the flat walls of real rooms.
_FEATURES = 1200
_RATIO = 0.75  # Lowe, 2004
# The sum of two corners' weights below this is no fit.
_TUKEY_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """A turn since the reference.

    Attributes
    ----------
    rotation : (3, 3): a ray r of the reference, in its camera frame, is now at rotation @ r
    angle_deg : of the whole turn
    pan_deg, tilt_deg, roll_deg : about the picture's own axes: to the right, upwards, and clockwise as
        ``Camera.roll_deg`` counts it
    agreeing, followed : how many corners agree with the turn, of how many found again
    rms_px : of those that agree, small pixels
    """

    rotation: Array
    angle_deg: float
    pan_deg: float
    tilt_deg: float
    roll_deg: float
    agreeing: int
    followed: int
    rms_px: float


def estimate_drift(reference: Reference, picture: Picture, lens: Lens | None = None) -> Drift | None:
    """The turn between a reference and a picture of the same size; None where too little of the view is found again.

    Parameters
    ----------
    lens : of the camera, at any picture size of its shape; without one a pinhole of 70 degrees is assumed, and
        angles are as good as that

    Notes
    -----
    Corners are followed by pyramidal Lucas-Kanade (Bouguet 2001), both ways; where that fails, SIFT features are
    matched. A rotation is fitted to their rays by RANSAC over pairs and refined by Tukey's biweight
    (Kabsch 1976 for the rotation itself).
    """
    lens = lens or pinhole_lens(picture.width_px, picture.height_px, ASSUMED_HFOV_DEG)
    for find in (_followed, _matched):
        before, after = find(reference, picture)
        drift = _fit(before, after, picture, lens)
        if drift is not None:
            return drift
    return None


def drifted(camera: Camera, drift: Drift) -> Camera:
    """The camera as it now looks, at the place where it hung: what a model must use after a turn.

    Whatever a calibration knew of it ended when it was touched.
    """
    camera = by_hand(camera)
    turned = drift.rotation @ axes(camera)
    far = math.dist(camera.position_m, camera.aim_m)
    aim = np.asarray(camera.position_m) + far * turned[2]
    level = replace(camera, aim_m=(float(aim[0]), float(aim[1]), float(aim[2])), roll_deg=0.0)
    right, down, _ = axes(level)
    return replace(
        level, roll_deg=math.degrees(math.atan2(-float(turned[0] @ down), float(turned[0] @ right)))
    )


def _followed(reference: Reference, picture: Picture) -> tuple[Array, Array]:
    corners = reference.corners
    if len(corners) < FEWEST:
        return np.zeros((0, 2)), np.zeros((0, 2))
    old, new = reference.levelled, levelled(picture.grey)
    start = corners.reshape(-1, 1, 2)
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        old, new, start, np.empty_like(start), None, None, _WINDOW, _LEVELS
    )
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        new, old, there, np.empty_like(start), None, None, _WINDOW, _LEVELS
    )
    ends = np.asarray(there, np.float64).reshape(-1, 2)
    good = (found.ravel() == 1) & (returned.ravel() == 1)
    good &= np.hypot(*(np.asarray(back).reshape(-1, 2) - corners).T) < _RETURN_PX
    good &= _in_scene(picture, ends)
    return corners[good].astype(np.float64), ends[good]


def _matched(reference: Reference, picture: Picture) -> tuple[Array, Array]:
    sift = cv2.SIFT.create(_FEATURES)
    old_points, old = sift.detectAndCompute(reference.picture.grey, _mask(reference.picture))
    new_points, new = sift.detectAndCompute(picture.grey, _mask(picture))
    if old is None or new is None or min(len(old), len(new)) < FEWEST:
        return np.zeros((0, 2)), np.zeros((0, 2))
    pairs = [
        one[0]
        for one in cv2.BFMatcher().knnMatch(old, new, k=2)
        if len(one) == 2 and one[0].distance < _RATIO * one[1].distance
    ]
    before = np.array([old_points[pair.queryIdx].pt for pair in pairs]).reshape(-1, 2)
    after = np.array([new_points[pair.trainIdx].pt for pair in pairs]).reshape(-1, 2)
    return before, after


def _fit(before: Array, after: Array, picture: Picture, lens: Lens) -> Drift | None:
    if len(before) < FEWEST:
        return None
    scale = lens.width_px / picture.small.shape[1]
    rays, seen = lens.unproject((before + 0.5) * scale), lens.unproject((after + 0.5) * scale)
    usable = np.isfinite(rays).all(axis=1) & np.isfinite(seen).all(axis=1)
    before, after, rays, seen = before[usable], after[usable], rays[usable], seen[usable]
    if len(rays) < FEWEST:
        return None
    # One small pixel, as an angle in the middle of the picture.
    pixel_rad = scale / lens.focal_px
    rotation = _ransac(rays, seen, _AGREE_PX * pixel_rad)
    for _ in range(5):
        off = np.linalg.norm(seen - rays @ rotation.T, axis=1) / pixel_rad
        weights = np.clip(1 - (off / _TUKEY_PX) ** 2, 0, None) ** 2
        if np.count_nonzero(weights) < FEWEST:
            return None
        rotation = Rotation.align_vectors(seen, rays, weights=weights)[0].as_matrix()
    off = np.linalg.norm(seen - rays @ rotation.T, axis=1) / pixel_rad
    agree = off < _AGREE_PX
    if agree.sum() < FEWEST or _cells(after[agree], picture) < FEWEST_CELLS:
        return None
    # Where the camera's axis points now, in the frame it had: it turns against what the view does.
    right, down, ahead = (float(value) for value in rotation[2])
    return Drift(
        rotation=rotation,
        angle_deg=math.degrees(float(Rotation.from_matrix(rotation).magnitude())),
        pan_deg=math.degrees(math.atan2(right, ahead)),
        tilt_deg=math.degrees(math.atan2(-down, ahead)),
        roll_deg=math.degrees(math.atan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])),
        agreeing=int(agree.sum()),
        followed=len(rays),
        rms_px=float(np.sqrt((off[agree] ** 2).mean())),
    )


def _ransac(rays: Array, seen: Array, within_rad: float) -> Array:
    """The rotation of a pair of rays with which most others agree."""
    random = np.random.default_rng(_SEED)
    first = random.integers(0, len(rays), _TRIALS)
    second = (first + random.integers(1, len(rays), _TRIALS)) % len(rays)
    old, new = _frames(rays[first], rays[second]), _frames(seen[first], seen[second])
    rotations = new @ old.transpose(0, 2, 1)
    # seen . (R ray) for all rotations and rays at once; of unit vectors it is 1 - half the squared distance.
    outer = (seen[:, :, None] * rays[:, None, :]).reshape(len(rays), 9)
    agree = rotations.reshape(_TRIALS, 9) @ outer.T > 1 - within_rad**2 / 2
    return np.asarray(rotations[np.argmax(agree.sum(axis=1))])


def _frames(first: Array, second: Array) -> Array:
    """For each pair of rays an orthonormal frame, (N, 3, 3), its axes as columns."""
    middle = first + second
    middle /= np.linalg.norm(middle, axis=1)[:, None]
    across = np.cross(first, second)
    across /= np.maximum(np.linalg.norm(across, axis=1), 1e-12)[:, None]
    return np.stack([middle, across, np.cross(middle, across)], axis=2)


def _cells(points: Array, picture: Picture) -> int:
    """In how many twelfths of the picture the points lie."""
    height, width = picture.grey.shape
    rows = np.clip(points[:, 1] * _CELLS[0] // height, 0, _CELLS[0] - 1)
    columns = np.clip(points[:, 0] * _CELLS[1] // width, 0, _CELLS[1] - 1)
    return len(set(zip(rows.tolist(), columns.tolist(), strict=True)))


def _in_scene(picture: Picture, points: Array) -> npt.NDArray[np.bool_]:
    height, width = picture.grey.shape
    columns, rows = np.rint(points).astype(int).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    scene = picture.scene[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    return np.asarray(inside & scene)


def _mask(picture: Picture) -> Frame:
    return picture.scene.astype(np.uint8) * 255
