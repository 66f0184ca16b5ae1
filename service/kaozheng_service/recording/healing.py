"""What a fetch brought becomes a backfilled take, and heals the part of its gap that it covers.

Wall time cannot be taken from arrival, for a device plays footage when and as fast as it likes. It follows from the
begin of the range that was asked for and the stream's own time stamps, and the record says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.clock import now
from kaozheng_service.database import Backfill, BackfilledSegment, BackfilledTake, Gap, Healing
from kaozheng_service.disputes.standalone.pieces import hash_pieces
from kaozheng_service.evidence.records import BackfillClosed, BackfillOpened, BackfillSegment, GapHealed
from kaozheng_service.recording.causes import Cause, audio_cannot_be_copied, end_of_stream, failure_to_open
from kaozheng_service.recording.child import Ended, boot_id
from kaozheng_service.recording.durable import rename_durably
from kaozheng_service.recording.fetch import Fetch
from kaozheng_service.recording.gaps import BETWEEN_TAKES_S, EDGE_S, Span, holes
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.recording.media import MediaFacts, read_facts
from kaozheng_service.recording.segments import hole_between_s, numbered
from kaozheng_service.recording.timing import rounded
from kaozheng_service.station import Station

logger = structlog.get_logger()

REQUESTED_RANGE = "requested_range"
RANGE_ENDED = "range_ended"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a fetch came to. ``played_s`` is the length of what was stored, 0 where no picture came.

    ``cause`` is ``range_ended``, a :class:`Cause`, or why the fetch was stopped.
    """

    played_s: float
    cause: str
    detail: str
    audio_unfit: bool = False


def settle(station: Station, job: Backfill, fetch: Fetch) -> Settled:
    """Close, hash and sign what a fetch that has ended left; each step can be resumed, none is done twice."""
    facts = _close_files(fetch)
    errors = fetch.errors()
    if not facts or job.asked_from is None or job.asked_to is None:
        cause, detail = _stopped(fetch) or failure_to_open(errors)
        return Settled(0.0, str(cause), detail, audio_cannot_be_copied(errors))
    with station.sessions() as session:
        gap = session.get_one(Gap, job.gap_id)
        take = _take_row(station, session, job, gap, fetch, facts)
        _segment_rows(station, session, take, gap, fetch, facts)
        segments = list(
            session.scalars(
                select(BackfilledSegment)
                .where(BackfilledSegment.take_id == take.id)
                .order_by(BackfilledSegment.number)
            )
        )
        _healing_rows(session, take, gap, segments, facts)
        if not take.end_cause:
            cause, detail = _end(fetch, errors, segments, job)
            take.end_cause, take.end_detail = str(cause), detail
        session.commit()
        _sign(station, session, take, segments, in_doubt=fetch.in_doubt)
        played_s = sum((row.ends_at - row.starts_at).total_seconds() for row in segments)
        logger.info(
            "backfilled", take=take.id, source=take.source, seconds=round(played_s, 1), end=take.end_cause
        )
        return Settled(played_s, take.end_cause, take.end_detail)


def unhealed(session: Session, gap: Gap) -> list[Span]:
    """The parts of a gap that no backfilled footage covers; shorter than a second says nothing."""
    healed = session.scalars(select(Healing).where(Healing.gap_id == gap.id)).all()
    left = holes(Span(gap.starts_at, gap.ends_at), [Span(row.starts_at, row.ends_at) for row in healed])
    return [span for span in left if span.seconds >= EDGE_S]


def _close_files(fetch: Fetch) -> dict[int, MediaFacts]:
    """Facts of every file with a picture, by number, all named ``seg-``; {} where no file has one."""
    files = [*numbered(fetch.folder, "seg"), *numbered(fetch.folder, "open")]
    facts = {number: found for number, path in files if (found := read_facts(path)) is not None}
    if not facts:
        return {}
    for number, path in numbered(fetch.folder, "open"):
        rename_durably(path, path.with_name(f"{'seg' if number in facts else 'damaged'}-{number:05d}.mp4"))
    return dict(sorted(facts.items()))


def _take_row(
    station: Station, session: Session, job: Backfill, gap: Gap, fetch: Fetch, facts: dict[int, MediaFacts]
) -> BackfilledTake:
    take_id = f"{job.window_id}/{job.camera_id}/{fetch.folder.name}"
    take = session.get(BackfilledTake, take_id)
    if take is None:
        # The device may begin at another keyframe than the one at the range's begin, and nothing tells.
        group_s = max(one.longest_group_s for one in facts.values())
        take = BackfilledTake(
            id=take_id,
            window_id=job.window_id,
            room_id=job.room_id,
            camera_id=job.camera_id,
            number=job.number,
            folder=fetch.folder.relative_to(station.archive).as_posix(),
            gap_id=gap.id,
            gap=gap.leaf,
            source=job.source,
            asked_from=job.asked_from,
            asked_to=job.asked_to,
            time_source=REQUESTED_RANGE,
            uncertainty_s=round(job.clock_error_s + group_s, 3),
            fetched_at=fetch.intent.spawned_at,
            end_cause="",
            end_detail="",
        )
        session.add(take)
        session.flush()
    return take


def _segment_rows(
    station: Station,
    session: Session,
    take: BackfilledTake,
    gap: Gap,
    fetch: Fetch,
    facts: dict[int, MediaFacts],
) -> None:
    known = set(session.scalars(select(BackfilledSegment.number).where(BackfilledSegment.take_id == take.id)))
    into_s = _begins_s(fetch.folder, facts)
    for number, one in facts.items():
        if number in known:
            continue
        path = fetch.folder / f"seg-{number:05d}.mp4"
        begins = take.asked_from + timedelta(seconds=into_s[number])
        span = Span(rounded(begins), rounded(begins + timedelta(seconds=one.duration_s)))
        pieces = hash_pieces(path)
        beyond = holes(span, [Span(gap.starts_at, gap.ends_at)])
        session.add(
            BackfilledSegment(
                take_id=take.id,
                room_id=take.room_id,
                camera_id=take.camera_id,
                number=number,
                path=path.relative_to(station.archive).as_posix(),
                bytes=path.stat().st_size,
                sha256=pieces.sha256,
                fragments=len(pieces.leaves),
                fragments_root=pieces.root,
                starts_at=span.starts_at,
                ends_at=span.ends_at,
                frames=one.frames,
                codec=one.codec,
                width=one.width,
                height=one.height,
                overlapping_s=round(sum(part.seconds for part in beyond), 3),
                first_pts_s=round(one.first_pts_s, 6),
            )
        )
    session.flush()


def _begins_s(folder: Path, facts: dict[int, MediaFacts]) -> dict[int, float]:
    """Where each file begins in the stream, s from its first picture, by their lengths and the fetcher's own list."""
    begins = dict.fromkeys(list(facts)[:1], 0.0)
    for before, number in pairwise(facts):
        begins[number] = begins[before] + facts[before].duration_s + hole_between_s(folder, before, number)
    return begins


def _healing_rows(
    session: Session,
    take: BackfilledTake,
    gap: Gap,
    segments: list[BackfilledSegment],
    facts: dict[int, MediaFacts],
) -> None:
    """The parts of the gap that this take covers and none before it did, from its time stamps alone."""
    if session.scalars(select(Healing.id).where(Healing.take_id == take.id)).first() is not None:
        return
    missing = [
        Span(
            row.starts_at + timedelta(seconds=hole.after_s),
            row.starts_at + timedelta(seconds=hole.after_s + hole.length_s),
        )
        for row in segments
        for hole in facts[row.number].holes
    ]
    earlier = session.scalars(select(Healing).where(Healing.gap_id == gap.id)).all()
    taken = [Span(row.starts_at, row.ends_at) for row in earlier]
    whole = Span(gap.starts_at, gap.ends_at)
    for shown in _joined([Span(row.starts_at, row.ends_at) for row in segments]):
        inside = Span(max(shown.starts_at, whole.starts_at), min(shown.ends_at, whole.ends_at))
        for part in holes(inside, missing + taken) if inside.seconds > 0 else []:
            session.add(
                Healing(
                    gap_id=gap.id,
                    gap=gap.leaf,
                    take_id=take.id,
                    window_id=take.window_id,
                    room_id=take.room_id,
                    camera_id=take.camera_id,
                    starts_at=rounded(part.starts_at),
                    ends_at=rounded(part.ends_at),
                )
            )


def _joined(spans: list[Span]) -> list[Span]:
    """Spans in order, those that meet made one."""
    joined: list[Span] = []
    for span in spans:
        if joined and (span.starts_at - joined[-1].ends_at).total_seconds() < BETWEEN_TAKES_S:
            joined[-1] = Span(joined[-1].starts_at, max(joined[-1].ends_at, span.ends_at))
        else:
            joined.append(span)
    return joined


def _end(fetch: Fetch, errors: str, segments: list[BackfilledSegment], job: Backfill) -> tuple[str, str]:
    if job.asked_to is not None and segments[-1].ends_at >= job.asked_to - timedelta(seconds=EDGE_S):
        return RANGE_ENDED, ""
    child = fetch.intent.child
    same_boot = child is None or child.boot == boot_id()
    return _stopped(fetch) or end_of_stream(errors, fetch.ended or Ended(None), same_boot=same_boot)


def _stopped(fetch: Fetch) -> tuple[str, str] | None:
    stopping = fetch.intent.stopping
    if stopping == Cause.STALLED:
        return stopping, "the device played nothing any more; the fetch was ended"
    return (stopping, "") if stopping is not None else None


def _sign(
    station: Station,
    session: Session,
    take: BackfilledTake,
    segments: list[BackfilledSegment],
    *,
    in_doubt: bool,
) -> None:
    """Give everything of a take that has none its record, in order."""
    names = {"take": take.id, "window": take.window_id, "room": take.room_id, "camera": take.camera_id}
    if take.leaf is None:
        opened = BackfillOpened(
            at=now(),
            number=take.number,
            backfilled=True,
            gap=take.gap,
            source=take.source,
            asked_from=take.asked_from,
            asked_to=take.asked_to,
            fetched_at=take.fetched_at,
            time_source=take.time_source,
            uncertainty_s=take.uncertainty_s,
            **names,
        )
        take.leaf = append_once(station.log, opened, in_doubt=in_doubt)
        session.commit()
    previous = ""
    for row in segments:
        if row.leaf is None:
            segment = BackfillSegment(
                at=now(),
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
                overlapping_s=row.overlapping_s,
                first_pts_s=row.first_pts_s,
                **names,
            )
            row.leaf = append_once(station.log, segment, in_doubt=in_doubt)
            session.commit()
        previous = row.sha256
    if take.closed_leaf is None:
        closed = BackfillClosed(
            at=now(),
            segments=len(segments),
            last=previous,
            cause=take.end_cause,
            detail=take.end_detail,
            **names,
        )
        take.closed_leaf = append_once(station.log, closed, in_doubt=in_doubt)
        session.commit()
    healings = select(Healing).where(Healing.take_id == take.id, Healing.leaf.is_(None))
    for healing in session.scalars(healings.order_by(Healing.starts_at)).all():
        healed = GapHealed(
            at=now(), gap=healing.gap, starts_at=healing.starts_at, ends_at=healing.ends_at, **names
        )
        healing.leaf = append_once(station.log, healed, in_doubt=in_doubt)
        session.commit()
