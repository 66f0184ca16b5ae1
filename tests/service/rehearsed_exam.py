"""A rehearsed exam of 16 s in room 9-101, recorded from its generated clips: what derived copies are made of."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from kaozheng_service.disputes.export import ExportRequest
from kaozheng_service.inspection.references import accept_references, keep_view
from kaozheng_service.station import Station

ROOM, CAMERAS, SEAT = "9-101", ("front-left", "back-right"), "09"
CLIPS = Path(__file__).resolve().parents[2] / "sample_media" / ROOM
LENGTH_S = 16


@dataclass(frozen=True)
class Exam:
    """``front-left`` lost its stream from 6 to 10 s; ``back-right`` recorded all of it."""

    archive: Any
    begins: datetime

    @property
    def station(self) -> Station:
        station: Station = self.archive.station
        return station

    def request(self, first_s: float = 2.0, last_s: float = 14.0, **other: Any) -> ExportRequest:
        facts: dict[str, Any] = {
            "room_id": ROOM,
            "camera_ids": CAMERAS,
            "starts_at": self.begins + timedelta(seconds=first_s),
            "ends_at": self.begins + timedelta(seconds=last_s),
            "reason": "考生对座位09的成绩提出异议",
            "seat": SEAT,
            "by": "考务 王",
        }
        return ExportRequest(**(facts | other))


def record_exam(small_archives: ModuleType, folder: Path) -> Exam:
    folder.mkdir(parents=True, exist_ok=True)
    archive = small_archives.SmallArchive.make(folder, [])
    begins = archive.local("2024-11-23 09:00:00")
    window = archive.window(begins, begins + timedelta(seconds=LENGTH_S), room=ROOM, closed=False)
    clips = {camera: _cut(CLIPS / f"{camera}.mp4", folder / "clips" / camera) for camera in CAMERAS}
    left, right = (clips[camera] for camera in CAMERAS)
    archive.take(window, "front-left", begins, 3, media=left)
    lost, back = begins + timedelta(seconds=6), begins + timedelta(seconds=10)
    archive.gap(window, "front-left", lost, back, "stream_lost", "the stream ended")
    archive.take(window, "front-left", back, 3, number=2, media=left[5:])
    archive.take(window, "back-right", begins, 8, media=right)
    archive.close(window)
    return Exam(archive, begins)


def accept_views(exam: Exam, name: str = "20241120-080000-9-101", *, shift_px: int = 0) -> None:
    """Accept what the clips show as both cameras' views, ``shift_px`` to the side."""
    entries = []
    for camera in CAMERAS:
        with av.open(str(CLIPS / f"{camera}.mp4")) as clip:
            frame = next(clip.decode(video=0)).to_ndarray(format="bgr24")
        view = keep_view(exam.station, name, camera, (np.roll(frame, shift_px, axis=1),))
        seen = {"path": view.path, "sha256": view.sha256, "light": view.light}
        entries.append({"camera": camera, "diagnosis": [], "view": seen})
    exam.archive.inspection(name, ROOM, json.dumps({"cameras": entries}))
    accept_references(exam.station, name, ROOM)


def _cut(clip: Path, folder: Path) -> list[Path]:
    """Files of 2 s, fragmented as the recorder writes them, nothing encoded anew."""
    folder.mkdir(parents=True)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(clip), "-c", "copy", "-an"]
    command += ["-f", "segment", "-segment_time", "2", "-segment_start_number", "1"]
    command += ["-segment_format", "mp4", "-segment_format_options"]
    command += ["movflags=frag_keyframe+empty_moov+default_base_moof", str(folder / "seg-%05d.mp4")]
    subprocess.run(command, check=True, timeout=300)
    return sorted(folder.glob("seg-*.mp4"))
