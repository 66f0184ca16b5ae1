"""Windows that come, and are cancelled, while the supervisor runs; with real recorders."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Take, Window
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.errors import UserError
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.completeness import window_completeness
from kaozheng_service.recording.expectations import add_window, cancel_window, register
from kaozheng_service.recording.forecast import stored_demands
from kaozheng_service.recording.supervisor import Supervisor
from kaozheng_service.station import Station, open_station
from sqlalchemy import select

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """One room whose cameras are looped files."""
    return make_station(tmp_path)


def make_station(folder: Path, *, source: str | None = None) -> Station:
    """``source`` is that of every camera, where it is none of the looped files."""
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        camera["source"] = (
            f"{source}/{camera['id']}"
            if source
            else (PROJECT / "sample_media" / ROOM / f"{camera['id']}.mp4").as_uri()
        )
    data["recording"] = {"segment_s": 2}
    data.pop("timetable")
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


def tick_until(supervisor: Supervisor, done: Callable[[], bool]) -> None:
    until = time.monotonic() + 40
    while not done():
        assert time.monotonic() < until
        supervisor.tick()
        time.sleep(0.2)


def test_a_window_that_is_added_is_recorded_and_one_that_is_cancelled_is_stopped_and_explained(station):
    supervisor = Supervisor(station)
    supervisor.tick()
    begins = now() + timedelta(seconds=3)
    kept = add_window(station, ROOM, begins, begins + timedelta(hours=1), camera_ids=["front-left"])
    void = add_window(
        station, ROOM, now() + timedelta(seconds=9), begins + timedelta(hours=2), kind="marking"
    )
    cancel_window(station, void.id, "不阅卷", "zhang")
    tick_until(supervisor, lambda: any(one.last_segment_at for one in supervisor.states()) and now() > begins)
    assert {state.window for state in supervisor.states()} == {kept.id}
    cancelled_at = now()
    assert not cancel_window(station, kept.id, "停电", "zhang").is_void
    tick_until(supervisor, supervisor.is_idle)
    supervisor.release()

    result = window_completeness(station, kept.id)
    assert result.verdict == "incomplete_explained"
    gap = result.cameras[0].gaps[-1]
    assert gap.cause == "stopped_by_operator"
    assert "the window was cancelled: 停电" in gap.detail
    assert gap.starts_at - cancelled_at < timedelta(seconds=4)
    assert gap.ends_at == result.ends_at
    assert window_completeness(station, void.id).verdict == "cancelled"
    with station.sessions() as session:
        assert session.get_one(Window, kept.id).closed_leaf is not None
        assert session.get_one(Window, void.id).closed_leaf is None
        assert set(session.scalars(select(Take.window_id))) == {kept.id}
    report = verify_archive(station)
    assert (report.outcome, {one.code for one in report.findings}) == ("intact", {"cancelled_late"})
    with pytest.raises(UserError, match="was cancelled at"):
        cancel_window(station, kept.id, "停电", "zhang")


def test_a_recorder_that_was_started_ahead_of_a_cancelled_window_is_ended_even_by_a_later_supervisor(station):
    first = Supervisor(station)
    begins = now() + timedelta(seconds=7)
    window = add_window(station, ROOM, begins, begins + timedelta(hours=1), camera_ids=["front-left"])
    tick_until(first, lambda: any(state.take for state in first.states()))
    first.release()
    assert cancel_window(station, window.id, "停电", "zhang").is_void
    later = Supervisor(station)
    later.tick()
    assert not later.is_idle()
    tick_until(later, later.is_idle)
    later.release()
    assert window_completeness(station, window.id).verdict == "cancelled"
    with station.sessions() as session:
        (take,) = session.scalars(select(Take))
        assert take.end_cause == "stopped_by_operator"
        assert session.get_one(Window, window.id).closed_leaf is not None
    report = verify_archive(station)
    assert (report.outcome, {one.code for one in report.findings}) == ("intact", {"cancelled"})


def test_a_window_that_is_cancelled_within_a_gap_keeps_the_gaps_cause_up_to_then(tmp_path: Path) -> None:
    station = make_station(tmp_path, source="rtsp://127.0.0.1:9/nothing")
    supervisor = Supervisor(station)
    begins = now() + timedelta(seconds=2)
    window = add_window(station, ROOM, begins, begins + timedelta(hours=1), camera_ids=["front-left"])
    tick_until(supervisor, lambda: now() > begins + timedelta(seconds=3))
    cancelled = cancel_window(station, window.id, "停电", "zhang")
    tick_until(supervisor, supervisor.is_idle)
    result = window_completeness(station, window.id)
    before, after = result.cameras[0].gaps
    assert before.starts_at == window.starts_at
    assert (before.cause, before.ends_at) == ("connection_refused", cancelled.cancelled_at)
    assert (after.cause, after.starts_at) == ("stopped_by_operator", cancelled.cancelled_at)
    assert (after.ends_at, after.detail) == (result.ends_at, "the window was cancelled: 停电")
    assert result.verdict == "incomplete_explained"
    assert verify_archive(station).outcome == "intact"


class SmallDisk(Supervisor):
    """A supervisor whose disk has so many bytes free."""

    free: float = 10**13

    def free_bytes(self) -> int:
        return round(self.free)


def test_under_the_reserve_the_newest_activity_is_stopped_for_a_coming_exam_and_signed_as_disk_full(
    station: Station,
) -> None:
    supervisor = SmallDisk(station)
    begins = now() + timedelta(seconds=4)
    older = add_window(
        station, ROOM, begins, begins + timedelta(minutes=5), kind="meeting", camera_ids=["front-left"]
    )
    newer = add_window(
        station,
        ROOM,
        begins + timedelta(seconds=1),
        begins + timedelta(minutes=5),
        kind="marking",
        camera_ids=["back-right"],
    )
    exam = Window(
        id="exam",
        room_id=ROOM,
        kind="theory",
        title="理论考试",
        batch=None,
        camera_ids="front-left back-right",
        starts_at=begins + timedelta(minutes=10),
        ends_at=begins + timedelta(minutes=20),
        exam_starts_at=None,
        exam_ends_at=None,
    )
    register(station, exam)
    tick_until(supervisor, lambda: len([one for one in supervisor.states() if one.last_segment_at]) == 2)
    with station.sessions() as session:
        needed = {
            one.window: one.needed_bytes(now())
            for one in stored_demands(session, now(), now() + timedelta(days=1))
        }
    supervisor.free = needed["exam"] + needed[older.id] + needed[newer.id] / 2
    assert supervisor.disk_is_low()
    tick_until(supervisor, lambda: window_completeness(station, newer.id).closed)
    assert {state.window for state in supervisor.states()} == {older.id}
    assert not window_completeness(station, older.id).closed
    (camera,) = window_completeness(station, newer.id).cameras
    gap = camera.gaps[-1]
    assert (gap.cause, gap.ends_at) == ("disk_full", newer.ends_at)
    assert gap.detail.startswith("stopped for exams: they need ")
    supervisor.stop_recorders(Cause.STOPPED_BY_OPERATOR, for_good=True)
    tick_until(supervisor, supervisor.is_idle)
    assert verify_archive(station).outcome == "intact"
