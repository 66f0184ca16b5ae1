"""Cameras of a room calibrated by the desk cards that they see: opened, searched for cards, and said how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import CardFace, card_faces
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.pose import roll_of
from kaozheng_coverage.projection import axes
from kaozheng_vision.calibrate import CardFit, PoseCalibration, PoseVerdict, calibrate_pose
from kaozheng_vision.failures import Failure
from kaozheng_vision.markers import Marker
from kaozheng_vision.overlay import draw_outlines
from kaozheng_vision.probe import ProbeResult, probe_all
from kaozheng_vision.reading import Frame
from kaozheng_vision.residuals import CardMark, draw_cards
from kaozheng_vision.steady import steady_markers

from kaozheng_service.config.calibrated import CalibratedEntry, StatedPose
from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile, stated_camera
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.config.sources import camera_source
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.pictures import JPEG_QUALITY, predicted_outlines

# Cards stand still: the first, the middle and the last picture of a probe average out most of the pixels' noise, and
# a card that someone passes before in one of them is found in another. Each takes a second or two to search.
_PICTURES = 3
# Sightings of one id are of one card when their middles are nearer than this share of its side.
_SAME = 1 / 3
# What the site file keeps: a tenth of a millimetre, as the errors are a hundred times that.
_PLACES = 4


@dataclass(frozen=True, slots=True, eq=False)
class CameraCalibration:
    """One camera. ``result`` is None where no picture could be had; then ``problem`` says why and what to do.

    ``stated`` is the camera as measured by hand; ``frame`` the last picture, (height, width, 3) BGR; ``sightings`` the
    cards that were found, used or not.
    """

    camera_id: str
    stated: Camera
    result: PoseCalibration | None = None
    problem: str = ""
    frame: Frame | None = None
    sightings: tuple[tuple[CardFace, Marker], ...] = ()

    @property
    def good(self) -> bool:
        return self.result is not None and self.result.verdict is PoseVerdict.GOOD


def calibrate_room(
    site: Site,
    room: RoomConfig,
    camera_ids: Sequence[str],
    *,
    seconds: float = 6.0,
    timeout_s: float = 10.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[CameraCalibration]:
    """Calibrate these cameras, in their order, from their pictures now.

    Parameters
    ----------
    seconds, timeout_s : of the probes, which go all at once

    Raises
    ------
    UserError : the room has no seats to put cards on, or no camera of that id
    """
    entries = [room.camera(name) for name in camera_ids]
    if room.seats is None:
        raise UserError(
            f"room {room.id} has no seats, so no desk cards: its cameras cannot be calibrated by them"
        )
    faces = desk_faces(room)
    probes: dict[str, ProbeResult] = {}
    sources = {}
    for entry in entries:
        try:
            sources[entry.id] = camera_source(site, entry), entry.resolution
        except UserError as error:
            probes[entry.id] = ProbeResult(failure=Failure.AUTH, message=str(error))
    probes |= probe_all(sources, seconds=seconds, timeout_s=timeout_s)
    found = []
    for number, entry in enumerate(entries):
        progress(number, len(entries))
        found.append(calibrate_camera(entry, faces, probes[entry.id]))
    progress(len(entries), len(entries))
    return found


def calibrate_camera(
    entry: CameraConfig, faces: Mapping[int, CardFace], probe: ProbeResult
) -> CameraCalibration:
    """One camera by a probe's pictures; ``faces`` are the cards by their marker's id."""
    stated = stated_camera(entry)
    if probe.failure is not None or not probe.frames:
        return CameraCalibration(entry.id, stated, problem=probe.message or "no picture came; probe it anew")
    if probe.size_matches is not True:
        problem = (
            f"the picture is {probe.width}x{probe.height}, the site file says "
            f"{entry.resolution[0]}x{entry.resolution[1]}: mend the resolution there, and the lens for it"
        )
        return CameraCalibration(entry.id, stated, problem=problem, frame=probe.frames[-1])
    markers = [one.marker for one in steady_markers(_some(probe.frames))]
    sightings = tuple((faces[marker.id], marker) for marker in markers if marker.id in faces)
    result = calibrate_pose(stated, sightings)
    return CameraCalibration(entry.id, stated, result, frame=probe.frames[-1], sightings=sightings)


def desk_faces(room: RoomConfig) -> dict[int, CardFace]:
    """The faces of all cards that stand on desks, by marker id; those of zones are held by hand and prove no place."""
    geometry = room_geometry(room)
    seats = 2 * len(geometry.seats)
    return {face.marker_id: face for face in card_faces(geometry, room.card_marker) if face.marker_id < seats}


def calibrated_entry(entry: CameraConfig, result: PoseCalibration, day: date) -> CalibratedEntry:
    """A calibration as the site file keeps it: rounded, the roll being that of the rounded aim."""
    camera = result.camera
    if camera is None or result.covariance is None or result.rms_px is None or result.held_out_cm is None:
        raise ValueError(f"{entry.id} was not calibrated: {result.reason}")
    x, y, z = (round(value, _PLACES) for value in camera.position_m)
    aim_x, aim_y, aim_z = (round(value, _PLACES) for value in camera.aim_m)
    level = replace(camera, position_m=(x, y, z), aim_m=(aim_x, aim_y, aim_z), roll_deg=0.0)
    return CalibratedEntry(
        day=day,
        position=(x, y, z),
        aim=(aim_x, aim_y, aim_z),
        roll=round(roll_of(level, axes(camera)), 3),
        focal_px=camera.lens.focal_px,
        covariance=[[float(value) for value in row] for row in result.covariance],
        cards=len(result.inliers),
        rms_px=result.rms_px,
        held_out_cm=result.held_out_cm,
        stated=StatedPose(position=entry.position, aim=entry.aim, roll=entry.roll),
    )


def write_overlays(
    site: Site, room: RoomConfig, found: Sequence[CameraCalibration], folder: Path
) -> list[Path]:
    """The last picture of each camera as a JPEG: the seats that its calibrated pose predicts, in the colours of their
    verdicts with it, the cards, and their residuals.
    """
    geometry = room_geometry(room)
    calibrated = {one.camera_id: one.result.camera for one in found if one.result is not None}
    cameras = tuple(calibrated.get(camera.id) or camera for camera in room_cameras(room))
    verdict = judge_room(geometry, cameras, room_profile(site, room), mends=False)
    outcomes = {target.id: target.outcome for target in verdict.targets}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for one in found:
        if one.frame is None:
            continue
        camera = calibrated.get(one.camera_id) or one.stated
        size = np.array([one.frame.shape[1], one.frame.shape[0]])
        outlines = predicted_outlines(geometry, camera, size / [camera.lens.width_px, camera.lens.height_px])
        picture = draw_outlines(np.asarray(one.frame, np.uint8), outlines, outcomes)
        picture = draw_cards(picture, card_marks(one))
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise ValueError(f"{one.camera_id}: the picture could not be encoded as JPEG")
        path = folder / f"{room.id}-{one.camera_id}-cards.jpg"
        path.write_bytes(data.tobytes())
        paths.append(path)
    return paths


def card_marks(one: CameraCalibration) -> list[CardMark]:
    """The cards of one camera to be drawn; without a pose only where they were found."""
    result = one.result
    if result is None or result.camera is None:
        return [CardMark(face.label, marker.corners_px) for face, marker in one.sightings]
    return [
        CardMark(card.label, card.seen_px, card.expected_px, agrees)
        for cards, agrees in ((result.inliers, True), (result.outliers, False), (result.unsharp, None))
        for card in cards
    ]


def calibration_json(
    room_id: str, found: Sequence[CameraCalibration], written: Sequence[str]
) -> dict[str, Any]:
    """``kaozheng/calibration/1``: metres, degrees, pixels; the covariance as ``Camera.pose_covariance``."""
    return {
        "schema": "kaozheng/calibration/1",
        "room": room_id,
        "good": all(one.good for one in found),
        "cameras": [_camera_json(one, one.camera_id in written) for one in found],
    }


def _camera_json(one: CameraCalibration, written: bool) -> dict[str, Any]:
    result = one.result
    body: dict[str, Any] = {
        "camera": one.camera_id,
        "cards_seen": len(one.sightings),
        "verdict": "cannot_judge" if result is None else result.verdict.value,
        "cause": "no_picture" if result is None else result.cause.value if result.cause else None,
        "reason": one.problem if result is None else result.reason,
        "written": written,
        "stated": _pose_json(one.stated),
        "calibrated": None,
        "cards": [],
    }
    if result is None:
        return body
    body["cards"] = [
        _card_json(card, used)
        for cards, used in (
            (result.inliers, "used"),
            (result.outliers, "elsewhere"),
            (result.unsharp, "unsharp"),
        )
        for card in cards
    ]
    if result.camera is not None and result.covariance is not None:
        body["calibrated"] = _pose_json(result.camera) | {
            "moved_cm": list(result.moved_cm),
            "turned_deg": {"pan": result.pan_deg, "tilt": result.tilt_deg, "roll": result.roll_deg},
            "zoom": result.zoom,
            "standard_deviations": _deviations(result.covariance),
            "covariance": [[float(value) for value in row] for row in result.covariance],
            "rms_px": result.rms_px,
            "held_out_cm": result.held_out_cm,
            "desk_cm": result.desk_cm,
            "printed": result.printed,
        }
    return body


def _pose_json(camera: Camera) -> dict[str, Any]:
    return {
        "position_m": list(camera.position_m),
        "aim_m": list(camera.aim_m),
        "roll_deg": camera.roll_deg,
        "focal_px": camera.lens.focal_px,
    }


def _deviations(covariance: Any) -> dict[str, Any]:
    each = np.sqrt(np.diagonal(np.asarray(covariance, np.float64)))
    turns = np.degrees(each[3:6])
    return {
        "position_cm": [float(100 * value) for value in each[:3]],
        "tilt_deg": float(turns[0]),
        "pan_deg": float(turns[1]),
        "roll_deg": float(turns[2]),
        "focal": float(each[6]),
    }


def _card_json(card: CardFit, used: str) -> dict[str, Any]:
    return {
        "seat": card.label,
        "marker": card.marker_id,
        "used": used,
        "off_px": _finite(card.off_px),
        "off_cm": _finite(card.off_cm),
        "stands_at_m": None if card.stands_at_m is None else list(card.stands_at_m),
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _some(frames: Sequence[Frame]) -> list[Frame]:
    places = np.unique(np.linspace(0, len(frames) - 1, _PICTURES).round().astype(int))
    return [frames[place] for place in places]
