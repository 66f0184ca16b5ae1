"""Segments of a range by index: exactly those that a look at every row would find."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kaozheng_service.database import Segment, open_database
from kaozheng_service.disputes.meeting import LONGEST, meeting
from sqlalchemy import select, text

BEGIN = datetime(2024, 11, 23, 1, 0, tzinfo=UTC)


def row(number, camera, first_s, length_s):
    starts_at = BEGIN + timedelta(seconds=first_s)
    return Segment(
        take_id=f"t{number}",
        room_id="r",
        camera_id=camera,
        number=1,
        path=f"p{number}",
        bytes=1,
        sha256="0",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(seconds=length_s),
        frames=1,
        codec="h264",
        width=1,
        height=1,
    )


@pytest.fixture
def sessions(tmp_path):
    sessions = open_database(tmp_path / "rows.sqlite")
    with sessions.begin() as session:
        session.execute(text("PRAGMA foreign_keys=OFF"))
    return sessions


lengths = st.sampled_from([0.04, 2, 30, 600, 659.999, 660, 660.001, 700, 7200, 90000])


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5000), lengths), max_size=20),
    st.integers(-100, 9000),
    st.sampled_from([0.001, 1, 60, 4000]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_they_are_those_that_begin_before_the_end_and_end_after_the_begin(sessions, rows, first_s, length_s):
    first, last = BEGIN + timedelta(seconds=first_s), BEGIN + timedelta(seconds=first_s + length_s)
    with sessions() as session:
        session.connection().exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        session.add_all(row(number, *facts) for number, facts in enumerate(rows))
        session.flush()
        found = set(session.scalars(select(Segment.path).where(meeting("r", "a", first, last))))
        every = session.scalars(select(Segment)).all()
        assert found == {
            one.path for one in every if one.camera_id == "a" and one.starts_at < last and one.ends_at > first
        }
        session.rollback()


def test_no_look_up_reads_on_to_the_first_day(sessions):
    query = select(Segment.path).where(meeting("r", "a", BEGIN, BEGIN + timedelta(seconds=1)))
    with sessions() as session:
        asked = query.compile(sessions.kw["bind"])
        values = tuple(f"{asked.params[name]}" for name in asked.positiontup)
        plan = [one[3] for one in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", values)]
    searches = [line for line in plan if "SEARCH" in line]
    assert len(searches) == 2
    assert "ix_segments_moment (room_id=? AND camera_id=? AND starts_at>? AND starts_at<?)" in searches[0]
    assert "ix_segments_long" in searches[1]
    assert not any("SCAN" in line for line in plan)


def test_a_database_of_before_gets_the_indexes(tmp_path):
    path = tmp_path / "rows.sqlite"
    sessions = open_database(path)
    with sessions.begin() as session:
        for name in ("ix_segments_moment", "ix_segments_long"):
            session.execute(text(f"DROP INDEX {name}"))
    sessions.kw["bind"].dispose()
    with open_database(path)() as session:
        names = {one[0] for one in session.execute(text("SELECT name FROM sqlite_master WHERE type='index'"))}
    assert {"ix_segments_moment", "ix_segments_long"} <= names
    assert timedelta(seconds=660) == LONGEST
