"""/healthz, /readyz and /metrics: told by heartbeat and database, with bounded labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from kaozheng_service.clock import now, to_text
from kaozheng_service.database import Alarm
from kaozheng_service.web.app import create_app
from prometheus_client.parser import text_string_to_metric_families

ROOM, CAMERA = "9-101", "front-left"


@pytest.fixture
def client(small_archive: Any) -> Iterator[TestClient]:
    with TestClient(
        create_app(small_archive.station), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)
    ) as client:
        yield client


def beat(archive: Any, at: datetime | None = None, **other: Any) -> None:
    """The daemon's heartbeat: one camera records, another does not."""
    at = at or now()
    camera = {"window": "w", "room": ROOM, "camera": CAMERA, "flows": True, "silent_s": 0.5, "cause": None}
    silent = {"camera": "back-right", "flows": False, "silent_s": None, "cause": "auth_failed"}
    checks = {"log": "", "database": "", "archive": "", "clock_synchronised": True, "clock_step_s": 0.0}
    body = {
        "schema": "kaozheng/heartbeat/1",
        "at": to_text(at),
        "recording": [{"window": "w", "camera": CAMERA, "take": "t", "bytes": 1234, "last_segment_at": None}],
        "pictures": [],
        "free_bytes": 5_000_000_000,
        "disk_low": False,
        "cameras": [camera, camera | silent],
        "tick_s": 0.02,
        "signing_errors": 3,
        "watch": "",
        "checks": checks | {"at": to_text(at)},
    }
    path = archive.station.state / "heartbeat.json"
    path.write_text(json.dumps(body | other), encoding="utf-8")


def numbers(client: TestClient) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (
            sample.name.removeprefix("kaozheng_"),
            *(sample.labels[name] for name in ("room", "camera", "cause", "what") if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def reasons(client: TestClient, status: int) -> list[str]:
    answer = client.get("/readyz")
    assert answer.status_code == status
    body = answer.json()
    assert body["ready"] is (status == 200)
    found: list[str] = body["reasons"]
    return found


def test_the_process_is_alive_whatever_the_daemon_does(client: TestClient) -> None:
    assert client.get("/healthz").json()["alive"] is True


def test_a_service_is_ready_only_while_it_beats_and_all_can_be_written(
    client: TestClient, small_archive: Any
) -> None:
    assert "never beaten" in reasons(client, 503)[0]
    beat(small_archive)
    assert reasons(client, 200) == []
    beat(small_archive, now() - timedelta(seconds=40))
    assert "beat is 40 s old" in reasons(client, 503)[0]
    beat(small_archive, checks=None)
    assert reasons(client, 503) == ["nothing was checked yet"]
    old = to_text(now() - timedelta(seconds=90))
    why = {"at": old, "log": "/log: full", "database": "locked", "archive": "/a: read-only"}
    beat(small_archive, checks=why)
    assert len(reasons(client, 503)) == 4
    (small_archive.station.state / "heartbeat.json").write_text('{"at": ', encoding="utf-8")
    assert "never beaten" in reasons(client, 503)[0]


def test_numbers_of_each_camera(client: TestClient, small_archive: Any) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM)
    small_archive.take(window, CAMERA, begins, 3)
    small_archive.gap(window, CAMERA, begins + timedelta(seconds=6), begins + timedelta(seconds=10.5))
    beat(small_archive)
    found = numbers(client)
    assert found["camera_expected", ROOM, CAMERA] == found["camera_recording", ROOM, CAMERA] == 1
    assert (found["camera_expected", ROOM, "back-right"], found["camera_recording", ROOM, "back-right"]) == (
        1,
        0,
    )
    assert found["camera_expected", "9-201", "front-wall"] == 0
    assert 0.5 <= found["camera_last_fragment_age_seconds", ROOM, CAMERA] < 60
    assert found["camera_open_segment_bytes", ROOM, CAMERA] == 1234
    assert found["camera_segments_closed_total", ROOM, CAMERA] == 3
    assert found["camera_recorded_bytes_total", ROOM, CAMERA] == sum(
        path.stat().st_size for path in small_archive.station.archive.rglob("seg-*.mp4")
    )
    assert found["camera_gap_seconds_total", ROOM, CAMERA, "stream_lost"] == 4.5


def test_counts_grow_by_what_came_since_the_last_scrape(client: TestClient, small_archive: Any) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM)
    small_archive.take(window, CAMERA, begins, 2)
    assert numbers(client)["camera_segments_closed_total", ROOM, CAMERA] == 2
    small_archive.take(window, CAMERA, begins + timedelta(seconds=10), 3, number=2)
    assert numbers(client)["camera_segments_closed_total", ROOM, CAMERA] == 5
    assert numbers(client)["camera_segments_closed_total", ROOM, CAMERA] == 5


def test_numbers_of_the_site(client: TestClient, small_archive: Any) -> None:
    begins = now() - timedelta(minutes=1)
    small_archive.window(begins, begins + timedelta(hours=1), room=ROOM, closed=False)
    following = begins + timedelta(hours=3)
    small_archive.window(following, following + timedelta(hours=1), room="9-201", closed=False)
    with small_archive.station.sessions.begin() as session:
        session.add(Alarm(room_id="", camera_id="", kind="disk_low", detail="", raised_at=now()))
    beat(small_archive, watch="its process ended")
    found = numbers(client)
    assert found["up",] == 1
    assert 0 <= found["heartbeat_age_seconds",] < 60
    assert found["free_bytes",] == 5_000_000_000
    assert found["tick_seconds",] == 0.02
    assert found["signing_errors_total",] == 3
    assert found["watch_up",] == 0
    assert found["writable", "log"] == found["clock_synchronised",] == 1
    assert found["log_entries",] == 2
    assert found["windows_running",] == 1
    assert found["next_window_timestamp_seconds",] == pytest.approx(following.timestamp(), abs=1)
    assert (found["alarms_open", "disk_low"], found["alarms_open", "no_footage"]) == (1, 0)


def test_no_label_comes_from_outside_the_site_file_and_the_code(
    client: TestClient, small_archive: Any
) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM, cameras=("gone",))
    small_archive.take(window, "gone", begins, 1)
    small_archive.gap(window, "gone", begins, begins + timedelta(seconds=5))
    other = small_archive.window(begins + timedelta(hours=1), begins + timedelta(hours=2), room=ROOM)
    small_archive.gap(other, CAMERA, begins, begins + timedelta(seconds=5), "a cause of a later version")
    with small_archive.station.sessions.begin() as session:
        session.add(Alarm(room_id="", camera_id="", kind="of a later version", detail="", raised_at=now()))
    found = numbers(client)
    assert not any("gone" in key or "of a later version" in key for key in found)
    assert found["camera_gap_seconds_total", ROOM, CAMERA, "unknown"] == 5


def test_a_foreign_host_name_gets_no_numbers(client: TestClient) -> None:
    assert client.get("/metrics", headers={"host": "evil.example"}).status_code == 421


def test_what_the_coming_windows_need_and_leave_is_a_number(client: TestClient, small_archive: Any) -> None:
    begins = now() + timedelta(hours=1)
    small_archive.window(
        begins, begins + timedelta(hours=2), room=ROOM, cameras=(CAMERA,), kind="theory", closed=False
    )
    beat(small_archive)
    found = numbers(client)
    # 7.2 GB at 8 Mbit/s, of 5 GB of which one is kept back.
    assert found["disk_forecast_needed_bytes",] == pytest.approx(7.2e9)
    assert found["disk_forecast_left_bytes",] == pytest.approx(-3.2e9)
