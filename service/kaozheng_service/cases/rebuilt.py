"""Rows of cases, holds and views made anew from their records, for a database that was lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from kaozheng_service.cases.tables import CaseStep, Hold, View
from kaozheng_service.clock import from_text

if TYPE_CHECKING:
    from kaozheng_service.station import Station

Body = dict[str, Any]


def _step(_station: Station, session: Session, body: Body, leaf: int) -> None:
    facts = body["facts"]
    session.add(
        CaseStep(
            case_id=body["case"],
            number=body["number"],
            step=body["step"],
            at=from_text(body["at"]),
            account=body["account"],
            name=body["name"],
            role=body["role"],
            console=body["console"],
            facts=json.dumps(facts, ensure_ascii=False, sort_keys=True),
            room_id=facts["room"] if body["step"] == "opened" else "",
            leaf=leaf,
        )
    )


def _hold(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(
        Hold(
            id=body["hold"],
            case_id=body["case"],
            room_id=body["room"],
            camera_ids=" ".join(body["cameras"]),
            starts_at=from_text(body["starts_at"]),
            ends_at=from_text(body["ends_at"]),
            reason=body["reason"],
            placed_at=from_text(body["at"]),
            placed_by=body["by"],
            leaf=leaf,
        )
    )
    session.flush()


def _released(_station: Station, session: Session, body: Body, leaf: int) -> None:
    hold = session.get_one(Hold, body["hold"])
    hold.released_at, hold.released_leaf = from_text(body["at"]), leaf
    hold.released_by, hold.release_reason = body["by"], body["reason"]


def _view(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(
        View(
            at=from_text(body["at"]),
            account=body["account"],
            name=body["name"],
            role=body["role"],
            room_id=body["room"],
            camera_ids=" ".join(body["cameras"]),
            starts_at=from_text(body["starts_at"]),
            ends_at=from_text(body["ends_at"]),
            case_id=body["case"],
            why=body["why"],
            leaf=leaf,
        )
    )


CASE_ROWS: dict[str, Callable[[Station, Session, Body, int], None]] = {
    "case.step": _step,
    "hold.placed": _hold,
    "hold.released": _released,
    "access": _view,
}

# As in ``recording/catching_up.py``: the table of each record's row, the column of its leaf, and what tells the row.
CASE_KEYS: dict[str, tuple[Any, str, Callable[[Body], Body]]] = {
    "case.step": (CaseStep, "leaf", lambda body: {"case_id": body["case"], "number": body["number"]}),
    "hold.placed": (Hold, "leaf", lambda body: {"id": body["hold"]}),
    "hold.released": (Hold, "released_leaf", lambda body: {"id": body["hold"]}),
    "access": (
        View,
        "leaf",
        lambda body: {"account": body["account"], "at": from_text(body["at"]), "why": body["why"]},
    ),
}
