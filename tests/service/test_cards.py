"""Desk cards on paper: measured on the pages themselves, and folded back to where the geometry says they stand."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from kaozheng_coverage.card import TENT, card_faces, card_form
from kaozheng_coverage.card_sight import CardChance
from kaozheng_coverage.errors import CoverageError
from kaozheng_service.cli.card_commands import marker_size
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.cards import CardPlan, cards_json, cards_pdf, cards_png, plan_cards
from kaozheng_vision.markers import Marker, find_markers

Grey = npt.NDArray[np.uint8]

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"
ROOM = "9-101"
PIXELS_PER_INCH = 75.0
MM = PIXELS_PER_INCH / 25.4
EXPLAINED = 1


def site_with(folder: Path, **changed: Any) -> Site:
    """The demo site with room 9-101 changed: its seats' grid, its name and so on."""
    content = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    content.pop("timetable")
    content["name"] = changed.pop("site_name", content["name"])
    (entry,) = (room for room in content["rooms"] if room["id"] == ROOM)
    entry["seats"]["grid"].update(changed.pop("grid", {}))
    entry.update(changed)
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_site(path)


@pytest.fixture
def small(tmp_path: Path) -> Site:
    """Two seats and a seal-opening area."""
    return site_with(tmp_path, grid={"rows": 1, "columns": 2, "numbers": "07"})


def pages(site: Site, plan: CardPlan) -> list[Grey]:
    pictures = [
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
        for png in cards_png(site, plan, PIXELS_PER_INCH)
    ]
    return [np.asarray(one, np.uint8) for one in pictures]


def on_paper(page: Grey) -> dict[int, npt.NDArray[np.float64]]:
    """Corners of each marker on a page, (4, 2) millimetres from the sheet's upper left corner."""
    markers: tuple[Marker, ...] = find_markers(page)
    assert len({marker.id for marker in markers}) == len(markers)
    return {marker.id: marker.corners_px / MM for marker in markers}


@pytest.mark.parametrize("marker_m", [0.168, 0.105, 0.094, 0.05])
def test_every_marker_is_on_paper_at_its_size_and_folds_to_where_it_is_reckoned_with(small, marker_m):
    plan = plan_cards(small.room(ROOM), marker_m)
    form = card_form(marker_m)
    printed = pages(small, plan)
    assert len(printed) == EXPLAINED + plan.sheets == EXPLAINED + 2 * form.sheets + 1
    assert on_paper(printed[0]) == {}
    sheets = [on_paper(page) for page in printed[EXPLAINED:]]
    assert sorted(number for sheet in sheets for number in sheet) == [0, 1, 2, 3, 586]
    faces = {face.marker_id: face for face in card_faces(plan.geometry, marker_m)}
    for sheet in sheets:
        for number, corners_mm in sheet.items():
            sides_mm = np.linalg.norm(np.roll(corners_mm, -1, axis=0) - corners_mm, axis=1)
            assert sides_mm == pytest.approx([1000 * marker_m] * 4, abs=0.15), (
                "on paper, to a tenth of a millimetre"
            )
            if number == 586:
                continue
            seat = plan.geometry.seats[number // 2]
            # The sheet's ridge is its upper edge, or of a tent the fold 118 mm below it, with the far face upside down.
            across_mm, down_mm = corners_mm[:, 0] - 105, corners_mm[:, 1]
            if form is TENT:
                down_mm = down_mm - 118
                if number % 2 == 0:
                    across_mm, down_mm = -across_mm, -down_mm
            # Seats look to the front wall, +y: the reader of the far face has the sitter's left on the right.
            way = 1.0 if number % 2 == 0 else -1.0
            ridge = np.array(
                [seat.centre[0] + 0.46, seat.centre[1] + 0.12, seat.desk.height_m + form.height_m]
            )
            lean = math.asin(form.spread_m / form.face_m)
            down = np.array([0.0, way * math.sin(lean), -math.cos(lean)])
            right = np.array([-way, 0.0, 0.0])
            stands = ridge + np.outer(across_mm / 1000, right) + np.outer(down_mm / 1000, down)
            assert stands == pytest.approx(faces[number].corners, abs=0.0003)


@pytest.mark.parametrize("marker_m", [0.168, 0.094, 0.05])
def test_around_every_marker_a_module_of_white_is_left(small, marker_m):
    border_mm = 1000 * marker_m / 8
    for page in pages(small, plan_cards(small.room(ROOM), marker_m))[EXPLAINED:]:
        height, width = page.shape
        for corners_mm in on_paper(page).values():
            # A fold line may run along the border's outer edge.
            left, top = (corners_mm.min(axis=0) - 0.95 * border_mm) * MM
            right, bottom = (corners_mm.max(axis=0) + 0.95 * border_mm) * MM
            assert left > 0
            assert top > 0
            assert right < width
            assert bottom < height
            area = page[round(top) : round(bottom), round(left) : round(right)].copy()
            inner = round(0.9 * border_mm * MM)
            area[inner:-inner, inner:-inner] = 255
            assert area.min() > 250


def test_the_pdf_is_the_same_every_time_and_holds_no_bitmap(small, tmp_path):
    plan = plan_cards(small.room(ROOM))
    first = cards_pdf(small, plan, tmp_path / "a" / "cards.pdf").read_bytes()
    assert first == cards_pdf(small, plan, tmp_path / "b.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    assert b"/Subtype/Image" not in first, "markers are lines, sharp on any printer"
    assert len(re.findall(rb"/Type/Page\b", first)) == EXPLAINED + plan.sheets
    sizes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox\[([\d. ]+)\]", first)}
    assert [size == pytest.approx((0, 0, 210 / 25.4 * 72, 297 / 25.4 * 72), abs=0.01) for size in sizes] == [
        True
    ]


LONG = {
    "site_name": "示范省级高技能人才职业技能等级认定中心第十七联合考点（信息工程学院与现代制造学院共建）",
    "name": "第九实训楼一层东侧计算机网络与信息安全综合实训机房（一百零一）",
}


@pytest.mark.parametrize("marker_m", [0.168, 0.12, 0.094])
def test_long_names_and_numbers_leave_the_markers_alone(tmp_path, marker_m):
    site = site_with(tmp_path, **LONG, grid={"rows": 1, "columns": 1, "numbers": "A考场-000001"})
    plan = plan_cards(site.room(ROOM), marker_m)
    form = card_form(marker_m)
    printed = pages(site, plan)
    assert len(printed) == EXPLAINED + form.sheets + 1
    for page in printed[EXPLAINED:-1]:
        markers = on_paper(page)
        assert len(markers) == 2 // form.sheets
        for corners_mm in markers.values():
            assert np.ptp(corners_mm, axis=0) == pytest.approx([1000 * marker_m] * 2, abs=0.15)
        # Nothing runs over the sheet's edge, where printers leave it white; fold lines are grey.
        assert page[:, : round(4 * MM)].min() > 100
        assert page[:, -round(4 * MM) :].min() > 100


def test_sixty_seats_make_sixty_cards(tmp_path):
    site = site_with(
        tmp_path,
        **LONG,
        boundary=[[0, 0], [19.0, 0], [19.0, 9.0], [0, 9.0]],
        obstacles=[],
        grid={"rows": 6, "columns": 10, "first": [1.2, 6.8], "step": [1.8, -1.1]},
    )
    plan = plan_cards(site.room(ROOM), 0.094)
    assert plan.sheets == 61
    pdf = cards_pdf(site, plan, tmp_path / "cards.pdf").read_bytes()
    assert plan.sheets + 1 <= len(re.findall(rb"/Type/Page\b", pdf)) <= plan.sheets + 3
    assert len(pdf) < 2_000_000
    told = cards_json(plan, tmp_path / "cards.pdf")
    markers = [number for card in told["cards"] for number in card["markers"]]
    assert sorted(markers) == [*range(120), 586]


def test_what_a_room_needs_is_chosen_and_said():
    site = load_site(DEMO)
    plan = plan_cards(site.room("9-201"))
    assert plan.marker_m == plan.advised_m == 0.168
    assert plan.to_write == "", "the site file says so already"
    smaller = plan_cards(site.room("9-201"), 0.094)
    assert smaller.to_write == "card_marker: 0.094"
    assert smaller.sheets == 31
    assert sum(smaller.chance(label) is CardChance.SURE for label in smaller.labels) < sum(
        plan.chance(label) is CardChance.SURE for label in plan.labels
    )


def test_cards_that_cannot_be_read_are_named_with_the_reason():
    plan = plan_cards(load_site(DEMO).room("9-201"))
    told = cards_json(plan, Path("cards.pdf"))
    assert told["schema"] == "kaozheng/cards/1"
    cards = {card["label"]: card for card in told["cards"]}
    assert set(cards) == {f"{number:02d}" for number in range(1, 31)} | {"seal-opening"}
    assert cards["07"]["markers"] == [12, 13]
    assert cards["seal-opening"]["markers"] == [586]
    by_camera = {one["camera"]: one for one in cards["01"]["cameras"]}
    assert by_camera["front-left"]["chance"] == "sure"
    assert by_camera["front-wall"] | {"cause": "out_of_view", "chance": "none"} == by_camera["front-wall"]
    assert by_camera["front-wall"]["needed_marker_m"] is None
    far = next(one for card in told["cards"] for one in card["cameras"] if one["cause"] == "too_far")
    assert far["needed_marker_m"] == pytest.approx(0.168 * 20 / far["side_px"], rel=0.01)
    hidden = {name for card in told["cards"] for one in card["cameras"] for name in one["hidden_by"]}
    assert "pillar-1" in hidden


def test_a_room_without_seats_and_seal_opening_has_no_cards(tmp_path):
    site = site_with(tmp_path, seats=None, zones=[])
    with pytest.raises(UserError, match="nothing to print"):
        plan_cards(site.room(ROOM))
    store = site_with(tmp_path, seats=None)
    plan = plan_cards(store.room(ROOM))
    assert plan.sheets == 1
    assert [sorted(on_paper(page)) for page in pages(store, plan)] == [[], [586]]


@pytest.mark.parametrize("marker_m", [0.03, 0.2])
def test_a_marker_that_no_sheet_holds_is_refused(small, marker_m):
    with pytest.raises(CoverageError, match="fits on no card"):
        plan_cards(small.room(ROOM), marker_m)


def test_the_size_is_given_in_millimetres():
    assert marker_size("94") == pytest.approx(0.094)
    assert marker_size(" 105.5mm ") == pytest.approx(0.1055)
    assert marker_size("auto") is None
    for wrong in ("", "large", "0", "-5", "nan"):
        with pytest.raises(UserError, match="millimetres"):
            marker_size(wrong)


def kaozheng(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaozheng_service", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_writes_the_file_and_what_to_put_into_the_site_file(tmp_path):
    out = tmp_path / "cards.pdf"
    done = kaozheng("cards", "--room", ROOM, "-c", DEMO, "--out", out, "--marker", "94")
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b"%PDF")
    assert "card_marker: 0.094" in done.stdout
    assert "168 mm would suit the cameras better" in done.stdout


def test_a_size_that_no_sheet_holds_ends_the_command_with_2_and_the_mend():
    done = kaozheng("cards", "--room", ROOM, "-c", DEMO, "--marker", "300")
    assert done.returncode == 2
    assert "give 0.04 to 0.168 m" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_said(small, tmp_path):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="name another place"):
        cards_pdf(small, plan_cards(small.room(ROOM)), tmp_path / "taken" / "cards.pdf")
