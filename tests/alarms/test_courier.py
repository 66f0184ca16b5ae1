"""Delivery from the outbox: nothing is lost and little is sent twice, whatever servers and processes do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.courier import ATTEMPTS, Postman, channels_of
from kaozheng_service.alarms.kinds import CLEAR, Subject
from kaozheng_service.clock import now
from kaozheng_service.database import AlarmMessage
from kaozheng_service.station import Station
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

DISK = Subject("disk_low")


class Day:
    """One channel with its postman, and a clock that the test moves."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.at = now()
        self.seconds = 0.0
        self.book = AlarmBook(station)
        self.postman = self.new_postman()

    def new_postman(self) -> Postman:
        (channel,) = channels_of(self.station.site)
        return Postman(self.station, channel, clock=lambda: self.seconds)

    def wait(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time go by, delivering."""
        for _ in range(round(seconds / step_s)):
            self.seconds += step_s
            self.at += timedelta(seconds=step_s)
            self.postman.tick(self.at)

    def raise_camera(
        self, camera: str, kind: str = "no_footage", window: str = "", at: datetime | None = None
    ) -> int:
        row = self.book.raise_alarm(Subject(kind, "9-101", camera, window), "拒绝连接", at or self.at)
        return row.id

    def messages(self) -> list[AlarmMessage]:
        with self.station.sessions() as session:
            return list(session.scalars(select(AlarmMessage).order_by(AlarmMessage.number)))

    def states(self) -> list[str]:
        return [message.state for message in self.messages()]


@pytest.fixture
def hooked(make_station: Callable[..., Station], receiver: Any) -> Day:
    return Day(make_station({"webhooks": [{"id": "duty", "url": receiver.url}]}))


@pytest.fixture
def mailed(make_station: Callable[..., Station], postbox: Any) -> Day:
    mail = {
        "host": "127.0.0.1",
        "port": postbox.port,
        "security": "plain",
        "from": "kaozheng@example.org",
        "to": ["office@example.org"],
    }
    return Day(make_station({"mail": mail}))


def test_raised_and_cleared_arrive_once_and_in_order(hooked: Day, receiver: Any) -> None:
    row = hooked.book.raise_alarm(DISK, "2.0 GB", hooked.at)
    hooked.wait(3)
    hooked.book.clear_alarm(row.id, hooked.at, CLEAR)
    hooked.wait(30)
    assert [one.json["event"] for one in receiver.received] == ["raised", "cleared"]
    assert hooked.states() == ["sent", "sent"]


def test_a_server_that_was_down_gets_it_with_the_same_id_and_bytes_when_it_is_back(
    make_station: Callable[..., Station], receiver: Any, receiving: Callable[..., Any]
) -> None:
    receiver.close()
    day = Day(make_station({"webhooks": [{"id": "duty", "url": receiver.url}]}))
    row = day.book.raise_alarm(DISK, "2.0 GB", day.at)
    day.wait(20)
    day.book.clear_alarm(row.id, day.at, CLEAR)
    (first, second) = day.messages()
    assert (first.state, second.attempts) == ("waiting", 0)
    assert "refused" in first.error
    again = receiving(receiver.port)
    day.wait(60)
    assert [one.json["event"] for one in again.received] == ["raised", "cleared"]
    assert again.received[0].body == first.body.encode()


def test_a_server_that_fails_inside_is_tried_again_with_growing_pauses(hooked: Day, receiver: Any) -> None:
    receiver.status = 500
    hooked.book.raise_alarm(DISK, "2.0 GB", hooked.at)
    hooked.wait(60)
    attempts = len(receiver.received)
    assert 3 <= attempts <= 5  # after 0, 5, 15 and 35 s, a quarter more or less
    receiver.status = 200
    hooked.wait(100)
    assert len(receiver.received) == attempts + 1
    assert len({one.headers["Idempotency-Key"] for one in receiver.received}) == 1


def test_a_message_that_nobody_ever_takes_is_given_up_and_keeps_no_other(hooked: Day, receiver: Any) -> None:
    receiver.status = 500
    hooked.book.raise_alarm(DISK, "2.0 GB", hooked.at)
    hooked.wait(26 * 3600, step_s=400.0)
    assert hooked.states() == ["given_up"]
    assert len(receiver.received) <= ATTEMPTS
    receiver.status = 200
    hooked.raise_camera("front-left")
    hooked.wait(3)
    assert hooked.states() == ["given_up", "sent"]


def test_a_restart_loses_none_and_repeats_none(hooked: Day, receiver: Any) -> None:
    hooked.book.raise_alarm(DISK, "2.0 GB", hooked.at)
    hooked.wait(2)
    hooked.raise_camera("front-left")
    hooked.postman = hooked.new_postman()  # the first process died before it sent the second
    hooked.wait(2)
    assert [one.json["alarm"]["kind"] for one in receiver.received] == ["disk_low", "no_footage"]


def test_what_was_taken_while_the_database_was_away_is_not_sent_again(
    hooked: Day, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked.book.raise_alarm(DISK, "2.0 GB", hooked.at)
    with monkeypatch.context() as broken:
        broken.setattr(hooked.station.sessions, "begin", _locked)
        with pytest.raises(OperationalError):
            hooked.wait(1)
    hooked.wait(5)
    assert len(receiver.received) == 1
    assert hooked.states() == ["sent"]


def test_a_clock_that_is_set_back_by_a_day_delays_nothing(hooked: Day, receiver: Any) -> None:
    hooked.book.raise_alarm(DISK, "2.0 GB", hooked.at)
    hooked.at -= timedelta(days=1)
    hooked.wait(2)
    assert len(receiver.received) == 1


def test_forty_cameras_that_fail_at_once_are_one_mail(mailed: Day, postbox: Any) -> None:
    for number in range(40):
        mailed.raise_camera(f"camera-{number:02d}")
    mailed.wait(30)
    (letter,) = postbox.letters
    assert all(f"camera-{number:02d}" in letter.get_content() for number in range(40))
    assert set(mailed.states()) == {"sent"}


def test_a_few_are_a_mail_each_and_a_storm_waits_for_its_minute(mailed: Day, postbox: Any) -> None:
    for number in range(3):
        mailed.raise_camera(f"early-{number}")
    mailed.wait(10)
    assert len(postbox.letters) == 3
    for number in range(10):
        mailed.raise_camera(f"late-{number}")
        mailed.wait(2)
    mailed.wait(120)
    assert len(postbox.letters) <= 6
    assert all(f"late-{number}" in postbox.text() for number in range(10))


def test_a_mail_for_raised_and_one_for_cleared(mailed: Day, postbox: Any) -> None:
    row = mailed.raise_camera("front-left")
    mailed.wait(10)
    mailed.book.clear_alarm(row, mailed.at, CLEAR)
    mailed.wait(10)
    assert [letter["Subject"].split("]")[0] for letter in postbox.letters] == ["[告警", "[恢复"]


def test_a_lost_picture_is_not_told_beside_its_cameras_missing_footage(
    make_station: Callable[..., Station], receiver: Any, small_archive: Any
) -> None:
    make_station({"webhooks": [{"id": "duty", "url": receiver.url}]})
    begins = now() - timedelta(minutes=5)
    station = make_station({"webhooks": [{"id": "duty", "url": receiver.url}]})
    window = small_archive.window(begins, begins + timedelta(hours=1), room="9-101", closed=False)
    day = Day(station)
    day.raise_camera("front-left", window=window)
    lost = day.raise_camera("front-left", "lost", window)
    day.raise_camera("back-right", "lost", window)
    day.wait(2)
    day.book.clear_alarm(lost, day.at, CLEAR)
    day.wait(2)
    told = [(one.json["alarm"]["kind"], one.json["alarm"]["camera"]) for one in receiver.received]
    assert told == [("no_footage", "front-left"), ("lost", "back-right")]


def _locked() -> Any:
    raise OperationalError("UPDATE", {}, Exception("database is locked"))
