"""One run of one recorder: started, watched, its files closed one by one, ended within seconds.

A run becomes a take, with row and record, when its first media is on the disk; an attempt that brings none
leaves its folder to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import func, select

from kaozheng_service.clock import now
from kaozheng_service.database import Segment, Take, Window
from kaozheng_service.evidence.records import TakeClosed, TakeOpened
from kaozheng_service.machine_clock import clock_offset_s
from kaozheng_service.recording.causes import (
    WINDOW_ENDED,
    Cause,
    audio_cannot_be_copied,
    end_of_stream,
    failure_to_open,
)
from kaozheng_service.recording.child import Ended, boot_id, poll
from kaozheng_service.recording.durable import sync_file
from kaozheng_service.recording.ending import PATIENCE_S, Escalation, last_words
from kaozheng_service.recording.fragments import FragmentReader
from kaozheng_service.recording.intent import Intent, write_intent
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.recording.segments import close_files, numbered
from kaozheng_service.recording.timing import HOLE_S, ArrivalClock, rounded
from kaozheng_service.station import Station

logger = structlog.get_logger()

# A growing file is synced this often: what a power cut takes, beside the group of pictures in the air.
SYNC_S = 2.0
# Media time by which the recorder outlasts its window before we end it, and before it ends by itself.
TAIL_S = 1.0
OWN_TAIL_S = 3.0
# A group of pictures is rarely longer; footage that did not grow for so long, or for two of the longest, is none.
FLOW_S = 5.0
# NTP slews below this in any tick; what is more was set.
CLOCK_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``cause`` is ``window_ended`` or a :class:`Cause`."""

    had_media: bool
    cause: str
    detail: str
    audio_unfit: bool = False


class Run:
    """Called from one thread. ``outcome`` is None until the run is over and everything of it is settled."""

    def __init__(
        self,
        station: Station,
        window: Window,
        folder: Path,
        intent: Intent,
        mask: Callable[[str], str],
        *,
        in_doubt: bool,
        begins_anew: bool = True,
    ) -> None:
        self.outcome: Outcome | None = None
        self.resumed = in_doubt
        self.intent = intent
        self.bytes = 0
        self.last_segment_at: datetime | None = None
        self._station = station
        self._window = window
        self._folder = folder
        self._mask = mask
        self._in_doubt = in_doubt
        # Whether a file is finished and not yet known to be closed, with row and record.
        self._has_finished = in_doubt
        self._clock = ArrivalClock()
        self._take: Take | None = None
        self._ended: Ended | None = None
        self._reader: FragmentReader | None = None
        self._seen = (0, 0)
        self._longest_group_s = 0.0
        self._heard_at = time.monotonic()
        self._silent_s = 0.0
        self._form = ""
        self._begins_anew = begins_anew
        self._synced_at = 0.0
        self._has_media = False
        # Whether all was seen of it that there will ever be.
        self._watched_end = False
        self._escalation = Escalation()

    @property
    def take_id(self) -> str | None:
        """None until media has come, and its row could be written."""
        return self._take.id if self._take is not None else None

    @property
    def ended(self) -> bool:
        """Whether its recorder is gone; what it left may still have to be settled."""
        return self._ended is not None

    @property
    def has_media(self) -> bool:
        return self._has_media

    @property
    def silent_s(self) -> float:
        """For how long no media has come, in s."""
        return time.monotonic() - self._heard_at

    @property
    def flows(self) -> bool:
        """Whether media comes as it should: a group of pictures at a time."""
        return self._has_media and not self.ended and self.silent_s <= max(FLOW_S, 2 * self._longest_group_s)

    def watch(self, present: datetime) -> None:
        """See how the recorder fares, and end it where it must end; needs neither database nor log."""
        if self._watched_end:
            return
        self._ended = self._ended or (
            poll(self.intent.child) if self.intent.child is not None else Ended(None)
        )
        was_set = self._watch_clock()
        self._look(dates=not was_set)
        self._watched_end = self.ended
        if self.ended:
            if not self._has_media:
                errors = last_words(self._folder, self._mask)
                cause, detail = self._why_stopped() or failure_to_open(errors)
                self.outcome = Outcome(False, str(cause), detail, audio_cannot_be_copied(errors))
            return
        if present >= self._window.ends_at + timedelta(seconds=TAIL_S):
            self.stop(WINDOW_ENDED)
        elif self._silent_s > self._silence_limit_s():
            self.stop(Cause.STALLED)
        if self.intent.stopping is not None and self.intent.child is not None:
            self._escalation.press(self.intent.child)

    def settle(self) -> bool:
        """Give what the recorder has finished its rows and records, and the run its outcome once it is over.

        Returns whether new segments were closed. What fails can be tried again.
        """
        try:
            return self._settle()
        except BaseException:
            self._in_doubt = True  # a record may be in the log without its row knowing
            raise

    def stop(self, cause: str) -> None:
        """Have the recorder end; several ticks later it has."""
        if self.intent.stopping is None and not self.ended:
            self._note(stopping=str(cause))

    def _settle(self) -> bool:
        added = False
        if self._take is None and self._has_media:
            self._take = self._open_take()
        self._has_finished = self._has_finished or self._watched_end
        if self._take is not None and self._has_finished:
            dated = self._clock.seen()
            segments = close_files(
                self._station,
                self._take,
                self._clock,
                ended=self._watched_end,
                clock_step_s=self.intent.clock_step_s,
                same_boot=self.intent.child is None or self.intent.child.boot == boot_id(),
                in_doubt=self._in_doubt,
            )
            self._in_doubt = self._has_finished = False
            if self.intent.clock_step_s and any(one.step_s or one.number in dated for one in segments):
                self._note(clock_step_s=0.0)
            if segments:
                added = True
                self.last_segment_at = segments[-1].ends_at
        if self._take is not None and self._watched_end and self._ended is not None:
            self._finish(self._take.id, self._ended)
        return added

    def _look(self, *, dates: bool) -> None:
        """How far the file being written has come: media, arrival times, sync.

        ``dates`` unless the file's own time may be by a clock that was set since.
        """
        found = self._newest_open()
        if found is not None:
            number, path = found
            if self._reader is None or self._reader.path != path:
                self._reader = FragmentReader(path)
            before = self._seen
            progress = self._reader.read()
            self.bytes = progress.bytes
            if (number, progress.fragments) != before:
                self._seen = (number, progress.fragments)
                self._heard_at = time.monotonic()
                if progress.fragments:
                    self._longest_group_s = max(self._longest_group_s, progress.media_s / progress.fragments)
                self._watch_form(progress.form)
                if dates and self._ended is None and not progress.torn:
                    self._clock.observe(number, progress.written_at, progress.media_s, progress.hole_s)
                    if self._clock.jumped_s(number) or progress.pressed_s >= HOLE_S:
                        self._begin_anew(Cause.TIME_STAMPS_JUMPED, "the camera's time stamps jumped")
            if time.monotonic() - self._synced_at >= SYNC_S:
                sync_file(path)
                self._synced_at = time.monotonic()
            has_media = number > 1 or progress.fragments > 0 or progress.torn
        else:
            has_media = bool(numbered(self._folder, "seg") or numbered(self._folder, "damaged"))
        self._has_media = self._has_media or has_media
        # As of this look: a database that keeps us waiting after it is no silence of the camera's.
        self._silent_s = time.monotonic() - self._heard_at

    def _newest_open(self) -> tuple[int, Path] | None:
        """The file being written. The folder, which grows all day, is listed only where that file is another now."""
        number = self._seen[0]
        path, following = (self._folder / f"open-{one:05d}.mp4" for one in (number, number + 1))
        if number and path.exists() and not following.exists():
            return number, path
        files = numbered(self._folder, "open")
        self._has_finished = self._has_finished or len(files) > 1
        return files[-1] if files else None

    def _watch_form(self, form: str) -> None:
        """A file's header holds for its first picture: after another form of picture a new take must begin."""
        if self._form and form and form != self._form:
            self._begin_anew(Cause.STREAM_CHANGED, "the camera changed the form of its pictures")
        self._form = form or self._form

    def _begin_anew(self, cause: Cause, what: str) -> None:
        if self._begins_anew and self.intent.stopping is None:
            logger.warning(what, take=self.take_id)
            self.stop(cause)

    def _silence_limit_s(self) -> float:
        """Media comes a group of pictures at a time; before the first, ffmpeg's two attempts are awaited."""
        silence_s = self._station.site.recording.silence_s
        if not self._has_media:
            return 2 * silence_s + PATIENCE_S
        return max(silence_s, 2 * self._longest_group_s)

    def _watch_clock(self) -> bool:
        """Whether our clock was set since the last look."""
        child, intent = self.intent.child, self.intent
        if child is None or child.boot != boot_id():
            return False
        offset_s = clock_offset_s()
        step_s = offset_s - intent.clock_offset_s
        was_set = abs(step_s) >= CLOCK_STEP_S
        if was_set:
            note = f"our clock was set by {step_s:+.1f} s"
            logger.warning(note, take=self.take_id)
            self._clock.restart()
            self._note(
                clock_offset_s=offset_s,
                clock_step_s=intent.clock_step_s + step_s,
                notes=(*intent.notes, note),
            )
        return was_set

    def _note(self, **changes: Any) -> None:
        """Into ``take.json``, so that whoever comes after us knows it too."""
        self.intent = replace(self.intent, **changes)
        write_intent(self._folder, self.intent)

    def _open_take(self) -> Take:
        """The take's row, with its record; both may be there from an earlier process."""
        window, camera, number = self._window, self.intent.camera, self.intent.number
        take_id = f"{window.id}/{camera}/take-{number:04d}"
        with self._station.sessions() as session:
            take = session.get(Take, take_id)
            if take is None:
                begun = self._clock.begin(1) or self.intent.spawned_at
                take = Take(
                    id=take_id,
                    window_id=window.id,
                    room_id=window.room_id,
                    camera_id=camera,
                    number=number,
                    folder=self._folder.relative_to(self._station.archive).as_posix(),
                    opened_at=rounded(begun),
                    token=self.intent.token,
                )
                session.add(take)
                session.commit()
            if take.leaf is None:
                record = TakeOpened(
                    at=now(),
                    take=take_id,
                    window=window.id,
                    room=window.room_id,
                    camera=camera,
                    number=number,
                    token=take.token,
                )
                take.leaf = append_once(self._station.log, record, in_doubt=self._in_doubt)
                session.commit()
                logger.info("take opened", take=take_id)
        return take

    def _finish(self, take_id: str, ended: Ended) -> None:
        with self._station.sessions() as session:
            take = session.get_one(Take, take_id)
            rows = session.scalars(
                select(Segment).where(Segment.take_id == take.id).order_by(Segment.number)
            ).all()
            last_end = session.scalar(select(func.max(Segment.ends_at)).where(Segment.take_id == take.id))
            if take.closed_at is None:
                child = self.intent.child
                same_boot = child is None or child.boot == boot_id()
                reached = last_end is not None and last_end >= self._window.ends_at - timedelta(
                    seconds=TAIL_S
                )
                cause, detail = self._why_stopped() or (
                    (WINDOW_ENDED, "")
                    if reached
                    else end_of_stream(last_words(self._folder, self._mask), ended, same_boot=same_boot)
                )
                take.closed_at = last_end or rounded(now())
                take.end_cause = str(cause)
                take.end_detail = "; ".join(part for part in (detail, *self.intent.notes) if part)
                session.commit()
            if take.closed_leaf is None:
                record = TakeClosed(
                    at=now(),
                    take=take.id,
                    window=take.window_id,
                    room=take.room_id,
                    camera=take.camera_id,
                    segments=len(rows),
                    last=rows[-1].sha256 if rows else "",
                    cause=take.end_cause or "",
                    detail=take.end_detail or "",
                )
                take.closed_leaf = append_once(self._station.log, record, in_doubt=True)
                session.commit()
                logger.info("take closed", take=take.id, cause=take.end_cause, detail=take.end_detail)
            self.outcome = Outcome(True, take.end_cause or "", take.end_detail or "")

    def _why_stopped(self) -> tuple[str, str] | None:
        """Cause and detail where we ended the recorder ourselves."""
        stopping = self.intent.stopping
        if stopping == Cause.STALLED:
            return stopping, f"no media came for {self._silence_limit_s():.0f} s; the recorder was ended"
        if stopping == Cause.STREAM_CHANGED:
            return stopping, "the camera's pictures have another size or form from here on; a new take begins"
        if stopping == Cause.TIME_STAMPS_JUMPED:
            return stopping, "the camera's own time stamps jumped; a new take begins"
        return (stopping, "") if stopping is not None else None
