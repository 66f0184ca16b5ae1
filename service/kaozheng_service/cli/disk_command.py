"""`kaozheng disk`: whether the disk holds the windows of the next days."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaozheng_service.config.site import Site, load_site

if TYPE_CHECKING:
    from kaozheng_service.recording.forecast import Forecast

BAR = 24


def disk(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")
    ] = Path("site.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Say whether the disk holds what is to be recorded today and in the six days after. Ends with 1 where not."""
    from kaozheng_service.clock import now
    from kaozheng_service.recording.forecast import forecast_disk, forecast_json
    from kaozheng_service.station import open_station

    station = open_station(load_site(config))
    found = forecast_disk(station, now())
    if as_json:
        typer.echo(json.dumps(forecast_json(found), ensure_ascii=False, indent=2))
    else:
        _print(station.site, found)
    raise typer.Exit(0 if found.fits else 1)


def _print(site: Site, found: Forecast) -> None:
    from rich.markup import escape
    from rich.table import Table

    from kaozheng_service.cli.tables import console
    from kaozheng_service.recording.forecast import GB
    from kaozheng_service.recording.rates import Basis

    usable = found.free_bytes - found.reserve_bytes
    console.print(f"{found.free_bytes / GB:.1f} GB free, {found.reserve_bytes / GB:g} GB of it kept back")
    table = Table(box=None)
    for name in ("day", "windows", "needed GB", "left GB", "used of what is free now"):
        table.add_column(name, justify="left" if name in ("day", "used of what is free now") else "right")
    for day in found.days:
        used = 1.0 if usable <= 0 else min((usable - day.left_bytes) / usable, 1.0)
        bar = "█" * round(used * BAR)
        table.add_row(
            day.on.isoformat(),
            str(day.windows),
            f"{day.needed_bytes / GB:.1f}",
            f"{day.left_bytes / GB:.1f}",
            f"{bar:░<{BAR}} " + ("[red]✗ too little[/red]" if day.left_bytes < 0 < day.needed_bytes else ""),
        )
    console.print(table)
    bases = [rate.basis for rate in found.rates.values()]
    console.print(
        f"{len(bases)} cameras: {bases.count(Basis.TAKES)} by their newest recordings, "
        f"{bases.count(Basis.INSPECTION)} by an inspection, {bases.count(Basis.ASSUMED)} assumed at 8 Mbit/s"
    )
    if assumed := found.assumed():
        console.print(f"never measured: {escape(', '.join(assumed))}", soft_wrap=True)
    first = found.first_short
    if first is None:
        console.print("[green]✓[/green] all of it fits")
        return
    begin = first.starts_at.astimezone(site.zone)
    exams = "exams alone do not fit either" if found.exams_short_bytes > 0 else "exams alone fit"
    console.print(
        f"[red]✗[/red] {found.short_bytes / GB:.1f} GB short, from {begin:%Y-%m-%d %H:%M} "
        f"{escape(first.room)} {escape(first.title)} on; {exams}",
        soft_wrap=True,
    )
