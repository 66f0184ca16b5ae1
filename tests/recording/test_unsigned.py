"""Recording goes on while nothing can be signed, and all of it is signed once that can be done; with real recorders."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
import yaml
from kaozheng_service.alarms.conditions import Snapshot, service_conditions
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Take, Window
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.recording.completeness import window_completeness
from kaozheng_service.recording.expectations import add_window, cancel_window
from kaozheng_service.recording.intent import read_intent
from kaozheng_service.recording.supervisor import Supervisor
from kaozheng_service.station import DATABASE, Station, open_station
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

PROJECT = Path(__file__).resolve().parents[2]
ROOM, CAMERA = "9-101", "front-left"


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """One room whose cameras are looped files."""
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        camera["source"] = (PROJECT / "sample_media" / ROOM / f"{camera['id']}.mp4").as_uri()
    data["recording"] = {"segment_s": 2}
    data.pop("timetable")
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


@contextmanager
def no_log(station: Station) -> Iterator[None]:
    folder = station.state / "log"
    aside = folder.rename(folder.with_name("log.away"))
    yield
    aside.rename(folder)


@contextmanager
def no_rows(station: Station) -> Iterator[None]:
    """A database that can be read and takes nothing in."""
    with sqlite3.connect(station.state / DATABASE) as other:
        for table in ("takes", "segments", "gaps"):
            for verb in ("INSERT ON", "UPDATE ON"):
                other.execute(
                    f"CREATE TRIGGER no_{table}_{verb[:6]} BEFORE {verb} {table} "
                    "BEGIN SELECT RAISE(ABORT, 'not now'); END"
                )
    yield
    with sqlite3.connect(station.state / DATABASE) as other:
        for table in ("takes", "segments", "gaps"):
            for verb in ("INSERT", "UPDATE"):
                other.execute(f"DROP TRIGGER no_{table}_{verb}")


@contextmanager
def no_table(station: Station) -> Iterator[None]:
    """A database that cannot even be read."""
    with sqlite3.connect(station.state / DATABASE) as other:
        for table in ("takes", "windows"):
            other.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    yield
    with sqlite3.connect(station.state / DATABASE) as other:
        for table in ("windows", "takes"):
            other.execute(f"ALTER TABLE {table}_away RENAME TO {table}")


@pytest.mark.parametrize("fault", [no_log, no_rows, no_table])
def test_a_dead_recorder_is_replaced_and_all_is_signed_later(
    station: Station, fault: Callable[[Station], object]
) -> None:
    supervisor = Supervisor(station)
    begins = now() + timedelta(seconds=2)
    window = add_window(station, ROOM, begins, begins + timedelta(hours=1), camera_ids=[CAMERA])
    tick_until(
        supervisor,
        lambda: any(one.last_segment_at for one in supervisor.states()) and now() > begins,
    )
    first = folders(station)[0]
    with structlog.testing.capture_logs() as said, fault(station):
        os.kill(pid_in(first), signal.SIGKILL)
        tick_until(supervisor, lambda: segments_of(station, 2) > 1)
        os.kill(pid_in(folders(station)[1]), signal.SIGKILL)
        tick_until(supervisor, lambda: segments_of(station, 3) > 1 and supervisor.health()[0].flows)
        assert supervisor.health()[0].unsigned
        alarms = service_conditions(station, snapshot(supervisor), None, "", time.monotonic())
        assert [subject.kind for subject in alarms] == ["log_unwritable"]
    told = [one for one in said if one["event"].startswith("what was recorded cannot be signed yet")]
    assert len(told) == len({one["why"] for one in told})
    tick_until(supervisor, lambda: not supervisor.health()[0].unsigned)
    cancel_window(station, window.id, "停电", "zhang")
    tick_until(supervisor, supervisor.is_idle)

    assert [folder.name for folder in folders(station)] == ["take-0001", "take-0002", "take-0003"]
    with station.sessions() as session:
        takes = session.scalars(select(Take).order_by(Take.number)).all()
        assert [take.end_cause for take in takes] == ["recorder_died", "recorder_died", "stopped_by_operator"]
        assert all(take.closed_leaf is not None for take in takes)
    (camera,) = window_completeness(station, window.id).cameras
    assert {gap.cause for gap in camera.gaps} <= {"late_start", "recorder_died", "stopped_by_operator"}
    assert [gap.cause for gap in camera.gaps].count("recorder_died") == 2
    assert camera.unexplained_s == 0
    assert verify_archive(station).outcome == "intact"


def test_a_recorder_that_ends_with_its_window_is_settled_once_the_log_is_there(station: Station) -> None:
    supervisor = Supervisor(station)
    begins = now() + timedelta(seconds=3)
    window = add_window(station, ROOM, begins, begins + timedelta(seconds=6), camera_ids=[CAMERA])
    tick_until(supervisor, lambda: bool(supervisor.states()))
    with no_log(station):
        tick_until(supervisor, lambda: supervisor.health() != [] and supervisor.states()[0].take is None)
        tick_until(supervisor, lambda: now() > window.ends_at + timedelta(seconds=6))
        assert not supervisor.is_idle()
        assert len(folders(station)) == 1
    tick_until(supervisor, supervisor.is_idle)
    assert window_completeness(station, window.id).verdict == "complete"
    assert verify_archive(station).outcome == "intact"
    with station.sessions() as session:
        assert session.get_one(Window, window.id).closed_leaf is not None


def snapshot(supervisor: Supervisor) -> Snapshot:
    return Snapshot(time.monotonic(), 0.0, tuple(supervisor.health()), 10**12, False)


def folders(station: Station) -> list[Path]:
    return sorted(station.archive.glob(f"*/{ROOM}/{CAMERA}/*/take-*"))


def segments_of(station: Station, number: int) -> int:
    """How many files the recorder of that take has begun."""
    found = folders(station)
    return len(list(found[number - 1].glob("*.mp4"))) if len(found) >= number else 0


def pid_in(folder: Path) -> int:
    intent = read_intent(folder)
    assert intent is not None
    assert intent.child is not None
    return intent.child.pid


def tick_until(supervisor: Supervisor, done: Callable[[], bool]) -> None:
    """Tick as the daemon does, which goes on after a tick that failed."""
    for _ in range(300):
        if done():
            return
        with suppress(OperationalError):
            supervisor.tick()
        time.sleep(0.2)
    raise AssertionError(f"it did not happen: {supervisor.health()}")
