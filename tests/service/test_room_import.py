"""Rooms from typed numbers, from an Excel sheet and from a DXF plan: true numbers, and every refusal by name."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import ezdxf
import pytest
import yaml
from ezdxf.document import Drawing
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kaozheng_service.cli.commands import app
from kaozheng_service.config.drawing_map import DrawingMap
from kaozheng_service.config.dxf_import import read_plan
from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.config.room_new import RoomSize, new_room
from kaozheng_service.config.seat_sheet import read_seats
from kaozheng_service.config.site import RoomConfig, load_room
from kaozheng_service.errors import UserError
from openpyxl import Workbook
from typer.testing import CliRunner

PROJECT = Path(__file__).resolve().parents[2]
SITE = PROJECT / "configs" / "demo" / "site.yaml"


def told(*arguments: object) -> str:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(*arguments: object) -> str:
    """What a command that refuses its input says: one clear error, which the command line ends with exit code 2."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert isinstance(result.exception, UserError), (result.output, result.exception)
    return str(result.exception)


# --- typed numbers


def test_a_room_from_a_few_numbers_is_complete_and_can_be_judged(tmp_path: Path) -> None:
    out = tmp_path / "room.yaml"
    said = told(
        "room", "new", "9-301", "--width", 12, "--depth", 8.4, "--rows", 5, "--columns", 6, "--out", out
    )
    assert "30 seats, 3 zones" in said
    assert "Next: kaozheng coverage" in said
    room = room_geometry(load_room(out))
    assert [seat.number for seat in room.seats][::29] == ["01", "30"]
    assert room.seat("01").centre[1] > room.seat("30").centre[1]  # the first row is at the front
    judged = CliRunner().invoke(app, ["coverage", str(out), "--json", "--draws", "0"])
    assert judged.exit_code in (0, 1)


@settings(max_examples=60, deadline=None)
@given(width=st.floats(3, 40), depth=st.floats(4.5, 40), rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_what_is_made_always_holds_its_desks_apart(
    width: float, depth: float, rows: int, columns: int
) -> None:
    try:
        data = new_room("r", "r", RoomSize(width, depth, 3.0, rows, columns))
    except UserError as error:
        said = str(error)
        assume("fit" not in said)
        raise
    entry = RoomConfig.model_validate(data)
    room = room_geometry(entry)
    assert len(room.seats) == rows * columns
    assert len(room_cameras(entry)) == 4
    for seat in room.seats:
        assert 0.2 < seat.centre[0] - 0.65 < seat.centre[0] + 0.65 < width - 0.2
        assert seat.centre[1] - 0.3 > 1.0
    if columns > 1:
        assert room.seats[1].centre[0] - room.seats[0].centre[0] >= 1.3 + 0.1 - 1e-3
    if rows > 1:
        assert room.seats[0].centre[1] - room.seats[columns].centre[1] >= 0.999


@pytest.mark.parametrize(
    ("width", "depth", "rows", "columns", "said"),
    [
        (12000, 8400, 5, 6, "not millimetres"),
        (6, 5, 5, 6, "at most 1 rows of 3 fit"),
        (1, 8, 1, 1, "at least 3 m"),
        ("nan", 8, 1, 1, "not millimetres"),
        (12, 8.4, 0, 6, "at least one of each"),
    ],
)
def test_numbers_that_are_no_room_are_refused(
    tmp_path: Path, width: object, depth: object, rows: int, columns: int, said: str
) -> None:
    out = tmp_path / "room.yaml"
    arguments = ("--width", width, "--depth", depth, "--rows", rows, "--columns", columns, "--out", out)
    assert said in refused("room", "new", "r", *arguments)
    assert not out.exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "room.yaml"
    out.write_text("mine", encoding="utf-8")
    arguments = ("--width", 12, "--depth", 8.4, "--rows", 5, "--columns", 6, "--out", out)
    assert "nothing is overwritten" in refused("room", "new", "r", *arguments)
    assert out.read_text(encoding="utf-8") == "mine"


# --- an Excel sheet


@pytest.fixture
def room_file(tmp_path: Path) -> Path:
    out = tmp_path / "room.yaml"
    told("room", "new", "9-301", "--width", 12, "--depth", 8.4, "--rows", 2, "--columns", 2, "--out", out)
    return out


def sheet_of(tmp_path: Path, *rows: tuple[object, ...]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    path = tmp_path / "seats.xlsx"
    book.save(path)
    return path


@pytest.mark.parametrize(
    "rows",
    [
        [("number", "x", "y", "bearing"), ("07", 3.0, 4.5, None), (8, 5.0, 4.5, 180)],
        [("9号楼301座位表",), ("朝向", "纵坐标（厘米）", "横坐标（毫米）", "备注", "座位号"),
         (None, 450, 3000, "靠窗", "07"), (180, 450, 5000, None, 8.0), (None, None, None, None, None)],
    ],
)  # fmt: skip
def test_seats_are_read_in_either_language_order_and_unit(
    tmp_path: Path, room_file: Path, rows: list[tuple[object, ...]]
) -> None:
    out = tmp_path / "new.yaml"
    told("room", "seats", sheet_of(tmp_path, *rows), "--room", room_file, "--out", out)
    room = room_geometry(load_room(out))
    assert [(seat.number, seat.centre, seat.bearing_deg) for seat in room.seats] == [
        ("07", (3.0, 4.5), 0.0),
        ("8", (5.0, 4.5), 180.0),
    ]
    assert room.seats[0].desk.width_m == 1.3
    assert room.seats[0].monitor is not None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("number", "x"), ("1", 3)], "no headings for y"),
        ([("number", "x", "y"), ("1", "three", 4)], "Sheet, B2: holds 'three'"),
        ([("number", "x", "y"), ("1", 3, None)], "Sheet, C2: is empty"),
        ([("number", "x", "y"), (None, 3, 4)], "Sheet, A2: there is no seat number"),
        ([("number", "x", "y"), (1, 3, 4), (1.0, 5, 4)], "Sheet, A3: seat 1 stands in A2 already"),
        ([("number", "x", "y"), (1, "=1+2", 4)], "Sheet, B2: is empty or a formula that was never computed"),
        ([("number", "x (feet)", "y"), (1, 3, 4)], "unit 'feet' is not known"),
        ([("number", "x", "y", "x"), (1, 3, 4, 5)], "a second column for x"),
        ([("number", "x", "y")], "holds no seat"),
        ([("number", "x", "y"), (1, 30, 4)], "seat 1 at (30, 4) is outside the room"),
        ([("number", "x", "y"), (1, 3000, 4000)], "position"),
    ],
)
def test_a_sheet_that_is_not_plain_is_refused_by_its_cell(
    tmp_path: Path, room_file: Path, rows: list[tuple[object, ...]], said: str
) -> None:
    out = tmp_path / "new.yaml"
    assert said in refused("room", "seats", sheet_of(tmp_path, *rows), "--room", room_file, "--out", out)
    assert not out.exists()


def test_merged_cells_and_files_that_are_no_sheet_are_refused(tmp_path: Path, room_file: Path) -> None:
    book = Workbook()
    for row in (("number", "x", "y"), ("1", 3, 4), ("2", 5, 4)):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / "merged.xlsx")
    (tmp_path / "no.xlsx").write_text("座位,横坐标", encoding="utf-8")
    out = tmp_path / "new.yaml"
    for name, said in (
        ("merged.xlsx", "A2:A3: cells are merged"),
        ("no.xlsx", "is no Excel file"),
        ("none.xlsx", "no such"),
    ):
        assert said in refused("room", "seats", tmp_path / name, "--room", room_file, "--out", out)
    good = sheet_of(tmp_path, ("number", "x", "y"), ("1", 3, 4))
    assert "has no sheet" in refused(
        "room", "seats", good, "--room", room_file, "--out", out, "--page", "二月"
    )


# --- a building plan


LAYERS = {
    "height": 3.2,
    "boundary": "WALL",
    "obstacles": [{"layer": "COLUMN", "name": "pillar", "top": 3.2}],
    "seats": {"layer": "DESK", "number": "NO", "desk": {"width": 1.3, "depth": 0.6, "height": 0.75}},
    "zones": [{"layer": "SEAL", "kind": "seal_opening", "bottom": 1.1, "top": 1.5, "bearing": 180}],
}


def site_with(tmp_path: Path, **changes: object) -> Path:
    data = yaml.safe_load(SITE.read_text(encoding="utf-8"))
    data["timetable"] = None
    data["drawing"] = {**LAYERS, **changes}
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def plan(units: int = 4, unit_m: float = 0.001, shift: tuple[float, float] = (100.0, 50.0)) -> Drawing:
    """A room of 10 x 8 m with a square and a round pillar, two desks and a seal-opening area, drawn off the origin."""
    drawing = ezdxf.new("R2010")
    drawing.header["$INSUNITS"] = units
    space = drawing.modelspace()
    for layer in ("WALL", "COLUMN", "DESK", "SEAL", "0-NOTES"):
        drawing.layers.add(layer)

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [((x + shift[0]) / unit_m, (y + shift[1]) / unit_m) for x, y in points]

    space.add_lwpolyline(at((0, 0), (10, 0), (10, 8), (0, 8)), close=True, dxfattribs={"layer": "WALL"})
    space.add_lwpolyline(
        at((4, 4), (4.4, 4), (4.4, 4.4), (4, 4.4)), close=True, dxfattribs={"layer": "COLUMN"}
    )
    space.add_circle(at((7, 4))[0], 0.2 / unit_m, dxfattribs={"layer": "COLUMN"})
    space.add_lwpolyline(
        at((4, 6.8), (5.6, 6.8), (5.6, 7.4), (4, 7.4)), close=True, dxfattribs={"layer": "SEAL"}
    )
    block = drawing.blocks.new("DESK-BLOCK")
    block.add_attdef("NO", (0, 0))
    for number, place, rotation in (("01", (2.0, 5.0), 0.0), ("02", (8.0, 5.0), 90.0)):
        insert = space.add_blockref(
            "DESK-BLOCK", at(place)[0], dxfattribs={"layer": "DESK", "rotation": rotation}
        )
        insert.add_auto_attribs({"NO": number})
    space.add_text("考场", dxfattribs={"layer": "WALL"})
    return drawing


@pytest.mark.parametrize(("units", "unit_m"), [(4, 0.001), (5, 0.01), (6, 1.0), (1, 0.0254), (2, 0.3048)])
def test_a_plan_in_any_unit_gives_the_same_room_in_metres(tmp_path: Path, units: int, unit_m: float) -> None:
    plan(units, unit_m).saveas(tmp_path / "plan.dxf")
    out = tmp_path / "room.yaml"
    said = told(
        "room", "dxf", tmp_path / "plan.dxf", "--room", "9-301", "--config", site_with(tmp_path), "--out", out
    )
    assert "2 seats, 1 zones, 2 obstacles" in said
    assert "passed over: TEXT #" in said
    room = room_geometry(load_room(out))
    assert room.boundary == ((0.0, 0.0), (10.0, 0.0), (10.0, 8.0), (0.0, 8.0))
    assert room.seat("01").centre == pytest.approx((2.0, 5.0), abs=1e-3)
    # Turned a quarter anticlockwise on paper: the sitter of a block that is drawn looking up looks to the left.
    assert (room.seat("01").bearing_deg, room.seat("02").bearing_deg) == (0.0, 270.0)
    square, round_one = sorted(room.obstacles, key=lambda one: len(one.footprint))
    assert square.footprint[0] == pytest.approx((4.0, 4.0), abs=1e-3)
    assert len(round_one.footprint) == 16


def test_a_plan_with_the_front_at_the_right_is_turned(tmp_path: Path) -> None:
    plan().saveas(tmp_path / "plan.dxf")
    out = tmp_path / "room.yaml"
    site = site_with(tmp_path, front=90)
    told("room", "dxf", tmp_path / "plan.dxf", "--room", "9-301", "--config", site, "--out", out)
    room = room_geometry(load_room(out))
    assert max(x for x, _ in room.boundary) == pytest.approx(8.0)
    assert max(y for _, y in room.boundary) == pytest.approx(10.0)
    # (2, 5) of 10 x 8: 2 m from what is now the back, 5 m from the drawing's bottom, which is now the right wall.
    assert room.seat("01").centre == pytest.approx((3.0, 2.0), abs=1e-3)
    assert room.seat("01").bearing_deg == 270.0


def test_walls_drawn_as_lines_that_meet_are_one_outline(tmp_path: Path) -> None:
    drawing = plan(6, 1.0, (0.0, 0.0))
    space = drawing.modelspace()
    for entity in list(space.query("LWPOLYLINE[layer=='WALL']")):
        space.delete_entity(entity)
    corners = [(0, 0), (10, 0), (10, 6.5), (7, 6.5), (7, 8), (0, 8)]
    for start, end in zip(corners, [*corners[1:], (0.0, 0.001)], strict=True):
        space.add_line(start, end, dxfattribs={"layer": "WALL"})
    drawing.saveas(tmp_path / "plan.dxf")
    out = tmp_path / "room.yaml"
    told("room", "dxf", tmp_path / "plan.dxf", "--room", "l", "--config", site_with(tmp_path), "--out", out)
    assert len(load_room(out).boundary) == 6


def test_layers_without_units_and_units_that_disagree(tmp_path: Path) -> None:
    plan(0).saveas(tmp_path / "plan.dxf")
    arguments = (
        "room",
        "dxf",
        tmp_path / "plan.dxf",
        "--room",
        "r",
        "--out",
        tmp_path / "room.yaml",
        "--config",
    )
    assert "states no units" in refused(*arguments, site_with(tmp_path))
    told(*arguments, site_with(tmp_path, units="mm"))
    plan(4).saveas(tmp_path / "plan.dxf")
    assert "the site file says m" in refused(*arguments, site_with(tmp_path, units="m"))
    (tmp_path / "room.yaml").unlink()
    plan(6, 0.001).saveas(tmp_path / "plan.dxf")  # drawn in millimetres, said to be metres
    assert "the drawing's units are not what it says" in refused(*arguments, site_with(tmp_path))


def spoil_open(space: object) -> None:
    next(iter(space.query("LWPOLYLINE[layer=='WALL']"))).close(False)  # type: ignore[attr-defined]


def spoil_bulge(space: object) -> None:
    line = next(iter(space.query("LWPOLYLINE[layer=='COLUMN']")))  # type: ignore[attr-defined]
    line.set_points([(x, y, 0.5) for x, y in line.get_points("xy")], format="xyb")


def spoil_number(space: object) -> None:
    next(iter(space.query("INSERT"))).attribs[0].dxf.text = " "  # type: ignore[attr-defined]


def spoil_twice(space: object) -> None:
    for insert in space.query("INSERT"):  # type: ignore[attr-defined]
        insert.attribs[0].dxf.text = "01"


def spoil_kind(space: object) -> None:
    space.add_line((0, 0), (1, 1), dxfattribs={"layer": "DESK"})  # type: ignore[attr-defined]


def spoil_second_wall(space: object) -> None:
    space.add_lwpolyline([(0, 0), (1, 0), (1, 1)], close=True, dxfattribs={"layer": "WALL"})  # type: ignore[attr-defined]


def spoil_crossing(space: object) -> None:
    space.add_lwpolyline(  # type: ignore[attr-defined]
        [(0, 0), (1000, 1000), (1000, 0), (0, 1000)], close=True, dxfattribs={"layer": "COLUMN"}
    )


def spoil_mirrored(space: object) -> None:
    next(iter(space.query("INSERT"))).dxf.yscale = -1.0  # type: ignore[attr-defined]


def spoil_array(space: object) -> None:
    insert = next(iter(space.query("INSERT")))  # type: ignore[attr-defined]
    insert.dxf.row_count, insert.dxf.row_spacing = 3, 1200.0


def spoil_from_below(space: object) -> None:
    next(iter(space.query("CIRCLE"))).dxf.extrusion = (0, 0, -1)  # type: ignore[attr-defined]


def spoil_empty(space: object) -> None:
    for entity in list(space.query("INSERT")):  # type: ignore[attr-defined]
        space.delete_entity(entity)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_mirrored, ("INSERT #", "on layer DESK", "mirrored")),
        (spoil_array, ("INSERT #", "on layer DESK", "is an array")),
        (spoil_from_below, ("CIRCLE #", "on layer COLUMN", "extrusion")),
        (spoil_empty, ("layer DESK holds no shape",)),
        (spoil_open, ("LWPOLYLINE #", "on layer WALL", "is open by 8.000 m: close it")),
        (spoil_bulge, ("LWPOLYLINE #", "on layer COLUMN", "has an arc")),
        (spoil_number, ("INSERT #", "on layer DESK", "has no attribute NO")),
        (spoil_twice, ("INSERT #", "is seat 01, and so is INSERT #")),
        (spoil_kind, ("LINE #", "on layer DESK", "is no block insert")),
        (spoil_second_wall, ("layer WALL", "needs one closed polyline", "LWPOLYLINE #")),
        (spoil_crossing, ("LWPOLYLINE #", "on layer COLUMN", "crosses itself")),
    ],
)
def test_what_is_not_plain_is_refused_by_the_entity_s_name(
    tmp_path: Path, spoil: Callable[[object], None], said: tuple[str, ...]
) -> None:
    drawing = plan()
    spoil(drawing.modelspace())
    drawing.saveas(tmp_path / "plan.dxf")
    out = tmp_path / "room.yaml"
    error = refused(
        "room", "dxf", tmp_path / "plan.dxf", "--room", "r", "--config", site_with(tmp_path), "--out", out
    )
    for words in said:
        assert words in error
    assert not out.exists()


def test_a_layer_that_is_not_there_and_a_file_that_is_no_plan(tmp_path: Path) -> None:
    plan().saveas(tmp_path / "plan.dxf")
    (tmp_path / "no.dxf").write_bytes(b"\x00\x01PK\x03\x04 no drawing")
    out = tmp_path / "room.yaml"
    site = site_with(tmp_path, boundary="WALLS")
    assert "has no layer WALLS" in refused(
        "room", "dxf", tmp_path / "plan.dxf", "--room", "r", "--config", site, "--out", out
    )
    for name, said in (("no.dxf", "is no DXF drawing"), ("none.dxf", "no such file")):
        assert said in refused("room", "dxf", tmp_path / name, "--room", "r", "--config", site, "--out", out)
    bare = tmp_path / "bare.yaml"
    bare.write_text(
        SITE.read_text(encoding="utf-8").replace("timetable: timetable.csv\n", ""), encoding="utf-8"
    )
    assert "drawing is missing" in refused(
        "room", "dxf", tmp_path / "plan.dxf", "--room", "r", "--config", bare, "--out", out
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_never_breaks(data: st.DataObject) -> None:
    """Bytes of a good drawing and a good sheet changed, cut out and put in, anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        kind = data.draw(st.sampled_from(("dxf", "xlsx")))
        whole = _GOOD[kind]
        place = data.draw(st.integers(0, len(whole) - 1))
        cut = data.draw(st.integers(0, 40))
        put = data.draw(st.binary(max_size=12))
        path = Path(folder) / f"damaged.{kind}"
        path.write_bytes(whole[:place] + put + whole[place + cut :])
        with contextlib.suppress(UserError):
            if kind == "dxf":
                read_plan(path, DrawingMap.model_validate(LAYERS), "r", "r")
            else:
                read_seats(path)


def _bytes_of_good_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        plan().saveas(Path(folder) / "plan.dxf")
        sheet = sheet_of(Path(folder), ("number", "x", "y"), ("1", 3, 4), ("2", 5, 4))
        return {"dxf": (Path(folder) / "plan.dxf").read_bytes(), "xlsx": sheet.read_bytes()}


_GOOD = _bytes_of_good_files()
