"""The whole service by its commands, over real RTSP: a camera loses its power in the middle of an exam."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("whole_service")]

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"
CAMERAS = ("front-left", "back-right")
EXAM_S = 45
DARK_S = 6


@dataclass
class Afternoon:
    """What happened to the room, as the cameras themselves know it, and where the site is."""

    site: Path
    window: str
    dark_from: datetime
    light_again: dict[str, datetime] = field(default_factory=dict)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return kaozheng(*arguments, "--config", str(self.site))


def kaozheng(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def afternoon(need: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Afternoon]:
    """One exam recorded by the daemon from its timetable; both cameras are dark for some seconds."""
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    folder = tmp_path_factory.mktemp("site")
    clips = {f"/{ROOM}/{camera}": PROJECT / "sample_media" / ROOM / f"{camera}.mp4" for camera in CAMERAS}
    with RehearsalServer(clips) as server:
        site = _write_site(folder, server)
        token = _token(site)
        begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
        _write_timetable(folder, begins)
        port = _free_port()
        with (folder / "serve.log").open("wb") as log:
            command = [
                sys.executable,
                "-m",
                "kaozheng_service",
                "serve",
                "-c",
                str(site),
                "--port",
                str(port),
            ]
            service = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            window = _await(lambda: _recording(port, token))
            _sleep_until(begins + timedelta(seconds=14))
            server.kill()
            dark_from = datetime.now(UTC)
            time.sleep(DARK_S)
            before = len(server.played)
            server.start()
            _await(lambda: _closed(port, token, window))
            light_again = {
                mount.rsplit("/", 1)[1]: moment for mount, moment in reversed(server.played[before:])
            }
        finally:
            service.terminate()
            service.wait(timeout=30)
        yield Afternoon(site, window, dark_from, light_again)


@pytest.fixture(scope="module")
def bag(afternoon: Afternoon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole window, exported by command."""
    out = tmp_path_factory.mktemp("bag") / "export"
    since, until = (
        f"{afternoon.dark_from + timedelta(seconds=offset):%Y-%m-%dT%H:%M:%S+00:00}" for offset in (-8, 20)
    )
    done = afternoon.run(
        "export",
        "--room",
        ROOM,
        "--from",
        since,
        "--to",
        until,
        "--reason",
        "复核",
        "--out",
        str(out),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gaps"] == len(CAMERAS)
    return out


def test_each_dark_camera_was_one_alarm_that_ended_and_its_gap_was_told(afternoon):
    done = afternoon.run("alarms", "list", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    alarms = json.loads(done.stdout)["alarms"]
    for camera in CAMERAS:
        of_camera = {one["kind"]: one for one in alarms if one["camera"] == camera}
        assert {"no_footage", "gap"} <= set(of_camera)
        assert [one["kind"] for one in alarms if one["camera"] == camera].count("no_footage") == 1
        assert (of_camera["no_footage"]["ended"], of_camera["gap"]["ended"]) == ("clear", "told")
        assert all(one["leaf"] is not None for one in of_camera.values())
        raised = datetime.fromisoformat(of_camera["no_footage"]["from"])
        assert timedelta(0) < raised - afternoon.dark_from < timedelta(seconds=12)


def test_the_export_shows_two_takes_and_one_explained_gap_of_the_right_length(afternoon, bag):
    records = _records(bag)
    for camera in CAMERAS:
        takes = [one for one in records if one["kind"] == "take.opened" and one["camera"] == camera]
        gaps = [one for one in records if one["kind"] == "gap" and one["camera"] == camera]
        assert len(takes) == 2
        (gap,) = gaps
        assert gap["cause"]
        assert gap["cause"] != "unknown"
        starts, ends = (datetime.fromisoformat(gap[name]) for name in ("starts_at", "ends_at"))
        assert abs(starts - afternoon.dark_from) < timedelta(seconds=1)
        assert abs(ends - afternoon.light_again[camera]) < timedelta(seconds=1)
        dark = afternoon.light_again[camera] - afternoon.dark_from
        assert abs((ends - starts) - dark) < timedelta(seconds=1)


def test_the_export_verifies_here_and_by_its_own_verifier_alone(bag):
    assert kaozheng("verify", str(bag)).returncode == 0
    alone = subprocess.run(
        [sys.executable, "-I", "-S", str(bag / "verify.py"), str(bag)], capture_output=True, check=False
    )
    assert alone.returncode == 0, alone.stdout.decode() + alone.stderr.decode()


def test_one_changed_byte_is_named(bag, tmp_path):
    copy = tmp_path / "export"
    shutil.copytree(bag, copy)
    victim = next(copy.rglob("seg-00001.mp4"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    found = kaozheng("verify", str(copy), "--json")
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert report["outcome"] == "altered"
    assert str(victim.relative_to(copy)) in found.stdout


def test_a_seat_and_a_moment_lead_to_the_file(afternoon):
    moment = afternoon.dark_from - timedelta(seconds=5)
    found = afternoon.run(
        "find", "--room", ROOM, "--seat", "08", "--at", f"{moment:%Y-%m-%dT%H:%M:%S+00:00}", "--json"
    )
    assert found.returncode == 0, found.stderr
    best = json.loads(found.stdout)["cameras"][0]
    assert best["sight"]["box_px"]
    (segment,) = [one for one in best["segments"] if one["offset_s"] is not None]
    assert (afternoon.site.parent / "archive" / segment["path"]).is_file()


def test_a_moment_in_the_dark_is_answered_by_the_gap(afternoon):
    moment = afternoon.dark_from + timedelta(seconds=3)
    found = afternoon.run(
        "find", "--room", ROOM, "--seat", "08", "--at", f"{moment:%Y-%m-%dT%H:%M:%S+00:00}", "--json"
    )
    assert found.returncode == 1
    answer = json.loads(found.stdout)
    assert not answer["found"]
    assert answer["cameras"][0]["gaps"]
    assert answer["nearest_before"]


def test_the_archive_verifies(afternoon):
    done = kaozheng("verify", str(afternoon.site))
    assert done.returncode == 0, done.stdout + done.stderr


def _write_site(folder: Path, server: RehearsalServer) -> Path:
    source = PROJECT / "configs" / "demo" / "site.yaml"
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        camera["source"] = server.url(f"/{ROOM}/{camera['id']}")
    data["recording"] = {"pre_roll_min": 0.05, "post_roll_min": 0.05, "segment_s": 5}
    data["alarms"] = {"after_s": 1, "gap_s": 1}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def _write_timetable(folder: Path, begins: datetime) -> None:
    local = begins.astimezone(ZoneInfo("Asia/Shanghai"))
    ends = local + timedelta(seconds=EXAM_S)
    (folder / "timetable.csv").write_text(
        f"场次,时间,地点\n第一考场 理论考试,{local:%Y-%m-%d %H:%M:%S}-{ends:%H:%M:%S},9号楼101\n",
        encoding="utf-8",
    )


def _recording(port: int, token: str) -> str | None:
    windows = _status(port, token).get("windows", [])
    return windows[0]["id"] if windows else None


def _closed(port: int, token: str, window: str) -> bool:
    return any(one["id"] == window and one["closed"] for one in _status(port, token).get("windows", []))


def _status(port: int, token: str) -> dict[str, Any]:
    try:
        address = f"http://127.0.0.1:{port}/api/v1/status"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            status: dict[str, Any] = json.load(answer)
            return status
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return {}


def _token(site: Path) -> str:
    """By command, as an operator makes one for a program."""
    begin = [sys.executable, "-m", "kaozheng_service"]
    add = ["account", "add", "watcher", "--name", "监控", "--role", "exam_staff", "--password-stdin"]
    subprocess.run(
        [*begin, *add, "-c", str(site)],
        input="slate-harbour-42\n",
        text=True,
        check=True,
        capture_output=True,
    )
    create = ["token", "create", "watcher", "--name", "watch", "--scope", "status", "-c", str(site)]
    done = subprocess.run([*begin, *create], text=True, check=True, capture_output=True)
    return done.stdout.strip()


def _await(ask: Callable[[], Any]) -> Any:
    for _ in range(300):
        answer = ask()
        if answer:
            return answer
        time.sleep(0.5)
    raise AssertionError("it did not happen")


def _sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def _records(bag: Path) -> list[dict[str, Any]]:
    lines = (bag / "data" / "evidence" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(json.loads(line)["entry"]) for line in lines]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
