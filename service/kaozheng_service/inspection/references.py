"""Accepted views: what each camera's later pictures are held against, kept as files that nothing overwrites."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_vision.picture import Frame, Mask
from kaozheng_vision.reference import Light, make_reference
from kaozheng_vision.reference import Reference as View
from sqlalchemy import select

from kaozheng_service.clock import now
from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.database import Inspection, Reference
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.records import ReferenceAccepted
from kaozheng_service.recording.durable import sync_file, sync_folder
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station

FOLDER = "references"
VIEWS = "views"
# Faults with which a picture is no view to hold others against. A camera that was moved may be accepted as it now is.
UNFIT = ("lost", "black", "too_dark", "too_bright", "blurred", "frozen", "noisy", "covered")


@dataclass(frozen=True, slots=True)
class AcceptedFile:
    """A reference's file in force: where it is and what its bytes must hash to."""

    path: Path
    sha256: str
    light: str
    inspection_id: str


@dataclass(frozen=True, slots=True)
class ViewFile:
    """What an inspection saw of a camera: ``path`` is from the state folder on."""

    path: str
    sha256: str
    light: Light


def accept_references(
    station: Station, inspection_id: str, room_id: str, cameras: list[str] | None = None
) -> list[Reference]:
    """Accept the views of an inspection's cameras, all of them or those named.

    Each becomes a row, a record in the signed log and a file of its own under the state folder.

    Raises
    ------
    UserError : no such inspection or camera, a view that is gone or was changed since, or a picture that has a fault
        with which it is no view to hold others against; then nothing is accepted
    """
    with station.sessions() as session:
        inspection = session.get(Inspection, inspection_id)
    if inspection is None or inspection.room_id != room_id:
        raise UserError(
            f"room {room_id} has no inspection {inspection_id!r}; the folder of its acceptance sheet has its name"
        )
    result = json.loads(inspection.result)
    found = {entry["camera"]: entry for entry in result["cameras"]}
    unknown = set(cameras or ()) - set(found)
    if unknown:
        raise UserError(
            f"inspection {inspection_id} has no camera {', '.join(sorted(unknown))}; it has {', '.join(found)}"
        )
    chosen = [entry for name, entry in found.items() if cameras is None or name in cameras]
    views = [_view_of(station, inspection, entry) for entry in chosen]
    return [
        _accept(station, inspection, entry["camera"], view) for entry, view in zip(chosen, views, strict=True)
    ]


def newest_inspection(station: Station, room_id: str) -> str:
    """The id of the room's newest inspection. Raises UserError if there is none."""
    with station.sessions() as session:
        found = session.scalars(
            select(Inspection.id).where(Inspection.room_id == room_id).order_by(Inspection.at.desc()).limit(1)
        ).first()
    if found is None:
        raise UserError(f"room {room_id} was not inspected yet; run: kaozheng inspect --room {room_id}")
    return found


def accepted_files(station: Station, room_id: str, camera_id: str) -> tuple[AcceptedFile, ...]:
    """The files in force for a camera, at most one of each light."""
    return tuple(
        AcceptedFile(station.state / row.path, _signed_sha256(station, row), row.light, row.inspection_id)
        for row in references_in_force(station, room_id, camera_id)
    )


def _signed_sha256(station: Station, row: Reference) -> str:
    """The hash that the signed log has for this acceptance; "" where the log does not say so, and no file fits that."""
    if row.leaf is None or row.leaf >= station.log.size:
        return ""
    record = json.loads(station.log.entry(row.leaf))
    says = tuple(record.get(key) for key in ("kind", "room", "camera", "light", "sha256"))
    row_says = (ReferenceAccepted.kind, row.room_id, row.camera_id, row.light, row.sha256)
    return row.sha256 if says == row_says else ""


def references_in_force(station: Station, room_id: str, camera_id: str) -> list[Reference]:
    """The newest accepted view of each light."""
    with station.sessions() as session:
        rows = session.scalars(
            select(Reference)
            .where(Reference.room_id == room_id, Reference.camera_id == camera_id)
            .order_by(Reference.id)
        ).all()
    return list({row.light: row for row in rows}.values())


def load_views(files: tuple[AcceptedFile, ...], camera: CameraConfig) -> tuple[View, ...]:
    """The accepted views themselves, for :func:`kaozheng_vision.diagnose.diagnose`.

    Raises
    ------
    UserError : a file is missing, or its bytes are not those that were accepted
    """
    return tuple(load_view(file.path, file.sha256, camera) for file in files)


def load_view(path: Path, sha256: str, camera: CameraConfig) -> View:
    """One accepted view; raises as :func:`load_views`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"the accepted view {path.name} of {camera.id} cannot be read ({error.strerror}); inspect and accept anew"
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            f"the accepted view {path.name} of {camera.id} is not the one that the log has as accepted; "
            "inspect and accept anew"
        )
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise UserError(
            f"the accepted view {path.name} of {camera.id} is no picture; inspect and accept anew"
        )
    picture: Frame = np.asarray(frame, np.uint8)
    return make_reference([picture], caption_mask(camera, picture.shape[1], picture.shape[0]))


def caption_mask(camera: CameraConfig, width_px: int, height_px: int) -> Mask | None:
    """(height, width), true where the camera burns in its clock or name; None where the site file does not say."""
    if not camera.captions:
        return None
    mask: npt.NDArray[np.bool_] = np.zeros((height_px, width_px), np.bool_)
    for one in camera.captions:
        rows = slice(int(one.top * height_px), int(np.ceil(one.bottom * height_px)))
        columns = slice(int(one.left * width_px), int(np.ceil(one.right * width_px)))
        mask[rows, columns] = True
    return mask


def keep_view(station: Station, inspection_id: str, camera_id: str, frames: tuple[Frame, ...]) -> ViewFile:
    """Keep what an inspection saw, the median of its frames, losslessly, so that it can be accepted."""
    view = make_reference(frames)
    data = cv2.imencode(".png", view.frame)[1].tobytes()
    name = Path(VIEWS) / inspection_id / f"{camera_id}.png"
    path = station.state / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ViewFile(name.as_posix(), hashlib.sha256(data).hexdigest(), view.light)


def _view_of(station: Station, inspection: Inspection, entry: dict[str, Any]) -> tuple[bytes, Light]:
    camera, view = entry["camera"], entry.get("view")
    if not isinstance(view, dict):
        raise UserError(
            f"inspection {inspection.id} has no picture of {camera}; mend the camera and inspect anew"
        )
    faults = {one["fault"] for one in entry["diagnosis"] if one["judgement"] == "fault"}
    unfit = [fault for fault in UNFIT if fault in faults]
    if unfit:
        raise UserError(
            f"the picture of {camera} is {', '.join(unfit)}: no view to hold others against; mend it and inspect anew"
        )
    path = station.state / view["path"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); inspect anew") from None
    if hashlib.sha256(data).hexdigest() != view["sha256"]:
        raise UserError(f"{path} was changed since the inspection; inspect anew")
    return data, Light(view["light"])


def _accept(station: Station, inspection: Inspection, camera_id: str, view: tuple[bytes, Light]) -> Reference:
    data, light = view
    sha256 = hashlib.sha256(data).hexdigest()
    name = Path(FOLDER) / inspection.room_id / camera_id / f"{inspection.id}-{light.value}.png"
    path = station.state / name
    with station.sessions() as session:
        row = session.scalars(select(Reference).where(Reference.path == name.as_posix())).first()
        if row is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            sync_file(path)
            sync_folder(path.parent)
            row = Reference(
                room_id=inspection.room_id,
                camera_id=camera_id,
                light=light.value,
                at=now(),
                inspection_id=inspection.id,
                path=name.as_posix(),
                sha256=sha256,
            )
            session.add(row)
            session.commit()
        if row.leaf is None:
            record = ReferenceAccepted(
                at=now(),
                room=inspection.room_id,
                camera=camera_id,
                light=light.value,
                inspection=inspection.id,
                sha256=sha256,
            )
            row.leaf = append_once(station.log, record, in_doubt=True)
            session.commit()
    return row
