"""The command line: exit codes, and errors that say what to do, without a traceback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    shutil.copytree(DEMO, tmp_path / "site")
    return tmp_path / "site" / "site.yaml"


def kaozheng(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that ends with 2 says."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_room_that_fails_ends_with_1_and_gives_its_verdict(site):
    done = kaozheng("coverage", "9-201", "-c", site, "--json")
    assert done.returncode == 1
    assert '"schema": "kaozheng/coverage/1"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["coverage", "9-999"], "it has 9-201, 9-101"),
        (["record", "--room", "9-201", "--for", "soon"], "write it as 40s, 15m or 2h"),
        (["find", "--room", "9-201", "--at", "9点"], "write it as"),
        (["find", "--room", "9-201", "--at", "09:00", "--seat", "99"], "did you mean"),
        (["inspect", "--room", "nowhere"], "it has 9-201, 9-101"),
    ],
)
def test_bad_usage_ends_with_2_and_says_the_mend(site, arguments, mend):
    assert mend in refused(kaozheng(*arguments, "-c", site))


def test_a_file_that_is_no_site_file_is_not_repeated(tmp_path):
    path = tmp_path / "secrets.txt"
    path.write_text("hunter2", encoding="utf-8")
    said = refused(kaozheng("verify", path))
    assert "holds no fields" in said
    assert "hunter2" not in said


def test_an_address_that_is_taken_is_said_before_anything_is_begun(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(kaozheng("serve", "-c", site, "--port", taken.getsockname()[1]))
    assert "--port" in said
    assert not (site.parent / "state").exists()


def test_a_timetable_with_an_unknown_room_is_refused_with_its_line(site):
    table = site.parent / "timetable.csv"
    table.write_text(table.read_text(encoding="utf-8-sig").replace("9号楼101", "9号楼X", 1), encoding="utf-8")
    said = refused(kaozheng("serve", "-c", site, "--port", "0"))
    assert "timetable.csv:4: 地点" in said
