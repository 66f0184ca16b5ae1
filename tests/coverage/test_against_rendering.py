"""The engine against pictures: random rooms rendered pixel by pixel, with a projection of the test's own.

Nothing of the engine's projection or visibility is used here: a pixel's ray is computed from the lens's definition,
Embree says what it meets first, and a pixel stands for the area of the target that it shows.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.distortion import LensModel
from kaozheng_coverage.lens import Lens
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.shadows import room_occluders, solids_of
from kaozheng_coverage.sight import Vantage, patches_of
from kaozheng_coverage.targets import Patch

WIDTH, HEIGHT = 1280, 720
ROOMS = 60
# A pixel at the rim of a target of 400 pixels is a quarter of a percent of it; parts of pixels are counted instead.
FINE = 3
LEAST_PIXELS = 400
SLICES = 8
WITHIN = 0.02


class Eye:
    """A camera as the textbook has it: forward, right, down, and the angle that a pixel stands for."""

    def __init__(self, camera: Camera) -> None:
        self.position = np.array(camera.position_m)
        self.pinhole = camera.lens.model is LensModel.PINHOLE
        self.focal = camera.lens.focal_px
        forward = np.array(camera.aim_m) - self.position
        self.forward = forward / math.sqrt(float(forward @ forward))
        flat = math.hypot(self.forward[0], self.forward[1])
        self.right = np.array([self.forward[1] / flat, -self.forward[0] / flat, 0.0])
        self.down = np.cross(self.forward, self.right)

    def rays(self, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit directions through the middles of a pixel's FINE x FINE parts, (N, 3), and each one's solid angle."""
        part = (np.arange(FINE) + 0.5) / FINE
        across, down = np.meshgrid(
            np.add.outer(columns, part).ravel() - WIDTH / 2, np.add.outer(rows, part).ravel() - HEIGHT / 2
        )
        radius = np.hypot(across, down).ravel() / self.focal
        angle = np.arctan(radius) if self.pinhole else radius
        turn = np.arctan2(down, across).ravel()
        sideways = np.sin(angle)
        directions = (
            np.cos(angle)[:, None] * self.forward
            + (sideways * np.cos(turn))[:, None] * self.right
            + (sideways * np.sin(turn))[:, None] * self.down
        )
        # d(solid angle) = sin(angle) d(angle) d(turn); a pixel spans d(radius) radius d(turn) = 1 / focal squared.
        slope = np.cos(angle) ** 2 if self.pinhole else np.ones_like(angle)
        share = np.where(radius > 0, sideways / np.maximum(radius, 1e-12), 1.0) * slope
        return directions, share / (self.focal * FINE) ** 2

    def box(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Columns and rows of the picture that can show points, generously; None where none can."""
        ray = points - self.position
        depth, x, y = ray @ self.forward, ray @ self.right, ray @ self.down
        if (depth <= 0.05).any():
            return np.arange(WIDTH), np.arange(HEIGHT)
        off = np.hypot(x, y)
        angle = np.arctan2(off, depth)
        radius = self.focal * (np.tan(angle) if self.pinhole else angle) / np.maximum(off, 1e-12)
        columns, rows = WIDTH / 2 + x * radius, HEIGHT / 2 + y * radius
        left, right = max(0, int(columns.min()) - 12), min(WIDTH, int(columns.max()) + 12)
        top, bottom = max(0, int(rows.min()) - 12), min(HEIGHT, int(rows.max()) + 12)
        return (np.arange(left, right), np.arange(top, bottom)) if left < right and top < bottom else None


def random_room(random: np.random.Generator) -> tuple[Room, Camera]:
    """Six seats with and without screens that face anywhere, pillars, a zone; a camera on a wall or anywhere."""
    desk = Desk(1.2, 0.6, 0.75)
    seats = []
    for number in range(6):
        monitor = Monitor(0.54, 0.33, 0.80, 0.05, 0.20) if random.random() < 0.7 else None
        centre = (1.6 + 2.4 * (number % 3) + random.uniform(-0.3, 0.3), 2.2 + 2.4 * (number // 3))
        facing = 0.0 if random.random() < 0.6 else float(random.uniform(0, 360))
        seats.append(Seat(f"{number + 1:02d}", centre, facing, desk, monitor))
    pillars = []
    for number in range(random.integers(0, 3)):
        x, y, half = random.uniform(0.6, 7.4), random.uniform(0.6, 7.4), random.uniform(0.08, 0.3)
        ring = ((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half))
        pillars.append(Prism(f"pillar-{number}", ring, 0.0, float(random.uniform(1.0, 3.2))))
    zone = Zone(
        "seal", ZoneKind.SEAL_OPENING, ((3.5, 7.0), (4.5, 7.0), (4.5, 7.6), (3.5, 7.6)), 1.1, 1.5, 180.0
    )
    room = Room("r", "r", ((0, 0), (8, 0), (8, 8), (0, 8)), 3.2, tuple(pillars), tuple(seats), (zone,))
    model = LensModel.PINHOLE if random.random() < 0.5 else LensModel.F_THETA
    lens = Lens(model, float(random.uniform(500, 1000)), (WIDTH / 2, HEIGHT / 2), WIDTH, HEIGHT)
    x, y = random.uniform(0.1, 7.9, 2)
    spot = [(x, 0.1), (x, 7.9), (0.1, y), (7.9, y)][random.integers(0, 4)]
    aim = (float(random.uniform(2, 6)), float(random.uniform(2, 6)), 0.9)
    return room, Camera("c", (float(spot[0]), float(spot[1]), float(random.uniform(1.2, 3.1))), aim, lens)


def triangles(solid) -> np.ndarray:
    ring = np.asarray(solid.footprint)
    low = np.column_stack([ring, np.full(len(ring), solid.bottom_m)])
    high = np.column_stack([ring, np.full(len(ring), solid.top_m)])
    faces = []
    for index in range(len(ring)):
        after = (index + 1) % len(ring)
        faces += [(low[index], low[after], high[after]), (low[index], high[after], high[index])]
    for lid in (low, high):
        faces += [(lid[0], lid[index], lid[index + 1]) for index in range(1, len(ring) - 1)]
    return np.asarray(faces)


def rendered(eye: Eye, patch, solids: np.ndarray) -> tuple[float, int]:
    """The visible fraction of a patch's area, and how many pixels it has where nothing hides it."""
    corners = patch.corners
    area = patch.outline.area
    window = eye.box(corners)
    if window is None:
        return 0.0, 0
    directions, solid_angle = eye.rays(*window)
    facing = directions @ patch.normal
    with np.errstate(divide="ignore"):
        reach = ((patch.origin - eye.position) @ patch.normal) / facing
    across = (eye.position + reach[:, None] * directions - patch.origin) @ patch.tangents.T
    left, bottom, right, top = patch.outline.bounds
    on = (
        (facing < 0)
        & (reach > 0)
        & (across >= (left, bottom)).all(axis=1)
        & (across <= (right, top)).all(axis=1)
    )
    if not on.any():
        return 0.0, 0
    directions, reach = directions[on], reach[on]
    shown = solid_angle[on] * reach**2 / -facing[on]
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, solids.astype(np.float32))
    origins = np.broadcast_to(eye.position, directions.shape).astype(np.float32)
    nearest = scene.run(origins, directions.astype(np.float32), query="DISTANCE")
    free = nearest >= reach - 1e-3
    return float(shown[free].sum() / area), int(on.sum()) // FINE**2


@pytest.mark.parametrize("seed", range(ROOMS))
def test_the_engine_sees_what_a_picture_shows(seed):
    room, camera = random_room(np.random.default_rng(seed))
    occluders = room_occluders(room)
    eye = Eye(camera)
    if any(_within(camera, one) for one in occluders):
        return
    vantage = Vantage(camera.position_m, solids_of(occluders))
    compared = 0
    for target in room.seats:
        glimpses = vantage.glimpses(camera, target)
        for part, patches in patches_of(target, np.array(camera.position_m)).items():
            pictures = []
            for patch in patches:
                hiding = np.concatenate([triangles(one) for one in occluders if one.id not in patch.own])
                pictures.append(rendered(eye, patch, hiding))
            if not pictures or min(pixels for _, pixels in pictures) <= LEAST_PIXELS:
                continue
            compared += 1
            visible = min(fraction for fraction, _ in pictures)
            assert glimpses[part].visible == pytest.approx(visible, abs=WITHIN), (target, part)
    for zone in room.zones:
        slices = [
            rendered(
                eye, patch, np.concatenate([triangles(one) for one in occluders if one.id not in patch.own])
            )
            for patch in upright_slices(zone, eye)
        ]
        if min(pixels for _, pixels in slices) > LEAST_PIXELS:
            compared += 1
            visible = float(np.mean([fraction for fraction, _ in slices]))
            (glimpse,) = vantage.glimpses(camera, zone).values()
            assert glimpse.visible == pytest.approx(visible, abs=WITHIN), zone
    assert compared > 0


def upright_slices(zone: Zone, eye: Eye) -> list[Patch]:
    """A box-shaped zone as upright slices across whichever of its sides looks more towards the eye."""
    (left, near), (right, far) = np.min(zone.polygon, axis=0), np.max(zone.polygon, axis=0)
    towards = eye.position[:2] - ((left + right) / 2, (near + far) / 2)
    own = frozenset({f"{zone.id} invigilator"})
    slices = []
    for share in (np.arange(SLICES) + 0.5) / SLICES:
        if abs(towards[0]) > abs(towards[1]):
            sign = np.sign(towards[0])
            origin = np.array([left + share * (right - left), near if sign > 0 else far, zone.bottom_m])
            across, width = np.array([0.0, sign, 0.0]), far - near
        else:
            sign = np.sign(towards[1])
            origin = np.array([right if sign > 0 else left, near + share * (far - near), zone.bottom_m])
            across, width = np.array([-sign, 0.0, 0.0]), right - left
        outline = shapely.box(0.0, 0.0, width, zone.top_m - zone.bottom_m)
        slices.append(Patch(origin, np.array([across, [0.0, 0.0, 1.0]]), outline, own))
    return slices


def _within(camera: Camera, solid) -> bool:
    """Whether the camera stands inside a solid, which no room that is judged allows."""
    xs, ys = zip(*solid.footprint, strict=True)
    x, y, z = camera.position_m
    return min(xs) < x < max(xs) and min(ys) < y < max(ys) and solid.bottom_m < z < solid.top_m
