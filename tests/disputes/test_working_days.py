"""Deadlines in working days: weekends, holidays, and days worked instead of them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.config.calendar import Calendar
from pydantic import ValidationError

days = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    weekend = draw(st.lists(st.sampled_from(weekdays), max_size=6, unique=True))
    holidays = set(draw(st.lists(days, max_size=30)))
    made_up = [
        day
        for day in draw(st.lists(days, max_size=10))
        if weekdays[day.weekday()] in weekend and day not in holidays
    ]
    return Calendar(weekend=weekend, holidays=sorted(holidays), working_days=made_up)


def test_the_national_day_of_2024_with_its_make_up_days():
    # The State Council's notice for 2024: off 1 to 7 October; worked on Sunday 29 September, Saturday 12 October.
    calendar = Calendar(
        holidays=[date(2024, 10, day) for day in range(1, 8)],
        working_days=[date(2024, 9, 29), date(2024, 10, 12)],
    )
    assert calendar.working_day_after(date(2024, 9, 27), 1) == date(2024, 9, 29)
    assert calendar.working_day_after(date(2024, 9, 30), 1) == date(2024, 10, 8)
    assert calendar.working_day_after(date(2024, 10, 11), 1) == date(2024, 10, 12)


@given(calendars(), days, st.integers(1, 12))
def test_a_deadline_is_a_working_day_and_exactly_so_many_lie_before_it(calendar, day, count):
    last = calendar.working_day_after(day, count)
    between = [day + timedelta(days=n) for n in range(1, (last - day).days + 1)]
    assert calendar.is_working_day(last)
    assert sum(calendar.is_working_day(one) for one in between) == count


@given(calendars(), days, st.integers(1, 12))
def test_a_holiday_more_never_makes_a_deadline_earlier(calendar, day, count):
    before = calendar.working_day_after(day, count)
    if before in calendar.working_days:
        return
    more = Calendar(
        weekend=calendar.weekend,
        holidays=[*calendar.holidays, before],
        working_days=calendar.working_days,
    )
    assert more.working_day_after(day, count) > before


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"holidays": ["2024-10-12"], "working_days": ["2024-10-12"]}, "keep one"),
        ({"working_days": ["2024-10-11"]}, "no weekend day"),
        ({"weekend": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}, "at most 6"),
    ],
)
def test_a_calendar_that_contradicts_itself_is_refused(facts, words):
    with pytest.raises(ValidationError, match=words):
        Calendar.model_validate(facts)


def test_the_deadline_of_no_working_days_is_none():
    with pytest.raises(ValueError, match="no deadline"):
        Calendar().working_day_after(date(2024, 11, 25), 0)
