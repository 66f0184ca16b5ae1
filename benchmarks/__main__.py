"""Measure and print. A ratio compares two things done side by side here; the seconds are this machine's."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.shadows import room_occluders, solids_of
from kaozheng_coverage.sight import Vantage
from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
from kaozheng_service.config.site import load_site
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import Marked
from rich.console import Console
from rich.table import Table

SITE = Path(__file__).resolve().parents[1] / "configs" / "demo" / "site.yaml"


def main() -> int:
    """Run every measurement; 0 when all ran."""
    table = Table("what", "seconds", "ratio", "against", title="median of 5 runs")
    for rows in (_coverage(), _log(), _hashing()):
        for what, seconds, ratio, against in rows:
            table.add_row(what, f"{seconds:.4f}", f"{ratio:.2f}", against)
    Console(width=120).print(table)
    return 0


Rows = list[tuple[str, float, float, str]]


def _coverage() -> Rows:
    """The 30 seats of the demo room: exact shadows against 40 x 40 rays a patch through Embree, and with mends."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    site = load_site(SITE)
    entry = site.rooms[0]
    room, cameras, profile = room_geometry(entry), room_cameras(entry), room_profile(site, entry)
    occluders = room_occluders(room)
    solids = solids_of(occluders)

    def exact() -> None:
        for camera in cameras:
            vantage = Vantage(camera.position_m, solids)
            for seat in room.seats:
                vantage.views(seat)

    patches = [
        (np.asarray(camera.position_m), patch)
        for camera in cameras
        for seat in room.seats
        for shaded in Vantage(camera.position_m, solids).views(seat).values()
        for patch, _ in shaded
    ]

    def rays() -> None:
        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, np.concatenate([_triangles(one) for one in occluders]).astype(np.float32))
        for eye, patch in patches:
            left, bottom, right, top = patch.outline.bounds
            share = (np.arange(40) + 0.5) / 40
            grid = np.stack(
                np.meshgrid(left + share * (right - left), bottom + share * (top - bottom)), axis=-1
            )
            aims = patch.to_room(grid.reshape(-1, 2)) - eye
            origins = np.broadcast_to(eye, aims.shape).astype(np.float32)
            scene.run(origins, aims.astype(np.float32), query="DISTANCE")

    base, shadows = _median(rays), _median(exact)
    judged = _median(lambda: judge_room(room, cameras, profile, mends=False))
    mended = _median(lambda: judge_room(room, cameras, profile), runs=3)
    return [
        ("rays: 1600 a patch, Embree", base, 1.0, "itself"),
        ("shadows, exact", shadows, shadows / base, "rays"),
        ("judge a room of 30 seats, 4 cameras", judged, judged / base, "rays"),
        ("the same with mends", mended, mended / judged, "without mends"),
    ]


def _log() -> Rows:
    """A signed, synced append against a plain append with fsync."""
    moment = datetime(2024, 11, 23, tzinfo=UTC)
    record = Marked(at=moment, room="9-201", moment=moment, mark="seal_opened", note="")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        log = EvidenceLog(Path(folder) / "log", origin="bench", key=Ed25519PrivateKey.generate())
        signed = _median(lambda: [log.append(record) for _ in range(100)])
        with (Path(folder) / "plain").open("ab") as file:
            plain = _median(lambda: [_append(file) for _ in range(100)])
    return [
        ("100 plain appends with fsync", plain, 1.0, "itself"),
        ("100 log entries", signed, signed / plain, "plain appends"),
    ]


def _hashing() -> Rows:
    """SHA-256 of a segment against reading it."""
    content = np.random.default_rng(0).bytes(16_000_000)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "segment"
        path.write_bytes(content)
        read = _median(path.read_bytes)
        hashed = _median(lambda: hashlib.sha256(path.read_bytes()).digest())
    return [
        ("read a segment of 16 MB", read, 1.0, "itself"),
        ("read and hash it", hashed, hashed / read, "reading"),
    ]


def _append(file: BinaryIO) -> None:
    file.write(b"x" * 200)
    file.flush()
    os.fsync(file.fileno())


def _triangles(solid) -> np.ndarray:
    ring = np.asarray(solid.footprint)
    low = np.column_stack([ring, np.full(len(ring), solid.bottom_m)])
    high = np.column_stack([ring, np.full(len(ring), solid.top_m)])
    after = np.roll(np.arange(len(ring)), -1)
    sides = np.concatenate(
        [np.stack([low, low[after], high[after]], axis=1), np.stack([low, high[after], high], axis=1)]
    )
    lid = np.stack([np.repeat(high[:1], len(ring) - 2, axis=0), high[1:-1], high[2:]], axis=1)
    return np.concatenate([sides, lid])


def _median(run: Callable[[], object], runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    sys.exit(main())
