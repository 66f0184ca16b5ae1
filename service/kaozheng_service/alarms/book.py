"""The one place that writes alarms down: row and messages first, then the record, then the row's leaf.

An alarm that has a row is told, once, whatever becomes of the log; a record that failed is made up for later.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from kaozheng_service.alarms.kinds import TOLD, AlarmKind, Subject
from kaozheng_service.alarms.messages import message_body, message_id
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm, AlarmMessage
from kaozheng_service.evidence.records import AlarmCleared, AlarmRaised
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.redaction import redacted
from kaozheng_service.station import Station

logger = structlog.get_logger()

# A record that failed is looked for in the log before it is written again, up to 20,000 reads: after 2, 4, 8 ... s.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0


class AlarmBook:
    """For any thread; one a process, so that none is written twice."""

    def __init__(self, station: Station, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._station = station
        self._clock = clock
        self._alone = threading.Lock()
        self._resume_at_s = -math.inf
        self._pause_s = FIRST_PAUSE_S

    def raise_alarm(
        self, subject: Subject, detail: str, present: datetime, *, sent: Collection[str] = ()
    ) -> Alarm:
        """The open alarm of ``subject``, made if there is none; its messages wait for delivery with it.

        Parameters
        ----------
        sent : channels that told it already, while it could not be stored

        Raises
        ------
        SQLAlchemyError : it could not be stored. A log that cannot be written is no error here.
        """
        with self._alone:
            with self._station.sessions() as session:
                row = session.scalars(_open(subject)).first()
                if row is not None:
                    return row
                row = _row(subject, detail, present)
                session.add(row)
                session.flush()
                self._add_messages(session, row, "raised", present, without=sent)
                session.commit()
            self._sign(row.id, in_doubt=False)
        logger.error("alarm", room=row.room_id, camera=row.camera_id, alarm=row.kind, detail=detail)
        return row

    def tell(self, subject: Subject, detail: str, at: datetime) -> Alarm | None:
        """Something that happened and is over: raised and ended in one. None where it was told before.

        Parameters
        ----------
        at : when it happened, by which it is known again
        """
        with self._alone:
            with self._station.sessions() as session:
                known = session.scalars(
                    _of(subject).where(Alarm.detail == redacted(detail), Alarm.raised_at == at)
                ).first()
                if known is not None:
                    return None
                row = _row(subject, detail, at)
                row.cleared_at, row.ended = at, TOLD
                session.add(row)
                session.flush()
                self._add_messages(session, row, "raised", at)
                session.commit()
            self._sign(row.id, in_doubt=False)
        logger.warning("told", room=row.room_id, camera=row.camera_id, alarm=row.kind, detail=detail)
        return row

    def clear_alarm(self, number: int, present: datetime, ended: str) -> None:
        """It is over. Raises SQLAlchemyError where that could not be stored."""
        with self._alone:
            with self._station.sessions() as session:
                row = session.get_one(Alarm, number)
                if row.cleared_at is not None:
                    return
                row.cleared_at, row.ended = max(present, row.raised_at), ended
                if ended != TOLD:
                    self._add_messages(session, row, "cleared", present)
                session.commit()
            self._sign(number, in_doubt=False)
        logger.info("alarm over", room=row.room_id, camera=row.camera_id, alarm=row.kind, ended=ended)

    def remind(self, present: datetime) -> None:
        """Tell again what lasts, so often as the site file says."""
        every_min = self._station.site.alarms.remind_min
        if every_min is None or not self._station.site.alarms.channels:
            return
        with self._alone, self._station.sessions() as session:
            last = (
                select(func.max(AlarmMessage.created_at))
                .where(AlarmMessage.alarm_id == Alarm.id)
                .scalar_subquery()
            )
            rows = session.execute(
                select(Alarm, last).where(
                    Alarm.cleared_at.is_(None), Alarm.kind != AlarmKind.UNEXPLAINED_GAP.value
                )
            ).all()
            for row, told_at in rows:
                if present - (told_at or row.raised_at) >= timedelta(minutes=every_min):
                    self._add_messages(session, row, "reminder", present)
            session.commit()

    def resume(self) -> None:
        """Give every row the record that failed, or that a crash prevented."""
        if self._clock() < self._resume_at_s:
            return
        with self._station.sessions() as session:
            left = session.scalars(
                select(Alarm.id).where(
                    or_(
                        Alarm.leaf.is_(None),
                        and_(Alarm.cleared_at.is_not(None), Alarm.cleared_leaf.is_(None)),
                    )
                )
            ).all()
        if not left:
            return
        with self._alone:
            for number in left:
                if not self._sign(number, in_doubt=True):
                    return
        self._pause_s = FIRST_PAUSE_S

    def open_alarms(self, kinds: Collection[str]) -> list[Alarm]:
        """Those of these kinds that last."""
        with self._station.sessions() as session:
            return list(
                session.scalars(
                    select(Alarm)
                    .where(Alarm.cleared_at.is_(None), Alarm.kind.in_(list(kinds)))
                    .order_by(Alarm.id)
                )
            )

    def _sign(self, number: int, *, in_doubt: bool) -> bool:
        """Whether all records of this alarm are in the log now."""
        try:
            with self._station.sessions() as session:
                row = session.get_one(Alarm, number)
                if row.leaf is None:
                    row.leaf = append_once(self._station.log, _raised(row), in_doubt=in_doubt)
                    session.commit()
                if row.cleared_at is not None and row.cleared_leaf is None:
                    row.cleared_leaf = append_once(self._station.log, _cleared(row), in_doubt=in_doubt)
                    session.commit()
        except Exception:
            # It is told all the same; the record is made up for as soon as the log can be written.
            logger.exception("an alarm's record could not be written; it is tried again", alarm=number)
            self._resume_at_s = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            return False
        return True

    def _add_messages(
        self, session: Session, row: Alarm, event: str, present: datetime, without: Collection[str] = ()
    ) -> None:
        for channel in self._station.site.alarms.channels:
            if channel in without:
                continue
            message = message_id()
            session.add(
                AlarmMessage(
                    id=message,
                    alarm_id=row.id,
                    event=event,
                    channel=channel,
                    body=message_body(
                        self._station.site,
                        message,
                        event,
                        Subject(row.kind, row.room_id, row.camera_id, row.window_id or ""),
                        at=present,
                        number=row.id,
                        detail=row.detail,
                        raised_at=row.raised_at,
                        cleared_at=row.cleared_at,
                        ended=row.ended,
                    ),
                    created_at=present,
                    due_at=present,
                    state="waiting",
                    attempts=0,
                    sent_at=None,
                    error="",
                )
            )


def _row(subject: Subject, detail: str, present: datetime) -> Alarm:
    return Alarm(
        window_id=subject.window or None,
        room_id=subject.room,
        camera_id=subject.camera,
        kind=subject.kind,
        detail=redacted(detail),
        raised_at=present,
    )


def _of(subject: Subject) -> Select[Alarm]:
    window = Alarm.window_id.is_(None) if not subject.window else Alarm.window_id == subject.window
    return select(Alarm).where(
        window,
        Alarm.room_id == subject.room,
        Alarm.camera_id == subject.camera,
        Alarm.kind == subject.kind,
    )


def _open(subject: Subject) -> Select[Alarm]:
    return _of(subject).where(Alarm.cleared_at.is_(None))


def _raised(row: Alarm) -> AlarmRaised:
    return AlarmRaised(
        at=now(),
        window=row.window_id or "",
        room=row.room_id,
        camera=row.camera_id,
        alarm=row.kind,
        raised_at=row.raised_at,
        detail=row.detail,
    )


def _cleared(row: Alarm) -> AlarmCleared:
    return AlarmCleared(
        at=now(),
        window=row.window_id or "",
        room=row.room_id,
        camera=row.camera_id,
        alarm=row.kind,
        raised_at=row.raised_at,
        cleared_at=row.cleared_at or row.raised_at,
        ended=row.ended or "",
    )
