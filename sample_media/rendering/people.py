"""Candidates and invigilators: bodies of ellipsoids and limbs, in poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rendering import lettering
from rendering.mesh import Array, Colour, Material, Mesh, MeshBuilder

_SKIN: tuple[Colour, ...] = ((0.86, 0.67, 0.55), (0.80, 0.60, 0.47), (0.90, 0.73, 0.62))
_HAIR: tuple[Colour, ...] = ((0.07, 0.06, 0.06), (0.12, 0.09, 0.07), (0.05, 0.05, 0.07))
_CLOTHES: tuple[Colour, ...] = (
    (0.13, 0.20, 0.38), (0.62, 0.13, 0.15), (0.82, 0.82, 0.80), (0.20, 0.34, 0.26), (0.16, 0.16, 0.18),
    (0.75, 0.62, 0.40), (0.42, 0.55, 0.72), (0.48, 0.26, 0.44), (0.86, 0.52, 0.50), (0.40, 0.42, 0.45),
    (0.10, 0.42, 0.48), (0.70, 0.70, 0.35),
)  # fmt: skip
_TROUSERS = Material((0.12, 0.13, 0.19))
_SHOE = Material((0.10, 0.09, 0.09))
_EYE = Material((0.06, 0.05, 0.05))
_ARMBAND = Material((0.80, 0.10, 0.12))


@dataclass(frozen=True)
class Looks:
    """What does not change about a person. ``scale`` is stature against 1.70 m."""

    scale: float
    skin: Material
    hair: Material
    coat: Material
    long_hair: bool

    @classmethod
    def drawn(cls, random: np.random.Generator) -> Looks:
        """Looks drawn from a random source."""
        long_hair = bool(random.random() < 0.45)
        return cls(
            float(random.uniform(0.94, 0.99) if long_hair else random.uniform(0.97, 1.05)),
            Material(_SKIN[random.integers(len(_SKIN))]),
            Material(_HAIR[random.integers(len(_HAIR))]),
            Material(_CLOTHES[random.integers(len(_CLOTHES))]),
            long_hair,
        )


@dataclass(frozen=True)
class Sitting:
    """A candidate's pose: degrees of head and trunk; both hands on the desk, metres right and forward."""

    head_turn_deg: float
    head_down_deg: float
    lean_deg: float
    sway_deg: float
    left_hand: tuple[float, float, float]
    right_hand: tuple[float, float, float]


def sitting_pose(random: np.random.Generator, desk_top_m: float) -> Sitting:
    """Typing, using the mouse, writing or reading."""
    left = (-0.13 + random.normal(0, 0.02), 0.42 + random.normal(0, 0.02), desk_top_m + 0.045)
    right = (0.13 + random.normal(0, 0.02), 0.42 + random.normal(0, 0.02), desk_top_m + 0.045)
    if random.random() < 0.45:
        right = (0.30 + random.normal(0, 0.01), 0.45 + random.normal(0, 0.02), desk_top_m + 0.055)
    if random.random() < 0.15:
        left = (-0.07, 0.24, desk_top_m + 0.34)
    return Sitting(
        float(np.clip(random.normal(0, 9), -20, 20)),
        float(random.uniform(4, 24)),
        float(random.uniform(6, 17)),
        float(random.normal(0, 2.5)),
        left,
        right,
    )


def candidate(looks: Looks, pose: Sitting, chair: tuple[float, float], bearing_deg: float) -> Mesh:
    """A seated person; ``chair`` is the middle of the seat."""
    builder = MeshBuilder()
    builder.frame((*chair, 0), bearing_deg)
    size = looks.scale
    hip = np.array([0.0, -0.04, 0.53])
    trunk = _turn_x(-pose.lean_deg) @ _turn_y(pose.sway_deg)

    def on_trunk(x: float, y: float, z: float) -> Array:
        return hip + trunk @ (np.array([x, y, z]) * size)

    _trunk(builder, looks, trunk, on_trunk)
    _head(
        builder,
        looks,
        on_trunk(0, 0.02, 0.53),
        trunk,
        on_trunk(0, 0.045, 0.665),
        pose.head_turn_deg,
        pose.head_down_deg,
    )
    for side, hand in ((-1, pose.left_hand), (1, pose.right_hand)):
        shoulder = on_trunk(side * 0.185, 0.0, 0.44)
        _arm(builder, looks, shoulder, np.asarray(hand), (side * 0.6, -0.35, -0.7))
    for side in (-1, 1):
        knee = np.array([side * 0.12, 0.38, 0.52])
        ankle = np.array([side * 0.13, 0.33, 0.09])
        builder.capsule((side * 0.09, -0.02, 0.53), knee, (0.085, 0.065), _TROUSERS)
        builder.capsule(knee, ankle, (0.06, 0.045), _TROUSERS)
        builder.ellipsoid((side * 0.13, 0.39, 0.045), (0.045, 0.12, 0.045), _SHOE, detail=6)
    return builder.build()


@dataclass(frozen=True)
class Standing:
    """An invigilator's pose: where the feet are, where the body faces, and what is held, if anything.

    Hands are (right, forward, up) from the feet; ``stride_m`` is how far the right foot is before the left.
    """

    feet: tuple[float, float]
    bearing_deg: float
    head_turn_deg: float
    head_down_deg: float
    left_hand: tuple[float, float, float]
    right_hand: tuple[float, float, float]
    stride_m: float = 0.0
    bag: Bag | None = None


@dataclass(frozen=True)
class Bag:
    """The bag of papers: middle (right, forward, up), tilt, and how far its papers are out (0 none, 1 all)."""

    at: tuple[float, float, float]
    tilt_deg: float
    turn_deg: float
    opened: bool
    papers_out: float


def invigilator(looks: Looks, pose: Standing) -> Mesh:
    """A standing person with a red armband."""
    builder = MeshBuilder()
    builder.frame((*pose.feet, 0), pose.bearing_deg)
    hip = np.array([0.0, 0.0, 0.90 * looks.scale])
    trunk = _turn_x(-2.0)

    def on_trunk(x: float, y: float, z: float) -> Array:
        return hip + trunk @ (np.array([x, y, z]) * looks.scale)

    _trunk(builder, looks, trunk, on_trunk)
    _head(
        builder,
        looks,
        on_trunk(0, 0.02, 0.53),
        trunk,
        on_trunk(0, 0.045, 0.665),
        pose.head_turn_deg,
        pose.head_down_deg,
    )
    for side, hand in ((-1, pose.left_hand), (1, pose.right_hand)):
        shoulder = on_trunk(side * 0.185, 0.0, 0.44)
        elbow = _arm(builder, looks, shoulder, np.asarray(hand), (side * 0.75, -0.3, -0.6))
        if side == -1:
            start, end = shoulder + 0.45 * (elbow - shoulder), shoulder + 0.75 * (elbow - shoulder)
            builder.capsule(start, end, (0.062, 0.058), _ARMBAND)
    for side in (-1, 1):
        step = side * pose.stride_m / 2
        builder.capsule(
            (side * 0.09, 0, 0.90 * looks.scale), (side * 0.10, step + 0.01, 0.09), (0.09, 0.055), _TROUSERS
        )
        builder.ellipsoid((side * 0.10, step + 0.06, 0.045), (0.045, 0.13, 0.045), _SHOE, detail=6)
    if pose.bag is not None:
        _bag(builder, pose.bag)
    return builder.build()


def _trunk(builder: MeshBuilder, looks: Looks, turn: Array, at: object) -> None:
    size = looks.scale
    for centre, radii in (
        ((0, 0, 0.05), (0.175, 0.13, 0.14)),
        ((0, 0.005, 0.22), (0.165, 0.115, 0.23)),
        ((0, 0, 0.36), (0.195, 0.115, 0.15)),
        ((0, -0.005, 0.435), (0.175, 0.085, 0.06)),
    ):
        builder.ellipsoid(at(*centre), np.array(radii) * size, looks.coat, turn, detail=14)
    for side in (-1, 1):
        builder.ellipsoid(at(side * 0.185, 0, 0.43), np.array((0.068, 0.075, 0.075)) * size, looks.coat, turn)
    builder.capsule(at(0, 0, 0.46), at(0, 0.02, 0.56), (0.055, 0.05), looks.skin)
    builder.ellipsoid(
        at(0, 0.005, 0.475), np.array((0.075, 0.07, 0.035)) * size, Material((0.88, 0.88, 0.86)), turn
    )


def _head(
    builder: MeshBuilder,
    looks: Looks,
    neck: Array,
    trunk: Array,
    middle: Array,
    turn_deg: float,
    down_deg: float,
) -> None:
    nod = _turn_z(-turn_deg) @ _turn_x(-down_deg)
    pivot = neck
    size = looks.scale**0.5

    def at(x: float, y: float, z: float) -> Array:
        return pivot + nod @ (middle - neck + np.array([x, y, z]) * size)

    builder.ellipsoid(at(0, 0, 0), np.array((0.075, 0.092, 0.115)) * size, looks.skin, nod, detail=16)
    builder.ellipsoid(at(0, 0.03, -0.06), np.array((0.055, 0.058, 0.058)) * size, looks.skin, nod)
    builder.ellipsoid(at(0, 0.098, -0.012), np.array((0.013, 0.018, 0.022)) * size, looks.skin, nod, detail=6)
    for side in (-1, 1):
        builder.ellipsoid(
            at(side * 0.076, -0.005, -0.01), np.array((0.012, 0.022, 0.032)) * size, looks.skin, nod, detail=6
        )
        builder.ellipsoid(
            at(side * 0.031, 0.082, 0.018), np.array((0.012, 0.009, 0.006)) * size, _EYE, nod, detail=6
        )
        builder.ellipsoid(
            at(side * 0.032, 0.083, 0.042), np.array((0.017, 0.008, 0.0035)) * size, looks.hair, nod, detail=6
        )
    builder.ellipsoid(
        at(0, 0.082, -0.062),
        np.array((0.022, 0.008, 0.006)) * size,
        Material((0.66, 0.36, 0.34)),
        nod,
        detail=6,
    )
    # Hair leaves the face free: what lies forward of a plane that tilts back from the forehead is cut away.
    builder.ellipsoid(
        at(0, -0.008, 0.012),
        np.array((0.087, 0.102, 0.119)) * size,
        looks.hair,
        nod,
        (0, -0.62, 0.78, 0.02),
        detail=18,
    )
    if looks.long_hair:
        builder.ellipsoid(
            at(0, -0.055, -0.07), np.array((0.082, 0.052, 0.15)) * size, looks.hair, nod, detail=12
        )
        for side in (-1, 1):
            builder.ellipsoid(
                at(side * 0.073, -0.01, -0.04), np.array((0.020, 0.040, 0.10)) * size, looks.hair, nod
            )


def _arm(
    builder: MeshBuilder, looks: Looks, shoulder: Array, hand: Array, pole: tuple[float, float, float]
) -> Array:
    """Upper arm and forearm by two-bone inverse kinematics, the elbow towards ``pole``; returns the elbow."""
    upper, fore = 0.29 * looks.scale, 0.25 * looks.scale
    reach = hand - shoulder
    distance = float(np.clip(np.linalg.norm(reach), 0.08, (upper + fore) * 0.995))
    along = reach / np.linalg.norm(reach)
    out = np.asarray(pole) - along * float(np.dot(pole, along))
    out /= np.linalg.norm(out)
    share = (upper**2 - fore**2 + distance**2) / (2 * distance)
    elbow = shoulder + along * share + out * np.sqrt(max(0.0, upper**2 - share**2))
    wrist = shoulder + along * distance
    builder.capsule(shoulder, elbow, (0.058, 0.048), looks.coat)
    builder.capsule(elbow, elbow + 0.88 * (wrist - elbow), (0.046, 0.036), looks.coat)
    builder.capsule(elbow + 0.85 * (wrist - elbow), wrist, (0.026, 0.026), looks.skin, sides=8)
    direction = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    palm = wrist + direction * 0.03
    builder.ellipsoid(palm, (0.042, 0.042, 0.026), looks.skin, detail=8)
    builder.capsule(
        palm, palm + direction * 0.05 - np.array([0, 0, 0.012]), (0.026, 0.014), looks.skin, sides=8
    )
    return elbow


def _bag(builder: MeshBuilder, bag: Bag) -> None:
    """A yellow bag held upright, its front away from who holds it."""
    turn = _turn_z(bag.turn_deg) @ _turn_x(bag.tilt_deg)
    half, high, deep = 0.16, 0.20, 0.018
    edge = Material((0.80, 0.62, 0.24))
    face = Material(
        (1, 1, 1), texture=lettering.sealed_bag("opened" if bag.opened else "sealed"), texels_per_m=1450
    )

    def at(x: float, y: float, z: float) -> Array:
        return np.asarray(bag.at) + turn @ np.array([x, y, z])

    builder.box_at(at(0, 0, 0), (2 * half, 2 * deep, 2 * high), turn, edge)
    # Seen from the front, right and left are exchanged: the holder looks the other way.
    y = deep + 0.002
    builder.quad((at(half, y, -high), at(-half, y, -high), at(-half, y, high), at(half, y, high)), face)
    if bag.opened:
        lip = (
            at(half, -deep, high),
            at(-half, -deep, high),
            at(-half, -deep - 0.02, high + 0.09),
            at(half, -deep - 0.02, high + 0.09),
        )
        builder.quad(lip, edge)
    if bag.papers_out > 0:
        sheet = Material((1, 1, 1), texture=lettering.paper(), texels_per_m=1600)
        rise = bag.papers_out * 0.30
        width = half - 0.02
        for layer, shift in ((0.006, 0.0), (-0.004, 0.012)):
            low, up = -high + 0.03 + rise, high - 0.02 + rise + shift
            builder.quad(
                (at(width, layer, low), at(-width, layer, low), at(-width, layer, up), at(width, layer, up)),
                sheet,
            )


def _turn_x(degrees: float) -> Array:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def _turn_y(degrees: float) -> Array:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _turn_z(degrees: float) -> Array:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
