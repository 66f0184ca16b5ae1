"""What the site's rules make of a session, beside the exam itself."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.config.timetable import Session, read_timetable
from kaozheng_service.errors import UserError
from kaozheng_service.recording.plan import PlannedWindow, overlaps, plan_windows

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo"
OTHER = "9-101"


def site(folder: Path, *rules: Any, **other: Any) -> Site:
    data = yaml.safe_load((DEMO / "site.yaml").read_text(encoding="utf-8"))
    data |= {"windows": {"rules": list(rules)}} | other
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return load_site(path)


def session(begin: str, end: str, *, kind: str = "theory", room: str = "9-201") -> Session:
    starts_at, ends_at = (moment(f"2024-11-23 {clock}") for clock in (begin, end))
    return Session("timetable.csv:2", f"第一考场 {kind}", kind, room, starts_at, ends_at)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


def of_kind(windows: list[PlannedWindow], kind: str) -> list[PlannedWindow]:
    return [window for window in windows if window.kind == kind]


def test_without_rules_there_is_the_exam_alone_with_its_rolls(tmp_path):
    (window,) = plan_windows(site(tmp_path), [session("09:00", "11:00")])
    assert (window.starts_at, window.ends_at) == (moment("2024-11-23 08:00"), moment("2024-11-23 11:30"))
    assert (window.exam_starts_at, window.exam_ends_at) == (
        moment("2024-11-23 09:00"),
        moment("2024-11-23 11:00"),
    )


@pytest.mark.parametrize(
    ("kind", "begin", "end", "title"),
    [
        ("paper_setting", "2024-11-13 08:00", "2024-11-13 18:00", "命题"),
        ("paper_collection", "2024-11-23 08:00", "2024-11-23 09:00", "领取试卷"),
        ("meeting", "2024-11-23 08:00", "2024-11-23 08:20", "考前会议"),
        ("waiting", "2024-11-23 08:00", "2024-11-23 09:00", "候考"),
        ("sealing", "2024-11-23 11:00", "2024-11-23 11:30", "密封答卷"),
        ("marking", "2024-11-23 11:00", "2024-11-23 15:00", "阅卷"),
    ],
)
def test_every_kind_has_the_times_of_the_plan(tmp_path, kind, begin, end, title):
    planned = plan_windows(site(tmp_path, {"kind": kind, "room": OTHER}), [session("09:00", "11:00")])
    (window,) = of_kind(planned, kind)
    assert (window.starts_at, window.ends_at) == (moment(begin), moment(end))
    assert (window.room_id, window.title, window.cameras) == (OTHER, title, ("front-left", "back-right"))
    assert window.id == f"{begin[:10].replace('-', '')}-{begin[11:].replace(':', '')}00-9-101-{kind}"


def test_a_rule_may_give_its_own_times_and_sessions(tmp_path):
    rule = {
        "kind": "other",
        "title": "清场",
        "room": "session",
        "sessions": "practical",
        "from": {"end_min": 30},
        "to": {"days_before": 0, "at": "18:00"},
    }
    planned = plan_windows(
        site(tmp_path, rule),
        [session("09:00", "11:00"), session("14:00", "17:00", kind="practical", room=OTHER)],
    )
    (window,) = of_kind(planned, "other")
    assert (window.room_id, window.title) == (OTHER, "清场")
    assert (window.starts_at, window.ends_at) == (moment("2024-11-23 17:30"), moment("2024-11-23 18:00"))


def test_a_clock_without_quotes_is_a_clock(tmp_path):
    rule = {
        "kind": "marking",
        "room": OTHER,
        "from": {"days_before": 0, "at": 17 * 60 + 30},
        "to": {"days_before": 0, "at": "19:00"},
    }
    (window,) = of_kind(plan_windows(site(tmp_path, rule), [session("09:00", "11:00")]), "marking")
    assert window.starts_at == moment("2024-11-23 17:30")


def test_overlapping_windows_of_one_half_day_are_one(tmp_path):
    planned = plan_windows(
        site(tmp_path, {"kind": "waiting", "room": OTHER}),
        [
            session("09:00", "11:00"),
            session("09:30", "11:00", room=OTHER),
            session("14:00", "17:00"),
        ],
    )
    assert [(one.starts_at, one.ends_at) for one in of_kind(planned, "waiting")] == [
        (moment("2024-11-23 08:00"), moment("2024-11-23 09:30")),
        (moment("2024-11-23 13:00"), moment("2024-11-23 14:00")),
    ]


def test_windows_that_record_a_camera_twice_are_found(tmp_path):
    planned = plan_windows(
        site(tmp_path, {"kind": "meeting"}), [session("09:00", "11:00"), session("12:00", "13:00")]
    )
    pairs = {
        tuple(sorted((one.id[9:13] + one.kind, other.id[9:13] + other.kind)))
        for one, other in overlaps(planned)
    }
    assert pairs == {
        ("0800meeting", "0900theory"),
        ("1100meeting", "1200theory"),
        ("0900theory", "1200theory"),
        ("0900theory", "1100meeting"),
    }


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (
            {"kind": "waiting", "room": "nowhere"},
            "windows.rules[0].room: no room 'nowhere'; write one of session",
        ),
        ({"kind": "parade", "room": OTHER}, "windows.rules[0].kind: 'parade' cannot be used"),
        ({"kind": "other", "room": OTHER}, "kind other needs a title, from and to of its own"),
        ({"kind": "waiting", "from": {"start_min": 0}}, "ends no later than it begins"),
        ({"kind": "waiting", "from": {"start_min": -60, "end_min": 1}}, "write one of start_min: -60"),
        ({"kind": "waiting", "from": {"days_before": 1}}, "write one of start_min: -60"),
        ({"kind": "waiting", "from": {"start_min": -9999}}, "greater than or equal to -1440"),
        ({"kind": "marking", "to": {"days_before": 0, "at": "25:00"}}, "windows.rules[0].to.at"),
        ({"kind": "waiting", "until": 3}, "windows.rules[0].until: is not a field"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_its_line(tmp_path, rule, fault):
    with pytest.raises(UserError) as caught:
        site(tmp_path, rule)
    assert fault in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/site.yaml:")


def test_a_rule_that_ends_before_it_begins_for_a_session_names_the_session(tmp_path):
    rule = {"kind": "marking", "room": OTHER, "to": {"days_before": 0, "at": "10:00"}}
    with pytest.raises(UserError, match=r"timetable.csv:2: the rule marking of `windows` ends at"):
        plan_windows(site(tmp_path, rule), [session("09:00", "11:00")])


def test_a_rule_at_an_hour_that_the_clock_change_takes_is_refused(tmp_path):
    rule = {
        "kind": "paper_setting",
        "room": OTHER,
        "from": {"days_before": 1, "at": "02:30"},
        "to": {"days_before": 1, "at": "04:00"},
    }
    there = site(tmp_path, rule, timezone="America/New_York")
    begins = datetime(2024, 3, 11, 14, tzinfo=UTC)
    exam = Session("t.csv:2", "一 理论", "theory", "9-201", begins, begins + timedelta(hours=2))
    with pytest.raises(UserError, match="does not exist in America/New_York"):
        plan_windows(there, [exam])


def test_the_demo_site_means_what_it_meant(tmp_path):
    shutil.copytree(DEMO, tmp_path / "demo")
    demo = load_site(tmp_path / "demo" / "site.yaml")
    planned = plan_windows(demo, read_timetable(tmp_path / "demo" / "timetable.csv", demo).sessions)
    assert [window.id for window in planned] == [
        "20241123-090000-9-201-theory",
        "20241123-140000-9-201-practical",
        "20241124-090000-9-101-theory",
        "20241124-140000-9-101-practical",
    ]
