"""`kaozheng alarms`: what was told, and a trial of each channel, with exit codes and without secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.kinds import CLEAR, Subject
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.station import open_station

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"
PLANTED = "hunter22hunter22"


@pytest.fixture
def hook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A port that takes POSTs, and what it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1], taken
    server.shutdown()
    server.server_close()


def write_site(folder: Path, alarms: dict[str, Any]) -> Path:
    site = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    site.pop("timetable")
    site["alarms"] = alarms
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    return path


def kaozheng(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *map(str, arguments)]
    environment = os.environ | {"HOOK_SECRET": PLANTED, "MAIL_PASSWORD": PLANTED, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_trial_says_of_each_channel_what_happened_and_shows_no_secret(
    tmp_path: Path, hook: tuple[int, list[dict[str, Any]]]
) -> None:
    port, taken = hook
    login = {"username": "exam", "password_env": "MAIL_PASSWORD"}
    mail = {"host": "127.0.0.1", "port": 9, "from": "a@example.org", "to": ["b@example.org"], **login}
    good = {"id": "duty", "url": f"http://127.0.0.1:{port}/?key={PLANTED}", "secret_env": "HOOK_SECRET"}
    closed = {"id": "closed", "url": f"http://127.0.0.1:9/?key={PLANTED}"}
    site = write_site(tmp_path, {"webhooks": [good, closed], "mail": mail})
    done = kaozheng("alarms", "test", "-c", site)
    assert done.returncode == 1
    duty, away, letter = done.stdout.splitlines()
    assert duty == f"duty: delivered to http://127.0.0.1:{port}"
    assert away == "closed: NOT delivered to http://127.0.0.1:9: Connection refused"
    assert letter.startswith("mail: NOT delivered to b@example.org via 127.0.0.1:9")
    assert PLANTED not in done.stdout + done.stderr
    (body,) = taken
    assert (body["event"], body["summary"]) == ("test", "[测试]（示范学院考点）")
    assert "Traceback" not in done.stderr


def test_a_trial_that_all_take_ends_with_0(tmp_path: Path, hook: tuple[int, list[dict[str, Any]]]) -> None:
    site = write_site(tmp_path, {"webhooks": [{"id": "duty", "url": f"http://127.0.0.1:{hook[0]}/"}]})
    done = kaozheng("alarms", "test", "-c", site, "--json")
    assert done.returncode == 0, done.stderr
    (channel,) = json.loads(done.stdout)["channels"]
    assert (channel["channel"], channel["delivered"], channel["why"]) == ("duty", True, "")


def test_a_trial_without_channels_says_how_to_name_one(tmp_path: Path) -> None:
    done = kaozheng("alarms", "test", "-c", write_site(tmp_path, {}))
    assert done.returncode == 2
    assert "add webhooks or mail under alarms:" in done.stderr


def test_the_list_has_open_and_ended_alarms_with_their_messages(tmp_path: Path) -> None:
    path = write_site(tmp_path, {"webhooks": [{"id": "duty", "url": "http://127.0.0.1:9/"}]})
    book = AlarmBook(open_station(load_site(path)))
    camera = book.raise_alarm(Subject("no_footage", "9-101", "front-left"), "拒绝连接", now())
    book.raise_alarm(Subject("disk_low"), "可用 0.5 GB", now())
    book.clear_alarm(camera.id, now(), CLEAR)
    every = json.loads(kaozheng("alarms", "list", "-c", path, "--json").stdout)
    assert every["schema"] == "kaozheng/alarms/1"
    assert [(one["kind"], one["ended"]) for one in every["alarms"]] == [
        ("disk_low", None),
        ("no_footage", "clear"),
    ]
    assert [one["state"] for one in every["alarms"][1]["messages"]] == ["waiting", "waiting"]
    done = kaozheng("alarms", "list", "--open", "-c", path)
    assert done.returncode == 1
    assert "disk_low" in done.stdout
    assert "no_footage" not in done.stdout
    book.clear_alarm(2, now(), CLEAR)
    done = kaozheng("alarms", "list", "--open", "-c", path)
    assert (done.returncode, done.stdout.strip()) == (0, "no alarms")
