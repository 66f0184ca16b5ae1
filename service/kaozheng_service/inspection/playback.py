"""A test recording proven: every file decoded to its last frame, hashed, and found in the signed log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from sqlalchemy import select

from kaozheng_service.database import Segment, Take
from kaozheng_service.evidence.merkle import leaf_hash, verify_inclusion
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.inspection.result import CameraRecording
from kaozheng_service.station import Station

# A recording begins at a keyframe: cameras send one every 1-2 s; connecting over RTSP took up to 1.5 s here.
SHORTFALL_S = 4.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a file really holds. ``damaged`` is the decoder's complaint, "" if every frame came out."""

    frames: int
    seconds: float
    width: int
    height: int
    damaged: str


def play_back(
    station: Station, window_id: str, camera_id: str, asked_s: float, checkpoint: str
) -> CameraRecording:
    """Decode and verify all that one camera recorded for a window.

    Parameters
    ----------
    asked_s : how long it should be; ``SHORTFALL_S`` less is allowed for connecting and the first keyframe
    checkpoint : the log's signed state that must contain each segment

    Returns
    -------
    CameraRecording : its ``problems`` are in Chinese
    """
    with station.sessions() as session:
        query = select(Segment).join(Take).where(Take.window_id == window_id, Segment.camera_id == camera_id)
        segments = session.scalars(query.order_by(Take.number, Segment.number)).all()
    problems: list[str] = []
    seconds, frames, size = 0.0, 0, 0
    for segment in segments:
        path = station.archive / segment.path
        if not path.is_file():
            problems.append(f"第{segment.number}段文件缺失")
            continue
        decoded = decode(path)
        seconds += decoded.seconds
        frames += decoded.frames
        size += path.stat().st_size
        faults = [*_against_record(segment, path, decoded), *_against_log(station, segment, checkpoint)]
        problems += [f"第{segment.number}段{fault}" for fault in faults]
    problems += _as_a_whole(segments, seconds, asked_s)
    return CameraRecording(camera_id, len(segments), seconds, asked_s, frames, size, tuple(problems))


def decode(path: Path) -> Decoded:
    """Decode every frame of a file's video track."""
    times_s: list[float] = []
    width = height = 0
    damaged = ""
    last_s = 0.0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                width, height = frame.width, frame.height
                if frame.is_corrupt:
                    damaged = "有损坏的画面"
                if frame.time is not None:
                    times_s.append(frame.time)
                    last_s = float((frame.duration or 0) * (frame.time_base or 0))
    except (av.error.FFmpegError, IndexError) as error:
        damaged = f"无法解码（{error}）"
    span_s = max(times_s) - min(times_s) + last_s if times_s else 0.0
    return Decoded(len(times_s), span_s, width, height, damaged)


def _against_record(segment: Segment, path: Path, decoded: Decoded) -> list[str]:
    faults = []
    if decoded.damaged:
        faults.append(decoded.damaged)
    if decoded.frames != segment.frames:
        faults.append(f"解码{decoded.frames}帧，登记{segment.frames}帧")
    if decoded.frames and (decoded.width, decoded.height) != (segment.width, segment.height):
        size = f"{decoded.width}×{decoded.height}"
        faults.append(f"画面{size}，登记{segment.width}×{segment.height}")
    if path.stat().st_size != segment.bytes or _sha256(path) != segment.sha256:
        faults.append("与登记的SHA-256不符")
    return faults


def _against_log(station: Station, segment: Segment, checkpoint: str) -> list[str]:
    if segment.leaf is None:
        return ["未写入证据日志"]
    state = parse_checkpoint(checkpoint)
    if segment.leaf >= state.size:
        return ["不在检查点之内"]
    entry = station.log.entry(segment.leaf)
    record = json.loads(entry)
    if record.get("kind") != "segment" or record.get("sha256") != segment.sha256:
        return ["与证据日志的记录不符"]
    proof = station.log.inclusion_proof(segment.leaf, state.size)
    if not verify_inclusion(leaf_hash(entry), segment.leaf, state.size, proof, state.root):
        return ["的包含证明不成立"]
    return []


def _as_a_whole(segments: Sequence[Segment], seconds: float, asked_s: float) -> list[str]:
    if not segments:
        return ["没有录到任何片段"]
    if seconds < asked_s - SHORTFALL_S:
        return [f"只有{seconds:.1f}秒，要求{asked_s:g}秒"]
    return []


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
