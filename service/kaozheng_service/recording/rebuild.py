"""Rows made anew from records of the signed log, one kind at a time; ``catching_up.py`` says when.

A record tells all that its row does, but for what never was evidence: messages of alarms, how far a backfill has come,
and the full results of inspections, which stand in files of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from kaozheng_service.cases.rebuilt import CASE_ROWS
from kaozheng_service.clock import from_text
from kaozheng_service.database import (
    Alarm,
    BackfilledSegment,
    BackfilledTake,
    Gap,
    Healing,
    Holder,
    Mark,
    Reference,
    Segment,
    Take,
    Window,
)
from kaozheng_service.recording.camera import footage_folder
from kaozheng_service.recording.media import read_facts
from kaozheng_service.station import Station

Body = dict[str, Any]
_DATED = ("run", "step_s", "boot", "boot_s", "clock", "clock_error_s", "first_pts_s", "last_pts_s")
_PIECES = ("fragments", "fragments_root")


def _window(station: Station, session: Session, body: Body, leaf: int) -> None:
    exam = [from_text(at) if (at := body.get(name)) else None for name in ("exam_starts_at", "exam_ends_at")]
    session.add(
        Window(
            id=body["window"],
            room_id=body["room"],
            kind=body.get("activity") or body["window"].rpartition("-")[2],
            title=body["title"],
            batch=body.get("batch"),
            camera_ids=" ".join(body["cameras"]),
            starts_at=from_text(body["starts_at"]),
            ends_at=from_text(body["ends_at"]),
            exam_starts_at=exam[0],
            exam_ends_at=exam[1],
            origin=body.get("origin"),
            leaf=leaf,
        )
    )
    session.flush()


def _window_cancelled(_station: Station, session: Session, body: Body, leaf: int) -> None:
    window = session.get_one(Window, body["window"])
    window.cancelled_at, window.cancelled_leaf = from_text(body["at"]), leaf
    window.cancel_reason, window.cancelled_by = body["reason"], body["by"]


def _window_closed(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.get_one(Window, body["window"]).closed_leaf = leaf


def _hold(session: Session, body: Body) -> None:
    """Tokens never start anew, or an old holder could take itself for the newest."""
    token = body.get("token")
    if token is None:
        return
    row = session.get(Holder, body["window"])
    if row is None:
        row = Holder(window_id=body["window"], node="", token=token, until=from_text(body["at"]))
        session.add(row)
    row.token = max(row.token, token)


def _take(station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(
        Take(
            id=body["take"],
            window_id=body["window"],
            room_id=body["room"],
            camera_id=body["camera"],
            number=body["number"],
            folder=_folder(station, session, body),
            opened_at=from_text(body["at"]),
            token=body.get("token"),
            leaf=leaf,
        )
    )
    _hold(session, body)
    session.flush()


def _take_closed(_station: Station, session: Session, body: Body, leaf: int) -> None:
    take = session.get_one(Take, body["take"])
    session.flush()
    last = session.scalar(select(func.max(Segment.ends_at)).where(Segment.take_id == take.id))
    take.closed_at = last or from_text(body["at"])
    take.end_cause, take.end_detail, take.closed_leaf = body["cause"], body["detail"], leaf


def _take_copied(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.get_one(Take, body["take"]).copied_leaf = leaf


def _segment(station: Station, session: Session, body: Body, leaf: int) -> None:
    dated = {name: body.get(name) for name in (*_DATED, *_PIECES)}
    session.add(Segment(**_file(station, body), **dated, leaf=leaf))
    if not body["previous"]:
        take = session.get_one(Take, body["take"])
        take.opened_at, take.folder = from_text(body["starts_at"]), Path(body["path"]).parent.as_posix()


def _deleted(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.flush()
    for table in (Segment, BackfilledSegment):
        here = table.path == body["path"], table.deleted_leaf.is_(None)
        session.execute(update(table).where(*here).values(deleted_leaf=leaf))


def _gap(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(Gap(**span(body), cause=body["cause"], detail=body["detail"], leaf=leaf))


def _mark(_station: Station, session: Session, body: Body, leaf: int) -> None:
    at = from_text(body["moment"])
    by = body.get("by") or None
    session.add(Mark(room_id=body["room"], at=at, kind=body["mark"], note=body["note"], by=by, leaf=leaf))


def _alarm(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(
        Alarm(
            window_id=body["window"] or None,
            room_id=body["room"],
            camera_id=body["camera"],
            kind=body["alarm"],
            detail=body["detail"],
            raised_at=from_text(body["raised_at"]),
            leaf=leaf,
        )
    )


def _alarm_cleared(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.flush()
    found = session.scalars(
        select(Alarm).where(
            Alarm.room_id == body["room"],
            Alarm.camera_id == body["camera"],
            Alarm.kind == body["alarm"],
            same(Alarm.raised_at, from_text(body["raised_at"])),
        )
    ).first()
    if found is not None:
        found.cleared_at, found.ended = from_text(body["cleared_at"]), body["ended"]
        found.cleared_leaf = leaf


def _reference(_station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(
        Reference(
            room_id=body["room"],
            camera_id=body["camera"],
            light=body["light"],
            at=from_text(body["at"]),
            inspection_id=body["inspection"],
            path=reference_path(body),
            sha256=body["sha256"],
            leaf=leaf,
        )
    )


def reference_path(body: Body) -> str:
    """Where an accepted view lies, from the state folder on."""
    return f"references/{body['room']}/{body['camera']}/{body['inspection']}-{body['light']}.png"


def _backfill(station: Station, session: Session, body: Body, leaf: int) -> None:
    session.add(
        BackfilledTake(
            id=body["take"],
            window_id=body["window"],
            room_id=body["room"],
            camera_id=body["camera"],
            number=body["number"],
            folder=_folder(station, session, body),
            gap_id=_gap_id(session, body["gap"]),
            gap=body["gap"],
            source=body["source"],
            asked_from=from_text(body["asked_from"]),
            asked_to=from_text(body["asked_to"]),
            time_source=body["time_source"],
            uncertainty_s=body["uncertainty_s"],
            fetched_at=from_text(body["fetched_at"]),
            end_cause="",
            end_detail="",
            leaf=leaf,
        )
    )
    session.flush()


def _backfill_segment(station: Station, session: Session, body: Body, leaf: int) -> None:
    known = {name: body.get(name) for name in ("overlapping_s", "first_pts_s", *_PIECES)}
    session.add(BackfilledSegment(**_file(station, body), **known, leaf=leaf))


def _backfill_closed(_station: Station, session: Session, body: Body, leaf: int) -> None:
    take = session.get_one(BackfilledTake, body["take"])
    take.end_cause, take.end_detail, take.closed_leaf = body["cause"], body["detail"], leaf


def _healed(_station: Station, session: Session, body: Body, leaf: int) -> None:
    gap_id = _gap_id(session, body["gap"])
    session.add(Healing(**span(body), gap_id=gap_id, gap=body["gap"], take_id=body["take"], leaf=leaf))


def _gap_id(session: Session, leaf: int) -> int:
    session.flush()
    return session.scalars(select(Gap.id).where(Gap.leaf == leaf)).one()


def same(column: InstrumentedAttribute[Any], value: Any) -> ColumnElement[bool]:
    """That a column holds what a record says, whose times are cut to the millisecond; an alarm's row is not."""
    if isinstance(value, datetime):
        return column.between(value, value + timedelta(microseconds=999))
    return column.is_(None) if value is None else column == value


def span(body: Body) -> Body:
    """The columns of a row that is about a part of one camera's window."""
    return {
        "window_id": body["window"],
        "room_id": body["room"],
        "camera_id": body["camera"],
        "starts_at": from_text(body["starts_at"]),
        "ends_at": from_text(body["ends_at"]),
    }


def _file(station: Station, body: Body) -> Body:
    """What a segment's record and file say; records of version 0.1.0 leave the form of the picture to the file."""
    form = {name: body.get(name) for name in ("codec", "width", "height")}
    path = station.archive / body["path"]
    if form["codec"] is None:
        facts = read_facts(path) if path.is_file() else None
        form = {
            "codec": facts.codec if facts else "",
            "width": facts.width if facts else 0,
            "height": facts.height if facts else 0,
        }
    return form | {
        "take_id": body["take"],
        "room_id": body["room"],
        "camera_id": body["camera"],
        "number": body["number"],
        "path": body["path"],
        "bytes": body["bytes"],
        "sha256": body["sha256"],
        "starts_at": from_text(body["starts_at"]),
        "ends_at": from_text(body["ends_at"]),
        "frames": body["frames"],
    }


def _folder(station: Station, session: Session, body: Body) -> str:
    folder = footage_folder(station, session.get_one(Window, body["window"]), body["camera"])
    name = str(body["take"]).rpartition("/")[2]
    return (folder / name).relative_to(station.archive).as_posix()


ROWS: dict[str, Callable[[Station, Session, Body, int], None]] = {
    "window.expected": _window,
    "window.cancelled": _window_cancelled,
    "window.closed": _window_closed,
    "take.opened": _take,
    "take.closed": _take_closed,
    "take.copied": _take_copied,
    "segment": _segment,
    "segment.deleted": _deleted,
    "gap": _gap,
    "mark": _mark,
    "alarm.raised": _alarm,
    "alarm.cleared": _alarm_cleared,
    "reference.accepted": _reference,
    "backfill.opened": _backfill,
    "backfill.segment": _backfill_segment,
    "backfill.closed": _backfill_closed,
    "gap.healed": _healed,
    **CASE_ROWS,
}
