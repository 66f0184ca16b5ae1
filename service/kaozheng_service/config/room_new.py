"""A room from a few typed numbers: rows of desks, an area at the front, a door, and cameras to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaozheng_service.config.room_file import USUAL_DESK, USUAL_MONITOR, corner_cameras
from kaozheng_service.errors import UserError

# No exam room is longer; a size in millimetres or centimetres is.
_MOST_M = 100.0
# Before the front row: the place where the seal is opened, and a passage to it.
_FRONT_M = 2.5
# Behind the last row: its chairs and a passage; beside the outer desks; between desks in a row; between rows.
_BACK_M, _SIDE_M, _BETWEEN_M, _ROW_M = 1.2, 0.4, 0.1, 1.0
_MOST_COLUMN_M, _MOST_ROW_M = 2.0, 1.4


@dataclass(frozen=True, slots=True)
class RoomSize:
    """What was typed, metres: the room's width along the front wall, its depth and height, and the rows of desks."""

    width: float
    depth: float
    height: float
    rows: int
    columns: int


def new_room(room_id: str, name: str, size: RoomSize, profile: str = "theory") -> dict[str, Any]:
    """The fields of a room file (kaozheng/room/1).

    Raises
    ------
    UserError : a size that cannot be metres, or too small for the desks; says how many would fit
    """
    for what, value, least in (
        ("width", size.width, 3.0),
        ("depth", size.depth, 4.5),
        ("height", size.height, 2.2),
    ):
        if not value <= _MOST_M:
            raise UserError(f"{what} {value:g} m: no room is that large; type metres (12.0), not millimetres")
        if value < least:
            raise UserError(f"{what} {value:g} m: an exam room needs at least {least:g} m; type metres")
    if size.rows < 1 or size.columns < 1:
        raise UserError(f"{size.rows} rows of {size.columns}: type at least one of each")
    across, along = size.width - 2 * _SIDE_M, size.depth - _FRONT_M - _BACK_M
    desk_width, desk_depth = USUAL_DESK["width"], USUAL_DESK["depth"]
    most_columns = int((across - desk_width) // (desk_width + _BETWEEN_M)) + 1
    most_rows = int((along - desk_depth) // _ROW_M) + 1
    if size.columns > most_columns or size.rows > most_rows:
        raise UserError(
            f"{size.rows} rows of {size.columns} desks do not fit into {size.width:g} x {size.depth:g} m: of desks of "
            f"{desk_width:g} x {desk_depth:g} m at most {max(most_rows, 0)} rows of {max(most_columns, 0)} fit"
        )
    step_x = min(_MOST_COLUMN_M, (across - desk_width) / max(size.columns - 1, 1))
    step_y = min(_MOST_ROW_M, (along - desk_depth) / max(size.rows - 1, 1))
    first_x = (size.width - step_x * (size.columns - 1)) / 2
    first_y = size.depth - _FRONT_M - desk_depth / 2
    return {
        "schema": "kaozheng/room/1",
        "id": room_id,
        "name": name,
        "profile": profile,
        "boundary": [[0, 0], [size.width, 0], [size.width, size.depth], [0, size.depth]],
        "height": size.height,
        "obstacles": [_box("lectern", size.width - 2.2, size.depth - 1.2, 0.8, 0.5, 0.0, 1.1)],
        "seats": {
            "grid": {
                "rows": size.rows,
                "columns": size.columns,
                "first": [round(first_x, 3), round(first_y, 3)],
                "step": [round(step_x, 3), round(-step_y, 3)],
                "bearing": 0,
                "numbers": "0" * (len(str(max(size.rows * size.columns, 10))) - 1) + "1",
            },
            "desk": dict(USUAL_DESK),
            "monitor": dict(USUAL_MONITOR),
        },
        "zones": [
            {
                **_box("seal-opening", size.width / 2 - 0.8, size.depth - 1.3, 1.6, 0.8, 1.1, 1.5, "polygon"),
                "kind": "seal_opening",
                "bearing": 180,
            },
            {
                **_box("answer-sealing", size.width - 2.2, size.depth - 1.2, 0.8, 0.5, 1.1, 1.2, "polygon"),
                "kind": "answer_sealing",
            },
            {
                **_box("door", size.width - 0.4, size.depth - 2.2, 0.4, 1.0, 0.0, 2.0, "polygon"),
                "kind": "door",
            },
        ],
        "cameras": corner_cameras(room_id, size.width, size.depth, size.height),
    }


def _box(
    name: str,
    x: float,
    y: float,
    width: float,
    depth: float,
    bottom: float,
    top: float,
    ring: str = "footprint",
) -> dict[str, Any]:
    corners = [(x, y), (x + width, y), (x + width, y + depth), (x, y + depth)]
    return {"id": name, ring: [[round(a, 3), round(b, 3)] for a, b in corners], "bottom": bottom, "top": top}
