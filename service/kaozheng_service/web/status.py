"""What the site is doing now, as JSON for the page and for programs: schema ``kaozheng/status/1``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kaozheng_service.clock import now, to_text
from kaozheng_service.config.site import RoomConfig
from kaozheng_service.database import Backfill, Gap, Healing, Segment, Take, Window
from kaozheng_service.disputes.alarms import alarm_json, alarms_within
from kaozheng_service.disputes.found import stretch_json
from kaozheng_service.disputes.timeline import State, camera_timeline, newest_file
from kaozheng_service.recording.completeness import cancellation_json, cancellation_of
from kaozheng_service.recording.forecast import forecast_disk, forecast_json
from kaozheng_service.recording.rates import ASSUMED_BYTES_PER_S
from kaozheng_service.recording.timetable_json import window_state
from kaozheng_service.recording.timetable_notice import notice_json, read_notice
from kaozheng_service.sessions.printing import sheet_path
from kaozheng_service.station import Station
from kaozheng_service.verification.rounds import verification_status
from kaozheng_service.web.daemon import daemon_state, picture_states

GAPS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day of the site, as the moments between which it lies."""

    on: date
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of(cls, station: Station, day: date) -> Day:
        zone = station.site.zone
        begin, end = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
        return cls(day, begin, end)


def station_status(station: Station, day: date | None = None) -> dict[str, Any]:
    """The site's state now; windows and gaps are those of ``day`` (today there, when left out)."""
    present = now()
    today = present.astimezone(station.site.zone).date()
    shown = Day.of(station, day or today)
    with station.sessions() as session:
        rates = _bytes_per_second(session)
        windows = _windows(session, shown)
        pictures = picture_states(station, present)
        rooms = [_room(station, session, room, present, rates, pictures) for room in station.site.rooms]
        return {
            "schema": "kaozheng/status/1",
            "at": to_text(present),
            "site": {"id": station.site.id, "name": station.site.name, "timezone": station.site.timezone},
            "day": {
                "date": shown.on.isoformat(),
                "from": to_text(shown.starts_at),
                "to": to_text(shown.ends_at),
            },
            "daemon": daemon_state(station, present),
            "rooms": rooms,
            "windows": [_window(station, session, window, present) for window in windows],
            "next_window": _next_window(session, present),
            "gaps": _gaps(session, shown),
            "alarms": [alarm_json(alarm) for alarm in alarms_within(session, shown.starts_at, shown.ends_at)],
            "disk": _disk(station, rooms, rates, present),
            "timetable": notice_json(read_notice(station)),
            "log": _log(station),
            "verification": verification_status(station.state),
        }


def _room(
    station: Station,
    session: Session,
    room: RoomConfig,
    present: datetime,
    rates: dict[tuple[str, str], float],
    pictures: dict[tuple[str, str], dict[str, Any]],
) -> dict[str, Any]:
    running = _running(session, room.id, present)
    cameras = [
        _camera(station, session, room.id, camera.id, running, present, rates.get((room.id, camera.id)))
        for camera in room.streams
    ]
    for camera in cameras:
        camera["picture"] = pictures.get((camera["window"] or "", camera["id"]))
    return {"id": room.id, "name": room.name, "cameras": cameras}


def _camera(
    station: Station,
    session: Session,
    room_id: str,
    camera_id: str,
    running: list[Window],
    present: datetime,
    rate: float | None,
) -> dict[str, Any]:
    """``state``: recording, starting, silent (a take is open, no bytes), missing (no take, but due), idle."""
    due = next((window for window in running if camera_id in window.cameras), None)
    take = session.scalars(
        select(Take)
        .where(Take.room_id == room_id, Take.camera_id == camera_id, Take.closed_at.is_(None))
        .order_by(Take.opened_at.desc())
        .limit(1)
    ).first()
    newest = newest_file(station.archive / take.folder) if take is not None else None
    age_s = max((present - newest.written_at).total_seconds(), 0.0) if newest is not None else None
    silence_s = station.site.recording.silence_s
    if take is not None and age_s is not None and age_s <= silence_s:
        state = "recording"
    elif take is not None and age_s is None and (present - take.opened_at).total_seconds() <= silence_s:
        state = "starting"
    elif take is not None and due is not None:
        state = "silent"
    else:
        state = "missing" if due is not None else "idle"
    last = session.execute(
        select(func.max(Segment.ends_at)).where(Segment.room_id == room_id, Segment.camera_id == camera_id)
    ).scalar_one()
    return {
        "id": camera_id,
        "state": state,
        "window": due.id if due is not None else None,
        "take": take.id if take is not None else None,
        "take_number": take.number if take is not None else None,
        "take_opened_at": to_text(take.opened_at) if take is not None else None,
        "file": newest.name if newest is not None else None,
        "file_bytes": newest.bytes if newest is not None else None,
        "last_byte_age_s": round(age_s, 1) if age_s is not None else None,
        "bytes_per_s": rate,
        "last_recorded_at": to_text(last) if last is not None else None,
    }


def _running(session: Session, room_id: str, present: datetime) -> list[Window]:
    query = select(Window).where(
        Window.room_id == room_id,
        Window.starts_at <= present,
        Window.ends_at > present,
        Window.cancelled_at.is_(None),
    )
    return list(session.scalars(query.order_by(Window.starts_at)))


def _windows(session: Session, day: Day) -> list[Window]:
    query = select(Window).where(Window.starts_at < day.ends_at, Window.ends_at > day.starts_at)
    return list(session.scalars(query.order_by(Window.starts_at, Window.room_id)))


def _window(station: Station, session: Session, window: Window, present: datetime) -> dict[str, Any]:
    cameras = []
    for camera_id in window.cameras:
        line = camera_timeline(
            station, session, window.room_id, camera_id, window.starts_at, window.ends_at, present=present
        )
        seconds = {
            kind.value: round(sum(part.seconds for part in line if part.state is kind), 3) for kind in State
        }
        cameras.append(
            {
                "id": camera_id,
                "seconds": seconds,
                "timeline": [stretch_json(part) for part in line],
                "alarms": [
                    alarm_json(alarm)
                    for alarm in alarms_within(
                        session, window.starts_at, window.ends_at, window.room_id, camera_id
                    )
                    if alarm.window_id == window.id
                ],
            }
        )
    return {
        "id": window.id,
        "room": window.room_id,
        "kind": window.kind,
        "title": window.title,
        "from": to_text(window.starts_at),
        "to": to_text(window.ends_at),
        "exam_from": to_text(window.exam_starts_at) if window.exam_starts_at else None,
        "exam_to": to_text(window.exam_ends_at) if window.exam_ends_at else None,
        "state": window_state(window, present),
        "closed": window.closed_leaf is not None,
        "cancelled": cancellation_json(cancellation_of(window)),
        "sheet": f"/api/v1/sheets/{window.id}.pdf" if sheet_path(station, window).exists() else None,
        "cameras": cameras,
    }


def _next_window(session: Session, present: datetime) -> dict[str, Any] | None:
    window = session.scalars(
        select(Window)
        .where(Window.starts_at > present, Window.cancelled_at.is_(None))
        .order_by(Window.starts_at)
        .limit(1)
    ).first()
    if window is None:
        return None
    return {"id": window.id, "room": window.room_id, "title": window.title, "from": to_text(window.starts_at)}


def _gaps(session: Session, day: Day) -> list[dict[str, Any]]:
    """The day's signed gaps, the newest first, each with what was backfilled of it."""
    query = select(Gap).where(Gap.starts_at < day.ends_at, Gap.ends_at > day.starts_at)
    gaps = session.scalars(query.order_by(Gap.starts_at.desc()).limit(GAPS_SHOWN)).all()
    ids = [gap.id for gap in gaps]
    jobs = {row.gap_id: row for row in session.scalars(select(Backfill).where(Backfill.gap_id.in_(ids)))}
    healed = dict.fromkeys(ids, 0.0)
    for row in session.scalars(select(Healing).where(Healing.gap_id.in_(ids))):
        healed[row.gap_id] += (row.ends_at - row.starts_at).total_seconds()
    return [
        {
            "window": gap.window_id,
            "room": gap.room_id,
            "camera": gap.camera_id,
            "from": to_text(gap.starts_at),
            "to": to_text(gap.ends_at),
            "seconds": round((gap.ends_at - gap.starts_at).total_seconds(), 3),
            "cause": gap.cause,
            "detail": gap.detail,
            "leaf": gap.leaf,
            "healed_s": round(healed[gap.id], 3),
            "backfill": {
                "state": jobs[gap.id].state,
                "source": jobs[gap.id].source,
                "attempts": jobs[gap.id].attempts,
                "reason": jobs[gap.id].reason,
            }
            if gap.id in jobs
            else None,
        }
        for gap in gaps
    ]


def _bytes_per_second(session: Session) -> dict[tuple[str, str], float]:
    """Per camera, the measured rate of its newest closed segment."""
    newest = select(func.max(Segment.id).label("id")).group_by(Segment.room_id, Segment.camera_id).subquery()
    rows = session.scalars(select(Segment).join(newest, Segment.id == newest.c.id))
    rates = {}
    for row in rows:
        seconds = (row.ends_at - row.starts_at).total_seconds()
        if seconds > 0:
            rates[row.room_id, row.camera_id] = row.bytes / seconds
    return rates


def _disk(
    station: Station,
    rooms: list[dict[str, Any]],
    rates: dict[tuple[str, str], float],
    present: datetime,
) -> dict[str, Any]:
    """Free space, the hours it lasts at the rate now written, and what the windows of the next days need."""
    usage = shutil.disk_usage(station.archive)
    outlook = forecast_disk(station, present, free_bytes=usage.free)
    usable = max(usage.free - outlook.reserve_bytes, 0.0)
    rate = sum(
        rates.get((room["id"], camera["id"]), ASSUMED_BYTES_PER_S)
        for room in rooms
        for camera in room["cameras"]
        if camera["state"] == "recording"
    )
    needed = outlook.days[0].needed_bytes
    return {
        "total_bytes": usage.total,
        "free_bytes": usage.free,
        "reserve_bytes": round(outlook.reserve_bytes),
        "bytes_per_s": round(rate),
        "hours_left": round(usable / rate / 3600, 1) if rate > 0 else None,
        "needed_today_bytes": round(needed),
        "enough_today": needed <= usable,
        "outlook": forecast_json(outlook),
    }


def _log(station: Station) -> dict[str, Any]:
    """The evidence log's size and its checkpoint's root hash (third line of the note, base64)."""
    size = station.log.size
    root = station.log.checkpoint().splitlines()[2] if size else None
    return {"size": size, "root": root}
