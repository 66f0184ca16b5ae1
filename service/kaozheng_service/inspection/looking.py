"""What an inspection sees in the pictures: each diagnosed against its accepted view, and the model turned with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from kaozheng_coverage.camera import Camera
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.profile import Profile
from kaozheng_coverage.room import Room
from kaozheng_coverage.verdict import Outcome
from kaozheng_vision.diagnose import Diagnosis, Fault, Finding, Judgement, diagnose
from kaozheng_vision.drift import drifted
from kaozheng_vision.errors import VisionError
from kaozheng_vision.probe import ProbeResult
from kaozheng_vision.reference import Reference

from kaozheng_service.config.geometry import room_cameras
from kaozheng_service.config.site import RoomConfig
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.references import accepted_files, caption_mask, load_views
from kaozheng_service.station import Station

# With one of these a picture does not show what the model says, whatever the geometry.
BLIND = frozenset(
    {
        Fault.LOST,
        Fault.BLACK,
        Fault.TOO_DARK,
        Fault.TOO_BRIGHT,
        Fault.BLURRED,
        Fault.FROZEN,
        Fault.COVERED,
    }
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One camera: its diagnosis, the inspections whose views it was held against, and where it now looks.

    ``camera`` is the stated one, turned by what was measured where it moved. ``verified`` is whether its picture can
    stand for the model. ``accepted`` is the view of its light that it was held against, if there is one.
    """

    diagnosis: Diagnosis
    compared_with: tuple[str, ...]
    camera: Camera
    verified: bool
    accepted: Reference | None = None


def look_at(station: Station, room: RoomConfig, probes: Mapping[str, ProbeResult]) -> dict[str, Sighting]:
    """Diagnose every camera of a room by its probe's pictures; in the room's order, by camera id."""
    found = {}
    for entry, camera in zip(room.cameras, room_cameras(room), strict=True):
        probe = probes[entry.id]
        files = accepted_files(station, room.id, entry.id)
        try:
            views, problem = load_views(files, entry), ""
        except UserError as error:
            views, problem = (), str(error)
        mask = caption_mask(entry, probe.width or 0, probe.height or 0) if probe.frames else None
        try:
            diagnosis = diagnose(
                probe.frames, probe.frame_times_s, clock_mask=mask, references=views, lens=camera.lens
            )
        except VisionError:  # a picture that nothing can be judged by is as good as none
            diagnosis = diagnose(())
        if problem:
            diagnosis = _not_comparable(diagnosis, problem)
        moved = diagnosis.finding(Fault.MOVED).judgement is Judgement.FAULT
        # A pose that was calibrated since the view was accepted has the turn in it already, or not: accept a view anew.
        outdated = entry.calibrated is not None and any(
            file.light == diagnosis.light and inspection_day(file.inspection_id) <= entry.calibrated.day
            for file in files
        )
        if moved and diagnosis.drift is not None and not outdated:
            camera = drifted(camera, diagnosis.drift)
        verified = (
            probe.ok
            and probe.size_matches is True
            and not BLIND.intersection(diagnosis.faults)
            and not (moved and (diagnosis.drift is None or outdated))
        )
        accepted = next((view for view in views if view.light is diagnosis.light), None)
        compared = tuple(file.inspection_id for file in files)
        found[entry.id] = Sighting(diagnosis, compared, camera, verified, accepted)
    return found


def inspection_day(inspection_id: str) -> date:
    """The day that an inspection's id begins with, in the site's time; the first of all where it begins otherwise."""
    try:
        return datetime.strptime(inspection_id[:8], "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return date.min


def lost_by_turning(
    room: Room, stated: tuple[Camera, ...], profile: Profile, sightings: Mapping[str, Sighting]
) -> dict[str, tuple[str, ...]]:
    """For each camera that turned: the seats and zones that pass with its accepted aim and not with its present one.

    Judged as stated, without the draws, one turned camera at a time.
    """
    turned = [camera.id for camera in stated if sightings[camera.id].camera != camera]
    if not turned:
        return {}

    def passing(cameras: tuple[Camera, ...]) -> set[str]:
        verdict = judge_room(room, cameras, profile, mends=False)
        return {target.id for target in verdict.targets if target.outcome is Outcome.PASS}

    before = passing(stated)
    lost = {}
    for camera_id in turned:
        cameras = tuple(sightings[one.id].camera if one.id == camera_id else one for one in stated)
        lost[camera_id] = tuple(sorted(before - passing(cameras)))
    return lost


def _not_comparable(diagnosis: Diagnosis, problem: str) -> Diagnosis:
    """An accepted view that cannot be used is no reason to pass: what it would have told cannot be judged."""
    findings = tuple(
        Finding(one.kind, Judgement.CANNOT_JUDGE, None, one.threshold, problem)
        if one.judgement is Judgement.NOT_COMPARED
        else one
        for one in diagnosis.findings
    )
    return Diagnosis(findings, diagnosis.light, diagnosis.drift)
