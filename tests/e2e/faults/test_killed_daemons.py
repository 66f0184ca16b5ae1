"""A daemon that is killed at any step of its work, again and again, loses no frame."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.disputes.verify import verify_archive

pytestmark = pytest.mark.e2e

KILLS = 200
SCRIPT = Path(__file__).with_name("killed_daemons.py")


def test_two_hundred_killed_daemons_lose_no_frame_and_sign_nothing_twice(
    make_day: Any, steady: str, tmp_path: Path
) -> None:
    clips = sorted(Path(steady.removeprefix("file://")).parent.glob("*.mp4"))
    victim = shutil.copy(clips[0], tmp_path / "victim.mp4")
    day = make_day(
        {"kept": clips[0].as_uri(), "also": clips[1].as_uri(), "victim": victim.as_uri()},
        seconds=100,
        lead_s=20,
        segment_s=1,
    )
    command = [sys.executable, str(SCRIPT), str(day.path), str(KILLS), "4712", "victim"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["killed"] == KILLS
    # Killed in the middle of everything that there is to be in the middle of.
    assert {"open", "os.rename", "fcntl.flock", "fsync", "statement", "commit"} <= found["at"].keys()

    day.keeps("kept", "also")
    for camera in ("kept", "also"):
        (take,) = day.takes(camera)
        numbers = [segment.number for segment in day.segments(camera)]
        assert numbers == list(range(1, len(numbers) + 1)), take
    gaps = day.camera("victim").gaps
    assert {gap.cause for gap in gaps} <= {"recorder_died", "late_start"}
    assert gaps
    report = verify_archive(day.station())
    assert [finding for finding in report.findings if finding.severity != "note"] == []
