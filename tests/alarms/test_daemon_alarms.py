"""The running daemon: a camera that refuses is told with its cause; alarms that fail harm no recording."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from kaozheng_service.alarms.desk import AlarmDesk
from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.recording.daemon import Daemon
from kaozheng_service.recording.expectations import register
from kaozheng_service.station import Station
from kaozheng_service.web.daemon import heartbeat

CAMERA = "front-left"


def expect(station: Station) -> None:
    """A window that runs now on one camera, which nobody serves."""
    window = Window(
        id="now-9-101-theory",
        room_id="9-101",
        kind="theory",
        title="第一考场",
        camera_ids=CAMERA,
        starts_at=now() - timedelta(seconds=2),
        ends_at=now() + timedelta(minutes=5),
    )
    register(station, window)


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


def test_a_camera_that_refuses_is_told_to_the_webhook_with_its_cause(
    make_station: Callable[..., Station], receiver: Any
) -> None:
    station = make_station({"after_s": 1, "webhooks": [{"id": "duty", "url": receiver.url}]})
    expect(station)
    daemon = Daemon(station)
    daemon.start()
    try:
        (got,) = wait_for(lambda: receiver.received)
        beat = wait_for(lambda: (heartbeat(station) or {}).get("checks") and heartbeat(station))
    finally:
        daemon.stop(leave_children=False)
    alarm = got.json["alarm"]
    assert (alarm["kind"], alarm["room"], alarm["camera"]) == ("no_footage", "9-101", CAMERA)
    assert alarm["detail"].startswith("摄像机拒绝连接")
    assert (beat["checks"]["log"], beat["checks"]["database"], beat["watch"]) == ("", "", "")
    (camera,) = beat["cameras"]
    assert (camera["room"], camera["camera"], camera["flows"]) == ("9-101", CAMERA, False)


def test_a_desk_that_fails_or_hangs_keeps_no_round_from_being_made(
    make_station: Callable[..., Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaozheng_service.alarms.desk.JOIN_S", 0.1)
    monkeypatch.setattr("kaozheng_service.alarms.desk.LOOK_S", 0.05)
    monkeypatch.setattr(AlarmDesk, "look", lambda *_: time.sleep(600))
    rounds: list[float] = []
    daemon = Daemon(make_station(), on_tick=lambda snapshot: rounds.append(snapshot.tick_at_s))
    daemon.start()
    try:
        wait_for(lambda: len(rounds) >= 3)
    finally:
        daemon.stop()
