"""How times, sizes and timelines look on a page: text in the site's own time, bars as SVG percentages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from kaozheng_service.clock import from_text
from kaozheng_service.disputes.axis import round_times
from kaozheng_service.session_wording import length_text

# A gap of seconds in a window of hours would be thinner than a pixel; nothing that is missing may vanish so.
LEAST_WIDTH_PERCENT = 0.5
MISSING = ("gap", "backfilled", "unexplained")
MOST_TICKS = 7


class LocalTime(Protocol):
    """A moment, aware or as in the JSON, in words; a dash for none."""

    def __call__(self, moment: str | datetime | None, form: str = ...) -> str: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch on a bar, in percent of its width, with the words that a pointer shows."""

    state: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled moment on an axis, in percent of its width."""

    x: float
    label: str
    anchor: str


def size_text(count: float | None) -> str:
    """Bytes in the decimal units that disks are sold in."""
    if count is None:
        return "—"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            number = count / scale
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.1f} {unit}"
    return f"{count:.0f} B"


def rate_text(bytes_per_s: float | None) -> str:
    """Megabits per second, as cameras are configured."""
    return "—" if bytes_per_s is None else f"{bytes_per_s * 8 / 1e6:.1f} Mbit/s"


def ago_text(seconds: float) -> str:
    """How long ago, in words that do not flicker with every update."""
    return "刚刚" if seconds < 5 else f"{length_text(round(seconds))}前"


def local_time(zone: ZoneInfo) -> LocalTime:
    """A filter: a moment in the site's time, by ``strftime`` form."""

    def filter_(moment: str | datetime | None, form: str = "%H:%M:%S") -> str:
        if moment is None:
            return "—"
        at = from_text(moment) if isinstance(moment, str) else moment
        return at.astimezone(zone).strftime(form)

    return filter_


def bars(
    timeline: list[dict[str, Any]],
    begin: str,
    end: str,
    zone: ZoneInfo,
    words: Callable[[dict[str, Any]], str],
) -> list[Bar]:
    """A timeline (as in the JSON) on an axis from ``begin`` to ``end``; what is missing is drawn on top."""
    start, whole = from_text(begin), from_text(end) - from_text(begin)
    show = local_time(zone)
    drawn = []
    for part in timeline:
        x = (from_text(part["from"]) - start) / whole * 100
        width = (from_text(part["to"]) - from_text(part["from"])) / whole * 100
        if part["state"] in MISSING:
            width = max(width, LEAST_WIDTH_PERCENT)
        seconds = (from_text(part["to"]) - from_text(part["from"])).total_seconds()
        title = f"{show(part['from'])}–{show(part['to'])} {words(part)} {length_text(seconds)}"
        drawn.append(Bar(part["state"], round(min(x, 100 - width), 3), round(width, 3), title))
    return sorted(drawn, key=lambda bar: bar.state in MISSING)


def fault_bar(alarm: dict[str, Any], begin: str, end: str, now: str | None, zone: ZoneInfo) -> Bar | None:
    """An alarm (as in the JSON) on an axis; one that lasts reaches to ``now``, else to the end. None off the axis."""
    start, stop = from_text(begin), from_text(end)
    last = from_text(alarm["to"] or now or end)
    begun, over = max(from_text(alarm["from"]), start), min(max(last, from_text(alarm["from"])), stop)
    if over < begun:
        return None
    width = max((over - begun) / (stop - start) * 100, LEAST_WIDTH_PERCENT)
    x = min((begun - start) / (stop - start) * 100, 100 - width)
    show = local_time(zone)
    until = show(alarm["to"]) if alarm["to"] else "仍在持续"
    title = f"{show(alarm['from'])}–{until} {'画面' if alarm['picture'] else ''}{alarm['words']}：{alarm['detail']}"
    return Bar("fault", round(x, 3), round(width, 3), title)


def position(moment: str, begin: str, end: str) -> float | None:
    """Where a moment lies on an axis, in percent; None where it is off it."""
    at, start, stop = from_text(moment), from_text(begin), from_text(end)
    return round((at - start) / (stop - start) * 100, 3) if start <= at <= stop else None


def ticks(begin: str, end: str, zone: ZoneInfo) -> list[Tick]:
    """Round local times on an axis, as many as can be read."""
    start, stop = from_text(begin), from_text(end)
    found = []
    for one in round_times(start, stop, zone, MOST_TICKS):
        x = round((one.at - start) / (stop - start) * 100, 3)
        anchor = "start" if x < 3 else "end" if x > 97 else "middle"
        found.append(Tick(x, one.label, anchor))
    return found
