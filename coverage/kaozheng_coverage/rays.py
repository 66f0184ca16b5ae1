"""What hides points of a volume from an eye: rays against the solids, traced by Embree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.shadows import Solids

# A ray ends so far before its target (fraction of its length), so that a surface the target lies on does not hide it.
# Embree works in single precision: over 20 m a coordinate is good to 1e-6 m, this is 2 mm there.
_SHORT_OF = 1e-4
# And begins so far from the eye: a camera hangs on the face of a pillar, which does not blind it.
_OFF_FACE_M = 0.002


@dataclass(frozen=True, slots=True)
class Hits:
    """For each point whether nothing hides it, (N,), and each occluder's share of the points that it hides first."""

    unhidden: np.ndarray
    hidden_by: tuple[tuple[str, float], ...]


class RayScene:
    """Solids ready for rays. ``without`` names ids that are left out. Not safe for two threads."""

    def __init__(self, solids: Solids, without: frozenset[str] = frozenset()) -> None:
        chosen = np.flatnonzero(solids.without(without)) if solids.ids else np.empty(0, dtype=int)
        self._names = [solids.ids[index] for index in chosen]
        triangles, owners = _triangles(solids, chosen)
        self._owners = owners
        self._scene = None
        if len(triangles):
            self._scene = rtcore_scene.EmbreeScene()
            TriangleMesh(self._scene, triangles.astype(np.float32))

    def hits(self, eye: Array, points: Array) -> Hits:
        """What the eye (3,) sees of points (N, 3), metres. A point inside a solid is hidden by it."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        if self._scene is None or not len(points):
            return Hits(np.ones(len(points), dtype=bool), ())
        whole = points - np.asarray(eye)
        off = np.minimum(0.5, _OFF_FACE_M / np.maximum(np.linalg.norm(whole, axis=1), 1e-9))[:, None]
        starts = (np.asarray(eye) + whole * off).astype(np.float32)
        ways = (whole * (1 - _SHORT_OF - off)).astype(np.float32)
        reach = np.ones(len(ways), dtype=np.float32)
        struck = np.asarray(self._scene.run(starts, ways, dists=reach, query="INTERSECT"))
        unhidden = struck < 0
        counts: dict[str, int] = {}
        for index, count in zip(*np.unique(self._owners[struck[~unhidden]], return_counts=True), strict=True):
            name = self._names[index]
            counts[name] = counts.get(name, 0) + int(count)
        shares = sorted(((name, count / len(points)) for name, count in counts.items()), key=_most_first)
        return Hits(unhidden, tuple(shares))


def _most_first(share: tuple[str, float]) -> tuple[float, str]:
    return -round(share[1], 9), share[0]


def _triangles(solids: Solids, chosen: np.ndarray) -> tuple[Array, np.ndarray]:
    """Triangles (T, 3, 3) of the closed surfaces, and which of ``chosen`` each belongs to, (T,)."""
    if not len(chosen):
        return np.empty((0, 3, 3)), np.empty(0, dtype=int)
    rings = solids.rings[chosen]
    count, size = rings.shape[:2]
    low = np.concatenate(
        [rings, np.broadcast_to(solids.bottoms[chosen][:, None, None], (count, size, 1))], axis=2
    )
    high = np.concatenate(
        [rings, np.broadcast_to(solids.tops[chosen][:, None, None], (count, size, 1))], axis=2
    )
    low_next, high_next = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    pieces = [
        np.stack([low, low_next, high_next], axis=2),
        np.stack([low, high_next, high], axis=2),
    ]
    for lid in (low, high):
        first = np.broadcast_to(lid[:, :1], (count, size - 2, 3))
        pieces.append(np.stack([first, lid[:, 1:-1], lid[:, 2:]], axis=2))
    per_solid = np.concatenate(pieces, axis=1)
    owners = np.repeat(np.arange(count), per_solid.shape[1])
    return per_solid.reshape(-1, 3, 3), owners
