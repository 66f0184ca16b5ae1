"""Timetables as exam offices really keep them: Excel, merged cells, titles, notes, full-width digits."""

from __future__ import annotations

import contextlib
import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_service.config.site import load_site
from kaozheng_service.config.timetable import Timetable, read_timetable
from kaozheng_service.errors import UserError
from kaozheng_service.recording.plan import plan_windows
from openpyxl import Workbook

SITE = load_site(Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml")
HEADINGS = ("场次", "时间", "地点", "职业(工种)", "级别", "人数", "监考", "考务办")
THEORY = ("第一考场 理论考试", "2024-11-23 09:00-11:00", "9号楼201", "计算机程序设计员", "三级", 30, 2)


def wall(*parts: int) -> datetime:
    """A time of a cell: Excel's have no zone."""
    return datetime(*parts)  # noqa: DTZ001


def sheet(
    tmp_path: Path, *rows: tuple[Any, ...], merged: tuple[str, ...] = (), name: str = "考场安排"
) -> Path:
    book = Workbook()
    page = book.active
    page.title = name
    for row in rows:
        page.append(row)
    for area in merged:
        page.merge_cells(area)
    path = tmp_path / "timetable.xlsx"
    book.save(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_timetable(path, SITE)
    return str(caught.value)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SITE.zone).astimezone(UTC)


def times(timetable: Timetable) -> list[tuple[str, str]]:
    return [
        (f"{one.starts_at.astimezone(SITE.zone):%F %R}", f"{one.ends_at.astimezone(SITE.zone):%R}")
        for one in timetable.sessions
    ]


def test_an_excel_sheet_is_read_below_its_title(tmp_path):
    path = sheet(tmp_path, ("2024年职业技能等级认定考场安排表",), (), HEADINGS, THEORY, merged=("A1:H1",))
    (session,) = read_timetable(path, SITE).sessions
    assert session.where == f"{path}: 考场安排!A4"
    assert (session.starts_at, session.ends_at) == (local("2024-11-23 09:00"), local("2024-11-23 11:00"))
    assert (session.occupation, session.level) == ("计算机程序设计员", "三级")
    assert (session.candidates, session.invigilators) == (30, 2)


def test_a_merged_cell_belongs_to_all_its_rows(tmp_path):
    path = sheet(
        tmp_path,
        ("场次", "日期", "时间", "地点", "人数", "监考"),
        ("第一考场 理论考试", date(2024, 11, 23), "09:00-11:00", "9号楼201", 30, 2),
        ("第一考场 实操考核", None, "14:00-17:00", None, None, 3),
        ("第二考场 理论考试", None, "14:00-16:00", "9号楼101", 20, 2),
        merged=("B2:B4", "D2:D3", "E2:E3"),
    )
    timetable = read_timetable(path, SITE)
    assert times(timetable) == [
        ("2024-11-23 09:00", "11:00"),
        ("2024-11-23 14:00", "17:00"),
        ("2024-11-23 14:00", "16:00"),
    ]
    assert [one.room_id for one in timetable.sessions] == ["9-201", "9-201", "9-101"]
    assert [one.candidates for one in timetable.sessions] == [30, 30, 20]


def test_one_exam_of_two_occupations_is_one_session(tmp_path):
    path = sheet(
        tmp_path,
        HEADINGS,
        ("第一考场 理论考试", "2024-11-23 09:00-11:00", "9号楼201", "电子商务师", "三级", 18, 2),
        (None, None, None, "网络与信息安全管理员", "四级", 14, None),
        merged=("A2:A3", "B2:B3", "C2:C3", "G2:G3"),
    )
    timetable = read_timetable(path, SITE)
    (session,) = timetable.sessions
    assert session.occupation == "电子商务师、网络与信息安全管理员"
    assert (session.candidates, session.invigilators) == (32, 2)
    assert "32 candidates need 3 监考" in timetable.warnings[0]


@pytest.mark.parametrize(
    "written",
    [
        "2024-11-23 09:00-11:00",
        "2024/11/23 9:00–11:00",
        "2024.11.23 9:00—11:00",
        "2024年11月23日9:00-11:00",
        "2024年11月23日（周六） 上午 9:00～11:00",
        "２０２４－１１－２３　０９：００－１１：００",
        "2024-11-23\n09:00 至 11:00",
        "2024-11-23 9点-11点",
        "2024-11-23 星期六 9时00分~11时00分",
        "11月23日 上午9:00-上午11:00",
        "2024-11-23 9∶00——11∶00",
    ],
)
def test_one_time_is_written_in_many_ways(tmp_path, written):
    path = sheet(tmp_path, ("考场安排（2024年11月）",), HEADINGS, ("一 理论", written, "9号楼201"))
    assert times(read_timetable(path, SITE)) == [("2024-11-23 09:00", "11:00")]


@pytest.mark.parametrize(
    ("written", "begin", "end"),
    [
        ("下午 2:00-5:00", "14:00", "17:00"),
        ("下午14:00-17:00", "14:00", "17:00"),
        ("上午10:30-下午1:00", "10:30", "13:00"),
        ("上午 10:00-12:00", "10:00", "12:00"),
        ("下午 12:30-2:30", "12:30", "14:30"),
        ("晚上 7:00-9:00", "19:00", "21:00"),
    ],
)
def test_hours_may_have_a_half_of_the_day(tmp_path, written, begin, end):
    path = sheet(
        tmp_path,
        ("场次", "日期", "时间", "地点"),
        ("一 理论", wall(2024, 11, 23), written, "9号楼201"),
    )
    assert times(read_timetable(path, SITE)) == [(f"2024-11-23 {begin}", end)]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("2024-11-23 9点", "write it as 2024-11-23 09:00-11:00"),
        ("09:00-11:00", "names no day"),
        ("11月23日 09:00-11:00", "has no year"),
        ("2024-11-23（周日） 09:00-11:00", "is a 周六, not 周日"),
        ("2024-11-31 09:00-11:00", "there is no such day"),
        ("2024-11-23 09:00-25:00", "no such time of day"),
        ("2024-11-23 上午 14:00-17:00", "no hour of the 上午"),
        ("2024-11-23 晚上 12:00-1:00", "noon or midnight"),
        ("24-11-23 09:00-11:00", "is not understood"),
        ("2124-11-23 09:00-11:00", "out of range"),
        (wall(2024, 11, 23, 9), "is one moment"),
        (time(9), "is one moment"),
        (45619, "is not understood"),
        (None, "is empty"),
    ],
)
def test_a_time_that_is_not_clear_is_refused_with_its_cell(tmp_path, cell, fault):
    path = sheet(tmp_path, HEADINGS, ("一 理论", cell, "9号楼201"))
    said = refusal(path)
    assert said.startswith(f"{path}: 考场安排!B2: 时间: ")
    assert fault in said


def test_two_years_in_the_title_decide_nothing(tmp_path):
    path = sheet(tmp_path, ("2024年 - 2025年",), HEADINGS, ("一 理论", "11月23日 9:00-11:00", "9号楼201"))
    assert "2024 and 2025 are both named" in refusal(path)


def test_the_site_file_may_state_the_year(tmp_path):
    path = sheet(tmp_path, HEADINGS, ("一 理论", "11月23日 9:00-11:00", "9号楼201"))
    site = SITE.model_copy(update={"windows": SITE.windows.model_copy(update={"year": 2024})})
    assert read_timetable(path, site).sessions[0].starts_at == local("2024-11-23 09:00")


def test_day_and_time_that_contradict_are_refused(tmp_path):
    path = sheet(
        tmp_path,
        ("场次", "日期", "时间", "地点"),
        ("一 理论", date(2024, 11, 23), "2024-11-24 09:00-11:00", "9号楼201"),
    )
    assert "names 2024-11-24, but 日期 is 2024-11-23" in refusal(path)


def test_headings_are_known_by_other_names_and_widths(tmp_path):
    path = sheet(
        tmp_path,
        ("考 试\n场 次", "考试时间", "考场", "职业（工种）", "等级", "考生人数", "监考人员", "考评人数"),
        (
            "第一考场 实操考核",
            "2024-11-23 14:00-17:00",
            "９号楼２０１",
            "电子商务师",
            "四级",
            "３０人",
            "",
            "3",
        ),
    )
    (session,) = read_timetable(path, SITE).sessions
    assert (session.room_id, session.occupation, session.candidates, session.invigilators) == (
        "9-201",
        "电子商务师",
        30,
        3,
    )


def test_names_of_invigilators_are_counted(tmp_path):
    path = sheet(tmp_path, HEADINGS, (*THEORY[:5], 31, "张三、李四"))
    assert "31 candidates need 3 监考 at 1:15, the timetable has 2" in read_timetable(path, SITE).warnings[0]


def test_empty_rows_are_skipped_and_notes_end_the_table(tmp_path):
    path = sheet(
        tmp_path,
        HEADINGS,
        THEORY,
        (),
        ("第二考场 理论考试", "2024-11-23 09:00-11:00", "9号楼101"),
        ("备注：", "考生提前30分钟到场"),
        ("1", "须带身份证"),
        ("制表人：张三", "", "审核：李四"),
    )
    assert len(read_timetable(path, SITE).sessions) == 2


def test_a_note_merged_over_the_table_ends_it(tmp_path):
    path = sheet(tmp_path, HEADINGS, THEORY, ("考生提前30分钟到场",), merged=("A3:H3",))
    assert len(read_timetable(path, SITE).sessions) == 1


def test_a_session_below_the_notes_is_never_lost(tmp_path):
    path = sheet(
        tmp_path, HEADINGS, THEORY, ("备注：", "无"), ("二 理论", "2024-11-24 09:00-11:00", "9号楼201")
    )
    assert "考场安排!A4: 场次: a session below the notes in row 3" in refusal(path)


def test_a_lonely_title_is_a_fault_and_no_note(tmp_path):
    path = sheet(tmp_path, HEADINGS, THEORY, ("第二考场 理论考试",))
    said = refusal(path)
    assert "考场安排!B3: 时间: is empty" in said
    assert "考场安排!C3: 地点: is empty" in said


def test_headings_repeated_on_every_printed_page_are_skipped(tmp_path):
    path = sheet(tmp_path, HEADINGS, THEORY, HEADINGS, ("二 理论", "2024-11-24 09:00-11:00", "9号楼201"))
    assert len(read_timetable(path, SITE).sessions) == 2


def test_headings_may_be_two_rows_high(tmp_path):
    path = sheet(
        tmp_path,
        ("场次", "时间", "地点", "人员"),
        (None, None, None, "人数"),
        ("一 理论", "2024-11-24 09:00-11:00", "9号楼201", 30),
        merged=("A1:A2", "B1:B2", "C1:C2"),
    )
    assert len(read_timetable(path, SITE).sessions) == 1


def test_all_sheets_with_the_headings_are_read_and_hidden_ones_named(tmp_path):
    book = Workbook()
    first = book.active
    first.title = "23日"
    for title, state, rows in (
        ("24日", "visible", [HEADINGS, ("二 理论", "2024-11-24 09:00-11:00", "9号楼201")]),
        ("旧", "hidden", [HEADINGS, ("三 理论", "2024-11-25 09:00-11:00", "9号楼201")]),
        ("说明", "visible", [("考生须知",)]),
    ):
        page = book.create_sheet(title)
        page.sheet_state = state
        for row in rows:
            page.append(row)
    first.append(HEADINGS)
    first.append(THEORY)
    first.row_dimensions[2].hidden = True
    path = tmp_path / "t.xlsx"
    book.save(path)
    timetable = read_timetable(path, SITE)
    assert [one.where for one in timetable.sessions] == [f"{path}: 23日!A2", f"{path}: 24日!A2"]
    assert timetable.warnings[:3] == (
        f"{path}: sheet 旧 is hidden and is not read",
        f"{path}: 说明: has no headings of a timetable and is not read",
        f"{path}: 23日!A2: the row is hidden in Excel, and counts all the same",
    )


def test_a_sheet_with_half_the_headings_is_a_fault_and_not_skipped(tmp_path):
    book = Workbook()
    book.active.append(HEADINGS)
    book.active.append(THEORY)
    page = book.create_sheet("下午")
    page.append(("场次", "考试时段", "地点"))
    path = tmp_path / "t.xlsx"
    book.save(path)
    assert "下午!A1: 时间: no such column" in refusal(path)


def test_all_faults_are_told_at_once(tmp_path):
    path = sheet(
        tmp_path,
        HEADINGS,
        ("一 理论", "9点", "9号楼999", None, None, "三十", "老师"),
        (None, "2024-11-23 09:00-11:00", "9号楼201"),
    )
    said = refusal(path).splitlines()
    assert [line.split("!")[1].split(": ")[:2] for line in said] == [
        ["B2", "时间"],
        ["C2", "地点"],
        ["F2", "人数"],
        ["G2", "监考"],
        ["A3", "场次"],
    ]


def test_a_formula_that_was_never_computed_is_named(tmp_path):
    path = sheet(tmp_path, HEADINGS, ("一 理论", '="2024-11-23 "&"09:00-11:00"', "9号楼201"))
    assert "考场安排!B2: is a formula that was never computed" in refusal(path)


def test_a_column_named_twice_is_refused(tmp_path):
    path = sheet(tmp_path, (*HEADINGS, "时间"), THEORY)
    assert "时间: a second column of this name" in refusal(path)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xd0\xcf\x11\xe0rest", "save it as .xlsx"),
        (b"PK\x03\x04rest", "no Excel file"),
        (b"\xff\xfe\xff\xff\x80", "neither UTF-8"),
        (b"", "no such column"),
        ("场次,时间,地点\n".encode(), "holds no session"),
        (b'"' + b"x" * 200_000, "is no CSV"),
    ],
)
def test_what_is_no_timetable_is_refused(tmp_path, raw, said):
    path = tmp_path / "t.xlsx"
    path.write_bytes(raw)
    assert said in refusal(path)


def test_a_sheet_formatted_to_its_end_is_refused_with_the_mend(tmp_path):
    book = Workbook()
    book.active.append(HEADINGS)
    book.active.cell(400_001, 1, " ")
    path = tmp_path / "t.xlsx"
    book.save(path)
    assert "delete the empty formatted rows" in refusal(path)


def test_a_csv_is_told_by_line_also_after_a_cell_of_two_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        '场次,时间,地点\n"一\n理论",2024-11-23 09:00-11:00,9号楼201\n二,9点,9号楼201\n', encoding="utf-8"
    )
    assert refusal(path).startswith(f"{path}:4: 时间: ")


@pytest.mark.parametrize(
    ("written", "fault"),
    [("2024-03-10 02:30-04:00", "does not exist"), ("2024-11-03 01:30-04:00", "comes twice")],
)
def test_an_hour_that_the_clock_change_takes_or_doubles_is_refused(tmp_path, written, fault):
    path = sheet(tmp_path, HEADINGS, ("一 理论", written, "9号楼201"))
    site = SITE.model_copy(update={"timezone": "America/New_York"})
    with pytest.raises(UserError, match=fault):
        read_timetable(path, site)


def test_hours_of_the_night_are_doubted(tmp_path):
    path = sheet(tmp_path, HEADINGS, ("一 理论", "2024-11-23 2:00-5:00", "9号楼201"))
    assert "write 下午 if that is meant" in read_timetable(path, SITE).warnings[0]


_DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@st.composite
def sheets(draw: Any) -> list[tuple[date, int, int, str, int, str]]:
    """Sessions that do not overlap: a day and place each once, with begin and length in minutes."""
    places = draw(
        st.lists(
            st.tuples(_DAYS, st.sampled_from(["9号楼201", "9号楼101"])), min_size=1, max_size=6, unique=True
        )
    )
    return [
        (
            day,
            draw(st.integers(6 * 60, 20 * 60)),
            draw(st.integers(1, 180)),
            place,
            draw(st.integers(0, 99)),
            draw(st.sampled_from(["理论考试", "实操考核"])),
        )
        for day, place in places
    ]


def _written(day: date, begin: int, length: int, form: int) -> str:
    wide = str.maketrans("0123456789:-", "０１２３４５６７８９：－")
    first, last = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in (begin, begin + length))
    return [
        f"{day:%Y-%m-%d} {first}-{last}",
        f"{day:%Y/%m/%d}  {first} 至 {last}",
        f"{day.year}年{day.month}月{day.day}日{first}～{last}",
        f"{day:%Y-%m-%d} {first}-{last}".translate(wide),
    ][form]


@settings(max_examples=25, deadline=None)
@given(sheets(), st.integers(0, 3))
def test_a_sheet_in_excel_and_as_csv_means_the_same_windows(tmp_path_factory, rows, form):
    folder = tmp_path_factory.mktemp("sheet")
    table = [
        (f"第{number}场 {what}", _written(day, begin, length, form), place, "", "", people, 9)
        for number, (day, begin, length, place, people, what) in enumerate(rows)
    ]
    excel = sheet(folder, ("考场安排表",), HEADINGS, *table)
    text = io.StringIO()
    csv.writer(text).writerows([("考场安排表",), HEADINGS, *table])
    (folder / "t.csv").write_text(text.getvalue(), encoding="gb18030")
    found = [plan_windows(SITE, read_timetable(path, SITE).sessions) for path in (excel, folder / "t.csv")]
    assert found[0] == found[1]
    expected = {
        (
            datetime.combine(day, time(), SITE.zone).astimezone(UTC) + timedelta(minutes=begin - 60),
            datetime.combine(day, time(), SITE.zone).astimezone(UTC) + timedelta(minutes=begin + length + 30),
            SITE.room(place).id,
        )
        for day, begin, length, place, *_ in rows
    }
    assert {(one.starts_at, one.ends_at, one.room_id) for one in found[0]} == expected


_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(wall(1900, 3, 1), wall(9999, 1, 1)),
    st.times(),
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20),
    st.sampled_from(
        ["2024-11-23 09:00-11:00", "11月23日 上午9:00-11:00", "9号楼201", "备注：", "=1+1", "場"]
    ),
    st.from_regex(r"\A[0-9年月日:\-~上下午 ]{1,24}\Z"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_CELLS, max_size=8), max_size=5))
def test_whatever_the_cells_hold_it_is_read_or_refused(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("sheet")
    excel = sheet(folder, HEADINGS, *map(tuple, rows))
    text = io.StringIO()
    csv.writer(text).writerows([HEADINGS, *rows])
    (folder / "t.csv").write_text(text.getvalue(), encoding="utf-8")
    for path in (excel, folder / "t.csv"):
        with contextlib.suppress(UserError):
            plan_windows(SITE, read_timetable(path, SITE).sessions)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_it_is_refused_in_words(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("file") / "t.csv"
    path.write_bytes(raw)
    with pytest.raises(UserError):
        read_timetable(path, SITE)
