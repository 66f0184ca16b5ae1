"""Poses to begin from: of few cards at a time, of all but those that stand wrong, and the mirrored ones."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.lens import Lens

from kaozheng_vision.pose import Array, Cards, Flags, Pose

# So many triples of cards: with 3 in 10 cards wrong a third of triples is right, and 1 - 0.66^60 is certain.
_TRIALS = 60
_SEED = 586
# A card that a rough pose expects within this of where it is seen agrees with it. A wrong desk is a desk's width off,
# 1.15 m or more; three cards with desks 2 cm off the plan put the far end of a room up to 0.3 m off.
AGREE_M = 0.4
# Rays nearer than this (cosine) to the side have no place on the plane that a pinhole's solver wants.
_AHEAD = 0.1


def rough_poses(cards: Cards, lens: Lens, stated: Pose, most: int = 4) -> list[Pose]:
    """The stated pose and those of triples of cards with which most others agree, best first; distinct.

    Notes
    -----
    MSAC (Torr and Zisserman 2000) over whole cards, the triples' poses by SQPnP (Terzakis and Lourakis 2020), which
    finds the global optimum for flat and other sets of points alike.
    """
    rays = lens.unproject(cards.seen_px.reshape(-1, 2)).reshape(-1, 4, 3)
    usable = np.flatnonzero((rays[..., 2] > _AHEAD).all(axis=1))
    found = [stated]
    if len(usable) >= 3:
        random = np.random.default_rng(_SEED)
        for _ in range(_TRIALS):
            triple = random.choice(usable, 3, replace=False)
            pose = _solve(cards.corners_m[triple].reshape(-1, 3), rays[triple].reshape(-1, 3))
            if pose is not None:
                found.append(pose)
    costs = np.array([_cost(cards, lens, pose) for pose in found])
    chosen: list[Pose] = []
    for index in np.argsort(costs, kind="stable"):
        if all(apart(found[index], other) for other in chosen):
            chosen.append(found[index])
        if len(chosen) == most:
            break
    # With all cards that agree with the best, its pose is better than three cards can tell.
    best = chosen[0]
    agreeing = (off_m(cards, lens, best) < AGREE_M) & (rays[..., 2] > _AHEAD).all(axis=1)
    if np.count_nonzero(agreeing) >= 3:
        whole = _solve(cards.corners_m[agreeing].reshape(-1, 3), rays[agreeing].reshape(-1, 3))
        if whole is not None and _cost(cards, lens, whole) < costs.min():
            chosen.insert(0, whole)
    return chosen


def mirrored(cards: Cards, pose: Pose) -> Pose:
    """The pose from which a flat set of points looks nearly the same: its plane leant the other way.

    Notes
    -----
    The plane's normal n, mirrored at the line of sight d to the middle: 2 (n.d) d - n (Schweighofer and Pinz 2006). Of
    points that are not in a plane, the plane that fits them best.
    """
    points = cards.corners_m.reshape(-1, 3)
    middle = points.mean(axis=0)
    normal_room = np.linalg.svd(points - middle, full_matrices=False)[2][2]
    centre, normal = pose.rotation @ (middle - pose.position_m), pose.rotation @ normal_room
    sight = centre / np.linalg.norm(centre)
    turn = _between(normal, 2 * (normal @ sight) * sight - normal)
    rotation = turn @ pose.rotation
    return Pose(middle - rotation.T @ centre, rotation, pose.zoom, pose.printed)


def off_m(cards: Cards, lens: Lens, pose: Pose) -> Array:
    """(N,) roughly how far from its place each card's middle seems to be, metres, across the line of sight; inf where
    the pose cannot see it. By the focal length in the picture's middle: towards the border a lens may show less.
    """
    off_px = np.linalg.norm(cards.expected_px(lens, pose).mean(axis=1) - cards.seen_px.mean(axis=1), axis=1)
    far_m = np.linalg.norm(cards.middles_m - pose.position_m, axis=1)
    return np.where(np.isfinite(off_px), off_px * far_m / lens.focal_px, np.inf)


def apart(one: Pose, other: Pose, position_m: float = 0.1, turn_rad: float = 0.05) -> bool:
    """Whether two poses are two answers, not one found twice."""
    turn = np.arccos(np.clip((np.trace(one.rotation @ other.rotation.T) - 1) / 2, -1, 1))
    return bool(np.linalg.norm(one.position_m - other.position_m) > position_m or turn > turn_rad)


def agreeing(cards: Cards, lens: Lens, pose: Pose) -> Flags:
    return np.asarray(off_m(cards, lens, pose) < AGREE_M)


def _cost(cards: Cards, lens: Lens, pose: Pose) -> float:
    return float((np.minimum(off_m(cards, lens, pose) / AGREE_M, 1.0) ** 2).sum())


def _solve(points: Array, rays: Array) -> Pose | None:
    flat = np.ascontiguousarray(rays[:, :2] / rays[:, 2:])
    try:
        done, turn, shift = cv2.solvePnP(
            np.ascontiguousarray(points), flat, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP
        )
    except cv2.error:  # points in a line
        return None
    if not done:
        return None
    rotation: npt.NDArray[np.float64] = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
    return Pose(np.asarray(-rotation.T @ shift[:, 0]), rotation)


def _between(start: Array, end: Array) -> Array:
    """The smallest rotation (3, 3) that takes one unit vector to another, not opposite one."""
    axis, cosine = np.cross(start, end), float(start @ end)
    matrix = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    if cosine < -0.999999:
        return np.eye(3)  # seen flat on: there is no other leaning
    return np.asarray(np.eye(3) + matrix + matrix @ matrix / (1 + cosine))
