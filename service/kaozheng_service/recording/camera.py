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
from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.clock import now
from kaozheng_service.config.sources import camera_source, stream_of
from kaozheng_service.database import Take, Window
from kaozheng_service.database_damage import is_damage
from kaozheng_service.errors import ServiceError
from kaozheng_service.ffmpeg import NO_AUDIO
from kaozheng_service.recording.beginning import begin_run, has_footage, resume_run
from kaozheng_service.recording.causes import Cause, storage_error
from kaozheng_service.recording.gaps import Circumstances, Span, Stop, explain_gaps
from kaozheng_service.recording.take import Outcome, Run
from kaozheng_service.redaction import redacted
from kaozheng_service.station import Station

logger = structlog.get_logger()

# 1, 2, 4, 8, 8 ... s, a quarter more or less lest all cameras knock at once: never above 10 s.
LONGEST_PAUSE_S = 8.0
JITTER = 0.25
# A take shorter than this does not prove the camera well again; the pause before the next one grows.
STEADY_S = 10.0
# What could not be signed is tried again so often: a look for a record that may be there reads up to 20,000 entries.
SIGN_AGAIN_S = 5.0
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
        absences: tuple[Span, ...],
        *,
        token: int | None = None,
    ) -> None:
        self.camera_id = camera_id
        self.settled = False
        # Why nothing is recorded, as far as the last attempt or run told; None while all is well.
        self.trouble: tuple[Cause, str] | None = None
        # Why what was recorded is not signed yet; "" while all is well.
        self.unsigned = ""
        self._station = station
        self._window = window
        self._absences = absences
        self._token = token
        self._overtaken = False
        self._folder = footage_folder(station, window, camera_id)
        self._failures: list[tuple[Cause, str]] = []
        self._tries = 0
        self._not_before = 0.0
        self._begun_at = 0.0
        self._stopped: Stop | None = None
        self._given_up = False
        self._audio_codec = "copy"
        self._changes = 0
        self._asked: Future[Source] | None = None
        self._paced: Run | None = None
        self._sign_at = 0.0
        self._runs = self._left_runs()
        # Whether a gap may lack its record, and whether a record may be there that its row does not know of.
        self._to_explain = self._in_doubt = bool(self._runs) or self._folder.exists()

    @property
    def run(self) -> Run | None:
        """The run that is going on, or the newest that is not settled yet."""
        return self._runs[-1] if self._runs else None

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to record no more."""
        return self._stopped is not None

    def tick(self, present: datetime, *, refusal: str | None) -> None:
        """Do what is due now. ``refusal`` is why no recorder may be started, if so."""
        if self.settled:
            return
        self._watch(present)
        self._settle()
        if self._overtaken:  # what is missing is the new holder's to explain
            self.settled = not self._runs
            return
        # Evidence first: a run whose recorder is gone, and that cannot be settled yet, keeps no new one waiting.
        if any(not run.ended for run in self._runs):
            return
        if present >= self._window.ends_at or self._given_up:
            self.settled = not self._runs and self._explain(over=True)
        elif self._stopped is not None:
            return
        elif refusal is not None:
            self.trouble = (Cause.DISK_FULL, refusal)
            if self.trouble not in self._failures:
                self._failures.append(self.trouble)
        elif time.monotonic() >= self._not_before:
            self._begin()

    def _watch(self, present: datetime) -> None:
        """How the recorders fare; those that ended without any media are done with."""
        for run in list(self._runs):
            try:
                run.watch(present)
            except OSError as error:
                self._not_signed(error)
            if run.outcome is not None:
                self._runs.remove(run)
                self._learn(run, run.outcome)
        newest = self.run
        if newest is not None and newest.ended and newest.has_media and newest is not self._paced:
            self._paced = newest
            self._pace(newest)

    def _settle(self) -> None:
        """Sign what runs brought, the oldest first, and the gaps between them; what fails is tried again."""
        if time.monotonic() < self._sign_at:
            return
        try:
            for run in list(self._runs):
                self._to_explain = run.settle() or self._to_explain
                if run.outcome is not None:
                    self._runs.remove(run)
                    self._learn(run, run.outcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next recorder is begun all the same
            self._not_signed(error)
            return
        if not self._to_explain or self._overtaken or self._explain(over=False):
            self._signed()

    def _not_signed(self, error: Exception) -> None:
        """The log or the database cannot be written: told once, and tried again in a while."""
        if is_damage(error):
            raise error
        self._sign_at = time.monotonic() + SIGN_AGAIN_S
        said = redacted(f"{type(error).__name__}: {error}".splitlines()[0])
        if said != self.unsigned:
            logger.error(
                "what was recorded cannot be signed yet; recording goes on, and it is tried again",
                window=self._window.id,
                camera=self.camera_id,
                why=said,
            )
        self.unsigned = said

    def _signed(self) -> None:
        if self.unsigned:
            logger.info("all that was recorded is signed", window=self._window.id, camera=self.camera_id)
        self.unsigned = ""

    def stop(self, cause: Cause, *, for_good: bool, detail: str = "", at: datetime | None = None) -> None:
        """End the recorder and start none; ``for_good`` settles the rest of the window as missing for ``cause``.

        ``at`` is when that was wanted; the moment of the first call where nobody knows.
        """
        at = at or (self._stopped.at if self._stopped is not None else now())
        self._stopped = Stop(at, cause, detail or "recording was stopped before the window ended")
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
        """Why a run ended; after one without media, how long to wait and whether to treat the audio otherwise."""
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
        if outcome.cause in set(Cause):
            self.trouble = (Cause(outcome.cause), outcome.detail)

    def _pace(self, run: Run) -> None:
        """How long to wait after a run that brought media, and how its sound is to be treated in the next."""
        self._audio_codec = run.intent.audio_codec
        steady = time.monotonic() - self._begun_at >= STEADY_S
        if run.intent.stopping in (Cause.STREAM_CHANGED, Cause.TIME_STAMPS_JUMPED):
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

    def _explain(self, *, over: bool) -> bool:
        """Sign the gaps that are final; False where that could not be done yet."""
        if time.monotonic() < self._sign_at:
            return False
        try:
            found = explain_gaps(
                self._station,
                self._window,
                self.camera_id,
                self._circumstances(),
                over=over,
                in_doubt=self._in_doubt,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the next recorder is begun all the same
            self._in_doubt = self._to_explain = True
            self._not_signed(error)
            return False
        self._in_doubt = self._to_explain = False
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
        return True

    def _circumstances(self) -> Circumstances:
        if self._failures:
            cause, detail = self._failures[-1]
            times = "1 attempt" if len(self._failures) == 1 else f"{len(self._failures)} attempts"
            return Circumstances(
                self._absences, cause, f"{times} failed, the last: {detail}", stop=self._stopped
            )
        return Circumstances(self._absences, stop=self._stopped)

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
        newest = folders[-1]
        number = int(newest.name.rpartition("-")[2])
        # Footage that no row knows of is never written over.
        return number + 1 if has_footage(newest) or self._is_take(newest.name) else number

    def _is_take(self, name: str) -> bool:
        """Whether the database knows it; where that cannot be read the folders alone decide, for recording goes on."""
        try:
            with self._station.sessions() as session:
                return session.get(Take, f"{self._window.id}/{self.camera_id}/{name}") is not None
        except SQLAlchemyError as error:
            self._not_signed(error)
            return False

    def _take_folders(self) -> list[Path]:
        """Of exactly that name: a copy that somebody put beside them is not ours."""
        found = (path for path in self._folder.glob("take-*") if _TAKE.fullmatch(path.name))
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

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
