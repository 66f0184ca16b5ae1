"""Outlines on the live picture."""

from __future__ import annotations

import numpy as np
import pytest
from kaozheng_coverage.verdict import Outcome
from kaozheng_vision.overlay import LINES, clip_segment, draw_outlines

GREY = np.full((720, 1280, 3), 128, np.uint8)
DESK = np.array([[400.0, 300.0], [800.0, 300.0], [800.0, 500.0], [400.0, 500.0]])


def share_on_top_edge(outcome: Outcome) -> float:
    """Which share of the desk's upper edge has the outcome's colour."""
    picture = draw_outlines(GREY, {"07": {"desk": DESK}}, {"07": outcome})
    edge = picture[299:302, 420:780].astype(int)
    near = (np.abs(edge - np.array(LINES[outcome].colour)).sum(axis=2) < 60).any(axis=0)
    return float(near.mean())


def test_outcomes_differ_in_line_style_too_so_that_a_grey_print_shows_them() -> None:
    solid, dashed, dotted = (
        share_on_top_edge(outcome) for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.UNDETERMINED)
    )
    assert solid > 0.99
    assert 0.55 < dashed < 0.9
    assert dotted < dashed - 0.1


def test_the_frame_itself_is_not_drawn_on() -> None:
    before = GREY.copy()
    draw_outlines(GREY, {"07": {"desk": DESK}}, {"07": Outcome.PASS})
    assert (before == GREY).all()


def test_the_seat_number_stands_in_the_middle_of_its_first_part() -> None:
    picture = draw_outlines(GREY, {"07": {"desk": DESK}}, {"07": Outcome.PASS})
    assert (picture[390:410, 590:610] != 128).any()
    unnamed = draw_outlines(GREY, {"座": {"desk": DESK}}, {"座": Outcome.PASS})
    assert (unnamed[390:410, 590:610] == 128).all()


def test_points_without_a_pixel_and_far_outside_the_picture_are_survived() -> None:
    wild = np.array([[100.0, 100.0], [np.nan, np.nan], [1e9, 200.0], [-1e9, -1e9]])
    picture = draw_outlines(GREY, {"01": {"desk": wild}}, {})
    assert picture.shape == GREY.shape
    assert (picture != GREY).any()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((-10.0, 5.0), (30.0, 5.0), ((0.0, 5.0), (20.0, 5.0))),
        ((5.0, 5.0), (6.0, 7.0), ((5.0, 5.0), (6.0, 7.0))),
        ((-5.0, -5.0), (-1.0, 30.0), None),
        ((float("nan"), 0.0), (1.0, 1.0), None),
    ],
)
def test_a_segment_is_cut_at_the_border(
    start: tuple[float, float], end: tuple[float, float], expected: object
) -> None:
    assert clip_segment(start, end, (20, 10)) == expected
