"""The walk-through of a room: its cameras opened, its desk cards read, and what to do about what disagrees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from kaozheng_coverage.card import card_zones
from kaozheng_coverage.verdict import Outcome
from kaozheng_vision.failures import Failure
from kaozheng_vision.probe import ProbeResult, probe_all
from kaozheng_vision.reading import Frame
from kaozheng_vision.residuals import CardMark, draw_cards
from kaozheng_vision.walkthrough import walk_through
from kaozheng_vision.walkthrough_result import (
    CameraReading,
    CameraState,
    CardReading,
    Misplaced,
    Reading,
    WalkThrough,
)

from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.config.sources import camera_source
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.pictures import JPEG_QUALITY

Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RoomWalk:
    """``problems`` says by camera id why there is no picture; ``frames`` is each camera's last one."""

    walk: WalkThrough
    problems: Mapping[str, str]
    frames: Mapping[str, Frame] = field(default_factory=dict, compare=False, repr=False)


def walk_room(
    site: Site,
    room: RoomConfig,
    *,
    zones: bool = True,
    seconds: float = 6.0,
    timeout_s: float = 10.0,
    progress: Step = lambda done, total: None,
) -> RoomWalk:
    """Open every camera of a room now and read the cards in its pictures.

    Parameters
    ----------
    zones : whether the cards of seal-opening areas are asked for, which someone has to hold up
    seconds, timeout_s : of the probes, which go all at once

    Raises
    ------
    UserError : the room has no cards to be read
    """
    check_has_cards(room, zones=zones)
    probes: dict[str, ProbeResult] = {}
    sources = {}
    for entry in room.cameras:
        try:
            sources[entry.id] = camera_source(site, entry), entry.resolution
        except UserError as error:
            probes[entry.id] = ProbeResult(failure=Failure.AUTH, message=str(error))
    probes |= probe_all(sources, seconds=seconds, timeout_s=timeout_s)
    return read_cards(room, probes, zones=zones, progress=progress)


def read_cards(
    room: RoomConfig,
    probes: Mapping[str, ProbeResult],
    *,
    zones: bool = True,
    progress: Step = lambda done, total: None,
) -> RoomWalk:
    """The walk-through by what probes of the room's cameras brought, by camera id; raises as :func:`walk_room`."""
    check_has_cards(room, zones=zones)
    walk = walk_through(
        room_geometry(room),
        room_cameras(room),
        room.card_marker,
        {camera_id: probe.frames if probe.ok else () for camera_id, probe in probes.items()},
        zones=zones,
        progress=progress,
    )
    problems = {
        camera_id: probe.message or "no picture came; probe it anew"
        for camera_id, probe in probes.items()
        if not probe.ok or not probe.frames
    }
    frames = {camera_id: probe.frames[-1] for camera_id, probe in probes.items() if camera_id not in problems}
    return RoomWalk(walk, problems, frames)


def check_has_cards(room: RoomConfig, *, zones: bool) -> None:
    """Raises UserError as :func:`walk_room`."""
    geometry = room_geometry(room)
    if not geometry.seats and not (zones and card_zones(geometry)):
        raise UserError(f"room {room.id} has no seats to put cards on; describe them under seats")


def walk_sentences(found: RoomWalk) -> list[str]:
    """What disagrees, one sentence each with what to do, the gravest first; none where all is proven."""
    walk = found.walk
    said = [_camera_sentence(one, found.problems) for one in walk.cameras]
    said += [
        f"two cards of {label} stand in the room: take away the one that is not on its desk"
        for label in walk.repeated
    ]
    said += [_misplaced_sentence(one) for one in walk.misplaced]
    said += [
        f"{one.camera_id} shows a marker {one.marker_id} that is on no card of room {walk.room_id}: "
        "take away cards of other rooms"
        for one in walk.strangers
    ]
    said += [
        f"{one.camera_id} does not show card {one.label}, of {one.sight.side_px:.0f} px, which nothing should hide: "
        "look whether the card stands there, or what the site file does not say stands before it"
        for one in walk.readings
        if one.reading is Reading.MISSING
    ]
    said += [_refuting_sentence(one) for one in walk.readings if one.refutes]
    if walk.unproven:
        said.append(
            f"no camera shows {', '.join(walk.unproven)}, so nothing proves that they are seen: set them up as the "
            "printed sheet says (a seal-opening area's is held up there), or see the cause by kaozheng cards"
        )
    return [one for one in said if one]


def walkthrough_json(found: RoomWalk) -> dict[str, Any]:
    """``kaozheng/walkthrough/1``: metres in the room, pixels with the corner of the first one at (0, 0)."""
    walk = found.walk
    return {
        "schema": "kaozheng/walkthrough/1",
        "room": walk.room_id,
        "outcome": walk.outcome.value,
        "cameras": [
            {
                "camera": one.camera_id,
                "state": one.state.value,
                "problem": found.problems.get(one.camera_id),
                "pictures": one.pictures,
                "cards": one.cards,
                "turn_deg": one.turn_deg,
                "turn_px": one.turn_px,
            }
            for one in walk.cameras
        ],
        "cards": [
            {"label": label, "cameras": [_reading_json(one) for one in walk.of(label)]}
            for label in walk.labels
        ],
        "misplaced": [
            {
                "label": one.label,
                "camera": one.camera_id,
                "marker_id": one.marker_id,
                "corners_px": one.seen_px,
                "at_m": one.at_m,
                "place_of": one.place_of,
            }
            for one in walk.misplaced
        ],
        "repeated": list(walk.repeated),
        "strangers": [
            {
                "camera": one.camera_id,
                "marker_id": one.marker_id,
                "corners_px": one.seen_px,
                "pictures": one.pictures,
            }
            for one in walk.strangers
        ],
        "unproven": list(walk.unproven),
    }


def write_walk_pictures(found: RoomWalk, folder: Path) -> list[Path]:
    """Each camera's last picture, ``ROOM-CAMERA-cards.jpg``, with the cards that it shows and how far they are off."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for camera_id, frame in found.frames.items():
        picture = draw_cards(frame, _marks(found.walk, camera_id))
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise ValueError(f"{camera_id}: the picture could not be encoded as JPEG")
        path = folder / f"{found.walk.room_id}-{camera_id}-cards.jpg"
        path.write_bytes(data.tobytes())
        paths.append(path)
    return paths


def _marks(walk: WalkThrough, camera_id: str) -> list[CardMark]:
    marks = [
        CardMark(one.label, np.array(one.seen_px), np.array(one.sight.corners_px), True)
        for one in walk.readings
        if one.camera_id == camera_id and one.seen_px is not None
    ]
    marks += [
        CardMark(one.label, np.array(one.seen_px), None, False)
        for one in walk.misplaced
        if one.camera_id == camera_id
    ]
    return marks + [
        CardMark(f"?{one.marker_id}", np.array(one.seen_px))
        for one in walk.strangers
        if one.camera_id == camera_id
    ]


def _camera_sentence(one: CameraReading, problems: Mapping[str, str]) -> str:
    match one.state:
        case CameraState.NO_PICTURE:
            return f"{one.camera_id}: {problems.get(one.camera_id, 'no picture came')}"
        case CameraState.OTHER_SIZE:
            return f"{one.camera_id} sends a picture of another size than the site file says: mend its resolution there"
        case CameraState.TURNED:
            return (
                f"{one.camera_id} looks elsewhere than stated: all its cards are off by {one.turn_deg:.1f} degrees, "
                f"{one.turn_px:.0f} px: turn it back, or run kaozheng calibrate"
            )
    return ""


def _misplaced_sentence(one: Misplaced) -> str:
    where = ""
    if one.at_m is not None:
        where = f" at {one.at_m[0]:.1f}, {one.at_m[1]:.1f} m"
    if one.place_of is not None:
        where += f", where the card of {one.place_of} belongs"
    return f"{one.camera_id} shows card {one.label} off its desk{where}: put it in its place"


def _refuting_sentence(one: CardReading) -> str:
    cause = one.sight.cause.value.replace("_", " ") if one.sight.cause else ""
    by = f" by {one.sight.hidden_by[0]}" if one.sight.hidden_by and cause == "hidden" else ""
    said = f"{one.camera_id} shows card {one.label}, which the model says is {cause}{by}"
    return f"{said}: mend what the site file says of it"


def _reading_json(one: CardReading) -> dict[str, Any]:
    return {
        "camera": one.camera_id,
        "reading": one.reading.value,
        "refutes": one.refutes,
        "predicted": one.sight.chance.value,
        "cause": None if one.sight.cause is None else one.sight.cause.value,
        "hidden_by": list(one.sight.hidden_by),
        "marker_id": one.sight.face.marker_id,
        "predicted_px": one.sight.side_px,
        "pictures": one.pictures,
        "corners_px": one.seen_px,
        "off_px": one.off_px,
        "off_deg": one.off_deg,
        "off_m": one.off_m,
    }


def passed(found: RoomWalk) -> bool:
    """Whether every card was read by a camera and nothing disagrees."""
    return found.walk.outcome is Outcome.PASS
