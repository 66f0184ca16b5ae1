"""What is sent of an alarm: JSON of the schema ``kaozheng/alarm/1``, made once and sent as it is."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any

from kaozheng_service.alarms.kinds import Subject
from kaozheng_service.alarms.words import Language, alarm_name, event_name, next_step
from kaozheng_service.clock import to_text
from kaozheng_service.config.site import Site
from kaozheng_service.redaction import redacted

SCHEMA = "kaozheng/alarm/1"


def message_id() -> str:
    """Unguessable and unique; the same at every attempt to deliver one message."""
    return secrets.token_hex(16)


def message_body(
    site: Site,
    message: str,
    event: str,
    subject: Subject,
    *,
    at: datetime,
    number: int | None,
    detail: str,
    raised_at: datetime,
    cleared_at: datetime | None = None,
    ended: str | None = None,
) -> str:
    """The JSON text. ``number`` is the alarm's own; None for one that could not be stored yet, and for a test."""
    language = site.alarms.language
    body = {
        "schema": SCHEMA,
        "id": message,
        "event": event,
        "at": to_text(at),
        "site": {"id": site.id, "name": site.name, "timezone": site.timezone},
        "alarm": {
            "number": number,
            "kind": subject.kind,
            "words": event_name("test", language) if event == "test" else alarm_name(subject.kind, language),
            "detail": detail,
            "next_step": next_step(subject.kind, language),
            "room": subject.room or None,
            "room_name": _room_name(site, subject.room),
            "camera": subject.camera or None,
            "window": subject.window or None,
            "from": to_text(raised_at),
            "to": to_text(cleared_at) if cleared_at is not None else None,
            "ended": ended,
        },
        "summary": summary(site, language, event, subject),
    }
    return json.dumps(body, ensure_ascii=False)


def unstored_body(site: Site, subject: Subject, detail: str, present: datetime) -> str:
    """The message of an alarm that could not be stored, and so has no number."""
    return message_body(
        site,
        message_id(),
        "raised",
        subject,
        at=present,
        number=None,
        detail=redacted(detail),
        raised_at=present,
    )


def trial_body(site: Site, present: datetime) -> str:
    """A message that says that it is a test."""
    return message_body(
        site, message_id(), "test", Subject("test"), at=present, number=None, detail="", raised_at=present
    )


def summary(site: Site, language: Language, event: str, subject: Subject) -> str:
    """One line: ``[告警] 9号楼101机房 front-left 应录未录（示范学院考点）``."""
    name = "" if event == "test" else alarm_name(subject.kind, language)
    where = " ".join(part for part in (_room_name(site, subject.room), subject.camera, name) if part)
    said = f"[{event_name(event, language)}] {where}".rstrip()
    return f"{said}（{site.name}）" if language == "zh_CN" else f"{said} ({site.name})"


def parse(body: str) -> dict[str, Any]:
    """The message again, for those who show it."""
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def _room_name(site: Site, room_id: str) -> str | None:
    if not room_id:
        return None
    return next((room.name for room in site.rooms if room.id == room_id), room_id)
