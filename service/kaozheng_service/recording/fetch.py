"""One fetch of kept footage: an ffmpeg child into a folder of its own, begun so that a later process can adopt it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog
from kaozheng_vision.source import Source

from kaozheng_service.clock import now
from kaozheng_service.ffmpeg import SEGMENT_LIST, playback_command
from kaozheng_service.recording.child import Ended, find_by_argument, poll, spawn
from kaozheng_service.recording.durable import sync_folder
from kaozheng_service.recording.ending import ERRORS, PATIENCE_S, Escalation, last_words
from kaozheng_service.recording.intent import Intent, read_intent, write_intent
from kaozheng_service.recording.segments import numbered
from kaozheng_service.recording.take import OWN_TAIL_S
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station

logger = structlog.get_logger()


class Fetch:
    """Called from one thread. ``ended`` is None while the child runs."""

    def __init__(
        self, folder: Path, intent: Intent, mask: Callable[[str], str], silence_s: float, *, in_doubt: bool
    ) -> None:
        self.folder = folder
        self.intent = intent
        self.ended: Ended | None = None
        self.in_doubt = in_doubt
        self._mask = mask
        # ffmpeg tries a network read twice before it gives up by itself.
        self._silence_limit_s = 2 * silence_s + PATIENCE_S
        self._bytes = -1
        self._heard_at = time.monotonic()
        self._escalation = Escalation()

    def tick(self) -> bool:
        """Whether it is over; the settling of its files is another's."""
        if self.ended is None:
            child = self.intent.child
            self.ended = poll(child) if child is not None else Ended(None)
        if self.ended is not None:
            return True
        size = sum(path.stat().st_size for _, path in numbered(self.folder, "open"))
        if size != self._bytes:
            self._bytes, self._heard_at = size, time.monotonic()
        elif time.monotonic() - self._heard_at > self._silence_limit_s:
            self.stop("stalled")
        self._escalate()
        return False

    def stop(self, cause: str) -> None:
        """Have the child end; several ticks later it has."""
        if self.intent.stopping is None:
            self.intent = replace(self.intent, stopping=cause)
            write_intent(self.folder, self.intent)
        self._escalate()

    def errors(self) -> str:
        """The end of what ffmpeg said, without login data."""
        return last_words(self.folder, self._mask)

    def _escalate(self) -> None:
        if self.intent.stopping is not None and self.ended is None and self.intent.child is not None:
            self._escalation.press(self.intent.child)


def begin_fetch(
    station: Station,
    source: Source,
    folder: Path,
    *,
    window: str,
    number: int,
    asked: tuple[datetime, datetime],
    audio_codec: str,
) -> Fetch:
    """Start a child that copies what ``source`` plays into ``folder``; it ends by itself soon after the range.

    Raises
    ------
    ServiceError : it cannot be started
    OSError : the folder cannot be written
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in [folder / SEGMENT_LIST, *(path for _, path in numbered(folder, "open"))]:
        left.unlink(missing_ok=True)  # of an attempt that brought no frame
    sync_folder(folder.parent)
    intent = Intent(
        window=window,
        camera=folder.parent.parent.name,
        number=number,
        planned_end=asked[1],
        spawned_at=rounded(now()),
        clock_offset_s=0.0,
        audio_codec=audio_codec,
    )
    write_intent(folder, intent)
    silence_s = station.site.recording.silence_s
    command = playback_command(
        source,
        folder,
        segment_s=station.site.recording.segment_s,
        length_s=(asked[1] - asked[0]).total_seconds() + OWN_TAIL_S,
        silence_s=silence_s,
        audio_codec=audio_codec,
    )
    intent = replace(intent, child=spawn(command, folder / ERRORS, masked=source.has_secrets))
    write_intent(folder, intent)
    return Fetch(folder, intent, source.mask, silence_s, in_doubt=False)


def resume_fetch(
    station: Station,
    folder: Path,
    mask: Callable[[str], str],
    *,
    window: str,
    number: int,
    asked_to: datetime,
) -> Fetch:
    """Take up a fetch that an earlier process began: its living child is adopted."""
    intent = read_intent(folder)
    if intent is None:
        logger.warning(
            "take.json is missing or torn; what was fetched is settled without it", folder=str(folder)
        )
        intent = Intent(
            window=window,
            camera=folder.parent.parent.name,
            number=number,
            planned_end=asked_to,
            spawned_at=rounded(now()),
            clock_offset_s=0.0,
            audio_codec="copy",
        )
    if intent.child is None:
        intent = replace(intent, child=find_by_argument(str(folder / SEGMENT_LIST)))
    return Fetch(folder, intent, mask, station.site.recording.silence_s, in_doubt=True)
