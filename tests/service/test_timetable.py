"""The exam office's timetable turned into recording windows."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kaozheng_service.config.site import load_site
from kaozheng_service.config.timetable import read_timetable
from kaozheng_service.errors import UserError
from kaozheng_service.recording.plan import plan_windows

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo"
SITE = load_site(DEMO / "site.yaml")
HEADER = "场次,时间,地点,职业(工种),级别,人数,监考,考务办\n"


def table(tmp_path: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "timetable.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding=encoding)
    return path


def test_a_session_is_recorded_from_an_hour_before_to_half_an_hour_after(tmp_path):
    path = table(tmp_path, "第一考场 理论考试,2024-11-23 09:00-11:00,9号楼201,计算机程序设计员,三级,30,2,")
    (session,) = read_timetable(path, SITE).sessions
    (window,) = plan_windows(SITE, [session])
    assert window.starts_at == datetime(2024, 11, 23, 0, 0, tzinfo=UTC)
    assert window.ends_at == datetime(2024, 11, 23, 3, 30, tzinfo=UTC)
    assert window.id == "20241123-090000-9-201-theory"
    assert list(window.cameras) == ["front-left", "back-right", "back-left", "front-wall"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_excel_may_save_it_as_it_likes(tmp_path, encoding):
    path = table(
        tmp_path,
        "第一考场 实操考核,2024/11/23 14:00-17:00,9号楼201,,,,,".replace("/", "-"),
        encoding=encoding,
    )
    (session,) = read_timetable(path, SITE).sessions
    assert session.kind == "practical"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("一,2024-11-23 9点,9号楼201,,,,,", "write it as 2024-11-23 09:00-11:00"),
        ("一,2024-11-23 11:00-09:00,9号楼201,,,,,", "ends before it begins"),
        ("一,2024-11-23 09:00-11:00,9号楼999,,,,,", "add the name to the room's aliases"),
        (",2024-11-23 09:00-11:00,9号楼201,,,,,", "name the session"),
        ("一,2024-11-23 09:00-11:00,9号楼201,,,三十,2,", "write only digits"),
    ],
)
def test_a_faulty_row_is_told_with_line_column_and_mend(tmp_path, row, fault):
    path = table(tmp_path, "好,2024-11-22 09:00-11:00,9号楼201,,,,,", row)
    with pytest.raises(UserError) as caught:
        read_timetable(path, SITE)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert fault in str(caught.value)


def test_two_exams_in_one_room_at_once_are_refused(tmp_path):
    path = table(
        tmp_path,
        "一,2024-11-23 09:00-11:00,9号楼201,,,,,",
        "二,2024-11-23 10:30-12:00,9号楼201,,,,,",
    )
    with pytest.raises(UserError, match=r"overlaps .*timetable.csv:2 in room"):
        read_timetable(path, SITE)


def test_too_few_invigilators_are_a_warning(tmp_path):
    path = table(tmp_path, "第一考场 理论考试,2024-11-23 09:00-11:00,9号楼201,,,31,2,")
    (warning,) = read_timetable(path, SITE).warnings
    assert "31 candidates need 3 监考" in warning


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "timetable.csv"
    path.write_text("场次,地点\n一,9号楼201\n", encoding="utf-8")
    with pytest.raises(UserError, match="时间: no such column"):
        read_timetable(path, SITE)


def test_the_real_season_is_read(need):
    path = Path(__file__).resolve().parents[3] / "shared" / "cases" / "timetable.csv"
    need(path.is_file(), "the shared cases beside the project")
    with path.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    places = sorted({row["地点"] for row in rows})
    rooms = [
        SITE.rooms[0].model_copy(
            update={"id": f"room-{number}", "name": f"room {number}", "aliases": [place]}
        )
        for number, place in enumerate(places)
    ]
    sessions = read_timetable(path, SITE.model_copy(update={"rooms": rooms})).sessions
    assert [session.title for session in sessions] == [row["场次"] for row in rows]
