"""What the pages say, as text; how they look and play is in tests/e2e/test_pages.py."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient
from kaozheng_service.clock import now
from kaozheng_service.session_wording import length_text
from kaozheng_service.web.app import create_app
from kaozheng_service.web.present import rate_text, size_text, ticks

ROOM = "9-101"


@pytest.fixture
def client(small_archive: Any, sign_in: Callable[..., Any]) -> Iterator[TestClient]:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM)
    small_archive.take(window, "front-left", begins, 10)
    small_archive.take(window, "back-right", begins, 4)
    lost = begins + timedelta(seconds=8)
    small_archive.gap(
        window, "back-right", lost, begins + timedelta(seconds=20), "stream_lost", "<script>alert(1)</script>"
    )
    with TestClient(create_app(small_archive.station), base_url="http://127.0.0.1") as client:
        yield sign_in(client, small_archive.station)


def test_the_status_page_says_loudly_that_no_service_runs(client: TestClient) -> None:
    page = client.get("/").text
    assert "录像服务未运行" in page
    assert "kaozheng serve" in page


def test_an_empty_day_says_what_to_do_next(client: TestClient) -> None:
    page = client.get("/").text
    assert "没有录像时段" in page
    assert "timetable" in page


def test_the_status_page_and_its_refresh_show_the_same(client: TestClient) -> None:
    page = client.get("/?day=2024-11-23").text
    parts = client.get("/api/v1/status?day=2024-11-23", headers={"Accept": "text/html"}).text
    for text in ("缺口 12秒", "视频流中断", "第一考场 理论考试", "9号楼101机房"):
        assert text in page
        assert text in parts
    assert "<html" not in parts


def test_text_from_a_camera_is_never_markup(client: TestClient) -> None:
    page = client.get("/?day=2024-11-23").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_pages_name_nothing_outside_this_server(client: TestClient) -> None:
    for address in ("/?day=2024-11-23", f"/footage?room={ROOM}&seat=07&at=2024-11-23+09:00:05"):
        page = client.get(address).text
        links = re.findall(r"(?:src|href|action)=\"([^\"]*)\"", page)
        assert links
        assert all(link.startswith("/") for link in links)
        assert " style=" not in page


def test_the_empty_form_explains_itself(client: TestClient) -> None:
    answer = client.get("/footage")
    assert answer.status_code == 200
    assert "填写考场、座位和时间" in answer.text


def test_found_footage_states_its_files_and_gaps(client: TestClient) -> None:
    page = client.get(f"/footage?room={ROOM}&seat=07&at=2024-11-23+09:00:05").text
    assert "台录到了这一刻" in page
    assert "缺口：视频流中断" in page
    assert len(set(re.findall(r"[0-9a-f]{64}", page))) >= 4


def test_the_export_command_names_the_range_the_camera_and_the_seat(client: TestClient) -> None:
    page = client.get(f"/footage?room={ROOM}&seat=07&at=2024-11-23+09:00:05&minutes=1").text
    commands = [shlex.split(unescape(text)) for text in re.findall(r"<pre><code>(.*?)</code></pre>", page)]
    words = next(words for words in commands if "front-left" in words)
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert words[:2] == ["kaozheng", "export"]
    assert options["--room"] == ROOM
    assert options["--seat"] == "07"
    assert options["--from"] == "2024-11-23 08:59:05"
    assert options["--to"] == "2024-11-23 09:02:05"
    assert options["--out"] == "export-9-101-07-20241123-090005"


def test_nothing_recorded_offers_the_nearest_footage(client: TestClient) -> None:
    page = client.get(f"/footage?room={ROOM}&at=2024-11-23+12:00:00").text
    assert "这一刻没有录像" in page
    assert "没有录像时段" in page
    assert "at=2024-11-23%2009%3A00%3A15" in page


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("room=9-101&seat=7&at=2024-11-23+09:00", 404, "没有座位“7”。相近的有：07"),
        ("room=9-999&at=2024-11-23+09:00", 404, "没有考场“9-999”"),
        ("room=9-101&at=noon", 400, "填写有误"),
        ("room=9-101&at=2024-11-23+09:00&minutes=0", 400, "填写有误"),
        ("room=9-101&at=2024-11-23+09:00&minutes=%C2%B2", 400, "填写有误"),
    ],
)
def test_a_wrong_field_is_named_and_the_form_is_kept(
    client: TestClient, query: str, status: int, words: str
) -> None:
    answer = client.get(f"/footage?{query}")
    assert answer.status_code == status
    assert words in answer.text
    assert "查找</button>" in answer.text


def test_a_running_window_is_complete_so_far(small_archive: Any, sign_in: Callable[..., Any]) -> None:
    begins = now().replace(microsecond=0) - timedelta(seconds=20)
    window = small_archive.window(
        begins, begins + timedelta(minutes=5), room=ROOM, cameras=("front-left",), closed=False
    )
    small_archive.take(window, "front-left", begins, 10, running=True)
    with TestClient(create_app(small_archive.station), base_url="http://127.0.0.1") as client:
        sign_in(client, small_archive.station)
        page = client.get(f"/?day={begins.astimezone(small_archive.station.site.zone):%Y-%m-%d}").text
    assert "至今完整" in page
    assert "● 未运行" not in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0秒"),
        (0.25, "0.2秒"),
        (12.5, "12.5秒"),
        (59.97, "1分钟"),
        (61, "1分01秒"),
        (3600, "1小时"),
        (7500, "2小时05分"),
    ],
)
def test_lengths_in_words(seconds: float, words: str) -> None:
    assert length_text(seconds) == words


def test_sizes_and_rates_in_the_units_that_disks_and_cameras_state() -> None:
    assert [size_text(count) for count in (None, 0, 999, 1500, 4.9e12)] == [
        "—",
        "0 B",
        "999 B",
        "1.5 kB",
        "4.9 TB",
    ]
    assert rate_text(500_000) == "4.0 Mbit/s"


def test_an_axis_has_round_local_times(small_archive: Any) -> None:
    zone = small_archive.station.site.zone
    labels = [tick.label for tick in ticks("2024-11-23T00:10:00.000Z", "2024-11-23T03:40:00.000Z", zone)]
    assert labels == ["08:30", "09:00", "09:30", "10:00", "10:30", "11:00", "11:30"]
