"""When a segment was recorded: the least delayed arrival, followed slowly, never jumped silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.recording.timing import LARGEST_RATE, ArrivalClock, segment_span

BEGIN = datetime(2024, 11, 23, 1, 0, tzinfo=UTC)


def test_of_all_arrivals_the_least_delayed_dates_a_file():
    clock = ArrivalClock()
    for media_s, delay_s in ((1.0, 0.4), (2.0, 0.1), (3.0, 0.9)):
        clock.observe(1, BEGIN.timestamp() + media_s + delay_s, media_s)
    assert clock.begin(1) == BEGIN + timedelta(seconds=0.1)


def test_a_file_that_was_never_seen_growing_has_no_arrival():
    assert ArrivalClock().begin(1) is None


def test_the_first_segment_begins_when_it_arrived():
    begin, end, step = segment_span(previous_end=None, hole_s=0.0, arrival=BEGIN, duration_s=30.0)
    assert (begin, end, step) == (BEGIN, BEGIN + timedelta(seconds=30), 0.0)


@given(st.floats(-0.9, 0.9), st.floats(1, 60))
def test_the_next_follows_on_without_a_seam_and_drifts_by_500_ppm_at_most(late_s, duration_s):
    arrival = BEGIN + timedelta(seconds=late_s)
    begin, end, step = segment_span(previous_end=BEGIN, hole_s=0.0, arrival=arrival, duration_s=duration_s)
    assert begin == BEGIN
    assert step == 0.0
    length_s = (end - begin).total_seconds()
    assert length_s == pytest.approx(duration_s, abs=LARGEST_RATE * duration_s + 0.001)


@pytest.mark.parametrize("jump_s", [-60.0, 5.0])
def test_a_jump_of_the_clock_begins_a_new_time_run_of_known_size(jump_s):
    arrival = BEGIN + timedelta(seconds=jump_s)
    begin, _, step = segment_span(previous_end=BEGIN, hole_s=0.0, arrival=arrival, duration_s=30.0)
    assert begin == arrival
    assert step == pytest.approx(jump_s)


def test_missing_media_leaves_a_hole():
    arrival = BEGIN + timedelta(seconds=4)
    begin, _, step = segment_span(previous_end=BEGIN, hole_s=4.0, arrival=arrival, duration_s=30.0)
    assert begin == arrival
    assert step == 0.0


def test_pictures_that_are_late_for_a_while_move_nothing_and_for_long_begin_a_new_run():
    clock, begin, spans = ArrivalClock(), datetime(2024, 11, 23, 1, tzinfo=UTC), []
    end = None
    for late_s in (0.0, 1.4, 0.1, 1.6, 1.6, 1.6, 1.6):
        arrival = begin + timedelta(seconds=4 * len(spans) + late_s)
        start, end, step_s = segment_span(
            previous_end=end, hole_s=0.0, arrival=arrival, duration_s=4.0, is_late=clock.is_late
        )
        spans.append((start, step_s))
    steps = [round(step_s, 1) for _, step_s in spans]
    assert steps == [0, 0, 0, 0, 0, 1.6, 0]
    assert spans[4][0] == pytest.approx(begin + timedelta(seconds=16), abs=timedelta(seconds=0.02))


def seen(*files: list[tuple[float, float, float]]) -> ArrivalClock:
    """A clock that saw each file grow: arrival after the begin, media and its holes, in s."""
    clock = ArrivalClock()
    for number, sightings in enumerate(files, 1):
        for arrived_s, media_s, hole_s in sightings:
            clock.observe(number, BEGIN.timestamp() + arrived_s, media_s, hole_s)
    return clock


def test_a_hole_that_was_waited_for_is_one():
    clock = seen([(1, 1, 0), (2, 2, 0), (8, 8, 5), (9, 9, 5)])
    assert clock.jumped_s(1) == 0
    assert clock.begin(1) == BEGIN


def test_a_hole_that_nobody_waited_for_is_the_cameras_clock_being_set():
    clock = seen([(1, 1, 0), (2, 2, 0), (3, 8, 5), (4, 9, 5)])
    assert clock.jumped_s(1) == 5
    assert clock.begin(1) == BEGIN


def test_the_first_pictures_of_a_file_tell_it_too():
    clock = seen([(2, 2, 0), (4, 4, 0)], [(5, 6, 5), (6, 7, 5)])
    assert clock.jumped_s(2) == 5
    assert clock.begin(2) == BEGIN + timedelta(seconds=4)


def test_pictures_that_catch_up_are_no_jump():
    clock = seen([(3, 1, 0), (4, 3, 0), (5, 5, 0)])
    assert clock.jumped_s(1) == 0
    assert clock.begin(1) == BEGIN
