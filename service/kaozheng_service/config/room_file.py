"""Writing a room file: never over another, and only one that can be read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from kaozheng_service.config.site import RoomConfig, load_room
from kaozheng_service.errors import UserError

# A 2.8 mm lens on a 1/2.8 inch sensor by its datasheet: what most exam rooms are fitted with.
USUAL_LENS = {"hfov": 106.4, "vfov": 57.9, "dfov": 124.6}
USUAL_DESK = {"width": 1.3, "depth": 0.6, "height": 0.75}
USUAL_MONITOR = {"width": 0.54, "height": 0.33, "bottom": 0.80, "thickness": 0.05, "setback": 0.20}


def write_room(path: Path, data: dict[str, Any], note: str) -> RoomConfig:
    """Write a room as YAML under a comment, and read it back.

    Raises
    ------
    UserError : the file exists already, cannot be written, or what would be in it is no room that can be judged
    """
    text = "".join(f"# {line}\n" for line in note.splitlines())
    text += yaml.safe_dump(data, allow_unicode=True, sort_keys=False, default_flow_style=None, width=118)
    begun = False
    try:
        with path.open("x", encoding="utf-8") as file:
            begun = True
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: is there already; name another file, nothing is overwritten") from None
    except OSError as error:
        if begun:  # by us, and cut short by a full disk
            path.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        return load_room(path)
    except UserError:
        path.unlink()
        raise


def corner_cameras(room_id: str, width: float, depth: float, height: float) -> list[dict[str, Any]]:
    """Cameras to begin with: three corners over the desks and one on the front. Their addresses are to be set."""
    hang = round(min(2.9, height - 0.2), 2)
    places = {
        "front-left": ([0.25, depth - 0.25], [width * 0.55, depth * 0.35]),
        "back-right": ([width - 0.25, 0.25], [width * 0.45, depth * 0.55]),
        "back-left": ([0.25, 0.25], [width * 0.55, depth * 0.55]),
        "front-wall": ([width / 2, depth - 4.0], [width * 0.6, depth - 0.8]),
    }
    return [
        {
            "id": name,
            "source": f"rtsp://192.0.2.1:554/{room_id}/{name}",
            "position": [_rounded(x), _rounded(max(y, 0.25)), hang],
            "aim": [_rounded(aim_x), _rounded(aim_y), 1.2 if name == "front-wall" else 0.9],
            "lens": dict(USUAL_LENS),
            "resolution": [1920, 1080],
        }
        for name, ((x, y), (aim_x, aim_y)) in places.items()
    ]


def _rounded(value: float) -> float:
    return round(value, 2)
