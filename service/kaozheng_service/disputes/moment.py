"""Moments as people write them, read in the site's time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from kaozheng_service.clock import moments_of, now
from kaozheng_service.errors import UserError

_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
_FORMS = (
    'write it as "2024-11-23 09:30:15", "09:30:15" for today, or with its zone as 2024-11-23T09:30:15+08:00'
)


def parse_moment(text: str, timezone: ZoneInfo | str, *, today: date | None = None) -> datetime:
    """The moment that ``text`` names, aware, UTC.

    Parameters
    ----------
    text : "2024-11-23 09:30", "2024-11-23T09:30:15", "09:30:15" (today there), or RFC 3339 with its zone
    timezone : where a time without a zone is read
    today : the date of a bare clock time; the present one in ``timezone`` when left out

    Raises
    ------
    UserError : another form, or a local time that does not exist there or comes twice (a clock change)
    """
    zone = ZoneInfo(timezone) if isinstance(timezone, str) else timezone
    text = text.strip()
    written = text
    if _CLOCK.fullmatch(text):
        day = today if today is not None else now().astimezone(zone).date()
        text = f"{day.isoformat()} {text.zfill(len(text) + (text.index(':') == 1))}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"the time {written!r} is not understood; {_FORMS}") from None
    if ":" not in text:
        raise UserError(f"the time {written!r} names a day but no time of day; {_FORMS}")
    if moment.tzinfo is not None:
        return _in_range(moment, written)
    return _in_range(_at_the_site(moment, zone, written), written)


def _at_the_site(wall: datetime, zone: tzinfo, written: str) -> datetime:
    """``wall`` with ``zone``, refused where a clock change makes it name no moment or two."""
    moments = moments_of(wall, zone)
    if not moments:
        raise UserError(
            f"the time {written!r} does not exist in {zone}: the clock was put forward over it; {_FORMS}"
        )
    if len(moments) == 1:
        return moments[0]
    first, second = (moment.isoformat(timespec="seconds") for moment in moments)
    raise UserError(
        f"the time {written!r} comes twice in {zone}: the clock was put back; write {first} or {second}"
    )


def _in_range(moment: datetime, written: str) -> datetime:
    """UTC; the calendar's first and last years leave no room for a range around them."""
    if not 1970 <= moment.year <= 9990:
        raise UserError(f"the year of {written!r} is out of range; {_FORMS}")
    return moment.astimezone(UTC)
