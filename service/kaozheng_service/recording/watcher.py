"""Watches what is being recorded: a picture that is lost, covered, turned or frozen raises an alarm within seconds.

It reads the recorders' own files and never touches a camera or a recorder: whatever happens here, recording goes on.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context

import structlog
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.lens import Lens
from kaozheng_vision.diagnose import Diagnosis, Fault, Judgement, judge_looks
from kaozheng_vision.watch import AlarmState, Change
from sqlalchemy import select

from kaozheng_service import wording
from kaozheng_service.alarms.book import AlarmBook
from kaozheng_service.alarms.kinds import CLEAR, WINDOW_ENDED, Subject
from kaozheng_service.clock import now
from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.config.geometry import room_cameras
from kaozheng_service.database import Take, Window
from kaozheng_service.errors import UserError
from kaozheng_service.inspection.references import accepted_files
from kaozheng_service.recording.newest import Place
from kaozheng_service.recording.segments import numbered
from kaozheng_service.recording.watch_worker import Answer, Job, begin, judge
from kaozheng_service.station import Station

logger = structlog.get_logger()

# No new picture for so long, or for three times the longest wait between two so far, is a lost one.
LOST_AFTER_S = 10.0
# A longer wait between two pictures is an interruption, not a rhythm.
LONGEST_WAIT_S = 10.0
# A picture that takes longer has hung its decoder; the process is replaced.
ANSWER_S = 60.0
# Whose picture ended the process is spared for so long, so that the other cameras are watched.
SPARED_S = 60.0
# A recorder that has only just been started, and a camera whose keyframes are far apart, may take so long to its first.
FIRST_PICTURE_S = 30.0


@dataclass(frozen=True, slots=True)
class PictureState:
    """What the newest look at a camera said, for the heartbeat. ``judgement`` is one of the vision package's."""

    window: str
    camera: str
    at: datetime
    judgement: str
    words: str
    looks: int


@dataclass(slots=True)
class _Watched:
    """One camera of one window."""

    window: Window
    camera: CameraConfig
    lens: Lens
    # When the last picture came, or watching began; s of the watcher's clock.
    heard_s: float
    state: AlarmState = field(default_factory=AlarmState)
    place: Place | None = None
    take: str = ""
    longest_wait_s: float = 0.0
    not_before_s: float = -math.inf
    problem: str = ""
    looks: int = 0
    newest: PictureState | None = None


class Watcher:
    """One a daemon. :meth:`start` returns at once; it works in a thread, and judges pixels in a process of its own."""

    def __init__(
        self,
        station: Station,
        *,
        clock: Callable[[], float] = time.monotonic,
        book: AlarmBook | None = None,
    ) -> None:
        self._station = station
        self._clock = clock
        self._book = book or AlarmBook(station, clock=clock)
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._round_at_s = clock()
        # Why the last process that judges pictures ended; empty once one answers.
        self._broken = ""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; alarms that are on stay on, and the next watcher takes them up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ANSWER_S)
        self._drop_pool()

    def pictures(self) -> list[PictureState]:
        """The newest look at every camera that is being recorded; may be called from any thread."""
        return [one.newest for one in list(self._watched.values()) if one.newest is not None]

    def trouble(self) -> str:
        """Why pictures are not judged now; empty while they are. May be called from any thread."""
        if self._thread is not None and not self._thread.is_alive():
            return "the watching thread has ended"
        if self._clock() - self._round_at_s > ANSWER_S + 3 * self._station.site.recording.watch_s:
            return f"no camera was looked at for {self._clock() - self._round_at_s:.0f} s"
        return self._broken

    def _run(self) -> None:
        every_s = self._station.site.recording.watch_s
        while not self._stop.wait(every_s):
            try:
                self.tick(now())
            except Exception:
                logger.exception("watching the pictures failed; the next round tries again")

    def tick(self, present: datetime) -> None:
        """Judge every camera that should be recording now, once."""
        self._take_stock(present)
        self._round_at_s = self._clock()
        if not self._watched:
            self._broken = ""
        self._book.resume()
        # One after the other: there is one process, and whose picture ends it is then known.
        for one in list(self._watched.values()):
            if self._stop.is_set():
                return
            try:
                self._look_at(one)
            except Exception:
                logger.exception("watching a camera failed; the next round tries again", camera=one.camera.id)

    def _look_at(self, one: _Watched) -> None:
        self._round_at_s = self._clock()
        if self._clock() < one.not_before_s:
            self._learn(one, None)
            return
        job = self._job(one)
        self._learn(one, None if job is None else self._answer(one, job))

    def _take_stock(self, present: datetime) -> None:
        """Which windows run now; the alarms of those that are over end with them."""
        with self._station.sessions() as session:
            running = session.scalars(
                select(Window).where(
                    Window.starts_at <= present,
                    Window.ends_at > present,
                    Window.closed_leaf.is_(None),
                    Window.cancelled_at.is_(None),
                )
            ).all()
        left = self._book.open_alarms(set(Fault))
        due = {(window.id, camera): window for window in running for camera in window.cameras}
        for alarm in left:
            if (alarm.window_id, alarm.camera_id) not in due:
                self._book.clear_alarm(alarm.id, present, WINDOW_ENDED)
        self._watched = {key: one for key, one in self._watched.items() if key in due}
        for key, window in due.items():
            if key not in self._watched:
                watched = self._begin(window, key[1])
                if watched is None:
                    continue
                for alarm in left:
                    if (alarm.window_id, alarm.camera_id) == key:
                        watched.state.active[Fault(alarm.kind)] = self._clock()
                self._watched[key] = watched

    def _begin(self, window: Window, camera_id: str) -> _Watched | None:
        try:
            room = self._station.site.room(window.room_id)
            if camera_id in {one.substream.id for one in room.cameras if one.substream is not None}:
                return None  # it shows what its camera shows
            camera = room.camera(camera_id)
            lens = next(one.lens for one in room_cameras(room) if one.id == camera_id)
        except (UserError, CoverageError) as error:  # no longer in the site file, or not as it was
            logger.warning("a camera cannot be watched", camera=camera_id, why=str(error))
            return None
        return _Watched(window, camera, lens, self._clock())

    def _job(self, one: _Watched) -> Job | None:
        """None where no take is running, or it has no file yet."""
        with self._station.sessions() as session:
            take = session.scalars(
                select(Take)
                .where(
                    Take.window_id == one.window.id,
                    Take.camera_id == one.camera.id,
                    Take.closed_at.is_(None),
                )
                .order_by(Take.number.desc())
                .limit(1)
            ).first()
        if take is None:
            return None
        if take.id != one.take:
            one.take, one.place = take.id, None
        files = numbered(self._station.archive / take.folder, "open")
        if not files:
            return None
        return Job(
            one.window.id,
            one.camera,
            one.lens,
            files[-1][1],
            self._clock(),
            one.place,
            accepted_files(self._station, one.window.room_id, one.camera.id),
        )

    def _answer(self, one: _Watched, job: Job) -> Answer | None:
        if self._pool is None:
            # One look is too small to share out: with a thread a core it costs twice the processor time.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            # Spawned, not forked: a fork would copy locks that the daemon's other threads hold.
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=begin)
        try:
            answer = self._pool.submit(judge, job).result(ANSWER_S)
            self._broken = ""
            return answer
        except (BrokenProcessPool, TimeoutError) as error:
            logger.error(
                "judging a picture ended its process; a new one is begun",
                camera=one.camera.id,
                why=str(error),
            )
            self._broken = f"judging a picture of {one.camera.id} ended its process: {error or 'no answer'}"
            self._drop_pool()
            one.not_before_s = self._clock() + SPARED_S
            return None

    def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)

    def _learn(self, one: _Watched, answer: Answer | None) -> None:
        at_s = self._clock()
        diagnosis: Diagnosis | None = None
        if answer is not None and answer.diagnosis is not None:
            if one.place is not None:
                one.longest_wait_s = max(one.longest_wait_s, at_s - one.heard_s)
            one.place, one.heard_s, diagnosis = answer.place, at_s, answer.diagnosis
            if answer.problem and answer.problem != one.problem:
                logger.warning(
                    "watching", room=one.window.room_id, camera=one.camera.id, problem=answer.problem
                )
            one.problem = answer.problem
        elif at_s - one.heard_s >= self._patience_s(one):
            diagnosis = judge_looks((), compared=False)  # no picture: lost
        if diagnosis is None:
            return
        one.looks += 1
        one.newest = PictureState(
            one.window.id,
            one.camera.id,
            now(),
            _judgement(diagnosis),
            "；".join(part for part in (wording.diagnosis_sentence(diagnosis), one.problem) if part),
            one.looks,
        )
        for change in one.state.update(at_s, diagnosis):
            try:
                if change.raised:
                    subject = Subject(change.kind.value, one.window.room_id, one.camera.id, one.window.id)
                    detail = wording.fault_words(diagnosis, change.kind)
                    self._book.raise_alarm(subject, detail, now())
                else:
                    self._clear_kind(one, change)
            except Exception:
                # What could not be written down is no alarm yet, or not over yet: the next look says so again.
                logger.exception(
                    "an alarm could not be written down", camera=one.camera.id, alarm=change.kind
                )
                one.state.undo(change)

    def _patience_s(self, one: _Watched) -> float:
        if one.place is None and one.looks == 0:
            return FIRST_PICTURE_S
        return max(LOST_AFTER_S, 3 * min(one.longest_wait_s, LONGEST_WAIT_S))

    def _clear_kind(self, one: _Watched, change: Change) -> None:
        for row in self._book.open_alarms({change.kind}):
            if (row.window_id, row.camera_id) == (one.window.id, one.camera.id):
                self._book.clear_alarm(row.id, now(), CLEAR)


def _judgement(diagnosis: Diagnosis) -> str:
    """A picture that is well as far as it goes, and was held against nothing, is not simply well."""
    if diagnosis.judgement is Judgement.OK and not diagnosis.compared:
        return Judgement.NOT_COMPARED.value
    return diagnosis.judgement.value
