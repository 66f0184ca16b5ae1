"""Seats from an Excel sheet, as exam offices keep them: number, place and where the sitter looks."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from kaozheng_service.config.document import FileError
from kaozheng_service.errors import UserError

_FIELDS = {
    "number": ("number", "seat", "no", "座位号", "座号", "座位"),
    "x": ("x", "横坐标"),
    "y": ("y", "纵坐标"),
    "bearing": ("bearing", "朝向", "方位"),
}
_METRES = {"m": 1.0, "米": 1.0, "cm": 0.01, "厘米": 0.01, "mm": 0.001, "毫米": 0.001}
# Rows above the headings (a title, a date) that are looked through for them.
_HEADING_ROWS = 10


@dataclass(frozen=True, slots=True)
class SheetSeat:
    """One seat of the sheet: the middle of its desk in metres, its bearing in degrees, and where it was read."""

    number: str
    x: float
    y: float
    bearing: float
    cell: str


@dataclass(frozen=True, slots=True)
class _Column:
    letter: str
    index: int
    scale: float


def read_seats(path: Path, sheet: str | None = None) -> list[SheetSeat]:
    """Every seat of a sheet, the first one where none is named.

    Headings in any order, in English or Chinese, with a unit (``x (mm)``, ``纵坐标（厘米）``); metres without.

    Raises
    ------
    UserError : no such file or sheet, no Excel file, no headings
    FileError : every cell that cannot be used, as file, sheet and cell, with the mend
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on styles and headers, which are not read
            book = load_workbook(BytesIO(path.read_bytes()), data_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give the path of an Excel sheet") from None
    except Exception as error:  # noqa: BLE001 - of a damaged file the library raises anything
        raise UserError(
            f"{path}: is no Excel file (.xlsx) that can be read; save it as .xlsx again: {error}"
        ) from None
    if not book.worksheets:
        raise UserError(f"{path}: holds no sheet; save it as .xlsx again")
    if sheet is not None and sheet not in book.sheetnames:
        raise UserError(f"{path}: has no sheet {sheet!r}; it has {', '.join(book.sheetnames)}")
    page = book[sheet] if sheet is not None else book.worksheets[0]
    where = f"{path}: sheet {page.title}"
    heading_row, columns = _headings(page, where)
    merged = [area for area in page.merged_cells.ranges if area.max_row > heading_row]
    faults = [f"{where}, {area.coord}: cells are merged; split them, one seat a row" for area in merged]
    seats: list[SheetSeat] = []
    seen: dict[str, str] = {}
    for row in page.iter_rows(min_row=heading_row + 1):
        cells = {name: row[column.index].value for name, column in columns.items() if column.index < len(row)}
        if all(value is None or str(value).strip() == "" for value in cells.values()):
            continue
        line = row[0].row
        number = _number(cells.get("number"))
        cell = f"{columns['number'].letter}{line}"
        if number is None:
            faults.append(f"{where}, {cell}: there is no seat number; write one, or clear the row")
            continue
        if number in seen:
            faults.append(
                f"{where}, {cell}: seat {number} stands in {seen[number]} already; give each its own"
            )
            continue
        seen[number] = cell
        values: dict[str, float] = {}
        for name in ("x", "y", "bearing"):
            if name not in columns:
                continue
            value = cells.get(name)
            if name == "bearing" and value in (None, ""):
                continue
            at = f"{where}, {columns[name].letter}{line}"
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                shown = (
                    "is empty or a formula that was never computed" if value is None else f"holds {value!r}"
                )
                faults.append(
                    f"{at}: {shown}; seat {number} needs a number as {name} (open and save it in Excel)"
                )
                continue
            values[name] = float(value) * columns[name].scale
        if {"x", "y"} <= set(values):
            seats.append(SheetSeat(number, values["x"], values["y"], values.get("bearing", 0.0), cell))
    if faults:
        raise FileError(faults)
    if not seats:
        raise UserError(f"{where}: holds no seat under its headings in row {heading_row}; write one a row")
    return seats


def with_seats(room: dict[str, Any], seats: list[SheetSeat]) -> dict[str, Any]:
    """The fields of a room file with these seats instead of its own; desk and monitor stay."""
    kept = {key: value for key, value in (room.get("seats") or {}).items() if key in ("desk", "monitor")}
    listed = [
        {
            "number": seat.number,
            "position": [round(seat.x, 3), round(seat.y, 3)],
            "bearing": round(seat.bearing, 2),
        }
        for seat in seats
    ]
    return {**room, "seats": {"list": listed, **kept}}


def _headings(page: Any, where: str) -> tuple[int, dict[str, _Column]]:
    best: dict[str, _Column] = {}
    for row in page.iter_rows(min_row=1, max_row=_HEADING_ROWS):
        found: dict[str, _Column] = {}
        for index, cell in enumerate(row):
            named = _heading(str(cell.value or ""), f"{where}, {cell.coordinate}")
            if named is not None:
                name, scale = named
                if name in found:
                    raise UserError(f"{where}, {cell.coordinate}: a second column for {name}; keep one")
                found[name] = _Column(cell.column_letter, index, scale)
        if {"number", "x", "y"} <= set(found):
            return int(row[0].row), found
        best = max(best, found, key=len)
    missing = ", ".join(f"{name} ({_FIELDS[name][-1]})" for name in ("number", "x", "y") if name not in best)
    raise UserError(
        f"{where}: no headings for {missing} in the first {_HEADING_ROWS} rows; write number, x, y"
    )


def _heading(words: str, where: str) -> tuple[str, float] | None:
    """(field, metres a unit) of a heading; None for a column that is not a seat's."""
    match = re.fullmatch(r"\s*([^()（）]+?)\s*(?:[(（]\s*([^()（）]+?)\s*[)）])?\s*", words)
    if match is None:
        return None
    name = next((field for field, names in _FIELDS.items() if match[1].lower() in names), None)
    if name is None:
        return None
    if match[2] is None or name not in ("x", "y"):
        return name, 1.0
    if match[2].lower() not in _METRES:
        raise UserError(f"{where}: unit {match[2]!r} is not known; use m, cm or mm")
    return name, _METRES[match[2].lower()]


def _number(value: Any) -> str | None:
    """A seat number as text: 7 and 7.0 are "7", "07" stays."""
    if value is None or str(value).strip() == "":
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
