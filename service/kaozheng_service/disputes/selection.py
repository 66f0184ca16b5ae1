"""What an export must hold: footage of a range, and every record that explains it or bounds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from kaozheng_service.clock import to_text
from kaozheng_service.database import (
    Backfill,
    BackfilledSegment,
    BackfilledTake,
    Gap,
    Healing,
    Segment,
    Take,
    Window,
)
from kaozheng_service.disputes.standalone.anchors import WITH_FILES
from kaozheng_service.disputes.standalone.records import Record, Span, parse_record
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.station import Station


@dataclass(frozen=True, slots=True)
class Footage:
    """One original: its signed record, where it is in the archive, and its codec."""

    record: Record
    path: str
    codec: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """``records`` are in the log's order: windows, takes, gaps, the footage's own and those of its neighbours.

    ``backfilled`` is footage that came afterwards, for gaps: never recorded by us.
    """

    footage: tuple[Footage, ...]
    records: tuple[Record, ...]
    backfilled: tuple[Footage, ...] = ()

    @property
    def originals(self) -> tuple[Footage, ...]:
        """What is handed over: recorded first, then backfilled."""
        return (*self.footage, *self.backfilled)

    def of_kind(self, kind: str, camera_id: str | None = None) -> list[Record]:
        """Records of one kind, of one camera or all."""
        found = [record for record in self.records if record.kind == kind]
        return [record for record in found if camera_id is None or record.camera == camera_id]


def select_footage(station: Station, room_id: str, camera_ids: Sequence[str], span: Span) -> Selection:
    """Originals that hold any moment of ``span``, by camera, take and number, with their records.

    Of each take the segment before and the one after come as records alone: they prove that nothing was left out
    at the ends.

    Raises
    ------
    UserError : nothing was to be recorded then
    ServiceError : some of it is still being written or not signed yet, or database and log disagree
    """
    with station.sessions() as session:
        windows = _windows(session, room_id, camera_ids, span)
        if not windows:
            raise UserError(
                f"no camera named here had to record room {room_id} between {to_text(span[0])} and {to_text(span[1])}; "
                "look the moment up with: kaozheng find"
            )
        if all(window.is_void for window in windows):
            raise UserError(
                "; ".join(
                    f"window {window.id} was cancelled at {to_text(window.cancelled_at or window.starts_at)}, "
                    f"before it began: {window.cancel_reason}"
                    for window in windows
                )
                + "; there is no footage to export"
            )
        ids = [window.id for window in windows]
        takes = session.scalars(
            select(Take).where(Take.window_id.in_(ids), Take.camera_id.in_(camera_ids))
        ).all()
        gaps = session.scalars(select(Gap).where(Gap.window_id.in_(ids), Gap.camera_id.in_(camera_ids))).all()
        rows: list[Segment] = []
        for camera_id in camera_ids:
            mine = [take for take in takes if take.camera_id == camera_id]
            rows += _segments(session, mine, span)
        came = _backfilled(session, ids, camera_ids)
    leaves = [(window.leaf, f"window {window.id}") for window in windows]
    leaves += [(take.leaf, f"take {take.id}") for take in takes]
    leaves += [(gap.leaf, f"a gap of {gap.camera_id}") for gap in gaps]
    leaves += [(row.leaf, f"segment {row.number} of take {row.take_id}") for row in rows]
    leaves += came.leaves
    closings = [window.closed_leaf for window in windows] + [take.closed_leaf for take in takes]
    closings += [window.cancelled_leaf for window in windows] + [take.copied_leaf for take in takes]
    leaves += [(leaf, "") for leaf in closings if leaf is not None]
    # Every change of key: who knows an older key of this log is led to the one that signs it now.
    leaves += [(index, "") for index, _ in station.log.find("key.changed")]
    newest = max(leaf for leaf, _ in leaves if leaf is not None)
    leaves += [(index, "") for index in _anchor_leaves(station.log, newest)]
    records = {index: _record(station.log, index) for index in sorted({_signed(*leaf) for leaf in leaves})}
    footage = [_footage(row, records) for row in rows if row.starts_at < span[1] and row.ends_at > span[0]]
    backfilled = [
        _footage(row, records) for row in came.segments if row.starts_at < span[1] and row.ends_at > span[0]
    ]
    gone = _deleted(station, [*footage, *backfilled])
    records |= gone
    deleted = {(one["path"], one["sha256"]) for one in gone.values()}
    there, here = (
        tuple(one for one in part if (one.path, one.record["sha256"]) not in deleted)
        for part in (footage, backfilled)
    )
    return Selection(there, tuple(records[index] for index in sorted(records)), here)


def _deleted(station: Station, footage: Sequence[Footage]) -> dict[int, Record]:
    """The tombstones of what is no longer in the archive; the log is searched only where something is missing."""
    missing = {
        (one.path, one.record["sha256"]) for one in footage if not (station.archive / one.path).exists()
    }
    if not missing:
        return {}
    return {
        index: _record(station.log, index)
        for index, body in station.log.find("segment.deleted")
        if (body.get("path"), body.get("sha256")) in missing
    }


def _anchor_leaves(log: EvidenceLog, newest: int) -> list[int]:
    """Of each authority, witness and mail the first anchor that covers entry ``newest``, else the newest there is."""
    chosen: dict[tuple[str, str], tuple[int, bool]] = {}
    for index, body in log.find(*WITH_FILES, "anchor.mailed"):
        name = (body["kind"], str(body.get("tsa", body.get("witness", ""))))
        if not chosen.get(name, (0, False))[1]:
            chosen[name] = (index, int(body["size"]) > newest)
    return sorted(index for index, _ in chosen.values())


@dataclass(frozen=True, slots=True)
class _Backfilled:
    """Segments by camera, take and number; ``leaves`` of everything that was signed of them, with its name."""

    segments: list[BackfilledSegment]
    leaves: list[tuple[int | None, str]]


def _backfilled(session: Session, window_ids: list[str], camera_ids: Sequence[str]) -> _Backfilled:
    """All that was fetched afterwards for these windows: whole takes, so that their chains can be checked."""

    def here(table: type[BackfilledTake] | type[Healing] | type[Backfill]) -> tuple[ColumnElement[bool], ...]:
        return table.window_id.in_(window_ids), table.camera_id.in_(camera_ids)

    takes = session.scalars(select(BackfilledTake).where(*here(BackfilledTake))).all()
    segments = session.scalars(
        select(BackfilledSegment)
        .where(BackfilledSegment.take_id.in_([take.id for take in takes]))
        .order_by(BackfilledSegment.camera_id, BackfilledSegment.take_id, BackfilledSegment.number)
    ).all()
    healings = session.scalars(select(Healing).where(*here(Healing))).all()
    given_up = session.scalars(select(Backfill).where(*here(Backfill), Backfill.leaf.is_not(None))).all()
    leaves: list[tuple[int | None, str]] = []
    leaves += [(leaf, f"take {take.id}") for take in takes for leaf in (take.leaf, take.closed_leaf)]
    leaves += [(row.leaf, f"segment {row.number} of take {row.take_id}") for row in segments]
    leaves += [(row.leaf, f"the healing of a gap of {row.camera_id}") for row in healings]
    leaves += [(row.leaf, "") for row in given_up]
    return _Backfilled(list(segments), leaves)


def _windows(session: Session, room_id: str, camera_ids: Sequence[str], span: Span) -> list[Window]:
    """Windows that meet the range, and those whose footage runs over their end into it."""
    meeting = session.scalars(
        select(Window).where(Window.room_id == room_id, Window.starts_at < span[1], Window.ends_at > span[0])
    ).all()
    overrun = session.scalars(
        select(Window)
        .join(Take)
        .join(Segment)
        .where(Window.room_id == room_id, Segment.starts_at < span[1], Segment.ends_at > span[0])
        .distinct()
    ).all()
    windows = {window.id: window for window in (*meeting, *overrun)}
    return [windows[name] for name in sorted(windows) if set(windows[name].cameras) & set(camera_ids)]


def _segments(session: Session, takes: list[Take], span: Span) -> list[Segment]:
    """One camera's segments within ``span`` and their neighbours, by number and by time; by take and number."""
    numbers: dict[str, list[Segment]] = {}
    query = select(Segment).where(Segment.take_id.in_([take.id for take in takes]))
    for row in session.scalars(query.order_by(Segment.take_id, Segment.number)):
        numbers.setdefault(row.take_id, []).append(row)
    chosen: dict[int, Segment] = {}
    for take in takes:
        rows = numbers.get(take.id, [])
        inside = [at for at, row in enumerate(rows) if row.starts_at < span[1] and row.ends_at > span[0]]
        if inside:
            chosen.update((row.id, row) for row in rows[max(inside[0] - 1, 0) : inside[-1] + 2])
        _refuse_unfinished(take, rows, span[1])
    every = [row for rows in numbers.values() for row in rows]
    before = [row for row in every if row.ends_at <= span[0]]
    after = [row for row in every if row.starts_at >= span[1]]
    for near in (max(before, key=_end, default=None), min(after, key=_start, default=None)):
        if near is not None:
            chosen[near.id] = near
    return sorted(chosen.values(), key=lambda row: (row.take_id, row.number))


def _start(row: Segment) -> datetime:
    return row.starts_at


def _end(row: Segment) -> datetime:
    return row.ends_at


def _refuse_unfinished(take: Take, rows: list[Segment], until: datetime) -> None:
    reached = rows[-1].ends_at if rows else take.opened_at
    if take.closed_leaf is None and reached < until:
        raise ServiceError(
            f"camera {take.camera_id}: the file after {to_text(reached)} is still open; wait until it is closed, "
            "or end the range there. If the service does not run, start it: it closes what was left open"
        )


def _signed(leaf: int | None, what: str) -> int:
    if leaf is None:
        raise ServiceError(f"{what} is not in the signed log yet; try again in a minute")
    return leaf


def _record(log: EvidenceLog, index: int) -> Record:
    try:
        return parse_record(index, log.entry(index))
    except (IndexError, ValueError):
        raise ServiceError(
            f"the database names record {index} of the log, which is not there; verify the archive"
        ) from None


def _footage(row: Segment | BackfilledSegment, records: dict[int, Record]) -> Footage:
    record = records[row.leaf if row.leaf is not None else -1]
    kind = "segment" if isinstance(row, Segment) else "backfill.segment"
    expected = (kind, row.take_id, row.number, row.sha256, row.path)
    body = record.body
    if (record.kind, body.get("take"), body.get("number"), body.get("sha256"), body.get("path")) != expected:
        raise ServiceError(
            f"segment {row.number} of take {row.take_id}: the database does not say what was signed as record "
            f"{record.index}; verify the archive before anything is exported"
        )
    return Footage(record, row.path, row.codec, row.bytes)
