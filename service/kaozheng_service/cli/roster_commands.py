"""`kaozheng roster`: candidates with their sessions, and the seats they drew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console
from kaozheng_service.cli.timetable_commands import ConfigOption, JsonOption, operator
from kaozheng_service.clock import now, to_text
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError
from kaozheng_service.station import open_station

if TYPE_CHECKING:
    from kaozheng_service.roster.importing import Preview

roster_app = typer.Typer(no_args_is_help=True, help=__doc__)

FileArgument = Annotated[Path, typer.Argument(help="roster or draw list, Excel (.xlsx) or CSV")]
WindowOption = Annotated[
    str | None,
    typer.Option("--window", help="all rows are of this window; by 场次, 地点, 日期 when left out"),
]
_STATES = {
    "new": "[green]+ 新增 new[/green]",
    "seated": "[green]+ 入座 seated[/green]",
    "moved": "[yellow]~ 换座 moved[/yellow]",
}


@roster_app.command("preview")
def preview_(
    file: FileArgument,
    config: ConfigOption = Path("site.yaml"),
    window: WindowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a list would change. Nothing is written."""
    from kaozheng_service.roster.importing import preview_json, preview_roster

    preview = preview_roster(open_station(load_site(config)), file, window_id=window)
    if as_json:
        typer.echo(json.dumps(preview_json(preview), ensure_ascii=False, indent=2))
    else:
        _print(preview)


@roster_app.command("import")
def import_(
    file: FileArgument,
    config: ConfigOption = Path("site.yaml"),
    window: WindowOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take over candidates and seats, as new rows; shows them and asks. The same file twice changes nothing."""
    from kaozheng_service.roster.importing import import_roster, preview_json, preview_roster

    station = open_station(load_site(config))
    preview = preview_roster(station, file, window_id=window)
    if not as_json:
        _print(preview)
    if preview.to_write and not yes and not typer.confirm("导入？ Make it so?", err=True):
        console.print("没有改动。Nothing was changed.")
        raise typer.Exit(1)
    done = import_roster(station, preview, operator(), now())
    if as_json:
        typer.echo(json.dumps(preview_json(preview, done, imported=True), ensure_ascii=False, indent=2))
    elif done is None:
        console.print("没有新内容。Nothing had to be changed.")
    else:
        console.print(
            f"[green]✓[/green] 已导入 {done.rows} 行 · {done.rows} rows taken over, 存证 record {done.leaf}"
        )


@roster_app.command("show")
def show(
    config: ConfigOption = Path("site.yaml"),
    candidate: Annotated[str | None, typer.Option(help="candidate number (准考证号)")] = None,
    name: Annotated[str | None, typer.Option(help="exact name (姓名)")] = None,
    as_json: JsonOption = False,
) -> None:
    """Where a candidate was to be, by number or exact name. Exit code 1 where a seat is not known."""
    from kaozheng_service.roster.importing import altered_imports
    from kaozheng_service.roster.lookup import candidates_named, placements

    station = open_station(load_site(config))
    if (candidate is None) == (name is None):
        raise UserError("请写明 --candidate 或 --name · name either --candidate or --name")
    numbers = [candidate] if candidate is not None else candidates_named(station, name or "")
    if not numbers:
        raise UserError("--name: 名单中没有这个姓名 · no roster has that name; it must be the whole name")
    found = [one for number in numbers for one in placements(station, number)]
    altered = altered_imports(station)
    if as_json:
        body = {
            "schema": "kaozheng/roster-lookup/1",
            "placements": [
                {
                    "candidate": one.candidate,
                    "window": one.window.id,
                    "room": one.window.room_id,
                    "seat": one.seat,
                    "moves": [{"from": to_text(at), "seat": seat} for at, seat in one.moves],
                    "shared_with": list(one.shared),
                }
                for one in found
            ],
            "altered_imports": altered,
        }
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        table = Table("准考证号", "时段 window", "考场 room", "座位 seat")
        for one in found:
            seat = one.seat or "未知，抽签名单未导入 · not known"
            seat += f"（同座 shared with {', '.join(one.shared)}）" if one.shared else ""
            table.add_row(
                *(escape(part) for part in (one.candidate, one.window.id, one.window.room_id, seat))
            )
        console.print(table)
        for number in altered:
            console.print(
                f"[red]✗ 第 {number} 次导入的内容与存证不符 · import {number} is not as it was signed[/red]"
            )
    raise typer.Exit(0 if not altered and all(one.seat and not one.shared for one in found) else 1)


def _print(preview: Preview) -> None:
    table = Table(
        "", "准考证号", "时段 window", "座位 seat", "原座位 before", title=escape(str(preview.roster.path))
    )
    for one in preview.to_write:
        row = one.row
        table.add_row(
            _STATES[one.state.value], row.candidate, row.window_id, row.seat or "—", one.before or ""
        )
    console.print(table)
    for warning in preview.warnings:
        console.print(f"[yellow]▲[/yellow] {escape(warning)}", soft_wrap=True)
    same = len(preview.changes) - len(preview.to_write)
    console.print(
        f"{len(preview.to_write)} 行有变化，{same} 行不变 · {len(preview.to_write)} change, {same} do not"
    )
