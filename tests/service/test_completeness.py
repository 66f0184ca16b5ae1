"""Whether windows were recorded, as numbers: by command, for people and for programs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from kaozheng_service.cli import app
from kaozheng_service.clock import now
from kaozheng_service.sessions.facts import session_facts
from kaozheng_service.sessions.picture import text_bar
from typer.testing import CliRunner

ROOM = "9-101"


def run(archive: Any, *arguments: str) -> Any:
    site = archive.station.site.folder / "site.yaml"
    return CliRunner().invoke(app, ["completeness", "-c", str(site), *arguments])


def listed(archive: Any, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = run(archive, *arguments, "--json")
    body = json.loads(done.stdout)
    assert body["schema"] == "kaozheng/completeness-list/1"
    return done.exit_code, body["windows"]


@pytest.fixture
def hole(small_archive: Any) -> Any:
    """20 s of which ``front-left`` lacks the last 4 without a word, and ``back-right`` nothing."""
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM, closed=False)
    small_archive.take(window, "front-left", begins, 8)
    small_archive.take(window, "back-right", begins, 10)
    small_archive.close(window)
    return small_archive


def test_an_explained_gap_is_counted_once_and_ends_with_0(disputed: Any) -> None:
    code, windows = listed(disputed.archive, "--day", "2024-11-23")
    assert (code, len(windows)) == (0, 1)
    assert windows[0]["verdict"] == "incomplete_explained"
    left, right = windows[0]["cameras"]
    assert (left["expected_s"], left["recorded_s"], left["explained_s"], left["unexplained_s"]) == (
        20,
        16,
        4,
        0,
    )
    assert (left["takes"], [gap["cause"] for gap in left["gaps"]]) == (2, ["stream_lost"])
    assert (right["verdict"], right["recorded_s"], right["takes"]) == ("complete", 20, 1)


def test_what_nobody_explained_ends_with_1_and_is_named(hole: Any) -> None:
    code, windows = listed(hole, "--day", "2024-11-23")
    assert code == 1
    left = windows[0]["cameras"][0]
    assert left["unexplained"] == [{"from": "2024-11-23T01:00:16.000Z", "to": "2024-11-23T01:00:20.000Z"}]
    assert left["unexplained_s"] == 4


def test_a_window_that_runs_is_not_over_and_its_open_file_is_neither(small_archive: Any) -> None:
    begins = now().replace(microsecond=0) - timedelta(seconds=30)
    window = small_archive.window(begins, begins + timedelta(minutes=5), room=ROOM, closed=False)
    small_archive.take(window, "front-left", begins, 12, running=True)
    small_archive.take(window, "back-right", begins, 5)
    code, windows = listed(small_archive)
    assert (code, windows[0]["verdict"]) == (1, "not_over")
    left, right = windows[0]["cameras"]
    assert (left["recorded_s"], left["unexplained_s"]) == (24, 0)
    # A camera whose take is closed and that nothing followed lacks what is past, not what lies ahead.
    assert 20 <= right["unexplained_s"] < 120


def test_what_is_named_is_what_is_listed(disputed: Any) -> None:
    archive = disputed.archive
    other = archive.local("2024-11-24 09:00:00")
    archive.window(other, other + timedelta(seconds=20), room="9-201")
    assert [one["window"] for one in listed(archive, "--window", disputed.window)[1]] == [disputed.window]
    assert [one["room"] for one in listed(archive, "--room", "9-201")[1]] == ["9-201"]
    assert [one["room"] for one in listed(archive, "--day", "2024-11-24", "--room", "9-201")[1]] == ["9-201"]


@pytest.mark.parametrize(
    "arguments",
    [["--window", "nowhere"], ["--day", "2020-01-01"], ["--day", "tomorrow"], ["--room", "9-999"], []],
)
def test_where_nothing_was_expected_nothing_is_complete(disputed: Any, arguments: list[str]) -> None:
    done = run(disputed.archive, *arguments)
    assert done.exit_code != 0
    assert type(done.exception).__name__ == "UserError"


def test_people_read_the_same_in_a_table_and_a_bar(disputed: Any) -> None:
    done = run(disputed.archive, "--window", disputed.window)
    assert done.exit_code == 0
    for words in ("80.00%", "4.0 s: stream lost (the stream ended)", "▲ explained", "✓ complete", "09:00:06"):
        assert words in done.stdout


def test_nothing_that_is_missing_is_too_short_for_the_bar(disputed: Any) -> None:
    facts = session_facts(disputed.station, disputed.window)
    left, right = facts.cameras
    assert text_bar(facts, left, 20) == "█" * 6 + "▒" * 4 + "█" * 10
    assert text_bar(facts, right, 20) == "█" * 20
    assert "▒" in text_bar(facts, left, 3)
