"""`kaozheng alarms`: what was told, and whether the channels that tell it work."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

alarms_app = typer.Typer(no_args_is_help=True, help="What was told, and whether telling works.")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")]
SITE_FILE = Path("site.yaml")


@alarms_app.command("list")
def list_alarms(
    config: ConfigOption = SITE_FILE,
    only_open: Annotated[bool, typer.Option("--open", help="only those that last")] = False,
    days: Annotated[int, typer.Option(min=1, max=3650, help="how far back")] = 7,
    as_json: JsonOption = False,
) -> None:
    """List alarms, the newest first. Ends with 1 where one lasts."""
    from kaozheng_service.alarms.listing import alarm_list, alarm_list_json
    from kaozheng_service.cli.tables import print_alarms
    from kaozheng_service.clock import now
    from kaozheng_service.station import open_station

    station = open_station(load_site(config))
    since = None if only_open else now() - timedelta(days=days)
    found = alarm_list(station, since=since)
    if as_json:
        typer.echo(json.dumps(alarm_list_json(found), ensure_ascii=False, indent=2))
    else:
        print_alarms(station.site, found)
    raise typer.Exit(1 if any(one.alarm.cleared_at is None for one in found) else 0)


@alarms_app.command("test")
def try_all(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Send a test alarm through each channel of the site file and say what happened."""
    from kaozheng_service.alarms.listing import try_channels

    site = load_site(config)
    if not site.alarms.channels:
        raise UserError(
            f"{config}: no channel to test; add webhooks or mail under alarms: (docs/operations.md shows how)"
        )
    results = try_channels(site)
    if as_json:
        lines = [
            {"channel": one.channel, "target": one.target, "delivered": one.delivered, "why": one.why}
            for one in results
        ]
        body = {"schema": "kaozheng/alarm-test/1", "channels": lines}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        for one in results:
            said = "delivered" if one.delivered else "NOT delivered"
            typer.echo(f"{one.channel}: {said} to {one.target}" + (f": {one.why}" if one.why else ""))
    raise typer.Exit(0 if all(one.delivered and not one.why for one in results) else 1)
