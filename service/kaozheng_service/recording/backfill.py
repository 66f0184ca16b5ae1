"""Backfill (补录): after a gap, its footage is fetched from where the camera's footage is kept a second time.

One fetch at a time on the whole site, and none while a window is recorded unless the camera's entry allows it. What
comes is a take of its own that never counts as recorded. All that must be known to go on is in the ``backfills`` table.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from kaozheng_service.clock import now
from kaozheng_service.config.playback import PlaybackEntry
from kaozheng_service.database import Backfill, Gap, Healing, Window
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.backfill_job import FOR_RECORDING, Going, begin_job, playback_of, resume_job
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.forecast import GB
from kaozheng_service.recording.gaps import EDGE_S
from kaozheng_service.recording.healing import unhealed
from kaozheng_service.recording.leases import Lease, try_lease
from kaozheng_service.recording.supervisor import LEAD_S
from kaozheng_service.station import Station

TICK_S = 1.0
# Recorders start LEAD_S before their window; by then a fetch has been ended.
HEADWAY = timedelta(seconds=2 * LEAD_S)
# Nothing is missing where only our clock was set; what the operator stopped is fetched only if he asks for it.
NEVER = (Cause.CLOCK_STEP,)
BY_HAND_ONLY = (*NEVER, Cause.STOPPED_BY_OPERATOR)


@dataclass(frozen=True, slots=True)
class GapBackfill:
    """What became of one gap, s. ``state`` as of :class:`Backfill`, or ``not_kept`` where there is nothing to ask.

    ``missing_s`` leaves out holes that are too short to tell, so it and ``healed_s`` need not add up to the gap.
    """

    camera_id: str
    starts_at: datetime
    ends_at: datetime
    cause: str
    healed_s: float
    missing_s: float
    state: str
    reason: str


class Backfiller:
    """The daemon's part. Called from one thread."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._lease: Lease | None = None
        self._going: Going | None = None

    def tick(self) -> None:
        """Go on with what is being fetched, or begin what is due."""
        if self._lease is None:
            self._lease = _lease(self._station)
            if self._lease is None:
                return
        if self._going is None:
            self._going = _left(self._station) or self._next()
        if self._going is None:
            self.release()
            return
        if not self._going.during and _is_recording(self._station, now()):
            self._going.fetch.stop(FOR_RECORDING)
        if self._going.tick():
            self.release()

    def release(self) -> None:
        """Let go; a child goes on, and whoever comes next adopts it."""
        self._going = None
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _next(self) -> Going | None:
        due = _due(self._station, now())
        return None if due is None or _disk_is_low(self._station) else begin_job(self._station, *due)


def backfill_window(
    station: Station,
    window_id: str,
    camera_id: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[GapBackfill]:
    """Fetch what is still missing of a window now, by hand: one attempt a gap, whatever was tried before.

    Raises
    ------
    UserError : no such window or camera, or the window is still being recorded
    ServiceError : something is being fetched already
    """
    gaps = _window_gaps(station, window_id, camera_id)
    lease = _lease(station)
    if lease is None:
        raise ServiceError("another process is fetching footage just now; try again when it is done")
    try:
        left = _left(station)
        if left is not None:
            _run(left)
        for done, gap in enumerate(gaps):
            if progress is not None:
                progress(done, len(gaps))
            playback = playback_of(station, gap.room_id, gap.camera_id)
            with station.sessions() as session:
                whole = not unhealed(session, gap)
            if playback is None or whole or gap.cause in NEVER:
                continue
            going = begin_job(station, gap, playback)
            if going is not None:
                _run(going)
        if progress is not None:
            progress(len(gaps), len(gaps))
    finally:
        lease.release()
    return [_result(station, gap) for gap in gaps]


def _run(going: Going) -> None:
    """To its end; an interrupt ends the child, and what came is settled before the interrupt is raised."""
    try:
        while not going.tick():
            time.sleep(TICK_S / 4)
    except KeyboardInterrupt:
        going.fetch.stop(Cause.STOPPED_BY_OPERATOR)
        while not going.tick():
            time.sleep(TICK_S / 4)
        raise


def _left(station: Station) -> Going | None:
    """A fetch that an earlier process began."""
    with station.sessions() as session:
        job = session.scalars(select(Backfill).where(Backfill.state == "fetching")).first()
    return None if job is None else resume_job(station, job)


def _due(station: Station, present: datetime) -> tuple[Gap, PlaybackEntry] | None:
    """The gap to be fetched now: the one tried least, then the oldest, which the device overwrites first."""
    entries = [camera.playback for room in station.site.rooms for camera in room.cameras if camera.playback]
    recording = _is_recording(station, present)
    if recording:
        entries = [entry for entry in entries if entry.during]
    if not entries:
        return None
    oldest = present - timedelta(days=max(entry.kept_days for entry in entries))
    query = (
        select(Gap, Window)
        .join(Window, Window.id == Gap.window_id)
        .outerjoin(Backfill, Backfill.gap_id == Gap.id)
        .where(Gap.leaf.is_not(None), Gap.cause.not_in([cause.value for cause in BY_HAND_ONLY]))
        .where(Gap.ends_at > oldest)
        .where(Backfill.gap_id.is_(None) | ((Backfill.state == "waiting") & (Backfill.not_before <= present)))
        .order_by(func.coalesce(Backfill.attempts, 0), Gap.starts_at)
    )
    with station.sessions() as session:
        for gap, window in session.execute(query):
            playback = playback_of(station, gap.room_id, gap.camera_id)
            if playback is None or gap.ends_at < present - timedelta(days=playback.kept_days):
                continue
            if not playback.during and (recording or window.closed_leaf is None):
                continue
            if gap.ends_at + timedelta(seconds=playback.padding_s + playback.clock_error_s) > present:
                continue  # the device has not recorded all of it yet
            if unhealed(session, gap):
                return gap, playback
    return None


def _is_recording(station: Station, present: datetime) -> bool:
    """Whether a window is recorded now, or begins in a moment."""
    query = select(Window.id).where(
        Window.starts_at <= present + HEADWAY,
        Window.ends_at > present,
        Window.closed_leaf.is_(None),
        Window.cancelled_leaf.is_(None),
    )
    with station.sessions() as session:
        return session.scalars(query.limit(1)).first() is not None


def _window_gaps(station: Station, window_id: str, camera_id: str | None) -> list[Gap]:
    with station.sessions() as session:
        window = session.get(Window, window_id)
        if window is None:
            raise UserError(f"there is no window {window_id!r}; look for its id on the status page")
        if camera_id is not None and camera_id not in window.cameras:
            raise UserError(
                f"window {window_id} has no camera {camera_id!r}; it has {', '.join(window.cameras)}"
            )
        if window.closed_leaf is None:
            raise UserError(f"window {window_id} is not over yet; fetch what it lacks when it is")
        query = select(Gap).where(Gap.window_id == window_id, Gap.leaf.is_not(None))
        if camera_id is not None:
            query = query.where(Gap.camera_id == camera_id)
        return [gap for gap in session.scalars(query.order_by(Gap.starts_at)) if _length_s(gap) >= EDGE_S]


def _result(station: Station, gap: Gap) -> GapBackfill:
    with station.sessions() as session:
        job = session.get(Backfill, gap.id)
        missing_s = sum(part.seconds for part in unhealed(session, gap))
        healings = session.scalars(select(Healing).where(Healing.gap_id == gap.id)).all()
    healed_s = sum((row.ends_at - row.starts_at).total_seconds() for row in healings)
    if job is not None:
        state, reason = job.state, job.reason
    elif gap.cause in NEVER:
        state, reason = "not_kept", "our clock was set; the device has no other footage of it"
    else:
        state, reason = "not_kept", f"camera {gap.camera_id} has no playback in the site file"
    return GapBackfill(
        gap.camera_id, gap.starts_at, gap.ends_at, gap.cause, healed_s, missing_s, state, reason
    )


def _length_s(gap: Gap) -> float:
    return (gap.ends_at - gap.starts_at).total_seconds()


def _lease(station: Station) -> Lease | None:
    return try_lease(station.state / "locks" / "backfill.lock")


def _disk_is_low(station: Station) -> bool:
    """True too where the archive cannot be asked: recording has an alarm for that, and a fetch would only fail."""
    try:
        return shutil.disk_usage(station.archive).free < station.site.storage.reserve_gb * GB
    except OSError:
        return True
