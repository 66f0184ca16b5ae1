"""The demo site, accepted as it is; then one camera is turned by 2 degrees and another covered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from kaozheng_service.config.geometry import room_cameras
from kaozheng_service.config.site import load_site

PROJECT = Path(__file__).resolve().parents[2]
ROOM, TURNED, COVERED = "9-101", "front-left", "back-right"


@pytest.mark.e2e
def test_an_inspection_names_exactly_the_turned_and_the_covered_camera(
    tmp_path: Path, spoilt_clips: ModuleType
) -> None:
    clips = {camera: PROJECT / "sample_media" / ROOM / f"{camera}.mp4" for camera in (TURNED, COVERED)}
    site = write_site(tmp_path / "site.yaml", clips)

    first = inspect(site)
    assert compared(first) == {TURNED: False, COVERED: False}
    assert run("reference", "accept", "--config", str(site), "--room", ROOM).returncode == 0
    again = inspect(site)
    assert compared(again) == {TURNED: True, COVERED: True}
    assert faults(again) == {TURNED: [], COVERED: []}

    camera = next(one for one in room_cameras(load_site(site).room(ROOM)) if one.id == TURNED)
    turned = spoilt_clips.spoil_clip(
        clips[TURNED], tmp_path / "turned.mp4", spoilt_clips.turned(camera, 2.0), every=2
    )
    covered = spoilt_clips.spoil_clip(
        clips[COVERED], tmp_path / "covered.mp4", spoilt_clips.covered(0.6), every=2
    )
    write_site(site, {TURNED: turned, COVERED: covered})
    spoilt_room = inspect(site)
    assert faults(spoilt_room) == {TURNED: ["moved"], COVERED: ["covered"]}
    assert spoilt_room["outcome"] == "rejected"
    turn = next(one for one in spoilt_room["cameras"] if one["camera"] == TURNED)["turned"]
    assert turn["pan_deg"] == pytest.approx(2.0, abs=0.1)
    # The desk cards say it too, without any accepted view.
    cards = {"as accepted": states(again), "spoilt": states(spoilt_room)}
    assert cards["as accepted"][TURNED] == "agrees"
    assert cards["spoilt"][TURNED] == "turned"
    assert any(f"{TURNED}：桌签整体偏2.1°" in reason for reason in spoilt_room["reasons"])
    # What only the covered camera saw is not verified any more, and nothing passes on its word.
    passed = {"first": passing(again), "spoilt": passing(spoilt_room)}
    assert passed["spoilt"] < passed["first"]


def write_site(path: Path, clips: dict[str, Path]) -> Path:
    """The demo site's room with these clips for cameras."""
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    del data["timetable"]
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        camera["source"] = clips[camera["id"]].as_uri()
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def inspect(site: Path) -> dict[str, Any]:
    out = str(site.parent / "inspection")
    done = run(
        "inspect", "--config", str(site), "--room", ROOM, "--seconds", "3", "--out", out, "--cards", "--json"
    )
    assert done.returncode in (0, 1), done.stderr
    (result,) = json.loads(done.stdout)["rooms"]
    return dict(result)


def faults(result: dict[str, Any]) -> dict[str, list[str]]:
    return {
        camera["camera"]: [one["fault"] for one in camera["diagnosis"] if one["judgement"] == "fault"]
        for camera in result["cameras"]
    }


def compared(result: dict[str, Any]) -> dict[str, bool]:
    return {
        camera["camera"]: all(one["judgement"] != "not_compared" for one in camera["diagnosis"])
        for camera in result["cameras"]
    }


def states(result: dict[str, Any]) -> dict[str, str]:
    """What the desk cards say of each camera."""
    return {camera["camera"]: camera["state"] for camera in result["cards"]["cameras"]}


def passing(result: dict[str, Any]) -> set[str]:
    coverage = result["coverage"]
    return {one["id"] for one in [*coverage["seats"], *coverage["zones"]] if one["outcome"] == "pass"}
