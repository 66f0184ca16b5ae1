"""The picture of a timeline: everything in it, readable without colour, and the same bytes from the same facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from kaozheng_service.cli import app
from kaozheng_service.clock import now
from kaozheng_service.database import Alarm, Mark
from kaozheng_service.disputes.timeline_svg import Bar, Panel, Row, timeline_svg
from kaozheng_service.sessions.facts import session_facts
from kaozheng_service.sessions.picture import sessions_svg
from typer.testing import CliRunner

ROOM = "9-101"
SVG = "{http://www.w3.org/2000/svg}"
BEGINS = datetime(2024, 11, 23, 1, tzinfo=UTC)


def parsed(document: str) -> Any:
    return ElementTree.fromstring(document)  # noqa: S314 - our own


def words(document: str) -> str:
    return "\n".join(one.text or "" for one in parsed(document).iter(f"{SVG}text"))


def rectangles(document: str, kind: str) -> list[Any]:
    return [one for one in parsed(document).iter(f"{SVG}rect") if one.get("class") == kind]


def seconds(count: float) -> datetime:
    return BEGINS + timedelta(seconds=count)


@pytest.fixture
def eventful(disputed: Any) -> Any:
    """The disputed session with an alarm and a mark."""
    with disputed.station.sessions.begin() as session:
        session.add(
            Alarm(
                window_id=disputed.window,
                room_id=ROOM,
                camera_id="back-right",
                kind="covered",
                detail="0.6 of the view",
                raised_at=disputed.begins + timedelta(seconds=5),
                cleared_at=disputed.begins + timedelta(seconds=9),
                ended="clear",
                leaf=1,
                cleared_leaf=2,
            )
        )
        moment = disputed.begins + timedelta(seconds=2)
        session.add(Mark(room_id=ROOM, at=moment, kind="seal_opened", note="", leaf=3))
    return disputed


def drawn(case: Any) -> str:
    return sessions_svg([session_facts(case.station, case.window)], case.station.site.zone)


def test_cameras_gaps_alarms_and_marks_are_all_there_in_both_languages(eventful: Any) -> None:
    said = words(drawn(eventful))
    for one in ("front-left", "back-right", "80.00%", "100%", "启封", "不完整（已说明）", "09:00"):
        assert one in said
    assert "1　front-left　09:00:06–09:00:10　4秒　视频流中断 stream lost　the stream ended" in said
    assert "A1　back-right　09:00:05–09:00:09　4秒　遮挡 covered　0.6 of the view" in said
    assert "缺口（有说明）explained gap" in said


def test_segments_are_joined_and_each_take_is_one_bar(eventful: Any) -> None:
    assert len(rectangles(drawn(eventful), "recorded")) == 3


def test_what_is_missing_has_a_pattern_and_overlaps_the_strip(eventful: Any) -> None:
    document = drawn(eventful)
    gap, recorded = rectangles(document, "gap")[0], rectangles(document, "recorded")[0]
    assert gap.get("fill") == "url(#kz-gap)"
    assert float(gap.get("height")) > float(recorded.get("height"))
    patterns = {one.get("id") for one in parsed(document).iter(f"{SVG}pattern")}
    assert {"kz-gap", "kz-backfilled", "kz-unexplained", "kz-fault", "kz-writing"} == patterns


def test_the_exam_and_the_present_are_marked_where_the_window_runs(small_archive: Any) -> None:
    begins = now().replace(microsecond=0) - timedelta(minutes=1)
    exam = (begins + timedelta(seconds=30), begins + timedelta(minutes=3))
    window = small_archive.window(begins, begins + timedelta(minutes=5), room=ROOM, exam=exam, closed=False)
    small_archive.take(window, "front-left", begins, 25, running=True)
    said = words(
        sessions_svg([session_facts(small_archive.station, window)], small_archive.station.site.zone)
    )
    for one in ("考试 exam", "现在 now", "未到时间 to come", "未结束", "正在写入 being written"):
        assert one in said


def test_no_gap_is_thinner_than_paper_shows_and_crowded_numbers_are_joined() -> None:
    bars = [Bar("recorded", BEGINS, seconds(10_000), "")]
    bars += [Bar("gap", seconds(i * 40), seconds(i * 40 + 0.3), "", str(i)) for i in range(1, 41)]
    document = timeline_svg([Panel(BEGINS, seconds(10_000), (Row("a", tuple(bars)),))], UTC)
    gaps = rectangles(document, "gap")
    assert len(gaps) == 40
    assert min(float(one.get("width")) for one in gaps) >= 0.5
    assert "1–23\n24–40" in words(document)


def test_a_long_or_hostile_name_stays_in_its_place() -> None:
    name = "<script>alert(1)</script>" + "名" * 80
    panel = Panel(BEGINS, seconds(10), (Row(name, ()),), heading=name)
    document = timeline_svg([panel], UTC)
    assert "<script" not in document
    heading, row = (line for line in words(document).splitlines() if "script" in line)
    assert heading.endswith("…")
    assert row.endswith("…")
    assert len(row) < 30


def test_the_same_facts_give_the_same_picture_without_outside_parts(eventful: Any) -> None:
    assert drawn(eventful) == drawn(eventful)
    assert "href" not in drawn(eventful)


def test_the_command_writes_it(disputed: Any, tmp_path: Any) -> None:
    site = disputed.station.site.folder / "site.yaml"
    out = tmp_path / "day.svg"
    arguments = ["completeness", "-c", str(site), "--day", "2024-11-23", "--picture", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "front-left" in words(out.read_text(encoding="utf-8"))
    arguments[-1] = str(tmp_path / "no" / "day.svg")
    assert "cannot be written" in str(CliRunner().invoke(app, arguments).exception)
