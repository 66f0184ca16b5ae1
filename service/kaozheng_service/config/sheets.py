"""Tables as offices keep them, Excel or CSV, as rows of cells that know where they stand."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

from kaozheng_service.config.document import FileError
from kaozheng_service.errors import UserError

Value = str | int | float | bool | date | datetime | time | timedelta

# A college's season is some 200 sessions. More than this is another file, or a sheet formatted to its last row.
MOST_BYTES = 16_000_000
MOST_CELLS = 400_000
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell.

    ``continued``: a merged cell that begins in a row above reaches down here. ``columns``: how many it covers.
    """

    value: Value
    where: str
    continued: bool = False
    columns: int = 1

    @property
    def text(self) -> str:
        """As people read it, runs of white space as one space; 7.0 is 7."""
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return " ".join(str(value).split())


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row that hold something, by column from 0. ``hidden`` in Excel, by hand or by a filter."""

    number: int
    cells: dict[int, Cell]
    hidden: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in it but what reaches down from above."""
        return all(cell.continued for cell in self.cells.values())


@dataclass(frozen=True, slots=True)
class Sheet:
    """``name`` is "" in a CSV file. A value belongs to every row of its merged cell, and to its first column."""

    path: Path
    name: str
    rows: tuple[Row, ...]

    def where(self, row: int, column: int) -> str:
        """``timetable.xlsx: 考场安排!B5``, or ``timetable.csv:5``."""
        if not self.name:
            return f"{self.path}:{row}"
        return f"{self.path}: {self.name}!{get_column_letter(column + 1)}{row}"

    @property
    def place(self) -> str:
        return f"{self.path}: {self.name}" if self.name else str(self.path)


@dataclass(frozen=True, slots=True)
class Book:
    """``unread`` names the sheets that are hidden."""

    sheets: tuple[Sheet, ...]
    unread: tuple[str, ...]


def read_book(path: Path) -> Book:
    """Read an Excel file (.xlsx) or a CSV file (UTF-8, or GB18030 as Excel saves it in China), told by its content.

    Raises
    ------
    UserError : it cannot be read, is neither, or is far too large
    FileError : cells with formulas that were never computed: what they should hold is not in the file
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the timetable cannot be read: {error.strerror}; check the path") from None
    if len(raw) > MOST_BYTES:
        raise UserError(f"{path}: {len(raw) / 1e6:.0f} MB is no timetable; give the file with the sessions")
    if raw.startswith(_ZIP):
        return _excel(path, raw)
    if raw.startswith(_OLE):
        raise UserError(
            f"{path}: is an old Excel file (.xls) or has a password; save it as .xlsx without one"
        )
    return Book((Sheet(path, "", tuple(_csv_rows(path, _text(path, raw)))),), ())


def _text(path: Path, raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: neither UTF-8 nor GB18030 text, nor Excel; save it as .xlsx or CSV")


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""))
    line = 1
    try:
        for fields in reader:
            cells = {
                column: Cell(field, f"{path}:{line}") for column, field in enumerate(fields) if field.strip()
            }
            yield Row(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}:{line}: is no CSV: {error}; save it from Excel as CSV again") from None


def _excel(path: Path, raw: bytes) -> Book:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on styles and headers, which are not read
            computed, written = (load_workbook(io.BytesIO(raw), data_only=only) for only in (True, False))
    except Exception as error:  # noqa: BLE001 - of a damaged file the library raises anything
        raise UserError(
            f"{path}: is no Excel file (.xlsx) that can be read; save it as .xlsx again: {error}"
        ) from None
    shown = [page for page in computed.worksheets if page.sheet_state == "visible"]
    hidden = tuple(page.title for page in computed.worksheets if page.sheet_state != "visible")
    faults: list[str] = []
    sheets = []
    for page in shown:
        if page.max_row * page.max_column > MOST_CELLS:
            raise UserError(
                f"{path}: {page.title}: reaches to row {page.max_row}, column {page.max_column}; "
                "delete the empty formatted rows and columns after the table (Ctrl+End shows the last)"
            )
        sheet = Sheet(path, page.title, tuple(_excel_rows(path, page)))
        faults += _uncomputed(sheet, written[page.title], page)
        sheets.append(sheet)
    if faults:
        raise FileError(faults)
    return Book(tuple(sheets), hidden)


def _excel_rows(path: Path, page: Any) -> Iterator[Row]:
    spread: dict[tuple[int, int], tuple[int, int]] = {}
    for area in page.merged_cells.ranges:
        for row in range(area.min_row, area.max_row + 1):
            spread[row, area.min_col] = (area.min_row, area.max_col - area.min_col + 1)
    named = Sheet(path, page.title, ())
    for line in page.iter_rows():
        number = line[0].row
        cells = {}
        for column in range(len(line)):
            top, columns = spread.get((number, column + 1), (number, 1))
            value = line[column].value if top == number else page.cell(top, column + 1).value
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            if not isinstance(value, Value):
                value = str(value)  # an array formula's or a rich text's own type
            cells[column] = Cell(value, named.where(number, column), top != number, columns)
        yield Row(number, cells, bool(page.row_dimensions[number].hidden))


def _uncomputed(sheet: Sheet, written: Any, computed: Any) -> list[str]:
    return [
        f"{sheet.where(cell.row, cell.column - 1)}: is a formula that was never computed; "
        "open the file in Excel and save it"
        for line in written.iter_rows()
        for cell in line
        if cell.data_type == "f" and computed.cell(cell.row, cell.column).value is None
    ]
