"""Whether sessions were recorded: the numbers, the picture and the sheet to sign; thin, as every command."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from kaozheng_service.cli.commands import SITE_FILE, ConfigOption, JsonOption
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

WindowOption = Annotated[str | None, typer.Option("--window", "-w", help="a window's id")]
DayOption = Annotated[str | None, typer.Option("--day", help="all windows of a day, such as 2024-11-23")]


def completeness(
    config: ConfigOption = SITE_FILE,
    window: WindowOption = None,
    day: DayOption = None,
    room: Annotated[str | None, typer.Option("--room", "-r", help="only this room's windows")] = None,
    picture: Annotated[Path | None, typer.Option(help="draw the timelines to this SVG file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each window and camera what was expected, recorded, explained and neither; today's when nothing is named.

    Exit code 0 when every window is over and nothing of it is unexplained, 1 otherwise.
    """
    from kaozheng_service.cli.tables import print_session
    from kaozheng_service.sessions.facts import facts_json, session_facts, windows_of
    from kaozheng_service.sessions.picture import sessions_svg
    from kaozheng_service.station import open_station

    site = load_site(config)
    station = open_station(site)
    on = _day(day) if day else None
    if window is None and on is None and room is None:
        on = now().astimezone(site.zone).date()
    sessions = [session_facts(station, one) for one in windows_of(station, window=window, day=on, room=room)]
    if picture is not None:
        try:
            picture.write_text(sessions_svg(sessions, site.zone), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{picture}: cannot be written: {error.strerror}; name another place") from None
    if as_json:
        body = {"schema": "kaozheng/completeness-list/1", "windows": [facts_json(one) for one in sessions]}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        for one in sessions:
            print_session(site, one)
    raise typer.Exit(0 if all(one.settled for one in sessions) else 1)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"the day {text!r} is not understood; write it as 2024-11-23") from None
