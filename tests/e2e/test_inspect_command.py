"""`kaozheng inspect` on a room of which one camera answers and the other has no such stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"


def test_a_room_is_inspected_and_the_missing_camera_is_named(need, tmp_path):
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    with RehearsalServer({"/good": PROJECT / "sample_media" / ROOM / "back-right.mp4"}) as server:
        data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
        for room in data["rooms"]:
            for camera in room["cameras"]:
                camera["source"] = server.url("/good")
                if camera["id"] == "front-left":
                    camera["source"] += "-not"
        path = tmp_path / "site.yaml"
        path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "kaozheng_service", "inspect", "-c", str(path), "--room", ROOM]
        command += ["--seconds", "5", "--out", str(tmp_path / "out"), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    (inspection,) = json.loads(done.stdout)["rooms"]
    cameras = {camera["camera"]: camera for camera in inspection["cameras"]}
    good, missing = cameras["back-right"], cameras["front-left"]
    assert good["ok"]
    assert (good["codec"], good["width"], good["height"]) == ("h264", 1920, 1080)
    assert good["fps"] == pytest.approx(25, abs=0.5)
    assert good["gop_s"] == pytest.approx(1, abs=0.1)
    assert not missing["ok"]
    assert missing["failure"] == "not_found"
    recordings = {camera["camera_id"]: camera for camera in inspection["recording"]["cameras"]}
    assert recordings["back-right"]["valid"]
    assert not recordings["front-left"]["valid"]
    assert inspection["outcome"] == "rejected"
    # What only the missing camera shows is not verified, and so never passed.
    for seat in inspection["coverage"]["seats"]:
        for part in seat["parts"]:
            if part["outcome"] == "pass":
                assert part["sights"][0]["camera"] == "back-right"
    (sheet,) = (tmp_path / "out").rglob("acceptance.pdf")
    assert sheet.read_bytes().startswith(b"%PDF-")
