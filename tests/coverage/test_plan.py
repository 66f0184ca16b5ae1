"""The plan of a room as SVG: what a supervisor, a typesetter and a program find in it."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.lens import fit_lens, pinhole_lens
from kaozheng_coverage.plan import plan_svg
from kaozheng_coverage.room import Desk, Monitor, Prism, Room, Seat, Zone, ZoneKind
from kaozheng_coverage.verdict import Outcome, RoomVerdict, TargetVerdict

SVG = "{http://www.w3.org/2000/svg}"
DESK, MONITOR = Desk(1.3, 0.6, 0.75), Monitor(0.54, 0.33, 0.80, 0.05, 0.20)
LENS = fit_lens(1920, 1080, 106.4, 57.9, 124.6)
ROOM = Room(
    "9-201",
    "9号楼201机房",
    ((0.0, 0.0), (12.0, 0.0), (12.0, 8.4), (0.0, 8.4)),
    3.2,
    (Prism("pillar-1", ((5.8, 3.6), (6.2, 3.6), (6.2, 4.0), (5.8, 4.0)), 0.0, 3.2),),
    tuple(
        Seat(f"{row * 6 + column + 1:02d}", (1.5 + 1.8 * column, 5.6 - 1.15 * row), 0.0, DESK, MONITOR)
        for row in range(5)
        for column in range(6)
    ),
    (
        Zone(
            "seal-opening",
            ZoneKind.SEAL_OPENING,
            ((5.2, 7.1), (6.8, 7.1), (6.8, 7.9), (5.2, 7.9)),
            1.1,
            1.5,
            180.0,
        ),
        Zone("door", ZoneKind.DOOR, ((11.6, 6.2), (12.0, 6.2), (12.0, 7.2), (11.6, 7.2)), 0.0, 2.0, None),
    ),
)
CAMERAS = (
    Camera("front-left", (0.25, 8.15, 2.9), (7.0, 2.5, 0.9), LENS),
    Camera("back-right", (11.75, 0.25, 2.9), (5.2, 4.6, 0.9), LENS),
    Camera("front-wall", (6.0, 4.2, 3.0), (7.6, 7.6, 1.2), LENS),
)


def judged(room: Room, outcomes: dict[str, Outcome]) -> RoomVerdict:
    def target(id: str, kind: str) -> TargetVerdict:
        return TargetVerdict(id, kind, outcomes.get(id, Outcome.PASS), (), None)

    return RoomVerdict(
        room.id,
        "theory",
        1,
        Outcome.FAIL,
        tuple(target(seat.number, "seat") for seat in room.seats),
        tuple(target(zone.id, zone.kind.value) for zone in room.zones),
        (),
        (),
    )


VERDICT = judged(ROOM, {"03": Outcome.FAIL, "05": Outcome.UNDETERMINED, "door": Outcome.FAIL})


def parsed(document: str) -> ElementTree.Element:
    return ElementTree.fromstring(document)  # noqa: S314 - our own document


def words(document: str) -> Counter[str]:
    return Counter(text.text or "" for text in parsed(document).iter(f"{SVG}text"))


def group(document: str, name: str, value: str) -> ElementTree.Element:
    (found,) = parsed(document).findall(f".//{SVG}g[@{name}='{value}']")
    return found


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_every_seat_number_and_camera_id_stands_in_it_once() -> None:
    found = words(plan_svg(ROOM, CAMERAS, VERDICT))
    for seat in ROOM.seats:
        assert found[seat.number] == 1
    for camera in CAMERAS:
        assert found[camera.id] == 1
    assert found["启封区"] == found["门口"] == found["pillar-1"] == 1


def test_it_says_where_the_front_is_and_what_its_signs_mean() -> None:
    found = words(plan_svg(ROOM, CAMERAS, VERDICT))
    assert found["前墙（讲台）"] == 1
    assert {"合格 28座 1区", "不合格 1座 1区", "未能判定 1座 0区", "摄像机视野", "2 m"} <= set(found)


def test_the_front_wall_is_at_the_top_and_right_is_right() -> None:
    document = plan_svg(ROOM, CAMERAS, VERDICT)

    def place(seat: str) -> tuple[float, float]:
        text = group(document, "data-seat", seat).find(f"{SVG}text")
        assert text is not None
        return float(text.get("x", "nan")), float(text.get("y", "nan"))

    assert place("01")[1] < place("07")[1] < place("25")[1]
    assert place("01")[0] < place("02")[0] < place("06")[0]


def test_outcomes_differ_in_colour_in_symbol_and_in_line() -> None:
    document = plan_svg(ROOM, CAMERAS, VERDICT)
    shapes = {}
    for seat in ("01", "03", "05"):
        drawn = group(document, "data-seat", seat)
        desk = drawn.find(f"{SVG}polygon")
        assert desk is not None
        shapes[seat] = (
            desk.get("fill"),
            desk.get("stroke-width"),
            desk.get("stroke-dasharray"),
            tuple(element.tag for element in drawn),
        )
    for one, other in (("01", "03"), ("01", "05"), ("03", "05")):
        assert shapes[one][0] != shapes[other][0]
        assert shapes[one][1:3] != shapes[other][1:3]
        assert shapes[one][3] != shapes[other][3]


def test_symbols_need_no_font() -> None:
    everything = "".join(words(plan_svg(ROOM, CAMERAS, VERDICT)))
    assert not set("✓✔✗✘×？?") & set(everything)


def test_without_a_verdict_nothing_looks_judged() -> None:
    document = plan_svg(ROOM, CAMERAS)
    outcomes = {element.get("data-outcome") for element in parsed(document).iter(f"{SVG}g")}
    assert outcomes <= {None, "none"}
    assert not any("合格" in text for text in words(document))


def test_a_seat_that_the_verdict_does_not_name_is_not_shown_as_passed() -> None:
    verdict = replace(VERDICT, seats=VERDICT.seats[:-1])
    assert group(plan_svg(ROOM, CAMERAS, verdict), "data-seat", "30").get("data-outcome") == "none"


def test_the_same_room_gives_the_same_bytes() -> None:
    assert plan_svg(ROOM, CAMERAS, VERDICT) == plan_svg(ROOM, CAMERAS, VERDICT)


def test_the_scale_bar_is_true() -> None:
    document = plan_svg(ROOM, CAMERAS, VERDICT)
    texts = {text.text: text for text in parsed(document).iter(f"{SVG}text")}
    bar_mm = float(texts["2 m"].get("x", "nan")) - float(texts["0"].get("x", "nan"))
    desk = group(document, "data-seat", "01").find(f"{SVG}polygon")
    assert desk is not None
    xs = numbers(desk.get("points", ""))[0::2]
    assert (max(xs) - min(xs)) / DESK.width_m == pytest.approx(bar_mm / 2, abs=0.05)


def test_labels_of_cameras_cover_no_desk() -> None:
    document = plan_svg(ROOM, CAMERAS, VERDICT)
    desks = []
    for seat in ROOM.seats:
        desk = group(document, "data-seat", seat.number).find(f"{SVG}polygon")
        assert desk is not None
        points = numbers(desk.get("points", ""))
        desks.append((min(points[0::2]), min(points[1::2]), max(points[0::2]), max(points[1::2])))
    for camera in CAMERAS:
        label = group(document, "data-camera", camera.id).find(f"{SVG}text")
        assert label is not None
        x, y, size = (float(label.get(key, "nan")) for key in ("x", "y", "font-size"))
        half = 0.5 * size * len(camera.id) / 2
        for left, top, right, bottom in desks:
            assert x + half < left or x - half > right or y < top or y - 0.7 * size > bottom


def test_names_with_markup_in_them_stay_names() -> None:
    seat = replace(ROOM.seats[0], number="<A&1>")
    room = replace(ROOM, name='<"room">', seats=(seat,))
    assert words(plan_svg(room, CAMERAS))["<A&1>"] == 1


def test_a_camera_that_looks_straight_down_spans_what_its_picture_shows() -> None:
    down = Camera("dome", (6.0, 4.2, 3.0), (6.0, 4.2, 0.0), pinhole_lens(1920, 1080, 90.0))
    document = plan_svg(replace(ROOM, seats=(), zones=()), (down,))
    spans = [e for e in parsed(document).iter(f"{SVG}polygon") if e.get("fill-opacity") == "0.06"]
    points = numbers(spans[0].get("points", ""))
    width, height = max(points[0::2]) - min(points[0::2]), max(points[1::2]) - min(points[1::2])
    assert width / height == pytest.approx(16 / 9, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_room_gives_well_formed_svg_inside_its_page(data: st.DataObject) -> None:
    width, depth = data.draw(st.floats(3, 40)), data.draw(st.floats(3, 40))
    boundary = ((0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth))
    numbers_drawn = data.draw(
        st.lists(st.text("0123456789AB考-<&", min_size=1, max_size=6), max_size=8, unique=True)
    )
    seats = tuple(
        Seat(
            number,
            (data.draw(st.floats(0.5, width - 0.5)), data.draw(st.floats(0.5, depth - 0.5))),
            data.draw(st.floats(0, 360)),
            DESK,
            data.draw(st.sampled_from([None, MONITOR])),
        )
        for number in numbers_drawn
    )
    cameras = tuple(
        Camera(
            f"camera {index}",
            (data.draw(st.floats(0.1, width - 0.1)), data.draw(st.floats(0.1, depth - 0.1)), 2.8),
            (
                data.draw(st.floats(-5, width + 5)),
                data.draw(st.floats(-5, depth + 5)),
                data.draw(st.floats(0, 2.5)),
            ),
            LENS,
            roll_deg=data.draw(st.floats(-180, 180)),
        )
        for index in range(data.draw(st.integers(0, 3)))
    )
    room = Room("r", "room", boundary, 3.0, (), seats, ())
    outcomes = {seat.number: data.draw(st.sampled_from(list(Outcome))) for seat in seats}
    document = plan_svg(room, cameras, judged(room, outcomes))
    root = parsed(document)
    page = numbers(root.get("viewBox", ""))
    assert page[2] == 178.0
    assert page[3] <= 138.0 + 1e-6
    found = words(document)
    assert all(found[seat.number] >= 1 for seat in seats)
    for shape in root.iter(f"{SVG}polygon"):
        assert all(math.isfinite(value) and -40 < value < 220 for value in numbers(shape.get("points", "")))
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("y", "nan")) <= page[3]
