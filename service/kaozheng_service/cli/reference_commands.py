"""`kaozheng reference`: the accepted view of each camera, which later pictures are held against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console
from kaozheng_service.clock import to_text
from kaozheng_service.config.site import load_site

reference_app = typer.Typer(no_args_is_help=True, help=__doc__)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", envvar="KAOZHENG_SITE", help="the site file")]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]


@reference_app.command("accept")
def accept(
    room: Annotated[str, typer.Option("--room", "-r", help="the room")],
    config: ConfigOption = Path("site.yaml"),
    camera: Annotated[list[str] | None, typer.Option(help="only these cameras; all when left out")] = None,
    inspection: Annotated[
        str | None, typer.Option(help="the inspection whose pictures are accepted; the newest when left out")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Accept what an inspection saw as the view of its cameras. What was accepted before is kept beside it."""
    from kaozheng_service.inspection.references import accept_references, newest_inspection
    from kaozheng_service.station import open_station

    site = load_site(config)
    entry = site.room(room)
    station = open_station(site)
    rows = accept_references(station, inspection or newest_inspection(station, entry.id), entry.id, camera)
    if as_json:
        body = [
            {
                "camera": row.camera_id,
                "light": row.light,
                "inspection": row.inspection_id,
                "sha256": row.sha256,
            }
            for row in rows
        ]
        print(
            json.dumps(
                {"schema": "kaozheng/references/1", "room": entry.id, "accepted": body}, ensure_ascii=False
            )
        )
        return
    for row in rows:
        console.print(
            f"[green]✓[/green] {escape(row.camera_id)} ({row.light}): as inspection {escape(row.inspection_id)} saw it"
        )
    console.print("From now on inspections and the watch during recording hold these cameras against it.")


@reference_app.command("list")
def list_(config: ConfigOption = Path("site.yaml"), as_json: JsonOption = False) -> None:
    """Which views are in force, camera by camera, and the newest inspection of each room."""
    from kaozheng_service.inspection.references import references_in_force
    from kaozheng_service.station import open_station

    site = load_site(config)
    station = open_station(site)
    table = Table("room", "camera", "light", "accepted from inspection", "on")
    body = []
    for room in site.rooms:
        for camera in room.cameras:
            rows = references_in_force(station, room.id, camera.id)
            for row in rows:
                on = f"{row.at.astimezone(site.zone):%Y-%m-%d %H:%M}"
                table.add_row(room.id, camera.id, row.light, row.inspection_id, on)
                body.append(
                    {
                        "room": room.id,
                        "camera": camera.id,
                        "light": row.light,
                        "inspection": row.inspection_id,
                        "at": to_text(row.at),
                        "sha256": row.sha256,
                    }
                )
            if not rows:
                table.add_row(room.id, camera.id, "", "[yellow]none accepted yet[/yellow]", "")
    if as_json:
        print(json.dumps({"schema": "kaozheng/references/1", "accepted": body}, ensure_ascii=False))
        return
    console.print(table)
