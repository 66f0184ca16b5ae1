"""When a cause is told and when it is over: it must last, and be away for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.alarms.kinds import Patience, Subject
from kaozheng_service.alarms.persistence import Persistence

DISK = Subject("disk_low")
CAMERA = Subject("no_footage", "9-101", "front-left", "w")


def persistence() -> Persistence:
    return Persistence(lambda _kind: Patience(raise_s=10, clear_s=20))


def test_a_cause_is_told_once_after_it_lasted():
    one = persistence()
    assert one.update(0, [DISK]) == ([], [])
    assert one.update(9, [DISK]) == ([], [])
    assert one.update(10, [DISK]) == ([DISK], [])
    one.told(DISK)
    assert one.update(11, [DISK]) == ([], [])


def test_what_comes_and_goes_too_quickly_is_never_told():
    one = persistence()
    for second in range(0, 100, 9):
        assert one.update(second, [DISK] if second % 2 else []) == ([], [])


def test_it_is_over_once_it_was_away_for_a_while_and_not_before():
    one = persistence()
    one.update(0, [DISK])
    one.update(10, [DISK])
    one.told(DISK)
    assert one.update(15, []) == ([], [])
    assert one.update(30, [DISK]) == ([], [])  # back in time: the same alarm goes on
    assert one.update(31, []) == ([], [])
    assert one.update(51, []) == ([], [DISK])
    one.over(DISK)
    assert one.update(52, []) == ([], [])


def test_what_could_not_be_told_is_said_again_until_it_was():
    one = persistence()
    one.update(0, [DISK])
    assert one.update(10, [DISK]) == ([DISK], [])
    assert one.update(12, [DISK]) == ([DISK], [])


def test_what_an_earlier_process_told_is_not_told_again_and_ends():
    one = persistence()
    one.take_up([DISK, CAMERA], 0)
    assert one.update(1, [DISK]) == ([], [])
    assert one.update(30, [DISK]) == ([], [CAMERA])


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=60))
def test_telling_and_ending_take_turns_whatever_comes(steps):
    one, at, lasts = persistence(), 0, False
    for wait, there in steps:
        at += wait
        raised, cleared = one.update(at, [DISK] if there else [])
        assert not (raised and lasts)
        assert not (cleared and not lasts)
        for subject in raised:
            one.told(subject)
            lasts = True
        for subject in cleared:
            one.over(subject)
            lasts = False
