"""A timetable taken over: expected and signed first, changed by new records only, and never twice."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kaozheng_service.cli.serving import take_in_timetable
from kaozheng_service.clock import from_text, now
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Window
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.find import find
from kaozheng_service.disputes.find import find_json as as_json
from kaozheng_service.disputes.verify import verify_archive, verify_bag
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.records import WindowCancelled
from kaozheng_service.recording.completeness import completeness_json, window_completeness
from kaozheng_service.recording.expectations import (
    add_window,
    cancel_locked,
    cancel_window,
    settle_windows,
    windows_lock,
)
from kaozheng_service.recording.timetable_import import Imported, State, import_timetable, preview_timetable
from kaozheng_service.recording.timetable_json import timetable_json
from kaozheng_service.recording.timetable_notice import read_notice
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.status import station_status

MORNING = "一 理论考试,2090-11-23 09:00-11:00,9号楼201"
AFTERNOON = "一 实操考核,2090-11-23 14:00-17:00,9号楼201"
VERSION = st.lists(
    st.sampled_from([MORNING, AFTERNOON, MORNING.replace("11:00", "12:00")]), unique=True, min_size=1
)
FIRST, SECOND = "20901123-090000-9-201-theory", "20901123-140000-9-201-practical"


@pytest.fixture
def station(small_archive: Any) -> Station:
    found: Station = small_archive.station
    return found


def table(station: Station, *rows: str) -> Path:
    path = station.site.folder / "timetable.csv"
    path.write_text("场次,时间,地点\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def take_over(station: Station, *rows: str) -> Imported:
    return import_timetable(station, preview_timetable(station, table(station, *rows)), "zhang")


def states(station: Station, *rows: str) -> dict[str, str]:
    changes = preview_timetable(station, table(station, *rows)).changes
    return {one.stored_id or one.window.id: one.state.value for one in changes}


def log_of(station: Station) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in station.log.entries()]


def row(station: Station, window_id: str) -> Window:
    with station.sessions() as session:
        return session.get_one(Window, window_id)


def codes(station: Station) -> tuple[str, set[str]]:
    report = verify_archive(station)
    return report.outcome, {finding.code for finding in report.findings}


def cancelled_in_the_past(archive: Any, *, at: timedelta, later_record: bool = False) -> str:
    """A window of 2024 that was cancelled ``at`` after its begin."""
    begins = archive.local("2024-11-23 09:00:00")
    ends = begins + timedelta(seconds=20)
    window: str = archive.window(begins, ends, room="9-101", cameras=("front-left",), closed=False)
    if later_record:
        other = archive.local("2024-11-24 09:00:00")
        archive.window(other + timedelta(days=1), other + timedelta(days=2), room="9-201", closed=False)
    with archive.station.sessions.begin() as session:
        stored = session.get_one(Window, window)
        stored.cancelled_at, stored.cancel_reason, stored.cancelled_by = begins + at, "停电", "zhang"
        record = WindowCancelled(at=begins + at, window=window, room="9-101", reason="停电", by="zhang")
        stored.cancelled_leaf = archive.station.log.append(record)
    return window


def test_a_preview_writes_nothing(station):
    preview = preview_timetable(station, table(station, MORNING, AFTERNOON))
    assert [change.state for change in preview.changes] == [State.NEW, State.NEW]
    assert station.log.size == 0


def test_windows_are_signed_as_expected_before_they_begin(station):
    done = take_over(station, MORNING, AFTERNOON)
    assert done == Imported((FIRST, SECOND), ())
    records = log_of(station)
    assert [record["kind"] for record in records] == ["window.expected"] * 2
    assert all(record["at"] < record["starts_at"] for record in records)
    assert row(station, FIRST).origin == "timetable"
    assert codes(station) == ("intact", set())


def test_the_same_timetable_twice_is_no_new_record(station):
    take_over(station, MORNING, AFTERNOON)
    size = station.log.size
    assert take_over(station, MORNING, AFTERNOON) == Imported((), ())
    assert station.log.size == size
    assert set(states(station, AFTERNOON, MORNING).values()) == {"unchanged"}


def test_a_longer_exam_is_cancelled_and_expected_anew(station):
    take_over(station, MORNING)
    longer = MORNING.replace("11:00", "11:30")
    preview = preview_timetable(station, table(station, longer))
    (change,) = preview.changes
    assert (change.state, change.differs) == (State.CHANGED, ("to", "exam"))
    assert take_over(station, longer) == Imported((f"{FIRST}-r2",), (FIRST,))
    assert [record["kind"] for record in log_of(station)] == [
        "window.expected",
        "window.expected",
        "window.cancelled",
    ]
    cancelled = log_of(station)[2]
    assert cancelled["by"] == "zhang"
    assert "expected anew as 20901123-090000-9-201-theory-r2" in cancelled["reason"]
    assert states(station, longer) == {f"{FIRST}-r2": "unchanged"}
    assert take_over(station, MORNING) == Imported((f"{FIRST}-r3",), (f"{FIRST}-r2",))
    assert codes(station) == ("intact", set())


def test_a_moved_session_is_one_gone_and_one_new(station):
    take_over(station, MORNING, AFTERNOON)
    moved = AFTERNOON.replace("14:00-17:00", "15:00-18:00")
    assert states(station, MORNING, moved) == {
        FIRST: "unchanged",
        SECOND: "gone",
        "20901123-150000-9-201-practical": "new",
    }
    done = take_over(station, MORNING, moved)
    assert done.cancelled == (SECOND,)
    assert row(station, SECOND).is_void


def test_a_session_that_comes_back_is_expected_anew(station):
    take_over(station, MORNING, AFTERNOON)
    take_over(station, MORNING)
    assert take_over(station, MORNING, AFTERNOON) == Imported((f"{SECOND}-r2",), ())


def test_a_timetable_of_other_days_cancels_nothing(station):
    take_over(station, MORNING)
    other = MORNING.replace("11-23", "11-30")
    preview = preview_timetable(station, table(station, other))
    assert {one.state for one in preview.changes} == {State.OUTSIDE, State.NEW}
    assert "outside of its days: it stays expected" in "".join(preview.warnings)
    assert take_over(station, other).cancelled == ()
    assert not row(station, FIRST).is_void


def test_what_an_operator_added_is_no_business_of_a_timetable(station):
    begins = from_text("2090-11-23T01:00:00Z")
    added = add_window(station, "9-101", begins, begins + timedelta(hours=1), title="命题补录")
    assert take_over(station, MORNING).cancelled == ()
    assert states(station, MORNING) == {FIRST: "unchanged"}
    assert row(station, added.id).origin == "operator"


def test_what_has_begun_goes_on_whatever_the_timetable_says(small_archive):
    station = small_archive.station
    begins = now() - timedelta(minutes=5)
    window = small_archive.window(begins, begins + timedelta(hours=3), room="9-101", closed=False)
    local = begins.astimezone(station.site.zone)
    other = f"二 理论考试,{local + timedelta(days=1):%Y-%m-%d} 09:00-11:00,9号楼101"
    around = f"三 理论考试,{local - timedelta(days=1):%Y-%m-%d} 09:00-11:00,9号楼101"
    preview = preview_timetable(station, table(station, around, other))
    assert {one.stored_id: one.state for one in preview.changes if one.stored_id} == {window: State.RUNNING}
    assert f"kaozheng window cancel {window} --reason" in "".join(preview.warnings)
    assert import_timetable(station, preview, "zhang").cancelled == ()


def test_past_sessions_are_doubted_and_not_expected(station):
    preview = preview_timetable(station, table(station, MORNING.replace("2090", "2024")))
    assert [one.state for one in preview.changes] == [State.OVER]
    assert "is past: it ended 2024-11-23 11:00" in preview.warnings[0]
    assert import_timetable(station, preview, "zhang") == Imported((), ())


def test_a_session_that_has_begun_is_expected_late_and_said_so(station):
    begins = now().astimezone(station.site.zone).replace(hour=6, minute=0) - timedelta(days=1)
    # An exam of yesterday morning with a post-roll that lasts until after now.
    site = station.site.model_copy(
        update={"recording": station.site.recording.model_copy(update={"post_roll_min": 48 * 60})}
    )
    late = replace(station, site=site)
    preview = preview_timetable(late, table(station, f"一 理论考试,{begins:%Y-%m-%d} 06:00-07:00,9号楼201"))
    assert [one.state for one in preview.changes] == [State.NEW]
    assert "has begun already: it is signed late" in preview.warnings[-1]


def test_what_began_while_an_import_ran_is_not_cancelled_by_it(small_archive):
    begins = now() - timedelta(seconds=1)
    window = small_archive.window(begins, begins + timedelta(hours=3), room="9-101", closed=False)
    with windows_lock(small_archive.station), pytest.raises(UserError, match="has begun and goes on"):
        cancel_locked(small_archive.station, window, "改期", "zhang", only_unbegun=True)
    assert row(small_archive.station, window).cancelled_at is None


def test_sessions_back_to_back_are_doubted(station):
    preview = preview_timetable(station, table(station, MORNING, AFTERNOON.replace("14:00", "11:30")))
    assert "its cameras are recorded twice from 2090-11-23 10:30" in preview.warnings[0]


def test_the_json_says_what_would_change_and_what_was_done(station):
    take_over(station, AFTERNOON)
    preview = preview_timetable(station, table(station, MORNING))
    body = timetable_json(preview, import_timetable(station, preview, "zhang"))
    assert body["schema"] == "kaozheng/timetable/1"
    assert [(one["id"], one["change"]) for one in body["windows"]] == [(FIRST, "new"), (SECOND, "gone")]
    assert body["counts"] == {state.value: 0 for state in State} | {"new": 1, "gone": 1}
    assert body["imported"] == {"expected": [FIRST], "cancelled": [SECOND]}
    assert body["sessions"][0]["from"] == "2090-11-23T01:00:00.000Z"
    json.dumps(body)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VERSION, min_size=1, max_size=4))
def test_after_any_imports_exactly_the_last_timetable_is_expected(tmp_path_factory, small_archives, versions):
    station = small_archives.SmallArchive.make(tmp_path_factory.mktemp("site"), []).station
    for rows in versions:
        try:
            take_over(station, *rows)
        except UserError:  # two sizes of the one morning
            continue
        size = station.log.size
        take_over(station, *rows)
        assert station.log.size == size
        planned = preview_timetable(station, table(station, *rows)).changes
        assert {one.state for one in planned} == {State.UNCHANGED}
        with station.sessions() as session:
            standing = {one.id for one in session.query(Window).filter(Window.cancelled_at.is_(None))}
        assert standing == {one.stored_id for one in planned}
    assert codes(station) == ("intact", set())


def test_a_crash_between_row_and_record_is_mended(station):
    take_over(station, MORNING, AFTERNOON)
    with station.sessions.begin() as session:  # as a process leaves it that died before it signed
        session.get_one(Window, FIRST).cancelled_at = now()
        session.get_one(Window, FIRST).cancel_reason = "停电"
        session.get_one(Window, FIRST).cancelled_by = "zhang"
        session.get_one(Window, SECOND).leaf = None
    assert codes(station)[1] == {"row_missing", "row_unsigned"}
    settle_windows(station)
    settle_windows(station)
    assert [record["kind"] for record in log_of(station)] == ["window.expected"] * 2 + ["window.cancelled"]
    assert row(station, FIRST).is_void
    assert codes(station) == ("intact", set())


def test_settling_waits_for_who_is_at_it(station):
    take_over(station, MORNING)
    with station.sessions.begin() as session:
        session.get_one(Window, FIRST).leaf = None
    with windows_lock(station):
        settle_windows(station)
    assert row(station, FIRST).leaf is None


# --- what is cancelled, and when


def test_a_window_cancelled_before_it_began_expects_nothing(small_archive):
    window = cancelled_in_the_past(small_archive, at=timedelta(hours=-1))
    station = small_archive.station
    result = window_completeness(station, window)
    assert result.verdict == "cancelled"
    assert "before it began: 停电" in result.summary()
    assert completeness_json(result)["cancelled"] == {
        "at": "2024-11-23T00:00:00.000Z",
        "reason": "停电",
        "by": "zhang",
        "leaf": 1,
        "before_start": True,
    }
    assert codes(station) == ("intact", {"cancelled"})


def test_a_cancellation_after_the_begin_hides_nothing(small_archive):
    window = cancelled_in_the_past(small_archive, at=timedelta(seconds=5))
    station = small_archive.station
    result = window_completeness(station, window)
    assert result.verdict == "incomplete_unexplained"
    assert result.cancellation is not None
    assert not result.cancellation.before_start
    assert codes(station) == ("cannot_judge", {"hole", "cancelled_late"})


def test_a_cancellation_that_was_dated_back_is_not_believed(small_archive):
    cancelled_in_the_past(small_archive, at=timedelta(hours=-1), later_record=True)
    assert codes(small_archive.station) == ("cannot_judge", {"cancelled_backdated", "hole"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cancel_reason", "别的理由"),
        ("cancelled_by", "li"),
        ("cancelled_at", datetime(2024, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_cancellation_whose_row_was_changed_is_found(small_archive, field, value):
    window = cancelled_in_the_past(small_archive, at=timedelta(hours=-1))
    with small_archive.station.sessions.begin() as session:
        setattr(session.get_one(Window, window), field, value)
    assert codes(small_archive.station) == ("altered", {"row_differs", "cancelled"})


def test_a_row_that_claims_a_cancellation_which_was_never_signed_is_found(small_archive):
    station = small_archive.station
    take_over(station, MORNING)
    with station.sessions.begin() as session:
        stored = session.get_one(Window, FIRST)
        stored.cancelled_at, stored.cancelled_leaf, stored.cancel_reason = now(), 0, "假"
    assert codes(station)[0] == "altered"


def test_find_and_the_status_page_show_a_cancelled_window(small_archive):
    window = cancelled_in_the_past(small_archive, at=timedelta(hours=-1))
    station = small_archive.station
    found = find(station, "9-101", None, small_archive.local("2024-11-23 09:00:05"))
    assert {camera.at_moment.value for camera in found.cameras} == {"cancelled", "not_expected"}
    (shown,) = as_json(found)["windows"]
    assert (shown["id"], shown["cancelled"]["reason"]) == (window, "停电")
    status = station_status(station, date(2024, 11, 23))
    assert [one["state"] for one in status["windows"]] == ["cancelled"]
    assert status["windows"][0]["cameras"][0]["seconds"]["unexplained"] == 0


def test_an_export_of_nothing_but_a_cancelled_window_is_refused(small_archive, tmp_path):
    cancelled_in_the_past(small_archive, at=timedelta(hours=-1))
    begins = small_archive.local("2024-11-23 09:00:00")
    request = ExportRequest("9-101", ("front-left",), begins, begins + timedelta(seconds=5), "复核")
    with pytest.raises(UserError, match="before it began: 停电"):
        export_bag(small_archive.station, request, tmp_path / "bag")


def test_a_bag_shows_the_cancelled_window_beside_the_one_that_took_its_place(small_archive, tmp_path):
    cancelled_in_the_past(small_archive, at=timedelta(hours=-1))
    begins = small_archive.local("2024-11-23 09:00:00")
    real = small_archive.window(
        begins,
        begins + timedelta(seconds=10),
        room="9-101",
        kind="practical",
        cameras=("front-left",),
        closed=False,
    )
    small_archive.take(real, "front-left", begins, 5)
    small_archive.close(real)
    request = ExportRequest("9-101", ("front-left",), begins, begins + timedelta(seconds=15), "复核")
    export_bag(small_archive.station, request, tmp_path / "bag")
    report = verify_bag(tmp_path / "bag")
    assert (report.outcome, {one.code for one in report.findings}) == (
        "intact",
        {"cancelled", "key_from_bag"},
    )
    said = (tmp_path / "bag" / "data" / "report.html").read_text(encoding="utf-8")
    assert "开始之前于 2024-11-23 08:00:00 取消，理由：停电" in said
    assert "应录的每一秒都有录像或说明" in said


@pytest.mark.parametrize("reason", ["", "  \n", "长" * 501])
def test_nothing_is_cancelled_without_a_reason(station, reason):
    take_over(station, MORNING)
    with pytest.raises(UserError, match="reason"):
        cancel_window(station, FIRST, reason, "zhang")


def test_a_window_is_cancelled_once_and_only_while_it_can_be(small_archive):
    station = small_archive.station
    take_over(station, MORNING)
    assert cancel_window(station, FIRST, "停电", "zhang").is_void
    with pytest.raises(UserError, match=r"cancelled at .* already: 停电"):
        cancel_window(station, FIRST, "停电", "zhang")
    begins = small_archive.local("2024-11-23 09:00:00")
    over = small_archive.window(begins, begins + timedelta(hours=1), closed=False)
    with pytest.raises(UserError, match="is over; what was expected of it stays expected"):
        cancel_window(station, over, "停电", "zhang")
    with pytest.raises(UserError, match="there is no window 'nothing'"):
        cancel_window(station, "nothing", "停电", "zhang")


# --- the service's start


def serve_with(station: Station, *rows: str) -> Station:
    """The station as `kaozheng serve` opens it with this timetable in its site file, and takes it in."""
    table(station, *rows)
    path = station.site.folder / "site.yaml"
    text = path.read_text(encoding="utf-8")
    if "timetable:" not in text:
        path.write_text(f"{text}\ntimetable: timetable.csv\n", encoding="utf-8")
    served = open_station(load_site(path))
    take_in_timetable(served)
    return served


def test_the_service_takes_in_what_is_new_and_nothing_twice(station):
    serve_with(station, MORNING)
    serve_with(station, MORNING, AFTERNOON)
    assert [record["window"] for record in log_of(station)] == [FIRST, SECOND]
    assert station_status(station)["timetable"] is None


def test_a_changed_timetable_is_told_loudly_and_what_is_stored_stays(station):
    serve_with(station, MORNING)
    served = serve_with(station, MORNING.replace("11:00", "11:30"), AFTERNOON)
    assert row(station, FIRST).cancelled_at is None
    assert row(station, SECOND).leaf == 1
    notice = station_status(served)["timetable"]
    assert notice["file"] == "timetable.csv"
    assert notice["lines"] == [f"{FIRST}: 一 理论考试: differs in to, exam"]
    serve_with(station, MORNING, AFTERNOON)
    assert read_notice(station) is None


def test_a_broken_timetable_stops_the_service_only_while_nothing_is_expected(station):
    with pytest.raises(UserError, match="is not understood"):
        serve_with(station, "一 理论考试,9点,9号楼201")
    serve_with(station, MORNING)
    served = serve_with(station, "一 理论考试,9点,9号楼201")
    assert "is not understood" in station_status(served)["timetable"]["lines"][0]
    assert not row(station, FIRST).is_void


# --- a database of before


def test_a_database_of_the_version_before_gets_the_columns_it_lacks(small_archive):
    station = small_archive.station
    begins = now() + timedelta(days=1)
    window = small_archive.window(begins, begins + timedelta(hours=1), room="9-101", closed=False)
    station.sessions.kw["bind"].dispose()
    path = station.state / "kaozheng.sqlite"
    with sqlite3.connect(path) as old:
        for column in ("origin", "cancelled_at", "cancel_reason", "cancelled_by", "cancelled_leaf"):
            old.execute(f"ALTER TABLE windows DROP COLUMN {column}")
    reopened = open_station(station.site)
    assert row(reopened, window).cancelled_at is None
    assert cancel_window(reopened, window, "停电", "zhang").is_void
    assert codes(open_station(station.site)) == ("intact", set())
