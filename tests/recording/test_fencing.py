"""One holder a window, and a token that shows who was overtaken."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Gap, Holder, Segment, Take, Window, open_database
from kaozheng_service.recording import fencing, supervisor
from kaozheng_service.recording.expectations import add_window
from kaozheng_service.recording.fencing import claim, is_newest, renew
from kaozheng_service.recording.supervisor import Supervisor
from kaozheng_service.station import Station, open_station
from sqlalchemy import select

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-101"


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(["claim", "renew", "wait"]), st.sampled_from(["a", "b"])), max_size=25)
)
def test_only_one_holds_it_and_tokens_only_grow(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    sessions = open_database(tmp_path_factory.mktemp("site") / "kaozheng.sqlite")
    clock = [now()]
    holder, until = None, now()
    tokens: dict[str, int] = {}
    newest = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fencing, "now", lambda: clock[0])
        for what, node in steps:
            present = clock[0]
            if what == "wait":
                clock[0] += timedelta(seconds=fencing.TTL_S * 0.75)
            elif what == "claim":
                token = claim(sessions, "w", node)
                free = holder in (None, node) or until <= present
                assert (token is not None) == free
                if token is not None:
                    assert token == newest + 1
                    newest, holder, tokens[node] = token, node, token
                    until = present + timedelta(seconds=fencing.TTL_S)
            elif node in tokens:
                held = renew(sessions, "w", tokens[node])
                assert held == (tokens[node] == newest)
                if held:
                    until = present + timedelta(seconds=fencing.TTL_S)
    with sessions() as session:
        for token in tokens.values():
            assert is_newest(session, "w", token) == (token == newest)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera in data["rooms"][0]["cameras"]:
        camera["source"] = (PROJECT / "sample_media" / ROOM / f"{camera['id']}.mp4").as_uri()
    data["recording"] = {"segment_s": 2}
    data.pop("timetable")
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return open_station(load_site(path))


def test_a_node_that_was_overtaken_keeps_its_take_and_leaves_gaps_and_closing_to_the_other(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RENEW_S", 0.0)
    ours = Supervisor(station)
    begins = now() + timedelta(seconds=2)
    window = add_window(station, ROOM, begins, begins + timedelta(hours=1), camera_ids=["front-left"])
    tick(ours, lambda: any(one.last_segment_at for one in ours.states()))
    with station.sessions.begin() as session:
        row = session.get_one(Holder, window.id)
        row.node, row.token, row.until = "another machine", row.token + 1, now() + timedelta(hours=1)
    tick(ours, ours.is_idle)
    ours.tick()
    assert ours.is_idle()
    with station.sessions() as session:
        (take,) = session.scalars(select(Take))
        assert (take.token, take.end_cause, take.closed_leaf is not None) == (1, "overtaken", True)
        assert session.scalars(select(Segment)).all()
        assert session.scalars(select(Gap)).all() == []
        assert session.get_one(Window, window.id).closed_leaf is None


def test_a_process_that_died_is_overtaken_at_once_on_its_own_machine(station: Station) -> None:
    begins = now() + timedelta(seconds=2)
    window = add_window(station, ROOM, begins, begins + timedelta(hours=1), camera_ids=["front-left"])
    first = Supervisor(station)
    first.tick()
    first.release()
    later = Supervisor(station)
    later.tick()
    assert not later.is_idle()
    with station.sessions() as session:
        assert session.get_one(Holder, window.id).token == 2
    later.stop_recorders(supervisor.Cause.STOPPED_BY_OPERATOR, for_good=True)
    tick(later, later.is_idle)


def tick(one: Supervisor, done: Any) -> None:
    until = time.monotonic() + 40
    while not done():
        assert time.monotonic() < until
        one.tick()
        time.sleep(0.2)
