"""When a session is, as exam offices write it: days with or without a year, hours with 上午 or 下午."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from kaozheng_service.clock import moments_of
from kaozheng_service.config.sheets import Value
from kaozheng_service.errors import UserError

_DATE = (
    r"(?:(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})(?:\s*[日号]|(?!\d))"
    r"|(?P<month_only>\d{1,2})\s*月\s*(?P<day_only>\d{1,2})\s*[日号])"
    r"\s*(?:\(?\s*(?:周|星期)(?P<weekday>[一二三四五六日天])\s*\)?)?"
)
_HALF = r"(?:上午|下午|晚上)"
_CLOCK = r"(?:\d{1,2}:\d{2}(?::\d{2})?|\d{1,2}\s*[点时](?:\s*\d{1,2}\s*分)?)"
_DASH = r"(?:[-–—―−‐‑~〜]+|至|到)"
_WHEN = re.compile(
    rf"(?:{_DATE})?\s*(?P<half>{_HALF})?\s*(?P<begin>{_CLOCK})"
    rf"\s*{_DASH}\s*(?P<other_half>{_HALF})?\s*(?P<end>{_CLOCK})"
)
_DAY = re.compile(_DATE)
_STATED_YEAR = re.compile(r"(?<!\d)(20\d{2})\s*(?:年(?!级)|[-/.]\s*\d{1,2}\s*[-/.]\s*\d{1,2}(?!\d))")
_FORM = "write it as 2024-11-23 09:00-11:00"
_WEEKDAYS = "一二三四五六日"
YEARS = range(2000, 2100)


@dataclass(frozen=True, slots=True)
class Years:
    """The year of days that are written without one; ``why`` says why there is none."""

    year: int | None
    why: str = ""


def stated_year(titles: list[str], of_site: int | None) -> Years:
    """The one year that the rows above a table name, or the site file.

    ``2025届`` is no such year, ``2024年`` is. Two different years decide nothing.
    """
    found = sorted({int(year) for title in titles for year in _STATED_YEAR.findall(_plain(title))})
    if of_site is not None:
        found = sorted({*found, of_site})
    if len(found) == 1:
        return Years(found[0])
    if found:
        return Years(
            None, f"{' and '.join(map(str, found))} are both named above the table or in the site file"
        )
    return Years(None, "no title above the table names one, nor `windows.year` in the site file")


def session_times(day: Value | None, hours: Value, zone: ZoneInfo, years: Years) -> tuple[datetime, datetime]:
    """Begin and end of a session, aware UTC.

    Parameters
    ----------
    day : the 日期 cell; None where the 时间 cell holds the day too

    Raises
    ------
    UserError : not understood, no day or year, a contradiction, or a local time that does not exist or comes twice;
        the message begins with the column
    """
    stated = _day_of(day, years) if day is not None else None
    written, begin, end = _hours_of(hours, years)
    if stated is not None and written is not None and stated != written:
        raise UserError(f"时间: names {written}, but 日期 is {stated}; keep one of the two")
    on = stated or written
    if on is None:
        raise UserError(f"时间: {_shown(hours)} names no day, and there is no 日期 beside it; {_FORM}")
    if end <= begin:
        raise UserError(
            f"时间: {_shown(hours)} ends before it begins; a session that passes midnight is two rows"
        )
    starts_at, ends_at = (_moment(datetime.combine(on, clock), zone) for clock in (begin, end))
    return starts_at, ends_at


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    moments = moments_of(wall, zone)
    if len(moments) == 1:
        return moments[0].astimezone(UTC)
    if not moments:
        raise UserError(
            f"时间: {wall} does not exist in {zone}: the clock is put forward over it; give another hour"
        )
    raise UserError(
        f"时间: {wall} comes twice in {zone}: the clock is put back; give another hour here, "
        "or add the window with its zone by `kaozheng window add`"
    )


def _day_of(value: Value, years: Years) -> date:
    if isinstance(value, datetime):
        if value.time() != time():
            raise UserError(f"日期: {value} holds an hour too; write the day here and the hours under 时间")
        return _in_range(value.date(), "日期")
    if isinstance(value, date):
        return _in_range(value, "日期")
    match = _DAY.fullmatch(_plain(value)) if isinstance(value, str) else None
    if match is None:
        raise UserError(f"日期: {_shown(value)} is not understood as a day; write it as 2024-11-23")
    return _date(match, years, "日期")


def _hours_of(value: Value, years: Years) -> tuple[date | None, time, time]:
    if isinstance(value, datetime | date | time | timedelta):
        raise UserError(f"时间: {value} is one moment, a session has two; {_FORM} (as text)")
    match = _WHEN.fullmatch(_plain(value)) if isinstance(value, str) else None
    if match is None:
        raise UserError(f"时间: {_shown(value)} is not understood; {_FORM}")
    on = _date(match, years, "时间") if match["day"] or match["day_only"] else None
    begin = _clock(match["begin"], match["half"], own=True, shown=value)
    other = match["other_half"]
    end = _clock(match["end"], other or match["half"], own=other is not None, shown=value)
    return on, begin, end


def _date(match: re.Match[str], years: Years, field: str) -> date:
    if match["year"]:
        year = int(match["year"])
    elif years.year is not None:
        year = years.year
    else:
        raise UserError(f"{field}: {match[0].strip()!r} has no year, and {years.why}; write 2024-11-23")
    month, day = match["month"] or match["month_only"], match["day"] or match["day_only"]
    try:
        found = date(year, int(month), int(day))
    except ValueError:
        raise UserError(f"{field}: {match[0].strip()!r}: there is no such day; {_FORM}") from None
    weekday = match["weekday"]
    if weekday and _WEEKDAYS.index(weekday.replace("天", "日")) != found.weekday():
        raise UserError(
            f"{field}: {found} is a 周{_WEEKDAYS[found.weekday()]}, not 周{weekday}; correct day, year or weekday"
        )
    return _in_range(found, field)


def _in_range(day: date, field: str) -> date:
    if day.year not in YEARS:
        raise UserError(f"{field}: the year {day.year} is out of range; {_FORM}")
    return day


def _clock(text: str, half: str | None, *, own: bool, shown: Value) -> time:
    """``half`` counts for hours up to 12; the second clock inherits it from the first where it has none of its own."""
    hour, minute, second = ([int(part) for part in re.findall(r"\d+", text)] + [0, 0])[:3]
    if own and half == "上午" and hour > 12:
        raise UserError(f"时间: {_shown(shown)}: {hour} is no hour of the 上午; {_FORM}")
    if half == "晚上" and hour == 12:
        raise UserError(f"时间: {_shown(shown)}: 晚上12点 may be noon or midnight; {_FORM}")
    if half in ("下午", "晚上") and hour < 12:
        hour += 12
    try:
        return time(hour, minute, second)
    except ValueError:
        raise UserError(f"时间: {_shown(shown)}: there is no such time of day; {_FORM}") from None


def _plain(text: str) -> str:
    """Full-width digits, colons, dashes and brackets as their plain forms; runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("∶", ":").split())


def _shown(value: Value) -> str:
    """The cell in a message: as it is written, not too much of it."""
    text = repr(" ".join(value.split())) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
