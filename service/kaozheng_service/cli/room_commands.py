"""`kaozheng room`: describe a room from a few numbers, from an Excel sheet of seats, or from a building plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from kaozheng_service.cli.tables import console
from kaozheng_service.config.document import Document
from kaozheng_service.config.site import RoomConfig, load_room, load_site
from kaozheng_service.errors import UserError

room_app = typer.Typer(no_args_is_help=True, help=__doc__)

OutOption = Annotated[Path, typer.Option("--out", "-o", help="the room file to write; none is overwritten")]


@room_app.command("new")
def new(
    room: Annotated[str, typer.Argument(help="the room's id, such as 9-201")],
    width: Annotated[float, typer.Option(help="along the front wall, metres")],
    depth: Annotated[float, typer.Option(help="from the front wall to the back, metres")],
    rows: Annotated[int, typer.Option(help="rows of desks, the first at the front")],
    columns: Annotated[int, typer.Option(help="desks in a row")],
    out: OutOption,
    height: Annotated[float, typer.Option(help="of the ceiling, metres")] = 3.2,
    name: Annotated[str | None, typer.Option(help="as timetables write it")] = None,
    profile: Annotated[str, typer.Option(help="the exam profile")] = "theory",
) -> None:
    """Describe a room of equal desks in rows by a few numbers."""
    from kaozheng_service.config.room_file import write_room
    from kaozheng_service.config.room_new import RoomSize, new_room

    data = new_room(room, name or room, RoomSize(width, depth, height, rows, columns), profile)
    note = (
        "From typed numbers: rows of usual computer desks. Measure and mend what differs: desks, zones, pillars.\n"
        "Set the cameras' addresses to your own; their places are a proposal."
    )
    _told(write_room(out, data, note), out)


@room_app.command("seats")
def seats(
    sheet: Annotated[
        Path, typer.Argument(help="the Excel file: a row a seat, columns number, x, y, bearing")
    ],
    room: Annotated[Path, typer.Option(help="the room file that the seats belong to")],
    out: OutOption,
    page: Annotated[str | None, typer.Option(help="the sheet's name; the first when left out")] = None,
) -> None:
    """Take a room's seats from an Excel sheet."""
    from kaozheng_service.config.room_file import write_room
    from kaozheng_service.config.seat_sheet import read_seats, with_seats

    load_room(room)
    data = Document(room).data
    if not (data.get("seats") or {}).get("desk"):
        raise UserError(f"{room}: seats.desk is missing; state the size of the desks there")
    found = read_seats(sheet, page)
    _told(write_room(out, with_seats(data, found), f"Seats from {sheet.name}."), out)


@room_app.command("dxf")
def dxf(
    plan: Annotated[Path, typer.Argument(help="the drawing, DXF")],
    room: Annotated[str, typer.Option(help="the room's id, such as 9-201")],
    out: OutOption,
    config: Annotated[
        Path,
        typer.Option(
            "--config", "-c", help="the site file, whose `drawing` names the layers", envvar="KAOZHENG_SITE"
        ),
    ] = Path("site.yaml"),
    name: Annotated[str | None, typer.Option(help="as timetables write it")] = None,
) -> None:
    """Take a room from a building plan."""
    from kaozheng_service.config.dxf_import import read_plan
    from kaozheng_service.config.room_file import write_room

    layers = load_site(config).drawing
    if layers is None:
        raise UserError(
            f"{config}: drawing is missing; say which layers of the plan hold the walls, desks and zones "
            "(configs/README.md shows how)"
        )
    found = read_plan(plan, layers, room, name or room)
    note = f"From {plan.name}. The cameras are a proposal: set their addresses to your own."
    written = write_room(out, found.room, note)
    for one in found.passed_over:
        console.print(f"passed over: {escape(one)} (no shape)", soft_wrap=True)
    _told(written, out)


def _told(room: RoomConfig, out: Path) -> None:
    from kaozheng_service.config.geometry import room_geometry

    made = room_geometry(room)
    console.print(
        f"{escape(str(out))}: {len(made.seats)} seats, {len(made.zones)} zones, {len(made.obstacles)} obstacles, "
        f"{len(room.cameras)} cameras. Next: kaozheng coverage {escape(str(out))} --plan room.svg",
        soft_wrap=True,
    )
