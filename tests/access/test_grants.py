"""Footage takes a grant beyond the role, and each look is written down first."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from kaozheng_service.access.grants import APPROVAL, Grant, Refusal
from kaozheng_service.access.register import Register
from kaozheng_service.clock import now, to_text
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import ServiceError
from kaozheng_service.station import open_station
from kaozheng_service.web.app import create_app

from .conftest import write_site


def looks(station) -> list[dict]:
    found = (json.loads(line) for line in station.log.entries())
    return [one for one in found if one["kind"] == "access"]


class OneCamera:
    """Grants what was approved: one camera, to one role."""

    def __init__(self) -> None:
        self.asked = []

    def may_watch(self, actor, room, camera, starts_at, ends_at, at):
        self.asked.append((actor.account, room, camera, to_text(starts_at), to_text(ends_at)))
        if camera == "front-left" and actor.role == "centre":
            return Grant("2024-007", "座位07的异议")
        return Refusal((APPROVAL,))


def test_without_a_grant_footage_is_found_and_not_shown(filmed, browser, sign_in):
    client = sign_in(browser(create_app(filmed.station)), filmed.station, "centre")
    found = client.get(f"/api/v1/find?room=9-101&at={filmed.at}")
    assert found.status_code == 200
    answer = client.get(filmed.clip)
    assert answer.status_code == 403
    body = answer.json()
    assert [need["kind"] for need in body["needs"]] == ["case", "approval", "two_present"]
    assert [need["given_by"] for need in body["needs"]] == [
        ["centre", "head"],
        ["head"],
        ["office", "quality"],
    ]
    page = client.get(f"/footage?room=9-101&at={filmed.at}")
    assert page.status_code == 200
    for words in ("不能观看这段录像", "一个案件", "由谁给：鉴定中心负责人", "办公室、内部质量督导"):
        assert words in page.text
    assert "/api/v1/clips/" not in page.text
    assert looks(filmed.station) == []


def test_a_grant_shows_what_it_covers_and_the_look_is_on_record(filmed, browser, sign_in):
    grants = OneCamera()
    app = create_app(filmed.station, grants)
    client = sign_in(browser(app), filmed.station, "centre")
    page = client.get(f"/footage?room=9-101&at={filmed.at}").text
    assert filmed.clip in page
    assert "不能观看这段录像" in page  # the other camera
    assert looks(filmed.station) == []  # a page that names clips shows none yet
    for begin in (0, 1000, 2000):
        answer = client.get(filmed.clip, headers={"Range": f"bytes={begin}-{begin + 99}"})
        assert (answer.status_code, len(answer.content)) == (206, 100)
    (look,) = looks(filmed.station)
    assert look | {"at": ""} == {
        "kind": "access",
        "at": "",
        "account": "centre",
        "name": "王centre",
        "role": "centre",
        "room": "9-101",
        "cameras": ["front-left"],
        "starts_at": "2024-11-23T01:00:00.000Z",
        "ends_at": "2024-11-23T01:00:10.000Z",
        "case": "2024-007",
        "why": "座位07的异议",
    }
    assert grants.asked[-1][1:] == ("9-101", "front-left", look["starts_at"], look["ends_at"])
    other = sign_in(browser(app), filmed.station, "inspector")
    assert other.get(filmed.clip).status_code == 403
    assert len(looks(filmed.station)) == 1


def test_what_cannot_be_written_down_is_not_shown(filmed, browser, sign_in, monkeypatch):
    client = sign_in(browser(create_app(filmed.station, OneCamera())), filmed.station, "centre")

    def full(record):
        raise ServiceError("the log cannot be written: disk full")

    monkeypatch.setattr(filmed.station.log, "append", full)
    assert client.get(filmed.clip).status_code == 503


def test_a_longer_look_is_a_record_a_minute(station):
    from kaozheng_service.access.actor import Actor, Role

    register = Register(station)
    actor = Actor("chen", "陈晨", Role.CENTRE)
    begins = now()
    for second in range(0, 150, 10):
        at = begins + timedelta(seconds=second)
        register.seen(actor, "9-101", ["a"], begins, begins + timedelta(minutes=5), Grant("1", "x"), at)
    assert len(looks(station)) == 3
    register.seen(actor, "9-101", ["b"], begins, begins + timedelta(minutes=5), Grant("1", "x"), at)
    assert len(looks(station)) == 4


@pytest.mark.parametrize("opened", [True, False])
def test_open_footage_is_said_on_every_page(tmp_path, browser, sign_in, opened):
    station = open_station(load_site(write_site(tmp_path, access={"open_footage": opened})))
    app = create_app(station)
    pages = {
        None: ["/sign-in", "/set-up"],
        "centre": ["/", "/footage", "/account"],
        "admin": ["/accounts", "/tokens", "/footage"],
    }
    for role, addresses in pages.items():
        for address in addresses:
            client = browser(app)
            if role is not None:
                sign_in(client, station, role)
            assert bool(re.search("演练模式", client.get(address).text)) is opened, address


def test_open_footage_is_still_not_for_every_role(filmed, tmp_path, browser, sign_in):
    station = open_station(load_site(write_site(tmp_path, access={"open_footage": True})))
    app = create_app(station)
    assert sign_in(browser(app), station, "centre").get(filmed.clip).status_code == 200
    (look,) = looks(station)
    assert (look["case"], look["why"]) == ("", "access.open_footage in the site file")
    assert sign_in(browser(app), station, "admin").get(filmed.clip).status_code == 403
    assert browser(app).get(filmed.clip).status_code == 401
