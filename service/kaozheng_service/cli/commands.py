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
from kaozheng_service.cli.case_commands import case_app
from kaozheng_service.cli.decrypt_command import decrypt, new_passphrase
from kaozheng_service.cli.find_command import find, mark_app
from kaozheng_service.cli.reference_commands import reference_app
from kaozheng_service.cli.retention_commands import retention_app
from kaozheng_service.cli.room_commands import room_app
from kaozheng_service.cli.roster_commands import roster_app
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
app.add_typer(case_app, name="case")
app.add_typer(roster_app, name="roster")
app.add_typer(mark_app, name="mark")
app.add_typer(retention_app, name="retention")
app.command()(find)
app.command("cards")(print_cards)
app.command("decrypt")(decrypt)

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
        str,
        typer.Option(
            help="address to listen on; beyond the machine itself put a proxy with a certificate before it"
        ),
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
def export(
    config: ConfigOption = SITE_FILE,
    room: RoomOption = ...,  # type: ignore[assignment]
    start: Annotated[str, typer.Option("--from", help="begin of the range, in the site's time")] = ...,  # type: ignore[assignment]
    until: Annotated[str, typer.Option("--to", help="end of the range")] = ...,  # type: ignore[assignment]
    reason: Annotated[str, typer.Option(help="why, for the record")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="folder to make")] = ...,  # type: ignore[assignment]
    camera: Annotated[list[str] | None, typer.Option(help="only these cameras; all when left out")] = None,
    seat: Annotated[str | None, typer.Option(help="the seat that it is about, for the record")] = None,
    cut: Annotated[
        bool,
        typer.Option("--cut", help="of the first and last files only what the range needs; it proves itself"),
    ] = False,
    by: Annotated[
        str | None, typer.Option(help="who exports, for the record; this account when left out")
    ] = None,
    case: Annotated[
        str | None, typer.Option(help="the case that it is for, of which a viewing must be open; with --as")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--as", metavar="ACCOUNT", help="one of the two present")
    ] = None,
    mask_others: Annotated[
        bool, typer.Option("--mask-others", help="add copies in which every seat but --seat is masked")
    ] = False,
    masked_out: Annotated[
        Path | None, typer.Option(help="make this folder too, of the masked copies alone, for a complainant")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="add one video of all cameras on one axis of time")
    ] = False,
    encrypt_to: Annotated[
        list[str] | None,
        typer.Option(help="encrypt for this age1... key, or a file of keys; may be given again"),
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="encrypt with a passphrase, which is asked for")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Export footage as a BagIt bag that anyone can verify offline.

    With --encrypt-to or --passphrase, --out is one file that ends in .tar.age.
    """
    from kaozheng_service.cli.acting import acting
    from kaozheng_service.cli.tables import TaskBars
    from kaozheng_service.cli.timetable_commands import operator
    from kaozheng_service.disputes.case_export import export_for_case
    from kaozheng_service.disputes.derived import Extras
    from kaozheng_service.disputes.encrypted import Lock, export_encrypted, read_recipients
    from kaozheng_service.disputes.export import ExportRequest, ExportResult, export_bag, export_json
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
        by=by or operator(),
        cut=cut,
    )
    if (case is None) != (account is None):
        raise UserError("--case 与 --as 须一起写明 · --case and --as go together")
    extras = Extras(mask_others=mask_others, together=together, masked_out=masked_out)
    locked = bool(encrypt_to) or passphrase
    if locked and masked_out is not None:
        raise UserError(
            "--masked-out is not encrypted; leave it out, or leave --encrypt-to and --passphrase out"
        )
    lock = Lock(read_recipients(encrypt_to or []), new_passphrase() if passphrase else None)
    station = open_station(site)
    with TaskBars(shown=not as_json) as bars:
        progress = bars.task("exporting")

        def export_it() -> ExportResult:
            if locked:
                return export_encrypted(station, request, out, lock, progress, extras=extras)
            return export_bag(station, request, out, progress, extras=extras)

        if case is None or account is None:
            result = export_it()
        else:
            result = export_for_case(station, case, acting(station, account), request, export_it)
    if as_json:
        _print_json(export_json(result))
        return
    cut_to_range = f", {result.parts} of the files cut to the range" if result.parts else ""
    made = f"{result.path}: {result.segments} segments{cut_to_range}"
    if locked:
        typer.echo(f"{made}, encrypted; open it with: kaozheng decrypt {result.path}")
    else:
        typer.echo(f"{made}; check it anywhere with: python {result.path}/verify.py")
        if masked_out is not None:
            typer.echo(f"{masked_out}: masked copies alone; watch them before you hand them over")


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
