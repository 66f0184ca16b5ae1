"""People of an appraisal centre, and a complaint about seat 17 of the small archive's disputed session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.access.tables import Account
from kaozheng_service.cases import desk
from kaozheng_service.cases.case import Case
from kaozheng_service.cli.commands import app
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.station import Station
from typer.testing import CliRunner

CENTRE = Actor("li.na", "李娜", Role.CENTRE)
HEAD = Actor("wang.jun", "王军", Role.HEAD)
OFFICE = Actor("zhao.min", "赵敏", Role.OFFICE)
OFFICE_2 = Actor("sun.li", "孙丽", Role.OFFICE)
QUALITY = Actor("qian.bo", "钱博", Role.QUALITY)
STAFF = Actor("zhou.yi", "周毅", Role.EXAM_STAFF)
ALL = (CENTRE, HEAD, OFFICE, OFFICE_2, QUALITY, STAFF)

ROOM = "9-101"
CAMERAS = ("front-left", "back-right")


@dataclass
class Desk:
    """The centre with its archive: ``window`` is 20 s of two cameras. ``at`` is the clock of whoever acts."""

    archive: Any
    window: str
    begins: datetime
    at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.begins + timedelta(days=3)

    @property
    def station(self) -> Station:
        found: Station = self.archive.station
        return found

    def later(self, **length: float) -> datetime:
        self.at += timedelta(**length)
        return self.at

    def open(self, **other: Any) -> Case:
        facts: dict[str, Any] = {
            "requester": "张三丰",
            "reason": "对启封过程有异议",
            "room": ROOM,
            "window": self.window,
            "starts_at": self.begins,
            "ends_at": self.begins + timedelta(seconds=20),
            "seat": "17",
            "cameras": CAMERAS,
        }
        return desk.open_for(self.station, desk.Complaint(**(facts | other)), CENTRE, self.at)

    def approved(self) -> Case:
        case = self.open()
        desk.request_access(self.station, case.id, "看启封的一刻", CENTRE, self.later(minutes=1))
        return desk.approve(self.station, case.id, HEAD, self.later(minutes=1))

    def run(self, *arguments: str) -> tuple[int, str]:
        """A command, as the command line runs it."""
        done = CliRunner().invoke(
            app,
            [*arguments, "--config", str(self.station.site.folder / "site.yaml")],
            env={"COLUMNS": "250"},
        )
        if isinstance(done.exception, ServiceError):
            return (2 if isinstance(done.exception, UserError) else 1), str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout

    def with_accounts(self) -> None:
        """Everyone's account, as sign-in keeps it."""
        with self.station.sessions.begin() as session:
            for one in ALL:
                account = Account(account=one.account, name=one.name, role=one.role, created_at=self.begins)
                session.add(account)


@pytest.fixture
def make_centre() -> Callable[[Any], Desk]:
    def make(archive: Any) -> Desk:
        begins = archive.local("2024-11-23 09:00:00")
        window = archive.window(begins, begins + timedelta(seconds=20), room=ROOM, closed=False)
        archive.take(window, "front-left", begins, 3)
        lost, back = begins + timedelta(seconds=6), begins + timedelta(seconds=10)
        archive.gap(window, "front-left", lost, back, "stream_lost", "the stream ended")
        archive.take(window, "front-left", back, 5, number=2)
        archive.take(window, "back-right", begins, 10)
        archive.close(window)
        return Desk(archive, window, begins)

    return make


@pytest.fixture
def centre(make_centre: Callable[[Any], Desk], small_archive: Any) -> Desk:
    return make_centre(small_archive)


@pytest.fixture
def people() -> dict[str, Actor]:
    return {
        "centre": CENTRE,
        "head": HEAD,
        "office": OFFICE,
        "office_2": OFFICE_2,
        "quality": QUALITY,
        "staff": STAFF,
    }
