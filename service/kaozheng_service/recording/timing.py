"""When a segment was recorded: arrival at our clock, smoothed by the camera's time stamps.

A frame can arrive late but never early, so of all arrivals the least delayed one dates a file (Moonfire NVR's
rule). Within a take files follow each other by the stream's own time; a camera's clock that runs fast or slow
is followed by at most 500 ppm.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# NTP slews by at most 500 ppm and crystals are within 100; so a larger correction would be noise.
LARGEST_RATE = 500e-6
# Times are promised within 1 s. Stream time and arrival further apart than that: a new time run.
NEW_RUN_S = 1.0


class ArrivalClock:
    """For each file of one take, the earliest moment at which it can have begun."""

    def __init__(self) -> None:
        self._begins: dict[int, float] = {}
        self._sightings: dict[int, int] = {}

    def observe(self, number: int, arrived: float, media_s: float) -> None:
        """File ``number`` held ``media_s`` when it was last written, at ``arrived`` (s since the epoch)."""
        begin = arrived - media_s
        self._begins[number] = min(self._begins.get(number, begin), begin)
        self._sightings[number] = self._sightings.get(number, 0) + 1

    def begin(self, number: int) -> datetime | None:
        """None for a file that was never seen growing."""
        return datetime.fromtimestamp(self._begins[number], UTC) if number in self._begins else None

    def sightings(self, number: int) -> int:
        return self._sightings.get(number, 0)

    def restart(self) -> None:
        """Forget what was seen: our clock was set, so older arrivals are in another time."""
        self._begins.clear()
        self._sightings.clear()


def segment_span(
    *, previous_end: datetime | None, hole_s: float, arrival: datetime, duration_s: float
) -> tuple[datetime, datetime, float]:
    """Start, end, and the size of the step in s if a new time run begins here (else 0).

    Parameters
    ----------
    previous_end : end of the segment before in this take; None for the first
    hole_s : media time missing between that one and this
    arrival : when it began, by the least delayed arrival
    """
    if previous_end is None:
        return rounded(arrival), rounded(arrival + timedelta(seconds=duration_s)), 0.0
    start = previous_end + timedelta(seconds=hole_s)
    off_s = (arrival - start).total_seconds()
    if abs(off_s) > NEW_RUN_S:
        return rounded(arrival), rounded(arrival + timedelta(seconds=duration_s)), off_s
    most_s = LARGEST_RATE * duration_s
    length_s = duration_s + min(max(off_s, -most_s), most_s)
    return rounded(start), rounded(start + timedelta(seconds=length_s)), 0.0


def rounded(moment: datetime) -> datetime:
    """To the millisecond, as records carry it, so that row and record never differ."""
    return datetime.fromtimestamp(round(moment.timestamp() * 1000) / 1000, UTC)
