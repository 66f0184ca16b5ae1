"""Rosters and draw lists as offices keep them, and the way from a candidate to the cameras."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.config.document import FileError
from kaozheng_service.database import Mark
from kaozheng_service.errors import UserError
from kaozheng_service.roster.importing import State, altered_imports, import_roster, preview_roster
from kaozheng_service.roster.lookup import Placed, candidates_named, placements, seat_at
from kaozheng_service.roster.tables import RosterEntry
from openpyxl import Workbook
from sqlalchemy import select, update

ROOM = "9-101"


@pytest.fixture
def exam(small_archive):
    """An exam of 20 s at 09:00 in 9-101 with a take on each camera; the pre-roll is a minute."""
    begins = small_archive.local("2024-11-23 09:00:00")
    ends = begins + timedelta(seconds=20)
    window = small_archive.window(
        begins - timedelta(minutes=1), ends + timedelta(minutes=1), room=ROOM, exam=(begins, ends)
    )
    small_archive.take(window, "front-left", begins, 10)
    small_archive.window(
        begins + timedelta(hours=4),
        ends + timedelta(hours=4),
        room="9-201",
        exam=(begins + timedelta(hours=4), ends + timedelta(hours=4)),
    )
    return small_archive, window, begins


def sheet(folder, rows, *, name="名单.xlsx", merge=()):
    book = Workbook()
    page = book.active
    page.title = "名单"
    for row in rows:
        page.append(row)
    for area in merge:
        page.merge_cells(area)
    path = folder / name
    book.save(path)
    return path


def take_over(archive, path, **other):
    return import_roster(
        archive.station,
        preview_roster(archive.station, path, **other),
        "tester",
        archive.local("2024-11-22 12:00"),
    )


def test_a_list_with_title_merged_cells_full_width_digits_and_more_columns_is_read(exam, tmp_path):
    archive, window, _ = exam
    rows = [
        ["2024年下半年考生名单", None, None, None, None, None],
        ["序号", "地 点", "准考证号", "姓名", "身份证号", "座位号"],
        [1, "9号楼101", "２０２４１１２３０１", "张三", "x", "１７"],
        [2, None, 2024112302, "李四", "x", 5],
        [None, None, None, None, None, None],
        ["备注：缺考者另行登记", None, None, None, None, None],
    ]
    path = sheet(tmp_path, rows, merge=("A1:F1", "B3:B4"))
    preview = preview_roster(archive.station, path)
    assert [(one.state, one.row.candidate, one.row.seat, one.row.window_id) for one in preview.changes] == [
        (State.NEW, "2024112301", "17", window),
        (State.NEW, "2024112302", "05", window),
    ]


def test_a_preview_writes_nothing_and_the_same_file_twice_changes_nothing(exam, tmp_path):
    archive, _, _ = exam
    path = sheet(tmp_path, [["准考证号", "姓名", "地点"], ["A001", "张三", ROOM], ["A002", "李四", ROOM]])
    size = archive.station.log.size
    preview_roster(archive.station, path)
    assert archive.station.log.size == size
    assert take_over(archive, path).rows == 2
    assert take_over(archive, path) is None
    assert archive.station.log.size == size + 1
    body = json.loads(archive.station.log.entry(size))
    assert (body["kind"], body["rows"]) == ("roster.imported", 2)
    assert "A001" not in json.dumps(body)


def test_a_draw_list_seats_the_candidates_and_a_later_one_stands_beside_it(exam, tmp_path):
    archive, window, _ = exam
    take_over(archive, sheet(tmp_path, [["准考证号", "姓名", "地点"], ["A001", "张三", ROOM]]))
    (before,) = placements(archive.station, "A001")
    assert before.seat is None
    take_over(
        archive, sheet(tmp_path, [["准考证号", "座位号", "地点"], ["A001", 17, ROOM]], name="抽签.xlsx")
    )
    preview = preview_roster(
        archive.station,
        sheet(tmp_path, [["准考证号", "座位号", "地点"], ["A001", 18, ROOM]], name="更正.xlsx"),
    )
    assert [(one.state, one.before) for one in preview.changes] == [(State.MOVED, "17")]
    import_roster(archive.station, preview, "tester", archive.local("2024-11-24 12:00"))
    assert placements(archive.station, "A001")[0].seat == "18"
    with archive.station.sessions() as session:
        assert [one.seat for one in session.scalars(select(RosterEntry).order_by(RosterEntry.id))] == [
            None,
            "17",
            "18",
        ]
    assert candidates_named(archive.station, " 张 三") == ["A001"]
    assert candidates_named(archive.station, "张") == []
    assert window == placements(archive.station, "A001")[0].window.id


def test_names_are_in_no_file_of_the_state(exam, tmp_path):
    archive, _, _ = exam
    take_over(archive, sheet(tmp_path, [["准考证号", "姓名", "地点"], ["A001", "司马相如", ROOM]]))
    for path in archive.station.state.rglob("*"):
        if path.is_file():
            assert "司马相如".encode() not in path.read_bytes(), path


def test_every_fault_of_a_list_is_named_with_its_cell_and_mend_and_nothing_is_taken_over(exam, tmp_path):
    archive, _, _ = exam
    rows = [
        ["准考证号", "座位号", "地点", "日期", "换座时间"],
        ["A001", 99, ROOM, "2024-11-23", None],
        ["A002", 5, "8-888", "2024-11-23", None],
        [None, 6, ROOM, "2024-11-23", None],
        [2024112300000012345, 7, ROOM, "2024-11-23", None],
        ["A005", 8, ROOM, "2024-11-25", None],
        ["A006", 9, ROOM, "2024-11-23", "12:00"],
        ["A007", 10, ROOM, "2024-11-23", None],
        ["A007", 11, ROOM, "2024-11-23", None],
        ["A008", 10, ROOM, "2024-11-23", None],
    ]
    with pytest.raises(FileError) as caught:
        preview_roster(archive.station, sheet(tmp_path, rows))
    faults = [one.partition("名单!")[2] for one in caught.value.faults]
    expected = [
        ("B2", "座位号", "no seat '99'"),
        ("C3", "地点", "no room"),
        ("A4", "准考证号", "is empty"),
        ("A5", "准考证号", "as text"),
        ("", "场次", "no exam is stored"),
        ("E7", "换座时间", "not within"),
        ("A9", "准考证号", "keep one"),
        ("A10", "座位号", "keep one"),
    ]
    assert len(faults) == len(expected)
    for fault, (cell, field, words) in zip(faults, expected, strict=True):
        assert fault.startswith(cell), fault
        assert field in fault
        assert words in fault


def test_a_row_that_fits_two_exams_asks_for_the_day(exam, tmp_path):
    archive, window, begins = exam
    archive.window(
        begins + timedelta(days=1),
        begins + timedelta(days=1, minutes=2),
        room=ROOM,
        exam=(begins + timedelta(days=1), begins + timedelta(days=1, minutes=1)),
    )
    path = sheet(tmp_path, [["准考证号", "地点"], ["A001", ROOM]])
    with pytest.raises(FileError, match="fits 2 exams"):
        preview_roster(archive.station, path)
    assert take_over(archive, path, window_id=window).rows == 1


def test_a_candidate_leads_to_the_cameras_that_see_the_seat_best_first(exam, tmp_path):
    archive, window, begins = exam
    take_over(archive, sheet(tmp_path, [["准考证号", "座位号", "地点"], ["A001", 17, ROOM]]))
    from kaozheng_service.disputes.find import find, find_candidate

    (found,) = find_candidate(archive.station, "A001", begins + timedelta(seconds=5))
    direct = find(archive.station, ROOM, "17", begins + timedelta(seconds=5))
    assert (found.seat, found.candidate.window) == ("17", window)
    assert [one.camera_id for one in found.cameras] == [one.camera_id for one in direct.cameras]
    assert found.cameras[0].sight is not None


def test_who_changed_seats_is_answered_seat_by_seat(exam, tmp_path):
    archive, _, begins = exam
    from kaozheng_service.disputes.find import find_candidate

    rows = [
        ["准考证号", "座位号", "地点", "换座时间"],
        ["A001", 17, ROOM, None],
        ["A001", 3, ROOM, "09:00:10"],
    ]
    take_over(archive, sheet(tmp_path, rows))
    found = find_candidate(archive.station, "A001")
    assert [(one.seat, one.at) for one in found] == [("17", begins), ("03", begins + timedelta(seconds=10))]
    assert [one.seat for one in find_candidate(archive.station, "A001", begins + timedelta(seconds=12))] == [
        "03"
    ]


def test_a_candidate_without_a_seat_is_said_to_have_none_known_and_never_passes(exam, tmp_path):
    archive, _, _ = exam
    path = sheet(tmp_path, [["准考证号", "地点"], ["A001", ROOM]])
    take_over(archive, path)
    from kaozheng_service.cli.commands import app
    from typer.testing import CliRunner

    config = ["--config", str(archive.station.site.folder / "site.yaml")]
    done = CliRunner().invoke(app, ["find", "--candidate", "A001", "--json", *config])
    body = json.loads(done.stdout)
    assert done.exit_code == 1
    assert body["candidate"]["seat_known"] is False
    assert body["seat"] is None
    done = CliRunner().invoke(app, ["find", "--candidate", "A001", *config])
    assert "座位未知" in done.stdout
    done = CliRunner().invoke(app, ["find", "--candidate", "B999", *config])
    assert isinstance(done.exception, UserError)


def test_rows_that_were_changed_behind_the_log_are_named(exam, tmp_path):
    archive, _, _ = exam
    take_over(archive, sheet(tmp_path, [["准考证号", "座位号", "地点"], ["A001", 17, ROOM]]))
    assert altered_imports(archive.station) == []
    with archive.station.sessions.begin() as session:
        session.execute(update(RosterEntry).values(seat="03"))
    assert altered_imports(archive.station) == [1]


lists = st.lists(
    st.tuples(st.sampled_from([None, "01", "02", "03"]), st.sampled_from([None, 1, 2, 3])), max_size=8
)


@given(lists, st.integers(0, 4))
def test_the_seat_at_a_moment_is_that_of_the_newest_list_about_it(small, moment):
    from datetime import UTC, datetime

    def clock(second):
        return None if second is None else datetime(2024, 11, 23, 1, 0, second, tzinfo=UTC)

    rows = [Placed(number, "A", "", seat, clock(at)) for number, (seat, at) in enumerate(small, 1)]
    seat = seat_at(rows, clock(moment))
    said = [(at or 0, number, one) for number, (one, at) in enumerate(small) if one and (at or 0) <= moment]
    assert seat == (max(said)[2] if said else None)
    # A list that gives no seat takes none away.
    assert seat_at([*rows, Placed(99, "A", "", None, None)], clock(moment)) == seat


def test_marks_are_added_signed_and_found_by_kind_and_words_with_the_gaps_of_their_window(exam):
    archive, window, begins = exam
    archive.gap(window, "back-right", begins, begins + timedelta(seconds=20), "stream_lost", "gone")
    from kaozheng_service.cli.commands import app
    from typer.testing import CliRunner

    config = ["--config", str(archive.station.site.folder / "site.yaml")]

    def run(*arguments):
        done = CliRunner().invoke(app, [*arguments, *config], env={"COLUMNS": "250"})
        assert done.exception is None or isinstance(done.exception, SystemExit | UserError), done.exception
        return done

    added = run(
        "mark",
        "add",
        "--room",
        ROOM,
        "--at",
        "2024-11-23 09:00:05",
        "--kind",
        "seal_opened",
        "--note",
        "三号袋 100%",
        "--json",
    )
    assert added.exit_code == 0
    assert json.loads(added.stdout)["leaf"] is not None
    run(
        "mark",
        "add",
        "--room",
        ROOM,
        "--at",
        "2024-11-23 09:00:05",
        "--kind",
        "seal_opened",
        "--note",
        "三号袋 100%",
    )
    with archive.station.sessions() as session:
        assert len(session.scalars(select(Mark)).all()) == 1
    for asked in (
        ("--mark", "seal_opened"),
        ("--mark", "启封"),
        ("--text", "三号 100%"),
        ("--mark", "启封", "--session", "理论"),
    ):
        done = run("find", *asked, "--json")
        body = json.loads(done.stdout)
        assert done.exit_code == 0, asked
        assert [one["id"] for one in body["windows"]] == [window]
        assert [one["cause"] for one in body["windows"][0]["gaps"]] == ["stream_lost"]
    for asked in (("--mark", "incident"), ("--text", "四号"), ("--text", "100_")):
        assert run("find", *asked).exit_code == 1, asked
    done = run("find", "--mark", "启封", "--seat", "17", "--json")
    (found,) = json.loads(done.stdout)["found"]
    assert (done.exit_code, found["seat"], found["found"]) == (0, "17", True)
    assert isinstance(run("find").exception, UserError)
    assert isinstance(run("find", "--at", "2024-11-23 09:00:05").exception, UserError)
    assert isinstance(
        run("mark", "add", "--room", ROOM, "--at", "2090-01-01 09:00", "--kind", "x1").exception, UserError
    )
