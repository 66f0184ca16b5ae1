"""The inspection of rooms before an exam (考前巡场): every check there is, on all of them at once."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from kaozheng_coverage.assess import assess_room
from kaozheng_coverage.verdict import RoomVerdict
from kaozheng_vision.diagnose import diagnose
from kaozheng_vision.probe import WORKERS, ProbeResult, probe
from kaozheng_vision.reach import Failure
from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.clock import now
from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
from kaozheng_service.config.site import CameraConfig, RoomConfig, Site
from kaozheng_service.config.sources import camera_source
from kaozheng_service.database import Inspection
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.records import Inspected
from kaozheng_service.inspection.outcome import propose
from kaozheng_service.inspection.pictures import write_picture
from kaozheng_service.inspection.playback import play_back
from kaozheng_service.inspection.result import (
    CameraInspection,
    CameraRecording,
    RoomInspection,
    inspection_json,
)
from kaozheng_service.inspection.sheet import acceptance_sheet
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
    progress: Progress,
) -> tuple[RoomInspection, ...]:
    """Inspect rooms and print an acceptance sheet for each.

    All cameras are probed at once; then each room is recorded for ``seconds``, judged, played back and
    verified, rooms side by side. A camera that fails is a finding, not an end.

    Parameters
    ----------
    out : folder; an inspection writes acceptance.pdf, result.json and pictures to ``<room>/<inspection id>/``

    Returns
    -------
    One inspection a room, in the order asked for; each is also a row, and a record in the signed log.

    Raises
    ------
    UserError : no such room
    """
    rooms = [station.site.room(room_id) for room_id in room_ids]
    at = now()
    probes = _probe_cameras(station.site, rooms, progress)
    steps = {room.id: progress.task(f"inspecting {room.id}") for room in rooms}
    recording = {room.id: progress.task(f"test recording {room.id}") for room in rooms}
    with ThreadPoolExecutor(max_workers=max(1, min(ROOM_WORKERS, len(rooms)))) as pool:
        futures = [
            pool.submit(
                _inspect_room, station, room, at, probes, seconds, out, steps[room.id], recording[room.id]
            )
            for room in rooms
        ]
        return tuple(future.result() for future in futures)


Probes = dict[tuple[str, str], ProbeResult]


def _probe_cameras(site: Site, rooms: Sequence[RoomConfig], progress: Progress) -> Probes:
    cameras = [(room.id, camera) for room in rooms for camera in room.cameras]
    step = progress.task("probing cameras")
    step(0, len(cameras))
    done = 0
    counting = threading.Lock()

    def one(camera: CameraConfig) -> ProbeResult:
        nonlocal done
        result = _probe_camera(site, camera)
        with counting:
            done += 1
            step(done, len(cameras))
        return result

    with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(cameras)))) as pool:
        results = pool.map(one, [camera for _, camera in cameras])
        return {(room, camera.id): result for (room, camera), result in zip(cameras, results, strict=True)}


def _probe_camera(site: Site, camera: CameraConfig) -> ProbeResult:
    try:
        source = camera_source(site, camera)
    except UserError as error:
        return ProbeResult(failure=Failure.AUTH, message=str(error))
    return probe(source, expected_size=camera.resolution)


def _inspect_room(
    station: Station,
    room: RoomConfig,
    at: datetime,
    probes: Probes,
    seconds: float,
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
    verdict = _judge(station.site, room, probes)
    cameras = _look_at_cameras(room, probes, verdict, folder / "cameras")
    step(2, total)
    checkpoint = station.log.checkpoint()
    recordings = tuple(
        play_back(station, window_id, camera.id, seconds, checkpoint)
        if window_id is not None
        else CameraRecording(camera.id, 0, 0.0, seconds, 0, 0, (refused,))
        for camera in room.cameras
    )
    step(3, total)
    outcome, reasons = propose(verdict, cameras, recordings)
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
        sheet=folder / "acceptance.pdf",
        result=folder / "result.json",
        leaf=-1,
    )
    acceptance_sheet(station.site, inspection, inspection.sheet)
    inspection = _write_down(station, inspection)
    step(total, total)
    return inspection


def _judge(site: Site, room: RoomConfig, probes: Probes) -> RoomVerdict:
    """What a camera that does not show its stated picture would see is not verified."""
    unverified = {
        camera.id
        for camera in room.cameras
        if not (result := probes[room.id, camera.id]).ok or result.size_matches is not True
    }
    return assess_room(
        room_geometry(room), room_cameras(room), room_profile(site, room), unverified=frozenset(unverified)
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


def _look_at_cameras(
    room: RoomConfig, probes: Probes, verdict: RoomVerdict, folder: Path
) -> tuple[CameraInspection, ...]:
    geometry = room_geometry(room)
    found = []
    for camera in room_cameras(room):
        result = probes[room.id, camera.id]
        diagnosis = diagnose(result.frames, result.frame_times_s)
        picture = None
        if result.frames:
            picture = write_picture(result.frames[-1], geometry, camera, verdict, folder / f"{camera.id}.jpg")
        found.append(CameraInspection(camera.id, result, diagnosis, picture))
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
