"""Writes a calibration into the site file: only that camera's lines change, comments and all else stay as they were."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kaozheng_service.config.calibrated import CalibratedEntry
from kaozheng_service.config.document import Document
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError
from kaozheng_service.recording.durable import sync_file, sync_folder

_KEY = "calibrated"
_NOTE = "# by desk cards; counts instead of what is stated above. Removing it goes back to that."
# Of a covariance: what it is rounded to changes no standard deviation by more than 0.01 %.
_DIGITS = 5


def write_calibrations(path: Path, room_id: str, found: Mapping[str, CalibratedEntry]) -> None:
    """Give cameras of a room their ``calibrated`` block, in place of an older one.

    The new file is read back and compared before it replaces the old one, at once; the stated pose stays in it.

    Raises
    ------
    UserError : the file cannot be written; a camera is described by a YAML anchor that others share; or what would be
        in the file is no site file, or says anything else than before. Then nothing is changed.
    """
    target = path.resolve()  # the file itself, not a link to it
    before = target.read_bytes()
    # Line ends as they are: a site file may come from Windows.
    text = before.decode("utf-8")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    old = Document(target).data
    wanted = copy.deepcopy(old)
    for camera_id, entry in found.items():
        room, camera = _place(old, room_id, camera_id)
        text = _with_block(path, text, room, camera, entry)
        wanted["rooms"][room]["cameras"][camera][_KEY] = _plain(entry)
    partial = target.with_name(f".{target.name}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(mark + text)
        rights = target.stat()
        partial.chmod(rights.st_mode)
        # Run by root, the file stays its owner's; anyone else may not give files away, and need not.
        with contextlib.suppress(PermissionError):
            os.chown(partial, rights.st_uid, rights.st_gid)
        _read_back(partial, path)
        if Document(partial).data != wanted:
            raise UserError(
                f"{path}: the calibration could not be written without changing something else; add it by hand"
            )
        if target.read_bytes() != before:
            raise UserError(f"{path}: was changed meanwhile; calibrate again")
        sync_file(partial)
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None
    finally:
        partial.unlink(missing_ok=True)


def _read_back(partial: Path, path: Path) -> None:
    try:
        load_site(partial)
    except UserError as error:
        raise UserError(f"not written, for then: {str(error).replace(str(partial), str(path))}") from None


def _place(data: Any, room_id: str, camera_id: str) -> tuple[int, int]:
    """Where in the file the camera is. The file was loaded before, so it is there."""
    for number, room in enumerate(data["rooms"]):
        if room["id"] == room_id:
            for place, camera in enumerate(room["cameras"]):
                if camera["id"] == camera_id:
                    return number, place
    raise UserError(f"room {room_id} has no camera {camera_id!r} any more; calibrate again")


def _with_block(path: Path, text: str, room: int, camera: int, entry: CalibratedEntry) -> str:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    node = _value(_value(root, "rooms").value[room], "cameras").value[camera]
    if _uses(root, node) > 1:
        raise UserError(
            f"{path}:{node.start_mark.line + 1}: this camera is written once for several rooms (a YAML anchor); "
            "write it out for each, then calibrate"
        )
    newline = "\r\n" if "\r\n" in text else "\n"
    key = next((pair for pair in node.value if pair[0].value == _KEY), None)
    if node.flow_style:
        block = f"{_KEY}: {_flow(_plain(entry))}"
        if key is not None:
            return text[: key[0].start_mark.index] + block + text[_end(key[1], text) :]
        at = max(_end(value, text) for value in _own(node))
        return f"{text[:at]}, {block}{text[at:]}"
    indent = " " * node.value[0][0].start_mark.column
    block = f"{newline}{indent}".join(_lines(_plain(entry)))
    if key is not None:
        return text[: key[0].start_mark.index] + block + text[_end(key[1], text) :]
    at = max(_end(value, text) for value in _own(node))
    rest = text.find("\n", at)  # after the remark at the end of its last line
    at = len(text) if rest < 0 else rest - (newline == "\r\n")
    return f"{text[:at]}{newline}{indent}{block}{text[at:] or newline}"


def _value(node: yaml.Node, key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)


def _own(node: yaml.MappingNode) -> list[yaml.Node]:
    """Keys and values that are written here: an alias' value is where its anchor is."""
    found = []
    for key, value in node.value:
        found.append(key)
        if value.start_mark.index >= key.end_mark.index:
            found.append(value)
    return found


def _uses(root: yaml.Node, wanted: yaml.Node) -> int:
    """How many times a node is reached: more than once where others are aliases of it, or of what it is in."""
    count, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        count += node is wanted
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return count


def _end(node: yaml.Node, text: str) -> int:
    """Where a node's own text ends: a block's mark stands behind the remarks that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        parts = _own(node) if isinstance(node, yaml.MappingNode) else node.value
        return max(_end(part, text) for part in parts)
    return len(text[: node.end_mark.index].rstrip())


def _plain(entry: CalibratedEntry) -> dict[str, Any]:
    """The block as YAML reads it back: lists and numbers, rounded to what they mean."""
    return {
        "day": entry.day,
        "position": [round(value, 4) for value in entry.position],
        "aim": [round(value, 4) for value in entry.aim],
        "roll": round(entry.roll, 3),
        "focal_px": round(entry.focal_px, 2),
        "cards": entry.cards,
        "rms_px": round(entry.rms_px, 2),
        "held_out_cm": round(entry.held_out_cm, 1),
        "covariance": [[float(f"{value:.{_DIGITS - 1}e}") for value in row] for row in entry.covariance],
        "stated": {
            "position": list(entry.stated.position),
            "aim": list(entry.stated.aim),
            "roll": entry.stated.roll,
        },
    }


def _lines(plain: dict[str, Any]) -> list[str]:
    lines = [f"{_KEY}: {_NOTE}"]
    for name, value in plain.items():
        if name == "covariance":
            lines.append(
                f"  {name}: # position x y z (m), turn about right, down, forward (rad), focal length"
            )
            lines += [f"    - {_flow(row)}" for row in value]
        else:
            lines.append(f"  {name}: {_flow(value)}")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    if isinstance(value, float):
        # YAML 1.1 reads 1e-05 as text: a number needs a point.
        text = repr(value)
        mantissa, exponent, power = text.partition("e")
        return text if not exponent or "." in mantissa else f"{mantissa}.0e{power}"
    return str(value)
