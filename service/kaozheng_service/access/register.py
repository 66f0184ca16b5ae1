"""Who saw footage: written down before the first byte is served, once a minute while the same clip is read on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta

from kaozheng_service.access.actor import Actor
from kaozheng_service.access.grants import Grant
from kaozheng_service.cases.register import note_view
from kaozheng_service.station import Station

# A player asks for a clip in many ranges; each minute of looking is one record.
AGAIN = timedelta(minutes=1)
_MOST_REMEMBERED = 10_000


class Register:
    """For any thread. One a service: what it remembers keeps it from writing the same look twice."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._alone = threading.Lock()
        self._seen: OrderedDict[tuple[str, ...], datetime] = OrderedDict()

    def seen(
        self,
        actor: Actor,
        room: str,
        cameras: Sequence[str],
        starts_at: datetime,
        ends_at: datetime,
        grant: Grant,
        at: datetime,
    ) -> None:
        """Write down that ``actor`` is shown this. Raises where it cannot be written: then nothing is shown."""
        key = (actor.account, actor.role, room, *cameras, str(starts_at), str(ends_at), grant.case, grant.why)
        with self._alone:
            last = self._seen.get(key)
            if last is not None and timedelta(0) <= at - last < AGAIN:
                return
            note_view(self._station, actor, room, cameras, starts_at, ends_at, grant.case, grant.why, at)
            self._seen[key] = at
            self._seen.move_to_end(key)
            while len(self._seen) > _MOST_REMEMBERED:
                self._seen.popitem(last=False)
