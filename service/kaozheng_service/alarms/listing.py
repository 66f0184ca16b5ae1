"""Alarms and what became of their messages, and a trial of every channel: for `kaozheng alarms`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from kaozheng_service.alarms.channel import Channel, DeliveryError
from kaozheng_service.alarms.courier import channels_of
from kaozheng_service.alarms.messages import trial_body
from kaozheng_service.clock import now, to_text
from kaozheng_service.config.site import Site
from kaozheng_service.database import Alarm, AlarmMessage
from kaozheng_service.disputes.alarms import alarm_json
from kaozheng_service.errors import UserError
from kaozheng_service.redaction import redacted
from kaozheng_service.station import Station

SCHEMA = "kaozheng/alarms/1"


@dataclass(frozen=True, slots=True)
class Listed:
    """An alarm with its messages, in order."""

    alarm: Alarm
    messages: tuple[AlarmMessage, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """How a test message fared. ``why`` is what is to be mended."""

    channel: str
    target: str
    delivered: bool
    why: str


def alarm_list(station: Station, *, since: datetime | None) -> list[Listed]:
    """Those that last and those that ended after ``since`` (None: only those that last), the newest first."""
    lasting = Alarm.cleared_at.is_(None)
    which = lasting if since is None else or_(lasting, Alarm.cleared_at >= since)
    with station.sessions() as session:
        alarms = session.scalars(
            select(Alarm).where(which).order_by(Alarm.raised_at.desc(), Alarm.id.desc())
        ).all()
        of: dict[int, list[AlarmMessage]] = {alarm.id: [] for alarm in alarms}
        query = select(AlarmMessage).join(Alarm, Alarm.id == AlarmMessage.alarm_id).where(which)
        for message in session.scalars(query.order_by(AlarmMessage.number)):
            of[message.alarm_id].append(message)
    return [Listed(alarm, tuple(of[alarm.id])) for alarm in alarms]


def alarm_list_json(found: list[Listed]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "at": to_text(now()),
        "alarms": [
            {
                "number": one.alarm.id,
                **alarm_json(one.alarm),
                "messages": [
                    {
                        "id": message.id,
                        "event": message.event,
                        "channel": message.channel,
                        "state": message.state,
                        "attempts": message.attempts,
                        "sent_at": to_text(message.sent_at) if message.sent_at is not None else None,
                        "error": message.error or None,
                    }
                    for message in one.messages
                ],
            }
            for one in found
        ],
    }


def try_channels(site: Site) -> list[Trial]:
    """Send a test through every channel, one after the other, once."""
    return [_try(site, channel) for channel in channels_of(site)]


def _try(site: Site, channel: Channel) -> Trial:
    try:
        remark = channel.send([trial_body(site, now())])
    except (DeliveryError, UserError) as error:
        return Trial(channel.name, redacted(channel.target()), False, redacted(str(error)))
    return Trial(channel.name, redacted(channel.target()), True, redacted(remark))
