"""A case as people and programs are shown it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from kaozheng_service.cases.case import Case
from kaozheng_service.cases.holds import list_holds
from kaozheng_service.cases.register import registered, view_json
from kaozheng_service.cases.steps import State, step_facts
from kaozheng_service.cases.tables import Hold
from kaozheng_service.clock import to_text
from kaozheng_service.config.site import Site
from kaozheng_service.sealed_names import load_or_make_name_key
from kaozheng_service.station import Station


def case_deadline(site: Site, case: Case) -> datetime | None:
    """When a case must be settled; None where the day of the results is not known."""
    return case.deadline(site.calendar, site.cases.result_days, site.zone)


def last_day(site: Site, deadline: datetime) -> str:
    """The day that a deadline ends, as people say it: midnight belongs to the day before."""
    return f"{(deadline - timedelta(microseconds=1)).astimezone(site.zone):%Y-%m-%d} 24:00"


def requester_of(station: Station, case: Case) -> str:
    """The requester's name, opened with the site's key; "" where none was named."""
    if not case.opened.requester:
        return ""
    return load_or_make_name_key(station.state / "keys").open(case.opened.requester)


def cases_json(station: Station, cases: list[Case], at: datetime) -> dict[str, Any]:
    """Schema ``kaozheng/cases/1``: each without its steps, and without the requester."""
    return {"schema": "kaozheng/cases/1", "cases": [_head_json(station.site, one, at) for one in cases]}


def case_json(station: Station, case: Case, at: datetime) -> dict[str, Any]:
    """Schema ``kaozheng/case/1``. ``requester`` is the name in plain words: for who may see a case alone."""
    return {
        "schema": "kaozheng/case/1",
        **_head_json(station.site, case, at),
        "requester": requester_of(station, case),
        "steps": [
            {
                "number": one.number,
                "at": to_text(one.at),
                "step": one.step.kind,
                "account": one.by.account,
                "name": one.by.name,
                "role": one.by.role.value,
                "console": one.console,
                "facts": {name: value for name, value in step_facts(one.step).items() if name != "requester"},
                "leaf": one.leaf,
            }
            for one in case.steps
        ],
        "holds": [hold_json(one) for one in list_holds(station, case_id=case.id)],
        "views": [view_json(one) for one in registered(station).views if one.case_id == case.id],
    }


def hold_json(row: Hold) -> dict[str, Any]:
    return {
        "id": row.id,
        "case": row.case_id,
        "room": row.room_id,
        "cameras": row.camera_ids.split(),
        "from": to_text(row.starts_at),
        "to": to_text(row.ends_at),
        "reason": row.reason,
        "placed_at": to_text(row.placed_at),
        "placed_by": row.placed_by,
        "leaf": row.leaf,
        "released_at": to_text(row.released_at) if row.released_at is not None else None,
        "released_by": row.released_by,
        "release_reason": row.release_reason,
        "released_leaf": row.released_leaf,
    }


def _head_json(site: Site, case: Case, at: datetime) -> dict[str, Any]:
    opened, deadline = case.opened, case_deadline(site, case)
    viewing = next((one.viewing for one in case.requests if one.viewing and one.viewing.is_open(at)), None)
    return {
        "id": case.id,
        "state": case.state.value,
        "batch": opened.batch,
        "window": opened.window,
        "room": opened.room,
        "cameras": opened.cameras,
        "seat": opened.seat,
        "candidate": opened.candidate,
        "from": to_text(opened.starts_at),
        "to": to_text(opened.ends_at),
        "reason": opened.reason,
        "opened_at": to_text(case.steps[0].at),
        "results_on": case.results_on.isoformat() if case.results_on is not None else None,
        "deadline": to_text(deadline) if deadline is not None else None,
        "overdue": None if deadline is None or case.state is State.CLOSED else at >= deadline,
        "viewing_until": to_text(viewing.until) if viewing is not None else None,
        "unreviewed": [one.number for one in case.unreviewed],
        "result": case.result,
    }
