"""Keeps one camera recorded for one window: run after run, until the window is over and explained."""

from __future__ import annotations

import random
import re
import time
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

import structlog
from kaozheng_vision.errors import VisionError
from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.source import Source

from kaozheng_service.config.sources import camera_source, stream_of
from kaozheng_service.database import Take, Window
from kaozheng_service.errors import ServiceError
from kaozheng_service.ffmpeg import NO_AUDIO
from kaozheng_service.recording.causes import Cause, storage_error
from kaozheng_service.recording.gaps import Circumstances, Span, explain_gaps
from kaozheng_service.recording.take import Outcome, Run, begin_run, has_footage, resume_run
from kaozheng_service.station import Station

logger = structlog.get_logger()

# 1, 2, 4, 8, 8 ... s, a quarter more or less lest all cameras knock at once: never above 10 s.
LONGEST_PAUSE_S = 8.0
JITTER = 0.25
# A take shorter than this does not prove the camera well again; the pause before the next one grows.
STEADY_S = 10.0
# A camera that changes its pictures' form, or its time, in so many short takes in turn does so always: it is recorded
# as it is.
_MOST_CHANGES = 3
_TAKE = re.compile(r"take-\d{4,}")
# Why an ONVIF device gave no stream, as the cause of a gap.
_DEVICE_CAUSES = {
    Failure.AUTH: Cause.AUTH_FAILED,
    Failure.REFUSED: Cause.CONNECTION_REFUSED,
    Failure.NAME: Cause.NOT_REACHABLE,
    Failure.UNREACHABLE: Cause.NOT_REACHABLE,
    Failure.TIMEOUT: Cause.NOT_REACHABLE,
    Failure.NOT_FOUND: Cause.NOT_REACHABLE,
}


def footage_folder(station: Station, window: Window, camera_id: str) -> Path:
    """Where the takes of a camera's window lie."""
    local_day = window.starts_at.astimezone(station.site.zone).date().isoformat()
    return station.archive / local_day / window.room_id / camera_id / window.id


class CameraKeeper:
    """Called from one thread. ``settled`` when nothing more will be added to this camera's window."""

    def __init__(
        self,
        station: Station,
        window: Window,
        camera_id: str,
        unwatched: Span | None,
        *,
        token: int | None = None,
    ) -> None:
        self.camera_id = camera_id
        self.settled = False
        # Why nothing is recorded, as far as the last attempt or run told; None while all is well.
        self.trouble: tuple[Cause, str] | None = None
        self._station = station
        self._window = window
        self._unwatched = unwatched
        self._token = token
        self._overtaken = False
        self._folder = footage_folder(station, window, camera_id)
        self._failures: list[tuple[Cause, str]] = []
        self._tries = 0
        self._not_before = 0.0
        self._begun_at = 0.0
        self._stopped: Cause | None = None
        self._stop_detail = ""
        self._given_up = False
        self._audio_codec = "copy"
        self._changes = 0
        self._asked: Future[Source] | None = None
        self._runs = self._left_runs()
        self._in_doubt = bool(self._runs) or self._folder.exists()

    @property
    def run(self) -> Run | None:
        """The run that is going on."""
        return self._runs[-1] if self._runs else None

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to record no more."""
        return self._stopped is not None

    def tick(self, present: datetime, *, refusal: str | None) -> None:
        """Do what is due now. ``refusal`` is why no recorder may be started, if so."""
        if self.settled:
            return
        added = False
        for run in list(self._runs):
            added = run.tick(present) or added
            if run.outcome is not None:
                self._runs.remove(run)
                self._learn(run, run.outcome)
        if self._overtaken:  # what is missing is the new holder's to explain
            self.settled = not self._runs
            return
        over = present >= self._window.ends_at or self._given_up
        if added or self._in_doubt:
            self._explain(over=False)
        if self._runs:
            return
        if over:
            self._explain(over=True)
            self.settled = True
        elif self._stopped is not None:
            return
        elif refusal is not None:
            self.trouble = (Cause.DISK_FULL, refusal)
            if self.trouble not in self._failures:
                self._failures.append(self.trouble)
        elif time.monotonic() >= self._not_before:
            self._begin()

    def stop(self, cause: Cause, *, for_good: bool, detail: str = "") -> None:
        """End the recorder and start none; ``for_good`` settles the rest of the window as missing for ``cause``."""
        self._stopped = cause
        self._stop_detail = detail or "recording was stopped before the window ended"
        self._given_up = for_good
        for run in self._runs:
            run.stop(cause)

    def overtake(self) -> None:
        """End the recorder, close its take and leave the rest of the window to another node."""
        self._overtaken = True
        for run in self._runs:
            run.stop(Cause.OVERTAKEN)

    def _begin(self) -> None:
        try:
            source = self._stream()
            if source is None:
                return
            number = self._next_number()
            run = begin_run(
                self._station,
                self._window,
                source,
                self._folder / f"take-{number:04d}",
                number,
                offset_s=self._stagger_s(),
                audio_codec=self._sound(),
                token=self._token,
                begins_anew=self._changes < _MOST_CHANGES,
            )
        except StreamError as error:
            self._fail(_DEVICE_CAUSES.get(error.failure, Cause.UNKNOWN), str(error))
            return
        except OSError as error:
            self._fail(storage_error(error), str(error))
            return
        except (ServiceError, VisionError) as error:
            self._fail(Cause.UNKNOWN, str(error))
            return
        self._runs.append(run)
        self._begun_at = time.monotonic()

    def _learn(self, run: Run, outcome: Outcome) -> None:
        """How long to wait before the next run, and whether it must treat the audio otherwise."""
        if outcome.audio_unfit and self._audio_codec == "copy":
            logger.info(
                "the camera's audio does not fit into MP4 and is recorded as AAC", camera=self.camera_id
            )
            self._audio_codec = "aac"
            return
        if not outcome.had_media:
            if self._stopped is None:
                cause = Cause(outcome.cause) if outcome.cause in set(Cause) else Cause.UNKNOWN
                self._fail(cause, outcome.detail)
                if run.resumed:  # a service that is restarted over and over must not wait each time
                    self._not_before = 0.0
            return
        self._audio_codec = run.intent.audio_codec
        if outcome.cause in set(Cause):
            self.trouble = (Cause(outcome.cause), outcome.detail)
        steady = time.monotonic() - self._begun_at >= STEADY_S
        if outcome.cause in (Cause.STREAM_CHANGED, Cause.TIME_STAMPS_JUMPED):
            self._changes = 1 if steady else self._changes + 1
            self._not_before = 0.0
        elif steady:
            self._tries = 0
            self._not_before = 0.0
        else:
            self._pause()

    def _fail(self, cause: Cause, detail: str) -> None:
        logger.warning(
            "no recording", window=self._window.id, camera=self.camera_id, cause=cause.value, detail=detail
        )
        self.trouble = (cause, detail)
        self._failures.append(self.trouble)
        self._asked = None  # a device may give another address after it was restarted
        self._pause()

    def _pause(self) -> None:
        pause_s = min(2.0**self._tries, LONGEST_PAUSE_S) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        self._tries += 1
        self._not_before = time.monotonic() + pause_s

    def _explain(self, *, over: bool) -> None:
        found = explain_gaps(
            self._station,
            self._window,
            self.camera_id,
            self._circumstances(),
            over=over,
            in_doubt=self._in_doubt,
        )
        self._in_doubt = False
        if found:
            self._failures.clear()
        for gap in found:
            logger.warning(
                "gap",
                window=self._window.id,
                camera=self.camera_id,
                seconds=round((gap.ends_at - gap.starts_at).total_seconds(), 1),
                cause=gap.cause,
                detail=gap.detail,
            )

    def _circumstances(self) -> Circumstances:
        if self._failures:
            cause, detail = self._failures[-1]
            times = "1 attempt" if len(self._failures) == 1 else f"{len(self._failures)} attempts"
            return Circumstances(self._unwatched, cause, f"{times} failed, the last: {detail}")
        if self._stopped is not None:
            return Circumstances(self._unwatched, self._stopped, self._stop_detail)
        return Circumstances(self._unwatched)

    def _left_runs(self) -> list[Run]:
        """Runs of an earlier process: its living recorder is adopted, what dead ones left is settled."""
        runs = []
        for folder in self._take_folders():
            with self._station.sessions() as session:
                take = session.get(Take, f"{self._window.id}/{self.camera_id}/{folder.name}")
            if take is None or take.closed_leaf is None:
                run = resume_run(self._station, self._window, folder, self._mask)
                if run is None:
                    continue
                self._audio_codec = run.intent.audio_codec
                runs.append(run)
        return runs

    def _next_number(self) -> int:
        """The highest so far when that attempt brought no media, else one more."""
        folders = self._take_folders()
        if not folders:
            return 1
        number = int(folders[-1].name.rpartition("-")[2])
        with self._station.sessions() as session:
            is_take = session.get(Take, f"{self._window.id}/{self.camera_id}/{folders[-1].name}") is not None
        # Footage that no row knows of is never written over.
        return number + 1 if is_take or has_footage(folders[-1]) else number

    def _take_folders(self) -> list[Path]:
        """Of exactly that name: a copy that somebody put beside them is not ours."""
        return sorted(path for path in self._folder.glob("take-*") if _TAKE.fullmatch(path.name))

    def _stream(self) -> Source | None:
        """What a recorder opens; None while an ONVIF device is still being asked for it."""
        source = self._source()
        if not source.is_device:
            return source
        if self._asked is None:
            self._asked = stream_of(source)
        return self._asked.result() if self._asked.done() else None

    def _source(self) -> Source:
        room = self._station.site.room(self._window.room_id)
        return camera_source(self._station.site, room.stream(self.camera_id))

    def _mask(self, text: str) -> str:
        try:
            return self._source().mask(text)
        except (
            ServiceError
        ):  # no longer in the site file; the filter beside the recorder has masked it already
            return text

    def _sound(self) -> str:
        """As the site file says now; a recorder of before may have been begun under another."""
        site = self._station.site
        if not site.records_audio(site.room(self._window.room_id).stream(self.camera_id)):
            return NO_AUDIO
        return "copy" if self._audio_codec == NO_AUDIO else self._audio_codec

    def _stagger_s(self) -> float:
        """Where in the rhythm of segments this camera cuts: the site's cameras never all at once."""
        site = self._station.site
        everyone = [(room.id, camera.id) for room in site.rooms for camera in room.streams]
        place = everyone.index((self._window.room_id, self.camera_id))
        return site.recording.segment_s * place / len(everyone)
