"""Who sits where, from the lists that exam offices keep: Excel or CSV, before and after seats were drawn."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from kaozheng_service.clock import moments_of
from kaozheng_service.config.document import FileError
from kaozheng_service.config.sheets import Cell, Row, Sheet, read_book
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.config.timetable_table import HEADING_ROWS, NOTE, heading_words
from kaozheng_service.database import Window
from kaozheng_service.disputes.sight import room_seats
from kaozheng_service.errors import UserError

HEADINGS = {
    "准考证号": ("准考证号", "准考证", "准考证号码", "考号", "考生号"),
    "姓名": ("姓名", "考生姓名"),
    "座位号": ("座位号", "座号", "座位", "工位号", "工位"),
    "场次": ("场次", "考试场次", "场次名称"),
    "日期": ("日期", "考试日期", "考核日期"),
    "地点": ("地点", "考试地点", "考核地点", "考场地点", "教室", "考场"),
    "换座时间": ("换座时间", "入座时间"),
}
_CANDIDATE = re.compile(r"[A-Za-z0-9-]{3,32}")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_DAY = re.compile(r"(\d{4})\D(\d{1,2})\D(\d{1,2})\D?.*")
# Excel keeps 15 digits of a number; the rest of a longer one is zeros that nobody wrote.
_MOST_DIGITS = 15
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One candidate of one window. ``seat`` is None where the list gives none; ``seated_at`` None for all of it."""

    where: str
    window_id: str
    room_id: str
    candidate: str
    name: str
    seat: str | None
    seated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Roster:
    path: Path
    rows: tuple[RosterRow, ...]
    warnings: tuple[str, ...]


def read_roster(path: Path, site: Site, windows: Sequence[Window], *, window_id: str | None = None) -> Roster:
    """Every row of every visible sheet with a 准考证号 heading.

    Parameters
    ----------
    windows : the exams that candidates can be of
    window_id : all rows are of this one; otherwise 场次, 地点 and 日期, as far as there are such columns, name it

    Raises
    ------
    UserError : it cannot be read, or no sheet has the heading
    FileError : every fault of the file, as file, sheet, cell, field and mend
    """
    book = read_book(path)
    warnings = [f"{path}: {name}: is hidden and was not read" for name in book.unread]
    rows: list[RosterRow] = []
    faults: list[str] = []
    found = False
    for sheet in book.sheets:
        headed = _headings(sheet)
        if headed is None:
            if len(sheet.rows):
                warnings.append(f"{sheet.place}: has no heading 准考证号 and was not read")
            continue
        found = True
        more, bad = _rows(sheet, *headed, _Windows(site, windows, window_id))
        rows += more
        faults += bad
    if not found:
        raise UserError(
            f"{path}: 准考证号: no such column in the first {HEADING_ROWS} rows; name it so in a heading"
        )
    faults += _repeats(rows)
    if faults:
        raise FileError(faults)
    if not rows:
        raise UserError(f"{path}: holds no candidate below its headings; write one a row")
    return Roster(path, tuple(rows), tuple(warnings))


class _Windows:
    """Which window a row is of, by what its cells say."""

    def __init__(self, site: Site, windows: Sequence[Window], only: str | None) -> None:
        self._site = site
        self._windows = [one for one in windows if only is None or one.id == only]

    @property
    def site(self) -> Site:
        return self._site

    def of(self, title: str, place: str, day: str) -> Window:
        """UserError, beginning with the column, where none fits or several do."""
        fitting = self._windows
        if place:
            room = self._room(place)
            fitting = [one for one in fitting if one.room_id == room.id]
        if title:
            fitting = [one for one in fitting if _plain(one.title) == _plain(title)]
        if day:
            match = _DAY.fullmatch(day)
            if match is None:
                raise UserError(f"日期: {day[:40]!r} is no day; write it as 2024-11-23")
            wanted = tuple(int(part) for part in match.groups())
            fitting = [one for one in fitting if self._day(one) == wanted]
        if len(fitting) == 1:
            return fitting[0]
        named = "、".join(part for part in (title, place, day) if part) or "nothing"
        if not fitting:
            raise UserError(
                f"场次: no exam is stored for {named[:80]}; import the timetable first, or mend 场次, 地点 or 日期"
            )
        first = ", ".join(one.id for one in fitting[:3])
        raise UserError(
            f"场次: {named[:80]} fits {len(fitting)} exams ({first}); add 地点 or 日期, or name one with --window"
        )

    def _room(self, place: str) -> RoomConfig:
        for room in self._site.rooms:
            if _plain(place) in {_plain(name) for name in (room.id, room.name, *room.aliases)}:
                return room
        known = ", ".join(one.id for one in self._site.rooms)
        raise UserError(
            f"地点: site {self._site.id} has no room {place[:60]!r}; it has {known}; add it to its aliases"
        )

    def _day(self, window: Window) -> tuple[int, ...]:
        begin = (window.exam_starts_at or window.starts_at).astimezone(self._site.zone)
        return begin.year, begin.month, begin.day


def _headings(sheet: Sheet) -> tuple[int, dict[str, int]] | None:
    for row in sheet.rows[:HEADING_ROWS]:
        columns: dict[str, int] = {}
        for column, cell in sorted(row.cells.items()):
            words = heading_words(cell.text)
            field = next((name for name, names in HEADINGS.items() if words in names), None)
            if field is None:
                continue
            if field in columns and words == field:
                if heading_words(row.cells[columns[field]].text) == field:
                    raise UserError(
                        f"{sheet.where(row.number, column)}: {field}: a second column of this name; keep one"
                    )
                columns[field] = column
            columns.setdefault(field, column)
        if "准考证号" in columns:
            return row.number, columns
    return None


def _rows(
    sheet: Sheet, heading: int, columns: dict[str, int], windows: _Windows
) -> tuple[list[RosterRow], list[str]]:
    rows: list[RosterRow] = []
    faults: list[str] = []
    for row in sheet.rows:
        cells = {field: row.cells[column] for field, column in columns.items() if column in row.cells}
        if row.number <= heading or row.is_empty:
            continue
        if "准考证号" in cells and heading_words(cells["准考证号"].text) in HEADINGS["准考证号"]:
            continue  # headings repeated on the next page, or two rows high
        if "准考证号" not in cells and NOTE.match(
            unicodedata.normalize("NFKC", min(row.cells.items())[1].text)
        ):
            break
        try:
            rows.append(_row(sheet, row, cells, windows))
        except UserError as error:
            field = str(error).partition(": ")[0]
            faults.append(f"{sheet.where(row.number, columns.get(field, columns['准考证号']))}: {error}")
    return rows, faults


def _row(sheet: Sheet, row: Row, cells: dict[str, Cell], windows: _Windows) -> RosterRow:
    candidate = _candidate(cells.get("准考证号"))
    window = windows.of(*(cells[one].text if one in cells else "" for one in ("场次", "地点", "日期")))
    name = cells["姓名"].text if "姓名" in cells else ""
    if len(name) > _LONGEST_NAME:
        raise UserError(f"姓名: is longer than {_LONGEST_NAME} characters; write the name alone")
    return RosterRow(
        where=sheet.where(row.number, 0),
        window_id=window.id,
        room_id=window.room_id,
        candidate=candidate,
        name=name,
        seat=_seat(cells.get("座位号"), windows.site.room(window.room_id)),
        seated_at=_seated_at(cells.get("换座时间"), window, windows.site),
    )


def _candidate(cell: Cell | None) -> str:
    if cell is None:
        raise UserError("准考证号: is empty; write it, or clear the row")
    if cell.continued:
        raise UserError("准考证号: is merged with the row above; one candidate a row")
    if isinstance(cell.value, int | float) and abs(cell.value) >= 10**_MOST_DIGITS:
        raise UserError(
            f"准考证号: has more than {_MOST_DIGITS} digits and is kept as a number, of which Excel forgets the last; "
            "format the column as text and enter them anew"
        )
    text = _plain(cell.text)
    if not _CANDIDATE.fullmatch(text):
        raise UserError(
            f"准考证号: {cell.text[:40]!r} is no number of a candidate; write 3 to 32 digits or letters"
        )
    return text


def _seat(cell: Cell | None, room: RoomConfig) -> str | None:
    """As the room has it: 17, 017 and １７ are one seat where the room has no two of them."""
    if cell is None or cell.continued:
        return None
    text, known = _plain(cell.text), room_seats(room)
    if text in known:
        return text
    alike = [one for one in known if one.lstrip("0") == text.lstrip("0").removesuffix("号")]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(known) if len(known) <= 6 else f"{known[0]} to {known[-1]}"
    raise UserError(f"座位号: room {room.id} has no seat {cell.text[:20]!r}; it has {shown or 'no seats'}")


def _seated_at(cell: Cell | None, window: Window, site: Site) -> datetime | None:
    """A clock time on the day of the exam, from which on the seat is the candidate's."""
    if cell is None:
        return None
    value = cell.value.time() if isinstance(cell.value, datetime) else cell.value
    if not isinstance(value, time):
        match = _CLOCK.fullmatch(unicodedata.normalize("NFKC", cell.text))
        if match is None:
            raise UserError(f"换座时间: {cell.text[:20]!r} is no time of day; write it as 09:40")
        hour, minute, second = (int(part or 0) for part in match.groups())
        if hour > 23 or minute > 59 or second > 59:
            raise UserError(f"换座时间: {cell.text[:20]!r} is no time of day; write it as 09:40")
        value = time(hour, minute, second)
    day = (window.exam_starts_at or window.starts_at).astimezone(site.zone).date()
    moments = moments_of(datetime.combine(day, value), site.zone)
    if len(moments) != 1 or not window.starts_at <= moments[0] < window.ends_at:
        raise UserError(f"换座时间: {cell.text[:20]!r} is not within {window.id}; write a time of the exam")
    return moments[0]


def _repeats(rows: list[RosterRow]) -> list[str]:
    """A candidate or a seat that a window has twice; both at another time are a change of seats."""
    faults = []
    candidates: dict[tuple[str, str, datetime | None], RosterRow] = {}
    seats: dict[tuple[str, str, datetime | None], RosterRow] = {}
    for row in rows:
        first = candidates.setdefault((row.window_id, row.candidate, row.seated_at), row)
        if first is not row:
            faults.append(f"{row.where}: 准考证号: {row.candidate} stands in {first.where} already; keep one")
        elif row.seat is not None:
            other = seats.setdefault((row.window_id, row.seat, row.seated_at), row)
            if other is not row:
                faults.append(
                    f"{row.where}: 座位号: seat {row.seat} is given in {other.where} already; keep one"
                )
    return faults


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
