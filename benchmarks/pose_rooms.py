"""Random exam rooms with desk cards, a camera that hangs otherwise than stated, and what it sees of the cards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import MODULES, CardFace, card_faces
from kaozheng_coverage.distortion import LensModel
from kaozheng_coverage.lens import Lens, calibrated_lens, fit_lens
from kaozheng_coverage.pose import changed, turn
from kaozheng_coverage.projection import axes, project
from kaozheng_coverage.room import Desk, Room, Seat
from kaozheng_vision.markers import Marker, find_markers

Array = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

# A marker is found from this size on (mean side) and up to this angle off its front: what find_markers does on the
# rendered pictures here.
FOUND_FROM_PX = 17.0
FOUND_TO_DEG = 65.0
# What corners of rendered markers are off, along each axis: of large ones, and below which size more as its square.
CORNER_PX, SMALL_PX = 0.07, 23.0
# Cards that a person or a screen hides.
HIDDEN = 0.15
# The stated pose is off by so much (standard deviations, each way).
OFF_M, OFF_DEG = 0.10, 3.0
DESK_DEG = 1.0
# Cards are put down and folded by hand, and printed a little larger or smaller, all alike.
CARD_TURN_DEG, CARD_LEAN_DEG, PRINT = 3.0, 2.0, 0.01
_SUBPIXELS = 4
_BLUR_PX = 0.7
_NOISE = 3.0
_JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Trial:
    """``room`` is the plan, ``stands`` what is really there; ``faces`` are the plan's and the real cards, in order."""

    seed: int
    room: Room
    stated: Camera
    true: Camera
    faces: tuple[CardFace, ...]
    real_faces: tuple[CardFace, ...]

    def random(self, what: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, what))


def trial(seed: int, desk_m: float, desk_deg: float = DESK_DEG) -> Trial:
    """Even seeds have the 106 degree f-theta lens of a datasheet, odd ones a calibrated Brown-Conrady lens."""
    random = np.random.default_rng(seed)
    columns, rows = random.integers(4, 8), random.integers(3, 7)
    step = np.array([random.uniform(1.5, 2.0), random.uniform(1.1, 1.45)])
    width = float(columns * step[0] + random.uniform(0.4, 1.5))
    depth = float(rows * step[1] + random.uniform(2.0, 3.5))
    desk = Desk(1.3, 0.6, 0.75)
    first = np.array([(width - (columns - 1) * step[0]) / 2, depth - 2.2])
    seats = tuple(
        Seat(f"{row * columns + column + 1:02d}", _point(first + step * (column, -row)), 0.0, desk, None)
        for row in range(rows)
        for column in range(columns)
    )
    boundary = ((0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth))
    room = Room("bench", "bench", boundary, 3.2, (), seats, ())
    front, left = random.random() < 0.5, random.random() < 0.5
    place = np.array(
        [0.25 if left else width - 0.25, depth - 0.25 if front else 0.25, random.uniform(2.5, 3.0)]
    )
    aim = np.array([width * random.uniform(0.4, 0.6), depth * random.uniform(0.35, 0.55), 0.8])
    lens = _lens(seed, random)
    stated = Camera("camera", _point3(place), _point3(aim), lens, float(random.normal(0, 0.5)))
    zoom = math.log(1 + random.uniform(-lens.spread / 2, lens.spread / 2))
    turned = random.normal(0.0, math.radians(OFF_DEG), 3)
    true = changed(stated, np.array([*random.normal(0.0, OFF_M, 3), *turned, zoom]))
    stands = replace(
        room,
        seats=tuple(
            replace(
                seat,
                centre=_point(np.asarray(seat.centre) + random.normal(0, desk_m, 2)),
                bearing_deg=seat.bearing_deg + float(random.normal(0, desk_deg)),
            )
            for seat in seats
        ),
    )
    return Trial(seed, room, stated, true, card_faces(room), _by_hand(card_faces(stands), random))


def _by_hand(faces: Sequence[CardFace], random: np.random.Generator) -> tuple[CardFace, ...]:
    """Cards as they really stand and were printed."""
    printed = 1 + random.normal(0, PRINT)
    found = []
    for face in faces:
        middle = face.corners.mean(axis=0)
        facing = face.normal[:2] / np.linalg.norm(face.normal[:2])
        lean = math.radians(random.normal(0, CARD_LEAN_DEG)) * np.array([-facing[1], facing[0], 0.0])
        upright = math.radians(random.normal(0, CARD_TURN_DEG)) * np.array([0.0, 0.0, 1.0])
        corners = middle + printed * (face.corners - middle) @ (turn(upright) @ turn(lean)).T
        found.append(replace(face, corners_m=tuple(_point3(corner) for corner in corners)))
    return tuple(found)


def _lens(seed: int, random: np.random.Generator) -> Lens:
    if seed % 2 == 0:
        return fit_lens(1920, 1080, 106.4, 57.9, 124.6)
    focal = float(random.uniform(950, 1250))
    middle = (960 + float(random.normal(0, 12)), 540 + float(random.normal(0, 12)))
    bent = (-0.28 + float(random.normal(0, 0.02)), 0.075, 4e-4, -3e-4, -0.008)
    return calibrated_lens(LensModel.BROWN_CONRADY, 1920, 1080, (focal, focal), middle, bent, 0.005)


def outline_errors(one: Trial, found: Camera) -> list[float]:
    """For each seat of the plan in the picture: mean distance, pixels, between its corners (desk top, and head
    and shoulders as a box) by the true camera and by the calibrated one.
    """
    errors = []
    for seat in one.room.seats:
        x, y = seat.centre
        desk = [(x + dx, y + dy, seat.desk.height_m) for dx in (-0.65, 0.65) for dy in (-0.3, 0.3)]
        sitter = [
            (x + dx, y - 0.5 + dy, z) for dx in (-0.25, 0.25) for dy in (-0.15, 0.15) for z in (0.95, 1.35)
        ]
        points = np.array(desk + sitter)
        true = project(one.true, points)
        if one.true.lens.inside(true).all():
            errors.append(float(np.linalg.norm(project(found, points) - true, axis=1).mean()))
    return errors


def shown(one: Trial) -> list[int]:
    """Which of the cards face the camera, are in the picture, large enough and not hidden."""
    random = one.random(1)
    found = []
    for index, face in enumerate(one.real_faces):
        pixels = project(one.true, face.corners)
        sight = np.asarray(one.true.position_m) - face.corners.mean(axis=0)
        cosine = float(sight @ face.normal) / float(np.linalg.norm(sight))
        hidden = random.random() < HIDDEN
        if cosine < math.cos(math.radians(FOUND_TO_DEG)) or not one.true.lens.inside(pixels).all() or hidden:
            continue
        side = float(np.linalg.norm(np.roll(pixels, -1, axis=0) - pixels, axis=1).mean())
        if side >= FOUND_FROM_PX:
            found.append(index)
    return found


def projected(one: Trial) -> list[tuple[CardFace, Marker]]:
    """The plan's cards with the real ones' corners, off by the noise of corners in rendered pictures."""
    random = one.random(2)
    found = []
    for index in shown(one):
        pixels = project(one.true, one.real_faces[index].corners)
        side = float(np.linalg.norm(np.roll(pixels, -1, axis=0) - pixels, axis=1).mean())
        sigma_px = CORNER_PX * max(1.0, (SMALL_PX / side) ** 2)
        found.append(
            (
                one.faces[index],
                Marker(one.faces[index].marker_id, pixels + random.normal(0, sigma_px, (4, 2))),
            )
        )
    return found


def rendered(one: Trial) -> tuple[Grey, list[tuple[CardFace, Marker]]]:
    """A picture of the cards and what is found in it."""
    picture = render(one, shown(one))
    faces = {face.marker_id: face for face in one.faces}
    return picture, [(faces[marker.id], marker) for marker in find_markers(picture) if marker.id in faces]


def render(one: Trial, which: list[int]) -> Grey:
    """White cards with markers on a floor of coarse patches: each pixel the mean of 16 rays, then lens blur, noise
    and JPEG.
    """
    camera, random = one.true, one.random(3)
    patches = random.uniform(60, 150, (28, 48)).astype(np.float32)
    picture = cv2.resize(
        patches, (camera.lens.width_px, camera.lens.height_px), interpolation=cv2.INTER_CUBIC
    )
    for index in which:
        _paint(
            picture,
            camera,
            one.real_faces[index],
            float(random.uniform(150, 235)),
            float(random.uniform(15, 45)),
        )
    picture = cv2.GaussianBlur(picture, (0, 0), _BLUR_PX)
    noisy = np.clip(np.rint(picture + random.normal(0, _NOISE, picture.shape)), 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done  # noqa: S101
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _paint(
    picture: npt.NDArray[np.float32], camera: Camera, face: CardFace, white: float, black: float
) -> None:
    modules = _modules(face.marker_id)
    corners = face.corners
    side_m = float(np.linalg.norm(corners[1] - corners[0]))
    right, down = (corners[1] - corners[0]) / side_m, (corners[3] - corners[0]) / side_m
    border_m = 1.5 * side_m / MODULES
    sheet = [
        corners[0] + x * right + y * down
        for x in (-border_m, side_m + border_m)
        for y in (-border_m, side_m + border_m)
    ]
    pixels = project(camera, np.stack(sheet))
    if not np.isfinite(pixels).all():
        return
    low = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(
        np.ceil(pixels.max(axis=0)).astype(int) + 2, (camera.lens.width_px, camera.lens.height_px)
    )
    if (high <= low).any():
        return
    columns, rows = high - low
    steps = (np.arange(max(columns, rows) * _SUBPIXELS) + 0.5) / _SUBPIXELS
    x, y = np.meshgrid(low[0] + steps[: columns * _SUBPIXELS], low[1] + steps[: rows * _SUBPIXELS])
    rays = camera.lens.unproject(np.stack([x.ravel(), y.ravel()], axis=1)) @ axes(camera)
    position = np.asarray(camera.position_m)
    far = ((corners[0] - position) @ face.normal) / (rays @ face.normal)
    on_card = position + far[:, None] * rays - corners[0]
    across, along = on_card @ right, on_card @ down
    inside = (np.minimum(across, along) > -border_m) & (np.maximum(across, along) < side_m + border_m)
    column = np.floor(across / side_m * MODULES).astype(int)
    row = np.floor(along / side_m * MODULES).astype(int)
    printed = (column >= 0) & (column < MODULES) & (row >= 0) & (row < MODULES)
    dark = printed & modules[np.clip(row, 0, MODULES - 1), np.clip(column, 0, MODULES - 1)]
    luma = np.where(dark, black, white)
    shape = (rows, _SUBPIXELS, columns, _SUBPIXELS)
    share = inside.reshape(shape).mean(axis=(1, 3))
    painted = (luma * inside).reshape(shape).mean(axis=(1, 3))
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[:] = part * (1 - share) + painted


def _modules(marker_id: int) -> npt.NDArray[np.bool_]:
    """(8, 8) which modules are black."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
    return np.asarray(cv2.aruco.generateImageMarker(dictionary, marker_id, MODULES) < 128)


def _point(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _point3(values: Array) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
