"""Outlines on the live picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_coverage.verdict import Outcome
from kaozheng_vision.overlay import LINES, Frame, Line, clip_segment, draw_outlines
from kaozheng_vision.residuals import AGREES, ELSEWHERE, CardMark, draw_cards, enlargement

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


SQUARE = np.array([[0.0, 0.0], [31.0, 0.0], [31.0, 31.0], [0.0, 31.0]])


def mark(x: float, y: float, *, off: tuple[float, float] | None, agrees: bool | None = True) -> CardMark:
    """A card at (x, y) that the model expects ``off`` pixels away."""
    seen = SQUARE + np.array([x, y])
    return CardMark("07", seen, None if off is None else seen - off, agrees)


def coloured(picture: Frame, line: Line) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - np.array(line.colour)).sum(axis=2) < 60)


def test_an_arrow_is_as_many_times_its_residual_as_the_legend_says() -> None:
    cards = [mark(300 + 100 * index, 200, off=(0.0, 2.0)) for index in range(5)]
    assert enlargement([np.array([0.0, 2.0])] * 5, 1280) == 20
    picture = coloured(draw_cards(GREY, cards), AGREES)
    # From the expected middle, 2 px above the seen one at (315.5, 215.5), 20 x 2 px down; then comes the label.
    column = picture[:, 314:317].any(axis=1)
    assert column[214:230].all()


@pytest.mark.parametrize(("residual_px", "times"), [(0.1, 100), (1.0, 50), (3.0, 20), (40.0, 1), (500.0, 1)])
def test_the_enlargement_keeps_arrows_within_a_twentieth_of_the_width(residual_px: float, times: int) -> None:
    assert enlargement([np.array([residual_px, 0.0])] * 10, 1280) == times


def test_one_wild_residual_in_ten_does_not_shrink_the_others() -> None:
    steps = [np.array([0.5, 0.0])] * 10
    assert enlargement([*steps, np.array([300.0, 0.0])], 1280) == enlargement(steps, 1280)


def test_a_card_that_stands_elsewhere_is_led_back_to_its_place_at_true_length() -> None:
    picture = coloured(draw_cards(GREY, [mark(800, 300, off=(400.0, 0.0), agrees=False)]), ELSEWHERE)
    # From the place expected, the middle (415.5, 315.5), to where it is seen, (815.5, 315.5).
    assert picture[313:318, 420:810].any(axis=0).mean() > 0.95
    assert not picture[:, :400].any()


def test_a_card_of_which_the_model_says_nothing_has_no_arrow_and_no_legend() -> None:
    picture = draw_cards(GREY, [mark(800, 300, off=None, agrees=None)])
    changed = (picture != GREY).any(axis=2)
    assert changed[300:330, 800:830].any()
    assert not changed[:, :700].any()
    nowhere = CardMark("07", SQUARE + 300.0, np.full((4, 2), np.nan), True)
    assert not (draw_cards(GREY, [nowhere]) != GREY)[:, :200].any()


def test_no_card_leaves_the_picture_as_it_was() -> None:
    assert (draw_cards(GREY, []) == GREY).all()
