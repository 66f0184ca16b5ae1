"""Delivers what waits: a thread a channel, at least once, each message with the same id and bytes at every attempt."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from kaozheng_vision.diagnose import Fault
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kaozheng_service.alarms.channel import Channel, DeliveryError
from kaozheng_service.alarms.kinds import AlarmKind
from kaozheng_service.alarms.mail import MailChannel
from kaozheng_service.alarms.webhook import WebhookChannel
from kaozheng_service.clock import now
from kaozheng_service.config.site import Site
from kaozheng_service.database import Alarm, AlarmMessage
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

logger = structlog.get_logger()

POLL_S = 1.0
# 5, 10, 20 ... 900 s, a quarter more or less: forty attempts are about eight hours.
FIRST_PAUSE_S, LONGEST_PAUSE_S, JITTER = 5.0, 900.0, 0.25
ATTEMPTS, OLDEST = 40, timedelta(days=1)
# Causes that come together are told together: a mail waits so long for others, and beyond so many a minute all
# that wait go into one.
GATHER_S, SINGLE_MAILS, MINUTE = 4.0, 5, timedelta(minutes=1)
# Looked at in one round; what is beyond comes in the next.
MOST = 500
JOIN_S = 3.0


def channels_of(site: Site) -> list[Channel]:
    """The channels of the site file."""
    found: list[Channel] = [WebhookChannel(site, webhook) for webhook in site.alarms.webhooks]
    if site.alarms.mail is not None:
        found.append(MailChannel(site, site.alarms.mail))
    return found


class Courier:
    """One a daemon. Channels do not wait for each other."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._postmen = [Postman(station, channel) for channel in channels_of(station.site)]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for postman in self._postmen:
            thread = threading.Thread(
                target=self._run, args=(postman,), name=f"courier {postman.channel.name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End it; a delivery that is under way may be repeated after the next start."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def send_unstored(self, body: str, told: set[str]) -> None:
        """Send what the database does not take, at once; ``told`` gets the channels that took it."""
        for postman in self._postmen:
            if postman.channel.name not in told:
                threading.Thread(
                    target=postman.send_unstored,
                    args=(body, told),
                    name=f"unstored {postman.channel.name}",
                    daemon=True,
                ).start()

    def _run(self, postman: Postman) -> None:
        while not self._stop.wait(POLL_S):
            try:
                postman.tick(now())
            except Exception:
                logger.exception("delivering alarms failed; tried again", channel=postman.channel.name)


class Postman:
    """Delivers to one channel. Called from one thread, but for :meth:`send_unstored`."""

    def __init__(
        self, station: Station, channel: Channel, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.channel = channel
        self._station = station
        self._clock = clock
        self._not_before_s = -math.inf
        self._failures = 0
        # Taken by the channel, but not noted yet: sent once all the same while the database is away.
        self._unnoted: set[str] = set()

    def tick(self, present: datetime) -> None:
        """Send what is due."""
        self._note_sent(present)
        if self._clock() < self._not_before_s:
            return
        with self._station.sessions() as session:
            waiting = session.scalars(
                select(AlarmMessage)
                .where(AlarmMessage.channel == self.channel.name, AlarmMessage.state == "waiting")
                .order_by(AlarmMessage.number)
                .limit(MOST)
            ).all()
            due = self._due(session, waiting, present)
            batches = self._batches(session, due, present)
        for batch in batches:
            if not self._send(batch, present):
                return

    def send_unstored(self, body: str, told: set[str]) -> None:
        try:
            self.channel.send([body])
        except (DeliveryError, UserError) as error:
            logger.warning("an alarm was not delivered", channel=self.channel.name, why=str(error))
        else:
            told.add(self.channel.name)

    def _due(
        self, session: Session, waiting: Sequence[AlarmMessage], present: datetime
    ) -> list[AlarmMessage]:
        """Those whose time has come, none before an older one of the same alarm."""
        behind: set[int] = set()
        due = []
        for message in waiting:
            if message.alarm_id in behind:
                continue
            behind.add(message.alarm_id)
            # What comes from the future was written before the clock was set back.
            if message.due_at > present >= message.created_at:
                continue
            if self._is_told_better(session, message):
                _close(session, message, "dropped", "the same camera's missing footage was told")
            else:
                due.append(message)
        session.commit()
        return due

    def _is_told_better(self, session: Session, message: AlarmMessage) -> bool:
        """A picture that is lost because no footage comes is told as that, with its cause."""
        alarm = session.get_one(Alarm, message.alarm_id)
        if alarm.kind != Fault.LOST:
            return False
        other = session.scalars(
            select(Alarm.id)
            .where(
                Alarm.kind == AlarmKind.NO_FOOTAGE.value,
                Alarm.window_id == alarm.window_id,
                Alarm.camera_id == alarm.camera_id,
                Alarm.raised_at <= message.created_at,
                (Alarm.cleared_at.is_(None)) | (Alarm.cleared_at >= alarm.raised_at),
            )
            .limit(1)
        ).first()
        return other is not None

    def _batches(
        self, session: Session, due: list[AlarmMessage], present: datetime
    ) -> list[list[AlarmMessage]]:
        """What goes into one delivery each."""
        if not self.channel.together:
            return [[message] for message in due]
        if not due or max(abs(present - message.created_at) for message in due) < timedelta(seconds=GATHER_S):
            return []
        last_minute = session.scalars(
            select(AlarmMessage.sent_at)
            .where(
                AlarmMessage.channel == self.channel.name,
                AlarmMessage.state == "sent",
                AlarmMessage.sent_at > present - MINUTE,
            )
            .distinct()
        ).all()
        if len(due) + len(last_minute) <= SINGLE_MAILS:
            return [[message] for message in due]
        # Many at once: all in one; and if such a mail went out just now, the next waits for its minute.
        if len(last_minute) >= SINGLE_MAILS or any(self._was_bundle(session, at) for at in last_minute):
            return []
        return [due]

    def _was_bundle(self, session: Session, sent_at: datetime | None) -> bool:
        rows = session.scalars(
            select(AlarmMessage.number)
            .where(AlarmMessage.channel == self.channel.name, AlarmMessage.sent_at == sent_at)
            .limit(2)
        ).all()
        return len(rows) > 1

    def _send(self, batch: list[AlarmMessage], present: datetime) -> bool:
        """Whether the next may be tried."""
        left = [message for message in batch if message.id not in self._unnoted]
        try:
            remark = self.channel.send([message.body for message in left]) if left else ""
        except (DeliveryError, UserError) as error:
            self._failures += 1
            self._not_before_s = self._clock() + _pause_s(self._failures)
            self._failed(left, str(error), present)
            if not isinstance(error, DeliveryError) or not error.reached:
                return False
            # It answered: the fault may be this message's own, and the next is tried.
            self._not_before_s = -math.inf
            return True
        if remark:
            logger.warning("an alarm was delivered in part", channel=self.channel.name, why=remark)
        self._failures = 0
        self._unnoted |= {message.id for message in left}
        self._note_sent(now())
        return True

    def _note_sent(self, present: datetime) -> None:
        if not self._unnoted:
            return
        with self._station.sessions.begin() as session:
            session.execute(
                update(AlarmMessage)
                .where(AlarmMessage.id.in_(self._unnoted))
                .values(state="sent", sent_at=present, error="", attempts=AlarmMessage.attempts + 1)
            )
        self._unnoted.clear()

    def _failed(self, batch: list[AlarmMessage], why: str, present: datetime) -> None:
        logger.warning("an alarm was not delivered", channel=self.channel.name, messages=len(batch), why=why)
        with self._station.sessions.begin() as session:
            for one in batch:
                message = session.get_one(AlarmMessage, one.number)
                message.attempts += 1
                message.error = why
                message.due_at = present + timedelta(seconds=_pause_s(message.attempts))
                if message.attempts >= ATTEMPTS or present - message.created_at > OLDEST:
                    _close(session, message, "given_up", why)
                    logger.error(
                        "an alarm is not delivered any more",
                        channel=self.channel.name,
                        id=message.id,
                        why=why,
                    )


def _close(session: Session, message: AlarmMessage, state: str, why: str) -> None:
    row = session.get_one(AlarmMessage, message.number)
    row.state, row.error = state, why


def _pause_s(attempts: int) -> float:
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
    return pause_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
