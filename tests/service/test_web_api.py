"""The read-only API: status, find and clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm
from kaozheng_service.web.app import create_app

ROOM = "9-101"


@pytest.fixture
def session(small_archive: Any) -> tuple[Any, str]:
    """10 s on front-left in one take; back-right never came."""
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=10), room=ROOM)
    small_archive.gap(
        window, "back-right", begins, begins + timedelta(seconds=10), "never_started", "refused"
    )
    return small_archive, small_archive.take(window, "front-left", begins, 5)


@pytest.fixture
def client(session: tuple[Any, str], sign_in: Callable[..., Any]) -> Iterator[TestClient]:
    with TestClient(create_app(session[0].station), base_url="http://127.0.0.1") as client:
        yield sign_in(client, session[0].station)


def test_status_of_a_day_shows_its_windows_with_what_became_of_every_second(client: TestClient) -> None:
    body = client.get("/api/v1/status?day=2024-11-23").json()
    assert body["schema"] == "kaozheng/status/1"
    (window,) = body["windows"]
    assert window["closed"] is True
    assert window["state"] == "closed"
    seconds = {camera["id"]: camera["seconds"] for camera in window["cameras"]}
    assert seconds["front-left"]["recorded"] == 10
    assert seconds["back-right"]["gap"] == 10
    assert [gap["cause"] for gap in body["gaps"]] == ["never_started"]


def test_alarms_stand_in_the_status_on_their_cameras_line_and_in_what_is_found(
    session: tuple[Any, str], client: TestClient
) -> None:
    archive, _ = session
    begins = archive.local("2024-11-23 09:00:00")
    window = client.get("/api/v1/status?day=2024-11-23").json()["windows"][0]["id"]
    with archive.station.sessions.begin() as rows:
        rows.add(
            Alarm(
                window_id=window,
                room_id=ROOM,
                camera_id="front-left",
                kind="moved",
                detail="移位2.1°",
                raised_at=begins + timedelta(seconds=4),
                cleared_at=begins + timedelta(seconds=8),
                ended="clear",
                leaf=7,
            )
        )
    body = client.get("/api/v1/status?day=2024-11-23").json()
    (alarm,) = body["alarms"]
    assert (alarm["camera"], alarm["kind"], alarm["words"], alarm["leaf"]) == (
        "front-left",
        "moved",
        "移位",
        7,
    )
    on_lines = {camera["id"]: len(camera["alarms"]) for camera in body["windows"][0]["cameras"]}
    assert on_lines == {"front-left": 1, "back-right": 0}
    found = client.get(f"/api/v1/find?room={ROOM}&at=2024-11-23 09:00:05").json()
    assert {camera["camera"]: len(camera["alarms"]) for camera in found["cameras"]} == on_lines
    for page in ("/?day=2024-11-23", f"/footage?room={ROOM}&at=2024-11-23 09:00:05"):
        text = client.get(page).text
        assert "画面移位：移位2.1°" in text
    assert client.get("/api/v1/status?day=2024-11-24").json()["alarms"] == []


def test_an_alarm_of_the_whole_site_stands_on_the_page_with_its_next_step(
    session: tuple[Any, str], client: TestClient
) -> None:
    archive, _ = session
    with archive.station.sessions.begin() as rows:
        rows.add(Alarm(room_id="", camera_id="", kind="disk_low", detail="可用 0.5 GB", raised_at=now()))
    (alarm,) = client.get("/api/v1/status").json()["alarms"]
    assert (alarm["window"], alarm["room"], alarm["camera"], alarm["picture"]) == (None, None, None, False)
    text = client.get("/").text
    assert "磁盘空间不足" in text
    assert "请转走旧批次" in text
    assert "全考点" in text


def test_status_of_a_day_without_windows_names_the_next(session: tuple[Any, str], client: TestClient) -> None:
    archive, _ = session
    begins = now() + timedelta(days=3)
    window = archive.window(begins, begins + timedelta(hours=1), room="9-201", closed=False)
    body = client.get("/api/v1/status").json()
    assert body["windows"] == []
    assert body["next_window"]["id"] == window


def test_a_daemon_without_a_heartbeat_is_not_alive(client: TestClient) -> None:
    assert client.get("/api/v1/status").json()["daemon"]["alive"] is False


def test_a_camera_that_should_record_and_does_not_is_missing(
    session: tuple[Any, str], client: TestClient
) -> None:
    archive, _ = session
    begins = now() - timedelta(minutes=5)
    window = archive.window(begins, begins + timedelta(minutes=30), room="9-201", closed=False)
    archive.take(window, "front-left", begins, 150, running=True)
    states = {
        camera["id"]: camera["state"]
        for room in client.get("/api/v1/status").json()["rooms"]
        if room["id"] == "9-201"
        for camera in room["cameras"]
    }
    assert states == {
        "front-left": "recording",
        "back-right": "missing",
        "back-left": "missing",
        "front-wall": "missing",
    }


def test_an_open_take_whose_file_stands_still_is_silent(
    small_archives: Any, h264_segments: Any, tmp_path: Path, sign_in: Callable[..., Any]
) -> None:
    import os

    archive = small_archives.SmallArchive.make(tmp_path, h264_segments, silence_s=10)
    begins = now() - timedelta(minutes=5)
    window = archive.window(begins, begins + timedelta(minutes=30), room=ROOM, closed=False)
    archive.take(window, "front-left", begins, 2, running=True)
    still = (now() - timedelta(seconds=60)).timestamp()
    for file in archive.station.archive.rglob("*.mp4"):
        os.utime(file, (still, still))
    with TestClient(create_app(archive.station), base_url="http://127.0.0.1") as client:
        body = sign_in(client, archive.station).get("/api/v1/status").json()
    (camera,) = [one for room in body["rooms"] for one in room["cameras"] if one["take"]]
    assert camera["state"] == "silent"
    line = body["windows"][0]["cameras"][0]["timeline"]
    assert [part["state"] for part in line] == ["recorded", "writing", "unexplained", "upcoming"]


def test_disk_forecast_counts_what_today_still_needs(session: tuple[Any, str], client: TestClient) -> None:
    archive, _ = session
    before = client.get("/api/v1/status").json()["disk"]["needed_today_bytes"]
    begins = now()
    window = archive.window(
        begins, begins + timedelta(hours=1), room="9-201", cameras=("front-wall",), closed=False
    )
    assert window
    needed = client.get("/api/v1/status").json()["disk"]["needed_today_bytes"]
    assert needed - before == pytest.approx(3600 * 1_000_000, rel=0.01)
    outlook = client.get("/api/v1/status").json()["disk"]["outlook"]
    assert (outlook["schema"], outlook["fits"]) == ("kaozheng/disk/1", True)
    assert {"room": "9-201", "camera": "front-wall", "bytes_per_s": 1_000_000, "basis": "assumed"} in outlook[
        "cameras"
    ]


def test_find_answers_with_the_segment_that_holds_the_moment(client: TestClient) -> None:
    query = {"room": ROOM, "seat": "07", "at": "2024-11-23 09:00:05"}
    body = client.get("/api/v1/find", params=query).json()
    assert body["schema"] == "kaozheng/find/1"
    assert body["at"] == "2024-11-23T01:00:05.000Z"
    offsets = [
        segment["offset_s"]
        for camera in (*body["cameras"], *body["blind_cameras"])
        for segment in camera["segments"]
        if segment["offset_s"] is not None
    ]
    assert offsets == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("address", "status", "detail"),
    [
        ("/api/v1/find?room=9-109&at=2024-11-23T09:00", 404, "did you mean 9-101"),
        ("/api/v1/find?room=9-101&seat=7&at=2024-11-23T09:00", 404, "did you mean 07"),
        ("/api/v1/find?room=9-101&at=noon", 400, "is not understood"),
        ("/api/v1/find?room=9-101", 400, "at: Field required"),
        ("/api/v1/find?room=9-101&at=09:00&around_s=nan", 400, "around_s"),
        ("/api/v1/status?day=today", 400, "write it as 2024-11-23"),
        ("/api/v1/clips/no/such/take/1-2.mp4", 400, "has no recorded segments"),
        ("/api/v1/nothing", 404, "/footage"),
    ],
)
def test_errors_are_problem_details_that_say_what_to_do(
    client: TestClient, address: str, status: int, detail: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert detail in answer.json()["detail"]


def test_a_clip_is_served_in_ranges(session: tuple[Any, str], client: TestClient) -> None:
    address = f"/api/v1/clips/{session[1]}/1-5.mp4"
    whole = client.get(address)
    assert whole.status_code == 200
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(address, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole.content)}"
    assert part.content == whole.content[1000:2000]


def test_nothing_but_get_is_answered(client: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/api/v1/status").status_code == 405


def test_every_answer_forbids_foreign_content_and_frames(client: TestClient) -> None:
    for address in ("/", "/footage", "/api/v1/status", "/static/pages.css", "/api/v1/nothing"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_foreign_host_name_is_refused(client: TestClient) -> None:
    assert client.get("/api/v1/status", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/api/v1/status", headers={"Host": "localhost:8080"}).status_code == 200
    assert client.get("/api/v1/status", headers={"Host": "[::1]:8080"}).status_code == 200
