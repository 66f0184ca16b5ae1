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

SCHEMA = "kaozheng/inspection/1"


@dataclass(frozen=True, slots=True)
class CameraInspection:
    """One camera: what its stream is, what its picture looks like, and that picture with the predicted seats.

    ``picture`` is a JPEG file; None where no picture came.
    """

    camera_id: str
    probe: ProbeResult
    diagnosis: Diagnosis
    picture: Path | None


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
    record of this inspection, which names the sheet's hash and so comes after it.
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
    sheet: Path
    result: Path
    leaf: int

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
        "fps": _rounded(probe.fps, 3),
        "jitter_ms": _rounded(probe.jitter_ms, 2),
        "bitrate_bps": _rounded(probe.bitrate_bps, 0),
        "gop_s": _rounded(probe.gop_s, 3),
        "keyframes": probe.keyframes,
        "first_frame_delay_s": _rounded(probe.first_frame_delay_s, 3),
        "audio": probe.audio,
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
    }


def _rounded(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)
