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


def sheet(
    out: Annotated[Path, typer.Option(help="PDF file of the window, or folder for the day's sheets")],
    config: ConfigOption = SITE_FILE,
    window: WindowOption = None,
    day: DayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the session sheet of a window, or of all windows of a day, with the log's checkpoint, to be signed."""
    from kaozheng_service.sessions.facts import windows_of
    from kaozheng_service.sessions.printing import print_window
    from kaozheng_service.station import open_station

    if (window is None) == (day is None):
        raise UserError("name either a window with --window or a day with --day")
    station = open_station(load_site(config))
    if window is not None:
        sheets = [print_window(station, windows_of(station, window=window)[0], out)]
    else:
        ids = windows_of(station, day=_day(day or ""))
        sheets = [print_window(station, one, out / f"{one}.pdf") for one in ids]
    if as_json:
        printed = [
            {
                "window": one.window_id,
                "verdict": one.verdict,
                "path": str(one.path),
                "sha256": one.sha256,
                "log_size": one.log_size,
                "leaf": one.leaf,
            }
            for one in sheets
        ]
        typer.echo(
            json.dumps({"schema": "kaozheng/sheets/1", "sheets": printed}, ensure_ascii=False, indent=2)
        )
        return
    for one in sheets:
        typer.echo(f"{one.path}: {one.verdict.replace('_', ' ')}; log entry {one.leaf} names its SHA-256")


def checkpoint(
    path: Annotated[
        Path | None, typer.Argument(help="text of a sheet's QR code, or a photo, scan or PDF of the sheet")
    ] = None,
    scan: Annotated[
        Path | None, typer.Option("--scan", help="a photo, scan (JPEG, PNG) or PDF of the sheet, and no text")
    ] = None,
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """Hold the checkpoint on a signed sheet against today's log: nothing that was printed may have been rewritten."""
    from kaozheng_service.evidence.anchor import hold_against
    from kaozheng_service.sessions.scan import read_checkpoint, read_scan
    from kaozheng_service.station import open_station

    if scan is not None and path is None:
        text = read_scan(scan)
    elif path is not None and scan is None:
        text = read_checkpoint(path)
    else:
        raise UserError(
            "give one file: the checkpoint's text, or after --scan a photo, scan or PDF of the sheet"
        )
    found = hold_against(open_station(load_site(config)).log, text)
    if as_json:
        body = {
            "schema": "kaozheng/checkpoint/1",
            "holds": found.holds,
            "why": found.why or None,
            "size": found.size,
            "log_size": found.log_size,
        }
        typer.echo(json.dumps(body, indent=2))
    elif found.holds:
        typer.echo(
            f"holds: the log of {found.log_size} entries begins with the {found.size} that were printed"
        )
    else:
        typer.echo(
            f"does NOT hold, {found.why}: {_ANCHOR_FAULTS[found.why].format(found.size, found.log_size)}"
        )
    raise typer.Exit(0 if found.holds else 1)


_ANCHOR_FAULTS = {
    "shorter": "{0} entries were printed, the log has only {1}: its end was cut off",
    "changed": "the first {0} entries are not those that were printed: the log was rewritten",
    "inconsistent": "the first {0} entries stand, but today's signed head does not follow from them: "
    "what is derived from the log was changed",
}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"the day {text!r} is not understood; write it as 2024-11-23") from None
