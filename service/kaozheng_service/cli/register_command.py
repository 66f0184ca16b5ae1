"""`kaozheng register`: who looked at which footage, when and why, as a table and on paper."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console
from kaozheng_service.cli.timetable_commands import ConfigOption, JsonOption
from kaozheng_service.cli.window_commands import parse_day
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site


def register(
    config: ConfigOption = Path("site.yaml"),
    since: Annotated[str | None, typer.Option("--from", help="first day, such as 2024-11-23")] = None,
    until: Annotated[str | None, typer.Option("--to", help="last day")] = None,
    out: Annotated[Path | None, typer.Option(help="print it to this PDF file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the access register (查阅登记). Exit code 1 while an emergency access waits for its review."""
    from kaozheng_service.cases.printing import print_register
    from kaozheng_service.cases.register import register_json, registered
    from kaozheng_service.station import open_station

    station = open_station(load_site(config))
    zone = station.site.zone
    first, last = parse_day(since), parse_day(until)
    starts_at = datetime.combine(first, time(), zone) if first is not None else None
    ends_at = datetime.combine(last + timedelta(days=1), time(), zone) if last is not None else None
    found = registered(station, starts_at, ends_at)
    if out is not None:
        print_register(station, out, now(), starts_at, ends_at)
    if as_json:
        typer.echo(json.dumps(register_json(found), ensure_ascii=False, indent=2))
    else:
        table = Table(
            "序", "时间 at", "查阅人 who", "考场 room", "机位 cameras", "范围 range", "理由 why", "案号 case"
        )
        for row in found.views:
            begin, end = (one.astimezone(zone) for one in (row.starts_at, row.ends_at))
            table.add_row(
                str(row.id),
                f"{row.at.astimezone(zone):%F %T}",
                escape(f"{row.name} ({row.role})"),
                escape(row.room_id),
                escape(row.camera_ids),
                f"{begin:%F %T}–{end:%T}",
                escape(row.why),
                row.case_id,
            )
        console.print(table)
        for case, one in found.unreviewed:
            console.print(
                f"[red]✗ {case.id}: 紧急调阅尚未核查 · emergency access {one.number} by {escape(one.by.account)} "
                "is not reviewed yet: kaozheng case review[/red]",
                soft_wrap=True,
            )
        if out is not None:
            typer.echo(str(out))
    raise typer.Exit(1 if found.unreviewed else 0)
