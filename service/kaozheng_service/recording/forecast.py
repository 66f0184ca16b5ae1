"""Will the disk hold what is still to be recorded? Told days before, from what the cameras really write."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import accumulate
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.clock import to_text
from kaozheng_service.database import Window
from kaozheng_service.recording.rates import Basis, Rate, camera_rates
from kaozheng_service.station import Station

SCHEMA = "kaozheng/disk/1"
EXAM_KINDS = ("theory", "practical")
# Today and the six days after it: in a week a disk can be bought.
DAYS = 7
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Demand:
    """A window that is not over, with the rate of each of its cameras."""

    window: str
    room: str
    title: str
    kind: str
    starts_at: datetime
    ends_at: datetime
    rates: tuple[tuple[str, Rate], ...]

    @property
    def is_exam(self) -> bool:
        return self.kind in EXAM_KINDS

    def needed_bytes(self, present: datetime) -> float:
        """What is still to be written of it."""
        left_s = (self.ends_at - max(self.starts_at, present)).total_seconds()
        return max(left_s, 0.0) * sum(rate.bytes_per_s for _, rate in self.rates)


@dataclass(frozen=True, slots=True)
class DayOutlook:
    """The windows that begin on a day of the site; what runs already counts for today.

    ``usable_bytes`` is what is left for them of the free space less the reserve; below 0 where days before need
    more than there is. ``left_bytes`` is what is left after them.
    """

    on: date
    windows: int
    needed_bytes: float
    usable_bytes: float
    left_bytes: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """``first_short`` is the first window, by begin, that would not be recorded to its end; None where all fit.

    ``exams_short_bytes`` is what would lack were exams alone recorded; ``rates`` are by room and camera.
    """

    at: datetime
    free_bytes: float
    reserve_bytes: float
    days: tuple[DayOutlook, ...]
    first_short: Demand | None
    short_bytes: float
    exams_short_bytes: float
    rates: dict[tuple[str, str], Rate]

    @property
    def fits(self) -> bool:
        return self.first_short is None

    @property
    def needed_bytes(self) -> float:
        return sum(day.needed_bytes for day in self.days)

    @property
    def left_bytes(self) -> float:
        """After all of it; below 0 where it is short."""
        return self.free_bytes - self.reserve_bytes - self.needed_bytes

    def assumed(self) -> list[str]:
        """Cameras that were never measured, as ``room/camera``."""
        return [f"{room}/{one}" for (room, one), rate in self.rates.items() if rate.basis is Basis.ASSUMED]


def forecast(
    demands: Iterable[Demand],
    *,
    present: datetime,
    free_bytes: float,
    reserve_bytes: float,
    zone: tzinfo,
) -> Forecast:
    """Fill the disk with ``demands`` in the order of their begin. Bytes; ``zone`` is the site's, for its days."""
    ordered = sorted(demands, key=lambda one: (one.starts_at, one.window))
    usable = free_bytes - reserve_bytes
    today = present.astimezone(zone).date()
    by_day: dict[date, list[Demand]] = {today: []}
    for one in ordered:
        by_day.setdefault(max(one.starts_at.astimezone(zone).date(), today), []).append(one)
    days, left = [], usable
    for day in (today + timedelta(days=n) for n in range((max(by_day) - today).days + 1)):
        there = by_day.get(day, [])
        needed = sum(one.needed_bytes(present) for one in there)
        days.append(DayOutlook(day, len(there), needed, left, left - needed))
        left -= needed
    totals = accumulate(one.needed_bytes(present) for one in ordered)
    late = (one for one, total in zip(ordered, totals, strict=True) if total > max(usable, 0.0))
    exams = sum(one.needed_bytes(present) for one in ordered if one.is_exam)
    first_short = next(late, None)
    return Forecast(
        at=present,
        free_bytes=free_bytes,
        reserve_bytes=reserve_bytes,
        days=tuple(days),
        first_short=first_short,
        short_bytes=max(-left, 0.0) if first_short is not None else 0.0,
        exams_short_bytes=max(exams - usable, 0.0) if exams else 0.0,
        rates={(one.room, camera): rate for one in ordered for camera, rate in one.rates},
    )


def activities_to_stop(
    running: Sequence[Demand], exams: Iterable[Demand], *, present: datetime, free_bytes: float
) -> list[Demand]:
    """Which of the ``running`` windows that are no exam must end so that ``exams`` fit, the newest first.

    The reserve is there to be used by exams. The oldest activity is kept longest: most of it is recorded already.
    """
    room = free_bytes - sum(one.needed_bytes(present) for one in exams)
    others = [one for one in running if not one.is_exam]
    stopped: list[Demand] = []
    for one in sorted(others, key=lambda one: (one.starts_at, one.window)):
        room -= one.needed_bytes(present)
        if room < 0:
            stopped.insert(0, one)
    return stopped


def stored_demands(session: Session, present: datetime, until: datetime) -> list[Demand]:
    """Windows that begin before ``until`` and are neither over, closed nor cancelled."""
    query = select(Window).where(
        Window.ends_at > present,
        Window.starts_at < until,
        Window.cancelled_at.is_(None),
        Window.closed_leaf.is_(None),
    )
    windows = session.scalars(query.order_by(Window.starts_at, Window.id)).all()
    rates = camera_rates(session, [(one.room_id, camera) for one in windows for camera in one.cameras])
    return [
        Demand(
            window=one.id,
            room=one.room_id,
            title=one.title,
            kind=one.kind,
            starts_at=one.starts_at,
            ends_at=one.ends_at,
            rates=tuple((camera, rates[one.room_id, camera]) for camera in one.cameras),
        )
        for one in windows
    ]


def forecast_disk(station: Station, present: datetime, *, free_bytes: float | None = None) -> Forecast:
    """The outlook for today and six days more. ``free_bytes`` is asked of the archive's disk when left out.

    Raises
    ------
    OSError : the archive's disk does not answer
    """
    zone = station.site.zone
    today = present.astimezone(zone).date()
    until = datetime.combine(today + timedelta(days=DAYS), time(), zone)
    with station.sessions() as session:
        demands = stored_demands(session, present, until)
    return forecast(
        demands,
        present=present,
        free_bytes=shutil.disk_usage(station.archive).free if free_bytes is None else free_bytes,
        reserve_bytes=station.site.storage.reserve_gb * GB,
        zone=zone,
    )


def forecast_json(found: Forecast) -> dict[str, Any]:
    """Schema ``kaozheng/disk/1``; bytes are whole."""
    short = found.first_short
    return {
        "schema": SCHEMA,
        "at": to_text(found.at),
        "fits": found.fits,
        "free_bytes": round(found.free_bytes),
        "reserve_bytes": round(found.reserve_bytes),
        "needed_bytes": round(found.needed_bytes),
        "left_bytes": round(found.left_bytes),
        "short_bytes": round(found.short_bytes),
        "exams_short_bytes": round(found.exams_short_bytes),
        "first_short": None
        if short is None
        else {
            "window": short.window,
            "room": short.room,
            "title": short.title,
            "from": to_text(short.starts_at),
        },
        "days": [
            {
                "date": day.on.isoformat(),
                "windows": day.windows,
                "needed_bytes": round(day.needed_bytes),
                "usable_bytes": round(day.usable_bytes),
                "left_bytes": round(day.left_bytes),
            }
            for day in found.days
        ],
        "cameras": [
            {
                "room": room,
                "camera": camera,
                "bytes_per_s": round(rate.bytes_per_s),
                "basis": rate.basis.value,
            }
            for (room, camera), rate in sorted(found.rates.items())
        ],
    }
