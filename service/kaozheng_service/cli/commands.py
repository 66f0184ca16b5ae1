"""Every command, thin: read the arguments, call the part that does the work, print, exit."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from kaozheng_coverage.verdict import Outcome

from kaozheng_service.cli.card_commands import print_cards
from kaozheng_service.cli.reference_commands import reference_app
from kaozheng_service.cli.room_commands import room_app
from kaozheng_service.cli.timetable_commands import timetable_app
from kaozheng_service.cli.window_commands import window_app
from kaozheng_service.config.site import RoomConfig, Site, load_room, load_site
from kaozheng_service.errors import UserError
from kaozheng_service.logs import LogFormat, configure_logs

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Proves that an exam was watched: inspect rooms, record sessions, find, export and verify footage.",
)

app.add_typer(room_app, name="room")
app.add_typer(reference_app, name="reference")
app.add_typer(timetable_app, name="timetable")
app.add_typer(window_app, name="window")
app.command("cards")(print_cards)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")]
RoomOption = Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")]
SITE_FILE = Path("site.yaml")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the site file, for editors."""
    typer.echo(json.dumps(Site.model_json_schema(), ensure_ascii=False, indent=2))


@app.command()
def coverage(
    room: Annotated[str, typer.Argument(help="a room of the site, or the path of a room file")],
    config: ConfigOption = SITE_FILE,
    plan: Annotated[
        Path | None, typer.Option(help="write the plan with the verdicts to this SVG file")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="write plan, density, blind spots and each camera's view to this folder, SVG and PNG"
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, max=10000, help="worlds in which pose, lens and layout are off together")
    ] = 59,
    as_json: JsonOption = False,
) -> None:
    """Judge by geometry alone whether the cameras cover every seat and zone of a room."""
    from kaozheng_coverage.assess import assess_room
    from kaozheng_coverage.plan import plan_svg
    from kaozheng_coverage.report import verdict_json

    from kaozheng_service.cli.tables import TaskBars, print_verdict
    from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
    from kaozheng_service.inspection.plans import write_pictures

    site, entry = _room(room, config)
    geometry, cameras = room_geometry(entry), room_cameras(entry)
    with TaskBars(shown=not as_json) as bars:
        verdict = assess_room(
            geometry,
            cameras,
            room_profile(site, entry),
            draws=draws,
            progress=bars.task(f"judging {entry.name}"),
        )
        try:
            if pictures is not None:
                write_pictures(pictures, geometry, cameras, verdict, bars.task("drawing"))
            if plan is not None:
                plan.write_text(plan_svg(geometry, cameras, verdict), encoding="utf-8")
        except OSError as error:
            where = error.filename or pictures or plan
            raise UserError(f"{where}: cannot be written: {error.strerror}; name another place") from None
    if as_json:
        _print_json(verdict_json(verdict))
    else:
        print_verdict(geometry, verdict)
    raise typer.Exit(0 if verdict.outcome is Outcome.PASS else 1)


@app.command()
def inspect(
    config: ConfigOption = SITE_FILE,
    room: Annotated[
        list[str] | None, typer.Option("--room", "-r", help="only these rooms; all when left out")
    ] = None,
    seconds: Annotated[float, typer.Option(help="length of the test recording")] = 10.0,
    out: Annotated[Path, typer.Option(help="folder for the acceptance sheets")] = Path("inspection"),
    cards: Annotated[
        bool,
        typer.Option("--cards", help="the desk cards are set up: read them and hold them against the model"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check rooms before an exam: probe, diagnose, judge, record and verify; print the acceptance sheet."""
    from kaozheng_service.cli.tables import TaskBars, print_inspection
    from kaozheng_service.inspection.inspect import inspect_rooms, inspection_json
    from kaozheng_service.station import open_station

    site = load_site(config)
    ids = [site.room(name).id for name in room] if room else [entry.id for entry in site.rooms]
    with TaskBars(shown=not as_json) as bars:
        results = inspect_rooms(open_station(site), ids, seconds=seconds, out=out, cards=cards, progress=bars)
    if as_json:
        _print_json(
            {"schema": "kaozheng/inspections/1", "rooms": [inspection_json(result) for result in results]}
        )
    else:
        for result in results:
            print_inspection(result)
    raise typer.Exit(0 if all(result.outcome == "accepted" for result in results) else 1)


@app.command()
def serve(
    config: ConfigOption = SITE_FILE,
    port: Annotated[int, typer.Option(help="port of the pages and the API")] = 8080,
    host: Annotated[
        str, typer.Option(help="address to listen on; anyone who reaches it sees footage")
    ] = "127.0.0.1",
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log-format", help="console for people, json for programs: a line an event, times in UTC"
        ),
    ] = LogFormat.CONSOLE,
) -> None:
    """Run the recording daemon, the pages and the API until stopped. Recorders go on if this process dies."""
    from kaozheng_service.cli.serving import serve_site

    configure_logs(log_format)
    serve_site(load_site(config), host=host, port=port)


@app.command()
def record(
    config: ConfigOption = SITE_FILE,
    room: RoomOption = ...,  # type: ignore[assignment]
    length: Annotated[str, typer.Option("--for", help="how long, such as 40s, 15m or 2h")] = ...,  # type: ignore[assignment]
    title: Annotated[str, typer.Option(help="what is recorded, for the record")] = "manual recording",
    as_json: JsonOption = False,
) -> None:
    """Record all cameras of a room now."""
    from kaozheng_service.cli.tables import TaskBars, print_session
    from kaozheng_service.recording.windows import record_now
    from kaozheng_service.sessions.facts import facts_json, session_facts
    from kaozheng_service.station import open_station

    site = load_site(config)
    entry = site.room(room)
    station = open_station(site)
    with TaskBars(shown=not as_json) as bars:
        window = record_now(
            station,
            entry.id,
            [stream.id for stream in entry.streams],
            parse_length(length).total_seconds(),
            kind="manual",
            title=title,
            progress=bars.task(f"recording {entry.id}"),
        )
    facts = session_facts(station, window.id)
    if as_json:
        _print_json(facts_json(facts))
    else:
        print_session(site, facts)
    raise typer.Exit(0 if facts.result.verdict == "complete" else 1)


@app.command()
def find(
    config: ConfigOption = SITE_FILE,
    room: RoomOption = ...,  # type: ignore[assignment]
    at: Annotated[str, typer.Option(help='moment, such as "2024-11-23 09:30:15" in the site\'s time')] = ...,  # type: ignore[assignment]
    seat: Annotated[str | None, typer.Option(help="seat number")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the footage of a seat and moment: which cameras see it, best first, and in which file."""
    from kaozheng_service.cli.tables import print_found
    from kaozheng_service.disputes.find import find as find_footage
    from kaozheng_service.disputes.find import find_json, parse_moment
    from kaozheng_service.station import open_station

    site = load_site(config)
    result = find_footage(open_station(site), site.room(room).id, seat, parse_moment(at, site.zone))
    if as_json:
        _print_json(find_json(result))
    else:
        print_found(site, result)
    raise typer.Exit(0 if result.found else 1)


@app.command()
def export(
    config: ConfigOption = SITE_FILE,
    room: RoomOption = ...,  # type: ignore[assignment]
    start: Annotated[str, typer.Option("--from", help="begin of the range, in the site's time")] = ...,  # type: ignore[assignment]
    until: Annotated[str, typer.Option("--to", help="end of the range")] = ...,  # type: ignore[assignment]
    reason: Annotated[str, typer.Option(help="why, for the record")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="folder to make")] = ...,  # type: ignore[assignment]
    camera: Annotated[list[str] | None, typer.Option(help="only these cameras; all when left out")] = None,
    seat: Annotated[str | None, typer.Option(help="the seat that it is about, for the record")] = None,
    as_json: JsonOption = False,
) -> None:
    """Export footage as a BagIt bag that anyone can verify offline."""
    from kaozheng_service.cli.tables import TaskBars
    from kaozheng_service.disputes.export import ExportRequest, export_bag, export_json
    from kaozheng_service.disputes.find import parse_moment
    from kaozheng_service.station import open_station

    site = load_site(config)
    entry = site.room(room)
    cameras = (
        tuple(entry.stream(name).id for name in camera) if camera else tuple(one.id for one in entry.cameras)
    )
    request = ExportRequest(
        room_id=entry.id,
        camera_ids=cameras,
        starts_at=parse_moment(start, site.zone),
        ends_at=parse_moment(until, site.zone),
        reason=reason,
        seat=seat,
    )
    with TaskBars(shown=not as_json) as bars:
        result = export_bag(open_station(site), request, out, progress=bars.task("exporting"))
    if as_json:
        _print_json(export_json(result))
        return
    typer.echo(
        f"{result.path}: {result.segments} segments; check it anywhere with: python {result.path}/verify.py"
    )


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="an exported bag, or a site file to verify the whole archive")],
    key: Annotated[
        str | None, typer.Option(help="the site's public key as you know it from elsewhere")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="text or picture of a printed QR code: the export's log must go on from it; may be repeated"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an export, or an archive, and name whatever is wrong with it."""
    from kaozheng_service.cli.tables import TaskBars, print_verification
    from kaozheng_service.disputes.verify import report_json, verify_archive, verify_bag
    from kaozheng_service.sessions.scan import read_checkpoint
    from kaozheng_service.station import open_station

    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; give the folder of an export")
    if checkpoint and not path.is_dir():
        raise UserError("--checkpoint is for exports; hold it against the log with: kaozheng checkpoint FILE")
    printed = [read_checkpoint(one) for one in checkpoint or []]
    with TaskBars(shown=not as_json) as bars:
        progress = bars.task("verifying")
        if path.is_dir():
            report = verify_bag(path, trusted_key=key, progress=progress, printed=printed)
        else:
            report = verify_archive(open_station(load_site(path)), progress=progress)
    if as_json:
        _print_json(report_json(report))
    else:
        print_verification(report)
    raise typer.Exit(0 if report.outcome == "intact" else 1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("demo-out"),
    files: Annotated[
        bool, typer.Option("--files", help="looped files even where an RTSP server is installed")
    ] = False,
) -> None:
    """Do all of it on one room of the demo site, on generated footage."""
    from kaozheng_service.demo import run_demo

    raise typer.Exit(run_demo(out, force_files=files))


def parse_length(text: str) -> timedelta:
    """``40s``, ``15m`` or ``2h``. Raises UserError otherwise, and for lengths under a second or over a day."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)", text.strip())
    if match is None:
        raise UserError(f"--for {text!r} is not understood; write it as 40s, 15m or 2h")
    length = timedelta(seconds=float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])
    if not timedelta(seconds=1) <= length <= timedelta(days=1):
        raise UserError(f"--for {text!r}: between 1s and 24h, please")
    return length


def _room(name: str, config: Path) -> tuple[Site | None, RoomConfig]:
    if name.endswith((".yaml", ".yml")):
        return None, load_room(Path(name))
    site = load_site(config)
    return site, site.room(name)


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))
