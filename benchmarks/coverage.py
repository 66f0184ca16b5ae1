"""The coverage engine: against its bare kernels, against plain numpy, and how it grows."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import shapely
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import Judge, judge_room
from kaozheng_coverage.lens import fit_lens
from kaozheng_coverage.profile import Profile
from kaozheng_coverage.rays import RayScene
from kaozheng_coverage.robustness import judge_draws
from kaozheng_coverage.room import Desk, Monitor, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.shadows import room_occluders, solids_of
from kaozheng_coverage.sight import patches_of
from kaozheng_service.config.profiles import built_in_profiles

from benchmarks.timing import Rows, median

_KERNELS = ("convex_hull", "union_all", "intersection", "difference", "contains_xy")
_SIDE = 40  # rays a side of a patch: as near to the exact fraction as half a percent


def exam_room(seats: int, cameras: int) -> tuple[Room, tuple[Camera, ...], Profile]:
    """Rows of ten computer desks, cameras spread along the walls, a seal-opening area and a door."""
    columns = 10 if seats >= 10 else seats
    rows = -(-seats // columns)
    width, depth = columns * 1.8 + 1.4, rows * 1.2 + 4.0
    desk, monitor = Desk(1.3, 0.6, 0.75), Monitor(0.54, 0.33, 0.80, 0.05, 0.20)
    placed = tuple(
        Seat(
            f"{index + 1:03d}",
            (1.6 + 1.8 * (index % columns), depth - 3.0 - 1.2 * (index // columns)),
            0.0,
            desk,
            monitor,
        )
        for index in range(seats)
    )
    middle = width / 2
    zones = (
        Zone("seal", ZoneKind.SEAL_OPENING, _box(middle - 0.8, depth - 1.3, 1.6, 0.8), 1.1, 1.5, 180.0),
        Zone("door", ZoneKind.DOOR, _box(width - 0.4, depth - 2.2, 0.4, 1.0), 0.0, 2.0, None),
    )
    boundary = ((0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth))
    room = Room("bench", "bench", boundary, 3.2, (), placed, zones)
    lens = fit_lens(1920, 1080, 106.4, 57.9, 124.6)
    around = shapely.box(0.25, 0.25, width - 0.25, depth - 0.25).exterior
    spots = [around.interpolate(index / cameras, normalized=True) for index in range(cameras)]
    aim = (middle, depth / 2, 0.9)
    return (
        room,
        tuple(Camera(f"c{index}", (spot.x, spot.y, 2.9), aim, lens) for index, spot in enumerate(spots)),
        built_in_profiles()["theory"],
    )


def verdicts() -> Rows:
    """A nominal verdict as a multiple of its bare kernels, and numpy's slab test as a multiple of it."""
    rows: Rows = []
    for seats, cameras in ((30, 3), (60, 6)):
        room, eyes, profile = exam_room(seats, cameras)

        def judge(room: Room = room, eyes: tuple[Camera, ...] = eyes, profile: Profile = profile) -> object:
            return judge_room(room, eyes, profile, mends=False)

        kernels = _recorded(judge)
        bare = median(lambda calls=kernels: [call() for call in calls])  # type: ignore[misc]
        judged = median(judge)
        what = f"{seats} seats, {cameras} cameras"
        rows.append((f"bare kernels: {what}", bare, 1.0, "itself"))
        rows.append((f"verdict: {what}", judged, judged / bare, "bare kernels (target 1.5)"))
        if seats == 30:
            slabs = median(lambda: _slab_test(room, eyes), runs=1)  # noqa: B023
            rows.append((f"numpy slab test: {what}", slabs, slabs / judged, "verdict (target 100)"))
            drawn = judge_room(room, eyes, profile, mends=False)
            many = median(lambda: judge_draws(room, eyes, profile, drawn), runs=1)  # noqa: B023
            rows.append(("59 draws of the same", many, many / judged, "verdict (target 20)"))
    return rows


def growth() -> Rows:
    """Time and memory a seat-camera pair: more seats of one room of 300, and more cameras, its occluders held."""
    room, eyes, profile = exam_room(300, 12)
    rows: Rows = []
    base = 0.0
    for seats, cameras in ((10, 3), (30, 3), (100, 3), (300, 3), (30, 2), (30, 6), (30, 12)):

        def judge(seats: int = seats, cameras: int = cameras) -> None:
            Judge(room, profile).targets(room.seats[:seats], eyes[:cameras])

        took = median(judge, runs=3)
        tracemalloc.start()
        judge()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        each = took / (seats * cameras)
        base = base or each
        memory_kb = peak / (seats * cameras) / 1e3
        rows.append(
            (
                f"{seats} seats x {cameras} cameras: {each * 1e3:.2f} ms, {memory_kb:.0f} kB a pair",
                took,
                each / base,
                "a pair of 10 x 3",
            )
        )
    return rows


def ten_rooms() -> Rows:
    """Ten rooms of thirty seats with 20 draws each, on one core and on two."""
    begun = time.perf_counter()
    for number in range(10):
        _one_room(number)
    alone = time.perf_counter() - begun
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_one_room, range(2)))  # both started and warm
        begun = time.perf_counter()
        list(pool.map(_one_room, range(10)))
        together = time.perf_counter() - begun
    return [
        ("ten rooms, 20 draws each, one core", alone, 1.0, "itself"),
        ("the same on two cores", together, alone / together, "times as fast (target 1.7)"),
    ]


def _one_room(number: int) -> int:
    room, eyes, profile = exam_room(30, 3)
    verdict = judge_room(room, eyes, profile, mends=False)
    return judge_draws(room, eyes, profile, verdict, draws=20).passed


def _recorded(run: Callable[[], object]) -> list[Callable[[], object]]:
    """The calls that a run makes of shapely's set operations and of Embree, to be made again by themselves."""
    calls: list[Callable[[], object]] = []
    kept: dict[str, Any] = {name: getattr(shapely, name) for name in _KERNELS}
    rays = RayScene.hits

    def recorder(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            calls.append(lambda: original(*arguments, **options))
            return original(*arguments, **options)

        return call

    try:
        for name in _KERNELS:
            setattr(shapely, name, recorder(kept[name]))
        RayScene.hits = recorder(rays)  # type: ignore[method-assign, assignment]
        run()
    finally:
        for name in _KERNELS:
            setattr(shapely, name, kept[name])
        RayScene.hits = rays  # type: ignore[method-assign]
    return calls


def _slab_test(room: Room, cameras: tuple[Camera, ...]) -> float:
    """The sum of the same patches' visible fractions by the slab test of rays against boxes (Kay and Kajiya 1986)."""
    solids = solids_of(room_occluders(room))
    low = np.column_stack([solids.rings.min(axis=1), solids.bottoms])
    high = np.column_stack([solids.rings.max(axis=1), solids.tops])
    share = (np.arange(_SIDE) + 0.5) / _SIDE
    total = 0.0
    for camera in cameras:
        eye = np.asarray(camera.position_m)
        for seat in room.seats:
            for patches in patches_of(seat, eye).values():
                for patch in patches:
                    left, bottom, right, top = patch.outline.bounds
                    grid = np.stack(
                        np.meshgrid(left + share * (right - left), bottom + share * (top - bottom)), axis=-1
                    )
                    ways = patch.to_room(grid.reshape(-1, 2)) - eye
                    foreign = solids.without(patch.own)
                    with np.errstate(divide="ignore", invalid="ignore"):
                        near = (low[foreign] - eye) / ways[:, None, :]
                        far = (high[foreign] - eye) / ways[:, None, :]
                    enters = np.minimum(near, far).max(axis=2)
                    leaves = np.maximum(near, far).min(axis=2)
                    hidden = ((enters <= leaves) & (leaves > 0) & (enters < 1 - 1e-4)).any(axis=1)
                    total += 1 - float(hidden.mean())
    return total


def _box(x: float, y: float, width: float, depth: float) -> tuple[tuple[float, float], ...]:
    return ((x, y), (x + width, y), (x + width, y + depth), (x, y + depth))
