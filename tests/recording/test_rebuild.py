"""A database that was lost or damaged is made anew from the signed log, row by row as it was."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.kinds import CLEAR, AlarmKind, Subject
from kaozheng_service.clock import now
from kaozheng_service.database import Base, Gap, Mark, Segment, Take, Window
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.evidence.records import GapExplained, Marked
from kaozheng_service.recording.completeness import completeness_json, window_completeness
from kaozheng_service.recording.expectations import cancel_window
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import DATABASE, Station, open_station
from sqlalchemy import select, update

# What never was evidence, or is counted anew.
NOT_IN_THE_LOG = {"id", "gap_id"}


def rows(station: Station) -> dict[str, list[dict[str, Any]]]:
    """Everything but the numbers that the database itself gives."""
    found = {}
    with station.sessions() as session:
        for mapper in Base.registry.mappers:
            kind = mapper.class_
            keep = [
                column.key
                for column in mapper.columns
                if column.key not in NOT_IN_THE_LOG or str(column.type) == "VARCHAR"
            ]
            found[kind.__tablename__] = sorted(
                ({name: getattr(row, name) for name in keep} for row in session.scalars(select(kind))),
                key=str,
            )
    return found


@pytest.fixture
def recorded(small_archive: Any) -> Station:
    """An exam with footage, a gap and a mark; a window that was cancelled."""
    archive, station = small_archive, small_archive.station
    begins = rounded(now() - timedelta(minutes=5))
    window = archive.window(begins, begins + timedelta(seconds=12), cameras=("front-left",), closed=False)
    archive.take(window, "front-left", begins, segments=4)
    span = {"starts_at": begins + timedelta(seconds=8), "ends_at": begins + timedelta(seconds=12)}
    body = {
        "window": window,
        "room": "9-201",
        "camera": "front-left",
        "cause": "stalled",
        "detail": "nothing came",
    }
    with station.sessions.begin() as session:
        leaf = station.log.append(GapExplained(at=now(), **body, **span))
        session.add(
            Gap(
                window_id=window,
                room_id="9-201",
                camera_id="front-left",
                cause="stalled",
                detail="nothing came",
                leaf=leaf,
                **span,
            )
        )
        marked = Marked(at=now(), room="9-201", moment=begins, mark="seal_opened", note="启封")
        session.add(
            Mark(room_id="9-201", at=begins, kind="seal_opened", note="启封", leaf=station.log.append(marked))
        )
    archive.close(window)
    later = archive.window(begins + timedelta(days=1), begins + timedelta(days=1, hours=1), closed=False)
    cancel_window(station, later, "改期", "考务")
    return station


@pytest.mark.parametrize("fate", ["lost", "no database", "first page", "a page within"])
def test_every_row_is_there_again_and_the_archive_is_intact(recorded: Station, fate: str) -> None:
    before = rows(recorded)
    with recorded.sessions() as session:
        window = session.scalars(select(Window.id).where(Window.closed_leaf.is_not(None))).one()
    numbers = completeness_json(window_completeness(recorded, window))
    spoil(recorded, fate)

    again = open_station(recorded.site, thorough=True)
    for table, there in rows(again).items():
        assert there == before[table], table
    assert completeness_json(window_completeness(again, window)) == numbers
    assert verify_archive(again).outcome == "intact"
    kept = list(again.state.glob(f"{DATABASE}.damaged-*"))
    assert len(kept) == (fate != "lost")


def spoil(station: Station, fate: str) -> None:
    path: Path = station.state / DATABASE
    station.sessions.kw["bind"].dispose()
    data = path.read_bytes()
    if fate == "lost":
        for one in station.state.glob(f"{DATABASE}*"):
            one.unlink()
    elif fate == "no database":
        path.write_bytes(b"not a database at all " * 400)
    elif fate == "first page":
        path.write_bytes(b"\x00" * 100 + data[100:])
    else:
        middle = len(data) // 2 // 4096 * 4096
        path.write_bytes(data[:middle] + b"\xff" * 8192 + data[middle + 8192 :])


def test_a_database_that_is_well_is_left_alone(recorded: Station) -> None:
    before = rows(recorded)
    again = open_station(recorded.site, thorough=True)
    assert rows(again) == before
    assert not list(again.state.glob(f"{DATABASE}.damaged-*"))


def test_an_older_database_is_brought_up_to_the_log_and_nothing_is_signed_twice(
    small_archive: Any, tmp_path: Path
) -> None:
    archive, station = small_archive, small_archive.station
    begins = rounded(now() - timedelta(minutes=5))
    window = archive.window(begins, begins + timedelta(seconds=12), cameras=("front-left",), closed=False)
    other = archive.window(begins + timedelta(days=1), begins + timedelta(days=1, hours=1), closed=False)
    book = AlarmBook(station)
    subject = Subject(AlarmKind.NO_FOOTAGE.value, "9-201", "front-left", window)
    told = book.raise_alarm(subject, "refused", now())
    older = copy_of_database(station, tmp_path)
    archive.take(window, "front-left", begins, segments=4)
    archive.gap(
        window, "front-left", begins + timedelta(seconds=8), begins + timedelta(seconds=12), "stalled"
    )
    book.clear_alarm(told.id, rounded(now() + timedelta(seconds=1)), CLEAR)
    archive.close(window)
    cancel_window(station, other, "改期", "考务")
    before, size = rows(station), station.log.size
    put_back(station, older)

    again = open_station(station.site)
    assert rows(again) == before
    assert again.log.size == size
    assert verify_archive(again).outcome == "intact"
    assert rows(open_station(station.site)) == before


def test_rows_whose_leaf_was_not_noted_get_that_of_their_record(recorded: Station) -> None:
    before = rows(recorded)
    with recorded.sessions.begin() as session:
        for table in (Segment, Gap, Take, Window):
            session.execute(update(table).values(leaf=None))
        session.execute(update(Take).values(closed_leaf=None))
    assert rows(open_station(recorded.site)) == before


def test_processes_that_open_an_older_database_at_once_bring_it_up_once(
    recorded: Station, tmp_path: Path
) -> None:
    before = rows(recorded)
    spoil(recorded, "lost")
    code = "import sys; from kaozheng_service.config.site import load_site as l; "
    code += "from kaozheng_service.station import open_station as o; from pathlib import Path; o(l(Path(sys.argv[1])))"
    path = str(recorded.site.folder / "site.yaml")
    running = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0]
    assert rows(open_station(recorded.site)) == before


def copy_of_database(station: Station, folder: Path) -> Path:
    copy = folder / "older.sqlite"
    with sqlite3.connect(station.state / DATABASE) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    return copy


def put_back(station: Station, copy: Path) -> None:
    station.sessions.kw["bind"].dispose()
    for one in station.state.glob(f"{DATABASE}*"):
        one.unlink()
    shutil.copyfile(copy, station.state / DATABASE)
