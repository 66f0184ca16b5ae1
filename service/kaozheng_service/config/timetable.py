"""The exam timetable (考场安排表) as exam offices keep it: read from Excel or CSV, checked as a whole."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, time
from itertools import pairwise
from pathlib import Path

from kaozheng_service.config.document import FileError
from kaozheng_service.config.sheets import Cell, Row, read_book
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.config.timetable_table import NEEDED, Table, find_table, missing_headings
from kaozheng_service.config.timetable_times import Years, session_times, stated_year
from kaozheng_service.errors import UserError

# One invigilator for 15 candidates in theory, one assessor for 10 in practical exams: the certification plan's ratios.
RATIOS = {"theory": ("监考", 15), "practical": ("考评员", 10)}
PRACTICAL = ("实操", "实际操作", "操作技能", "技能操作", "技能考核")
LONGEST_TITLE = 120
# No exam begins before it; hours such as 2:00-5:00 are an afternoon's whose 下午 was left out.
EARLY = time(6)
_COUNT = re.compile(r"(\d{1,5})\s*[人名位]?")
_NAMES = re.compile(r"[^\d、]+(?:、[^\d、]+)+")


@dataclass(frozen=True, slots=True)
class Session:
    """One exam (场次) in one room; times are aware UTC. ``where`` is its cell or line in the file."""

    where: str
    title: str
    kind: str
    room_id: str
    starts_at: datetime
    ends_at: datetime
    occupation: str = ""
    level: str = ""
    candidates: int | None = None
    invigilators: int | None = None
    office: str = ""


@dataclass(frozen=True, slots=True)
class Timetable:
    """The sessions in file order, and warnings that stop nothing, such as a broken ratio."""

    path: Path
    sessions: tuple[Session, ...]
    warnings: tuple[str, ...]


def read_timetable(path: Path, site: Site) -> Timetable:
    """Read the sessions of every sheet that has the headings 场次, 时间 and 地点.

    Raises
    ------
    UserError : the file cannot be read
    FileError : every faulty cell at once, as file, sheet and cell, field, what is wrong and the mend
    """
    book = read_book(path)
    faults: list[str] = []
    warnings = [f"{path}: sheet {name} is hidden and is not read" for name in book.unread]
    tables: list[Table] = []
    for sheet in book.sheets:
        try:
            table = find_table(sheet)
        except UserError as error:
            faults.append(str(error))
            continue
        if table is not None:
            tables.append(table)
        elif len(book.sheets) > 1:
            warnings.append(f"{sheet.place}: has no headings of a timetable and is not read")
    if not tables and not faults:
        faults.append(missing_headings(book.sheets[0]) if book.sheets else f"{path}: holds no visible sheet")
    sessions: list[Session] = []
    for table in tables:
        faults += table.faults
        warnings += table.notices
        found, bad = _sessions(table, site)
        sessions += found
        faults += bad
    for earlier, later in _overlaps(sessions):
        faults.append(
            f"{later.where}: 时间: overlaps {earlier.where} in room {later.room_id}; "
            "one room holds one exam at a time"
        )
    if not sessions and not faults:
        faults.append(f"{tables[0].sheet.place}: holds no session below its headings; write one a row")
    if faults:
        raise FileError(faults)
    for session in sessions:
        warnings += [f"{session.where}: {text}" for text in _doubts(session, site)]
    return Timetable(path, tuple(sessions), tuple(warnings))


def _sessions(table: Table, site: Site) -> tuple[list[Session], list[str]]:
    years = stated_year(list(table.titles), site.windows.year)
    sessions: list[Session] = []
    faults: list[str] = []
    for row in table.rows:
        if sessions and _goes_on(table, row):
            sessions[-1], bad = _joined(sessions[-1], table, row)
        else:
            session, bad = _session(table, row, site, years)
            if session is not None:
                sessions.append(session)
        faults += bad
    return sessions, faults


def _goes_on(table: Table, row: Row) -> bool:
    """Whether session, time and place are all merged with the row above: one exam of two occupations."""
    cells = [table.cell(row, field) for field in NEEDED]
    return all(cell is not None and cell.continued for cell in cells)


def _joined(session: Session, table: Table, row: Row) -> tuple[Session, list[str]]:
    """The session with what its further row adds; a count that is merged counts once."""
    faults: list[str] = []
    counts = {}
    for name, field in (("candidates", "人数"), ("invigilators", _watchers(table, session.kind))):
        cell = table.cell(row, field)
        more = None if cell is None or cell.continued else _count(table, row, field, faults)
        counts[name] = _sum(getattr(session, name), more)
    words = {
        name: "、".join(
            dict.fromkeys(part for part in (getattr(session, name), _text(table, row, field)) if part)
        )
        for name, field in (("occupation", "职业(工种)"), ("level", "级别"), ("office", "考务办"))
    }
    return replace(session, **words, **counts), faults  # type: ignore[arg-type]


def _session(table: Table, row: Row, site: Site, years: Years) -> tuple[Session | None, list[str]]:
    """The session of a row, or None, and every fault of the row."""
    faults: list[str] = []
    title = _text(table, row, "场次")
    if not title:
        faults.append(_fault(table, row, "场次: is empty; name the session, such as 第一考场 理论考试"))
    elif len(title) > LONGEST_TITLE:
        faults.append(_fault(table, row, f"场次: is longer than {LONGEST_TITLE} characters; shorten it"))
    times = None
    try:
        times = _times(table, row, site, years)
    except UserError as error:
        faults.append(_fault(table, row, str(error)))
    room = None
    try:
        room = _room(site, table.cell(row, "地点"))
    except UserError as error:
        faults.append(_fault(table, row, f"地点: {error}"))
    kind = "practical" if any(word in title for word in PRACTICAL) else "theory"
    candidates = _count(table, row, "人数", faults)
    invigilators = _count(table, row, _watchers(table, kind), faults)
    if faults or times is None or room is None:
        return None, faults
    return (
        Session(
            where=table.where(row, "场次"),
            title=title,
            kind=kind,
            room_id=room.id,
            starts_at=times[0],
            ends_at=times[1],
            occupation=_text(table, row, "职业(工种)"),
            level=_text(table, row, "级别"),
            candidates=candidates,
            invigilators=invigilators,
            office=_text(table, row, "考务办"),
        ),
        [],
    )


def _fault(table: Table, row: Row, message: str) -> str:
    """A fault at the cell of the column that the message begins with."""
    return f"{table.where(row, message.partition(': ')[0])}: {message}"


def _text(table: Table, row: Row, field: str) -> str:
    cell = table.cell(row, field)
    return cell.text if cell is not None else ""


def _times(table: Table, row: Row, site: Site, years: Years) -> tuple[datetime, datetime]:
    hours, day = table.cell(row, "时间"), table.cell(row, "日期")
    if hours is None:
        raise UserError("时间: is empty; write it as 2024-11-23 09:00-11:00")
    return session_times(day.value if day is not None else None, hours.value, site.zone, years)


def _room(site: Site, cell: Cell | None) -> RoomConfig:
    """By id, name or alias; full-width letters and white space make no other room."""
    if cell is None:
        raise UserError("is empty; name the room as the site file does")
    wanted = _plain(cell.text)
    for room in site.rooms:
        if wanted in {_plain(name) for name in (room.id, room.name, *room.aliases)}:
            return room
    known = ", ".join(room.id for room in site.rooms)
    raise UserError(
        f"site {site.id} has no room {cell.text[:60]!r}; it has {known}; "
        "add the name to the room's aliases in the site file"
    )


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _watchers(table: Table, kind: str) -> str:
    """The column with those who watch: 考评员 for a practical exam where there is such a column."""
    return "考评员" if kind == "practical" and "考评员" in table.columns else "监考"


def _count(table: Table, row: Row, field: str, faults: list[str]) -> int | None:
    """A number of people; names with 、 between them are counted, but for candidates."""
    cell = table.cell(row, field)
    if cell is None:
        return None
    text = unicodedata.normalize("NFKC", cell.text)
    if not isinstance(cell.value, bool):
        if match := _COUNT.fullmatch(text):
            return int(match[1])
        if field != "人数" and _NAMES.fullmatch(text):
            return text.count("、") + 1
    names = "" if field == "人数" else ", or the names with 、 between them"
    faults.append(
        f"{table.where(row, field)}: {field}: {text[:60]!r} is not a whole number; write only digits{names}"
    )
    return None


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other


def _doubts(session: Session, site: Site) -> list[str]:
    """What may be wrong and stops nothing."""
    doubts = []
    if session.candidates is not None and session.invigilators is not None:
        name, ratio = RATIOS[session.kind]
        needed = -(-session.candidates // ratio)
        if session.invigilators < needed:
            doubts.append(
                f"{session.title}: {session.candidates} candidates need {needed} {name} at 1:{ratio}, "
                f"the timetable has {session.invigilators}"
            )
    local = session.starts_at.astimezone(site.zone)
    if local.time() < EARLY:
        doubts.append(f"{session.title}: begins at {local:%H:%M}, in the night; write 下午 if that is meant")
    return doubts


def _overlaps(sessions: list[Session]) -> list[tuple[Session, Session]]:
    pairs: list[tuple[Session, Session]] = []
    by_room: dict[str, list[Session]] = {}
    for session in sessions:
        by_room.setdefault(session.room_id, []).append(session)
    for members in by_room.values():
        members.sort(key=lambda one: one.starts_at)
        longest = members[0]
        for _, later in pairwise(members):
            if later.starts_at < longest.ends_at:
                pairs.append((longest, later))
            longest = max(longest, later, key=lambda one: one.ends_at)
    return pairs
