"""Alarms written down: once, whatever fails between row and record, and with their messages."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.kinds import CLEAR, Subject
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm, AlarmMessage, open_database
from kaozheng_service.station import Station
from sqlalchemy import select

DISK = Subject("disk_low")
HOOKS = {
    "webhooks": [{"id": "duty", "url": "http://127.0.0.1:9/"}, {"id": "office", "url": "http://127.0.0.1:9/"}]
}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def records(station: Station) -> list[dict[str, Any]]:
    entries = [json.loads(entry) for entry in station.log.entries()]
    return [entry for entry in entries if entry["kind"].startswith("alarm.")]


def rows(station: Station) -> list[Alarm]:
    with station.sessions() as session:
        return list(session.scalars(select(Alarm).order_by(Alarm.id)))


def messages(station: Station) -> list[AlarmMessage]:
    with station.sessions() as session:
        return list(session.scalars(select(AlarmMessage).order_by(AlarmMessage.number)))


def test_a_site_wide_alarm_is_signed_raised_and_cleared(make_station: Callable[..., Station]) -> None:
    station = make_station()
    book = AlarmBook(station)
    row = book.raise_alarm(DISK, "2.0 GB", now())
    book.clear_alarm(row.id, now(), CLEAR)
    raised, cleared = records(station)
    assert (raised["alarm"], raised["window"], raised["room"], raised["camera"]) == ("disk_low", "", "", "")
    assert (cleared["alarm"], cleared["ended"]) == ("disk_low", "clear")
    (row,) = rows(station)
    assert (row.window_id, row.leaf, row.cleared_leaf) == (None, 0, 1)


def test_the_same_cause_is_one_alarm_while_it_lasts_and_another_afterwards(
    make_station: Callable[..., Station],
) -> None:
    book = AlarmBook(make_station())
    first = book.raise_alarm(DISK, "2.0 GB", now())
    assert book.raise_alarm(DISK, "1.9 GB", now()).id == first.id
    book.clear_alarm(first.id, now(), CLEAR)
    assert book.raise_alarm(DISK, "2.0 GB", now()).id != first.id


def test_an_alarm_whose_record_failed_is_no_second_row_and_gets_its_record_later(
    make_station: Callable[..., Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(HOOKS)
    clock = Clock()
    book = AlarmBook(station, clock=clock)
    with monkeypatch.context() as broken:
        broken.setattr(station.log, "append", _full)
        book.raise_alarm(DISK, "2.0 GB", now())
        book.raise_alarm(DISK, "2.0 GB", now())
        book.resume()
    (row,) = rows(station)
    assert row.leaf is None
    assert len(messages(station)) == 2  # told by both channels all the same
    clock.now_s += 60
    book.resume()
    book.resume()
    assert [entry["kind"] for entry in records(station)] == ["alarm.raised"]
    assert rows(station)[0].leaf == 0


def test_rows_that_a_crash_left_without_record_are_resumed_by_the_next_process(
    make_station: Callable[..., Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station()
    with monkeypatch.context() as broken:
        broken.setattr(station.log, "append", _full)
        book = AlarmBook(station)
        row = book.raise_alarm(DISK, "2.0 GB", now())
        book.clear_alarm(row.id, now(), CLEAR)
    AlarmBook(station).resume()
    assert [entry["kind"] for entry in records(station)] == ["alarm.raised", "alarm.cleared"]


def test_a_record_that_was_written_before_the_crash_is_not_written_twice(
    make_station: Callable[..., Station],
) -> None:
    station = make_station()
    row = AlarmBook(station).raise_alarm(DISK, "2.0 GB", now())
    with station.sessions.begin() as session:
        session.get_one(Alarm, row.id).leaf = None  # as if the process had died before it noted the leaf
    AlarmBook(station).resume()
    assert len(records(station)) == 1
    assert rows(station)[0].leaf == 0


def test_what_happened_is_told_once_however_often_it_is_met(make_station: Callable[..., Station]) -> None:
    station = make_station(HOOKS)
    book, at = AlarmBook(station), now()
    assert book.tell(Subject("clock_stepped"), "+3.0 s", at) is not None
    assert book.tell(Subject("clock_stepped"), "+3.0 s", at) is None
    (row,) = rows(station)
    assert (row.ended, row.leaf, row.cleared_leaf) == ("told", 0, 1)
    assert [one.event for one in messages(station)] == ["raised", "raised"]  # one a channel


def test_what_lasts_is_told_again_after_the_sites_time_and_not_before(
    make_station: Callable[..., Station],
) -> None:
    station = make_station(HOOKS | {"remind_min": 30})
    book, begun = AlarmBook(station), now()
    row = book.raise_alarm(DISK, "2.0 GB", begun)
    for minutes in (29, 31, 32, 59, 62):
        book.remind(begun + timedelta(minutes=minutes))
    book.clear_alarm(row.id, begun + timedelta(minutes=63), CLEAR)
    book.remind(begun + timedelta(minutes=120))
    of_one_channel = [one.event for one in messages(station) if one.channel == "duty"]
    assert of_one_channel == ["raised", "reminder", "reminder", "cleared"]


def test_no_reminders_where_the_site_wants_none(make_station: Callable[..., Station]) -> None:
    station = make_station(HOOKS | {"remind_min": None})
    book, begun = AlarmBook(station), now()
    book.raise_alarm(DISK, "2.0 GB", begun)
    book.remind(begun + timedelta(days=1))
    assert {one.event for one in messages(station)} == {"raised"}


def test_a_secret_in_what_failed_is_struck_from_row_record_and_message(
    make_station: Callable[..., Station],
) -> None:
    station = make_station(HOOKS)
    AlarmBook(station).raise_alarm(DISK, "rtsp://admin:hunter22@10.0.0.1/ password=hunter22", now())
    text = rows(station)[0].detail + json.dumps(records(station)) + messages(station)[0].body
    assert "hunter22" not in text


def test_a_database_of_before_opens_with_its_alarms_and_takes_site_wide_ones(
    make_station: Callable[..., Station], small_archive: Any
) -> None:
    station = small_archive.station
    begins = now() - timedelta(hours=1)
    window = small_archive.window(
        begins, begins + timedelta(minutes=1), room="9-101", cameras=("front-left",)
    )
    path = station.state / "kaozheng.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(
            """
            DROP TABLE alarm_messages; DROP TABLE pulse; DROP TABLE alarms;
            CREATE TABLE alarms (id INTEGER NOT NULL, window_id VARCHAR NOT NULL, room_id VARCHAR NOT NULL,
              camera_id VARCHAR NOT NULL, kind VARCHAR NOT NULL, detail VARCHAR NOT NULL,
              raised_at DATETIME NOT NULL, cleared_at DATETIME, ended VARCHAR, leaf INTEGER, cleared_leaf INTEGER,
              PRIMARY KEY (id), FOREIGN KEY(window_id) REFERENCES windows (id));
            CREATE INDEX ix_alarms_window_id ON alarms (window_id);
            CREATE INDEX ix_alarms_room_id ON alarms (room_id);
            CREATE INDEX ix_alarms_raised_at ON alarms (raised_at);
            """
        )
        old.execute(
            "INSERT INTO alarms VALUES (3, ?, '9-101', 'front-left', 'moved', '', '2024-11-23 01:00:00',"
            " NULL, NULL, 7, NULL)",
            (window,),
        )
    sessions = open_database(path)
    open_database(path)
    with sessions.begin() as session:
        (kept,) = session.scalars(select(Alarm)).all()
        assert (kept.id, kept.window_id, kept.kind, kept.leaf) == (3, window, "moved", 7)
        session.add(Alarm(room_id="", camera_id="", kind="disk_low", detail="", raised_at=now()))
    with sqlite3.connect(path) as mended:
        indexes = {name for (name,) in mended.execute("SELECT name FROM sqlite_master WHERE type='index'")}
    assert {"ix_alarms_window_id", "ix_alarms_room_id", "ix_alarms_raised_at"} <= indexes


def _full(_record: Any) -> int:
    raise OSError(28, "No space left on device")
