"""Timing for the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

# (what, seconds, ratio, against what)
Rows = list[tuple[str, float, float, str]]


def median(run: Callable[[], object], runs: int = 5) -> float:
    """Seconds of the median of some runs, after one that warms up where there are several."""
    if runs > 1:
        run()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return sorted(times)[len(times) // 2]
