"""When a segment was recorded: arrival at our clock, smoothed by the camera's time stamps.

A frame can arrive late but never early, so of all arrivals the least delayed one dates a file (Moonfire NVR's
rule). Within a take files follow each other by the stream's own time; a camera's clock that runs fast or slow
is followed by at most 500 ppm.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# NTP slews by at most 500 ppm and crystals are within 100; so a larger correction would be noise.
LARGEST_RATE = 500e-6
# A second without a picture is a hole in a record of an exam.
HOLE_S = 1.0
# Times are promised within 1 s. Stream time and arrival further apart than that: a new time run.
NEW_RUN_S = 1.0
# Pictures that come late, from a network that is slow for a while, are no other time: so many files in a row must be.
LATE_FILES = 3


class ArrivalClock:
    """For each file of one take, the earliest moment at which it can have begun."""

    def __init__(self) -> None:
        self._begins: dict[int, float] = {}
        self._ends: dict[int, float] = {}
        self._holes: dict[int, float] = {}
        self._jumped: dict[int, float] = {}
        self._late = 0

    def is_late(self, off_s: float) -> bool:
        """Whether a file that arrived ``off_s`` after its stream's own time is late, and not of another time.

        A picture can come late and never early, so the stream's unbroken time is believed first; where arrival stays
        behind it file after file, it is not lateness. Asked once a file, in order.
        """
        self._late = self._late + 1 if off_s > NEW_RUN_S else 0
        return 0 < self._late < LATE_FILES

    def observe(self, number: int, arrived: float, media_s: float, hole_s: float = 0.0) -> None:
        """File ``number`` held ``media_s`` when it was last written, at ``arrived`` (s since the epoch), of which
        ``hole_s`` without a picture.

        A new hole that nobody waited for is none: the camera's time stamps jumped on, and its length is no time.
        """
        jumped_s = self._jumped.get(number, 0.0)
        begin = arrived - (media_s - jumped_s)
        new_s = hole_s - self._holes.get(number, 0.0)
        expected = self._begins.get(number, self._ends.get(number - 1))
        if new_s >= HOLE_S and expected is not None and begin < expected - new_s / 2:
            jumped_s += new_s
            begin += new_s
            self._jumped[number] = jumped_s
        self._holes[number] = hole_s
        self._begins[number] = min(self._begins.get(number, begin), begin)
        self._ends[number] = self._begins[number] + media_s - jumped_s

    def jumped_s(self, number: int) -> float:
        """By how much the camera's time stamps jumped on within the file, s."""
        return self._jumped.get(number, 0.0)

    def begin(self, number: int) -> datetime | None:
        """None for a file that was never seen growing."""
        return datetime.fromtimestamp(self._begins[number], UTC) if number in self._begins else None

    def seen(self) -> frozenset[int]:
        """The files that were seen growing since the clock was last set."""
        return frozenset(self._begins)

    def restart(self) -> None:
        """Forget what was seen: our clock was set, so older arrivals are in another time."""
        self._begins.clear()
        self._ends.clear()


def segment_span(
    *,
    previous_end: datetime | None,
    hole_s: float,
    arrival: datetime,
    duration_s: float,
    is_late: Callable[[float], bool] = lambda _off_s: False,
) -> tuple[datetime, datetime, float]:
    """Start, end, and the size of the step in s if a new time run begins here (else 0).

    Parameters
    ----------
    previous_end : end of the segment before in this take; None for the first
    hole_s : media time missing between that one and this
    arrival : when it began, by the least delayed arrival
    is_late : whether so many seconds between arrival and the stream's time are lateness, which moves nothing
    """
    if previous_end is None:
        return rounded(arrival), rounded(arrival + timedelta(seconds=duration_s)), 0.0
    start = previous_end + timedelta(seconds=hole_s)
    off_s = (arrival - start).total_seconds()
    if not is_late(off_s) and abs(off_s) > NEW_RUN_S:
        return rounded(arrival), rounded(arrival + timedelta(seconds=duration_s)), off_s
    most_s = LARGEST_RATE * duration_s
    length_s = duration_s + min(max(off_s, -most_s), most_s)
    return rounded(start), rounded(start + timedelta(seconds=length_s)), 0.0


def rounded(moment: datetime) -> datetime:
    """To the millisecond, as records carry it, so that row and record never differ."""
    return datetime.fromtimestamp(round(moment.timestamp() * 1000) / 1000, UTC)
