"""What would be deleted now, what is kept although its time is over and why, and when the disk will be full."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kaozheng_service.cases.holds import Kept
from kaozheng_service.clock import to_text
from kaozheng_service.database import Segment, Take, Window
from kaozheng_service.recording.forecast import GB
from kaozheng_service.retention.due import footage_of, stored_units
from kaozheng_service.station import Station

# The season's rate is that of the last year: exams come by seasons, and a week says nothing.
SEASON = timedelta(days=365)
# Beyond this a date would promise what nobody knows.
FARTHEST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class BatchDue:
    """A batch with what of it is due. ``kept`` counts files by what keeps them, a hold's or case's id."""

    batch: str
    due_on: date
    is_due: bool
    files: int
    bytes: int
    kept_files: int
    kept_bytes: int
    kept: dict[str, int]

    @property
    def deletable_files(self) -> int:
        return self.files - self.kept_files if self.is_due else 0

    @property
    def deletable_bytes(self) -> int:
        return self.bytes - self.kept_bytes if self.is_due else 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Days are None where nothing was recorded in the last year, or beyond ten years.

    ``bytes_per_day`` is over all days since the season's first, exams or not; ``bytes_per_exam_day`` over those with
    footage. ``full_with_retention_on`` is the day if what is due is deleted when it is due.
    """

    free_bytes: int
    reserve_bytes: int
    bytes_per_day: float | None
    bytes_per_exam_day: float | None
    full_on: date | None
    full_with_retention_on: date | None
    frees_now_bytes: int


@dataclass(frozen=True, slots=True)
class RetentionPreview:
    at: datetime
    batches: tuple[BatchDue, ...]
    outlook: Outlook


def preview_retention(
    station: Station, present: datetime, *, free_bytes: int | None = None
) -> RetentionPreview:
    """Nothing is written. ``free_bytes`` is asked of the archive's disk when left out."""
    today = present.astimezone(station.site.zone).date()
    kept = Kept(station)
    batches = []
    with station.sessions() as session:
        for unit in stored_units(station.site, session):
            files = size = kept_files = kept_bytes = 0
            by: Counter[str] = Counter()
            for one in footage_of(session, unit.windows):
                files, size = files + 1, size + one.bytes
                if keepers := kept.by(one.room, one.camera, one.starts_at, one.ends_at):
                    kept_files, kept_bytes = kept_files + 1, kept_bytes + one.bytes
                    by.update(keepers)
            if files:
                due = BatchDue(
                    unit.batch,
                    unit.due_on,
                    unit.due_on <= today,
                    files,
                    size,
                    kept_files,
                    kept_bytes,
                    dict(by),
                )
                batches.append(due)
        free = shutil.disk_usage(station.archive).free if free_bytes is None else free_bytes
        outlook = _outlook(station, session, batches, present, free)
    return RetentionPreview(present, tuple(batches), outlook)


def preview_json(found: RetentionPreview) -> dict[str, Any]:
    """Schema ``kaozheng/retention/1``."""
    look = found.outlook
    return {
        "schema": "kaozheng/retention/1",
        "at": to_text(found.at),
        "batches": [
            {
                "batch": one.batch,
                "due_on": one.due_on.isoformat(),
                "is_due": one.is_due,
                "files": one.files,
                "bytes": one.bytes,
                "kept_files": one.kept_files,
                "kept_bytes": one.kept_bytes,
                "kept_by": one.kept,
                "deletable_files": one.deletable_files,
                "deletable_bytes": one.deletable_bytes,
            }
            for one in found.batches
        ],
        "outlook": {
            "free_bytes": look.free_bytes,
            "reserve_bytes": look.reserve_bytes,
            "bytes_per_day": look.bytes_per_day,
            "bytes_per_exam_day": look.bytes_per_exam_day,
            "full_on": look.full_on.isoformat() if look.full_on is not None else None,
            "full_with_retention_on": look.full_with_retention_on.isoformat()
            if look.full_with_retention_on is not None
            else None,
            "frees_now_bytes": look.frees_now_bytes,
        },
    }


def full_day(
    today: date, usable_bytes: float, bytes_per_day: float, freed: list[tuple[date, int]]
) -> date | None:
    """The first day on which ``usable_bytes`` are written; None within ten years.

    Parameters
    ----------
    freed : what is freed on which day; what is due already counts for today
    """
    left, day = usable_bytes, today
    for due, size in [*sorted(freed), (today + timedelta(days=FARTHEST_DAYS), 0)]:
        due = min(max(due, today), today + timedelta(days=FARTHEST_DAYS))
        days = (due - day).days
        if bytes_per_day * days > left:
            return day + timedelta(days=max(int(left // bytes_per_day), 0))
        left, day = left - bytes_per_day * days + size, due
    return None


def _outlook(
    station: Station, session: Session, batches: list[BatchDue], present: datetime, free: int
) -> Outlook:
    today = present.astimezone(station.site.zone).date()
    reserve = round(station.site.storage.reserve_gb * GB)
    rows = session.execute(
        select(Window.starts_at, func.sum(Segment.bytes))
        .join(Take, Take.window_id == Window.id)
        .join(Segment, Segment.take_id == Take.id)
        .where(Window.starts_at >= present - SEASON, Window.starts_at < present)
        .group_by(Window.id)
    ).all()
    now_bytes = sum(one.deletable_bytes for one in batches)
    if not rows:
        return Outlook(free, reserve, None, None, None, None, now_bytes)
    days = {starts_at.astimezone(station.site.zone).date() for starts_at, _ in rows}
    total = sum(size for _, size in rows)
    rate = total / ((today - min(days)).days + 1)
    freed = [(one.due_on, one.bytes - one.kept_bytes) for one in batches]
    return Outlook(
        free_bytes=free,
        reserve_bytes=reserve,
        bytes_per_day=rate,
        bytes_per_exam_day=total / len(days),
        full_on=full_day(today, free - reserve, rate, []),
        full_with_retention_on=full_day(today, free - reserve, rate, freed),
        frees_now_bytes=now_bytes,
    )
