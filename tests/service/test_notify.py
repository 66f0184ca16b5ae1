"""What systemd is told, over a real socket of either kind, and that a hung round tells it nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.notify import Notifier
from kaozheng_service.recording.daemon import Daemon
from kaozheng_service.recording.supervisor import Supervisor


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket such as systemd's, and its address as ``NOTIFY_SOCKET`` names it."""
    name = f"kaozheng-test-{tmp_path.name}-{id(request)}"
    bound, shown = (f"\0{name}", f"@{name}") if request.param == "abstract" else (str(tmp_path / "n"),) * 2
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(bound)
        listening.settimeout(20)
        yield listening, shown


def test_ready_alive_and_stopping_arrive_as_systemd_reads_them(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    notifier.ready()
    notifier.alive("recording 3 of 4\ncameras")
    notifier.stopping()
    heard = [listening.recv(4096).decode() for _ in range(3)]
    assert heard == ["READY=1", "WATCHDOG=1\nSTATUS=recording 3 of 4 cameras", "STOPPING=1"]


def test_without_a_manager_or_with_a_deaf_one_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready()
    Notifier(str(tmp_path / "nobody")).alive("x")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        for _ in range(2000):  # its buffer is full long before
            Notifier(str(tmp_path / "deaf")).alive("x" * 1000)


def test_a_round_that_hangs_is_silent_and_one_that_fails_is_not(
    small_archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[str] = []
    released = threading.Event()
    steps: list[Callable[[], None]] = [lambda: None, _fail, lambda: None]

    def tick(_self: Supervisor) -> None:
        if steps:
            steps.pop(0)()
        else:
            released.wait(60)

    monkeypatch.setattr(Supervisor, "tick", tick)
    daemon = Daemon(small_archive.station, on_tick=lambda snapshot: alive.append(snapshot.failure))
    daemon.start()
    try:
        until = time.monotonic() + 30
        while len(alive) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(2.5)  # two rounds more would have been made
        assert alive == ["", "OSError: disk gone", ""]
    finally:
        released.set()
        daemon.stop()


def _fail() -> None:
    raise OSError("disk gone")
