"""A bit that turned round on one disk is found by the service's own round, and mended from the other; both ways."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.cli import app
from kaozheng_service.clock import now
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.second.comparison import compare
from kaozheng_service.second.copier import Copier
from kaozheng_service.second.target import Target, begin, target_of
from kaozheng_service.verification.keeper import VerificationKeeper
from kaozheng_service.verification.rounds import Verifier, verification_status
from kaozheng_service.web.status import station_status
from typer.testing import CliRunner

FAST = {"limit_mb_s": 10_000.0}


@pytest.fixture
def twice(days: Any, tmp_path: Path) -> Any:
    """All of it on a second disk too."""
    days.write(storage={"second": {"path": str(tmp_path / "second")}}, verification=FAST)
    station, target = days.station, target_of(days.station.site)
    begin(target, station.sessions)
    copier = Copier(target, station.sessions, station.log)
    while copier.round():
        pass
    assert compare(station, target).good
    return days


def target(days: Any) -> Target:
    return target_of(days.station.site)


def records(days: Any, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(entry) for entry in days.station.log.entries()]
    return [one for one in found if one["kind"] == kind]


def damage(days: Any) -> str:
    return VerificationKeeper(days.station).damage()


@pytest.mark.parametrize("copy", ["first", "second"])
def test_a_turned_bit_is_repaired_from_the_other_copy_and_the_damaged_file_is_kept(
    twice: Any, copy: str
) -> None:
    folder = twice.station.archive if copy == "first" else target(twice).footage
    file = twice.file(twice.whole, "front-left", 2, folder)
    good = twice.flip(file)
    bad = file.read_bytes()
    done = Verifier(twice.station).round()
    assert file.read_bytes() == good
    assert (done.files, done.second_files, done.damaged, done.repaired) == (11, 11, 1, 1)
    (damaged,), (repaired,) = records(twice, "file.damaged"), records(twice, "file.repaired")
    path = file.relative_to(folder).as_posix()
    assert (damaged["path"], damaged["copy"], damaged["fault"]) == (path, copy, "changed")
    assert damaged["sha256"] != damaged["found"]
    assert (repaired["path"], repaired["copy"], repaired["source"]) == (
        path,
        copy,
        "second" if copy == "first" else "first",
    )
    assert json.loads(twice.station.log.entry(repaired["damaged"])) == damaged
    assert (folder / repaired["aside"]).read_bytes() == bad
    assert repaired["aside"].startswith("quarantine/")
    (signed,) = records(twice, "verification.done")
    assert (signed["damaged"], signed["repaired"], signed["files"]) == (1, 1, 11)
    assert "已用另一份修复" in damage(twice)
    assert verify_archive(twice.station, scope=None).outcome == "cannot_judge"  # the hole, and nothing else
    assert compare(twice.station, target(twice)).good
    assert not list(folder.rglob("*.part"))


def test_a_missing_file_comes_back_but_nothing_is_written_where_a_whole_folder_is_gone(twice: Any) -> None:
    file = twice.file(twice.whole, "front-left", 3)
    good = file.read_bytes()
    file.unlink()
    Verifier(twice.station).round()
    assert file.read_bytes() == good
    assert records(twice, "file.repaired")[0]["aside"] == ""
    shutil.rmtree(file.parent)
    done = Verifier(twice.station).round()
    assert not file.parent.exists()
    assert "文件缺失" in done.altered
    assert "文件缺失" in damage(twice)


def test_what_neither_copy_has_right_stays_told_until_it_is_put_back(twice: Any) -> None:
    first = twice.file(twice.whole, "front-left", 1)
    second = twice.file(twice.whole, "front-left", 1, target(twice).footage)
    good = twice.flip(first)
    twice.flip(second, at=900)
    verifier = Verifier(twice.station)
    assert verifier.round().repaired == 0
    assert "2 个文件与签名记录不符" in damage(twice)
    assert len(records(twice, "file.damaged")) == 2
    verifier.round()
    assert len(records(twice, "file.damaged")) == 2
    first.write_bytes(good)
    Verifier(twice.station).try_again()
    assert second.read_bytes() == good
    assert {one["copy"]: one["source"] for one in records(twice, "file.repaired")} == {
        "first": "",
        "second": "first",
    }
    assert "尚未修复" not in damage(twice)


def test_without_a_second_copy_damage_is_signed_and_told(days: Any) -> None:
    days.write(verification=FAST)
    days.flip(days.file(days.explained, "front-left", 1))
    done = Verifier(days.station).round()
    assert (done.outcome, done.damaged, done.repaired, done.second_files) == ("altered", 1, 0, None)
    assert "尚未修复" in damage(days)
    shown = station_status(days.station)["verification"]
    assert (shown["damaged"], shown["last"]["files"]) == (1, 11)


def test_an_unplugged_second_disk_has_not_lost_its_files(twice: Any) -> None:
    root = target(twice).root
    root.rename(root.with_name("unplugged"))
    root.mkdir()
    assert Verifier(twice.station).round().second_files is None
    assert records(twice, "file.damaged") == []


def test_a_crash_between_repair_and_record_is_made_up_for(
    twice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = twice.file(twice.whole, "front-left", 2)
    good = twice.flip(file)

    def die(*_words: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kaozheng_service.verification.repair.append_once", die)
        with pytest.raises(KeyboardInterrupt):
            Verifier(twice.station).round()
    assert file.read_bytes() == good
    assert records(twice, "file.repaired") == []
    Verifier(twice.station).round()
    (repaired,) = records(twice, "file.repaired")
    assert (repaired["source"], (twice.station.archive / repaired["aside"]).exists()) == ("second", True)


def test_by_command_too(twice: Any) -> None:
    file = twice.file(twice.whole, "front-left", 2)
    good = twice.flip(file)
    words = ["verify", str(twice.path), "--window", twice.whole]
    assert CliRunner().invoke(app, words).exit_code == 1
    assert file.read_bytes() != good
    mended = CliRunner().invoke(app, [*words, "--repair"])
    assert mended.exit_code == 0
    assert "已用另一份修复" in mended.stdout
    assert file.read_bytes() == good


def test_a_round_is_due_when_the_last_one_began_long_enough_ago(days: Any) -> None:
    days.write(verification=FAST | {"every_days": 7})
    verifier = Verifier(days.station)
    assert verifier.due(now())
    done = verifier.round()
    again = Verifier(days.station)
    assert not again.due(done.begun_at + timedelta(days=6))
    assert again.due(done.begun_at + timedelta(days=7))
    days.write(verification={"every_days": None})
    assert not Verifier(days.station).due(now() + timedelta(days=400))


def test_while_something_is_recorded_a_round_reads_at_a_quarter_of_its_rate(days: Any) -> None:
    def seconds(*, busy: bool) -> float:
        present = [0.0]

        def sleep(by_s: float) -> None:
            present[0] += by_s

        days.write(verification={"limit_mb_s": 0.1})
        verifier = Verifier(days.station, busy=lambda: busy, clock=lambda: present[0], sleep=sleep)
        verifier.round()
        return present[0]

    assert seconds(busy=True) == pytest.approx(4 * seconds(busy=False))


def test_the_daemons_process_does_a_round_by_itself_and_goes_on_when_killed(twice: Any) -> None:
    file = twice.file(twice.whole, "front-left", 4)
    good = twice.flip(file)
    twice.write(verification={"limit_mb_s": 0.5})
    keeper = VerificationKeeper(twice.station, settle_s=0)
    keeper.start()
    try:
        first = wait(twice, lambda status: bool(status.get("begun_at")))
        os.kill(first["pid"], signal.SIGKILL)
        last = wait(twice, lambda status: status.get("last") is not None and status["pid"] != first["pid"])
    finally:
        keeper.stop()
    assert (last["last"]["repaired"], last["last"]["begun_at"]) == (1, first["begun_at"])
    assert file.read_bytes() == good
    assert keeper.trouble() == ""


def wait(days: Any, condition: Any) -> dict[str, Any]:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        status = verification_status(days.station.state) or {}
        if condition(status):
            return status
        time.sleep(0.05)
    raise AssertionError(f"never came: {status}")


def test_a_process_that_cannot_go_on_is_told(days: Any) -> None:
    days.write(verification=FAST)
    station = days.station
    site = station.site.model_dump_json(by_alias=True, exclude_unset=True)
    (station.state / "verification").mkdir(exist_ok=True)
    (station.state / "verification" / "damage.json").write_text("{", encoding="utf-8")
    command = [sys.executable, "-m", "kaozheng_service.verification.worker", str(station.site.folder)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert worker.stdin is not None
    worker.stdin.write(site + "\n")
    worker.stdin.flush()
    try:
        until = time.monotonic() + 60
        keeper = VerificationKeeper(station)
        while "damage.json" not in keeper.trouble() and time.monotonic() < until:
            time.sleep(0.1)
        assert "damage.json: cannot be read" in keeper.trouble()
    finally:
        worker.kill()
        worker.wait()
