"""The inspection of rooms before an exam (考前巡场): every check there is, on all of them at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from kaozheng_coverage.assess import assess_room
from kaozheng_coverage.verdict import RoomVerdict
from kaozheng_vision.errors import VisionError
from kaozheng_vision.failures import Failure
from kaozheng_vision.probe import ProbeResult, probe_all
from kaozheng_vision.source import Source
from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.clock import now
from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
from kaozheng_service.config.site import RoomConfig, Site
from kaozheng_service.config.sources import camera_source
from kaozheng_service.database import Inspection
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.keys import fingerprint
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import Inspected
from kaozheng_service.inspection.looking import Sighting, look_at, lost_by_turning
from kaozheng_service.inspection.outcome import propose
from kaozheng_service.inspection.pictures import write_pair, write_picture
from kaozheng_service.inspection.playback import play_back
from kaozheng_service.inspection.references import keep_view
from kaozheng_service.inspection.result import (
    CameraInspection,
    CameraRecording,
    RoomInspection,
    inspection_json,
)
from kaozheng_service.inspection.sheet import acceptance_sheet
from kaozheng_service.inspection.walkthrough import RoomWalk, check_has_cards, read_cards, write_walk_pictures
from kaozheng_service.recording.windows import record_now
from kaozheng_service.station import Station

__all__ = ["RoomInspection", "inspect_rooms", "inspection_json"]

# Judging and playing back fill a core each; recording children are ffmpeg's own processes.
ROOM_WORKERS = 4
TITLE = "考前验收测试录像"

Step = Callable[[int, int], None]


class Progress(Protocol):
    """Where progress is shown: ``task`` begins a line and returns what moves it, given (done, total)."""

    def task(self, description: str) -> Step: ...


def inspect_rooms(
    station: Station,
    room_ids: Sequence[str],
    *,
    seconds: float = 10.0,
    out: Path,
    cards: bool = False,
    progress: Progress,
) -> tuple[RoomInspection, ...]:
    """Inspect rooms and print an acceptance sheet for each.

    All cameras are probed at once; then each room is recorded for ``seconds``, judged, played back and
    verified, rooms side by side. A camera that fails is a finding, not an end.

    Parameters
    ----------
    cards : read the desk cards in the same pictures too, and hold them against the model
    out : folder; an inspection writes acceptance.pdf, result.json and pictures to ``<room>/<inspection id>/``

    Returns
    -------
    One inspection a room, in the order asked for; each is also a row, and a record in the signed log.

    Raises
    ------
    UserError : no such room, or cards of one without seats
    """
    rooms = [station.site.room(room_id) for room_id in room_ids]
    for room in rooms if cards else ():
        check_has_cards(room, zones=False)
    at = now()
    probes = _probe_cameras(station.site, rooms, progress)
    steps = {room.id: progress.task(f"inspecting {room.id}") for room in rooms}
    recording = {room.id: progress.task(f"test recording {room.id}") for room in rooms}
    with ThreadPoolExecutor(max_workers=max(1, min(ROOM_WORKERS, len(rooms)))) as pool:
        futures = [
            pool.submit(
                _inspect_room,
                station,
                room,
                at,
                probes,
                seconds,
                cards,
                out,
                steps[room.id],
                recording[room.id],
            )
            for room in rooms
        ]
        return tuple(future.result() for future in futures)


Probes = dict[tuple[str, str], ProbeResult]


def _probe_cameras(site: Site, rooms: Sequence[RoomConfig], progress: Progress) -> Probes:
    """All at once; a camera whose login cannot be read is a finding too."""
    step = progress.task("probing cameras")
    sources: dict[tuple[str, str], tuple[Source, tuple[int, int] | None]] = {}
    results: Probes = {}
    for room in rooms:
        for camera in room.cameras:
            try:
                sources[room.id, camera.id] = camera_source(site, camera), camera.resolution
            except UserError as error:
                results[room.id, camera.id] = ProbeResult(failure=Failure.AUTH, message=str(error))
    total = len(sources) + len(results)
    step(len(results), total)

    def show(key: tuple[str, str], result: ProbeResult) -> None:
        results[key] = result
        step(len(results), total)

    probe_all(sources, progress=show)
    return results


def _inspect_room(
    station: Station,
    room: RoomConfig,
    at: datetime,
    probes: Probes,
    seconds: float,
    with_cards: bool,
    out: Path,
    step: Step,
    recording_step: Step,
) -> RoomInspection:
    total = 4
    name = f"{at.astimezone(station.site.zone):%Y%m%d-%H%M%S}-{room.id}"
    folder = out / room.id / name
    folder.mkdir(parents=True, exist_ok=True)
    step(0, total)
    window_id, refused = _record(station, room, seconds, recording_step)
    step(1, total)
    sightings = look_at(station, room, {camera.id: probes[room.id, camera.id] for camera in room.cameras})
    verdict = _judge(station.site, room, sightings)
    cameras = _describe_cameras(station, room, probes, sightings, verdict, name, folder / "cameras")
    step(2, total)
    checkpoint = station.log.checkpoint()
    recordings = tuple(
        play_back(station, window_id, camera.id, seconds, checkpoint)
        if window_id is not None
        else CameraRecording(camera.id, 0, 0.0, seconds, 0, 0, (refused,))
        for camera in room.cameras
    )
    step(3, total)
    walk = _read_cards(room, probes, folder / "cameras") if with_cards else None
    outcome, reasons = propose(verdict, cameras, recordings, walk.walk if walk is not None else None)
    inspection = RoomInspection(
        id=name,
        room_id=room.id,
        at=at,
        outcome=outcome,
        reasons=reasons,
        verdict=verdict,
        cameras=cameras,
        window_id=window_id,
        recordings=recordings,
        checkpoint=checkpoint,
        key_fingerprint=fingerprint(station.log.public_key),
        sheet=folder / "acceptance.pdf",
        result=folder / "result.json",
        leaf=-1,
        walk=walk,
    )
    acceptance_sheet(station.site, inspection, inspection.sheet)
    inspection = _write_down(station, inspection)
    step(total, total)
    return inspection


def _read_cards(room: RoomConfig, probes: Probes, folder: Path) -> RoomWalk:
    """Of the seats: a seal-opening area's card is held up, which an inspection does not wait for."""
    found = read_cards(room, {camera.id: probes[room.id, camera.id] for camera in room.cameras}, zones=False)
    write_walk_pictures(found, folder)
    return found


def _judge(site: Site, room: RoomConfig, sightings: dict[str, Sighting]) -> RoomVerdict:
    """By where the cameras look now. What one whose picture cannot stand for the model would see is not verified."""
    return assess_room(
        room_geometry(room),
        [one.camera for one in sightings.values()],
        room_profile(site, room),
        unverified=frozenset(camera for camera, one in sightings.items() if not one.verified),
    )


def _record(station: Station, room: RoomConfig, seconds: float, step: Step) -> tuple[str | None, str]:
    """(window id, "") or (None, why there is no recording, in Chinese)."""
    try:
        window = record_now(
            station,
            room.id,
            [camera.id for camera in room.cameras],
            seconds,
            kind="inspection",
            title=TITLE,
            progress=step,
        )
    except (ServiceError, OSError, SQLAlchemyError) as error:
        return None, f"未能进行（{error}）"
    return window.id, ""


def _describe_cameras(
    station: Station,
    room: RoomConfig,
    probes: Probes,
    sightings: dict[str, Sighting],
    verdict: RoomVerdict,
    inspection_id: str,
    folder: Path,
) -> tuple[CameraInspection, ...]:
    geometry = room_geometry(room)
    lost = lost_by_turning(geometry, room_cameras(room), room_profile(station.site, room), sightings)
    found = []
    for camera_id, seen in sightings.items():
        result = probes[room.id, camera_id]
        picture = view = None
        if result.frames:
            picture = write_picture(
                result.frames[-1], geometry, seen.camera, verdict, folder / f"{camera_id}.jpg"
            )
            try:
                view = keep_view(station, inspection_id, camera_id, result.frames)
            except (
                VisionError,
                OSError,
            ):  # a picture that can be no view, or a full disk: a finding, not an end
                view = None
            if seen.accepted is not None:
                write_pair(result.frames[-1], seen.accepted.frame, folder, camera_id)
        found.append(
            CameraInspection(
                camera_id,
                result,
                seen.diagnosis,
                picture,
                view,
                seen.compared_with,
                lost.get(camera_id, ()),
            )
        )
    return tuple(found)


def _write_down(station: Station, inspection: RoomInspection) -> RoomInspection:
    """Result file, log record, database row; in this order, so that a row never names what does not exist."""
    text = json.dumps(inspection_json(inspection), ensure_ascii=False, indent=2) + "\n"
    inspection.result.write_text(text, encoding="utf-8")
    leaf = station.log.append(
        Inspected(
            at=inspection.at,
            inspection=inspection.id,
            room=inspection.room_id,
            outcome=inspection.outcome,
            result_sha256=hashlib.sha256(text.encode()).hexdigest(),
            sheet_sha256=hashlib.sha256(inspection.sheet.read_bytes()).hexdigest(),
            log_size=parse_checkpoint(inspection.checkpoint).size,
        )
    )
    with station.sessions.begin() as session:
        session.add(
            Inspection(
                id=inspection.id,
                room_id=inspection.room_id,
                at=inspection.at,
                outcome=inspection.outcome,
                result=text,
                leaf=leaf,
            )
        )
    return replace(inspection, leaf=leaf)
