"""Alarms on the timeline: when each was told, and until when it lasted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from kaozheng_service.alarms.words import alarm_name, is_picture, next_step
from kaozheng_service.clock import to_text
from kaozheng_service.database import Alarm


def alarms_within(
    session: Session,
    starts_at: datetime,
    ends_at: datetime,
    room_id: str | None = None,
    camera_id: str | None = None,
) -> list[Alarm]:
    """Alarms that touch the range, in order; one that still lasts touches all that comes after it began."""
    query = select(Alarm).where(
        Alarm.raised_at < ends_at, or_(Alarm.cleared_at.is_(None), Alarm.cleared_at > starts_at)
    )
    if room_id is not None:
        query = query.where(Alarm.room_id == room_id)
    if camera_id is not None:
        query = query.where(Alarm.camera_id == camera_id)
    return list(session.scalars(query.order_by(Alarm.raised_at, Alarm.id)))


def alarm_json(alarm: Alarm) -> dict[str, Any]:
    """As in the find and the status schema; ``to`` is null while it lasts, and so is what it is not about."""
    return {
        "window": alarm.window_id,
        "room": alarm.room_id or None,
        "camera": alarm.camera_id or None,
        "kind": alarm.kind,
        "picture": is_picture(alarm.kind),
        "words": alarm_name(alarm.kind),
        "next_step": next_step(alarm.kind),
        "detail": alarm.detail,
        "from": to_text(alarm.raised_at),
        "to": to_text(alarm.cleared_at) if alarm.cleared_at is not None else None,
        "ended": alarm.ended,
        "leaf": alarm.leaf,
    }
