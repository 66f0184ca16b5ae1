"""Windows and marks by what people remember of them: batch, session, kind of mark, words. Each with its gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from kaozheng_service.clock import to_text
from kaozheng_service.database import Gap, Mark, Window
from kaozheng_service.errors import UserError
from kaozheng_service.session_wording import mark_name
from kaozheng_service.station import Station

# More is no answer but a list; the question is asked more closely.
MOST = 500


@dataclass(frozen=True, slots=True)
class Sought:
    """What is asked for; "" asks for nothing. ``session`` is an id, or part of a title."""

    room: str = ""
    batch: str = ""
    session: str = ""
    mark: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class SoughtWindow:
    window: Window
    gaps: tuple[Gap, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """``loose`` are marks that lie in no window that was asked for; none where one was."""

    windows: tuple[SoughtWindow, ...]
    loose: tuple[Mark, ...]

    @property
    def marks(self) -> tuple[Mark, ...]:
        return (*(mark for one in self.windows for mark in one.marks), *self.loose)


def search(station: Station, sought: Sought) -> SearchResult:
    """Windows of batch and session, and the marks in them; where marks are asked for, only windows that have some.

    Raises
    ------
    UserError : nothing is asked for, no such room, or more than ``MOST`` windows fit
    """
    if sought == Sought(room=sought.room):
        raise UserError("请写明要查什么 · name --at, --candidate, --batch, --session, --mark or --text")
    room = station.site.room(sought.room).id if sought.room else ""
    with station.sessions() as session:
        windows = _windows(session, sought, room)
        marks = _marks(session, sought, room)
        by_marks = bool(sought.mark or sought.text)
        found = []
        placed: set[int] = set()
        for window in windows:
            mine = [
                one
                for one in marks
                if one.room_id == window.room_id and window.starts_at <= one.at < window.ends_at
            ]
            placed.update(one.id for one in mine)
            if by_marks and not mine:
                continue
            gaps = session.scalars(
                select(Gap).where(Gap.window_id == window.id).order_by(Gap.starts_at)
            ).all()
            found.append(SoughtWindow(window, tuple(gaps), tuple(mine)))
    narrowed = bool(sought.batch or sought.session)
    loose = [] if narrowed or not by_marks else [one for one in marks if one.id not in placed]
    return SearchResult(tuple(found), tuple(loose))


def search_json(found: SearchResult) -> dict[str, Any]:
    """Schema ``kaozheng/search/1``."""
    return {
        "schema": "kaozheng/search/1",
        "windows": [
            {
                "id": one.window.id,
                "room": one.window.room_id,
                "title": one.window.title,
                "kind": one.window.kind,
                "batch": one.window.batch,
                "from": to_text(one.window.starts_at),
                "to": to_text(one.window.ends_at),
                "gaps": [
                    {
                        "camera": gap.camera_id,
                        "from": to_text(gap.starts_at),
                        "to": to_text(gap.ends_at),
                        "cause": gap.cause,
                        "leaf": gap.leaf,
                    }
                    for gap in one.gaps
                ],
                "marks": [mark_json(mark) for mark in one.marks],
            }
            for one in found.windows
        ],
        "marks": [mark_json(mark) for mark in found.loose],
    }


def mark_json(mark: Mark) -> dict[str, Any]:
    return {
        "room": mark.room_id,
        "at": to_text(mark.at),
        "kind": mark.kind,
        "name": mark_name(mark.kind),
        "note": mark.note,
        "by": mark.by,
        "leaf": mark.leaf,
    }


def _windows(session: Session, sought: Sought, room: str) -> Sequence[Window]:
    query = select(Window).order_by(Window.starts_at, Window.id)
    if room:
        query = query.where(Window.room_id == room)
    if sought.batch:
        query = query.where(Window.batch == sought.batch)
    if sought.session:
        query = query.where(
            or_(Window.id == sought.session, Window.title.contains(sought.session, autoescape=True))
        )
    if sought.mark or sought.text:
        wanted = [Mark.room_id == Window.room_id, Mark.at >= Window.starts_at, Mark.at < Window.ends_at]
        query = query.where(select(Mark.id).where(*wanted, *_wanted(sought)).exists())
    windows = session.scalars(query.limit(MOST + 1)).all()
    if len(windows) > MOST:
        raise UserError(
            f"超过 {MOST} 个时段符合 · more than {MOST} windows fit; add --room, --batch or --session"
        )
    return windows


def _marks(session: Session, sought: Sought, room: str) -> Sequence[Mark]:
    query = select(Mark).where(*_wanted(sought)).order_by(Mark.at, Mark.id)
    if room:
        query = query.where(Mark.room_id == room)
    marks = session.scalars(query.limit(20 * MOST + 1)).all()
    if len(marks) > 20 * MOST:
        raise UserError("符合的标记过多 · too many marks fit; add --room, --mark or --text")
    return marks


def _wanted(sought: Sought) -> list[ColumnElement[bool]]:
    """A kind by its word or its Chinese name; every word of the text in note or kind."""
    wanted: list[ColumnElement[bool]] = []
    if sought.mark:
        named = [
            kind for kind in ("seal_opened", "paper_handed_out", "incident") if mark_name(kind) == sought.mark
        ]
        wanted.append(Mark.kind.in_([sought.mark, *named]))
    for word in sought.text.split():
        wanted.append(
            or_(Mark.note.contains(word, autoescape=True), Mark.kind.contains(word, autoescape=True))
        )
    return wanted
