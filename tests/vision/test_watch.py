"""From diagnoses to alarms: persistence, and hysteresis at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kaozheng_vision.diagnose import COVERED_SHARE, HYSTERESIS, Diagnosis, Fault, Finding, Judgement
from kaozheng_vision.watch import CLEAR_AFTER, RAISE_OF, AlarmState, Change


def diagnosis(value: float | None, kind: Fault = Fault.COVERED) -> Diagnosis:
    """Covered by this share; None where it cannot be judged."""
    if value is None:
        return Diagnosis((Finding(kind, Judgement.CANNOT_JUDGE, None, COVERED_SHARE, "too dark"),))
    judgement = Judgement.FAULT if value >= COVERED_SHARE else Judgement.OK
    return Diagnosis((Finding(kind, judgement, value, COVERED_SHARE),))


def changes(*values: float | None) -> list[tuple[int, bool]]:
    """(number of the diagnosis, raised or ended) of each change."""
    state = AlarmState()
    found: list[Change] = []
    for number, value in enumerate(values, 1):
        found += state.update(number, diagnosis(value))
    return [(int(change.at_s), change.raised) for change in found]


def test_a_fault_that_lasts_is_told_at_the_third_diagnosis() -> None:
    assert changes(0.9, 0.9, 0.9) == [(3, True)]


def test_someone_who_walks_past_the_lens_raises_nothing() -> None:
    assert changes(0, 0.9, 0.9, 0, 0, 0, 0.9, 0, 0.9, 0) == []


def test_one_diagnosis_that_misses_the_fault_does_not_hide_it() -> None:
    assert changes(0.9, 0.9, 0, 0.9) == [(4, True)]


def test_what_cannot_be_judged_neither_raises_nor_ends() -> None:
    assert changes(None, None, None, None) == []
    assert changes(0.9, None, 0.9, None, 0.9, *[None] * 20) == [(5, True)]


def test_an_alarm_ends_after_four_clear_diagnoses_and_not_before() -> None:
    assert changes(0.9, 0.9, 0.9, 0, 0, 0, 0.9, 0, 0, 0, 0) == [(3, True), (11, False)]


def test_a_value_just_under_the_threshold_does_not_end_an_alarm() -> None:
    near = COVERED_SHARE * (HYSTERESIS + 0.05)
    assert changes(0.9, 0.9, 0.9, *[near] * 20) == [(3, True)]


def test_an_alarm_is_told_once_and_again_only_after_it_ended() -> None:
    assert changes(*[0.9] * 10, *[0] * 4, 0.9, 0.9, 0.9) == [(3, True), (14, False), (17, True)]


def test_a_change_that_could_not_be_acted_on_comes_again() -> None:
    state = AlarmState()
    told = [state.update(number, diagnosis(0.9)) for number in range(3)][-1]
    state.undo(told[0])
    assert [change.raised for change in state.update(3, diagnosis(0.9))] == [True]
    over = [change for number in range(4, 8) for change in state.update(number, diagnosis(0))]
    state.undo(over[0])
    assert [change.raised for change in state.update(8, diagnosis(0))] == [False]


def test_each_kind_has_an_alarm_of_its_own() -> None:
    state = AlarmState()
    both = Diagnosis((*diagnosis(0.9).findings, *diagnosis(0.9, Fault.MOVED).findings))
    for moment in range(3):
        last = state.update(moment, both)
    assert {change.kind for change in last} == {Fault.COVERED, Fault.MOVED}


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.22, 0.3, 1.0])), max_size=60))
def test_raised_and_ended_take_turns_and_neither_comes_early(values: list[float | None]) -> None:
    found = changes(*values)
    assert [raised for _, raised in found] == [number % 2 == 0 for number in range(len(found))]
    for at, raised in found:
        judged = [value for value in values[:at] if value is not None]
        if raised:
            assert sum(value >= COVERED_SHARE for value in judged[-RAISE_OF[1] :]) >= RAISE_OF[0]
        else:
            assert all(value <= COVERED_SHARE * HYSTERESIS for value in judged[-CLEAR_AFTER:])
