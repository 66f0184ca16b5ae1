"""The reconcile loop: what should be recorded now, is; what is over, is settled and closed.

The windows table is the truth. Nothing is remembered that is not on the disk: a new supervisor takes up where
the last one died, and adopts its recorders.
"""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from kaozheng_service.clock import now
from kaozheng_service.database import Gap, Take, Window
from kaozheng_service.database_damage import is_damage
from kaozheng_service.evidence.records import WindowClosed
from kaozheng_service.recording.camera import CameraKeeper, footage_folder
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.expectations import settle_windows
from kaozheng_service.recording.fencing import RENEW_S, claim, is_newest, node_of, renew
from kaozheng_service.recording.forecast import EXAM_KINDS, GB, activities_to_stop, stored_demands
from kaozheng_service.recording.gaps import Span
from kaozheng_service.recording.leases import Lease, try_lease
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station

logger = structlog.get_logger()

TICK_S = 1.0
# Connecting to a camera took 1.1 s here over RTSP, ffmpeg's own probing included, and may take a slow camera
# several: recorders start so long before their window, that it begins with a picture.
LEAD_S = 8.0
# A recorder that had been started for a window that was then cancelled is ended and settled within this.
VOID_KEPT = timedelta(days=30)
# For exams that begin so soon nobody can make room in time: activities that run are stopped for them.
EXAMS_AHEAD = timedelta(days=1)
SPACE_S = 10.0
# What a process stored and did not live to sign is looked for so often.
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class CameraState:
    """One camera of a window that is being recorded, for the status page."""

    window: str
    camera: str
    take: str | None
    bytes: int
    last_segment_at: datetime | None


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """Whether a camera of a window in our care is being recorded. ``silent_s`` is None where no recorder runs.

    ``cause`` and ``detail`` tell why not, as far as it is known; ``stopped`` that an operator wanted it so;
    ``unsigned`` why what was recorded has no record in the log yet, "" where all has.
    """

    window: str
    room: str
    camera: str
    starts_at: datetime
    ends_at: datetime
    flows: bool
    silent_s: float | None
    cause: str
    detail: str
    stopped: bool
    unsigned: str = ""


class Supervisor:
    """Called from one thread.

    Parameters
    ----------
    only : the id of the one window to care for; None for all that no other process cares for
    absences : when no supervisor ran, as far as known, to explain what is missing from then
    """

    def __init__(self, station: Station, *, only: str | None = None, absences: tuple[Span, ...] = ()) -> None:
        self._station = station
        self._only = only
        self._absences = absences
        self._leases: dict[str, Lease] = {}
        self._node = node_of(station.state)
        self._tokens: dict[str, int] = {}
        self._renewed_at: dict[str, float] = {}
        self._keepers: dict[str, tuple[Window, list[CameraKeeper]]] = {}
        self._disk_was_low = False
        self._space_at_s = -SPACE_S
        self._settled_at_s = -math.inf
        self._stopping: tuple[Cause, bool] | None = None

    def tick(self) -> None:
        """Make it so. One camera's fault never keeps the others from being recorded."""
        present = now()
        self._settle_windows()
        try:
            self._take_over(present)
            self._renew_holds()
        finally:  # a database that cannot be read ends no recording that has begun
            self._keep(present)

    def _keep(self, present: datetime) -> None:
        low = self.disk_is_low()
        if low:
            self._make_room_for_exams(present)
        if self._stopping is not None:
            cause, for_good = self._stopping
            for keeper in self._all_keepers():
                keeper.stop(cause, for_good=for_good)
        for window, keepers in list(self._keepers.values()):
            refusal = self._refusal(window) if low else None
            for keeper in keepers:
                try:
                    keeper.tick(present, refusal=refusal)
                except Exception as error:
                    if is_damage(error):
                        raise
                    logger.exception("keeping a camera failed", window=window.id, camera=keeper.camera_id)
            if all(keeper.settled for keeper in keepers):
                try:
                    self._close(window)
                except Exception as error:
                    if is_damage(error):
                        raise
                    logger.exception(
                        "a window is not closed yet; the next tick tries again", window=window.id
                    )

    def _settle_windows(self) -> None:
        if time.monotonic() - self._settled_at_s < SETTLE_S:
            return
        try:
            settle_windows(self._station)
            self._settled_at_s = time.monotonic()
        except Exception:
            logger.exception("windows are not signed yet; the next tick tries again")

    def _renew_holds(self) -> None:
        """Hold our windows longer; one that another node has taken over is let go once its takes are closed."""
        for window_id, (_, keepers) in list(self._keepers.items()):
            if time.monotonic() - self._renewed_at[window_id] < RENEW_S:
                continue
            try:
                held = renew(self._station.sessions, window_id, self._tokens[window_id])
            except OperationalError:
                logger.exception("a window's hold is not renewed yet", window=window_id)
                continue
            self._renewed_at[window_id] = time.monotonic() if held else math.inf
            if not held:
                logger.error("another node has taken this window over", window=window_id)
                for keeper in keepers:
                    keeper.overtake()

    def lease(self, window_id: str) -> bool:
        """Whether this supervisor cares for that window, or does from now on."""
        if window_id not in self._leases:
            lease = try_lease(self._station.state / "locks" / f"{window_id}.lock")
            if lease is None:
                return False
            token = None
            try:
                token = claim(self._station.sessions, window_id, self._node)
            finally:
                if token is None:
                    lease.release()
            if token is None:
                return False
            self._leases[window_id] = lease
            self._tokens[window_id] = token
            self._renewed_at[window_id] = time.monotonic()
        return True

    def stop_recorders(self, cause: Cause, *, for_good: bool) -> None:
        """Have every recorder end and start none; it takes some ticks more.

        Parameters
        ----------
        for_good : the windows close, the rest of them missing for ``cause``; else a later start may go on
        """
        self._stopping = (cause, for_good)

    def release(self) -> None:
        """Let go of all windows; recorders go on, and whoever comes next adopts them."""
        for lease in self._leases.values():
            lease.release()
        self._leases.clear()
        self._keepers.clear()

    def states(self) -> list[CameraState]:
        return [
            CameraState(
                window.id, keeper.camera_id, keeper.run.take_id, keeper.run.bytes, keeper.run.last_segment_at
            )
            for window, keepers in self._keepers.values()
            for keeper in keepers
            if keeper.run is not None
        ]

    def health(self) -> list[CameraHealth]:
        """Every camera of every window in our care that is not settled."""
        found = []
        for window, keepers in self._keepers.values():
            for keeper in keepers:
                if keeper.settled:
                    continue
                run = keeper.run
                flows = run is not None and run.flows
                cause, detail = ("", "") if flows or keeper.trouble is None else keeper.trouble
                if run is not None and run.has_media and not run.ended and not flows:
                    cause, detail = Cause.STALLED, ""
                found.append(
                    CameraHealth(
                        window=window.id,
                        room=window.room_id,
                        camera=keeper.camera_id,
                        starts_at=window.starts_at,
                        ends_at=window.ends_at,
                        flows=flows,
                        silent_s=run.silent_s if run is not None and not run.ended else None,
                        cause=str(cause),
                        detail=detail,
                        stopped=keeper.is_stopped,
                        unsigned=keeper.unsigned,
                    )
                )
        return found

    def is_idle(self) -> bool:
        """Whether no window is in this supervisor's care."""
        return not self._keepers

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._station.archive).free

    def disk_is_low(self) -> bool:
        """Whether the reserve is touched; said loudly when that changes."""
        reserve = self._station.site.storage.reserve_gb * GB
        free = self.free_bytes()
        low = free < reserve
        if low and not self._disk_was_low:
            logger.error(
                "disk space is below the reserve: only exams are begun; free some, or lower storage.reserve_gb",
                free_gb=round(free / GB, 1),
                reserve_gb=self._station.site.storage.reserve_gb,
            )
        self._disk_was_low = low
        return low

    def _all_keepers(self) -> list[CameraKeeper]:
        return [keeper for _, keepers in self._keepers.values() for keeper in keepers]

    def _refusal(self, window: Window) -> str | None:
        if window.kind in EXAM_KINDS:
            return None
        return (
            f"less than the reserve of {self._station.site.storage.reserve_gb:g} GB was free; exams go first"
        )

    def _make_room_for_exams(self, present: datetime) -> None:
        """Stop what is no exam, the newest first, where what runs or begins soon would not fit otherwise."""
        others = [one.id for one, _ in self._keepers.values() if one.kind not in EXAM_KINDS]
        if not others or time.monotonic() - self._space_at_s < SPACE_S:
            return
        self._space_at_s = time.monotonic()
        try:
            with self._station.sessions() as session:
                demands = stored_demands(session, present, present + EXAMS_AHEAD)
            exams = [one for one in demands if one.is_exam]
            running = [one for one in demands if one.window in others]
            free = self.free_bytes()
            stopped = activities_to_stop(running, exams, present=present, free_bytes=free) if exams else []
        except Exception:
            logger.exception("what exams need of the disk is not known; all goes on")
            return
        needed = sum(one.needed_bytes(present) for one in exams)
        for one in stopped:
            detail = f"stopped for exams: they need {needed / GB:.1f} GB and {free / GB:.1f} GB was free"
            logger.error("a window that is no exam is stopped", window=one.window, detail=detail)
            for keeper in self._keepers[one.window][1]:
                keeper.stop(Cause.DISK_FULL, for_good=True, detail=detail)

    def _take_over(self, present: datetime) -> None:
        """Take care of every window that is due and not closed, if no other process does; heed what was cancelled."""
        query = select(Window).where(
            Window.closed_leaf.is_(None),
            Window.starts_at <= present + timedelta(seconds=LEAD_S),
            # What was cancelled before it began is never closed: not asked about for ever.
            Window.cancelled_leaf.is_(None) | (Window.ends_at > present - VOID_KEPT),
        )
        if self._only is not None:
            query = query.where(Window.id == self._only)
        with self._station.sessions() as session:
            rows = session.scalars(query.order_by(Window.starts_at)).all()
            for row in rows:
                if row.id in self._keepers and row.cancelled_leaf is not None:
                    self._stop_cancelled(row)
            due = [
                window
                for window in rows
                if window.id not in self._keepers and not self._is_nothing(window) and self.lease(window.id)
            ]
            for window in due:
                session.refresh(window)  # closed by another process before the lease was ours?
        for window in due:
            if window.closed_leaf is not None:
                self._leases.pop(window.id).release()
                continue
            try:
                keepers = [
                    CameraKeeper(
                        self._station, window, camera, self._absences, token=self._tokens.get(window.id)
                    )
                    for camera in window.cameras
                ]
            except Exception as error:
                if is_damage(error):
                    raise
                logger.exception("a window cannot be taken up; the next tick tries again", window=window.id)
                self._leases.pop(window.id).release()
                continue
            logger.info("window", window=window.id, cameras=window.camera_ids)
            self._keepers[window.id] = (window, keepers)
            if window.cancelled_leaf is not None:
                self._stop_cancelled(window)

    def _is_nothing(self, window: Window) -> bool:
        """Whether it was cancelled before it began, and no recorder of it had been started ahead of time."""
        return window.is_void and not any(
            footage_folder(self._station, window, camera).exists() for camera in window.cameras
        )

    def _stop_cancelled(self, row: Window) -> None:
        """End the window's recorders; what is missing of it is settled as stopped."""
        for keeper in self._keepers[row.id][1]:
            keeper.stop(
                Cause.STOPPED_BY_OPERATOR,
                for_good=True,
                detail=f"the window was cancelled: {row.cancel_reason}",
                at=row.cancelled_at,
            )

    def _close(self, window: Window) -> None:
        with self._station.sessions() as session:
            row = session.get_one(Window, window.id)
            if not is_newest(session, window.id, self._tokens[window.id]):
                logger.error("left to the node that has taken it over", window=window.id)
                self._let_go(window.id)
                return
            record = WindowClosed(
                at=now(),
                window=row.id,
                room=row.room_id,
                takes=dict.fromkeys(row.cameras, 0)
                | dict(
                    session.execute(
                        select(Take.camera_id, func.count())
                        .where(Take.window_id == row.id)
                        .group_by(Take.camera_id)
                    ).all()
                ),
                gaps=dict.fromkeys(row.cameras, 0)
                | dict(
                    session.execute(
                        select(Gap.camera_id, func.count())
                        .where(Gap.window_id == row.id)
                        .group_by(Gap.camera_id)
                    ).all()
                ),
            )
            row.closed_leaf = append_once(self._station.log, record, in_doubt=True)
            session.commit()
        logger.info("window closed", window=window.id, takes=record.takes, gaps=record.gaps)
        self._let_go(window.id)

    def _let_go(self, window_id: str) -> None:
        del self._keepers[window_id]
        self._leases.pop(window_id).release()
