"""`kaozheng cards-check` on the demo's rendered room: what its cameras show is what the model says that they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_coverage.verdict import Outcome
from kaozheng_service.cli.commands import app
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.walkthrough import (
    RoomWalk,
    passed,
    read_cards,
    walk_room,
    walk_sentences,
    walkthrough_json,
    write_walk_pictures,
)
from kaozheng_vision.failures import Failure
from kaozheng_vision.probe import ProbeResult, probe
from kaozheng_vision.source import Source
from kaozheng_vision.walkthrough_result import CameraState, Reading
from typer.testing import CliRunner

PROJECT = Path(__file__).resolve().parents[2]
MEDIA = PROJECT / "sample_media"
ROOM = "9-101"
# Rendered corners are within this of where the model puts them, in the middle; H.264 at 2 Mbit/s is in it.
MEDIAN_PX = 0.3


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(PROJECT / "configs" / "demo" / "site.yaml")


@pytest.fixture(scope="module")
def probes() -> dict[str, ProbeResult]:
    clips = sorted((MEDIA / ROOM).glob("*.mp4"))
    # One and a half seconds of a clip have two keyframes.
    return {clip.stem: probe(Source(clip.resolve().as_uri()), seconds=1.5) for clip in clips}


@pytest.fixture(scope="module")
def found(site: Site, probes: dict[str, ProbeResult]) -> RoomWalk:
    return read_cards(site.room(ROOM), probes, zones=False)


def test_every_card_that_the_model_is_sure_of_is_read(found: RoomWalk) -> None:
    sure = [one for one in found.walk.readings if one.sight.cause is None]
    assert len(sure) >= 5
    assert {one.reading for one in sure} == {Reading.SEEN}


def test_nothing_is_read_that_the_model_says_is_hidden_or_out_of_view(found: RoomWalk) -> None:
    assert not [one for one in found.walk.readings if one.refutes]
    assert found.walk.misplaced == found.walk.repeated == found.walk.strangers == ()


def test_cards_are_read_where_the_model_expects_them(found: RoomWalk) -> None:
    assert {one.state for one in found.walk.cameras} == {CameraState.AGREES}
    off = sorted(one.off_px for one in found.walk.readings if one.off_px is not None)
    assert len(off) >= 15
    assert off[len(off) // 2] < MEDIAN_PX
    assert all(one.turn_deg is not None and one.turn_deg < 0.05 for one in found.walk.cameras)


def test_what_nothing_proves_is_said_and_is_no_pass(found: RoomWalk) -> None:
    walk = found.walk
    read = {one.label for one in walk.readings if one.seen_px is not None}
    assert set(walk.unproven) == set(walk.labels) - read
    assert walk.outcome is (Outcome.UNDETERMINED if walk.unproven else Outcome.PASS)
    assert passed(found) is not bool(walk.unproven)
    sentences = walk_sentences(found)
    assert len(sentences) == bool(walk.unproven)
    assert all(label in sentences[0] for label in walk.unproven)


def test_the_json_says_all_of_it(found: RoomWalk) -> None:
    data = json.loads(json.dumps(walkthrough_json(found)))
    assert data["schema"] == "kaozheng/walkthrough/1"
    assert data["outcome"] == found.walk.outcome.value
    assert [one["camera"] for one in data["cameras"]] == ["front-left", "back-right"]
    assert len(data["cards"]) == 20
    read = [one for card in data["cards"] for one in card["cameras"] if one["reading"] == "seen"]
    assert all(len(one["corners_px"]) == 4 and one["pictures"] >= 1 for one in read)


def test_a_picture_of_each_camera_is_written(found: RoomWalk, tmp_path: Path) -> None:
    paths = write_walk_pictures(found, tmp_path / "pictures")
    assert [path.name for path in paths] == [f"{ROOM}-back-right-cards.jpg", f"{ROOM}-front-left-cards.jpg"]
    assert all(path.read_bytes().startswith(b"\xff\xd8") for path in paths)


def test_a_camera_that_fails_is_named_with_its_cause(site: Site, probes: dict[str, ProbeResult]) -> None:
    dead = ProbeResult(
        failure=Failure.REFUSED, message="10.0.0.9 refuses the connection; is its RTSP service on?"
    )
    found = read_cards(site.room(ROOM), {"front-left": probes["front-left"], "back-right": dead}, zones=False)
    assert found.walk.cameras[1].state is CameraState.NO_PICTURE
    assert any("refuses the connection" in one for one in walk_sentences(found))
    assert not passed(found)


def test_pictures_of_another_room_are_no_pass(site: Site, probes: dict[str, ProbeResult]) -> None:
    """The two cameras' cables changed."""
    swapped = {"front-left": probes["back-right"], "back-right": probes["front-left"]}
    found = read_cards(site.room(ROOM), swapped, zones=False)
    assert found.walk.outcome is Outcome.FAIL
    assert walk_sentences(found)


def test_a_room_without_cards_is_bad_input(site: Site) -> None:
    bare = site.room(ROOM).model_copy(update={"seats": None, "zones": []})
    with pytest.raises(UserError, match="no seats"):
        walk_room(site, bare)


def test_the_command_opens_the_cameras_and_says_what_is_read(tmp_path: Path) -> None:
    data: dict[str, Any] = yaml.safe_load((PROJECT / "configs/demo/site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    data.pop("timetable")
    (room,) = data["rooms"]
    for camera in room["cameras"]:
        camera["source"] = (MEDIA / ROOM / f"{camera['id']}.mp4").resolve().as_uri()
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    run = CliRunner().invoke(
        app, ["cards-check", "-c", str(path), "--room", ROOM, "--seconds", "1", "--seats-only", "--json"]
    )
    result = json.loads(run.stdout)
    assert run.exit_code == (0 if result["outcome"] == "pass" else 1)
    assert {one["state"] for one in result["cameras"]} == {"agrees"}


def test_an_unknown_room_is_bad_input(tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["cards-check", "-c", str(PROJECT / "configs/demo/site.yaml"), "--room", "nowhere"]
    )
    assert isinstance(run.exception, UserError)
