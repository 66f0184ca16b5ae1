"""What of a window nothing covers, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.recording.gaps import Span, holes

BEGIN = datetime(2024, 11, 23, 1, 0, tzinfo=UTC)


def span(start_s: int, end_s: int) -> Span:
    return Span(BEGIN + timedelta(seconds=start_s), BEGIN + timedelta(seconds=end_s))


WHOLE = span(0, 100)
SPANS = st.lists(st.tuples(st.integers(-20, 120), st.integers(0, 60)).map(lambda one: span(one[0], sum(one))))


def test_a_window_without_footage_is_one_hole():
    assert holes(WHOLE, []) == [WHOLE]


def test_what_is_covered_twice_is_covered_once():
    assert holes(WHOLE, [span(0, 60), span(40, 100)]) == []


def test_holes_lie_between_at_the_begin_and_at_the_end():
    assert holes(WHOLE, [span(10, 30), span(50, 90)]) == [span(0, 10), span(30, 50), span(90, 100)]


@given(SPANS)
def test_every_second_is_either_covered_or_in_a_hole_and_never_both(covered):
    missing = holes(WHOLE, covered)
    for second in range(100):
        moment = BEGIN + timedelta(seconds=second, microseconds=1)
        within = any(one.starts_at <= moment < one.ends_at for one in covered)
        lost = sum(one.starts_at <= moment < one.ends_at for one in missing)
        assert lost == (0 if within else 1)


@given(SPANS)
def test_holes_are_in_order_within_the_window_and_apart(covered):
    missing = holes(WHOLE, covered)
    for one in missing:
        assert WHOLE.starts_at <= one.starts_at < one.ends_at <= WHOLE.ends_at
    for before, after in pairwise(missing):
        assert before.ends_at < after.starts_at
