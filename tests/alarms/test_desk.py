"""The desk: every cause is told once, with what is known of it, and ends when it is over."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from kaozheng_service.alarms.checks import Checks, SelfChecks, why_unwritable
from kaozheng_service.alarms.conditions import Snapshot
from kaozheng_service.alarms.desk import AlarmDesk, Sources
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm
from kaozheng_service.recording.supervisor import CameraHealth
from kaozheng_service.station import Station
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

ROOM, CAMERA = "9-101", "front-left"


@dataclass
class Facts:
    """What the desk reads; the test says what is so."""

    snapshot: Snapshot
    watch: str = ""
    synchronised: bool | None = True
    clock_offset_s: float = 100.0
    unwritable: dict[str, str] = field(default_factory=dict)


class Told(SelfChecks):
    """Real checks, but for what the test says."""

    def __init__(self, station: Station, facts: Facts) -> None:
        self._facts = facts
        super().__init__(
            station, synchronised=lambda: facts.synchronised, offset_s=lambda: facts.clock_offset_s
        )

    def run(self) -> Checks:
        return replace(super().run(), **self._facts.unwritable)


class Hour:
    """A site at work: its desk looks every two seconds of the test's clock."""

    def __init__(self, archive: Any) -> None:
        self.archive = archive
        self.station: Station = archive.station
        self.at = now()
        self.seconds = 0.0
        self.facts = Facts(Snapshot(0.0, 0.01, (), 10**12, False))
        self.window = archive.window(
            self.at - timedelta(minutes=5),
            self.at + timedelta(minutes=30),
            room=ROOM,
            cameras=(CAMERA,),
            closed=False,
        )
        self.desk = self.new_desk()

    def new_desk(self) -> AlarmDesk:
        return AlarmDesk(
            self.station,
            Sources(lambda: self.facts.snapshot, lambda: self.facts.watch),
            checks=Told(self.station, self.facts),
            clock=lambda: self.seconds,
        )

    def wait(self, seconds: float, *, ticking: bool = True) -> None:
        """Let time go by; the recording loop ticks, unless it does not."""
        for _ in range(round(seconds / 2)):
            self.seconds += 2
            self.at += timedelta(seconds=2)
            if ticking:
                self.facts.snapshot = replace(self.facts.snapshot, tick_at_s=self.seconds)
            self.desk.look(self.at)

    def camera(self, *, flows: bool, cause: str = "", detail: str = "") -> None:
        health = CameraHealth(
            window=self.window,
            room=ROOM,
            camera=CAMERA,
            starts_at=self.at - timedelta(minutes=5),
            ends_at=self.at + timedelta(minutes=30),
            flows=flows,
            silent_s=1.0 if flows else None,
            cause=cause,
            detail=detail,
            stopped=False,
        )
        self.facts.snapshot = replace(self.facts.snapshot, cameras=(health,))

    def alarms(self) -> list[tuple[str, str | None]]:
        """Kind and how it ended, None while it lasts, in order."""
        with self.station.sessions() as session:
            return [(row.kind, row.ended) for row in session.scalars(select(Alarm).order_by(Alarm.id))]

    def details(self) -> list[str]:
        with self.station.sessions() as session:
            return list(session.scalars(select(Alarm.detail).order_by(Alarm.id)))


@pytest.fixture
def hour(small_archive: Any) -> Iterator[Hour]:
    one = Hour(small_archive)
    yield one
    one.desk.stop()


def test_a_site_that_is_well_tells_nothing(hour: Hour) -> None:
    hour.camera(flows=True)
    hour.wait(400)
    assert hour.alarms() == []


def test_a_camera_without_footage_is_one_alarm_with_its_cause_until_footage_comes(hour: Hour) -> None:
    hour.camera(flows=False, cause="auth_failed", detail="401 Unauthorized")
    hour.wait(8)
    assert hour.alarms() == []
    hour.wait(60)
    hour.camera(flows=False, cause="connection_refused")
    hour.wait(60)
    assert hour.alarms() == [("no_footage", None)]
    assert hour.details() == ["摄像机登录失败: 401 Unauthorized"]
    hour.camera(flows=True)
    hour.wait(20)
    assert hour.alarms() == [("no_footage", "clear")]


def test_a_camera_that_comes_and_goes_is_one_alarm(hour: Hour) -> None:
    for _ in range(10):
        hour.camera(flows=False, cause="stream_lost")
        hour.wait(14)
        hour.camera(flows=True)
        hour.wait(6)
    assert hour.alarms() == [("no_footage", None)]


def test_a_cameras_alarm_ends_with_its_window(hour: Hour) -> None:
    hour.camera(flows=False, cause="not_reachable")
    hour.wait(20)
    hour.at += timedelta(minutes=40)
    hour.facts.snapshot = replace(hour.facts.snapshot, cameras=())
    hour.wait(20)
    assert ("no_footage", "window_ended") in hour.alarms()


def test_no_footage_is_no_fault_outside_the_window_or_where_an_operator_stopped_it(hour: Hour) -> None:
    hour.camera(flows=False)
    (one,) = hour.facts.snapshot.cameras
    hour.facts.snapshot = replace(hour.facts.snapshot, cameras=(replace(one, stopped=True),))
    hour.wait(30)
    later = replace(one, starts_at=hour.at + timedelta(minutes=5))
    hour.facts.snapshot = replace(hour.facts.snapshot, cameras=(later,))
    hour.wait(30)
    assert hour.alarms() == []


def test_a_disk_that_will_not_hold_the_coming_days_is_told_long_before_and_ends_when_it_does(
    hour: Hour,
) -> None:
    begins = hour.at + timedelta(days=2)
    hour.archive.window(
        begins, begins + timedelta(hours=10), room="9-201", cameras=("front-wall",), closed=False
    )
    hour.facts.snapshot = replace(hour.facts.snapshot, free_bytes=20 * 10**9)
    hour.wait(200)
    assert hour.alarms() == [("disk_forecast", None)]
    (said,) = hour.details()
    # Ten hours and half an hour at 8 Mbit/s are 37.8 GB; one of the 20 is kept back.
    assert said.startswith("缺 18.")
    assert f"从 {begins.astimezone(hour.station.site.zone):%m-%d %H:%M} 9-201 " in said
    assert said.endswith("仅录考试也不够")
    hour.facts.snapshot = replace(hour.facts.snapshot, free_bytes=10**12)
    hour.wait(500)
    assert hour.alarms() == [("disk_forecast", "clear")]


def test_a_low_disk_is_told_with_its_numbers_and_ends_when_there_is_room(hour: Hour) -> None:
    hour.facts.snapshot = replace(hour.facts.snapshot, disk_low=True, free_bytes=500_000_000)
    hour.wait(20)
    assert hour.details() == ["可用 0.5 GB，低于保留的 1 GB"]
    hour.facts.snapshot = replace(hour.facts.snapshot, disk_low=False, free_bytes=10**12)
    hour.wait(30)
    hour.facts.snapshot = replace(hour.facts.snapshot, disk_low=True)
    hour.wait(30)
    assert hour.alarms() == [("disk_low", None)]  # at the edge it is one alarm
    hour.facts.snapshot = replace(hour.facts.snapshot, disk_low=False)
    hour.wait(70)
    assert hour.alarms() == [("disk_low", "clear")]


def test_a_loop_that_hangs_and_one_that_fails_are_told(hour: Hour) -> None:
    hour.wait(60, ticking=False)
    assert hour.alarms() == [("service_stalled", None)]
    hour.wait(20)
    assert hour.alarms() == [("service_stalled", "clear")]
    hour.facts.snapshot = replace(hour.facts.snapshot, failure="OSError: disk gone")
    hour.wait(60, ticking=False)
    assert hour.details()[1] == "OSError: disk gone"


def test_a_dead_watch_and_what_cannot_be_written_are_told(hour: Hour) -> None:
    hour.facts.watch = "judging a picture ended its process"
    hour.facts.unwritable = {"log": "/state/log: Read-only file system", "archive": "/archive: No space left"}
    hour.wait(60)
    assert {kind for kind, _ in hour.alarms()} == {"watch_dead", "log_unwritable", "archive_unwritable"}
    hour.facts.watch, hour.facts.unwritable = "", {}
    hour.wait(60)
    assert {ended for _, ended in hour.alarms()} == {"clear"}


def test_a_clock_without_a_time_service_is_told_after_minutes_and_an_unknown_one_is_not(hour: Hour) -> None:
    hour.facts.synchronised = None
    hour.wait(400)
    hour.facts.synchronised = False
    hour.wait(200)
    assert hour.alarms() == []
    hour.wait(200)
    assert hour.alarms() == [("clock_unsynchronised", None)]


def test_a_clock_that_was_set_is_told_once_with_its_size(hour: Hour) -> None:
    hour.wait(20)
    hour.facts.clock_offset_s += 3.0
    hour.wait(60)
    assert hour.alarms() == [("clock_stepped", "told")]
    assert "+3.0" in hour.details()[0]


def test_a_gap_is_told_once_if_it_is_long_also_over_a_restart(hour: Hour) -> None:
    begins = hour.at - timedelta(minutes=4)
    hour.archive.gap(hour.window, CAMERA, begins, begins + timedelta(seconds=30), "stream_lost", "before")
    hour.wait(4)
    assert hour.alarms() == []  # of before there was a desk
    later = begins + timedelta(minutes=1)
    hour.archive.gap(hour.window, CAMERA, later, later + timedelta(seconds=2), "stream_lost", "short")
    hour.desk = hour.new_desk()  # the service was away while the next one was signed
    later += timedelta(minutes=1)
    hour.archive.gap(hour.window, CAMERA, later, later + timedelta(seconds=30), "stream_lost", "long")
    hour.wait(4)
    hour.desk = hour.new_desk()
    hour.wait(4)
    assert hour.alarms() == [("gap", "told")]
    assert "30 秒，视频流中断：long" in hour.details()[0]


def test_a_window_that_is_over_with_a_hole_is_told_until_the_hole_is_explained(hour: Hour) -> None:
    begins = hour.at - timedelta(minutes=10)
    window = hour.archive.window(
        begins, begins + timedelta(seconds=10), room=ROOM, cameras=("back-right",), closed=False
    )
    hour.archive.take(window, "back-right", begins, 2)
    hour.wait(40)
    assert hour.alarms() == []  # a service that was away may still settle it
    hour.wait(60)
    assert hour.alarms() == [("unexplained_gap", None)]
    assert hour.details() == ["缺 6 秒，既无录像也无登记原因"]
    hour.archive.gap(window, "back-right", begins + timedelta(seconds=4), begins + timedelta(seconds=10))
    hour.archive.close(window)
    hour.wait(40)
    assert ("unexplained_gap", "clear") in hour.alarms()


def test_a_new_process_takes_up_what_lasts_and_ends_what_is_over(hour: Hour) -> None:
    hour.camera(flows=False, cause="auth_failed")
    hour.facts.snapshot = replace(hour.facts.snapshot, disk_low=True)
    hour.wait(30)
    hour.desk = hour.new_desk()
    hour.camera(flows=True)
    hour.wait(100)
    assert sorted(hour.alarms(), key=lambda one: one[0]) == [("disk_low", None), ("no_footage", "clear")]


def test_one_part_that_fails_keeps_no_other_from_being_looked_at(
    hour: Hour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Told, "run", _broken)
    hour.facts.snapshot = replace(hour.facts.snapshot, disk_low=True)
    hour.wait(20)
    assert hour.alarms() == [("disk_low", None)]


def test_a_log_that_cannot_be_written_is_told_all_the_same(
    hour: Hour, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(hour.station.log, "append", _broken)
        hour.facts.unwritable = {"log": "/state/log: No space left on device"}
        hour.wait(20)
        assert hour.alarms() == [("log_unwritable", None)]
    hour.facts.unwritable = {}
    hour.wait(200)
    with hour.station.sessions() as session:
        row = session.scalars(select(Alarm)).one()
    assert row.leaf is not None
    assert row.cleared_leaf is not None


def test_a_database_that_cannot_be_written_is_told_by_the_channels_at_once_and_once(
    make_station: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station({"webhooks": [{"id": "duty", "url": receiver.url}]})
    facts = Facts(Snapshot(0.0, 0.01, (), 10**12, False), unwritable={"database": "database or disk is full"})
    seconds = [0.0]
    desk = AlarmDesk(
        station,
        Sources(lambda: facts.snapshot, lambda: ""),
        checks=Told(station, facts),
        clock=lambda: seconds[0],
    )
    at = now()
    with monkeypatch.context() as broken:
        broken.setattr("kaozheng_service.alarms.book.AlarmBook.raise_alarm", _full)
        for _ in range(10):
            seconds[0] += 2
            desk.look(at + timedelta(seconds=seconds[0]))
        _await(lambda: receiver.received)
        _await(lambda: not any(one.name.startswith("unstored") for one in threading.enumerate()))
    (got,) = receiver.received
    assert (got.json["alarm"]["kind"], got.json["alarm"]["number"]) == ("database_unwritable", None)
    seconds[0] += 2
    desk.look(at + timedelta(seconds=seconds[0]))  # it can be stored again, and no second message waits
    with station.sessions() as session:
        assert session.scalars(select(Alarm.kind)).all() == ["database_unwritable"]
    desk.stop()
    assert len(receiver.received) == 1


def test_what_is_asked_of_the_machine_is_true(small_archive: Any) -> None:
    station = small_archive.station
    checks = SelfChecks(station).run()
    assert (checks.log, checks.database, checks.archive, checks.clock_step_s) == ("", "", "", 0.0)
    assert checks.clock_synchronised in (True, False, None)
    assert list((station.state / "log").glob(".kaozheng*")) == []
    shutil.rmtree(station.archive)
    assert "No such file" in why_unwritable(station.archive)


def _broken(*_: Any) -> Any:
    raise OSError(28, "No space left on device")


def _full(*_: Any, **__: Any) -> Any:
    raise OperationalError("INSERT", {}, Exception("database or disk is full"))


def _await(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
