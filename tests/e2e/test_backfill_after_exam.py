"""A camera loses its power in an exam; its recorder did not, and the service fetches what is missing afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Backfill, BackfilledTake, Window
from kaozheng_service.recording.completeness import Completeness, window_completeness
from kaozheng_service.rehearsal import HOW_TO_INSTALL, KeptFootage, RehearsalServer, gstreamer_python
from kaozheng_service.station import open_station
from sqlalchemy import select

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("backfill_after_exam")]

PROJECT = Path(__file__).resolve().parents[2]
ROOM, CAMERA, SOURCE = "9-101", "front-left", "9号楼录像机"
MOUNT = f"/{ROOM}/{CAMERA}"
CLIP = PROJECT / "sample_media" / ROOM / f"{CAMERA}.mp4"
SECRET = "Geheim-4711"  # noqa: S105 - what must never be found again
EXAM_S, DARK_S = 26, 5


@dataclass
class Exam:
    """An exam that is over, its gap backfilled; ``sizes`` are the log's before and while nothing was fetched yet."""

    path: Path
    window: str
    begins: datetime
    asked_during: int
    nvr: RehearsalServer

    def completeness(self) -> Completeness:
        return window_completeness(open_station(load_site(self.path)), self.window)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kaozheng_service", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def exam(need: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exam]:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    folder = tmp_path_factory.mktemp("exam")
    origin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    kept = KeptFootage({"/kept": CLIP}, origin)
    with (
        pytest.MonkeyPatch.context() as patch,
        RehearsalServer({MOUNT: CLIP}) as camera,
        RehearsalServer({}, kept=kept, user="viewer", password=SECRET) as nvr,
    ):
        patch.setenv("KAOZHENG_TEST_PASSWORD", SECRET)
        path = write_site(folder, camera, nvr)
        begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
        local = begins.astimezone(ZoneInfo("Asia/Shanghai"))
        ends = local + timedelta(seconds=EXAM_S)
        (folder / "timetable.csv").write_text(
            f"场次,时间,地点\n第一考场 理论考试,{local:%Y-%m-%d %H:%M:%S}-{ends:%H:%M:%S},9号楼101\n",
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "kaozheng_service", "serve", "-c", str(path), "--port", "0"]
        with (folder / "serve.log").open("wb") as log:
            service = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            station = open_station(load_site(path))
            time.sleep(max(0.0, (begins - datetime.now(UTC)).total_seconds() + 9))
            camera.kill()
            time.sleep(DARK_S)
            camera.start()
            time.sleep(max(0.0, (begins - datetime.now(UTC)).total_seconds() + EXAM_S))
            asked_during = len(nvr.asked)
            eventually(lambda: states(station) == ["healed"])
        finally:
            service.terminate()
            service.wait(timeout=30)
        with station.sessions() as session:
            window = session.scalars(select(Window.id)).one()
        yield Exam(path, window, begins, asked_during, nvr)


def test_the_gap_stays_a_gap_and_says_what_healed_it(exam):
    (camera,) = [one for one in exam.completeness().cameras if one.camera_id == CAMERA]
    assert camera.verdict == "incomplete_explained"
    (gap,) = camera.gaps
    assert gap.seconds > DARK_S - 2
    assert gap.healed_s == pytest.approx(gap.seconds, abs=0.01)
    assert gap.sources == (SOURCE,)
    assert camera.recorded_s == pytest.approx(EXAM_S - gap.seconds, abs=0.3)
    assert camera.takes == 2


def test_nothing_was_fetched_while_the_exam_was_recorded(exam):
    assert exam.asked_during == 0


def test_by_hand_nothing_is_done_again(exam):
    asked = len(exam.nvr.asked)
    done = exam.run("backfill", "--window", exam.window, "--config", str(exam.path), "--json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert (body["schema"], [gap["state"] for gap in body["gaps"]]) == ("kaozheng/backfill/1", ["healed"])
    assert body["completeness"]["verdict"] == "incomplete_explained"
    assert len(exam.nvr.asked) == asked
    words = exam.run("backfill", "-w", exam.window, "--camera", CAMERA, "--config", str(exam.path))
    assert words.returncode == 0
    assert SOURCE in words.stdout
    with open_station(load_site(exam.path)).sessions() as session:
        assert len(session.scalars(select(BackfilledTake)).all()) == 1


def test_archive_and_export_verify_and_tell_it_apart(exam, tmp_path):
    archive = exam.run("verify", str(exam.path))
    assert archive.returncode == 0, archive.stdout
    since, until = (
        f"{exam.begins + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S+00:00}" for second in (1, 25)
    )
    bag = tmp_path / "bag"
    arguments = ("--from", since, "--to", until, "--reason", "复核", "--camera", CAMERA, "--out", str(bag))
    done = exam.run("export", "--room", ROOM, "--config", str(exam.path), *arguments)
    assert done.returncode == 0, done.stderr
    alone = subprocess.run(
        [sys.executable, "-I", "-S", str(bag / "verify.py"), str(bag)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert SOURCE in alone.stdout
    assert list((bag / "data" / "backfilled").rglob("seg-*.mp4"))


def test_a_moment_in_the_dark_is_found_and_is_not_called_recorded(exam):
    (gap,) = exam.completeness().cameras[0].gaps
    moment = gap.starts_at + timedelta(seconds=gap.seconds / 2)
    asked = ("find", "--room", ROOM, "--at", f"{moment:%Y-%m-%dT%H:%M:%S+00:00}", "--config", str(exam.path))
    found = exam.run(*asked, "--json")
    camera = next(one for one in json.loads(found.stdout)["cameras"] if one["camera"] == CAMERA)
    assert camera["at_moment"] == "backfilled"
    (holder,) = [one for one in camera["backfilled"] if one["offset_s"] is not None]
    assert (holder["source"], holder["time_source"]) == (SOURCE, "requested_range")
    assert (exam.path.parent / "archive" / holder["path"]).is_file()


def test_the_recorders_password_is_in_no_file(exam):
    files = [path for path in exam.path.parent.rglob("*") if path.is_file()]
    assert any("backfill-0001" in path.as_posix() for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def write_site(folder: Path, camera: RehearsalServer, nvr: RehearsalServer) -> Path:
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    data["rooms"][0]["cameras"] = data["rooms"][0]["cameras"][:1]
    form = "%Y%m%dT%H%M%SZ"
    data["rooms"][0]["cameras"][0] |= {
        "source": camera.url(MOUNT),
        "playback": {
            "name": SOURCE,
            "url": f"{nvr.url('/kept')}?starttime={{start:{form}}}&endtime={{end:{form}}}",
            "credential": "recorder",
            "padding_s": 2,
            "retry_s": 2,
        },
    }
    data["credentials"] = [{"id": "recorder", "username": "viewer", "password_env": "KAOZHENG_TEST_PASSWORD"}]
    data["recording"] = {"pre_roll_min": 0, "post_roll_min": 0, "segment_s": 5}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def states(station: Any) -> list[str]:
    with station.sessions() as session:
        return list(session.scalars(select(Backfill.state)))


def eventually(done: Callable[[], Any]) -> None:
    for _ in range(300):
        if done():
            return
        time.sleep(0.5)
    raise AssertionError("it did not happen")
