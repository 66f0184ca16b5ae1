"""Cases as `kaozheng case` shows them, in words and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console
from kaozheng_service.clock import now
from kaozheng_service.station import Station

if TYPE_CHECKING:
    from kaozheng_service.cases.case import Case


def case_span(station: Station, case: Case) -> str:
    first, last = (one.astimezone(station.site.zone) for one in (case.opened.starts_at, case.opened.ends_at))
    return f"{first:%F %T}–{last:%T}"


def print_done(station: Station, case: Case, as_json: bool) -> None:
    from kaozheng_service.cases.book import load_case
    from kaozheng_service.cases.words import STATES, both

    if as_json:
        print_case_facts(station, load_case(station, case.id), as_json=True)
        return
    signed = load_case(station, case.id).steps[-1].leaf
    console.print(f"[green]✓[/green] {case.id}: {both(STATES[case.state])}, 存证 record {signed}")
    viewing = case.requests[-1].viewing if case.requests else None
    if viewing is not None and viewing.is_open(now()):
        until = viewing.until.astimezone(station.site.zone)
        console.print(f"两人在场，查阅至 · two are present, the viewing is open until {until:%F %T}")


def print_case_facts(station: Station, case: Case, as_json: bool) -> None:
    from kaozheng_service.cases.facts import case_deadline, case_json, last_day, requester_of
    from kaozheng_service.cases.holds import list_holds
    from kaozheng_service.cases.printing import step_words
    from kaozheng_service.cases.words import ROLES, STATES, STEPS, both

    if as_json:
        print_json(case_json(station, case, now()))
        return
    site, opened = station.site, case.opened
    deadline = case_deadline(site, case)
    due = "不能判定 · cannot judge: --results-on" if deadline is None else last_day(site, deadline)
    facts = [
        ("状态 state", both(STATES[case.state])),
        ("申请人 requester", requester_of(station, case) or "—"),
        ("考场 room", f"{opened.room} {opened.seat}".strip()),
        ("准考证号 candidate", opened.candidate or "—"),
        ("范围 range", case_span(station, case)),
        ("期限 deadline", due),
    ]
    for name, words in facts:
        console.print(f"{name}: {escape(words)}", soft_wrap=True)
    table = Table("序", "时间 at", "事项 step", "经办 by", "内容", "存证 record", title=case.id)
    for one in case.steps:
        table.add_row(
            str(one.number),
            f"{one.at.astimezone(site.zone):%F %T}",
            both(STEPS[one.step.kind]),
            escape(f"{one.by.name} ({ROLES[one.by.role][0]})"),
            escape(step_words(site, one)),
            str(one.leaf),
        )
    console.print(table)
    for row in list_holds(station, case_id=case.id):
        state = "生效中 in force" if row.released_at is None else "已解除 released"
        console.print(f"{row.id}: {state}: {escape(row.reason)}", soft_wrap=True)


def print_json(body: dict[str, Any]) -> None:
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
