"""A calibrated pose in the site file: what it changes, what it keeps, and when it no longer counts."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import CardFace
from kaozheng_coverage.pose import change_between, changed
from kaozheng_coverage.projection import project
from kaozheng_service.cli import app
from kaozheng_service.config.calibrated import CalibratedEntry, StatedPose
from kaozheng_service.config.geometry import room_cameras, stated_camera
from kaozheng_service.config.site import load_site
from kaozheng_service.config.site_edit import write_calibrations
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.calibration import (
    calibrate_camera,
    calibration_json,
    card_marks,
    desk_faces,
)
from kaozheng_vision.probe import ProbeResult
from kaozheng_vision.steady import steady_markers
from scipy.stats import chi2
from typer.testing import CliRunner

Frame = npt.NDArray[np.uint8]

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo"
ROOM = "9-101"
SD = np.array([0.012, 0.011, 0.009, 0.0012, 0.0009, 0.001, 0.0041])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    shutil.copytree(DEMO, tmp_path / "site")
    return tmp_path / "site" / "site.yaml"


def entry(path: Path, camera: str = "front-left", **other: object) -> CalibratedEntry:
    config = load_site(path).room(ROOM).camera(camera)
    facts = {
        "day": date(2024, 11, 20),
        "position": (0.31, 7.52, 2.87),
        "aim": (5.7, 2.5, 0.9),
        "roll": 0.8,
        "focal_px": 1040.5,
        "covariance": np.diag(SD**2).tolist(),
        "cards": 17,
        "rms_px": 0.31,
        "held_out_cm": 3.1,
        "stated": StatedPose(position=config.position, aim=config.aim, roll=config.roll),
    }
    return CalibratedEntry(**(facts | other))


def test_the_calibrated_pose_counts_and_the_stated_one_stays_in_the_file(site):
    before = load_site(site).room(ROOM)
    write_calibrations(site, ROOM, {"front-left": entry(site)})
    room = load_site(site).room(ROOM)
    camera, other = room_cameras(room)
    assert camera.position_m == (0.31, 7.52, 2.87)
    assert camera.aim_m == (5.7, 2.5, 0.9)
    assert (camera.roll_deg, camera.lens.focal_px) == (0.8, 1040.5)
    assert camera.aim_tolerance_deg == pytest.approx(math.degrees(2 * 0.0012))
    assert camera.lens.spread == pytest.approx(0.0041 * math.sqrt(12))
    assert camera.pose_covariance is not None
    assert np.diag(camera.pose_covariance) == pytest.approx(SD**2, rel=1e-4)
    assert stated_camera(room.cameras[0]) == room_cameras(before)[0]
    assert other == room_cameras(before)[1]


def test_only_the_lines_of_that_camera_are_added_and_every_remark_stays(site):
    text = site.read_text(encoding="utf-8").replace(
        "        position: [0.25, 7.55, 2.9]", "        position: [0.25, 7.55, 2.9]  # taped on Monday"
    )
    site.write_text(text + "# the end\n", encoding="utf-8")
    before = site.read_text(encoding="utf-8").splitlines()
    other = entry(site, "back-right", position=(9.31, 0.28, 2.9))
    write_calibrations(site, ROOM, {"back-right": other, "front-left": entry(site)})
    after = site.read_text(encoding="utf-8").splitlines()
    kept = iter(after)
    assert all(line in kept for line in before)  # in their order
    assert sum("calibrated:" in line for line in after) == 2
    assert after[-1] == "# the end"


def test_a_second_calibration_takes_the_place_of_the_first(site):
    write_calibrations(site, ROOM, {"front-left": entry(site)})
    once = site.read_text(encoding="utf-8")
    write_calibrations(site, ROOM, {"front-left": entry(site, cards=21)})
    assert site.read_text(encoding="utf-8") == once.replace("cards: 17", "cards: 21")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_of_windows_stay(site, ends, mark):
    text = site.read_text(encoding="utf-8").rstrip("\n")
    site.write_bytes((mark + text.replace("\n", ends)).encode())
    write_calibrations(site, ROOM, {"back-right": entry(site, "back-right")})
    written = site.read_bytes().decode()
    assert written.startswith(mark + "# A complete")
    assert written.replace(ends, "\n").count("\n") == written.count(ends)
    assert load_site(site).room(ROOM).camera("back-right").calibrated is not None


@pytest.mark.parametrize("last", ["}", ", }", "}  # in one line", "\n        }"])
def test_a_camera_in_one_line_is_extended_in_it(site, last):
    text = site.read_text(encoding="utf-8")
    begin = text.rindex("      - id: front-left")
    end = text.rindex("      - id: back-right")
    line = (
        "      - {id: front-left, source: 'rtsp://127.0.0.1:8554/9-101/front-left', position: [0.25, 7.55, 2.9], "
        f"aim: [5.6, 2.4, 0.9], lens: {{hfov: 106.4, vfov: 57.9, dfov: 124.6}}, resolution: [1920, 1080]{last}\n"
    )
    site.write_text(text[:begin] + line + text[end:], encoding="utf-8")
    for cards in (17, 18):
        write_calibrations(site, ROOM, {"front-left": entry(site, cards=cards)})
        found = load_site(site).room(ROOM).camera("front-left").calibrated
        assert found is not None
        assert found.cards == cards
    assert site.read_text(encoding="utf-8").count("calibrated:") == 1


def test_a_camera_that_is_an_alias_is_not_touched(site):
    text = site.read_text(encoding="utf-8")
    text = text.replace("      - id: back-right", "      - &shared\n        id: back-right", 1)
    begin = text.rindex("      - id: back-right")
    changed = text[:begin] + "      - *shared\n"
    changed = changed.replace("boundary: [[0, 0], [9.6, 0]", "boundary: [[0, 0], [12, 0]").replace(
        "[9.6, 7.8]", "[12, 7.8]"
    )
    site.write_text(changed, encoding="utf-8")
    before = site.read_bytes()
    with pytest.raises(UserError, match=r"site.yaml:\d+: .*YAML anchor.*write it out"):
        write_calibrations(site, ROOM, {"back-right": entry(site, "back-right")})
    assert site.read_bytes() == before


def test_an_alias_inside_a_camera_is_no_hindrance(site):
    text = site.read_text(encoding="utf-8")
    lens = "lens: {hfov: 106.4, vfov: 57.9, dfov: 124.6}"
    text = text.replace(lens, lens.replace("{", "&wide {"), 1).replace(lens, "lens: *wide")
    site.write_text(text, encoding="utf-8")
    write_calibrations(site, ROOM, {"back-right": entry(site, "back-right")})
    assert load_site(site).room(ROOM).camera("back-right").calibrated is not None
    assert site.read_text(encoding="utf-8").count("*wide") == text.count("*wide")


def test_a_pose_outside_the_room_is_refused_and_nothing_is_changed(site):
    before = site.read_bytes()
    with pytest.raises(UserError, match=r"site.yaml:\d+: .*outside the room"):
        write_calibrations(site, ROOM, {"front-left": entry(site, position=(-1.0, 7.5, 2.9))})
    assert site.read_bytes() == before
    assert [path.name for path in site.parent.iterdir() if "part" in path.name] == []


def test_a_link_stays_a_link_and_rights_stay(site):
    site.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(site, 1234, 1235)
    owner = (site.stat().st_uid, site.stat().st_gid)
    link = site.parent.parent / "link.yaml"
    link.symlink_to(site)
    write_calibrations(link, ROOM, {"front-left": entry(site)})
    assert link.is_symlink()
    assert site.stat().st_mode & 0o777 == 0o640
    assert (site.stat().st_uid, site.stat().st_gid) == owner
    assert "calibrated:" in site.read_text(encoding="utf-8")


def test_a_camera_that_was_moved_by_hand_must_be_calibrated_anew(site):
    write_calibrations(site, ROOM, {"front-left": entry(site)})
    text = site.read_text(encoding="utf-8")
    site.write_text(
        text.replace("        position: [0.25, 7.55, 2.9]", "        position: [0.5, 7.55, 2.9]"),
        encoding="utf-8",
    )
    with pytest.raises(UserError, match=r"rooms\[1\].cameras\[0\].*was changed since.*calibrate anew"):
        load_site(site)


def test_a_lens_that_was_changed_must_be_calibrated_anew(site):
    write_calibrations(site, ROOM, {"front-left": entry(site)})
    text, lens = site.read_text(encoding="utf-8"), "lens: {hfov: 106.4, vfov: 57.9, dfov: 124.6}"
    begin = text.index("  - id: 9-101")
    narrow = text[begin:].replace(lens, "lens: {hfov: 79.6, vfov: 43.5, dfov: 93.7}", 1)
    site.write_text(text[:begin] + narrow, encoding="utf-8")
    with pytest.raises(UserError, match=r"cameras\[0\].lens: .*lens was changed since"):
        load_site(site)


def test_numbers_that_are_no_covariance_are_refused(site):
    write_calibrations(site, ROOM, {"front-left": entry(site)})
    text = site.read_text(encoding="utf-8")
    changed = text.replace("- [0.000144, 0.0", "- [-0.000144, 0.0", 1)
    assert changed != text
    site.write_text(changed, encoding="utf-8")
    with pytest.raises(UserError, match=r"calibrated.covariance: is no covariance"):
        load_site(site)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.floats(1e-9, 1e-3), min_size=7, max_size=7),
    st.floats(0.3, 9.0),
    st.floats(-3.0, 3.0),
    st.integers(1, 300),
)
def test_whatever_was_found_is_read_back_as_it_was(tmp_path_factory, variances, x, roll, cards):
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DEMO, folder, dirs_exist_ok=True)
    path = folder / "site.yaml"
    mix = np.random.default_rng(cards).normal(size=(7, 7)) @ np.diag(np.sqrt(variances))
    given_ = entry(
        path,
        position=(x, 7.5, 2.9),
        roll=roll,
        cards=cards,
        covariance=(mix.T @ mix + np.diag(variances)).tolist(),
    )
    write_calibrations(path, ROOM, {"front-left": given_})
    found = load_site(path).room(ROOM).camera("front-left").calibrated
    assert found is not None
    assert found.position == pytest.approx(given_.position, abs=1e-4)
    assert found.roll == pytest.approx(given_.roll, abs=1e-3)
    assert np.array(found.covariance) == pytest.approx(np.array(given_.covariance), rel=1e-4)
    assert (
        yaml.safe_load(path.read_text(encoding="utf-8"))["rooms"][0]
        == yaml.safe_load((DEMO / "site.yaml").read_text(encoding="utf-8"))["rooms"][0]
    )


def seen_by(camera: Camera, faces: Mapping[int, CardFace], places: Mapping[int, int] | None = None) -> Frame:
    """A grey room with the cards that face the camera; ``places`` puts a marker where another's card should stand."""
    picture = np.full((2 * camera.lens.height_px, 2 * camera.lens.width_px), 120, np.uint8)
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
    for number in faces:
        stands = faces[(places or {}).get(number, number)]
        pixels = project(camera, stands.corners)
        sight = np.asarray(camera.position_m) - stands.corners.mean(axis=0)
        if sight @ stands.normal < 0.45 * np.linalg.norm(sight) or not camera.lens.inside(pixels).all():
            continue
        marker = cv2.aruco.generateImageMarker(dictionary, number, 160)
        sheet = cv2.copyMakeBorder(marker, 30, 30, 30, 30, cv2.BORDER_CONSTANT, value=255)
        # Drawn at twice the size; OpenCV counts from the middle of a pixel.
        corners = np.array([[29.5, 29.5], [189.5, 29.5], [189.5, 189.5], [29.5, 189.5]], np.float32)
        to_picture = cv2.getPerspectiveTransform(corners, (2 * pixels - 0.5).astype(np.float32))
        size = (picture.shape[1], picture.shape[0])
        drawn = cv2.warpPerspective(sheet, to_picture, size, flags=cv2.INTER_AREA)
        inside = cv2.warpPerspective(np.full_like(sheet, 255), to_picture, size) > 127
        picture[inside] = drawn[inside]
    half = cv2.resize(picture, (camera.lens.width_px, camera.lens.height_px), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(3).normal(0, 2, half.shape)
    grey = np.clip(half + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


OFF = np.array([0.06, -0.05, 0.04, math.radians(0.8), math.radians(-1.5), math.radians(0.7), 0.006])


@pytest.fixture(scope="module")
def knocked() -> tuple[Camera, Frame]:
    """Camera front-left of 9-101 some centimetres and degrees off, and what it sees with cards 02 and 06 swapped."""
    room = load_site(DEMO / "site.yaml").room(ROOM)
    true = changed(stated_camera(room.camera("front-left")), OFF)
    return true, seen_by(true, desk_faces(room), {2: 10, 10: 2})


@pytest.fixture
def filmed(site: Path, knocked: tuple[Camera, Frame]) -> Path:
    """The demo site whose camera front-left plays that picture, and back-right another's file that is not there."""
    clip = site.parent / "front-left.mp4"
    with av.open(clip, "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1920, 1080, "yuv420p", 5
        stream.options = {"preset": "ultrafast", "crf": "18"}
        frame = av.VideoFrame.from_ndarray(knocked[1], format="bgr24")
        for _ in range(12):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    text = site.read_text(encoding="utf-8")
    text = text.replace("rtsp://127.0.0.1:8554/9-101/front-left", clip.as_uri())
    text = text.replace("rtsp://127.0.0.1:8554/9-101/back-right", (site.parent / "none.mp4").as_uri())
    site.write_text(text, encoding="utf-8")
    return site


def calibrate(site: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(
        app, ["calibrate", "-r", ROOM, "-c", str(site), "--seconds", "1", "--json", *arguments]
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, json.loads(done.stdout)


def test_a_camera_is_calibrated_by_its_picture_and_written(filmed, knocked, tmp_path):
    code, body = calibrate(filmed, "--camera", "front-left", "--write", "--pictures", str(tmp_path / "seen"))
    assert (code, body["schema"], body["good"]) == (0, "kaozheng/calibration/1", True)
    (one,) = body["cameras"]
    assert (one["verdict"], one["written"]) == ("good", True)
    assert one["calibrated"]["printed"] == pytest.approx(
        1.0, abs=0.02
    )  # drawn as large as the site file says
    assert one["cards_seen"] == len(one["cards"]) >= 12
    # Swapped cards are named, as each stands at the other's place, and do not move the pose.
    assert {card["seat"] for card in one["cards"] if card["used"] == "elsewhere"} == {"02", "06"}
    true, room = knocked[0], load_site(filmed).room(ROOM)
    camera = room_cameras(room)[0]
    assert math.dist(camera.position_m, true.position_m) < 0.03
    off = change_between(camera, true)
    assert np.degrees(np.linalg.norm(off[3:6])) < 0.2
    assert abs(off[6]) < 0.01
    # Within three standard deviations by its own covariance, all seven numbers together (chi-squared, 7 of freedom).
    assert off @ np.linalg.solve(np.array(camera.pose_covariance), off) < chi2.ppf(0.997, 7)
    assert one["stated"]["position_m"] == list(stated_camera(room.cameras[0]).position_m)
    picture = cv2.imread(str(tmp_path / "seen" / "9-101-front-left-cards.jpg"))
    assert picture.shape == (1080, 1920, 3)
    assert (
        np.ptp(picture.astype(int), axis=2).max() > 100
    )  # outlines and arrows are coloured, the room is grey


def test_without_write_nothing_is_changed_and_a_camera_without_a_picture_is_no_pass(filmed):
    before = filmed.read_bytes()
    code, body = calibrate(filmed)
    assert (code, body["good"]) == (1, False)
    good, lost = body["cameras"]
    assert (good["verdict"], good["written"]) == ("good", False)
    assert (lost["verdict"], lost["cause"]) == ("cannot_judge", "no_picture")
    assert "no such file" in lost["reason"]
    assert filmed.read_bytes() == before


def test_a_picture_of_another_size_cannot_be_judged():
    entry_ = load_site(DEMO / "site.yaml").room(ROOM).camera("front-left")
    small = ProbeResult(
        width=1280, height=720, size_matches=False, frames=(np.zeros((720, 1280, 3), np.uint8),)
    )
    found = calibrate_camera(entry_, {}, small)
    assert not found.good
    assert "1280x720, the site file says 1920x1080" in found.problem


def test_an_empty_room_gives_no_pose(knocked):
    config = load_site(DEMO / "site.yaml").room(ROOM)
    empty = np.full((1080, 1920, 3), 120, np.uint8)
    probe = ProbeResult(width=1920, height=1080, size_matches=True, frames=(empty,))
    found = calibrate_camera(config.camera("front-left"), desk_faces(config), probe)
    assert not found.good
    assert found.result is not None
    assert found.result.camera is None
    assert "cards seen: 0" in found.result.reason


def test_cards_that_give_no_pose_are_counted_and_drawn_where_they_were_found(knocked):
    config = load_site(DEMO / "site.yaml").room(ROOM)
    one_corner = np.full_like(knocked[1], 120)
    one_corner[300:700, 500:900] = knocked[1][300:700, 500:900]
    probe = ProbeResult(width=1920, height=1080, size_matches=True, frames=(one_corner,))
    found = calibrate_camera(config.camera("front-left"), desk_faces(config), probe)
    assert found.result is not None
    assert found.result.camera is None
    assert calibration_json(ROOM, [found], [])["cameras"][0]["cards_seen"] == len(card_marks(found)) > 0


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["--room", "nowhere"], "it has 9-201, 9-101"),
        (["--room", ROOM, "--camera", "side"], "it has front-left, back-right"),
    ],
)
def test_bad_usage_says_the_mend(arguments, mend):
    done = CliRunner().invoke(app, ["calibrate", "-c", str(DEMO / "site.yaml"), *arguments])
    assert isinstance(done.exception, UserError)  # which end with 2: see test_commands
    assert mend in str(done.exception)


def steady(frames):
    return [one.marker for one in steady_markers(frames)]


def test_of_several_pictures_the_median_counts_and_two_cards_of_one_number_stay_two(knocked):
    crop = knocked[1][300:700, 500:900]
    once = {marker.id: marker for marker in steady([crop])}
    hidden = crop.copy()
    hidden[:, :200] = 90
    assert len(steady([hidden])) < len(once)
    again = {marker.id: marker for marker in steady([hidden, crop, crop])}
    assert again.keys() == once.keys()
    for number, marker in once.items():
        assert np.abs(again[number].corners_px - marker.corners_px).max() < 0.2
    number, marker = next(iter(once.items()))
    twins = np.concatenate([crop, crop], axis=1)
    assert [one.id for one in steady([twins, twins])].count(number) == 2
