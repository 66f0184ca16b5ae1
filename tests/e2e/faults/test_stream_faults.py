"""What cameras and networks do on exam day, one fault a test; ``docs/reliability.md`` names them."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

# The longest pause between two attempts, a quarter more for its jitter, and a slow machine's connecting.
RECONNECT_S = 8 * 1.25 + 6


def test_a_stream_that_stalls_without_closing_is_opened_anew(
    make_day: Any, cameras: Any, steady: str
) -> None:
    server = cameras("stalls")
    day = make_day({"stalls": server.url("/stalls"), "steady": steady}, seconds=40)
    with day.served():
        since = day.wait(8)
        os.kill(server.pid, signal.SIGSTOP)
        until = day.wait(20)
        os.kill(server.pid, signal.SIGCONT)
        day.until_closed()
    day.keeps("steady")
    day.lost("stalls", "stalled", since=since, until=until, reconnect_s=RECONNECT_S)
    assert len(day.takes("stalls")) == 2


def test_a_camera_that_refuses_at_first_is_recorded_as_soon_as_it_answers(
    make_day: Any, cameras: Any, steady: str
) -> None:
    server = cameras("late")
    day = make_day({"late": server.url("/late"), "steady": steady}, seconds=40)
    server.stop()
    with day.served():
        until = day.wait(20)
        server.start()
        day.until_closed()
    day.keeps("steady")
    day.lost("late", "connection_refused", since=day.begins, until=until, reconnect_s=RECONNECT_S)


def test_credentials_that_were_changed_are_named_and_never_told(
    make_day: Any, cameras: Any, steady: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "Geheim-0815"  # noqa: S105 - what must never be found again
    monkeypatch.setenv("KAOZHENG_TEST_PASSWORD", secret)
    server = cameras("guarded", user="admin", password=secret)
    day = make_day(
        {"guarded": server.url("/guarded"), "steady": steady}, seconds=36, credential="KAOZHENG_TEST_PASSWORD"
    )
    with day.served():
        since = day.wait(8)
        server.kill()
        other = cameras("guarded", user="admin", password="changed", port=server.port)  # noqa: S106
        until = day.wait(18)
        other.kill()
        server.start()
        day.until_closed()
    day.keeps("steady")
    day.lost(
        "guarded",
        {"stream_lost", "auth_failed", "stalled"},
        since=since,
        until=until,
        reconnect_s=RECONNECT_S,
    )
    assert "auth_failed" in day.said()
    files = [path for path in day.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_recorders_that_crash_or_hang_are_replaced(make_day: Any, cameras: Any, steady: str) -> None:
    ids = ("killed", "stopped", "crashed")
    server = cameras(*ids)
    day = make_day({one: server.url(f"/{one}") for one in ids} | {"steady": steady}, seconds=36)
    signals = (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV)
    with day.served():
        since = day.wait(9)
        for camera, number in zip(ids, signals, strict=True):
            os.kill(day.recorder(camera), number)
        day.until_closed()
    day.keeps("steady")
    for camera, cause in zip(ids, ("recorder_died", "stalled", "recorder_died"), strict=True):
        # A recorder that hangs is found by its silence; the other two at the next tick.
        until = since + timedelta(seconds=8 if camera == "stopped" else 0)
        day.lost(camera, cause, since=since, until=until, reconnect_s=RECONNECT_S)


def test_a_network_that_is_cut_and_healed(make_day: Any, cameras: Any, network: Any, steady: str) -> None:
    with network.inside():
        server = cameras("far")
        day = make_day({"far": server.url("/far"), "steady": steady}, seconds=40)
        with day.served():
            since = day.wait(8)
            network.cut()
            until = day.wait(20)
            network.heal()
            day.until_closed()
    day.keeps("steady")
    day.lost("far", {"stalled", "not_reachable"}, since=since, until=until, reconnect_s=RECONNECT_S)


def test_a_server_that_dies_and_comes_back(make_day: Any, cameras: Any, steady: str) -> None:
    server = cameras("dies")
    day = make_day({"dies": server.url("/dies"), "steady": steady}, seconds=30)
    with day.served():
        since = day.wait(8)
        server.kill()
        time.sleep(2)
        server.start()
        until = since + timedelta(seconds=2)
        day.until_closed()
    day.keeps("steady")
    day.lost("dies", {"stream_lost", "connection_refused"}, since=since, until=until, reconnect_s=RECONNECT_S)
