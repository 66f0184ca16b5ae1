"""Where in a sheet the timetable is: its headings, its rows, and what ends it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time

from kaozheng_service.config.sheets import Cell, Row, Sheet
from kaozheng_service.errors import UserError

# The first name of each is the exam office's own; where two columns name one field, the earlier name is taken.
HEADINGS = {
    "场次": ("场次", "考试场次", "场次名称"),
    "日期": ("日期", "考试日期", "考核日期"),
    "时间": ("时间", "考试时间", "考核时间", "起止时间", "考试起止时间"),
    "地点": ("地点", "考试地点", "考核地点", "考场地点", "教室", "考场"),
    "职业(工种)": ("职业(工种)", "职业/工种", "职业工种", "职业", "工种"),
    "级别": ("级别", "等级", "技能等级", "职业等级"),
    "人数": ("人数", "考生人数", "考试人数", "报考人数"),
    "监考": ("监考", "监考员", "监考人员", "监考人数", "监考员人数"),
    "考评员": ("考评员", "考评", "考评人员", "考评人数", "考评员人数"),
    "考务办": ("考务办", "考务", "备注"),
}
NEEDED = ("场次", "时间", "地点")
HEADING_ROWS = 30
# A row whose first cell begins so ends the table: what follows are notes and signatures.
NOTE = re.compile(
    r"\s*(?:备注|附注|注意|说明|注\s*[:：、.．\d一二三(（]|注$|制表|填表|审核|审批|批准|负责人|联系|合计|总计|共计|小计)"
)
_HOURS = re.compile(r"\d\s*[:：∶点时]")


@dataclass(frozen=True, slots=True)
class Table:
    """``columns`` by heading, from 0; ``titles`` are the texts above the headings in row ``heading``."""

    sheet: Sheet
    heading: int
    columns: dict[str, int]
    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[str, ...]
    notices: tuple[str, ...]

    def cell(self, row: Row, field: str) -> Cell | None:
        """None where there is no such column, or nothing in it."""
        return row.cells.get(self.columns[field]) if field in self.columns else None

    def where(self, row: Row, field: str) -> str:
        """The cell of a field, for messages; the row's first needed cell where there is no such column."""
        return self.sheet.where(row.number, self.columns.get(field, self.columns["场次"]))


def find_table(sheet: Sheet) -> Table | None:
    """The timetable of a sheet; None where no row of it looks like its headings.

    The table ends at the first row that begins with a word of notes (备注, 注：, 说明, 制表, 审核, 合计 ...), or
    whose one cell is merged over time and place. Rows below it that still hold hours and a place are faults.

    Raises
    ------
    UserError : a row holds some of the needed headings but not all, or one of them twice
    """
    best: tuple[int, list[str]] | None = None
    titles: list[str] = []
    for row in sheet.rows[:HEADING_ROWS]:
        columns = _columns(sheet, row)
        missing = [name for name in NEEDED if name not in columns]
        if not missing:
            return _table(sheet, row, columns, tuple(titles))
        if len(missing) < len(NEEDED) - 1 and (best is None or len(missing) < len(best[1])):
            best = row.number, missing
        titles += [cell.text for cell in row.cells.values() if not cell.continued]
    if best is not None:
        raise UserError(_no_column(sheet, *best))
    return None


def missing_headings(sheet: Sheet) -> str:
    """What is wrong with a sheet that should hold the timetable and has no headings."""
    return _no_column(sheet, sheet.rows[0].number if sheet.rows else 1, list(NEEDED))


def _no_column(sheet: Sheet, row: int, missing: list[str]) -> str:
    names = "、".join(missing)
    return (
        f"{sheet.where(row, 0)}: {names}: no such column; one of the first {HEADING_ROWS} rows must name "
        f"{'、'.join(NEEDED)}"
    )


def _columns(sheet: Sheet, row: Row) -> dict[str, int]:
    found: dict[str, tuple[int, int]] = {}
    for column, cell in sorted(row.cells.items()):
        words = heading_words(cell.text)
        for field, names in HEADINGS.items():
            if words not in names:
                continue
            rank = names.index(words)
            if field in found and found[field][0] == rank:
                raise UserError(
                    f"{sheet.where(row.number, column)}: {field}: a second column of this name; keep one"
                )
            if field not in found or rank < found[field][0]:
                found[field] = (rank, column)
    return {field: column for field, (_, column) in found.items()}


def heading_words(text: str) -> str:
    """A heading without white space, its brackets and letters in their plain form."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _table(sheet: Sheet, heading: Row, columns: dict[str, int], titles: tuple[str, ...]) -> Table:
    faults: list[str] = []
    notices: list[str] = []
    rows: list[Row] = []
    ended: int | None = None
    headings = {field: heading.cells[column].text for field, column in columns.items()}
    for row in _below(sheet, heading, columns):
        own = {field: row.cells[column] for field, column in columns.items() if column in row.cells}
        if row.is_empty or {field: cell.text for field, cell in own.items()} == headings:
            continue
        if ended is not None:
            if _looks_like_a_session(own):
                faults.append(
                    f"{sheet.where(row.number, columns['场次'])}: 场次: a session below the notes in row {ended}, "
                    "which ended the table; move it above them, or clear the row"
                )
            continue
        if _is_note(row, columns):
            ended = row.number
            continue
        if row.hidden:
            notices.append(
                f"{sheet.where(row.number, columns['场次'])}: the row is hidden in Excel, and counts all the same"
            )
        rows.append(row)
    return Table(sheet, heading.number, columns, titles, tuple(rows), tuple(faults), tuple(notices))


def _below(sheet: Sheet, heading: Row, columns: dict[str, int]) -> Iterator[Row]:
    """The rows below the headings; headings that are merged over two rows are two rows high."""
    for row in sheet.rows:
        if row.number <= heading.number:
            continue
        needed = [row.cells.get(columns[name]) for name in NEEDED]
        if row.number == heading.number + 1 and all(
            cell is not None and cell.continued and heading_words(cell.text) in HEADINGS[name]
            for name, cell in zip(NEEDED, needed, strict=True)
        ):
            continue
        yield row


def _is_note(row: Row, columns: dict[str, int]) -> bool:
    first, cell = min(row.cells.items())
    if NOTE.match(unicodedata.normalize("NFKC", cell.text)):
        return True
    covered = range(first, first + cell.columns)
    return len(row.cells) == 1 and columns["时间"] in covered and columns["地点"] in covered


def _looks_like_a_session(own: dict[str, Cell]) -> bool:
    if "时间" not in own or "地点" not in own:
        return False
    hours = own["时间"].value
    return isinstance(hours, datetime | time) or _HOURS.search(own["时间"].text) is not None
