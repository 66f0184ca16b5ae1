"""What exam day does to a recorder: killed children, a killed daemon, a camera that is not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Segment, Take
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.errors import UserError
from kaozheng_service.recording.completeness import Completeness, window_completeness
from kaozheng_service.station import open_station
from sqlalchemy import select

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"
EXAM_S = 26


@dataclass
class Site:
    """A site of one room with looped files for cameras, and an exam that is about to begin."""

    path: Path
    begins: datetime

    @contextmanager
    def served(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon; ended in the end, its recorders left running."""
        command = [sys.executable, "-m", "kaozheng_service", "serve", "-c", str(self.path), "--port", "0"]
        with (self.path.parent / "serve.log").open("ab") as log:
            service = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield service
        finally:
            if service.poll() is None:
                service.terminate()
            service.wait(timeout=30)

    def children(self) -> dict[str, int]:
        """The pid of each camera's newest recorder, from what stands beside its footage."""
        found = {}
        for intent in sorted((self.path.parent / "archive").rglob("take.json")):
            body = json.loads(intent.read_text(encoding="utf-8"))
            if body["child"]:
                found[body["camera"]] = body["child"]["pid"]
        return found

    def takes(self) -> list[str]:
        with open_station(load_site(self.path)).sessions() as session:
            return list(session.scalars(select(Take.id).order_by(Take.id)))

    def segments(self) -> int:
        with open_station(load_site(self.path)).sessions() as session:
            return len(session.scalars(select(Segment.id)).all())

    def completeness(self) -> Completeness:
        local = self.begins.astimezone(ZoneInfo("Asia/Shanghai"))
        return window_completeness(open_station(load_site(self.path)), f"{local:%Y%m%d-%H%M%S}-{ROOM}-theory")

    def closed(self) -> bool:
        return self.completeness().closed

    def verified(self) -> str:
        return verify_archive(open_station(load_site(self.path))).outcome


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def make_site(folder: Path, **sources: str) -> Site:
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        clip = PROJECT / "sample_media" / ROOM / f"{camera['id']}.mp4"
        camera["source"] = sources.get(camera["id"], clip.as_uri())
    if "credential" in sources:
        data["credentials"] = [{"id": "guard", "username": "admin", "password_env": "KAOZHENG_TEST_PASSWORD"}]
        data["rooms"][0]["cameras"][0]["credential"] = "guard"
    data["recording"] = {"pre_roll_min": 0, "post_roll_min": 0, "segment_s": 5}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
    local = begins.astimezone(ZoneInfo("Asia/Shanghai"))
    (folder / "timetable.csv").write_text(
        f"场次,时间,地点\n第一考场 理论考试,{local:%Y-%m-%d %H:%M:%S}-{local + timedelta(seconds=EXAM_S):%H:%M:%S},"
        "9号楼101\n",
        encoding="utf-8",
    )
    return Site(path, begins)


def test_a_killed_recorder_is_replaced_and_its_seconds_are_explained(site):
    with site.served():
        sleep_until(site.begins + timedelta(seconds=9))
        victim = site.children()["front-left"]
        os.kill(victim, signal.SIGKILL)
        killed_at = datetime.now(UTC)
        until(site.closed)
    cameras = {camera.camera_id: camera for camera in site.completeness().cameras}
    assert cameras["back-right"].verdict == "complete"
    hit = cameras["front-left"]
    assert hit.takes == 2
    assert hit.verdict == "incomplete_explained"
    (gap,) = hit.gaps
    assert gap.cause == "recorder_died"
    # Whole fragments survive a kill: at most one keyframe interval of a second is lost before it.
    assert timedelta(seconds=-1.5) < gap.starts_at - killed_at < timedelta(seconds=0.5)
    assert gap.seconds < 12
    assert site.verified() == "intact"


def test_a_killed_daemon_adopts_its_recorders_and_loses_nothing(site):
    with site.served() as service:
        sleep_until(site.begins + timedelta(seconds=7))
        before = site.children()
        service.kill()
        service.wait()
    time.sleep(4)
    assert site.children() == before
    with site.served():
        until(site.closed)
    assert site.completeness().verdict == "complete"
    assert [camera.takes for camera in site.completeness().cameras] == [1, 1]
    assert site.verified() == "intact"


def test_a_camera_that_is_not_there_is_one_gap_with_its_cause_and_no_password_anywhere(tmp_path, monkeypatch):
    secret = "Geheim-4711"  # noqa: S105 - what must never be found again
    monkeypatch.setenv("KAOZHENG_TEST_PASSWORD", secret)
    site = make_site(tmp_path, **{"front-left": "rtsp://127.0.0.1:9/nothing", "credential": "guard"})
    with site.served():
        until(site.closed)
    cameras = {camera.camera_id: camera for camera in site.completeness().cameras}
    assert cameras["back-right"].verdict == "complete"
    (gap,) = cameras["front-left"].gaps
    assert gap.cause == "connection_refused"
    assert gap.seconds == pytest.approx(EXAM_S, abs=0.01)
    assert cameras["front-left"].verdict == "incomplete_explained"
    holding = [
        path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert holding == []


def test_a_service_that_starts_late_signs_what_it_missed(site):
    sleep_until(site.begins + timedelta(seconds=8))
    with site.served():
        until(site.closed)
    for camera in site.completeness().cameras:
        (gap,) = camera.gaps
        assert gap.starts_at == site.begins
        assert gap.cause in ("service_not_running", "late_start")
        assert 7 < gap.seconds < 24


def test_what_was_missed_before_two_starts_is_signed_though_no_picture_came_between_them(tmp_path):
    site = make_site(tmp_path, **{"front-left": "rtsp://127.0.0.1:9/nothing"})
    sleep_until(site.begins + timedelta(seconds=3))
    with site.served() as service:
        until((tmp_path / "state" / "heartbeat.json").exists)
        service.kill()
    time.sleep(1)
    with site.served():
        until(site.closed)
    camera = next(one for one in site.completeness().cameras if one.camera_id == "front-left")
    (gap,) = camera.gaps
    assert (gap.starts_at, gap.cause) == (site.begins, "service_not_running")
    assert "the service did not run until" in gap.detail
    assert site.verified() == "intact"


def until(ask: Callable[[], Any]) -> None:
    refusal: Exception | None = None
    for _ in range(240):
        try:
            if ask():
                return
        except UserError as error:  # the window is not registered yet
            refusal = error
        time.sleep(0.5)
    raise AssertionError(f"it did not happen: {refusal}")


def sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
