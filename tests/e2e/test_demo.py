"""`kaozheng demo`, as `make demo` runs it: everything in order, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_demo_runs_to_its_end_and_leaves_what_it_promises(tmp_path):
    out = tmp_path / "demo-out"
    done = demo("--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "real RTSP" in done.stdout or "looped files" in done.stdout
    assert "altered" in done.stdout
    assert (out / "acceptance.pdf").read_bytes().startswith(b"%PDF-")
    ElementTree.parse(out / "plan.svg")  # noqa: S314 - our own
    verdict = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    assert len(verdict["seats"]) == 30
    assert (out / "export" / "bagit.txt").is_file()
    assert list((out / "archive").rglob("seg-*.mp4"))
    verifier = [sys.executable, "-I", "-S", str(out / "export" / "verify.py")]
    assert subprocess.run(verifier, capture_output=True, check=False).returncode == 0


def test_the_demo_does_not_touch_a_folder_that_is_not_its_own(tmp_path):
    mine = tmp_path / "thesis.txt"
    mine.write_text("years of work", encoding="utf-8")
    refused = demo("--out", str(tmp_path))
    assert refused.returncode == 2
    assert mine.read_text(encoding="utf-8") == "years of work"
