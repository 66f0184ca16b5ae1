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
    Engine,
    ForeignKey,
    Index,
    String,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from sqlalchemy.schema import CreateIndex, CreateTable

from kaozheng_service.errors import ServiceError


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

    ``id`` is readable and unique, such as ``20241123-090000-9-201-theory``. ``kind`` is theory, practical, an
    ``Activity``, inspection or manual. ``starts_at`` to ``ends_at`` include pre- and post-roll; the exam's own
    time, if any, is ``exam_starts_at`` to ``exam_ends_at``. ``leaf`` is the record of the expectation in the log.

    ``origin`` is timetable, operator or, for what is recorded in the foreground, None; rows of version 0.1.0 have
    None too. A window is never changed: one that is cancelled keeps its row, and what takes its place is another.
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
    origin: Mapped[str | None]
    cancelled_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None]
    cancelled_by: Mapped[str | None]
    cancelled_leaf: Mapped[int | None]

    takes: Mapped[list[Take]] = relationship(back_populates="window", order_by="Take.number")

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.camera_ids.split())

    @property
    def is_void(self) -> bool:
        """Whether it was cancelled, and that signed, before it began: nothing had to be recorded."""
        return (
            self.cancelled_leaf is not None
            and self.cancelled_at is not None
            and self.cancelled_at <= self.starts_at
        )


class Take(Base):
    """One uninterrupted run of one recorder on one camera for one window. ``folder`` is relative to the archive.

    ``end_cause`` is None while it runs; then ``window_ended`` or a cause of :class:`Gap`. ``token`` is the fencing
    token under which it began: of two takes at one time the one with the higher token is its holder's.
    ``copied_leaf`` is the record that all of it is on the second disk.
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
    token: Mapped[int | None]
    leaf: Mapped[int | None]
    closed_leaf: Mapped[int | None]
    copied_leaf: Mapped[int | None]

    window: Mapped[Window] = relationship(back_populates="takes")
    segments: Mapped[list[Segment]] = relationship(back_populates="take", order_by="Segment.number")


# A segment is cut after at most 600 s, at its next keyframe. Those that are nevertheless longer have an index of their
# own: a look-up by time goes no farther back than this, and asks for the long ones apart (`disputes/meeting.py`).
LONGEST_SEGMENT_S = 660
LONG_SEGMENT = f"julianday(ends_at) - julianday(starts_at) > {LONGEST_SEGMENT_S} / 86400.0"


class Segment(Base):
    """One closed and hashed file of a take: ``path`` from the archive on, ``number`` from 1 in its take.

    ``run`` counts the take's time runs from 1, a new one where our clock was set or the stream's own time jumped, by
    ``step_s``. ``boot`` and ``boot_s`` are this boot of the machine and the segment's begin in s since then, None where
    another process wrote it before the machine was restarted. ``clock`` is synchronised, unsynchronised or unknown,
    with the kernel's ``clock_error_s``. ``first_pts_s`` and ``last_pts_s`` are the stream's own time stamps.
    Rows of version 0.1.0 have none of these. ``copied_at`` is when it was on the second disk, None where it is not;
    ``deleted_leaf`` the record that its file was deleted when its time was over. ``fragments`` counts the file's
    pieces and ``fragments_root`` is the tree hash over them; older rows have neither.
    """

    __tablename__ = "segments"
    __table_args__ = (
        UniqueConstraint("take_id", "number"),
        Index("ix_segments_moment", "room_id", "camera_id", "starts_at", "ends_at"),
        Index("ix_segments_long", "room_id", "camera_id", "starts_at", sqlite_where=text(LONG_SEGMENT)),
    )

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
    run: Mapped[int | None]
    step_s: Mapped[float | None]
    boot: Mapped[str | None]
    boot_s: Mapped[float | None]
    clock: Mapped[str | None]
    clock_error_s: Mapped[float | None]
    first_pts_s: Mapped[float | None]
    last_pts_s: Mapped[float | None]
    fragments: Mapped[int | None]
    fragments_root: Mapped[str | None]
    leaf: Mapped[int | None] = mapped_column(index=True)
    copied_at: Mapped[datetime | None]
    deleted_leaf: Mapped[int | None]

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
    """One file of a backfilled take; ``overlapping_s`` of it lie beyond the gap, where there may be footage already.

    ``first_pts_s``, ``fragments`` and ``fragments_root`` as of :class:`Segment`.
    """

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
    first_pts_s: Mapped[float | None]
    fragments: Mapped[int | None]
    fragments_root: Mapped[str | None]
    leaf: Mapped[int | None] = mapped_column(index=True)
    deleted_leaf: Mapped[int | None]

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


class Holder(Base):
    """Which node cares for a window, until when, and the fencing token of its doing so; tokens only ever grow."""

    __tablename__ = "holders"

    window_id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    token: Mapped[int]
    until: Mapped[datetime]


class Mark(Base):
    """A moment on a room's timeline: seal_opened, paper_handed_out, incident. ``by`` marked it."""

    __tablename__ = "marks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    room_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    kind: Mapped[str]
    note: Mapped[str]
    by: Mapped[str | None]
    leaf: Mapped[int | None]


class Alarm(Base):
    """Something that keeps an exam from being recorded or seen, from when it was told until it was over.

    ``kind`` is a ``Fault`` of the vision package or an ``AlarmKind``. What is about no window has none, what is about
    no camera or room an empty ``camera_id`` or ``room_id``. ``cleared_at`` is None while it lasts; ``ended`` says how
    it ended: ``clear``, ``window_ended`` or, for what has no length, ``told``.
    """

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    window_id: Mapped[str | None] = mapped_column(ForeignKey("windows.id"), index=True)
    room_id: Mapped[str] = mapped_column(index=True)
    camera_id: Mapped[str]
    kind: Mapped[str]
    detail: Mapped[str]
    raised_at: Mapped[datetime] = mapped_column(index=True)
    cleared_at: Mapped[datetime | None]
    ended: Mapped[str | None]
    leaf: Mapped[int | None]
    cleared_leaf: Mapped[int | None]


class AlarmMessage(Base):
    """One message of an alarm to one channel, kept until it was delivered or given up.

    ``id`` is the same at every attempt, so that a receiver knows a repetition. ``body`` is the JSON that is sent,
    byte for byte the same each time. ``state``: waiting, sent or given_up. ``error`` is why the last attempt failed.
    """

    __tablename__ = "alarm_messages"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarms.id"), index=True)
    event: Mapped[str]  # raised, cleared or reminder
    channel: Mapped[str] = mapped_column(index=True)
    body: Mapped[str]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(index=True)
    attempts: Mapped[int]
    sent_at: Mapped[datetime | None]
    error: Mapped[str]


class Pulse(Base):
    """One row that is written every few seconds: whether the database can be written."""

    __tablename__ = "pulse"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]


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
    """A session factory on the SQLite file at ``path``, made with its tables if it is not there.

    A database of an earlier version gets the columns that it lacks. ServiceError where that cannot be done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    _let_alarms_be_without_window(engine)
    _make_tables(engine)
    _add_missing_columns(engine)
    _add_missing_indexes(engine)
    return sessionmaker(engine, expire_on_commit=False)


def _make_tables(engine: Engine) -> None:
    """Those that are not there; once, whoever opens the file at the same moment."""
    if set(inspect(engine).get_table_names()) >= set(Base.metadata.tables):
        return
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        Base.metadata.create_all(connection)


def _add_missing_columns(engine: Engine) -> None:
    """Columns that came after version 0.1.0 may all be empty, so that rows of before are whole without them."""
    with engine.begin() as connection:
        there = inspect(connection)
        missing = [
            (table, column)
            for table in Base.metadata.sorted_tables
            for column in table.columns
            if column.name not in {one["name"] for one in there.get_columns(table.name)}
        ]
        for table, column in missing:
            if not column.nullable:
                raise ServiceError(
                    f"{engine.url.database}: table {table.name} has no column {column.name}; "
                    "it is not this program's database, or of a version that this one cannot read"
                )
            kind = column.type.compile(engine.dialect)
            try:
                connection.execute(text(f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" {kind}'))
            except OperationalError as error:  # another process, opening it at the same time, was first
                if "duplicate column" not in str(error):
                    raise


def _add_missing_indexes(engine: Engine) -> None:
    """Those that came later; of a province's season this takes minutes, once."""
    with engine.begin() as connection:
        there = inspect(connection)
        for table in Base.metadata.sorted_tables:
            known = {one["name"] for one in there.get_indexes(table.name)}
            for index in sorted(table.indexes, key=lambda one: str(one.name)):
                if index.name not in known:
                    connection.execute(CreateIndex(index, if_not_exists=True))


def _let_alarms_be_without_window(engine: Engine) -> None:
    """Alarms were once of cameras' pictures alone, and each had a window: make such a table anew, with its rows.

    SQLite cannot loosen a column in place. All or nothing, and once, whoever opens the file at the same moment.
    """
    raw = engine.raw_connection()
    try:
        connection: Any = raw.driver_connection
        columns = connection.execute("PRAGMA table_info(alarms)").fetchall()
        if not any(name == "window_id" and required for _, name, _, required, _, _ in columns):
            return
        connection.execute("BEGIN IMMEDIATE")
        columns = connection.execute("PRAGMA table_info(alarms)").fetchall()
        if any(name == "window_id" and required for _, name, _, required, _, _ in columns):
            indexes = connection.execute(
                "SELECT name FROM sqlite_master WHERE type='index' AND tbl_name='alarms' AND sql IS NOT NULL"
            ).fetchall()
            for (name,) in indexes:
                connection.execute(f'DROP INDEX "{name}"')
            connection.execute("ALTER TABLE alarms RENAME TO alarms_of_windows")
            table: Any = Alarm.__table__
            connection.execute(str(CreateTable(table).compile(engine)))
            for index in sorted(table.indexes, key=lambda one: str(one.name)):
                connection.execute(str(CreateIndex(index).compile(engine)))
            kept = ", ".join(name for _, name, *_ in columns if name in table.columns)
            connection.execute(f"INSERT INTO alarms ({kept}) SELECT {kept} FROM alarms_of_windows")  # noqa: S608
            connection.execute("DROP TABLE alarms_of_windows")
        connection.commit()
    except BaseException:
        raw.rollback()
        raise
    finally:
        raw.close()
