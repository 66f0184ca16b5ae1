"""`kaozheng timetable` and `kaozheng window`, and the same by the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from kaozheng_service.cli.commands import app
from kaozheng_service.clock import now, to_text
from kaozheng_service.errors import UserError
from kaozheng_service.recording.expectations import add_window, cancel_window
from kaozheng_service.station import Station
from kaozheng_service.web.app import create_app
from typer.testing import CliRunner

FIRST = "20901123-090000-9-201-theory"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def station(small_archive: Any) -> Station:
    found: Station = small_archive.station
    rows = "场次,时间,地点,人数,监考\n一 理论考试,2090-11-23 09:00-11:00,9号楼201,31,2\n"
    (found.site.folder / "timetable.csv").write_text(rows, encoding="utf-8")
    return found


@pytest.fixture
def client(station: Station, sign_in: Callable[..., Any]) -> Iterator[TestClient]:
    with TestClient(
        create_app(station), base_url="http://127.0.0.1:8080", client=("127.0.0.1", 50000)
    ) as here:
        yield sign_in(here, station)


def run(station: Station, *arguments: str, answer: str = "", columns: int = 200) -> tuple[int, str]:
    done = CliRunner().invoke(
        app,
        [*arguments, "--config", str(station.site.folder / "site.yaml")],
        input=answer,
        env={"COLUMNS": str(columns)},
    )
    if isinstance(done.exception, UserError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def path_of(station: Station) -> str:
    return str(station.site.folder / "timetable.csv")


def test_a_preview_shows_windows_and_warnings_and_writes_nothing(station):
    code, said = run(station, "timetable", "preview", path_of(station))
    assert code == 0
    assert "+ new" in said
    assert "31 candidates need 3 监考" in said
    assert "1 sessions; windows: 1 new" in said
    assert station.log.size == 0


def test_an_import_asks_and_does_nothing_when_refused(station):
    code, said = run(station, "timetable", "import", path_of(station), answer="n\n")
    assert (code, station.log.size) == (1, 0)
    assert "Nothing was changed" in said
    assert run(station, "timetable", "import", path_of(station), answer="y\n")[0] == 0
    assert station.log.size == 1


def test_an_import_twice_says_that_nothing_had_to_be_changed(station):
    assert (
        "1 windows expected, 0 cancelled" in run(station, "timetable", "import", path_of(station), "--yes")[1]
    )
    code, said = run(station, "timetable", "import", path_of(station))
    assert (code, station.log.size) == (0, 1)
    assert "Nothing had to be changed" in said


def test_both_give_json_for_programs(station):
    before = json.loads(run(station, "timetable", "preview", path_of(station), "--json")[1])
    after = json.loads(run(station, "timetable", "import", path_of(station), "--yes", "--json")[1])
    assert (before["schema"], before["imported"]) == ("kaozheng/timetable/1", None)
    assert after["imported"] == {"expected": [FIRST], "cancelled": []}


def test_a_faulty_timetable_is_refused_with_its_cells(station, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("场次,时间,地点\n一,9点,9号楼999\n", encoding="utf-8")
    code, said = run(station, "timetable", "import", str(bad), "--yes")
    assert code == 2
    assert f"{bad}:2: 时间" in said
    assert f"{bad}:2: 地点" in said


def test_a_window_is_added_listed_and_cancelled(station):
    begins = now().astimezone(station.site.zone) + timedelta(days=1)
    day = f"{begins:%Y-%m-%d}"
    span = ("--from", f"{day} 10:00", "--to", f"{day} 11:00")
    arguments = (
        "--room",
        "9-201",
        *span,
        "--kind",
        "meeting",
        "--title",
        "加开考务会",
        "--cameras",
        "front-left",
    )
    code, said = run(station, "window", "add", *arguments, "--json")
    added = json.loads(said)
    assert code == 0
    assert (added["cameras"], added["title"], added["origin"]) == (["front-left"], "加开考务会", "operator")
    assert added["id"] == f"{day.replace('-', '')}-100000-9-201-meeting"
    assert run(station, "window", "add", *arguments) == (
        2,
        f"this is expected already, as window {added['id']}",
    )
    assert "overlaps it" in run(station, "window", "add", "--room", "9-201", *span)[1]
    assert added["id"] in run(station, "window", "list")[1]
    assert added["id"] not in run(station, "window", "list", "--day", "2024-11-23")[1]
    code, said = run(station, "window", "cancel", added["id"], "--reason", "改期", "--by", "张主任")
    assert (code, "cancelled before it began" in said) == (0, True)
    listed = json.loads(run(station, "window", "list", "--day", day, "--json")[1])["windows"]
    (shown,) = [one for one in listed if one["id"] == added["id"]]
    assert (shown["state"], shown["cancelled"]["by"]) == ("cancelled", "张主任")
    again = json.loads(run(station, "window", "add", *arguments, "--json")[1])
    assert again["id"] == f"{added['id']}-r2"


def test_a_window_may_begin_as_soon_as_possible(station):
    until = to_text(now() + timedelta(hours=1))
    code, said = run(station, "window", "add", "--room", "9-101", "--from", "now", "--to", until, "--json")
    assert code == 0
    assert to_text(now()) < json.loads(said)["from"] < to_text(now() + timedelta(seconds=15))


def test_stopping_a_window_that_runs_says_what_follows(small_archive):
    begins = now() - timedelta(minutes=5)
    window = small_archive.window(begins, begins + timedelta(hours=1), closed=False)
    code, said = run(small_archive.station, "window", "cancel", window, "--reason", "停电")
    assert code == 0
    assert "the rest of it becomes a signed gap" in said


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (("--room", "nowhere"), "it has 9-201, 9-101"),
        (("--from", "2024-11-23 10:00", "--to", "2024-11-23 11:00"), "is past"),
        (("--to", "2090-11-23 09:00"), "ends before it begins"),
        (("--to", "2090-11-25 09:00"), "longer than 24 hours"),
        (("--kind", "inspection"), "kind 'inspection' cannot be used"),
        (("--kind", "x-r2"), "kind 'x-r2' cannot be used"),
        (("--cameras", "roof"), "has no camera 'roof'"),
        (("--from", "noon"), "is not understood"),
        (("--title", "长" * 501), "shorten it"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(station, arguments, mend):
    usual = {"--room": "9-201", "--from": "2090-11-23 10:00", "--to": "2090-11-23 11:00"}
    usual |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    code, said = run(station, "window", "add", *(word for pair in usual.items() for word in pair))
    assert (code, mend in said, station.log.size) == (2, True, 0), said


def test_the_api_adds_lists_and_cancels(station, client):
    body = {"room": "9号楼201", "from": "2090-11-23 10:00", "to": "2090-11-23 11:00", "kind": "meeting"}
    made = client.post("/api/v1/windows", json=body)
    assert made.status_code == 201
    assert made.json()["schema"] == "kaozheng/window/1"
    window = made.json()["id"]
    listed = client.get("/api/v1/windows?day=2090-11-23").json()
    assert (listed["schema"], [one["id"] for one in listed["windows"]]) == ("kaozheng/windows/1", [window])
    gone = client.post(f"/api/v1/windows/{window}/cancel", json={"reason": "改期", "by": "zhang"})
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
    assert client.get("/api/v1/windows?day=2090-11-23").json()["windows"][0]["cancelled"]["reason"] == "改期"
    assert client.get("/api/v1/windows?day=soon").status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"room": "9-109", "from": "2090-11-23 10:00", "to": "2090-11-23 11:00"}, 404, "did you mean"),
        ({"room": "9-101", "from": "2024-11-23 10:00", "to": "2024-11-23 11:00"}, 400, "is past"),
        ({"room": "9-101", "from": "2090-11-23 10:00"}, 400, "to: Field required"),
        ({"room": "9-101", "from": "2090-11-23 10:00", "to": "x" * 501}, 400, "at most 500"),
        ({"room": "9-101", "from": "2090-11-23 10:00", "to": "x", "force": True}, 400, "force"),
        ([], 400, "dictionary"),
    ],
)
def test_what_the_api_cannot_do_is_a_problem_in_words(client, body, status, detail):
    answer = client.post("/api/v1/windows", json=body)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Host": "evil.example"}, 421),
        ({"Content-Length": "64001"}, 413),
        ({"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, 400),
    ],
)
def test_a_page_of_elsewhere_changes_nothing(station, client, headers, status):
    before = station.log.size
    for address in ("/api/v1/windows", f"/api/v1/windows/{FIRST}/cancel"):
        answer = client.post(address, content=b"{}", headers=JSON | headers)
        assert answer.status_code == status
    assert station.log.size == before


def test_another_machine_changes_what_its_role_may_and_nothing_without_a_sign_in(station, sign_in):
    body = {"room": "9-101", "from": "2090-11-23 10:00", "to": "2090-11-23 11:00"}
    with TestClient(create_app(station), base_url="http://10.0.0.5", client=("10.0.0.9", 50000)) as there:
        assert there.get("/api/v1/windows").status_code == 401
        assert there.post("/api/v1/windows", json=body).status_code == 401
        sign_in(there, station, "inspector")
        assert there.get("/api/v1/windows").status_code == 200
        assert there.post("/api/v1/windows", json=body).status_code == 403
        sign_in(there, station, "exam_staff")
        assert there.post("/api/v1/windows", json=body).status_code == 201


def test_the_pages_show_a_cancelled_window_and_a_timetable_that_differs(
    small_archive: Any, tmp_path: Path, sign_in: Callable[..., Any]
) -> None:
    from kaozheng_service.recording.expectations import cancel_window
    from kaozheng_service.recording.timetable_notice import write_notice

    station = small_archive.station
    begins = now() - timedelta(minutes=5)
    running = small_archive.window(begins, begins + timedelta(hours=1), closed=False)
    ahead = now() + timedelta(minutes=5)
    coming = small_archive.window(
        ahead, ahead + timedelta(hours=1), room="9-101", kind="practical", closed=False
    )
    cancel_window(station, running, "停电<script>", "zhang")
    cancel_window(station, coming, "改期", "zhang")
    write_notice(station, "timetable.csv", ["一 理论考试: differs in to"])
    with TestClient(create_app(station), base_url="http://127.0.0.1") as client:
        sign_in(client, station)
        for day in {f"{one.astimezone(station.site.zone):%F}" for one in (begins, ahead)}:
            page = client.get(f"/?day={day}").text
            assert "考场安排表与已登记的录像时段不一致" in page
            assert "kaozheng timetable import timetable.csv" in page
            assert "停电<script>" not in page
            if day == f"{begins.astimezone(station.site.zone):%F}":
                assert "开始之后于" in page
            if day == f"{ahead.astimezone(station.site.zone):%F}":
                assert "⊘</span>已取消" in page
        at = f"{ahead.astimezone(station.site.zone):%Y-%m-%d %H:%M:%S}"
        footage = client.get(f"/footage?room=9-101&at={at}").text
    assert "这一时段在开始之前已取消" in footage
    assert "改期" in footage


def test_the_list_is_whole_on_a_screen_of_eighty_columns(station):
    begins = now() + timedelta(days=1)
    added = add_window(station, "9-201", begins, begins + timedelta(hours=1), kind="paper_collection")
    said = run(station, "window", "list", columns=80)[1]
    assert max(map(len, said.splitlines())) <= 80
    for shown in (added.id, "upcoming", "9-201", f"{begins.astimezone(station.site.zone):%F}"):
        assert shown in said, said
    cancel_window(station, added.id, "改期", "考务")
    said = run(station, "window", "list", columns=80)[1]
    for shown in (added.id, "cancelled"):
        assert shown in said, said
