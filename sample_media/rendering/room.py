"""A computer exam room as a mesh: what stands still, built from a site file's room entry."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from rendering import lettering
from rendering.mesh import Material, Mesh, MeshBuilder

# Where the middle between a desk card's feet stands: right of and beyond the desk top's middle as the sitter sees it.
CARD_RIGHT_M, CARD_FORWARD_M = 0.46, 0.12
CARD_WIDTH_M = 0.21
CARD_MARKER_M = 0.168
# The two forms that cards are printed in, one sheet or two: up to which marker, the length of a face along the paper to
# its foot, and from foot to foot.
CARD_FORMS = ((0.094, 0.118, 0.050), (0.168, 0.245, 0.092))

_WALL = Material((0.90, 0.90, 0.87))
_DADO = Material((0.60, 0.74, 0.66))
_SKIRTING = Material((0.35, 0.30, 0.27))
_METAL = Material((0.62, 0.64, 0.66))
_DARK = Material((0.09, 0.09, 0.10))
_FRAME = Material((0.86, 0.87, 0.88))
_CURTAIN = Material((0.55, 0.64, 0.78))
_CHAIR = Material((0.16, 0.27, 0.46))
_LAMP = Material((1.0, 1.0, 0.98), glow=1.35)
_DADO_HEIGHT_M = 1.1


@dataclass(frozen=True)
class Place:
    """A desk: its number, the middle of its top (x, y) and where its sitter looks."""

    number: str
    x: float
    y: float
    bearing_deg: float


def places(room: dict) -> list[Place]:
    """Every desk of a room entry, row by row."""
    seats = room["seats"]
    found = []
    grid = seats.get("grid")
    if grid:
        prefix, digits = re.fullmatch(r"(\D*)(\d+)", str(grid["numbers"])).groups()
        for index in range(grid["rows"] * grid["columns"]):
            row, column = divmod(index, grid["columns"])
            number = f"{prefix}{int(digits) + index:0{len(digits)}d}"
            x = grid["first"][0] + column * grid["step"][0]
            y = grid["first"][1] + row * grid["step"][1]
            if number not in grid.get("without", ()):
                found.append(Place(number, x, y, grid.get("bearing", 0)))
    for seat in seats.get("list", ()):
        found.append(Place(seat["number"], *seat["position"], seat.get("bearing", 0)))
    return found


def room_mesh(room: dict) -> Mesh:
    """Shell, furniture and signs; no people."""
    builder = MeshBuilder()
    height = room["height"]
    boundary = [tuple(point) for point in room["boundary"]]
    _shell(builder, boundary, height)
    xs, ys = [x for x, _ in boundary], [y for _, y in boundary]
    _front_wall(builder, room, min(xs), max(xs), max(ys))
    _windows(builder, min(xs), min(ys), max(ys))
    _lamps(builder, min(xs), max(xs), min(ys), max(ys), height)
    _back_wall(builder, min(xs), max(xs), min(ys))
    for zone in room.get("zones", ()):
        if zone["kind"] == "door":
            _door(builder, zone, max(xs))
    for solid in room.get("obstacles", ()):
        _solid(builder, solid)
    desk_wood = Material((1, 1, 1), texture=lettering.wood((150, 188, 212)), texels_per_m=400)
    marker = room.get("card_marker", CARD_MARKER_M)
    for index, place in enumerate(places(room)):
        _desk(builder, place, room["seats"], desk_wood)
        _card(builder, place, index, room["seats"]["desk"]["height"], marker)
    return builder.build()


def _shell(builder: MeshBuilder, boundary: list[tuple[float, float]], height: float) -> None:
    floor = Material((1, 1, 1), texture=lettering.floor_tiles(), texels_per_m=320)
    ceiling = Material((1, 1, 1), texture=lettering.ceiling_tiles(), texels_per_m=213)
    xs, ys = [x for x, _ in boundary], [y for _, y in boundary]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    low = ((x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0))
    builder.quad(low, floor, ((x1 - x0) / 1.6, (y1 - y0) / 1.6))
    high = tuple((x, y, height) for x, y, _ in (low[1], low[0], low[3], low[2]))
    builder.quad(high, ceiling, ((x1 - x0) / 0.6, (y1 - y0) / 0.6))
    for (ax, ay), (bx, by) in zip(boundary, [*boundary[1:], boundary[0]], strict=True):
        # Seen from inside, the wall's left end is its second point: the boundary runs counter-clockwise.
        for bottom, top, material in ((0.0, _DADO_HEIGHT_M, _DADO), (_DADO_HEIGHT_M, height, _WALL)):
            builder.quad(((bx, by, bottom), (ax, ay, bottom), (ax, ay, top), (bx, by, top)), material)
        inward = np.array([-(by - ay), bx - ax]) / math.hypot(bx - ax, by - ay) * 0.012
        base = [(x + inward[0], y + inward[1]) for x, y in ((bx, by), (ax, ay))]
        (px, py), (qx, qy) = base
        builder.quad(((px, py, 0), (qx, qy, 0), (qx, qy, 0.1), (px, py, 0.1)), _SKIRTING)
        strip = Material((0.47, 0.60, 0.53))
        builder.quad(((px, py, 1.08), (qx, qy, 1.08), (qx, qy, 1.12), (px, py, 1.12)), strip)


def _front_wall(builder: MeshBuilder, room: dict, x0: float, x1: float, y: float) -> None:
    middle = (x0 + x1) / 2 - 0.05 * (x1 - x0)
    board = Material((1, 1, 1), texture=lettering.blackboard(room["name"]), texels_per_m=300)
    builder.box((middle - 2.06, y - 0.05, 0.94), (middle + 2.06, y, 2.26), _METAL)
    _picture(builder, middle - 2.0, middle + 2.0, 1.0, 2.2, y - 0.055, board)
    builder.box((middle - 2.0, y - 0.13, 0.92), (middle + 2.0, y, 0.95), _METAL)
    cloth = Material((1, 1, 1), texture=lettering.banner("职业技能等级认定考试"), texels_per_m=225)
    _picture(builder, middle - 2.9, middle + 2.9, 2.42, 2.90, y - 0.03, cloth)
    rules = Material((1, 1, 1), texture=lettering.poster("考场规则"), texels_per_m=640)
    duties = Material((1, 1, 1), texture=lettering.poster("考生须知"), texels_per_m=640)
    _picture(builder, middle + 2.45, middle + 3.15, 1.3, 2.23, y - 0.02, rules)
    _picture(builder, middle - 3.15, middle - 2.45, 1.3, 2.23, y - 0.02, duties)
    plate = Material((1, 1, 1), texture=lettering.sign(f"{room['id']} 机房"), texels_per_m=450)
    _picture(builder, middle + 3.4, middle + 4.0, 1.9, 2.1, y - 0.02, plate)
    # The fan unit of the air conditioning, beside the board on the window side.
    builder.box((x0 + 0.35, y - 0.4, 0.0), (x0 + 0.85, y - 0.05, 1.75), Material((0.88, 0.88, 0.86)))
    builder.box((x0 + 0.40, y - 0.41, 1.25), (x0 + 0.80, y - 0.4, 1.62), Material((0.45, 0.46, 0.47)))


def _picture(
    builder: MeshBuilder, left: float, right: float, bottom: float, top: float, y: float, material: Material
) -> None:
    builder.quad(((left, y, bottom), (right, y, bottom), (right, y, top), (left, y, top)), material)


def _windows(builder: MeshBuilder, x: float, y0: float, y1: float) -> None:
    view = Material((1, 1, 1), glow=1.25, texture=lettering.outside(), texels_per_m=80)
    count = max(2, int((y1 - y0) // 2.6))
    pitch = (y1 - y0) / count
    for index in range(count):
        middle = y0 + pitch * (index + 0.5)
        near, far = middle - 0.9, middle + 0.9
        builder.quad(
            ((x + 0.02, near, 1.2), (x + 0.02, far, 1.2), (x + 0.02, far, 2.6), (x + 0.02, near, 2.6)), view
        )
        for at in (near, middle - 0.03, far - 0.06):
            builder.box((x, at, 1.2), (x + 0.06, at + 0.06, 2.6), _FRAME)
        for bottom in (1.16, 2.2, 2.58):
            builder.box((x, near, bottom), (x + 0.07, far, bottom + 0.05), _FRAME)
        for start in (near - 0.3, far - 0.12):
            for fold in range(6):
                at = start + fold * 0.07
                builder.capsule((x + 0.1, at, 0.95), (x + 0.1, at, 2.72), (0.042, 0.042), _CURTAIN, sides=8)
        builder.box((x + 0.06, near - 0.4, 2.72), (x + 0.13, far + 0.4, 2.76), _METAL)


def _lamps(builder: MeshBuilder, x0: float, x1: float, y0: float, y1: float, height: float) -> None:
    for x in np.arange(x0 + 1.5, x1 - 0.8, 2.4):
        for y in np.arange(y0 + 1.2, y1 - 0.6, 2.4):
            builder.box((x - 0.6, y - 0.15, height - 0.03), (x + 0.6, y + 0.15, height - 0.002), _LAMP)


def _back_wall(builder: MeshBuilder, x0: float, x1: float, y: float) -> None:
    slogan = Material((1, 1, 1), texture=lettering.banner("诚信考试　公平竞争"), texels_per_m=225)
    middle, half = (x0 + x1) / 2, 2.4
    y += 0.03
    builder.quad(
        ((middle + half, y, 2.2), (middle - half, y, 2.2), (middle - half, y, 2.6), (middle + half, y, 2.6)),
        slogan,
    )


def _door(builder: MeshBuilder, zone: dict, x: float) -> None:
    ys = [point[1] for point in zone["polygon"]]
    near, far, top = min(ys), max(ys), zone.get("top", 2.0)
    leaf = Material((1, 1, 1), texture=lettering.wood((88, 128, 168)), texels_per_m=400)
    builder.box((x - 0.05, near, 0), (x - 0.01, far, top + 0.05), _METAL)
    inside = x - 0.055
    near, far = near + 0.06, far - 0.06
    builder.quad(((inside, far, 0.01), (inside, near, 0.01), (inside, near, top), (inside, far, top)), leaf)
    middle = (near + far) / 2
    pane = Material((0.62, 0.72, 0.78), glow=0.4)
    builder.box((x - 0.065, middle - 0.1, 1.35), (x - 0.058, middle + 0.1, 1.8), pane)
    builder.box((x - 0.11, near + 0.06, 1.0), (x - 0.055, near + 0.18, 1.03), _METAL)


def _solid(builder: MeshBuilder, solid: dict) -> None:
    ring = [tuple(point) for point in solid["footprint"]]
    bottom, top = solid["bottom"], solid["top"]
    kind = solid["id"]
    if kind.startswith("cabinet"):
        material = Material((0.66, 0.68, 0.68))
    elif kind.startswith("lectern"):
        material = Material((1, 1, 1), texture=lettering.wood((70, 105, 150)), texels_per_m=400)
    else:
        material = Material((0.88, 0.88, 0.85))
    for (ax, ay), (bx, by) in zip(ring, [*ring[1:], ring[0]], strict=True):
        builder.quad(((ax, ay, bottom), (bx, by, bottom), (bx, by, top), (ax, ay, top)), material)
    if len(ring) == 4:
        builder.quad([(x, y, top) for x, y in ring], material)
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    if kind.startswith("cabinet"):
        for at in np.linspace(y0, y1, 3)[:-1]:
            builder.box(
                (x0 - 0.004, at + 0.01, 0.08),
                (x0, at + (y1 - y0) / 2 - 0.01, top - 0.03),
                Material((0.72, 0.74, 0.74)),
            )
            builder.box((x0 - 0.03, at + 0.48, 0.95), (x0 - 0.004, at + 0.50, 1.1), _DARK)
    elif kind.startswith("lectern"):
        builder.box(
            (x0 + 0.1, y0 + 0.12, top), (x1 - 0.3, y1 - 0.12, top + 0.004), Material((0.95, 0.95, 0.92))
        )
        builder.box(
            (x1 - 0.24, y0 + 0.15, top), (x1 - 0.08, y0 + 0.35, top + 0.09), Material((0.72, 0.16, 0.14))
        )
    elif top - bottom > 2.5:
        builder.box((x0 - 0.006, y0 - 0.006, 0), (x1 + 0.006, y1 + 0.006, _DADO_HEIGHT_M), _DADO)


def _desk(builder: MeshBuilder, place: Place, seats: dict, wood: Material) -> None:
    """A desk with its screen, and its chair. The frame looks where the sitter looks."""
    width, depth, top = (seats["desk"][name] for name in ("width", "depth", "height"))
    builder.frame((place.x, place.y, 0), place.bearing_deg)
    left, right, near, far = -width / 2, width / 2, -depth / 2, depth / 2
    builder.box((left, near, top - 0.03), (right, far, top), _METAL)
    lift = top + 0.001
    builder.quad(((left, near, lift), (right, near, lift), (right, far, lift), (left, far, lift)), wood)
    panel = Material((0.80, 0.82, 0.82))
    builder.box((left + 0.04, far - 0.06, 0.25), (right - 0.04, far - 0.04, top - 0.03), panel)
    for x in (left + 0.02, right - 0.06):
        builder.box((x, near + 0.03, 0), (x + 0.04, far - 0.03, top - 0.03), panel)
    builder.box((right - 0.32, near + 0.12, 0.04), (right - 0.12, far - 0.1, 0.46), _DARK)
    monitor = seats.get("monitor")
    if monitor:
        _monitor(builder, place, monitor, far, top)
    builder.box((-0.22, near + 0.13, top), (0.20, near + 0.26, top + 0.02), _DARK)
    builder.box((0.27, near + 0.15, top), (0.33, near + 0.25, top + 0.03), _DARK)
    _chair(builder, near)
    builder.frame((0, 0, 0))


def _monitor(builder: MeshBuilder, place: Place, monitor: dict, far: float, top: float) -> None:
    half, bottom, high = monitor["width"] / 2, monitor["bottom"], monitor["height"]
    y = far - monitor["setback"]
    thick = monitor["thickness"] / 2
    builder.box((-half, y - thick, bottom), (half, y + thick, bottom + high), _DARK)
    builder.box((-0.03, y + 0.01, top), (0.03, y + thick, bottom + 0.1), _DARK)
    builder.box((-0.12, y - 0.07, top), (0.12, y + 0.09, top + 0.012), _DARK)
    page = sum(map(ord, place.number)) % 9
    picture = Material((1, 1, 1), glow=0.85, texture=lettering.screen(place.number, page), texels_per_m=1350)
    face = y - thick - 0.002
    rim = 0.015
    low, up = bottom + 0.03, bottom + high - rim
    builder.quad(
        ((-half + rim, face, low), (half - rim, face, low), (half - rim, face, up), (-half + rim, face, up)),
        picture,
    )
    logo = y + thick + 0.002
    badge = Material((0.5, 0.5, 0.52))
    builder.box((-0.04, logo - 0.002, bottom + 0.17), (0.04, logo, bottom + 0.19), badge)


def _card(builder: MeshBuilder, place: Place, index: int, top: float, marker: float) -> None:
    """A folded card: a face towards the front wall and one towards the sitter, each with a marker of its own."""
    _, face, base = next(form for form in CARD_FORMS if marker <= form[0] + 1e-9)
    far, near = (
        Material(
            (1, 1, 1),
            texture=lettering.desk_card(
                place.number, 2 * index + side, round(marker * 1000), round(face * 1000)
            ),
            texels_per_m=3000,
        )
        for side in (0, 1)
    )
    x0, x1 = CARD_RIGHT_M - CARD_WIDTH_M / 2, CARD_RIGHT_M + CARD_WIDTH_M / 2
    y, spread = CARD_FORWARD_M, base / 2
    ridge = top + math.sqrt(face**2 - spread**2)
    builder.frame((place.x, place.y, 0), place.bearing_deg)
    builder.quad(((x1, y + spread, top), (x0, y + spread, top), (x0, y, ridge), (x1, y, ridge)), far)
    builder.quad(((x0, y - spread, top), (x1, y - spread, top), (x1, y, ridge), (x0, y, ridge)), near)
    builder.frame((0, 0, 0))


def _chair(builder: MeshBuilder, near: float) -> None:
    middle = near - 0.25
    builder.box((-0.21, middle - 0.2, 0.43), (0.21, middle + 0.2, 0.46), _CHAIR)
    builder.box((-0.20, middle - 0.23, 0.60), (0.20, middle - 0.20, 0.88), _CHAIR)
    for x in (-0.19, 0.19):
        builder.capsule((x, middle - 0.21, 0.02), (x, middle - 0.22, 0.85), (0.012, 0.012), _METAL, sides=6)
        builder.capsule((x, middle + 0.18, 0.02), (x, middle + 0.17, 0.43), (0.012, 0.012), _METAL, sides=6)
