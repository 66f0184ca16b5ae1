"""From sessions to windows: each exam with its pre- and post-roll, and what the site's rules add around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, groupby

from kaozheng_service.clock import moments_of
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.config.timetable import Session
from kaozheng_service.config.window_rules import SESSION_ROOM, Edge, WindowRule
from kaozheng_service.errors import UserError
from kaozheng_service.wording import activity_name


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A window as the timetable asks for it. ``id`` is that of its first expectation; a later one gets ``-r2``."""

    id: str
    room_id: str
    kind: str
    title: str
    cameras: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    exam_starts_at: datetime | None = None
    exam_ends_at: datetime | None = None


def window_id(site: Site, starts_at: datetime, room_id: str, kind: str) -> str:
    """``20241123-090000-9-201-theory``: readable, and unique as one room holds one exam at a time."""
    return f"{starts_at.astimezone(site.zone):%Y%m%d-%H%M%S}-{room_id}-{kind}"


def plan_windows(site: Site, sessions: Sequence[Session]) -> list[PlannedWindow]:
    """All windows of a timetable by begin and room.

    Raises
    ------
    UserError : a rule's clock time does not exist on a day, or comes twice
    """
    planned = [_exam_window(site, session) for session in sessions]
    planned += _united(
        site,
        [
            _rule_window(site, rule, session)
            for rule in site.windows.rules
            for session in sessions
            if rule.sessions in ("all", session.kind)
        ],
    )
    return sorted(planned, key=lambda one: (one.starts_at, one.room_id, one.kind))


def overlaps(windows: Sequence[PlannedWindow]) -> list[tuple[PlannedWindow, PlannedWindow]]:
    """Pairs that record the same camera at the same time."""
    return [
        (one, other)
        for one, other in combinations(sorted(windows, key=lambda window: window.starts_at), 2)
        if one.room_id == other.room_id
        and other.starts_at < one.ends_at
        and set(one.cameras) & set(other.cameras)
    ]


def _exam_window(site: Site, session: Session) -> PlannedWindow:
    return PlannedWindow(
        id=window_id(site, session.starts_at, session.room_id, session.kind),
        room_id=session.room_id,
        kind=session.kind,
        title=session.title,
        cameras=_cameras(site.room(session.room_id)),
        starts_at=session.starts_at - timedelta(minutes=site.recording.pre_roll_min),
        ends_at=session.ends_at + timedelta(minutes=site.recording.post_roll_min),
        exam_starts_at=session.starts_at,
        exam_ends_at=session.ends_at,
    )


def _rule_window(site: Site, rule: WindowRule, session: Session) -> PlannedWindow:
    room = site.room(session.room_id if rule.room == SESSION_ROOM else rule.room)
    starts_at, ends_at = (_moment(site, edge, rule, session) for edge in rule.edges)
    if ends_at <= starts_at:
        raise UserError(
            f"{session.where}: the rule {rule.kind} of `windows` ends at {ends_at:%F %R} UTC, before it begins; "
            "correct its from or to in the site file"
        )
    return PlannedWindow(
        id=window_id(site, starts_at, room.id, rule.kind),
        room_id=room.id,
        kind=rule.kind.value,
        title=rule.title or activity_name(rule.kind),
        cameras=_cameras(room),
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _moment(site: Site, edge: Edge, rule: WindowRule, session: Session) -> datetime:
    if edge.start_min is not None:
        return session.starts_at + timedelta(minutes=edge.start_min)
    if edge.end_min is not None:
        return session.ends_at + timedelta(minutes=edge.end_min)
    assert edge.days_before is not None and edge.at is not None  # noqa: S101, PT018 - the model holds this
    day = session.starts_at.astimezone(site.zone).date() - timedelta(days=edge.days_before)
    wall = datetime.combine(day, edge.at)
    moments = moments_of(wall, site.zone)
    if len(moments) != 1:
        what = "comes twice" if moments else "does not exist"
        raise UserError(
            f"{session.where}: {wall} of the rule {rule.kind} of `windows` {what} in {site.zone}, where the clock "
            "is changed; give the rule another hour"
        )
    return moments[0].astimezone(UTC)


def _united(site: Site, windows: list[PlannedWindow]) -> list[PlannedWindow]:
    """Windows of one kind, room and day that overlap or touch are one."""

    def place(window: PlannedWindow) -> tuple[str, str, str]:
        return window.room_id, window.kind, f"{window.starts_at.astimezone(site.zone):%F}"

    found: list[PlannedWindow] = []
    for _, members in groupby(sorted(windows, key=lambda one: (*place(one), one.starts_at)), key=place):
        current: PlannedWindow | None = None
        for window in members:
            if current is not None and window.starts_at <= current.ends_at:
                current = replace(current, ends_at=max(current.ends_at, window.ends_at))
                found[-1] = current
            else:
                current = window
                found.append(window)
    return found


def _cameras(room: RoomConfig) -> tuple[str, ...]:
    return tuple(stream.id for stream in room.streams)
