"""Probing a building of cameras at once: against the slowest of them alone, on a real RTSP server."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

from kaozheng_service.rehearsal import RehearsalServer, gstreamer_python
from kaozheng_vision.probe import ProbeResult, probe, probe_all
from kaozheng_vision.source import Source

from benchmarks.timing import Rows

CAMERAS = 30
# That the others may take longer than the slowest camera alone, s.
TARGET_S = 5.0
_CLIPS = sorted((Path(__file__).resolve().parents[1] / "sample_media").glob("*/*.mp4"))
_LOGIN = ("viewer", "bench")


def run() -> Rows:
    """30 cameras of 1080p with a digest login; then with one among them that accepts and never answers."""
    if gstreamer_python() is None:
        return [("probe 30 cameras: no RTSP server here", 0.0, 0.0, "not measured")]
    mounts = {f"/{number:02d}": _CLIPS[number % len(_CLIPS)] for number in range(CAMERAS)}
    user, password = _LOGIN
    with (
        RehearsalServer(mounts, user=user, password=password) as server,
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
    ):
        sources = {mount: Source(server.url(mount), *_LOGIN) for mount in mounts}
        dead = Source(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/dead", *_LOGIN)
        alone = max(_seconds(source)[0] for source in list(sources.values())[: len(_CLIPS)])
        together, results = _together(sources)
        dead_alone = _seconds(dead)[0]
        with_dead, with_dead_results = _together({**sources, "dead": dead})
    good = sum(result.ok for result in results.values())
    still_good = sum(result.ok for result in with_dead_results.values())
    slowest = max(alone, dead_alone)
    return [
        ("probe one camera alone: the slowest", alone, 1.0, "itself"),
        (f"probe {CAMERAS} cameras, {good} good", together, together / alone, _against(together - alone)),
        ("probe one that never answers", dead_alone, 1.0, "itself"),
        (
            f"probe {CAMERAS} cameras and that one, {still_good} good",
            with_dead,
            with_dead / slowest,
            _against(with_dead - slowest),
        ),
    ]


def _seconds(source: Source) -> tuple[float, ProbeResult]:
    begun_s = time.perf_counter()
    result = probe(source)
    return time.perf_counter() - begun_s, result


def _together(sources: dict[str, Source]) -> tuple[float, dict[str, ProbeResult]]:
    begun_s = time.perf_counter()
    results = probe_all({key: (source, None) for key, source in sources.items()})
    return time.perf_counter() - begun_s, results


def _against(more_s: float) -> str:
    return f"slowest alone {more_s:+.1f} s (target {TARGET_S:+.0f} s)"
