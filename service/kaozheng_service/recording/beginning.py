"""A run begun so that whoever comes after us can adopt it, and one of an earlier process taken up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from kaozheng_vision.source import Source

from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.ffmpeg import SEGMENT_LIST, recording_command
from kaozheng_service.machine_clock import clock_offset_s
from kaozheng_service.recording.child import find_by_argument, send, spawn
from kaozheng_service.recording.durable import sync_folder
from kaozheng_service.recording.ending import ERRORS
from kaozheng_service.recording.fragments import FragmentReader
from kaozheng_service.recording.intent import Intent, read_intent, write_intent
from kaozheng_service.recording.segments import numbered
from kaozheng_service.recording.take import OWN_TAIL_S, Run
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station

logger = structlog.get_logger()


def begin_run(
    station: Station,
    window: Window,
    source: Source,
    folder: Path,
    number: int,
    *,
    offset_s: float,
    audio_codec: str,
    token: int | None = None,
    begins_anew: bool = True,
) -> Run:
    """Start a recorder into ``folder``.

    Raises
    ------
    ServiceError : it cannot be started
    OSError : the folder cannot be written
    """
    present = now()
    folder.mkdir(parents=True, exist_ok=True)
    for left in (folder / "open-00001.mp4", folder / SEGMENT_LIST):
        left.unlink(missing_ok=True)  # an attempt's header, without a frame
    sync_folder(folder.parent)
    intent = Intent(
        window=window.id,
        camera=folder.parent.parent.name,
        number=number,
        planned_end=window.ends_at,
        spawned_at=rounded(present),
        clock_offset_s=clock_offset_s(),
        audio_codec=audio_codec,
        token=token,
    )
    write_intent(folder, intent)
    command = recording_command(
        source,
        folder,
        segment_s=station.site.recording.segment_s,
        offset_s=offset_s,
        length_s=(window.ends_at - present).total_seconds() + OWN_TAIL_S,
        silence_s=station.site.recording.silence_s,
        audio_codec=audio_codec,
    )
    child = spawn(command, folder / ERRORS, masked=source.has_secrets)
    intent = replace(intent, child=child)
    try:
        write_intent(folder, intent)
    except BaseException:  # a recorder that nobody knows of would write beside the next one
        send(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.pid, 0)
        raise
    return Run(station, window, folder, intent, source.mask, in_doubt=False, begins_anew=begins_anew)


def resume_run(station: Station, window: Window, folder: Path, mask: Callable[[str], str]) -> Run | None:
    """Take up a run that an earlier process began: adopt its recorder, or settle what a dead one left. None where that
    process died before it started one.
    """
    number = int(folder.name.rpartition("-")[2])
    intent = read_intent(folder)
    if intent is None:
        logger.warning("take.json is missing or torn; its footage is closed without it", folder=str(folder))
        intent = Intent(
            window=window.id,
            camera=folder.parent.parent.name,
            number=number,
            planned_end=window.ends_at,
            spawned_at=window.starts_at,
            clock_offset_s=clock_offset_s(),
            audio_codec="copy",
        )
    if intent.child is None:
        found = find_by_argument(str(folder / SEGMENT_LIST))
        if found is None and not any(folder.glob("*.mp4")):
            return None
        intent = replace(intent, child=found)
        write_intent(folder, intent)
    return Run(station, window, folder, intent, mask, in_doubt=True)


def has_footage(folder: Path) -> bool:
    """Whether a folder holds more than an attempt's header without a frame."""
    if numbered(folder, "seg") or numbered(folder, "damaged"):
        return True
    return any(FragmentReader(path).read().fragments for _, path in numbered(folder, "open"))
