"""What must be recorded beside the exam itself: rules that turn every session into further windows.

Times of the defaults follow a college's certification plan: papers are collected an hour before the exam, the meeting
before it lasts from 60 to 40 minutes before, papers are set ten days before. Where the plan names no end, ours is given
on the long side: an hour too long costs disk, a minute too short the answer to a complaint.
"""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from kaozheng_service.config.fields import Part_

# The room of the session itself, where a rule names no other.
SESSION_ROOM = "session"
DAY_MIN = 24 * 60


class Activity(StrEnum):
    """What is recorded outside the exam; ``wording`` says it in words."""

    PAPER_SETTING = "paper_setting"  # 命题
    PAPER_COLLECTION = "paper_collection"  # 领取试卷
    MEETING = "meeting"  # 考前会议
    WAITING = "waiting"  # 候考
    SEALING = "sealing"  # 密封
    MARKING = "marking"  # 阅卷
    OTHER = "other"


def _clock(value: Any) -> Any:
    # YAML 1.1 reads 17:30 without quotes as 17 * 60 + 30.
    return f"{value // 60:02d}:{value % 60:02d}" if type(value) is int and 0 <= value < DAY_MIN else value


Minutes = Annotated[float, Field(ge=-DAY_MIN, le=DAY_MIN, allow_inf_nan=False)]
Clock = Annotated[time, BeforeValidator(_clock)]


class Edge(Part_):
    """Where a window begins or ends: minutes from the session's start or end, or a clock time days before it."""

    start_min: Minutes | None = Field(
        default=None, description="minutes after the session's start; -60: an hour before"
    )
    end_min: Minutes | None = Field(default=None, description="minutes after the session's end")
    days_before: Annotated[int, Field(ge=0, le=90)] | None = Field(
        default=None, description="days before the session's day, 0 on that day; with `at`"
    )
    at: Clock | None = Field(default=None, description='time of day in the site\'s zone, such as "09:00"')

    @model_validator(mode="after")
    def _is_one_thing(self) -> Edge:
        given = [self.start_min is not None, self.end_min is not None, self.days_before is not None]
        if sum(given) != 1 or (self.at is not None) != (self.days_before is not None):
            raise ValueError("write one of start_min: -60, end_min: 30, or days_before: 10 with at: '09:00'")
        if self.at is not None and self.at.tzinfo is not None:
            raise ValueError("at is the site's own time; write it without a zone")
        return self


class WindowRule(Part_):
    """A window for each session that it is for; overlapping ones of a day, room and kind are one."""

    kind: Activity
    title: Annotated[str, StringConstraints(min_length=1, max_length=120)] | None = Field(
        default=None, description="the kind's own name where left out"
    )
    room: str = Field(
        default=SESSION_ROOM, description="a room of the site, or `session`: each session's own"
    )
    sessions: Literal["all", "theory", "practical"] = "all"
    begins: Edge | None = Field(default=None, alias="from", description="the kind's own where left out")
    ends: Edge | None = Field(default=None, alias="to", description="the kind's own where left out")

    @model_validator(mode="after")
    def _is_timed(self) -> WindowRule:
        if self.kind is Activity.OTHER and (self.begins is None or self.ends is None or self.title is None):
            raise ValueError("kind other needs a title, from and to of its own")
        begins, ends = self.edges
        for name in ("start_min", "end_min"):
            first, last = getattr(begins, name), getattr(ends, name)
            if first is not None and last is not None and last <= first:
                raise ValueError(f"ends no later than it begins: {name} {first:g} and {last:g}")
        days = (begins.days_before, ends.days_before)
        if None not in days and (-(days[0] or 0), begins.at) >= (-(days[1] or 0), ends.at):
            raise ValueError("ends no later than it begins; correct from or to")
        return self

    @property
    def edges(self) -> tuple[Edge, Edge]:
        """Begin and end, the kind's own where the rule gives none."""
        own = DEFAULTS.get(self.kind)
        begins, ends = self.begins or (own and own[0]), self.ends or (own and own[1])
        if begins is None or ends is None:
            raise ValueError(f"kind {self.kind} needs from and to")
        return begins, ends


DEFAULTS: dict[Activity, tuple[Edge, Edge]] = {
    Activity.PAPER_SETTING: (Edge(days_before=10, at=time(8)), Edge(days_before=10, at=time(18))),
    Activity.PAPER_COLLECTION: (Edge(start_min=-60), Edge(start_min=0)),
    Activity.MEETING: (Edge(start_min=-60), Edge(start_min=-40)),
    Activity.WAITING: (Edge(start_min=-60), Edge(start_min=0)),
    Activity.SEALING: (Edge(end_min=0), Edge(end_min=30)),
    Activity.MARKING: (Edge(end_min=0), Edge(end_min=240)),
}


class WindowPlan(Part_):
    """What a timetable is turned into, beside the exam with its pre- and post-roll (see `recording`)."""

    year: Annotated[int, Field(ge=2000, le=2099)] | None = Field(
        default=None, description="the year of days that the timetable writes without one"
    )
    rules: list[WindowRule] = Field(default_factory=list)
