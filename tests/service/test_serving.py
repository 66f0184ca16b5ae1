"""`kaozheng serve` as systemd runs it: it says when it is ready and alive, logs JSON lines, and keeps secrets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Window
from kaozheng_service.recording.expectations import register
from kaozheng_service.station import open_station

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"
PLANTED = "hunter22hunter22"


def write_site(folder: Path) -> Path:
    """The demo site, a window running, its first camera behind a login that nobody answers."""
    site = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    site.pop("timetable")
    site["credentials"] = [{"id": "cameras", "username": "admin", "password_env": "PLANTED"}]
    room = next(room for room in site["rooms"] if room["id"] == "9-101")
    room["cameras"][0] |= {"credential": "cameras", "source": "rtsp://127.0.0.1:9/live"}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    window = Window(
        id="now-9-101-theory",
        room_id="9-101",
        kind="theory",
        title="第一考场",
        camera_ids=room["cameras"][0]["id"],
        starts_at=now(),
        ends_at=now() + timedelta(minutes=5),
    )
    register(open_station(load_site(path)), window)
    return path


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + 90
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def test_systemd_is_told_the_log_is_json_and_no_secret_is_in_it(tmp_path: Path) -> None:
    site = write_site(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        heard: list[str] = []
        threading.Thread(target=_listen, args=(manager, heard), daemon=True).start()
        command = [sys.executable, "-m", "kaozheng_service", "serve", "-c", str(site), "--port", str(port)]
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PLANTED": PLANTED}
        with (tmp_path / "log").open("wb") as log:
            service = subprocess.Popen(
                [*command, "--log-format", "json"], stderr=log, stdout=log, env=environment
            )
        try:
            wait_for(lambda: {"READY=1", "WATCHDOG=1"} <= {text.partition("\n")[0] for text in heard})
            wait_for(lambda: _answer(port, "/readyz") == 200)
            wait_for(lambda: b"no recording" in (tmp_path / "log").read_bytes())
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=60)
        wait_for(lambda: "STOPPING=1" in heard)
    assert any("STATUS=recording 0 of 1 cameras" in text for text in heard)
    text = (tmp_path / "log").read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    assert all(event["time"].endswith("Z") for event in events)
    assert any(
        event["event"] == "no recording" and event["cause"] == "connection_refused" for event in events
    )
    assert PLANTED not in text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.is_socket() or PLANTED.encode() not in path.read_bytes(), path


def _listen(manager: socket.socket, heard: list[str]) -> None:
    """As systemd does: at once, for the queue of such a socket is short."""
    with contextlib.suppress(OSError):  # closed at the test's end
        while True:
            heard.append(manager.recv(4096).decode())


def _answer(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
