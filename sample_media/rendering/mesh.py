"""Triangle meshes and the solids that a room and its people are built of. Metres, room coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """How a surface looks: ``colour`` is sRGB 0..1, ``glow`` the share of it that shines by itself.

    ``texture`` (BGR, 8 bit) multiplies the colour; ``texels_per_m`` says how fine it is, for filtering.
    """

    colour: Colour
    glow: float = 0.0
    texture: npt.NDArray[np.uint8] | None = None
    texels_per_m: float = 0.0


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal, a texture coordinate and a material each.

    ``corners`` (N, 3, 3), ``normals`` (N, 3, 3), ``texture_at`` (N, 3, 2), ``material`` (N,) into ``materials``.
    """

    corners: Array
    normals: Array
    texture_at: Array
    material: npt.NDArray[np.int64]
    materials: tuple[Material, ...]


@dataclass
class MeshBuilder:
    """Collects solids; ``frame`` (rotation, origin) places what follows."""

    _corners: list[Array] = field(default_factory=list)
    _normals: list[Array] = field(default_factory=list)
    _texture_at: list[Array] = field(default_factory=list)
    _material: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _materials: list[Material] = field(default_factory=list)
    _rotation: Array = field(default_factory=lambda: np.eye(3))
    _origin: Array = field(default_factory=lambda: np.zeros(3))

    def frame(self, origin: Sequence[float], bearing_deg: float = 0.0) -> None:
        """What follows is given with x right, y forward and z up for one who stands there and looks along it."""
        turn = np.radians(bearing_deg)
        self._origin = np.asarray(origin, float)
        self._rotation = np.array(
            [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]]
        )

    def box(self, low: Sequence[float], high: Sequence[float], material: Material) -> None:
        """An upright box between two corners."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        for a, b, c, d in (
            ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)),
            ((x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)),
            ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)),
            ((x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)),
            ((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)),
            ((x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)),
        ):
            self.quad((a, b, c, d), material)

    def box_at(self, centre: Sequence[float], size: Sequence[float], turn: Array, material: Material) -> None:
        """A box of a size around its middle, turned by a rotation matrix."""
        middle, half = np.asarray(centre, float), np.asarray(size, float) / 2
        for axis in range(3):
            for sign in (-1.0, 1.0):
                normal, u, v = np.zeros(3), np.zeros(3), np.zeros(3)
                normal[axis] = sign * half[axis]
                u[(axis + 1) % 3] = half[(axis + 1) % 3] * sign
                v[(axis + 2) % 3] = half[(axis + 2) % 3]
                ring = [
                    middle + turn @ (normal + a * u + b * v) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
                ]
                self.quad(ring, material)

    def quad(
        self, ring: Sequence[Sequence[float]], material: Material, repeat: Sequence[float] = (1, 1)
    ) -> None:
        """A flat four-sided face, as seen from outside: bottom left, bottom right, top right, top left.

        A texture fills it ``repeat`` times across and up.
        """
        a, b, c, d = (np.asarray(point, float) for point in ring)
        normal = np.cross(b - a, d - a)
        normal = normal / np.linalg.norm(normal)
        u, v = repeat
        self._add(
            np.array([[a, b, c], [a, c, d]]),
            np.broadcast_to(normal, (2, 3, 3)),
            np.array([[[0, v], [u, v], [u, 0]], [[0, v], [u, 0], [0, 0]]], float),
            material,
        )

    def ellipsoid(
        self,
        centre: Sequence[float],
        radii: Sequence[float],
        material: Material,
        turn: Array | None = None,
        keep: Sequence[float] | None = None,
        detail: int = 10,
    ) -> None:
        """An ellipsoid, turned by a rotation matrix; ``keep`` (a, b, c, d) drops ax+by+cz < d on the sphere."""
        rows, columns = detail, 2 * detail
        polar, around = np.meshgrid(
            np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, columns + 1), indexing="ij"
        )
        unit = np.stack(
            [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1
        )
        points, normals = unit * np.asarray(radii), unit / np.asarray(radii)
        triangles = _grid_triangles(rows, columns)
        flat = unit.reshape(-1, 3)
        if keep is not None:
            middle = flat[triangles].mean(axis=1)
            triangles = triangles[middle @ np.asarray(keep[:3], float) >= keep[3]]
        rotation = np.eye(3) if turn is None else turn
        self._smooth(
            points @ rotation.T + np.asarray(centre, float), normals @ rotation.T, triangles, material
        )

    def capsule(
        self,
        start: Sequence[float],
        end: Sequence[float],
        radii: tuple[float, float],
        material: Material,
        sides: int = 12,
    ) -> None:
        """A limb: a tube from one radius to another with round ends."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        length = float(np.linalg.norm(b - a))
        axis = (b - a) / max(length, 1e-9)
        side = np.cross(axis, (0, 0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0, 0))
        side /= np.linalg.norm(side)
        other = np.cross(axis, side)
        caps = np.radians([-90, -60, -30, 0])
        along = [(np.sin(t) * radii[0], np.cos(t) * radii[0], np.sin(t)) for t in caps]
        along += [(length + np.sin(t) * radii[1], np.cos(t) * radii[1], np.sin(t)) for t in -caps[::-1]]
        around = np.linspace(0, 2 * np.pi, sides + 1)
        ring = np.cos(around)[:, None] * side + np.sin(around)[:, None] * other
        points = np.stack([a + axis * at + ring * max(radius, 1e-5) for at, radius, _ in along])
        normals = np.stack([axis * lift + ring * np.sqrt(max(0.0, 1 - lift**2)) for _, _, lift in along])
        self._smooth(points, normals, _grid_triangles(len(along) - 1, sides), material)

    def build(self) -> Mesh:
        """Everything so far as one mesh."""
        return Mesh(
            np.concatenate(self._corners),
            np.concatenate(self._normals),
            np.concatenate(self._texture_at),
            np.concatenate(self._material),
            tuple(self._materials),
        )

    def _smooth(
        self, points: Array, normals: Array, triangles: npt.NDArray[np.int64], material: Material
    ) -> None:
        flat, flat_normals = points.reshape(-1, 3), normals.reshape(-1, 3)
        lengths = np.linalg.norm(flat_normals, axis=1, keepdims=True)
        flat_normals = flat_normals / np.maximum(lengths, 1e-9)
        self._add(flat[triangles], flat_normals[triangles], np.zeros((len(triangles), 3, 2)), material)

    def _add(self, corners: Array, normals: Array, texture_at: Array, material: Material) -> None:
        self._corners.append(corners @ self._rotation.T + self._origin)
        self._normals.append(np.asarray(normals) @ self._rotation.T)
        self._texture_at.append(texture_at)
        self._material.append(np.full(len(corners), len(self._materials)))
        self._materials.append(material)


def _grid_triangles(rows: int, columns: int) -> npt.NDArray[np.int64]:
    index = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
