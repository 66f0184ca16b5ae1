"""From a finished file to a signed segment: sync, rename, hash, row, record. Each step can be resumed.

Files of a take: ``open-00003.mp4`` is being written, ``seg-00003.mp4`` is closed, ``damaged-00003.mp4`` has no
whole frame and is kept for who wants to try. The bytes that the recorder wrote are never changed.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.clock import now
from kaozheng_service.database import Gap, Segment, Take, Window
from kaozheng_service.disputes.standalone.pieces import hash_pieces
from kaozheng_service.evidence.records import SegmentRecorded
from kaozheng_service.ffmpeg import SEGMENT_LIST
from kaozheng_service.machine_clock import clock_offset_s, clock_state
from kaozheng_service.recording.causes import Cause
from kaozheng_service.recording.child import boot_id
from kaozheng_service.recording.durable import rename_durably
from kaozheng_service.recording.gaps import gap_row, log_gaps
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.recording.media import MediaFacts, read_facts
from kaozheng_service.recording.timing import HOLE_S, ArrivalClock, segment_span
from kaozheng_service.station import Station

logger = structlog.get_logger()


def close_files(
    station: Station,
    take: Take,
    clock: ArrivalClock,
    *,
    ended: bool,
    clock_step_s: float = 0.0,
    same_boot: bool = True,
    in_doubt: bool = False,
) -> list[Segment]:
    """Close every finished file of ``take`` and return the new segments.

    Parameters
    ----------
    ended : the recorder is gone, so its last file is finished too
    clock_step_s : by how much our clock was set since the last new time run, to name the cause of a jump in time
    same_boot : the machine was not restarted since the take began
    in_doubt : this take may have been left in the middle by a process that died
    """
    folder = station.archive / take.folder
    files = numbered(folder, "open")
    finished = files if ended else files[:-1]
    for number, path in finished:
        rename_durably(path, folder / f"seg-{number:05d}.mp4")
    last = finished[-1][0] if ended and finished else None
    added = []
    with station.sessions() as session:
        known = set(session.scalars(select(Segment.number).where(Segment.take_id == take.id)))
    for number, path in numbered(folder, "seg"):
        if number in known:
            continue
        facts = read_facts(path)
        if facts is None:
            logger.warning("a file without a whole frame is kept as damaged", take=take.id, number=number)
            rename_durably(path, folder / f"damaged-{number:05d}.mp4")
            continue
        added.append(
            _add(
                station,
                take,
                clock,
                number,
                path,
                facts,
                cut_off=number == last,
                clock_step_s=clock_step_s,
                same_boot=same_boot,
            )
        )
    _log(station, take, in_doubt=in_doubt)  # also what failed to be signed in an earlier round
    return added


def numbered(folder: Path, kind: str) -> list[tuple[int, Path]]:
    """The files ``<kind>-NNNNN.mp4`` of a take with their numbers, in order."""
    return sorted((int(path.stem.rpartition("-")[2]), path) for path in folder.glob(f"{kind}-*.mp4"))


def _add(
    station: Station,
    take: Take,
    clock: ArrivalClock,
    number: int,
    path: Path,
    facts: MediaFacts,
    *,
    cut_off: bool,
    clock_step_s: float,
    same_boot: bool,
) -> Segment:
    found = path.stat()
    pieces = hash_pieces(path)
    # Seen growing since our clock was set, so dated by the clock as it is now.
    redated = number in clock.seen() and abs(clock_step_s) >= HOLE_S
    # A file that the next one followed was last written when its last frame was over; one cut off, whenever.
    if not cut_off:
        clock.observe(number, found.st_mtime, facts.duration_s, facts.missing_s)
    with station.sessions.begin() as session:
        before = _before(session, take, number)
        hole_s = (
            hole_between_s(station.archive / take.folder, before.number, number)
            if before is not None
            else 0.0
        )
        arrival = clock.begin(number)
        if arrival is None:
            arrival = (
                before.ends_at + timedelta(seconds=hole_s)
                if before is not None
                else datetime.fromtimestamp(found.st_mtime - facts.duration_s, UTC)
            )
        jumped_s = clock.jumped_s(number)
        if before is not None and not jumped_s and abs(clock_step_s) < HOLE_S:
            # Nobody looked while it was written: a hole by which it would have begun before the last one ended is none.
            early_s = (before.ends_at - arrival).total_seconds() + hole_s
            jumped_s = facts.missing_s if early_s > facts.missing_s / 2 > 0 else 0.0
            arrival += timedelta(seconds=jumped_s)
        facts = facts.without_jump(jumped_s)
        starts_at, ends_at, step_s = segment_span(
            previous_end=before.ends_at if before is not None else None,
            hole_s=hole_s,
            arrival=arrival,
            duration_s=facts.duration_s,
            # Nothing is late by a clock that was set.
            is_late=clock.is_late if abs(clock_step_s) < HOLE_S else lambda _off_s: False,
        )
        segment = Segment(
            take_id=take.id,
            room_id=take.room_id,
            camera_id=take.camera_id,
            number=number,
            path=f"{take.folder}/{path.name}",
            bytes=found.st_size,
            sha256=pieces.sha256,
            fragments=len(pieces.leaves),
            fragments_root=pieces.root,
            starts_at=starts_at,
            ends_at=ends_at,
            frames=facts.frames,
            codec=facts.codec,
            width=facts.width,
            height=facts.height,
            run=((before.run or 1) if before is not None else 1) + bool(step_s),
            step_s=round(step_s, 3),
            first_pts_s=round(facts.first_pts_s, 6),
            last_pts_s=round(facts.last_pts_s, 6),
            **_dated(starts_at, None if step_s else before, same_boot=same_boot),
        )
        session.add(segment)
        session.add_all(_gaps(take, segment, before, facts, step_s, clock_step_s))
        if before is None and redated:
            session.add_all(_set_before_first(session, take, segment, clock_step_s))
    if step_s:
        logger.warning("a new time run begins", take=take.id, segment=number, step_s=round(step_s, 3))
    return segment


def _dated(starts_at: datetime, before: Segment | None, *, same_boot: bool) -> dict[str, Any]:
    """How our clock stood when a segment was dated; ``before`` is the one before it in its time run, if any."""
    state, boot, boot_s = clock_state(), boot_id(), None
    if same_boot and before is not None and before.boot == boot and before.boot_s is not None:
        boot_s = before.boot_s + (starts_at - before.starts_at).total_seconds()
    elif same_boot:
        boot_s = starts_at.timestamp() - clock_offset_s()
    return {
        "boot": boot if same_boot else None,
        "boot_s": None if boot_s is None else round(boot_s, 3),
        "clock": state.word,
        "clock_error_s": state.error_s,
    }


def _gaps(
    take: Take,
    segment: Segment,
    before: Segment | None,
    facts: MediaFacts,
    step_s: float,
    clock_step_s: float,
) -> list[Gap]:
    """What this take itself lacks: between the segment before and this, and inside this one."""
    gaps = []
    if before is not None and (segment.starts_at - before.ends_at).total_seconds() >= HOLE_S:
        set_clock = abs(clock_step_s) >= HOLE_S and abs(step_s) >= HOLE_S
        detail = (
            f"our clock was set by {clock_step_s:+.1f} s"
            if set_clock
            else f"the camera's own time stamps and our clock are apart by {step_s:+.1f} s from here on"
            if step_s
            else "the camera's time stamps jump between two files"
        )
        cause = Cause.CLOCK_STEP if set_clock else Cause.FRAMES_MISSING
        gaps.append(gap_row(take, before.ends_at, segment.starts_at, cause, detail))
    for hole in facts.holes:
        begin = segment.starts_at + timedelta(seconds=hole.after_s)
        end = begin + timedelta(seconds=hole.length_s)
        gaps.append(
            gap_row(take, begin, end, Cause.FRAMES_MISSING, f"no picture inside segment {segment.number}")
        )
    return gaps


def _set_before_first(session: Session, take: Take, first: Segment, clock_step_s: float) -> list[Gap]:
    """The time that our clock was set forward over while the take's first file was being written."""
    window = session.get_one(Window, take.window_id)
    begins = max(first.starts_at - timedelta(seconds=clock_step_s), window.starts_at)
    ends = min(first.starts_at, window.ends_at)
    if (ends - begins).total_seconds() < HOLE_S:
        return []
    return [gap_row(take, begins, ends, Cause.CLOCK_STEP, f"our clock was set by {clock_step_s:+.1f} s")]


def _before(session: Session, take: Take, number: int) -> Segment | None:
    query = select(Segment).where(Segment.take_id == take.id, Segment.number < number)
    return session.scalars(query.order_by(Segment.number.desc()).limit(1)).first()


def hole_between_s(folder: Path, before: int, number: int) -> float:
    """Media time between two files by the recorder's own list; 0 where the list ends before them."""
    spans: dict[str, tuple[float, float]] = {}
    try:
        with (folder / SEGMENT_LIST).open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if len(row) == 3:
                    spans[row[0]] = (float(row[1]), float(row[2]))
    except (OSError, ValueError):
        return 0.0
    first, second = spans.get(f"open-{before:05d}.mp4"), spans.get(f"open-{number:05d}.mp4")
    return max(second[0] - first[1], 0.0) if first is not None and second is not None else 0.0


def _log(station: Station, take: Take, *, in_doubt: bool) -> None:
    """Give every row of this take that has none its record in the log, in order."""
    with station.sessions() as session:
        rows = session.scalars(
            select(Segment).where(Segment.take_id == take.id).order_by(Segment.number)
        ).all()
        previous = ""
        for row in rows:
            if row.leaf is None:
                row.leaf = append_once(station.log, _record(take, row, previous), in_doubt=in_doubt)
                session.commit()
            previous = row.sha256
    log_gaps(station, take.window_id, take.camera_id, in_doubt=in_doubt)


def _record(take: Take, row: Segment, previous: str) -> SegmentRecorded:
    return SegmentRecorded(
        at=now(),
        take=take.id,
        window=take.window_id,
        room=take.room_id,
        camera=take.camera_id,
        number=row.number,
        path=row.path,
        bytes=row.bytes,
        sha256=row.sha256,
        fragments=row.fragments,
        fragments_root=row.fragments_root,
        previous=previous,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        frames=row.frames,
        codec=row.codec,
        width=row.width,
        height=row.height,
        run=row.run,
        step_s=row.step_s,
        boot=row.boot,
        boot_s=row.boot_s,
        clock=row.clock,
        clock_error_s=row.clock_error_s,
        first_pts_s=row.first_pts_s,
        last_pts_s=row.last_pts_s,
    )
