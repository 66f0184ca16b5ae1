"""`kaozheng window`: recordings outside the timetable, and stopping one for a signed reason."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from kaozheng_service.cli.tables import console
from kaozheng_service.cli.timetable_commands import ConfigOption, JsonOption, operator
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

window_app = typer.Typer(no_args_is_help=True, help=__doc__)


@window_app.command("add")
def add(
    room: Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")],
    start: Annotated[
        str, typer.Option("--from", help="begin, in the site's time; `now` for as soon as possible")
    ],
    until: Annotated[str, typer.Option("--to", help="end, in the site's time")],
    config: ConfigOption = Path("site.yaml"),
    kind: Annotated[str, typer.Option(help="such as manual, meeting, waiting or marking")] = "manual",
    title: Annotated[str, typer.Option(help="what is recorded, for the record")] = "",
    cameras: Annotated[
        list[str] | None,
        typer.Option("--cameras", help="only this camera; may be given again; all when left out"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Expect a recording; the service that runs records it."""
    from kaozheng_service.disputes.moment import parse_moment
    from kaozheng_service.recording.expectations import add_window, overlapping_windows
    from kaozheng_service.recording.supervisor import LEAD_S, TICK_S
    from kaozheng_service.recording.timetable_json import window_json
    from kaozheng_service.station import open_station

    site = load_site(config)
    station = open_station(site)
    soon = now() + timedelta(seconds=LEAD_S + 2 * TICK_S)
    begins = soon if start.strip().lower() == "now" else parse_moment(start, site.zone)
    window = add_window(
        station,
        room,
        begins,
        parse_moment(until, site.zone),
        kind=kind,
        title=title,
        camera_ids=[name for one in cameras or [] for name in one.split(",")],
    )
    if as_json:
        print(
            json.dumps({"schema": "kaozheng/window/1", **window_json(window)}, ensure_ascii=False, indent=2)
        )
        return
    for other in overlapping_windows(station, window):
        console.print(
            f"[yellow]▲[/yellow] {escape(other.id)} overlaps it: cameras are recorded twice meanwhile",
            soft_wrap=True,
        )
    console.print(
        f"[green]✓[/green] expected and signed as record {window.leaf}: {escape(window.id)}", soft_wrap=True
    )


@window_app.command("list")
def list_(
    config: ConfigOption = Path("site.yaml"),
    day: Annotated[
        str | None, typer.Option(help="a day, such as 2024-11-23; what is not over yet when left out")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What must be recorded, and what was cancelled."""
    from kaozheng_service.recording.expectations import stored_windows
    from kaozheng_service.recording.timetable_json import window_state, windows_json
    from kaozheng_service.station import open_station

    site = load_site(config)
    windows = stored_windows(open_station(site), parse_day(day))
    if as_json:
        print(json.dumps(windows_json(windows), ensure_ascii=False, indent=2))
        return
    # The id whole on any screen, for it is what `cancel` is given; the others fold, and none is left out.
    table = Table(
        Column("window", no_wrap=True, min_width=max((len(one.id) for one in windows), default=6)),
        Column("from", min_width=10, overflow="fold"),
        Column("to", overflow="fold"),
        Column("room", overflow="fold"),
        Column("what", overflow="fold"),
        Column("state", min_width=9, overflow="fold"),
        box=None,
        padding=(0, 1, 0, 0),
    )
    for window in windows:
        begin, end = (moment.astimezone(site.zone) for moment in (window.starts_at, window.ends_at))
        state = window_state(window, now())
        if window.cancelled_at is not None:
            at = window.cancelled_at.astimezone(site.zone)
            state = f"{state}; cancelled {at:%F %T}: {window.cancel_reason}"
        table.add_row(
            escape(window.id),
            f"{begin:%F %R}",
            f"{end:%R}" if end.date() == begin.date() else f"{end:%F %R}",
            escape(window.room_id),
            escape(window.title),
            escape(state),
        )
    console.print(table)


@window_app.command("cancel")
def cancel(
    window: Annotated[str, typer.Argument(help="the window's id, see: kaozheng window list")],
    reason: Annotated[str, typer.Option(help="why, for the signed record")],
    config: ConfigOption = Path("site.yaml"),
    by: Annotated[str | None, typer.Option(help="who decided it; your login when left out")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a window before it begins, or stop one that runs: its rest then stays a signed gap."""
    from kaozheng_service.recording.expectations import cancel_window
    from kaozheng_service.recording.timetable_json import window_json
    from kaozheng_service.station import open_station

    site = load_site(config)
    row = cancel_window(open_station(site), window, reason, by or operator())
    if as_json:
        print(json.dumps({"schema": "kaozheng/window/1", **window_json(row)}, ensure_ascii=False, indent=2))
    elif row.is_void:
        console.print(f"[green]✓[/green] cancelled before it began, signed as record {row.cancelled_leaf}")
    else:
        console.print(
            f"[yellow]▲[/yellow] it had begun: the service ends its recorders, and the rest of it becomes a signed "
            f"gap (record {row.cancelled_leaf})",
            soft_wrap=True,
        )


def parse_day(text: str | None) -> date | None:
    """``2024-11-23``; UserError for another form."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"the day {text!r} is not understood; write it as 2024-11-23") from None
