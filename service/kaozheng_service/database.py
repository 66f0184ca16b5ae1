"""The tables. Windows are the truth of what must be recorded; the rest is what came of it.

SQLite runs with WAL and synchronous=FULL: a row that was committed survives a power cut.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    DateTime,
    Dialect,
    ForeignKey,
    String,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker


class Utc(TypeDecorator[datetime]):
    """Aware UTC datetimes, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: Utc}  # noqa: RUF012 - SQLAlchemy reads a plain class attribute


class Window(Base):
    """A place and a time that must be recorded, on each camera of ``camera_ids``.

    ``id`` is readable and unique, such as ``20241123-0900-9-201-theory``. ``kind`` is theory, practical,
    activity, inspection or manual. ``starts_at`` to ``ends_at`` include pre- and post-roll; the exam's own
    time, if any, is ``exam_starts_at`` to ``exam_ends_at``. ``leaf`` is the record of the expectation in the log.
    """

    __tablename__ = "windows"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    room_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    title: Mapped[str]
    batch: Mapped[str | None]
    camera_ids: Mapped[str]  # joined by spaces; ids hold none
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime] = mapped_column(index=True)
    exam_starts_at: Mapped[datetime | None]
    exam_ends_at: Mapped[datetime | None]
    leaf: Mapped[int | None]
    closed_leaf: Mapped[int | None]

    takes: Mapped[list[Take]] = relationship(back_populates="window", order_by="Take.number")

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.camera_ids.split())


class Take(Base):
    """One uninterrupted run of one recorder on one camera for one window. ``folder`` is relative to the archive.

    ``end_cause`` is None while it runs; then ``window_ended`` or a cause of :class:`Gap`.
    """

    __tablename__ = "takes"
    __table_args__ = (UniqueConstraint("window_id", "camera_id", "number"),)

    id: Mapped[str] = mapped_column(String, primary_key=True)  # <window>/<camera>/take-0001
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"), index=True)
    room_id: Mapped[str]
    camera_id: Mapped[str] = mapped_column(index=True)
    number: Mapped[int]
    folder: Mapped[str]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    end_cause: Mapped[str | None]
    end_detail: Mapped[str | None]
    leaf: Mapped[int | None]
    closed_leaf: Mapped[int | None]

    window: Mapped[Window] = relationship(back_populates="takes")
    segments: Mapped[list[Segment]] = relationship(back_populates="take", order_by="Segment.number")


class Segment(Base):
    """One closed and hashed file of a take: ``path`` from the archive on, ``number`` from 1 in its take."""

    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("take_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    take_id: Mapped[str] = mapped_column(ForeignKey("takes.id"), index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    number: Mapped[int]
    path: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int]
    sha256: Mapped[str]
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime] = mapped_column(index=True)
    frames: Mapped[int]
    codec: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    leaf: Mapped[int | None] = mapped_column(index=True)

    take: Mapped[Take] = relationship(back_populates="segments")


class Gap(Base):
    """A part of a window that one camera did not record, and why."""

    __tablename__ = "gaps"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"), index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime]
    cause: Mapped[str]
    detail: Mapped[str]
    leaf: Mapped[int | None]


class Backfill(Base):
    """How far the fetching of one gap's footage has come, from where it is kept a second time.

    ``state`` is waiting, fetching, healed, partly or given_up; ``reason`` tells why something is still missing. What
    is being fetched stands here before it begins: ``number`` of the backfilled take, ``asked_from`` to ``asked_to``.
    ``leaf`` is the newest record of having given it up.
    """

    __tablename__ = "backfills"

    gap_id: Mapped[int] = mapped_column(ForeignKey("gaps.id"), primary_key=True)
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"), index=True)
    room_id: Mapped[str]
    camera_id: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    attempts: Mapped[int]
    not_before: Mapped[datetime]
    reason: Mapped[str]
    audio_codec: Mapped[str]
    number: Mapped[int | None]
    source: Mapped[str]
    clock_error_s: Mapped[float]
    asked_from: Mapped[datetime | None]
    asked_to: Mapped[datetime | None]
    leaf: Mapped[int | None]


class BackfilledTake(Base):
    """Footage of a gap, fetched afterwards from ``source``. Never counted as recorded.

    ``gap`` is the leaf of the gap's record. Times follow from ``asked_from`` and the stream's time stamps, and may be
    off by ``uncertainty_s``; ``fetched_at`` is our clock when the fetch began. ``folder`` as of :class:`Take`.
    """

    __tablename__ = "backfilled_takes"
    __table_args__ = (UniqueConstraint("window_id", "camera_id", "number"),)

    id: Mapped[str] = mapped_column(String, primary_key=True)  # <window>/<camera>/backfill-0001
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"), index=True)
    room_id: Mapped[str]
    camera_id: Mapped[str]
    number: Mapped[int]
    folder: Mapped[str]
    gap_id: Mapped[int] = mapped_column(ForeignKey("gaps.id"), index=True)
    gap: Mapped[int]
    source: Mapped[str]
    asked_from: Mapped[datetime]
    asked_to: Mapped[datetime]
    time_source: Mapped[str]
    uncertainty_s: Mapped[float]
    fetched_at: Mapped[datetime]
    end_cause: Mapped[str]
    end_detail: Mapped[str]
    leaf: Mapped[int | None] = mapped_column(index=True)
    closed_leaf: Mapped[int | None] = mapped_column(index=True)

    segments: Mapped[list[BackfilledSegment]] = relationship(
        back_populates="take", order_by="BackfilledSegment.number"
    )


class BackfilledSegment(Base):
    """One file of a backfilled take; ``overlapping_s`` of it lie beyond the gap, where there may be footage already."""

    __tablename__ = "backfilled_segments"
    __table_args__ = (UniqueConstraint("take_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    take_id: Mapped[str] = mapped_column(ForeignKey("backfilled_takes.id"), index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    number: Mapped[int]
    path: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int]
    sha256: Mapped[str]
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime] = mapped_column(index=True)
    frames: Mapped[int]
    codec: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    overlapping_s: Mapped[float]
    leaf: Mapped[int | None] = mapped_column(index=True)

    take: Mapped[BackfilledTake] = relationship(back_populates="segments")


class Healing(Base):
    """A part of a gap for which there is backfilled footage. The gap itself stays as it was signed."""

    __tablename__ = "healings"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    gap_id: Mapped[int] = mapped_column(ForeignKey("gaps.id"), index=True)
    gap: Mapped[int]
    take_id: Mapped[str] = mapped_column(ForeignKey("backfilled_takes.id"), index=True)
    window_id: Mapped[str] = mapped_column(index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime]
    leaf: Mapped[int | None] = mapped_column(index=True)

    take: Mapped[BackfilledTake] = relationship()


class Mark(Base):
    """A moment on a room's timeline: seal_opened, paper_handed_out, incident."""

    __tablename__ = "marks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    room_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    kind: Mapped[str]
    note: Mapped[str]
    leaf: Mapped[int | None]


class Alarm(Base):
    """A fault of a camera's picture during a window, from when it was told until it was over.

    ``kind`` is a ``Fault`` of the vision package. ``cleared_at`` is None while it lasts; ``ended`` says how it ended:
    ``clear`` or ``window_ended``.
    """

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"), index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    kind: Mapped[str]
    detail: Mapped[str]
    raised_at: Mapped[datetime] = mapped_column(index=True)
    cleared_at: Mapped[datetime | None]
    ended: Mapped[str | None]
    leaf: Mapped[int | None]
    cleared_leaf: Mapped[int | None]


class Reference(Base):
    """A view accepted for a camera: ``path`` from the state folder on. The newest of each light is in force."""

    __tablename__ = "references"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    light: Mapped[str]
    at: Mapped[datetime]
    inspection_id: Mapped[str]
    path: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    leaf: Mapped[int | None]


class Inspection(Base):
    """One run of all checks on one room; ``outcome`` is accepted, conditional or rejected (proposed until signed)."""

    __tablename__ = "inspections"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    room_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    outcome: Mapped[str]
    result: Mapped[str]  # JSON, schema kaozheng/inspection/1
    leaf: Mapped[int | None]


Sessions = sessionmaker[Session]


def open_database(path: Path) -> Sessions:
    """A session factory on the SQLite file at ``path``, made with its tables if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    Base.metadata.create_all(engine)
    return sessionmaker(engine, expire_on_commit=False)
