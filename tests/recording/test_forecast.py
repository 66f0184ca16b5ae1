"""Whether the disk holds the days to come: the arithmetic, what it takes as each camera's rate, and what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.recording.forecast import (
    GB,
    Demand,
    Forecast,
    activities_to_stop,
    forecast,
    forecast_disk,
)
from kaozheng_service.recording.rates import ASSUMED_BYTES_PER_S, Basis, Rate, upper_rate

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2024, 11, 23, 0, 0, tzinfo=UTC)


def demand(
    begin_h: float, hours: float, mbyte_s: float = 1.0, kind: str = "theory", name: str = "w"
) -> Demand:
    begin = NOW + timedelta(hours=begin_h)
    rate = (("camera", Rate(mbyte_s * 1e6, Basis.TAKES)),)
    return Demand(f"{name}{begin_h}", "9-101", "考试", kind, begin, begin + timedelta(hours=hours), rate)


def fill(demands: list[Demand], free_gb: float, reserve_gb: float = 0) -> Forecast:
    return forecast(demands, present=NOW, free_bytes=free_gb * GB, reserve_bytes=reserve_gb * GB, zone=ZONE)


def test_two_sessions_of_a_day_and_one_of_the_next() -> None:
    found = fill([demand(26, 1), demand(1, 2), demand(5, 1)], free_gb=20, reserve_gb=5)
    assert [(day.on.day, day.windows) for day in found.days] == [(23, 2), (24, 1)]
    assert [day.needed_bytes / GB for day in found.days] == [10.8, 3.6]
    assert found.left_bytes / GB == pytest.approx(0.6)
    assert found.fits


def test_it_names_the_first_window_that_does_not_fit_and_by_how_much() -> None:
    activity, exam = demand(1, 2, kind="marking"), demand(26, 2)
    found = fill([exam, activity], free_gb=15, reserve_gb=5)
    assert found.first_short == exam
    assert found.short_bytes / GB == pytest.approx(4.4)
    assert found.exams_short_bytes == 0


def test_what_is_recorded_already_is_needed_no_more_and_days_without_windows_are_shown() -> None:
    found = fill([demand(-1, 2), demand(49, 1)], free_gb=100)
    assert [day.needed_bytes / GB for day in found.days] == [3.6, 0, 3.6]


MAKE = st.builds(
    demand,
    st.floats(-3, 160),
    st.floats(0.1, 12),
    st.floats(0.01, 10),
    st.sampled_from(["theory", "practical", "marking", "meeting"]),
)
MANY = st.lists(MAKE, max_size=12, unique_by=lambda one: one.window)
SIZES = st.floats(0, 2000)


@given(MANY, SIZES, st.floats(0, 100))
def test_days_add_up_to_the_whole_and_short_means_short(
    demands: list[Demand], free_gb: float, reserve_gb: float
) -> None:
    found = fill(demands, free_gb, reserve_gb)
    whole = sum(one.needed_bytes(NOW) for one in demands)
    assert found.needed_bytes == pytest.approx(whole)
    assert sum(day.windows for day in found.days) == len(demands)
    assert found.days[-1].left_bytes == pytest.approx(found.left_bytes, abs=1)
    if found.fits:
        assert found.short_bytes == 0
        assert whole <= max(free_gb - reserve_gb, 0) * GB + 1
    else:
        assert found.short_bytes == pytest.approx(-found.left_bytes, abs=1)
        assert found.left_bytes < 1
    assert found.exams_short_bytes <= found.short_bytes + 1


@given(MANY, SIZES, MAKE, SIZES)
def test_another_window_never_helps_and_another_disk_never_harms(
    demands: list[Demand], free_gb: float, more: Demand, added_gb: float
) -> None:
    before = fill(demands, free_gb)
    assert fill([*demands, more], free_gb).short_bytes >= before.short_bytes - 1
    assert fill(demands, free_gb + added_gb).short_bytes <= before.short_bytes + 1


@given(MANY, SIZES)
def test_activities_stop_the_newest_first_no_more_than_must_and_never_an_exam(
    demands: list[Demand], free_gb: float
) -> None:
    running = [one for one in demands if one.starts_at <= NOW < one.ends_at]
    exams = [one for one in demands if one.is_exam]
    stopped = activities_to_stop(running, exams, present=NOW, free_bytes=free_gb * GB)
    assert not any(one.is_exam for one in stopped)
    assert [one.starts_at for one in stopped] == sorted((one.starts_at for one in stopped), reverse=True)
    kept = [one for one in running if not one.is_exam and one not in stopped]
    needed = sum(one.needed_bytes(NOW) for one in (*exams, *kept))
    if kept:
        assert needed <= free_gb * GB + 1
    if stopped:
        assert needed + stopped[-1].needed_bytes(NOW) > free_gb * GB - 1


def test_the_newest_activity_is_stopped_for_an_exam_and_the_older_one_goes_on() -> None:
    older, newer = demand(-2, 4, kind="marking"), demand(-1, 4, kind="meeting")
    exam = demand(3, 2)
    assert activities_to_stop([older, newer], [exam], present=NOW, free_bytes=15 * GB) == [newer]
    assert activities_to_stop([older, newer], [exam], present=NOW, free_bytes=30 * GB) == []
    assert activities_to_stop([older, newer], [exam], present=NOW, free_bytes=9 * GB) == [newer, older]


def test_a_rate_is_what_nine_tenths_of_the_time_stayed_below() -> None:
    pieces = [(300, 30.0)] * 8 + [(600, 30.0), (9000, 30.0)]
    assert upper_rate(pieces) == 20
    assert upper_rate([(300, 30.0)] * 9 + [(1_000_000, 0.4)]) == 10  # one keyframe and no more
    assert upper_rate([]) is None


@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(0.1, 600)), min_size=1))
def test_a_rate_lies_within_what_was_measured(pieces: list[tuple[int, float]]) -> None:
    rates = [size / seconds for size, seconds in pieces]
    rate = upper_rate(pieces)
    assert rate is not None
    assert sum(pieces[0] for pieces in pieces) / sum(one[1] for one in pieces) <= max(rates) * (1 + 1e-9)
    assert min(rates) <= rate <= max(rates)


def tomorrow(archive: Any, *, cameras: tuple[str, ...], hours: float = 2, kind: str = "theory") -> Window:
    begins = now() + timedelta(days=1)
    window_id = archive.window(
        begins, begins + timedelta(hours=hours), room="9-101", cameras=cameras, kind=kind, closed=False
    )
    with archive.station.sessions() as session:
        window: Window = session.get_one(Window, window_id)
        return window


def test_a_camera_is_as_its_newest_takes_else_as_an_inspection_saw_it_else_assumed(
    small_archive: Any,
) -> None:
    begins = now() - timedelta(days=1)
    before = small_archive.window(begins, begins + timedelta(seconds=10), room="9-101")
    small_archive.take(before, "front-left", begins, 5)
    probed = {
        "cameras": [{"camera": name, "bitrate_bps": 4_000_000} for name in ("front-left", "back-right")]
    }
    small_archive.inspection("i", "9-101", json.dumps(probed))
    tomorrow(small_archive, cameras=("front-left", "back-right", "other"))
    found = forecast_disk(small_archive.station, now(), free_bytes=10**13).rates
    sizes = [path.stat().st_size / 2 for path in small_archive.media]
    assert found["9-101", "front-left"].basis is Basis.TAKES
    assert min(sizes) <= found["9-101", "front-left"].bytes_per_s <= max(sizes)
    assert found["9-101", "back-right"] == Rate(500_000.0, Basis.INSPECTION)
    assert found["9-101", "other"] == Rate(ASSUMED_BYTES_PER_S, Basis.ASSUMED)


def test_cancelled_closed_and_far_windows_need_nothing(small_archive: Any) -> None:
    station = small_archive.station
    one = tomorrow(small_archive, cameras=("front-left",))
    begins = now() + timedelta(days=8)
    small_archive.window(begins, begins + timedelta(hours=1), room="9-201")
    assert forecast_disk(station, now()).needed_bytes == pytest.approx(7200 * ASSUMED_BYTES_PER_S)
    with station.sessions.begin() as session:
        session.get_one(Window, one.id).cancelled_at = now()
    assert forecast_disk(station, now()).needed_bytes == 0


def test_the_command_says_it_in_a_table_or_json_and_ends_with_1_where_it_will_not_fit(
    small_archive: Any,
) -> None:
    site = small_archive.station.site.folder / "site.yaml"
    assert kaozheng("disk", "-c", site).returncode == 0
    window = tomorrow(small_archive, cameras=("front-left",), hours=10_000)
    done = kaozheng("disk", "-c", site)
    assert done.returncode == 1, done.stderr
    assert "GB short, from" in done.stdout
    assert "exams alone do not fit either" in done.stdout
    assert "1 assumed at 8 Mbit/s" in done.stdout
    body = json.loads(kaozheng("disk", "--json", "-c", site).stdout)
    assert (body["schema"], body["fits"]) == ("kaozheng/disk/1", False)
    assert body["first_short"]["window"] == window.id
    assert body["cameras"] == [
        {"room": "9-101", "camera": "front-left", "bytes_per_s": 1_000_000, "basis": "assumed"}
    ]


def kaozheng(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
