"""The second copy: whole, read back, never in the way of recording; and a site that starts from it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Segment, Take
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.errors import UserError
from kaozheng_service.second.comparison import compare
from kaozheng_service.second.copier import Copier
from kaozheng_service.second.keeper import SecondKeeper, second_status
from kaozheng_service.second.target import Target, begin, target_of
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.metrics import Metrics
from sqlalchemy import select

ROOM = "9-101"


class Twice:
    """A site with two takes of five segments and a second disk; time passes as the test says."""

    def __init__(self, archive: Any, second: Path) -> None:
        self.archive = archive
        self.path = archive.station.site.folder / "site.yaml"
        self.rewrite(second={"path": str(second)})
        self.seconds = 0.0
        begins = now() - timedelta(minutes=2)
        self.window = archive.window(begins, begins + timedelta(seconds=10), room=ROOM, closed=False)
        for camera in ("front-left", "back-right"):
            archive.take(self.window, camera, begins, 5)
        archive.close(self.window)

    def rewrite(self, **storage: Any) -> None:
        site = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        site["storage"] |= storage
        self.path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")

    @property
    def station(self) -> Station:
        return open_station(load_site(self.path))

    @property
    def target(self) -> Target:
        return target_of(self.station.site)

    def begin(self) -> Copier:
        begin(self.target, self.station.sessions)
        return self.copier()

    def copier(self) -> Copier:
        station = self.station
        return Copier(self.target, station.sessions, station.log, clock=lambda: self.seconds)

    def until_done(self, copier: Copier) -> str:
        """Rounds until nothing is due at once; what is wrong then."""
        self.seconds += 1000
        while copier.round():
            pass
        return self.trouble()

    def trouble(self) -> str:
        status = second_status(self.target.state)
        assert status is not None
        return str(status["trouble"])

    def copied(self) -> int:
        with self.station.sessions() as session:
            return sum(one.copied_at is not None for one in session.scalars(select(Segment)))

    def records(self, kind: str) -> list[dict[str, Any]]:
        found = [json.loads(entry) for entry in self.station.log.entries()]
        return [one for one in found if one["kind"] == kind]

    def whole(self) -> None:
        """Both copies are as they were signed."""
        assert self.copied() == 10
        found = compare(self.station, self.target)
        assert (found.same, found.good) == (10, True), found
        assert verify_archive(self.station).outcome == "intact"
        assert not list(self.target.root.rglob("*.part"))


@pytest.fixture
def twice(small_archive: Any, tmp_path: Path) -> Twice:
    return Twice(small_archive, tmp_path / "second")


def test_all_of_a_take_is_copied_read_back_and_signed_once(twice: Twice) -> None:
    assert twice.until_done(twice.begin()) == ""
    twice.whole()
    assert twice.until_done(twice.copier()) == ""
    assert b"\nkaozheng_second_up 1.0\n" in Metrics(twice.station).text(now())
    signed = twice.records("take.copied")
    with twice.station.sessions() as session:
        last = {
            one.id: max(one.segments, key=lambda segment: segment.number).sha256
            for one in session.scalars(select(Take))
        }
    assert {one["take"]: one["last"] for one in signed} == last
    assert [one["segments"] for one in signed] == [5, 5]
    assert {one["copy"] for one in signed} == {twice.target.chosen["id"]}


def test_the_private_key_is_never_copied(twice: Twice) -> None:
    twice.until_done(twice.begin())
    names = {path.name for path in twice.target.root.rglob("*") if path.is_file()}
    assert "site.pub" in names
    assert "site.key" not in names
    private = (twice.station.state / "keys" / "site.key").read_bytes()
    for path in (twice.target.kept_state).rglob("*"):
        assert not path.is_file() or private not in path.read_bytes()


def test_after_the_archives_disk_died_the_site_starts_with_the_second_copy_as_its_archive(
    twice: Twice,
) -> None:
    twice.until_done(twice.begin())
    archive = twice.station.archive
    shutil.rmtree(archive)
    assert verify_archive(twice.station).outcome != "intact"
    twice.rewrite(archive=str(twice.target.footage), second=None)
    assert verify_archive(twice.station).outcome == "intact"


def test_after_everything_but_the_key_was_lost_the_site_starts_from_the_second_disk(
    twice: Twice, tmp_path: Path
) -> None:
    twice.until_done(twice.begin())
    target, key = target_of(twice.station.site), twice.station.state / "keys"
    shutil.copytree(key, tmp_path / "safe")
    shutil.rmtree(twice.station.archive)
    shutil.rmtree(twice.station.state)
    shutil.copytree(target.kept_state, tmp_path / "state-anew")
    shutil.copytree(tmp_path / "safe", tmp_path / "state-anew" / "keys")
    twice.rewrite(archive=str(target.footage), state="state-anew", second=None)
    found = verify_archive(twice.station)
    assert (found.outcome, found.segments) == ("intact", 10)
    assert len(twice.records("take.copied")) == 2


def test_nothing_is_written_before_the_disk_was_begun(twice: Twice) -> None:
    twice.target.root.mkdir()
    assert "not begun yet" in twice.until_done(twice.copier())
    assert not list(twice.target.root.iterdir())
    assert twice.copied() == 0


def test_another_disk_is_begun_with_everything_due_and_the_old_one_is_only_read_again(
    twice: Twice, tmp_path: Path
) -> None:
    copier = twice.begin()
    twice.until_done(copier)
    old, aside = twice.target.root, tmp_path / "aside"
    old.rename(aside)
    old.mkdir()
    assert "not mounted, or another disk" in twice.until_done(copier)
    assert not list(old.iterdir())
    begin(twice.target, twice.station.sessions)
    assert twice.until_done(copier) == ""
    twice.whole()
    shutil.rmtree(old)
    aside.rename(old)
    assert "another site or time" in twice.until_done(copier)
    times = {path: path.stat().st_mtime_ns for path in old.rglob("*.mp4")}
    begin(twice.target, twice.station.sessions)
    assert twice.until_done(copier) == ""
    twice.whole()
    assert {path: path.stat().st_mtime_ns for path in old.rglob("*.mp4")} == times


def test_a_first_copy_that_is_damaged_is_left_out_told_and_not_signed(twice: Twice) -> None:
    damaged = next(twice.station.archive.rglob("front-left/*/take-0001/seg-00003.mp4"))
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1] + b"?")
    copier = twice.begin()
    assert "seg-00003.mp4: not the file that was recorded" in twice.until_done(copier)
    assert twice.copied() == 9
    assert [one["camera"] for one in twice.records("take.copied")] == ["back-right"]
    damaged.write_bytes(good)
    assert twice.until_done(copier) == ""
    twice.whole()


def test_what_is_missing_or_changed_on_the_second_disk_is_found_and_copied_anew(twice: Twice) -> None:
    copier = twice.begin()
    twice.until_done(copier)
    one, other, *_ = sorted(twice.target.footage.rglob("*.mp4"))
    one.unlink()
    other.write_bytes(b"x" + other.read_bytes()[1:])
    (twice.target.kept_state / "log" / "entries.jsonl").write_bytes(b"{}\n")
    found = compare(twice.station, twice.target)
    assert [Path(name).name for name in found.missing] == [one.name]
    assert [Path(name).name for name in found.changed] == [other.name]
    assert len(found.state) == 2
    assert not found.good
    shutil.rmtree(twice.target.kept_state)
    assert twice.until_done(copier) == ""
    twice.whole()


def test_a_process_that_is_killed_again_and_again_leaves_whole_files_only(twice: Twice) -> None:
    begin(twice.target, twice.station.sessions)
    dice = random.Random(5)
    site = twice.station.site
    paths = (site.archive, site.state, twice.target.root)
    command = [sys.executable, "-m", "kaozheng_service.second.worker", site.id, *map(str, paths)]
    kills = 0
    while twice.copied() < 10 and kills < 40:
        worker = subprocess.Popen(command, stdin=subprocess.PIPE)
        before = twice.copied()
        until = time.monotonic() + 20
        while twice.copied() == before and not list(twice.target.root.rglob("*.part")):
            if time.monotonic() > until:
                break
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.05))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        kills += 1
        hashes = {one.path: one.sha256 for one in segments(twice)}
        for path in twice.target.footage.rglob("*.mp4"):
            name = path.relative_to(twice.target.footage).as_posix()
            assert digest(path) == hashes[name]
    assert kills
    assert twice.until_done(twice.copier()) == ""
    twice.whole()
    assert len(twice.records("take.copied")) == 2


def segments(twice: Twice) -> list[Segment]:
    with twice.station.sessions() as session:
        return list(session.scalars(select(Segment)))


def digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def plugged(
    small_archive: Any, tmp_path: Path, need: Callable[[bool, str], None]
) -> Iterator[tuple[Twice, Path]]:
    """The second disk is 1 MB of its own, mounted at ``second``."""
    need(os.geteuid() == 0, "root, to mount a small disk")
    point = tmp_path / "second"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(point)], check=True)
    yield Twice(small_archive, point), point
    subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)


def test_a_full_second_disk_is_told_and_what_waits_is_copied_once_there_is_room(
    plugged: tuple[Twice, Path],
) -> None:
    twice, point = plugged
    copier = twice.begin()
    assert "No space left on device" in twice.until_done(copier)
    assert 0 < twice.copied() < 10
    assert not list(point.rglob("*.part"))
    assert verify_archive(twice.station).outcome == "intact"
    subprocess.run(["mount", "-o", "remount,size=60m", str(point)], check=True)
    assert twice.until_done(copier) == ""
    twice.whole()


def test_a_read_only_second_disk_is_told_and_caught_up_with(plugged: tuple[Twice, Path]) -> None:
    twice, point = plugged
    copier = twice.begin()
    subprocess.run(["mount", "-o", "remount,ro,size=60m", str(point)], check=True)
    assert "Read-only file system" in twice.until_done(copier)
    assert twice.copied() == 0
    assert verify_archive(twice.station).outcome == "intact"
    subprocess.run(["mount", "-o", "remount,rw", str(point)], check=True)
    assert twice.until_done(copier) == ""
    twice.whole()


def test_a_second_disk_that_vanishes_leaves_an_empty_mount_point_that_is_not_written_to(
    plugged: tuple[Twice, Path], tmp_path: Path
) -> None:
    twice, point = plugged
    subprocess.run(["umount", str(point)], check=True)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(point)], check=True)
    pulled: list[int] = []

    def clock() -> float:
        """It is asked after each piece of a file; the disk is pulled in the middle of the fifth."""
        if not pulled and twice.copied() == 4 and list(point.rglob("*.part")):
            subprocess.run(["umount", "--lazy", str(point)], check=True)
            pulled.append(twice.copied())
        return twice.seconds

    begin(twice.target, twice.station.sessions)
    station = twice.station
    copier = Copier(twice.target, station.sessions, station.log, clock=clock)
    assert "not mounted" in twice.until_done(copier) or "No such file" in twice.trouble()
    assert pulled == [4] == [twice.copied()]
    assert "not mounted" in twice.until_done(copier)
    assert not [path for path in point.rglob("*") if path.is_file()]
    subprocess.run(["mount", "--bind", str(disk), str(point)], check=True)
    assert twice.until_done(copier) == ""
    twice.whole()


def test_a_daemon_keeps_the_copying_process_alive_and_hears_of_it(twice: Twice) -> None:
    begin(twice.target, twice.station.sessions)
    keeper = SecondKeeper(twice.station)
    keeper.start()
    try:
        wait_for(lambda: twice.copied() == 10)
        first = second_status(twice.target.state)
        assert first is not None
        os.kill(first["pid"], signal.SIGKILL)
        wait_for(lambda: (second_status(twice.target.state) or first)["pid"] != first["pid"])
        assert keeper.trouble() == ""
    finally:
        keeper.stop()
    (status,) = [second_status(twice.target.state)]
    assert status is not None
    status["at"] = "2024-11-23T01:00:00.000Z"
    (twice.target.state / "second-status.json").write_text(json.dumps(status), encoding="utf-8")
    late = SecondKeeper(twice.station)
    late._begun_at = now() - timedelta(minutes=5)
    assert "does not answer" in late.trouble()


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 40
    while not done():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_second_copy_inside_the_first_is_refused(twice: Twice) -> None:
    for path in ("archive", "archive/second", "state/second", "."):
        twice.rewrite(second={"path": path})
        with pytest.raises(UserError, match="another disk"):
            load_site(twice.path)


def test_the_command_begins_tells_and_verifies(twice: Twice) -> None:
    done = kaozheng("second", "-c", twice.path)
    assert done.returncode == 1
    assert "kaozheng second --begin" in done.stdout
    done = kaozheng("second", "--begin", "-c", twice.path)
    assert done.returncode == 0, done.stdout
    assert "lie on the same disk" in done.stdout
    twice.until_done(twice.copier())
    assert "0 files (0.0 GB) wait" in kaozheng("second", "-c", twice.path).stdout
    done = kaozheng("second", "--verify", "-c", twice.path)
    assert (done.returncode, "10 files read, 0 not copied yet" in done.stdout) == (0, True), done.stdout
    next(iter(twice.target.footage.rglob("*.mp4"))).unlink()
    done = kaozheng("second", "--verify", "--json", "-c", twice.path)
    assert done.returncode == 1
    body = json.loads(done.stdout)
    assert (body["schema"], len(body["compared"]["missing"])) == ("kaozheng/second/1", 1)


def kaozheng(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
