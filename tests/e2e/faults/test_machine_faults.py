"""What the machine itself does on exam day, one fault a test; ``docs/reliability.md`` names them."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.disputes.verify import verify_archive

pytestmark = pytest.mark.e2e

RECONNECT_S = 8 * 1.25 + 6


@pytest.fixture
def small_disk(need: Callable[[bool, str], None], tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB of its own."""
    need(os.geteuid() == 0, "root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take what is left of it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_disk_that_is_full_for_a_while_is_one_gap_and_nothing_is_damaged(
    make_day: Any, cameras: Any, small_disk: Path
) -> None:
    server = cameras("front", "back")
    day = make_day({one: server.url(f"/{one}") for one in ("front", "back")}, seconds=40, folder=small_disk)
    with day.served():
        since = day.wait(9)
        filler = fill(small_disk)
        until = day.wait(20)
        filler.unlink()
        day.until_closed()
    day.keeps()
    for camera in ("front", "back"):
        day.lost(camera, "disk_full", since=since, until=until, reconnect_s=RECONNECT_S)


def test_storage_that_cannot_be_written_is_named_and_recorded_on_once_it_can(
    make_day: Any, cameras: Any, small_disk: Path, steady: str
) -> None:
    server = cameras("front")
    day = make_day(
        {"front": server.url("/front")}, seconds=36, storage={"archive": str(small_disk / "archive")}
    )
    (small_disk / "archive").mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with day.served():
        until = day.wait(15)
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        day.until_closed()
    day.keeps()
    day.lost("front", "storage_failed", since=day.begins, until=until, reconnect_s=RECONNECT_S)


def test_a_database_that_another_holds_for_long_costs_nothing(make_day: Any, steady: str) -> None:
    day = make_day({"steady": steady}, seconds=30)
    with day.served():
        day.wait(5)
        with sqlite3.connect(day.folder / "state" / "kaozheng.sqlite") as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(15)
            other.rollback()
        day.until_closed()
    day.keeps("steady")
    assert len(day.takes("steady")) == 1


def test_two_daemons_on_one_site_and_the_second_is_told(make_day: Any, steady: str) -> None:
    day = make_day({"steady": steady}, seconds=16)
    with day.served():
        day.wait(2)
        second = day.start()
        assert second.wait(timeout=30) == 2
        assert second.poll() is not None
        day.until_closed()
    assert "another daemon records this site already" in day.said()
    day.keeps("steady")


def test_a_machine_that_lost_its_power_loses_what_was_not_on_the_disk_yet(make_day: Any, steady: str) -> None:
    dice = random.Random(11)
    day = make_day({"steady": steady}, seconds=36)
    with day.served() as service:
        since = day.wait(12)
        service.kill()
        os.kill(day.recorder("steady"), signal.SIGKILL)
        time.sleep(0.5)
        lose_unsynced_tail(day.folder, dice)
    time.sleep(3)
    with day.served():
        until = day.begins + timedelta(seconds=15.5)
        day.until_closed()
    day.keeps()
    # A growing file is synced every two seconds; so much is lost beside the group of pictures in the air.
    day.lost("steady", "service_not_running", since=since, until=until, reconnect_s=RECONNECT_S, before_s=4.5)


def lose_unsynced_tail(folder: Path, dice: random.Random) -> None:
    """What a power cut leaves: the open file without its last two seconds, torn; and another boot of the machine."""
    for path in (folder / "archive").rglob("open-*.mp4"):
        size = path.stat().st_size
        os.truncate(path, max(size - dice.randrange(300_000, 500_000), 2000))
    for path in (folder / "archive").rglob("take.json"):
        body = json.loads(path.read_text(encoding="utf-8"))
        body["child"]["boot"] = "00000000-0000-0000-0000-000000000000"
        path.write_text(json.dumps(body), encoding="utf-8")


@pytest.fixture
def clock(need: Callable[[bool, str], None], tmp_path: Path) -> Callable[[float], None]:
    """``clock(seconds)`` steps the daemon's wall clock to so far from the true one."""
    need(shutil.which("cc") is not None, "a C compiler: apt install gcc libc6-dev")
    source = Path(__file__).with_name("clock_shim.c")
    shim = tmp_path / "clock_shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True)

    def step(seconds: float) -> None:
        text = f"{time.time():.6f} {seconds:.6f}\n"
        partial = tmp_path / "clock.part"
        partial.write_text(text, encoding="utf-8")
        partial.replace(tmp_path / "clock")

    return step


def test_a_clock_that_is_set_drops_no_frame_and_restarts_no_recorder(
    make_day: Any, cameras: Any, clock: Callable[[float], None], tmp_path: Path
) -> None:
    server = cameras("front")
    day = make_day({"front": server.url("/front")}, seconds=44)
    day.environment |= {
        "LD_PRELOAD": str(tmp_path / "clock_shim.so"),
        "CLOCK_FILE": str(tmp_path / "clock"),
    }
    with day.served():
        day.wait(10)
        clock(+5.0)
        day.wait(24)
        clock(0.0)
        day.until_closed()
    assert verify_archive(day.station()).outcome == "intact"
    (take,) = day.takes("front")
    steps = [segment.step_s for segment in day.segments("front") if segment.step_s]
    assert [round(step) for step in steps] == [5, -5]
    # By the clock that nobody sets, they follow each other without a break.
    segments = day.segments("front")
    segments.sort(key=lambda one: one.number)
    for one, after in pairwise(segments):
        apart_s = after.boot_s - one.boot_s
        assert apart_s == pytest.approx(one.last_pts_s - one.first_pts_s + 0.04, abs=0.2)
    assert sum(segment.frames for segment in day.segments("front")) >= 25 * 43
    assert take.end_cause == "window_ended"
    (gap,) = day.camera("front").gaps
    assert gap.cause == "clock_step"
    assert gap.seconds == pytest.approx(5, abs=0.7)


def test_a_clock_that_is_set_before_the_first_file_is_closed_is_the_cause_of_what_is_missing(
    make_day: Any, cameras: Any, clock: Callable[[float], None], tmp_path: Path
) -> None:
    server = cameras("front")
    day = make_day({"front": server.url("/front")}, seconds=20, lead_s=80, segment_s=300)
    day.environment |= {
        "LD_PRELOAD": str(tmp_path / "clock_shim.so"),
        "CLOCK_FILE": str(tmp_path / "clock"),
    }
    with day.served():
        day.wait(-3)
        clock(+10.0)
        day.until_closed()
    day.keeps()
    (take,) = day.takes("front")
    assert take.end_cause == "window_ended"
    assert [segment.step_s for segment in day.segments("front")] == [0.0] * len(day.segments("front"))
    (gap,) = day.camera("front").gaps
    assert (gap.cause, gap.starts_at) == ("clock_step", day.begins)
    assert gap.detail == "our clock was set by +10.0 s"


def test_forty_cameras_at_once(make_day: Any, cameras: Any) -> None:
    ids = [f"camera-{number:02d}" for number in range(40)]
    server = cameras(*ids)
    day = make_day({one: server.url(f"/{one}") for one in ids}, seconds=30, lead_s=25)
    with day.served():
        day.until_closed()
    day.keeps(*ids)
    assert all(len(day.takes(one)) == 1 for one in ids)


def test_a_damaged_database_is_put_aside_and_made_anew_from_the_log(make_day: Any, cameras: Any) -> None:
    server = cameras("front", "back")
    day = make_day({one: server.url(f"/{one}") for one in ("front", "back")}, seconds=40)
    with day.served() as service:
        day.wait(14)
        # As a bad disk does it: the file is broken under the process that has it open.
        with (day.folder / "state" / "kaozheng.sqlite").open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        (day.folder / "state" / "kaozheng.sqlite-wal").write_bytes(b"")
        assert service.wait(timeout=30) == 70
    with day.served():
        day.until_closed()
    day.keeps("front", "back")
    assert [len(day.takes(one)) for one in ("front", "back")] == [1, 1]
    assert list((day.folder / "state").glob("kaozheng.sqlite.damaged-*"))
