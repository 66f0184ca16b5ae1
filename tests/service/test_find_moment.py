"""Times as people write them, read in the site's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from kaozheng_service.disputes.find import parse_moment
from kaozheng_service.errors import UserError

SHANGHAI = "Asia/Shanghai"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-11-23 09:30", datetime(2024, 11, 23, 1, 30, tzinfo=UTC)),
        ("2024-11-23T09:30:15", datetime(2024, 11, 23, 1, 30, 15, tzinfo=UTC)),
        (" 2024-11-23 09:30:15.250 ", datetime(2024, 11, 23, 1, 30, 15, 250000, tzinfo=UTC)),
        ("09:30:15", datetime(2024, 11, 30, 1, 30, 15, tzinfo=UTC)),
        ("9:30", datetime(2024, 11, 30, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_the_site_s(text: str, utc: datetime) -> None:
    assert parse_moment(text, SHANGHAI, today=date(2024, 11, 30)) == utc


@pytest.mark.parametrize(
    "text", ["2024-11-23T09:30:15+08:00", "2024-11-23T01:30:15Z", "2024-11-22T20:30:15-05:00"]
)
def test_a_time_with_its_zone_keeps_it(text: str) -> None:
    assert parse_moment(text, "Europe/Berlin") == datetime(2024, 11, 23, 1, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-11-23", "20241123", "2024-13-01 09:30", "25:00", "0001-01-01 00:00"]
)
def test_what_names_no_moment_is_refused_with_the_forms_that_do(text: str) -> None:
    with pytest.raises(UserError, match="2024-11-23 09:30:15"):
        parse_moment(text, SHANGHAI)


def test_a_local_time_that_was_skipped_is_refused() -> None:
    with pytest.raises(UserError, match="does not exist in Europe/Berlin"):
        parse_moment("2024-03-31 02:30", "Europe/Berlin")


def test_a_local_time_that_came_twice_is_refused_and_both_are_offered() -> None:
    with pytest.raises(UserError, match=r"2024-10-27T02:30:00\+02:00 or 2024-10-27T02:30:00\+01:00"):
        parse_moment("2024-10-27 02:30", "Europe/Berlin")
