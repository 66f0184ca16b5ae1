"""A camera's clock against ours, and a stream's pace, from numbers alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_vision.camera_clock import Answer, ClockSource, from_sender_reports, from_whole_seconds
from kaozheng_vision.pace import frames_per_second, jitter_ms


@given(
    offset_s=st.floats(-1e5, 1e5),
    begun_s=st.floats(1.7e9, 1.8e9),
    round_trips_s=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=8),
    at=st.floats(0, 1),
)
def test_the_true_offset_lies_within_the_stated_error(
    offset_s: float, begun_s: float, round_trips_s: list[float], at: float
) -> None:
    """Wherever in the round trip the camera looked at its clock, which shows whole seconds."""
    answers = []
    for number, round_trip_s in enumerate(round_trips_s):
        sent_s = begun_s + number / len(round_trips_s)
        camera_s = math.floor(sent_s + at * round_trip_s + offset_s)
        answers.append(Answer(sent_s, sent_s + round_trip_s, camera_s))
    reading = from_whole_seconds(answers, ClockSource.ONVIF)
    assert reading is not None
    assert reading.error_s is not None
    assert abs(reading.offset_s - offset_s) <= reading.error_s + 1e-5


def test_six_answers_over_a_second_narrow_a_whole_second_to_a_sixth() -> None:
    answers = [Answer(s, s + 0.004, math.floor(s + 0.002 + 7.3)) for s in (100 + n / 6 for n in range(6))]
    reading = from_whole_seconds(answers, ClockSource.ONVIF)
    assert reading is not None
    assert reading.error_s == pytest.approx((1 / 6 + 0.004) / 2, abs=0.002)
    assert reading.offset_s == pytest.approx(7.3, abs=reading.error_s)


def test_answers_that_contradict_each_other_give_an_error_that_covers_them() -> None:
    reading = from_whole_seconds([Answer(0, 0.1, 10), Answer(0.5, 0.6, 40)], ClockSource.RTSP)
    assert reading is not None
    assert reading.error_s is not None
    assert reading.offset_s - reading.error_s <= 9.9
    assert reading.offset_s + reading.error_s >= 40.5


def test_no_answer_is_no_clock() -> None:
    assert from_whole_seconds([], ClockSource.RTSP) is None
    assert from_sender_reports([], 0.01, 0.04) is None


def test_of_sender_reports_the_least_delayed_picture_counts_with_half_the_round_trip() -> None:
    pictures = [(105.0, 100.13), (106.0, 101.05), (107.0, 102.40)]
    reading = from_sender_reports(pictures, round_trip_s=0.02, frame_s=0.04)
    assert reading is not None
    assert reading.offset_s == pytest.approx(4.95 + 0.01 + 0.04)
    assert reading.error_s is None


def test_packets_that_were_stored_while_a_stream_was_opened_are_no_jitter() -> None:
    """30 pictures that come at once, with a pause for decoding among them, then 60 in time."""
    times = [n / 25 for n in range(90)]
    arrivals = [1.2 + n * 0.001 + (0.03 if n > 10 else 0) for n in range(30)] + [
        n / 25 + 0.05 for n in range(30, 90)
    ]
    assert jitter_ms(times, arrivals) == pytest.approx(0, abs=5)
    assert frames_per_second(times, [0.0, 1.0, 2.0]) == pytest.approx(25)


def test_arrivals_that_waver_are_jitter() -> None:
    times = [n / 25 for n in range(200)]
    arrivals = [time + 0.05 + (0.02 if n % 2 else 0) for n, time in enumerate(times)]
    assert jitter_ms(times, arrivals) == pytest.approx(10, abs=0.5)
