"""The live picture of a camera with the seats that the model predicts, as the sheet and the pages show it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.outline import seat_outline, zone_outline
from kaozheng_coverage.room import Room
from kaozheng_coverage.verdict import RoomVerdict
from kaozheng_vision.errors import VisionError
from kaozheng_vision.overlay import draw_outlines
from kaozheng_vision.reading import Frame
from kaozheng_vision.view_pair import view_pair

# 178 mm of paper at 170 dots an inch, and about 150 kB as JPEG: ten cameras stay under 2 MB.
WIDTH_PX = 1200
JPEG_QUALITY = 82


def write_picture(frame: Frame, room: Room, camera: Camera, verdict: RoomVerdict, path: Path) -> Path:
    """Draw the outlines of every seat and zone on ``frame`` and write it to the JPEG file ``path``.

    A frame of another size than the camera's stated one is scaled: then outlines may be off, and show it.
    """
    height_px = round(frame.shape[0] * WIDTH_PX / frame.shape[1])
    small = cv2.resize(frame, (WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    scale = np.array([WIDTH_PX / camera.lens.width_px, height_px / camera.lens.height_px])
    outcomes = {target.id: target.outcome for target in verdict.targets}
    outlines = predicted_outlines(room, camera, scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = draw_outlines(np.asarray(small, dtype=np.uint8), outlines, outcomes)
    _write_jpeg(picture, path)
    return path


def write_pair(today: Frame, accepted: Frame, folder: Path, camera_id: str) -> None:
    """The day's view and the accepted one as two pictures of one size, to lie over each other, and where they differ.

    As they are, not turned back: a camera that moved shows. Nothing where both have different shapes, which the
    diagnosis says.
    """
    try:
        pair = view_pair(today, accepted)
    except VisionError:
        return
    for name, picture in (("today", pair.today), ("accepted", pair.reference), ("difference", pair.heat)):
        _write_jpeg(picture, folder / f"{camera_id}.{name}.jpg")


def predicted_outlines(
    room: Room, camera: Camera, scale: npt.NDArray[np.float64]
) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """By seat number or zone id, and by part, (N, 2) pixels of a picture ``scale`` (x, y) times the camera's."""
    outlines: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for seat in room.seats:
        outlines[seat.number] = {
            str(part): points * scale for part, points in seat_outline(seat, camera).items()
        }
    for zone in room.zones:
        outlines[zone.id] = {zone.id: zone_outline(zone, camera) * scale}
    return outlines


def _write_jpeg(picture: Frame, path: Path) -> None:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"{path.name}: the picture could not be encoded as JPEG")
    path.write_bytes(data.tobytes())
