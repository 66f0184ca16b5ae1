"""What of a camera's picture is the place of others: polygons by the accepted model, or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.outline import seat_region
from kaozheng_coverage.person import TALL
from kaozheng_coverage.room import Room
from kaozheng_vision.diagnose import Fault, Judgement, diagnose
from kaozheng_vision.errors import VisionError
from kaozheng_vision.reference import Reference

from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.looking import inspection_day
from kaozheng_service.inspection.references import accepted_files, caption_mask, load_views
from kaozheng_service.station import Station

Image = npt.NDArray[np.uint8]

# Others are hidden with this much to spare on every side: whoever turns round in his place sweeps half a shoulder's
# breadth beside the trunk that the postures give him.
MARGIN_M = TALL.shoulder_breadth_m / 2
# Footage of another shape than the model's picture is cut or stretched in a way that nobody stated. Two sizes of one
# shape differ by rounding only: 640x360 is 16:9, 704x396 too.
_SHAPE_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Mask:
    """``hidden`` is (height, width), true where nothing may be seen; ``seats`` are the others that it hides."""

    hidden: npt.NDArray[np.bool_]
    seats: tuple[str, ...]


def mask_others(station: Station, room_id: str, camera_id: str, seat: str, files: Sequence[Path]) -> Mask:
    """The mask for footage of one camera: every other seat's person and desk, less those of ``seat``.

    Parameters
    ----------
    files : the originals; the first, the middle and the last are held against the accepted view

    Raises
    ------
    UserError : no such seat; or it is not known that the model is true of this footage: no view accepted, calibrated
        since, another shape of picture, or the camera looked elsewhere
    """
    room = station.site.room(room_id)
    entry = next(one for one in room.cameras if camera_id in [stream.id for stream in one.streams])
    camera = next(one for one in room_cameras(room) if one.id == entry.id)
    geometry = room_geometry(room)
    if seat not in [one.number for one in geometry.seats]:
        raise UserError(
            f"room {room_id} has no seat {seat!r}; --mask-others needs the seat that stays visible"
        )
    views = _accepted_views(station, room_id, entry)
    pictures = [_first_picture(path) for path in dict.fromkeys((files[0], files[len(files) // 2], files[-1]))]
    height, width = pictures[0].shape[:2]
    size = camera.lens.width_px, camera.lens.height_px
    for picture in pictures:
        if (
            picture.shape[:2] != (height, width)
            or abs(width / height * size[1] / size[0] - 1.0) > _SHAPE_SHARE
        ):
            raise _refusal(
                camera_id,
                f"its pictures are {picture.shape[1]}x{picture.shape[0]}, the model is of {size[0]}x{size[1]}",
                "state the resolution that is recorded",
            )
        _refuse_moved(camera_id, np.asarray(cv2.resize(picture, size), np.uint8), entry, views, camera)
    return _mask(geometry, camera, seat, width, height)


def _accepted_views(station: Station, room_id: str, entry: CameraConfig) -> tuple[Reference, ...]:
    files = accepted_files(station, room_id, entry.id)
    if not files:
        raise _refusal(entry.id, "no view of it was accepted, so its model is not known to be true", _MEND)
    calibrated = entry.calibrated
    if calibrated is not None and any(inspection_day(one.inspection_id) <= calibrated.day for one in files):
        raise _refusal(entry.id, "it was calibrated since its view was accepted", _MEND)
    return load_views(files, entry)


def _refuse_moved(
    camera_id: str, picture: Image, entry: CameraConfig, views: tuple[Reference, ...], camera: Camera
) -> None:
    captions = caption_mask(entry, picture.shape[1], picture.shape[0])
    try:
        finding = diagnose([picture], clock_mask=captions, references=views, lens=camera.lens).finding(
            Fault.MOVED
        )
    except VisionError as error:
        raise _refusal(camera_id, str(error), _MEND) from None
    if finding.judgement is Judgement.FAULT:
        raise _refusal(camera_id, f"it looked elsewhere than in its accepted view: {finding.reason}", _MEND)
    if finding.judgement is not Judgement.OK:
        why = f"it cannot be judged whether it looked as in its accepted view: {finding.reason}"
        raise _refusal(camera_id, why, _MEND)


_MEND = "inspect and accept its view, with kaozheng inspect and kaozheng reference accept"


def _refusal(camera_id: str, why: str, mend: str) -> UserError:
    return UserError(
        f"不能遮挡 / cannot mask {camera_id}: {why}; {mend}, or leave the camera out with --camera. "
        "No unmasked copy was made in its place"
    )


def _mask(room: Room, camera: Camera, seat: str, width: int, height: int) -> Mask:
    scale = np.array([width / camera.lens.width_px, height / camera.lens.height_px])
    canvas: npt.NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    seats = []
    for other in room.seats:
        if other.number != seat:
            region = seat_region(other, camera, MARGIN_M)
            if len(region):
                cv2.fillPoly(canvas, [np.rint(region * scale).astype(np.int32)], 255)
                seats.append(other.number)
    mine = seat_region(room.seat(seat), camera)
    if len(mine):
        cv2.fillPoly(canvas, [np.rint(mine * scale).astype(np.int32)], 0)
    return Mask(canvas > 0, tuple(seats))


def _first_picture(path: Path) -> Image:
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except av.FFmpegError as error:
        raise UserError(f"{path.name}: no picture can be read ({error}); it cannot be masked") from None
    raise UserError(f"{path.name}: it holds no picture; it cannot be masked")
