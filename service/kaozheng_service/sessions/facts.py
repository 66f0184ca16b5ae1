"""What became of one window: its numbers, its lines, its alarms and marks, gathered for whoever shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from kaozheng_service.clock import now, to_text
from kaozheng_service.database import Alarm, Mark, Window
from kaozheng_service.disputes.alarms import alarm_json, alarms_within
from kaozheng_service.disputes.timeline import Stretch, camera_timeline
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.keys import fingerprint
from kaozheng_service.recording.completeness import (
    CameraCompleteness,
    Completeness,
    completeness_json,
    window_completeness,
)
from kaozheng_service.station import Station


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """One camera. ``line`` is all of the window without a hole; ``alarms`` are this window's, in order."""

    numbers: CameraCompleteness
    line: tuple[Stretch, ...]
    alarms: tuple[Alarm, ...]

    @property
    def id(self) -> str:
        return self.numbers.camera_id


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One window as it stood ``at`` that moment. ``marks`` are the room's within it.

    ``key_fingerprint`` is of the key that signs the log.
    """

    window: Window
    result: Completeness
    cameras: tuple[CameraFacts, ...]
    marks: tuple[Mark, ...]
    at: datetime
    key_fingerprint: str

    @property
    def settled(self) -> bool:
        """Whether it is over and nothing of it is unexplained."""
        return self.result.verdict not in ("not_over", "incomplete_unexplained")


def session_facts(station: Station, window_id: str) -> SessionFacts:
    """Raises UserError where there is no such window."""
    result = window_completeness(station, window_id)
    present = now()
    with station.sessions() as session:
        window = session.get_one(Window, window_id)
        cameras = []
        for numbers in result.cameras:
            span = (window.starts_at, window.ends_at)
            line = camera_timeline(
                station, session, window.room_id, numbers.camera_id, *span, present=present
            )
            alarms = alarms_within(session, *span, window.room_id, numbers.camera_id)
            own = tuple(alarm for alarm in alarms if alarm.window_id == window.id)
            cameras.append(CameraFacts(numbers, line, own))
        marks = session.scalars(
            select(Mark)
            .where(Mark.room_id == window.room_id, Mark.at >= window.starts_at, Mark.at <= window.ends_at)
            .order_by(Mark.at, Mark.id)
        ).all()
    key = fingerprint(station.log.public_key)
    return SessionFacts(window, result, tuple(cameras), tuple(marks), present, key)


def windows_of(
    station: Station, *, window: str | None = None, day: date | None = None, room: str | None = None
) -> list[str]:
    """The ids of one window, or of all that touch a day of the site and are in a room, in the order of time.

    Raises
    ------
    UserError : nothing was expected there: a day without a window is no day that is complete
    """
    query = select(Window).order_by(Window.starts_at, Window.room_id, Window.id)
    said = []
    if window is not None:
        query = query.where(Window.id == window)
        said.append(repr(window))
    if day is not None:
        begin, end = (
            datetime.combine(one, time(), station.site.zone) for one in (day, day + timedelta(days=1))
        )
        query = query.where(Window.starts_at < end, Window.ends_at > begin)
        said.append(f"on {day.isoformat()}")
    if room is not None:
        room_id = station.site.room(room).id
        query = query.where(Window.room_id == room_id)
        said.append(f"in room {room_id}")
    with station.sessions() as session:
        found = [row.id for row in session.scalars(query)]
    if not found:
        raise UserError(
            f"there is no window {' '.join(said)}: nothing had to be recorded; "
            "name another day, or look for the window on the status page"
        )
    return found


def facts_json(facts: SessionFacts) -> dict[str, Any]:
    """Schema ``kaozheng/completeness/1``, with what the window is and its alarms and marks."""
    window = facts.window
    body = completeness_json(facts.result)
    for camera, one in zip(body["cameras"], facts.cameras, strict=True):
        camera["alarms"] = [alarm_json(alarm) for alarm in one.alarms]
    return body | {
        "at": to_text(facts.at),
        "title": window.title,
        "kind": window.kind,
        "exam_from": to_text(window.exam_starts_at) if window.exam_starts_at else None,
        "exam_to": to_text(window.exam_ends_at) if window.exam_ends_at else None,
        "marks": [
            {"at": to_text(mark.at), "kind": mark.kind, "note": mark.note, "leaf": mark.leaf}
            for mark in facts.marks
        ],
    }
