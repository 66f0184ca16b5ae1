"""From a candidate, or a name, to windows and seats: the newest list that says something counts at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.database import Window
from kaozheng_service.errors import UserError
from kaozheng_service.roster.tables import RosterEntry
from kaozheng_service.sealed_names import load_or_make_name_key
from kaozheng_service.station import Station

_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Placed:
    """One row of one list; ``number`` grows with the lists."""

    number: int
    candidate: str
    name_index: str
    seat: str | None
    seated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Placement:
    """A candidate in a window. ``seat`` is None where no list gives one; ``moves`` are changes within the window.

    ``shared`` names other candidates whom a list gives the same seat: which of them sat there is not known.
    """

    window: Window
    candidate: str
    seat: str | None
    moves: tuple[tuple[datetime, str], ...]
    shared: tuple[str, ...]


def seat_at(rows: Sequence[Placed], moment: datetime | None) -> str | None:
    """The seat of one candidate in one window at ``moment``, None for its begin; None where no list says.

    Of what is valid by then the latest change counts, of one time the newest list. A list without a seat takes none
    away.
    """
    said = [
        one
        for one in rows
        if one.seat is not None
        and (one.seated_at is None or (moment is not None and one.seated_at <= moment))
    ]
    newest = max(
        said, key=lambda one: (one.seated_at is not None, one.seated_at or _EVER, one.number), default=None
    )
    return newest.seat if newest is not None else None


def entries_of_window(session: Session, window_id: str) -> list[Placed]:
    rows = session.scalars(
        select(RosterEntry).where(RosterEntry.window_id == window_id).order_by(RosterEntry.id)
    )
    return [Placed(one.id, one.candidate, one.name_index, one.seat, one.seated_at) for one in rows]


def placements(station: Station, candidate: str, at: datetime | None = None) -> list[Placement]:
    """Where a candidate was to be: each window of the rosters, or the one around ``at``, by begin.

    Raises
    ------
    UserError : no list names that candidate, or none for that moment
    """
    with station.sessions() as session:
        ids = session.scalars(
            select(RosterEntry.window_id).where(RosterEntry.candidate == candidate).distinct()
        ).all()
        windows = session.scalars(select(Window).where(Window.id.in_(ids)).order_by(Window.starts_at)).all()
        if not windows:
            raise UserError(
                f"--candidate: 名单中没有准考证号 {candidate} · no roster names candidate {candidate}; "
                "check the number, or import the list: kaozheng roster import"
            )
        if at is not None:
            known = ", ".join(one.id for one in windows)
            windows = [one for one in windows if one.starts_at <= at < one.ends_at]
            if not windows:
                raise UserError(
                    f"--at: 该考生当时没有考试 · candidate {candidate} had no exam at that moment, but in {known}"
                )
        return [_placement(session, window, candidate, at) for window in windows]


def candidates_named(station: Station, name: str) -> list[str]:
    """Candidate numbers of an exact name, found without reading any other."""
    index = load_or_make_name_key(station.state / "keys").index(name)
    with station.sessions() as session:
        return list(
            session.scalars(
                select(RosterEntry.candidate)
                .where(RosterEntry.name_index == index)
                .distinct()
                .order_by(RosterEntry.candidate)
            )
        )


def _placement(session: Session, window: Window, candidate: str, at: datetime | None) -> Placement:
    every = entries_of_window(session, window.id)
    rows = [one for one in every if one.candidate == candidate]
    seat = seat_at(rows, at)
    others = {one.candidate for one in every} - {candidate}
    shared = [
        other
        for other in sorted(others)
        if seat is not None and seat_at([one for one in every if one.candidate == other], at) == seat
    ]
    moves = sorted(
        {(one.seated_at, one.seat) for one in rows if one.seated_at is not None and one.seat is not None}
    )
    return Placement(window, candidate, seat, tuple(moves), tuple(shared))
