"""What of an archive is looked at: a take, a window, a day, a room, or all; and what there is, for a wrong name."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from kaozheng_service.config.site import Site
from kaozheng_service.disputes.standalone.records import Record
from kaozheng_service.errors import UserError

NAMED = 8  # so many of what there is are named in an error


@dataclass(frozen=True, slots=True)
class Scope:
    """The log is always checked whole; footage, rows and windows of the scope alone. Empty: everything.

    ``day`` is a day of the site: windows that touch it. ``take`` is one camera's, recorded or backfilled.
    """

    take: str = ""
    window: str = ""
    day: date | None = None
    room: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    @property
    def whole(self) -> bool:
        return not (self.take or self.window or self.day or self.room)

    @property
    def camera(self) -> str:
        """The take's camera; "" for all."""
        return self.take.split("/")[1] if self.take else ""

    def holds_window(self, expected: Record) -> bool:
        """Whether a window is looked at, by its ``window.expected``."""
        if self.take:
            return bool(expected["window"] == self.take.split("/")[0])
        if self.window:
            return bool(expected["window"] == self.window)
        if self.room and expected.body.get("room") != self.room:
            return False
        if self.day is None:
            return True
        begin, end = (
            datetime.combine(one, time(), self.zone) for one in (self.day, self.day + timedelta(days=1))
        )
        return expected.meets((begin, end))

    def holds_take(self, record: Record) -> bool:
        return not self.take or bool(record["take"] == self.take)

    def as_json(self) -> dict[str, Any]:
        return {
            "take": self.take or None,
            "window": self.window or None,
            "day": self.day.isoformat() if self.day else None,
            "room": self.room or None,
        }


def parse_scope(
    site: Site, *, take: str | None, window: str | None, day: str | None, room: str | None
) -> Scope:
    """A scope from what was typed. Raises UserError for what cannot be meant, with the mend."""
    if sum(one is not None for one in (take, window, day)) > 1 or (room and (take or window)):
        raise UserError("name one of --take, --window and --day; --room goes with --day or alone")
    if take is not None and len([part for part in take.split("/") if part]) != 3:
        raise UserError(f"--take {take!r}: write it as WINDOW/CAMERA/take-0001, as `find` names it")
    on = None
    if day is not None:
        try:
            on = date.fromisoformat(day)
        except ValueError:
            raise UserError(f"--day {day!r} is no day; write it as 2024-11-23, in the site's time") from None
    if room is not None:
        # A room that left the site file may still be in the archive: the log knows.
        with contextlib.suppress(UserError):
            room = site.room(room).id
    return Scope(take or "", window or "", on, room or "", site.zone)


@dataclass(slots=True)
class Known:
    """What the log names, kept to answer for a name that it does not."""

    windows: dict[str, tuple[str, datetime, datetime]] = field(default_factory=dict)
    takes: set[str] = field(default_factory=set)

    def add(self, record: Record, scope: Scope) -> None:
        if record.kind == "window.expected":
            self.windows[str(record["window"])] = (str(record.body.get("room", "")), *record.span)
        opens = record.kind in ("take.opened", "backfill.opened")
        if opens and scope.take and record["window"] == scope.take.split("/")[0]:
            self.takes.add(str(record["take"]))

    def refuse_unknown(self, scope: Scope, *, found: bool) -> None:
        """UserError naming what there is, where the scope holds nothing."""
        if scope.take and scope.take not in self.takes:
            if self.takes:
                raise UserError(f"no take {scope.take!r}; its window has {_named(sorted(self.takes))}")
            window = scope.take.split("/")[0]
            raise UserError(f"no take {scope.take!r}, nor its window; {self._windows_near(window)}")
        if found or scope.whole:
            return
        if scope.window:
            raise UserError(f"no window {scope.window!r}; {self._windows_near(scope.window)}")
        if scope.room and scope.room not in {room for room, _, _ in self.windows.values()}:
            rooms = sorted({room for room, _, _ in self.windows.values()})
            raise UserError(f"no window of room {scope.room!r}; there are windows of {_named(rooms)}")
        of_room = f" of room {scope.room}" if scope.room else ""
        raise UserError(f"no window{of_room} on {scope.day}; there are windows on {self._days_near(scope)}")

    def _windows_near(self, name: str) -> str:
        near = get_close_matches(name, self.windows, NAMED, 0.5) or sorted(self.windows)[-NAMED:]
        return f"there are {_named(near)}" if near else "the log knows of no window at all"

    def _days_near(self, scope: Scope) -> str:
        days: set[date] = set()
        for room, begin, end in self.windows.values():
            if scope.room in ("", room):
                days |= {begin.astimezone(scope.zone).date(), end.astimezone(scope.zone).date()}
        asked = scope.day or date.min
        near = sorted(sorted(days, key=lambda day: abs((day - asked).days))[:NAMED])
        return _named([day.isoformat() for day in near]) if near else "no day"


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
