"""What is over its time: by batch, after the years of the site file. Nothing here deletes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.config.site import Site
from kaozheng_service.database import BackfilledSegment, BackfilledTake, Segment, Take, Window


@dataclass(frozen=True, slots=True)
class Footage:
    """A file that is kept still. ``backfilled`` tells which table ``segment_id`` is of."""

    segment_id: int
    backfilled: bool
    take: str
    window: str
    room: str
    camera: str
    number: int
    path: str
    bytes: int
    sha256: str
    starts_at: datetime
    ends_at: datetime
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Unit:
    """What goes together: the windows of a batch that are due on one day. ``batch`` is "" for windows without one."""

    batch: str
    due_on: date
    windows: tuple[str, ...]


def due_day(last: date, years: int) -> date:
    """The same day so many years later; after 29 February the 1st of March where there is no such day."""
    try:
        return last.replace(year=last.year + years)
    except ValueError:
        return date(last.year + years, 3, 1)


def units(site: Site, windows: Iterable[Window]) -> list[Unit]:
    """When the footage of each window may go, by the end of its whole batch. What is not closed has no day yet.

    One batch is one archive unit: its time begins with the end of its last window (published archive rule,
    cnjyhuafeng.com 2024). A window without a batch stands for itself.
    """
    ordered = sorted(windows, key=lambda one: one.id)
    ends: dict[str, date] = {}
    living: set[str] = set()
    for one in ordered:
        batch = one.batch or ""
        if one.is_void:
            continue
        ends[batch] = max(ends.get(batch, date.min), one.ends_at.astimezone(site.zone).date())
        if one.closed_leaf is None and batch:
            living.add(batch)
    found: dict[tuple[str, date], list[str]] = {}
    for one in ordered:
        batch = one.batch or ""
        if one.is_void or one.closed_leaf is None or batch in living:
            continue
        last = ends[batch] if batch else one.ends_at.astimezone(site.zone).date()
        day = due_day(last, site.retention.years_of(one.batch, one.kind))
        found.setdefault((batch, day), []).append(one.id)
    return [Unit(batch, day, tuple(ids)) for (batch, day), ids in sorted(found.items())]


def stored_units(site: Site, session: Session) -> list[Unit]:
    return units(site, session.scalars(select(Window)))


def footage_of(session: Session, window_ids: Iterable[str]) -> Iterator[Footage]:
    """Every file of these windows that was not deleted yet, a window at a time."""
    for window in window_ids:
        recorded = (
            select(Segment)
            .join(Take, Segment.take_id == Take.id)
            .where(Take.window_id == window, Segment.deleted_leaf.is_(None))
            .order_by(Segment.id)
        )
        came = (
            select(BackfilledSegment)
            .join(BackfilledTake, BackfilledSegment.take_id == BackfilledTake.id)
            .where(BackfilledTake.window_id == window, BackfilledSegment.deleted_leaf.is_(None))
            .order_by(BackfilledSegment.id)
        )
        for segment in session.scalars(recorded.execution_options(yield_per=1000)):
            yield _footage(segment, window)
            session.expunge(segment)
        for backfilled in session.scalars(came.execution_options(yield_per=1000)):
            yield _footage(backfilled, window)
            session.expunge(backfilled)


def _footage(row: Segment | BackfilledSegment, window: str) -> Footage:
    return Footage(
        segment_id=row.id,
        backfilled=isinstance(row, BackfilledSegment),
        take=row.take_id,
        window=window,
        room=row.room_id,
        camera=row.camera_id,
        number=row.number,
        path=row.path,
        bytes=row.bytes,
        sha256=row.sha256,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        leaf=row.leaf,
    )
