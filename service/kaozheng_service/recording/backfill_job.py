"""One gap's backfill from begin to end: what is asked for, what its fetch came to, and when it is tried again.

Row first, then the child: whoever comes after a crash finds in the ``backfills`` table what was being fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog
from kaozheng_vision.errors import VisionError
from sqlalchemy import func, select

from kaozheng_service.clock import now
from kaozheng_service.config.playback import PlaybackEntry
from kaozheng_service.config.sources import playback_source
from kaozheng_service.database import Backfill, BackfilledTake, Gap, Window
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.records import BackfillGivenUp
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.fetch import Fetch, begin_fetch, resume_fetch
from kaozheng_service.recording.healing import RANGE_ENDED, Settled, settle, unhealed
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.station import Station

logger = structlog.get_logger()

# Why a fetch was ended that goes on later and is no failed attempt.
FOR_RECORDING = "live_recording"
PAUSE_GROWTH = 4.0


@dataclass(slots=True)
class Going:
    """A gap whose footage is being fetched."""

    station: Station
    job: Backfill
    fetch: Fetch
    during: bool

    def tick(self) -> bool:
        """Whether it is over and settled."""
        if not self.fetch.tick():
            return False
        try:
            settled = settle(self.station, self.job, self.fetch)
            _conclude(self.station, self.job, settled, in_doubt=self.fetch.in_doubt)
        except BaseException:
            self.fetch.in_doubt = True  # tried again: what is signed already must be looked for
            raise
        return True


def begin_job(station: Station, gap: Gap, playback: PlaybackEntry) -> Going | None:
    """Begin to fetch a missing part of a gap, which must have one; None where that failed at once: an attempt too."""
    with station.sessions() as session:
        parts = unhealed(session, gap)
        number = session.scalar(
            select(func.max(BackfilledTake.number)).where(
                BackfilledTake.window_id == gap.window_id, BackfilledTake.camera_id == gap.camera_id
            )
        )
        job = session.get(Backfill, gap.id)
        if job is None:
            job = Backfill(
                gap_id=gap.id,
                window_id=gap.window_id,
                room_id=gap.room_id,
                camera_id=gap.camera_id,
                attempts=0,
                reason="",
                audio_codec="copy",
            )
            session.add(job)
        # A part of which the device has nothing must not keep the others from being asked for.
        part = parts[job.attempts % len(parts)]
        asked = playback.asked_range(part.starts_at, part.ends_at)
        job.state, job.number, job.not_before = "fetching", (number or 0) + 1, now()
        job.attempts += 1
        job.source, job.clock_error_s = playback.label, playback.clock_error_s
        job.asked_from, job.asked_to = asked
        session.commit()
    logger.info(
        "backfill", window=gap.window_id, camera=gap.camera_id, source=job.source, attempt=job.attempts
    )
    try:
        folder = _folder(station, job)
        fetch = begin_fetch(
            station,
            playback_source(station.site, playback, *asked),
            folder,
            window=gap.window_id,
            number=job.number or 1,
            asked=asked,
            audio_codec=job.audio_codec,
        )
    except (ServiceError, VisionError, OSError) as error:
        _conclude(station, job, Settled(0.0, Cause.UNKNOWN, str(error)), in_doubt=False)
        return None
    return Going(station, job, fetch, playback.during)


def resume_job(station: Station, job: Backfill) -> Going:
    """Take up what an earlier process was fetching: its living child is adopted, what a dead one left is settled."""
    playback = playback_of(station, job.room_id, job.camera_id)
    asked_to = job.asked_to or now()

    def mask(text: str) -> str:
        """What stands beside the child has masked it already; this is the second time."""
        try:
            return (
                text
                if playback is None
                else playback_source(station.site, playback, asked_to, asked_to).mask(text)
            )
        except (ServiceError, VisionError):
            return text

    fetch = resume_fetch(
        station,
        _folder(station, job),
        mask,
        window=job.window_id,
        number=job.number or 1,
        asked_to=asked_to,
    )
    return Going(station, job, fetch, playback is not None and playback.during)


def _conclude(station: Station, job: Backfill, settled: Settled, *, in_doubt: bool) -> None:
    """What is next for this gap, by what its fetch came to."""
    playback = playback_of(station, job.room_id, job.camera_id)
    attempts = playback.attempts if playback is not None else 0
    with station.sessions() as session:
        row = session.get_one(Backfill, job.gap_id)
        gap = session.get_one(Gap, job.gap_id)
        left_s = sum(part.seconds for part in unhealed(session, gap))
        row.reason = _reason(row, settled, left_s)
        again_at = now()
        if left_s == 0:
            row.state = "healed"
        elif settled.cause in (FOR_RECORDING, Cause.STOPPED_BY_OPERATOR):
            row.state, row.attempts = "waiting", row.attempts - 1
        elif settled.audio_unfit and row.audio_codec == "copy":
            row.state, row.attempts, row.audio_codec = "waiting", row.attempts - 1, "aac"
        elif row.attempts >= attempts or settled.cause == Cause.AUTH_FAILED:
            # Devices lock an account after a few wrong logins, so a refused one is not tried again by itself.
            row.state = "partly" if left_s < (gap.ends_at - gap.starts_at).total_seconds() else "given_up"
        else:
            row.state = "waiting"
            pause_s = (playback.retry_s if playback is not None else 0) * PAUSE_GROWTH ** (row.attempts - 1)
            again_at += timedelta(seconds=pause_s)
        if row.state in ("partly", "given_up") and gap.leaf is not None:
            record = BackfillGivenUp(
                at=now(),
                gap=gap.leaf,
                window=gap.window_id,
                room=gap.room_id,
                camera=gap.camera_id,
                attempts=row.attempts,
                missing_s=round(left_s, 3),
                reason=row.reason,
            )
            row.leaf = append_once(station.log, record, in_doubt=in_doubt)
        row.not_before, row.number = again_at, None
        session.commit()
    logger.info("backfill over", window=row.window_id, camera=row.camera_id, state=row.state, why=row.reason)


def _reason(job: Backfill, settled: Settled, left_s: float) -> str:
    if left_s == 0:
        return ""
    if settled.played_s == 0:
        return settled.detail or settled.cause
    asked_s = (job.asked_to - job.asked_from).total_seconds() if job.asked_to and job.asked_from else 0.0
    why = "" if settled.cause == RANGE_ENDED else f": {settled.detail or settled.cause}"
    return f"{settled.played_s:.1f} of {asked_s:.1f} s asked for were played{why}"


def playback_of(station: Station, room_id: str, camera_id: str) -> PlaybackEntry | None:
    """None too where the camera is no longer in the site file."""
    try:
        return station.site.room(room_id).camera(camera_id).playback
    except UserError:
        return None


def _folder(station: Station, job: Backfill) -> Path:
    with station.sessions() as session:
        window = session.get_one(Window, job.window_id)
    day = window.starts_at.astimezone(station.site.zone).date().isoformat()
    return station.archive / day / job.room_id / job.camera_id / job.window_id / f"backfill-{job.number:04d}"
