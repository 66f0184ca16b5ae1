"""The daemon's thread that anchors the log's head after windows closed. Recording never waits for it.

Nothing is remembered but by the log: what is due follows from the newest record of each anchor and the windows that
closed after it.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from kaozheng_service.alarms.kinds import AlarmKind
from kaozheng_service.clock import from_text, now
from kaozheng_service.database import Window
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.anchors.anchored import Anchor
from kaozheng_service.evidence.anchors.making import anchors_of, make_anchor
from kaozheng_service.evidence.anchors.posting import AnchorError
from kaozheng_service.redaction import redacted
from kaozheng_service.station import Station

logger = structlog.get_logger()

LOOK_S = 15.0
# A head an hour bounds what can be rewritten unseen, and is no burden to a public authority.
APART = timedelta(hours=1)
# After a failure the next try comes sooner, but no authority is knocked at each minute.
RETRY_S = 600.0
# A head that is due for so long without having been taken is told.
OVERDUE = timedelta(days=1)
KINDS = ("anchor.stamped", "anchor.witnessed", "anchor.mailed")
_NAMES = {"anchor.stamped": "tsa", "anchor.witnessed": "witness"}


class AnchorKeeper:
    """One a daemon; does nothing where the site file names no anchor. :meth:`start` returns at once."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._anchors = anchors_of(station.site)
        self._last: dict[tuple[str, str], tuple[int, datetime]] = {}
        self._tried_s: dict[tuple[str, str], float] = {}
        self._failed: dict[tuple[str, str], AnchorError] = {}
        self._overdue: dict[tuple[str, str], str] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._anchors:
            self._thread = threading.Thread(target=self._run, name="anchors", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End it; a request that runs is left to its own limit of time, and its answer unused."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def troubles(self) -> dict[str, str]:
        """What is to be told, by kind of alarm. May be called from any thread."""
        refused = [redacted(str(error)) for error in tuple(self._failed.values()) if error.refused]
        found = {AlarmKind.ANCHOR_REFUSED.value: "; ".join(refused)} if refused else {}
        overdue = tuple(self._overdue.values())
        return found | ({AlarmKind.ANCHOR_OVERDUE.value: "; ".join(overdue)} if overdue else {})

    def look(self, present: datetime) -> None:
        """Anchor what is due now. What fails is kept for :meth:`troubles`; nothing is raised for it."""
        for anchor in self._anchors:
            name = (anchor.kind, anchor.id)
            due_since = self._due_since(anchor, present)
            if due_since is None:
                self._overdue.pop(name, None)
                continue
            if time.monotonic() - self._tried_s.get(name, -RETRY_S) >= RETRY_S:
                self._try(anchor)
            if name in self._failed and present - due_since > OVERDUE:
                self._overdue[name] = redacted(str(self._failed[name]))
            elif name not in self._failed:
                self._overdue.pop(name, None)

    def _try(self, anchor: Anchor) -> None:
        name = (anchor.kind, anchor.id)
        self._tried_s[name] = time.monotonic()
        try:
            made = make_anchor(self._station, anchor)
        except AnchorError as error:
            self._failed[name] = error
            logger.warning(
                "the log's head was not anchored; the next try is in ten minutes", why=redacted(str(error))
            )
        except (ServiceError, OSError) as error:
            self._failed[name] = AnchorError(f"{anchor.id}: {error}")
            logger.error("an anchor could not be kept", anchor=anchor.id, why=redacted(str(error)))
        else:
            self._failed.pop(name, None)
            self._tried_s.pop(name, None)
            self._last[name] = (made.size, now())
            logger.info("the log's head is anchored", kind=made.kind, at=made.id, size=made.size)

    def _due_since(self, anchor: Anchor, present: datetime) -> datetime | None:
        """The end of the first window that closed after the newest head there; None while nothing is due."""
        size, at = self._last.get((anchor.kind, anchor.id), (0, None))
        with self._station.sessions() as session:
            closed = (
                select(Window.ends_at).where(Window.closed_leaf >= size).order_by(Window.ends_at).limit(1)
            )
            first = session.scalar(closed)
            if first is None or (at is not None and present - at < APART):
                return None
            if anchor.kind != "anchor.mailed":
                return first
            today = present.astimezone(self._station.site.zone)
            if at is not None and at.astimezone(self._station.site.zone).date() == today.date():
                return None
            tomorrow = (today + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            running = select(Window.id).where(
                Window.closed_leaf.is_(None),
                Window.cancelled_at.is_(None),
                Window.starts_at < tomorrow,
                Window.ends_at > present - OVERDUE,
            )
            return None if session.scalar(running.limit(1)) is not None else first

    def _take_up(self) -> None:
        """Where each anchor stands, from the log."""
        for _, body in self._station.log.find(*KINDS):
            name = (body["kind"], str(body.get(_NAMES.get(body["kind"], ""), "mail")))
            self._last[name] = (int(body["size"]), from_text(body["at"]))

    def _run(self) -> None:
        try:
            self._take_up()
        except Exception:
            logger.exception("anchors of before could not be read; heads are anchored anew")
        while not self._stop.wait(LOOK_S):
            try:
                self.look(now())
            except Exception:
                logger.exception("anchoring failed; the next round tries again")
