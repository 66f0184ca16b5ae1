"""`kaozheng find` and `kaozheng mark`: from what is remembered to the footage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console, print_found
from kaozheng_service.cli.timetable_commands import ConfigOption, JsonOption, operator
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.database import Gap
from kaozheng_service.errors import UserError
from kaozheng_service.session_wording import mark_name
from kaozheng_service.station import Station, open_station

if TYPE_CHECKING:
    from kaozheng_service.disputes.search import SearchResult

mark_app = typer.Typer(no_args_is_help=True, help="Moments on a room's timeline, marked by people.")
SITE_FILE = Path("site.yaml")


def find(
    config: ConfigOption = SITE_FILE,
    room: Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")] = "",
    at: Annotated[
        str | None, typer.Option(help='moment, such as "2024-11-23 09:30:15" in the site\'s time')
    ] = None,
    seat: Annotated[str | None, typer.Option(help="seat number")] = None,
    candidate: Annotated[
        str | None, typer.Option(help="candidate number (准考证号): room and seat by the rosters")
    ] = None,
    batch: Annotated[str, typer.Option(help="certification batch (认定批次)")] = "",
    session: Annotated[str, typer.Option(help="session: a window's id, or part of its title (场次)")] = "",
    mark: Annotated[str, typer.Option(help="kind of mark, such as seal_opened or 启封")] = "",
    text: Annotated[str, typer.Option(help="words in the notes of marks")] = "",
    as_json: JsonOption = False,
) -> None:
    """Find footage: of a room and moment, a candidate, or a mark; or list windows and marks that fit.

    Of a seat it says which cameras see it, best first, and in which file. Exit code 1 where nothing was recorded, or
    where a candidate's seat is not known.
    """
    from kaozheng_service.disputes.moment import parse_moment
    from kaozheng_service.disputes.search import Sought, search, search_json

    site = load_site(config)
    station = open_station(site)
    moment = parse_moment(at, site.zone) if at is not None else None
    if candidate is not None:
        _of_candidate(station, candidate, moment, as_json)
    elif moment is not None:
        if not room:
            raise UserError("--room: 请写明考场 · name the room that --at is about")
        from kaozheng_service.disputes.find import find as find_footage
        from kaozheng_service.disputes.find import find_json

        result = find_footage(station, site.room(room).id, seat, moment)
        if as_json:
            _json(find_json(result))
        else:
            print_found(site, result)
        raise typer.Exit(0 if result.found else 1)
    else:
        found = search(station, Sought(room=room, batch=batch, session=session, mark=mark, text=text))
        if seat is not None:
            _at_marks(station, found, seat, as_json)
        if as_json:
            _json(search_json(found))
        else:
            _print_search(site, found)
        raise typer.Exit(0 if found.windows or found.loose else 1)


@mark_app.command("add")
def mark_add(
    room: Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")],
    at: Annotated[str, typer.Option(help='moment, such as "2024-11-23 09:30:15" in the site\'s time')],
    kind: Annotated[str, typer.Option(help="seal_opened, paper_handed_out, incident, or a word of your own")],
    note: Annotated[str, typer.Option(help="what was there")] = "",
    config: ConfigOption = SITE_FILE,
    by: Annotated[str | None, typer.Option(help="who marks it; your login when left out")] = None,
    as_json: JsonOption = False,
) -> None:
    """Mark a moment that has been; signed, and never changed."""
    from kaozheng_service.disputes.marks import add_mark
    from kaozheng_service.disputes.moment import parse_moment
    from kaozheng_service.disputes.search import mark_json

    site = load_site(config)
    row = add_mark(open_station(site), room, parse_moment(at, site.zone), kind, note, by or operator())
    if as_json:
        _json({"schema": "kaozheng/mark/1", **mark_json(row)})
    else:
        console.print(f"[green]✓[/green] 已标记 · marked: {mark_name(row.kind)}, 存证 record {row.leaf}")


def _of_candidate(station: Station, candidate: str, moment: Any, as_json: bool) -> None:
    from kaozheng_service.disputes.find import find_candidate, find_json

    found = find_candidate(station, candidate, moment)
    if as_json:
        _json(
            find_json(found[0])
            if len(found) == 1
            else {"schema": "kaozheng/finds/1", "found": [find_json(one) for one in found]}
        )
    else:
        for one in found:
            print_found(station.site, one)
            if one.candidate is not None and one.seat is None:
                console.print(
                    "[yellow]该考生的座位未知：抽签名单未导入，以下为整个考场 · the candidate's seat is not known: "
                    "no draw list was imported; this is the whole room[/yellow]",
                    soft_wrap=True,
                )
            if one.candidate is not None and one.candidate.shared:
                console.print(
                    f"[yellow]名单中还有考生在同一座位 · lists give this seat to others too: "
                    f"{', '.join(one.candidate.shared)}[/yellow]",
                    soft_wrap=True,
                )
    sure = all(
        one.found and one.seat is not None and one.candidate and not one.candidate.shared for one in found
    )
    raise typer.Exit(0 if sure else 1)


def _at_marks(station: Station, found: SearchResult, seat: str, as_json: bool) -> None:
    """The footage of a seat at each mark that was found."""
    from kaozheng_service.disputes.find import find as find_footage
    from kaozheng_service.disputes.find import find_json

    if not found.marks:
        raise UserError("没有符合的标记 · no mark fits; name --at, or a window with marks")
    results = [find_footage(station, one.room_id, seat, one.at) for one in found.marks]
    if as_json:
        _json({"schema": "kaozheng/finds/1", "found": [find_json(one) for one in results]})
    else:
        for one, result in zip(found.marks, results, strict=True):
            console.print(f"{mark_name(one.kind)} {escape(one.note)}")
            print_found(station.site, result)
    raise typer.Exit(0 if all(one.found for one in results) else 1)


def _print_search(site: Site, found: SearchResult) -> None:
    table = Table("时段 window", "起 from", "止 to", "场次 what", "批次 batch", "缺口 gaps", "标记 marks")
    for one in found.windows:
        begin, end = (edge.astimezone(site.zone) for edge in (one.window.starts_at, one.window.ends_at))
        marks = "; ".join(
            f"{mark.at.astimezone(site.zone):%T} {mark_name(mark.kind)} {mark.note}" for mark in one.marks
        )
        gaps = "; ".join(_gap(site, gap) for gap in one.gaps)
        words = (
            one.window.id,
            f"{begin:%F %R}",
            f"{end:%R}",
            one.window.title,
            one.window.batch or "",
            gaps,
            marks,
        )
        table.add_row(*(escape(word) for word in words))
    console.print(table)
    for mark in found.loose:
        console.print(
            escape(
                f"{mark.room_id} {mark.at.astimezone(site.zone):%F %T} {mark_name(mark.kind)} {mark.note}"
            ),
            soft_wrap=True,
        )


def _gap(site: Site, gap: Gap) -> str:
    first, last = (edge.astimezone(site.zone) for edge in (gap.starts_at, gap.ends_at))
    return f"{gap.camera_id} {first:%T}–{last:%T} {gap.cause}"


def _json(body: Any) -> None:
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
