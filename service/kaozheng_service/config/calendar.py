"""The site file's section ``calendar``: which days are worked, so that a deadline in working days has a date."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from kaozheng_service.config.fields import Part_


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_DAYS = tuple(Weekday)


class Calendar(Part_):
    """Weekends, holidays (节假日) and days worked instead of them (调休). The yearly notice of the State Council's
    office names holidays and make-up days; they are not known in advance, so they are stated here.
    """

    weekend: Annotated[list[Weekday], Field(max_length=6)] = Field(
        default_factory=lambda: [Weekday.SAT, Weekday.SUN]
    )
    holidays: list[date] = Field(default_factory=list, description="days that are not worked")
    working_days: list[date] = Field(
        default_factory=list, description="days of a weekend that are worked (调休)"
    )

    @model_validator(mode="after")
    def _days_are_one_thing(self) -> Calendar:
        both = sorted(set(self.holidays) & set(self.working_days))
        if both:
            raise ValueError(f"{both[0]} is in holidays and in working_days; keep one")
        idle = sorted(day for day in self.working_days if _DAYS[day.weekday()] not in self.weekend)
        if idle:
            raise ValueError(f"working_days names {idle[0]}, which is no weekend day; take it out")
        return self

    def is_working_day(self, day: date) -> bool:
        if day in self.working_days:
            return True
        return day not in self.holidays and _DAYS[day.weekday()] not in self.weekend

    def working_day_after(self, day: date, count: int) -> date:
        """The ``count``-th working day after ``day``, which is not counted itself. ValueError unless ``count`` > 0."""
        if count < 1:
            raise ValueError(f"{count} working days are no deadline")
        while count:
            day += timedelta(days=1)
            count -= self.is_working_day(day)
        return day
