"""`kaozheng verify SITE_FILE`: what is asked for is looked at, each window has its verdict, each fault its second."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.cli import app
from kaozheng_service.clock import now
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.errors import UserError
from kaozheng_service.verification.pace import Pace, Throttle, recording_now
from kaozheng_service.verification.report import archive_json
from kaozheng_service.verification.scope import Scope
from typer.testing import CliRunner, Result


def run(days: Any, *words: str) -> Result:
    return CliRunner().invoke(app, ["verify", str(days.path), *words])


def told(days: Any, *words: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(run(days, "--json", *words).stdout)
    assert body["schema"] == "kaozheng/verify/2"
    return body


def verdicts(body: dict[str, Any]) -> dict[str, str]:
    return {one["window"]: one["verdict"] for one in body["windows"]}


def test_each_window_has_its_verdict_and_the_whole_is_the_worst(days: Any) -> None:
    body = told(days)
    assert verdicts(body) == {
        days.whole: "complete",
        days.explained: "incomplete_explained",
        days.holed: "incomplete_unexplained",
    }
    assert (body["outcome"], body["files"]) == ("cannot_judge", 11)
    explained = next(one for one in body["windows"] if one["window"] == days.explained)
    assert (explained["explained_s"], explained["unexplained_s"], explained["files"]) == (4.0, 0, 3)
    assert [(gap["camera"], gap["cause"]) for gap in explained["gaps"]] == [("front-left", "stream_lost")]


def test_an_unexplained_hole_is_named_with_camera_and_second(days: Any) -> None:
    body = told(days, "--window", days.holed)
    (window,) = body["windows"]
    assert window["unexplained_s"] == 2.0
    (hole,) = [fault for fault in window["faults"] if fault["code"] == "hole"]
    assert (hole["camera"], hole["from"]) == ("front-left", "2024-11-24T06:00:04.000Z")
    words = run(days, "--window", days.holed)
    assert words.exit_code == 1
    assert "front-left 14:00:04–14:00:06" in words.stdout
    assert "不完整" in words.stdout


@pytest.mark.parametrize(
    ("words", "windows", "files"),
    [
        (("--day", "2024-11-23"), {"whole", "explained"}, 7),
        (("--day", "2024-11-23", "--room", "9-101"), {"whole"}, 4),
        (("--room", "9-101"), {"whole", "holed"}, 8),
        (("--window", "{explained}"), {"explained"}, 3),
        (("--take", "{whole}/front-left/take-0001"), {"whole"}, 4),
    ],
)
def test_footage_is_read_of_the_scope_alone(
    days: Any, words: tuple[str, ...], windows: set[str], files: int
) -> None:
    names = {name: getattr(days, name) for name in ("whole", "explained", "holed")}
    body = told(days, *(word.format(**names) for word in words))
    assert set(verdicts(body)) == {names[name] for name in windows}
    assert (body["files"], body["records"]) == (files, days.station.log.size)


def test_what_is_damaged_outside_of_the_scope_does_not_show_inside(days: Any) -> None:
    days.flip(days.file(days.holed, "front-left", 2))
    assert told(days, "--window", days.whole)["outcome"] == "intact"
    body = told(days, "--day", "2024-11-24")
    assert verdicts(body) == {days.holed: "altered"}
    changed = next(one for one in body["windows"][0]["faults"] if one["code"] == "changed")
    assert (changed["from"], changed["to"]) == ("2024-11-24T06:00:02.000Z", "2024-11-24T06:00:04.000Z")


def test_the_log_is_checked_whole_whatever_the_scope(days: Any) -> None:
    log = days.station.state / "log" / "entries.jsonl"
    station = days.station
    log.write_bytes(log.read_bytes().replace(b'"2024-11-24T06:00:10.000Z"', b'"2024-11-24T06:00:11.000Z"', 1))
    report = verify_archive(station, scope=Scope(window=days.whole))
    assert report.outcome == "altered"
    assert "log_root" in {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--window", "20241123-090000-9-101-practical"), "20241123-090000-9-101-theory"),
        (("--day", "2024-11-20"), "2024-11-23, 2024-11-24"),
        (("--day", "yesterday"), "2024-11-23"),
        (("--room", "9-999"), "9-101, 9-201"),
        (("--day", "2024-11-24", "--room", "9-201"), "2024-11-23"),
        (("--take", "20241123-090000-9-101-theory/front-left/take-0009"), "front-left/take-0001"),
        (("--take", "take-0001"), "WINDOW/CAMERA/take-0001"),
        (("--take", "a/b/c", "--day", "2024-11-23"), "name one of"),
    ],
)
def test_a_wrong_name_is_answered_with_what_there_is(days: Any, words: tuple[str, ...], named: str) -> None:
    result = run(days, *words)
    assert isinstance(result.exception, UserError)
    assert named in str(result.exception)


def test_options_of_a_site_are_refused_for_an_export(days: Any, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(tmp_path), "--day", "2024-11-23"])
    assert isinstance(result.exception, UserError)
    assert "is an export" in str(result.exception)


def test_many_jobs_find_what_one_finds(days: Any) -> None:
    days.flip(days.file(days.whole, "front-left", 1))
    days.flip(days.file(days.holed, "front-left", 5))
    days.file(days.explained, "front-left", 2).unlink()
    one, many = (archive_json(verify_archive(days.station, pace=Pace(jobs))) for jobs in (1, 7))
    assert one == many
    assert one["outcome"] == "altered"
    assert {name: verdict for name, verdict in verdicts(one).items() if verdict != "altered"} == {}


def test_a_limit_lets_no_more_bytes_through_than_it_says(days: Any) -> None:
    present, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        present[0] += seconds

    rate = 50_000.0
    passed: list[tuple[float, int]] = []
    throttle = Throttle(lambda: rate, clock=lambda: present[0], sleep=sleep)
    take = throttle.take

    def counted(count: int) -> None:
        take(count)
        passed.append((present[0], count))

    throttle.take = counted  # type: ignore[method-assign]
    report = verify_archive(days.station, pace=Pace(1, throttle))
    assert sum(count for _, count in passed) == report.bytes
    assert slept
    for (_, earlier), (one, _), (two, _) in zip(passed, passed, passed[1:], strict=False):
        assert two - one >= earlier / rate - 1e-9
    assert present[0] >= (report.bytes - passed[-1][1]) / rate - 1e-6
    assert all(one <= two for (one, _), (two, _) in pairwise(passed))


def test_while_a_window_is_recorded_one_file_is_read_at_a_time(days: Any) -> None:
    assert not recording_now(days.station)()
    archive = days.archive
    begins = now() - timedelta(seconds=6)
    window = archive.window(
        begins, begins + timedelta(hours=1), room="9-101", cameras=("front-left",), closed=False
    )
    archive.take(window, "front-left", begins, 2, running=True)
    busy = recording_now(days.station)
    assert busy()
    assert Pace(8, busy=busy).ahead() == 1
    assert Pace(8).ahead() == 16
    result = run(days, "--window", window)
    assert "正在录像" in result.stderr
    assert "尚未结束" in result.stdout
    assert result.exit_code == 0
