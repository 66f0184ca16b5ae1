"""`kaozheng case`: a complaint from its opening to its closing, each step by somebody and on record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.acting import AsOption, acting
from kaozheng_service.cli.case_showing import case_span, print_case_facts, print_done, print_json
from kaozheng_service.cli.tables import console
from kaozheng_service.cli.timetable_commands import ConfigOption, JsonOption
from kaozheng_service.cli.window_commands import parse_day
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station, open_station

case_app = typer.Typer(no_args_is_help=True, help=__doc__)

SITE_FILE = Path("site.yaml")
CaseArgument = Annotated[str, typer.Argument(help="the case's id, see: kaozheng case list")]
FromOption = Annotated[
    str | None, typer.Option("--from", help="begin, in the site's time; the case's when left out")
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="end, in the site's time; the case's when left out")
]
CameraOption = Annotated[
    list[str] | None, typer.Option("--camera", help="only this camera; may be given again; all when left out")
]
ResultsOption = Annotated[
    str | None,
    typer.Option("--results-on", help="day on which the results became public, such as 2024-12-02"),
]


@case_app.command("open")
def open_(
    account: AsOption,
    reason: Annotated[str, typer.Option(help="what is complained of")],
    config: ConfigOption = SITE_FILE,
    requester: Annotated[str, typer.Option(help="who complains; the name is kept encrypted")] = "",
    candidate: Annotated[
        str | None, typer.Option(help="candidate number (准考证号), looked up in the roster")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="the window's id; its room and exam are the range")
    ] = None,
    room: Annotated[str | None, typer.Option("--room", "-r", help="room id, name or alias")] = None,
    seat: Annotated[str, typer.Option(help="seat number, if known")] = "",
    start: FromOption = None,
    until: ToOption = None,
    camera: CameraOption = None,
    batch: Annotated[str, typer.Option(help="certification batch; the window's when left out")] = "",
    results_on: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a case. Name a candidate, a window, or a room with --from and --to."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    complaint = _complaint(station, candidate, window, room, seat, start, until)
    case = desk.open_for(
        station,
        desk.Complaint(
            requester=requester,
            reason=reason,
            batch=batch,
            cameras=tuple(camera or ()),
            results_on=parse_day(results_on),
            **complaint,
        ),
        by,
        now(),
        console=True,
    )
    print_done(station, case, as_json)


@case_app.command("list")
def list_(
    config: ConfigOption = SITE_FILE,
    every: Annotated[bool, typer.Option("--all", help="also those that are closed")] = False,
    as_json: JsonOption = False,
) -> None:
    """Cases with their deadline; those that need somebody are marked."""
    from kaozheng_service.cases.book import load_cases
    from kaozheng_service.cases.facts import case_deadline, cases_json, last_day
    from kaozheng_service.cases.words import STATES, both

    station = _station(config)
    cases, at = load_cases(station, living=not every), now()
    if as_json:
        print_json(cases_json(station, cases, at))
        return
    table = Table()
    table.add_column("案号 case", no_wrap=True, min_width=14)
    for name in ("状态 state", "考场 room", "范围 range", "期限 deadline", "待办 to do"):
        table.add_column(name, overflow="fold")
    for case in cases:
        deadline = case_deadline(station.site, case)
        due = "?" if deadline is None else last_day(station.site, deadline)
        late = deadline is not None and case.state.value != "closed" and at >= deadline
        table.add_row(
            case.id,
            both(STATES[case.state]),
            escape(case.opened.room),
            case_span(station, case),
            f"[red]{due} 逾期 overdue[/red]" if late else due,
            "[red]核查紧急调阅 review the emergency access[/red]" if case.unreviewed else "",
        )
    console.print(table)


@case_app.command("show")
def show(case_id: CaseArgument, config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """A case with every step, hold and look."""
    from kaozheng_service.cases.book import load_case

    station = _station(config)
    print_case_facts(station, load_case(station, case_id), as_json)


@case_app.command("note")
def note(
    case_id: CaseArgument,
    text: Annotated[str, typer.Argument(help="what is to be remembered")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    results_on: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a note; with --results-on also the day from which the deadline counts."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    on = parse_day(results_on)
    print_done(station, desk.note(station, case_id, text, by, now(), results_on=on, console=True), as_json)


@case_app.command("request-access")
def request_access(
    case_id: CaseArgument,
    why: Annotated[str, typer.Option(help="what is to be found out")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    start: FromOption = None,
    until: ToOption = None,
    camera: CameraOption = None,
    minutes: Annotated[float | None, typer.Option(help="how long the viewing is to last")] = None,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="open it at once and alone; it is told, and must be reviewed")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the head to let footage be seen."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    asked: dict[str, Any] = {
        "cameras": camera or (),
        "starts_at": _moment(station, start),
        "ends_at": _moment(station, until),
        "console": True,
    }
    if emergency and minutes is not None:
        raise UserError(
            "--minutes: 紧急调阅时长由考点文件规定 · how long an emergency lasts stands in the site file"
        )
    if emergency:
        case = desk.open_emergency(station, case_id, why, by, now(), **asked)
    else:
        case = desk.request_access(station, case_id, why, by, now(), minutes=minutes, **asked)
    print_done(station, case, as_json)


@case_app.command("approve")
def approve(
    case_id: CaseArgument,
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    remark: Annotated[str, typer.Option("--note", help="a condition or remark")] = "",
    as_json: JsonOption = False,
) -> None:
    """The head lets the request that waits be seen."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    print_done(station, desk.approve(station, case_id, by, now(), remark=remark, console=True), as_json)


@case_app.command("refuse")
def refuse(
    case_id: CaseArgument,
    reason: Annotated[str, typer.Option(help="why, for the record")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """The head refuses the request that waits."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    print_done(station, desk.refuse(station, case_id, reason, by, now(), console=True), as_json)


@case_app.command("confirm")
def confirm(
    case_id: CaseArgument, account: AsOption, config: ConfigOption = SITE_FILE, as_json: JsonOption = False
) -> None:
    """Say to be present at an approved viewing; the second of two, of another role, opens it."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    print_done(station, desk.confirm_present(station, case_id, by, now(), console=True), as_json)


@case_app.command("review")
def review(
    case_id: CaseArgument,
    finding: Annotated[str, typer.Option(help="whether the access was right, and why")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    emergency: Annotated[int | None, typer.Option(help="its number; the oldest when left out")] = None,
    as_json: JsonOption = False,
) -> None:
    """The head notes what an emergency access was."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    case = desk.review(station, case_id, finding, by, now(), emergency=emergency, console=True)
    print_done(station, case, as_json)


@case_app.command("hold")
def hold(
    case_id: CaseArgument,
    reason: Annotated[str, typer.Option(help="why it must be kept")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    start: FromOption = None,
    until: ToOption = None,
    camera: CameraOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold footage: until it is released nothing of it is deleted, also after the case is closed."""
    from kaozheng_service.cases.book import load_case
    from kaozheng_service.cases.facts import hold_json
    from kaozheng_service.cases.holds import place_hold

    station = _station(config)
    by = acting(station, account)
    opened = load_case(station, case_id).opened
    row = place_hold(
        station,
        opened.room,
        _moment(station, start) or opened.starts_at,
        _moment(station, until) or opened.ends_at,
        reason,
        by,
        now(),
        cameras=camera or (),
        case_id=case_id,
    )
    if as_json:
        print_json({"schema": "kaozheng/hold/1", **hold_json(row)})
    else:
        console.print(f"[green]✓[/green] 已保全 · held: {row.id}, 存证 record {row.leaf}")


@case_app.command("release")
def release(
    hold_id: Annotated[str, typer.Argument(help="the hold's id, see: kaozheng case show")],
    reason: Annotated[str, typer.Option(help="why it need not be kept any longer")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """The head releases a hold."""
    from kaozheng_service.cases.facts import hold_json
    from kaozheng_service.cases.holds import release_hold

    station = _station(config)
    row = release_hold(station, hold_id, reason, acting(station, account), now())
    if as_json:
        print_json({"schema": "kaozheng/hold/1", **hold_json(row)})
    else:
        console.print(f"[green]✓[/green] 已解除保全 · released: {row.id}, 存证 record {row.released_leaf}")


@case_app.command("close")
def close(
    case_id: CaseArgument,
    result: Annotated[str, typer.Option(help="what came of it")],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """Close a case with its result; holds stay until they are released."""
    from kaozheng_service.cases import desk

    station = _station(config)
    by = acting(station, account)
    print_done(station, desk.close(station, case_id, result, by, now(), console=True), as_json)


@case_app.command("print")
def print_(
    case_id: CaseArgument,
    config: ConfigOption = SITE_FILE,
    out: Annotated[Path | None, typer.Option(help="the PDF to write; <case>.pdf when left out")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the case file: steps, approvals, looks, holds, deadline, places to sign."""
    from kaozheng_service.cases.printing import print_case

    path = print_case(_station(config), case_id, out or Path(f"{case_id}.pdf"), now())
    if as_json:
        print_json({"schema": "kaozheng/printed/1", "path": str(path)})
    else:
        typer.echo(str(path))


def _station(config: Path) -> Station:
    return open_station(load_site(config))


def _moment(station: Station, text: str | None) -> Any:
    from kaozheng_service.disputes.moment import parse_moment

    return parse_moment(text, station.site.zone) if text is not None else None


def _complaint(
    station: Station,
    candidate: str | None,
    window: str | None,
    room: str | None,
    seat: str,
    start: str | None,
    until: str | None,
) -> dict[str, Any]:
    """Room, range, seat and window of a complaint, from what was named."""
    from kaozheng_service.database import Window
    from kaozheng_service.roster.lookup import placements

    first, last = _moment(station, start), _moment(station, until)
    row: Window | None = None
    if candidate is not None and window is None and room is None:
        placed = placements(station, candidate, first)
        if len(placed) > 1:
            ids = ", ".join(one.window.id for one in placed)
            raise UserError(
                f"--candidate: 该考生有多场考试 · has several exams, name one with --window: {ids}"
            )
        window, seat = placed[0].window.id, seat or placed[0].seat or ""
    if window is not None:
        with station.sessions() as session:
            row = session.get(Window, window)
        if row is None:
            raise UserError(
                f"--window: 没有时段 {window} · there is no window {window!r}; see: kaozheng window list"
            )
    if row is not None:
        room = room or row.room_id
        first, last = first or row.exam_starts_at or row.starts_at, last or row.exam_ends_at or row.ends_at
    if room is None or first is None or last is None:
        raise UserError("请写明考场和时间 · name a candidate, a window, or --room with --from and --to")
    return {
        "room": room,
        "starts_at": first,
        "ends_at": last,
        "seat": seat,
        "candidate": candidate or "",
        "window": row.id if row is not None else "",
    }
