"""What is due on the second disk, a round at a time, and what is wrong with it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.exc import SQLAlchemyError

from kaozheng_service.clock import now, to_text
from kaozheng_service.database import Segment, Sessions, Take
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import TakeCopied
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.recording.ledger import append_once
from kaozheng_service.second.copying import SourceDamagedError, copy_verified
from kaozheng_service.second.state import BusyError, copy_state
from kaozheng_service.second.target import SecondError, Target

STATUS = "second-status.json"
# Segments between two looks at whether the disk is still the one.
BATCH = 20
STATE_S = 600.0
# While records come without a pause the copy of before stays, and that is tried again; in an hour it is told.
BUSY_S = 60.0
STATE_LATE_S = 3600.0
# Rows that were set due again (``kaozheng second --verify``) are behind the mark; so often all are looked through.
RESCAN_S = 600.0
TELL_S = 2.0
# Twenty segments of 30 s for each of forty cameras; a target that is slower than the cameras is told in half an hour.
BEHIND = timedelta(minutes=30)


class Copier:
    """Called from one thread. Another process may copy to the same disk: each file is only ever renamed whole."""

    def __init__(
        self,
        target: Target,
        sessions: Sessions,
        log: EvidenceLog,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._sessions = sessions
        self._log = log
        self._clock = clock
        self._chosen: dict[str, Any] = {}
        self._mark = 0  # every segment up to this id is copied, or left out
        self._left_out: dict[int, str] = {}
        self._in_doubt = True
        self._copied_at: datetime | None = None
        self._state_at: datetime | None = None
        self._state_at_s = self._scanned_at_s = self._told_at_s = float("-inf")
        self._state_good_s = clock()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """What the last round met; "" where it met nothing."""
        return self._trouble

    def round(self) -> bool:
        """Copy what is due, but no more than a batch; whether more is due at once. Never raises for the disk's sake."""
        more = False
        self._trouble = self._target.trouble()
        if not self._trouble:
            try:
                self._look_for_what_is_new()
                more = self._copy_segments()
                self._sign_takes()
                self._copy_state()
            except OSError as error:
                self._trouble = f"{error.filename or self._target.root}: {error.strerror or error}"
            except (ServiceError, SQLAlchemyError) as error:
                self._trouble = str(getattr(error, "orig", None) or error)
        self._tell()
        return more and not self._trouble

    def _look_for_what_is_new(self) -> None:
        chosen = self._target.chosen
        if chosen != self._chosen or self._clock() - self._scanned_at_s >= RESCAN_S:
            if chosen != self._chosen:
                self._state_at_s = float("-inf")
            self._chosen, self._scanned_at_s = chosen, self._clock()
            self._mark = 0
            self._left_out.clear()

    def _copy_segments(self) -> bool:
        with self._sessions() as session:
            due = session.scalars(
                select(Segment)
                .where(Segment.id > self._mark, Segment.copied_at.is_(None), Segment.deleted_leaf.is_(None))
                .order_by(Segment.id)
                .limit(BATCH)
            ).all()
        for row in due:
            if row.id not in self._left_out:
                try:
                    copy_verified(
                        self._target.archive / row.path,
                        self._target.footage / row.path,
                        row.sha256,
                        self._show_life,
                    )
                    self._check_disk()
                except SourceDamagedError as error:
                    self._left_out[row.id] = str(error)
                else:
                    with self._sessions.begin() as session:
                        copied = session.get_one(Segment, row.id)
                        if copied.deleted_leaf is None:
                            copied.copied_at = self._copied_at = now()
                        else:  # its time was over while it was copied
                            (self._target.footage / row.path).unlink(missing_ok=True)
            self._mark = row.id
            self._show_life()
        return len(due) == BATCH

    def _check_disk(self) -> None:
        """What was written after the disk had gone lies on the mount point."""
        trouble = self._target.trouble()
        if trouble:
            raise SecondError(trouble)

    def _sign_takes(self) -> None:
        """One record a closed take of which all is copied; ``last`` closes the chain of its segments' hashes."""
        waiting = exists().where(Segment.take_id == Take.id, Segment.copied_at.is_(None))
        query = select(Take).where(Take.copied_leaf.is_(None), Take.closed_leaf.is_not(None), ~waiting)
        with self._sessions() as session:
            for take in session.scalars(query.order_by(Take.closed_leaf).limit(BATCH)).all():
                segments = session.scalars(
                    select(Segment).where(Segment.take_id == take.id).order_by(Segment.number)
                ).all()
                record = TakeCopied(
                    at=now(),
                    take=take.id,
                    window=take.window_id,
                    room=take.room_id,
                    camera=take.camera_id,
                    segments=len(segments),
                    last=segments[-1].sha256 if segments else "",
                    copy=str(self._chosen.get("id", "")),
                )
                take.copied_leaf = append_once(self._log, record, in_doubt=self._in_doubt)
                session.commit()
        self._in_doubt = False

    def _copy_state(self) -> None:
        if self._clock() - self._state_at_s < STATE_S:
            return
        try:
            copy_state(self._target, self._log)
        except BusyError:
            self._state_at_s = self._clock() - STATE_S + BUSY_S
            if self._clock() - self._state_good_s > STATE_LATE_S:
                raise
            return
        self._check_disk()
        self._state_at = now()
        self._state_at_s = self._state_good_s = self._clock()

    def _show_life(self) -> None:
        if self._clock() - self._told_at_s >= TELL_S:
            self._tell()

    def _tell(self) -> None:
        """Into the status file, which the daemon and the commands read."""
        waiting = select(func.count(), func.sum(Segment.bytes), func.min(Segment.ends_at)).where(
            Segment.copied_at.is_(None), Segment.deleted_leaf.is_(None), Segment.id > self._mark
        )
        with self._sessions() as session:
            count, size, oldest = session.execute(waiting).one()
        trouble = self._trouble or next(iter(self._left_out.values()), "")
        if not trouble and oldest is not None and now() - oldest > BEHIND:
            trouble = (
                f"{self._target.root}: {count} files wait, the oldest since {to_text(oldest)}; it catches up"
            )
        body = {
            "schema": "kaozheng/second-status/1",
            "at": to_text(now()),
            "pid": os.getpid(),
            "trouble": trouble,
            "waiting": count + len(self._left_out),
            "waiting_bytes": size or 0,
            "copied_at": to_text(self._copied_at) if self._copied_at else None,
            "state_at": to_text(self._state_at) if self._state_at else None,
        }
        write_durably(self._target.state / STATUS, json.dumps(body, ensure_ascii=False) + "\n")
        self._told_at_s = self._clock()
