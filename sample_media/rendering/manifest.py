"""What was rendered from what: the clips' hashes, and the hashes of the scenes they show."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

SCHEMA = "kaozheng/sample-media/1"
COMMAND = "make media"
# Raise it when the renderer's pictures change, so that every clip is made anew.
RENDERER = 2

_ROOM_PARTS = ("id", "name", "boundary", "height", "obstacles", "seats", "zones", "card_marker")
_CAMERA_PARTS = ("id", "position", "aim", "roll", "lens", "resolution")


def scene_sha256(room: dict, camera: dict) -> str:
    """Hash of all that a clip shows: the room's geometry and this camera, without its address."""
    scene = {
        "room": {name: room[name] for name in _ROOM_PARTS if name in room},
        "camera": {name: camera[name] for name in _CAMERA_PARTS if name in camera},
    }
    # Numbers as floats: 3 and 3.0 are the same place.
    return hashlib.sha256(json.dumps(_floats(scene), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def shows(room: dict, camera: dict) -> str:
    """What a clip shows, in words."""
    grid = room["seats"].get("grid")
    gridded = grid["rows"] * grid["columns"] - len(grid.get("without", ())) if grid else 0
    seats = gridded + len(room["seats"].get("list", ()))
    people = (
        f"{seats} candidates at computers, an invigilator who opens the sealed bag, one who walks the aisle"
    )
    return f"{room['name']} from {camera['id']}: {people}"


def file_sha256(path: Path) -> str:
    """Hash of a clip."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(path: Path) -> dict[str, dict]:
    """Clips by name; empty where there is no manifest."""
    if not path.is_file():
        return {}
    return {clip["path"]: clip for clip in json.loads(path.read_text(encoding="utf-8"))["clips"]}


def write_manifest(path: Path, clips: dict[str, dict]) -> None:
    """The manifest, clips in the order of their names."""
    document = {
        "schema": SCHEMA,
        "made_by": COMMAND,
        "renderer": RENDERER,
        "clips": [clips[name] for name in sorted(clips)],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _floats(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _floats(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_floats(entry) for entry in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
