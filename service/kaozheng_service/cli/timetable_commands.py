"""`kaozheng timetable`: what the exam office's timetable means, and taking it over."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console
from kaozheng_service.config.site import Site, load_site

if TYPE_CHECKING:
    from kaozheng_service.recording.timetable_import import Change, Imported, Preview

timetable_app = typer.Typer(no_args_is_help=True, help=__doc__)

FileArgument = Annotated[Path, typer.Argument(help="the 考场安排表, Excel (.xlsx) or CSV")]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", envvar="KAOZHENG_SITE", help="the site file")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")]

_MARKS = {
    "new": "[green]+ new[/green]",
    "unchanged": "= unchanged",
    "changed": "[yellow]~ changed[/yellow]",
    "gone": "[red]- no longer there[/red]",
    "outside": "[yellow]? of other days, stays[/yellow]",
    "running": "[yellow]! has begun, stays[/yellow]",
    "over": "· over",
}


def operator() -> str:
    """Who runs this command, for the record."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


@timetable_app.command("preview")
def preview_(
    file: FileArgument, config: ConfigOption = Path("site.yaml"), as_json: JsonOption = False
) -> None:
    """Show the windows that a timetable means, what is doubtful, and what would change. Nothing is written."""
    from kaozheng_service.recording.timetable_import import preview_timetable
    from kaozheng_service.recording.timetable_json import timetable_json
    from kaozheng_service.station import open_station

    site = load_site(config)
    preview = preview_timetable(open_station(site), file)
    if as_json:
        print(json.dumps(timetable_json(preview), ensure_ascii=False, indent=2))
    else:
        _print_preview(site, preview)


@timetable_app.command("import")
def import_(
    file: FileArgument,
    config: ConfigOption = Path("site.yaml"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    as_json: JsonOption = False,
) -> None:
    """Sign the windows of a timetable as expected, and cancel those that are no longer in it. Shows them and asks.

    A service that runs takes the new ones up by itself. The same file twice changes nothing.
    """
    from kaozheng_service.recording.timetable_import import import_timetable, preview_timetable
    from kaozheng_service.recording.timetable_json import timetable_json
    from kaozheng_service.recording.timetable_notice import clear_notice
    from kaozheng_service.station import open_station

    site = load_site(config)
    station = open_station(site)
    preview = preview_timetable(station, file)
    if not as_json:
        _print_preview(site, preview)
    if preview.changes_anything and not yes and not typer.confirm("Make it so?", err=True):
        console.print("Nothing was changed.")
        raise typer.Exit(1)
    done = import_timetable(station, preview, operator())
    if site.timetable is not None and (site.folder / site.timetable).resolve() == file.resolve():
        clear_notice(station)
    if as_json:
        print(json.dumps(timetable_json(preview, done), ensure_ascii=False, indent=2))
    else:
        _print_done(done)


def _print_preview(site: Site, preview: Preview) -> None:
    table = Table(
        "", "from", "to", "room", "what", "exam", "cameras", title=escape(str(preview.timetable.path))
    )
    for change in preview.changes:
        window = change.window
        begin, end = (moment.astimezone(site.zone) for moment in (window.starts_at, window.ends_at))
        exam = ""
        if window.exam_starts_at is not None and window.exam_ends_at is not None:
            times = (window.exam_starts_at, window.exam_ends_at)
            exam = "–".join(f"{one.astimezone(site.zone):%R}" for one in times)
        table.add_row(
            _mark(change),
            f"{begin:%F %R}",
            f"{end:%R}" if end.date() == begin.date() else f"{end:%F %R}",
            escape(window.room_id),
            escape(window.title),
            exam,
            str(len(window.cameras)),
        )
    console.print(table)
    for warning in preview.warnings:
        console.print(f"[yellow]▲[/yellow] {escape(warning)}", soft_wrap=True)
    counts = [
        f"{len(found)} {state}"
        for state in _MARKS
        if (found := [one for one in preview.changes if one.state == state])
    ]
    console.print(f"{len(preview.timetable.sessions)} sessions; windows: {', '.join(counts) or 'none'}")


def _mark(change: Change) -> str:
    differs = f": {', '.join(change.differs)}" if change.differs else ""
    return f"{_MARKS[change.state.value]}{differs}"


def _print_done(done: Imported) -> None:
    if not done.expected and not done.cancelled:
        console.print("Nothing had to be changed.")
        return
    console.print(
        f"[green]✓[/green] {len(done.expected)} windows expected, {len(done.cancelled)} cancelled, all signed"
    )
