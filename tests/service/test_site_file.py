"""The site file: what is accepted, and how every fault names file, line, field and the mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kaozheng_service.cli.commands import app
from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.config.site import load_room, load_site
from kaozheng_service.errors import UserError
from typer.testing import CliRunner

PROJECT = Path(__file__).resolve().parents[2]
DEMO = PROJECT / "configs" / "demo" / "site.yaml"
TEXT = DEMO.read_text(encoding="utf-8")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The demo site with the first ``old`` replaced by ``new``."""
    assert old in TEXT
    path = tmp_path / "site.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return path


def line_of(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_the_demo_site_loads():
    site = load_site(DEMO)
    assert [room.id for room in site.rooms] == ["9-201", "9-101"]
    geometry = room_geometry(site.room("9号楼201"))
    assert [seat.number for seat in geometry.seats] == [f"{number:02d}" for number in range(1, 31)]
    assert len(room_cameras(site.room("9-201"))) == 4


@pytest.mark.parametrize(
    ("old", "new", "field", "mend"),
    [
        ("height: 3.2", "hieght: 3.2", "rooms[0].hieght", "check the spelling"),
        ("height: 3.2", "", "rooms[0].height", "is missing; add it"),
        ("height: 3.2", "height: -1", "rooms[0].height", "greater than 0"),
        ("timezone: Asia/Shanghai", "timezone: Shanghai", "timezone", "IANA time zone"),
        ("id: back-right", "id: front-left", "rooms[0]", "given 2 times"),
        ("building: building-9", "building: building-8", "rooms[0].building", "no building 'building-8'"),
        ("profile: theory", "profile: theroy", "rooms[0].profile", "theory"),
        ("position: [0.25, 8.15, 2.9]", "position: [99, 8.15, 2.9]", "rooms[0]", "outside"),
    ],
)
def test_a_fault_names_file_line_field_and_mend(tmp_path, old, new, field, mend):
    path = changed(tmp_path, old, new)
    with pytest.raises(UserError) as caught:
        load_site(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert f": {field}" in message
    assert mend in message


def test_the_line_is_that_of_the_field(tmp_path):
    path = changed(tmp_path, "height: 3.2", "height: wide")
    with pytest.raises(UserError, match=f"{path}:{line_of(path, 'height: wide')}: "):
        load_site(path)


def test_all_faults_are_told_at_once(tmp_path):
    path = changed(tmp_path, "height: 3.2", "height: 0\n    colour: red")
    with pytest.raises(UserError) as caught:
        load_site(path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_key_given_twice_is_refused(tmp_path):
    path = changed(tmp_path, "height: 3.2", "height: 3.2\n    height: 3.4")
    with pytest.raises(UserError, match="given twice; keep one"):
        load_site(path)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path):
    path = changed(tmp_path, "rtsp://127.0.0.1:8554/9-201/front-left", "rtsp://admin:Geheim99@10.0.0.2/1")
    with pytest.raises(UserError) as caught:
        load_site(path)
    assert "Geheim99" not in str(caught.value)


def test_broken_yaml_is_told_with_its_line(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("schema: kaozheng/site/1\nrooms: [\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"site\.yaml:\d+: not valid YAML"):
        load_site(path)


def test_the_schema_is_json_schema_of_every_field():
    shown = CliRunner().invoke(app, ["schema"])
    schema = json.loads(shown.stdout)
    assert {"id", "rooms", "storage", "timezone"} <= schema["properties"].keys()
    assert "CameraConfig" in schema["$defs"]


def test_a_room_file_of_its_own_is_read(need):
    path = PROJECT.parent / "shared" / "cases" / "room-9-201.yaml"
    need(path.is_file(), "the shared cases beside the project")
    room = load_room(path)
    assert len(room_geometry(room).seats) == 30
    assert len(room_geometry(room).zones) == 3


CALIBRATION = (
    "lens: {calibration: {model: brown-conrady, fx: 1010, fy: 1008, cx: 960, cy: 540, "
    "coefficients: [-0.3, 0.1]}}"
)


def with_lens(tmp_path: Path, lens: str) -> Path:
    text = DEMO.read_text(encoding="utf-8").replace("lens: {hfov: 106.4, vfov: 57.9, dfov: 124.6}", lens, 1)
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_camera_can_be_given_its_calibration(tmp_path: Path) -> None:
    site = load_site(with_lens(tmp_path, CALIBRATION))
    lens = room_cameras(site.rooms[0])[0].lens
    assert (lens.model.value, lens.focal_px, lens.coefficients[:2]) == ("brown-conrady", 1010.0, (-0.3, 0.1))
    assert lens.centre_px == (960.5, 540.5)


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        ("lens: {vfov: 57.9}", "give hfov"),
        (CALIBRATION.replace("{calibration", "{hfov: 100, calibration"), "not both"),
        (CALIBRATION.replace("-0.3, 0.1", "0, 0, 9, 9"), "fit no brown-conrady lens"),
        (CALIBRATION.replace("cx: 960", "cx: 9600"), "outside the picture"),
        (CALIBRATION.replace("fx: 1010", "fx: .nan"), "calibration.fx"),
    ],
)
def test_a_lens_that_cannot_be_is_refused_by_line_and_field(tmp_path: Path, lens: str, said: str) -> None:
    path = with_lens(tmp_path, lens)
    with pytest.raises(UserError, match=said) as error:
        load_site(path)
    assert "rooms[0].cameras[0].lens" in str(error.value)
    assert f"{path}:" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    height: 3.2", "    height: 2024-99-99", "not valid YAML"),
        ("    height: 3.2", "    height: !!float abc", "not valid YAML"),
        ("    height: 3.2", "    height: !secret 3.2", "not valid YAML"),
        ("    height: 3.2", "    height: &a [*a]", "not valid YAML"),
        ("rtsp://127.0.0.1:8554/9-201/back-right", "rtsp://127.0.0.1:8554/9-201/front-left", "camera source"),
        ('numbers: "01"}', 'numbers: "01", without: ["99"]}', "no number of this grid"),
        (
            "buildings:",
            "profiles: [{id: p, source: s, seat: {area: {level: detect, visible: 0.5}}}]\nbuildings:",
            "a seat has no area",
        ),
        (
            "buildings:",
            "profiles: [{id: p, source: s, seat: {}}, {id: p, source: s, seat: {}}]\nbuildings:",
            "profile 'p' is given 2 times",
        ),
    ],
)
def test_what_would_pass_or_break_silently_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        load_site(changed(tmp_path, old, new))
    assert "site.yaml" in str(error.value)


def test_a_plan_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "room.svg"
    told = CliRunner().invoke(
        app, ["coverage", "9-101", "--config", str(DEMO), "--draws", "0", "--plan", str(nowhere)]
    )
    assert isinstance(told.exception, UserError)
    assert "cannot be written" in str(told.exception)
