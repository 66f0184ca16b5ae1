"""A second disk that is full, read-only, gone, and a copying process that is killed: recording is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.database import Alarm, Segment
from kaozheng_service.second.comparison import compare
from kaozheng_service.second.keeper import second_status
from kaozheng_service.second.target import begin, target_of
from sqlalchemy import select

pytestmark = pytest.mark.e2e


@pytest.fixture
def plug(need: Callable[[bool, str], None], tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """``plug("in")`` mounts a disk of 60 MB at the same place each time, ``plug("out")`` takes it away."""
    need(os.geteuid() == 0, "root, to mount a small disk")
    disk, point = tmp_path / "disk", tmp_path / "second"
    disk.mkdir()
    point.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk))

    def plug(how: str) -> Path:
        if how == "in":
            run("mount", "--bind", str(disk), str(point))
        else:
            run("umount", "--lazy", str(point))
        return point

    yield plug
    subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)
    run("umount", "--lazy", str(disk))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def test_a_second_disk_with_every_fault_costs_no_frame_and_catches_up(
    make_day: Any, steady: str, plug: Callable[..., Path]
) -> None:
    point = plug("in")
    day = make_day({"steady": steady}, seconds=52, storage={"second": {"path": str(point)}})
    station = day.station()
    target = target_of(station.site)
    begin(target, station.sessions)
    filler = point / "filler"
    with day.served():
        day.wait(4)
        fill(filler)
        day.wait(16)
        assert "No space left" in second_status(target.state)["trouble"]
        filler.unlink()
        run("mount", "-o", "remount,bind,ro", str(point))
        day.wait(28)
        assert "Read-only" in second_status(target.state)["trouble"]
        plug("out")
        day.wait(44)
        assert "not mounted" in second_status(target.state)["trouble"]
        assert not list(point.iterdir())
        plug("in")
        os.kill(second_status(target.state)["pid"], signal.SIGKILL)
        day.until_closed()
        for _ in range(120):
            if second_status(target.state)["waiting"] == 0 and not lasting(day):
                break
            time.sleep(0.5)
    day.keeps("steady")
    assert len(day.takes("steady")) == 1
    with day.station().sessions() as session:
        assert all(one.copied_at is not None for one in session.scalars(select(Segment)))
        alarms = [one for one in session.scalars(select(Alarm)) if one.kind == "second_target"]
    assert [one.ended for one in alarms] == ["clear"]
    found = compare(day.station(), target)
    assert (found.good, found.waiting) == (True, 0), found


def fill(filler: Path) -> None:
    """Take what is left of the disk."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def lasting(day: Any) -> bool:
    with day.station().sessions() as session:
        query = select(Alarm).where(Alarm.kind == "second_target", Alarm.cleared_at.is_(None))
        return session.scalars(query).first() is not None
