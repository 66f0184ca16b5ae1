"""What an inspection of a room found, as plain records, and as JSON: schema kaozheng/inspection/1."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kaozheng_coverage.report import verdict_json
from kaozheng_coverage.verdict import RoomVerdict
from kaozheng_vision.diagnose import Diagnosis
from kaozheng_vision.probe import ProbeResult

from kaozheng_service.clock import to_text
from kaozheng_service.inspection.references import ViewFile
from kaozheng_service.inspection.walkthrough import RoomWalk, walkthrough_json

SCHEMA = "kaozheng/inspection/1"


@dataclass(frozen=True, slots=True)
class CameraInspection:
    """One camera: what its stream is, what its picture looks like, and that picture with the predicted seats.

    Attributes
    ----------
    picture : a JPEG file; None where no picture came
    view : what it saw, kept so that it can be accepted as the camera's view; None where no picture came
    compared_with : the inspections whose accepted views it was held against
    lost : where the camera was turned, the seats and zones that pass with the accepted aim and not with the present one
    """

    camera_id: str
    probe: ProbeResult
    diagnosis: Diagnosis
    picture: Path | None
    view: ViewFile | None = None
    compared_with: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraRecording:
    """The test recording of one camera, played back from its files and checked against the log.

    Attributes
    ----------
    seconds : of pictures that could be decoded
    frames : decoded
    problems : everything that is wrong with it, in Chinese; empty if it is valid
    """

    camera_id: str
    segments: int
    seconds: float
    asked_s: float
    frames: int
    bytes: int
    problems: tuple[str, ...]

    @property
    def valid(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class RoomInspection:
    """One run of all checks on one room; ``outcome`` is proposed until it is signed on paper.

    ``checkpoint`` is the log's when the sheet was printed: it covers the test recording. ``leaf`` is the
    record of this inspection, which names the sheet's hash and so comes after it. ``walk`` is the walk-through by desk
    cards, None where it was not asked for.
    """

    id: str
    room_id: str
    at: datetime
    outcome: str
    reasons: tuple[str, ...]
    verdict: RoomVerdict
    cameras: tuple[CameraInspection, ...]
    window_id: str | None
    recordings: tuple[CameraRecording, ...]
    checkpoint: str
    key_fingerprint: str  # of the key that signed the checkpoint
    sheet: Path
    result: Path
    leaf: int
    walk: RoomWalk | None = None

    @property
    def recording_valid(self) -> bool:
        """Whether every camera's test recording was played back and verified."""
        return bool(self.recordings) and all(recording.valid for recording in self.recordings)


def inspection_json(inspection: RoomInspection) -> dict[str, Any]:
    """All that was found, as JSON types only. Holds no pictures and no hash of the sheet."""
    return {
        "schema": SCHEMA,
        "inspection": inspection.id,
        "room": inspection.room_id,
        "at": to_text(inspection.at),
        "outcome": inspection.outcome,
        "reasons": list(inspection.reasons),
        "cameras": [_camera(camera) for camera in inspection.cameras],
        "recording": {
            "window": inspection.window_id,
            "valid": inspection.recording_valid,
            "cameras": [
                {**asdict(recording), "valid": recording.valid, "problems": list(recording.problems)}
                for recording in inspection.recordings
            ],
        },
        "cards": walkthrough_json(inspection.walk) if inspection.walk is not None else None,
        "coverage": verdict_json(inspection.verdict),
        "checkpoint": inspection.checkpoint,
    }


def _camera(camera: CameraInspection) -> dict[str, Any]:
    probe = camera.probe
    return {
        "camera": camera.camera_id,
        "ok": probe.ok,
        "failure": probe.failure.value if probe.failure else None,
        "message": probe.message,
        "codec": probe.codec,
        "profile": probe.profile,
        "width": probe.width,
        "height": probe.height,
        "size_matches": probe.size_matches,
        "sizes": [list(size) for size in probe.sizes],
        "fps": _rounded(probe.fps, 3),
        "jitter_ms": _rounded(probe.jitter_ms, 2),
        "bitrate_bps": _rounded(probe.bitrate_bps, 0),
        "gop_s": _rounded(probe.gop_s, 3),
        "keyframes": probe.keyframes,
        "damaged_keyframes": probe.damaged_keyframes,
        "first_frame_delay_s": _rounded(probe.first_frame_delay_s, 3),
        "audio": probe.audio,
        "login": probe.login,
        "clock_offset_s": _rounded(probe.clock.offset_s, 3) if probe.clock else None,
        "clock_error_s": _rounded(probe.clock.error_s, 3) if probe.clock else None,
        "clock_source": probe.clock.source.value if probe.clock else None,
        "diagnosis": [
            {
                "fault": finding.kind.value,
                "judgement": finding.judgement.value,
                "value": _rounded(finding.value, 6),
                "threshold": finding.threshold,
                "reason": finding.reason,
            }
            for finding in camera.diagnosis.findings
        ],
        "light": camera.diagnosis.light,
        "view": asdict(camera.view) if camera.view is not None else None,
        "compared_with": list(camera.compared_with),
        "turned": _turned(camera),
    }


def _turned(camera: CameraInspection) -> dict[str, Any] | None:
    """How far the camera turned since its view was accepted, degrees; None where that was not measured."""
    drift = camera.diagnosis.drift
    if drift is None:
        return None
    return {
        "angle_deg": round(drift.angle_deg, 3),
        "pan_deg": round(drift.pan_deg, 3),
        "tilt_deg": round(drift.tilt_deg, 3),
        "roll_deg": round(drift.roll_deg, 3),
        "agreeing": drift.agreeing,
        "rms_px": round(drift.rms_px, 3),
        "lost": list(camera.lost),
    }


def _rounded(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)
