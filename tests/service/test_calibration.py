"""A calibrated pose in the site file: what it changes, what it keeps, and when it no longer counts."""

from __future__ import annotations

import math
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_service.config.calibrated import CalibratedEntry, StatedPose
from kaozheng_service.config.geometry import room_cameras, stated_camera
from kaozheng_service.config.site import load_site
from kaozheng_service.config.site_edit import write_calibrations
from kaozheng_service.errors import UserError

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
    link = site.parent.parent / "link.yaml"
    link.symlink_to(site)
    write_calibrations(link, ROOM, {"front-left": entry(site)})
    assert link.is_symlink()
    assert site.stat().st_mode & 0o777 == 0o640
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
