"""The exam timetable (考场安排表) as exam offices keep it: read from CSV, turned into recording windows."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from kaozheng_service.config.document import FileError
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.database import Window
from kaozheng_service.errors import UserError

NEEDED = ("场次", "时间", "地点")
# One invigilator for 15 candidates in theory, one assessor for 10 in practical exams: the certification plan's ratios.
RATIOS = {"theory": ("监考", 15), "practical": ("考评员", 10)}
_TIME = re.compile(
    r"(\d{4}-\d{1,2}-\d{1,2})\s+(\d{1,2}:\d{2}(?::\d{2})?)\s*[-–—~至]\s*(\d{1,2}:\d{2}(?::\d{2})?)"
)


@dataclass(frozen=True, slots=True)
class Session:
    """One exam (场次) in one room; times are aware UTC."""

    line: int
    title: str
    kind: str
    room_id: str
    starts_at: datetime
    ends_at: datetime
    candidates: int | None
    invigilators: int | None


@dataclass(frozen=True, slots=True)
class Timetable:
    """The sessions in file order, and warnings that stop nothing, such as a broken ratio."""

    sessions: tuple[Session, ...]
    warnings: tuple[str, ...]


def read_timetable(path: Path, site: Site) -> Timetable:
    """Read the CSV at ``path`` (UTF-8, or GB18030 as Excel saves it in China).

    Raises
    ------
    UserError : every faulty row, each with line, column and mend
    """
    rows = list(csv.DictReader(_text(path).splitlines()))
    header = rows[0].keys() if rows else ()
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise FileError(
            [f"{path}:1: {'、'.join(missing)}: no such column; the first row must name 场次, 时间 and 地点"]
        )
    sessions: list[Session] = []
    faults: list[str] = []
    warnings: list[str] = []
    for line, row in enumerate(rows, start=2):
        try:
            session = _session(line, row, site)
        except UserError as error:
            faults.append(f"{path}:{line}: {error}")
            continue
        sessions.append(session)
        warnings += [f"{path}:{line}: {text}" for text in _broken_ratio(session)]
    for earlier, later in _overlaps(sessions):
        faults.append(
            f"{path}:{later.line}: 时间: overlaps line {earlier.line} in room {later.room_id}; "
            "one room holds one exam at a time"
        )
    if faults:
        raise FileError(faults)
    return Timetable(tuple(sessions), tuple(warnings))


def session_window(site: Site, session: Session) -> Window:
    """The window of a session with the site's pre- and post-roll."""
    room = site.room(session.room_id)
    begins = session.starts_at - timedelta(minutes=site.recording.pre_roll_min)
    ends = session.ends_at + timedelta(minutes=site.recording.post_roll_min)
    local = session.starts_at.astimezone(site.zone)
    return Window(
        id=window_id(local, room, session.kind),
        room_id=room.id,
        kind=session.kind,
        title=session.title,
        batch=site.batch,
        camera_ids=" ".join(camera.id for camera in room.cameras),
        starts_at=begins,
        ends_at=ends,
        exam_starts_at=session.starts_at,
        exam_ends_at=session.ends_at,
    )


def window_id(local_start: datetime, room: RoomConfig, kind: str) -> str:
    """``20241123-090000-9-201-theory``: readable, and unique as one room holds one exam at a time."""
    return f"{local_start:%Y%m%d-%H%M%S}-{room.id}-{kind}"


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: the timetable cannot be read: {error.strerror}; see `timetable` in the site file"
        ) from None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: neither UTF-8 nor GB18030 text; save it from Excel as CSV")


def _session(line: int, row: dict[str, str | None], site: Site) -> Session:
    title = (row["场次"] or "").strip()
    if not title:
        raise UserError("场次: is empty; name the session, such as 第一考场 理论考试")
    starts_at, ends_at = _times((row["时间"] or "").strip(), site.zone)
    try:
        room = site.room((row["地点"] or "").strip())
    except UserError as error:
        raise UserError(f"地点: {error}; add the name to the room's aliases in the site file") from None
    return Session(
        line=line,
        title=title,
        kind="practical" if "实操" in title else "theory",
        room_id=room.id,
        starts_at=starts_at,
        ends_at=ends_at,
        candidates=_count(row, "人数"),
        invigilators=_count(row, "监考"),
    )


def _times(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    match = _TIME.fullmatch(text)
    if match is None:
        raise UserError(f"时间: {text!r} is not understood; write it as 2024-11-23 09:00-11:00")
    try:
        day = date.fromisoformat("-".join(part.zfill(2) for part in match[1].split("-")))
        begin, end = (
            time.fromisoformat(clock.zfill(5 if clock.count(":") == 1 else 8)) for clock in match.groups()[1:]
        )
    except ValueError as error:
        raise UserError(f"时间: {text!r}: {error}; write it as 2024-11-23 09:00-11:00") from None
    if end <= begin:
        raise UserError(f"时间: {text!r} ends before it begins; a session that passes midnight is two rows")
    starts_at, ends_at = (datetime.combine(day, clock, zone).astimezone(UTC) for clock in (begin, end))
    return starts_at, ends_at


def _count(row: dict[str, str | None], column: str) -> int | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise UserError(f"{column}: {text!r} is not a whole number; write only digits")
    return int(text)


def _broken_ratio(session: Session) -> list[str]:
    if session.candidates is None or session.invigilators is None:
        return []
    name, ratio = RATIOS[session.kind]
    needed = -(-session.candidates // ratio)
    if session.invigilators >= needed:
        return []
    return [
        f"{session.title}: {session.candidates} candidates need {needed} {name} at 1:{ratio}, "
        f"the timetable has {session.invigilators}"
    ]


def _overlaps(sessions: list[Session]) -> list[tuple[Session, Session]]:
    pairs: list[tuple[Session, Session]] = []
    by_room: dict[str, Session] = {}
    for session in sorted(sessions, key=lambda one: (one.starts_at, one.line)):
        before = by_room.get(session.room_id)
        if before is not None and session.starts_at < before.ends_at:
            pairs.append((before, session))
        if before is None or session.ends_at > before.ends_at:
            by_room[session.room_id] = session
    return pairs
