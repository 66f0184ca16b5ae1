"""The axis that every timeline stands on, on pages, in pictures and on paper: round local times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class RoundTime:
    """A round moment of the site's clock, and how it is written."""

    at: datetime
    label: str


def round_times(starts_at: datetime, ends_at: datetime, zone: tzinfo, most: int) -> list[RoundTime]:
    """Evenly spaced, counted from the day's midnight in ``zone``, about ``most`` of them at the most."""
    length_s = (ends_at - starts_at).total_seconds()
    step_s = next((step for step in _STEPS_S if length_s / step <= most), _STEPS_S[-1])
    form = "%H:%M:%S" if step_s < 60 else "%H:%M"
    midnight = starts_at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    since_s = (starts_at - midnight).total_seconds()
    at = midnight + timedelta(seconds=-(-since_s // step_s) * step_s)
    found = []
    while at <= ends_at:
        found.append(RoundTime(at, f"{at.astimezone(zone):{form}}"))
        at += timedelta(seconds=step_s)
    return found
