"""Footage that came afterwards is shown, handed over and verified as what it is, and never counts as recorded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.clock import from_text
from kaozheng_service.database import BackfilledSegment, BackfilledTake, Gap, Healing, Segment, Take, Window
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.find import find, find_json
from kaozheng_service.disputes.timeline import State
from kaozheng_service.disputes.verify import Report, verify_archive, verify_bag
from kaozheng_service.disputes.viewing import viewing_clip
from kaozheng_service.recording.completeness import _camera, completeness_json, window_completeness
from kaozheng_service.web.app import create_app

ROOM, CAMERA = "9-101", "front-left"
SOURCE = "校园录像机"


@dataclass
class Healed:
    """The disputed session, whose gap from 6 to 10 s is healed by footage from 4 to 12 s."""

    disputed: Any
    take: str

    @property
    def station(self) -> Any:
        return self.disputed.station

    def at(self, second: float) -> datetime:
        return self.disputed.begins + timedelta(seconds=second)


@pytest.fixture
def healed(disputed: Any) -> Healed:
    begins = disputed.begins + timedelta(seconds=4)
    return Healed(disputed, disputed.archive.backfill(disputed.window, CAMERA, begins, 4, source=SOURCE))


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings if finding.severity != "note"}


def test_the_numbers_before_and_after_differ_in_what_is_healed_alone(disputed: Any) -> None:
    before = completeness_json(window_completeness(disputed.station, disputed.window))
    disputed.archive.backfill(
        disputed.window, CAMERA, disputed.begins + timedelta(seconds=4), 4, source=SOURCE
    )
    after = window_completeness(disputed.station, disputed.window)
    camera = after.cameras[0]
    assert (camera.verdict, camera.recorded_s, camera.explained_s, camera.healed_s) == (
        "incomplete_explained",
        16,
        4,
        4,
    )
    assert camera.takes == 2
    assert "4 s of them backfilled" in after.summary()
    stated = completeness_json(after)
    (gap,) = stated["cameras"][0]["gaps"]
    assert (gap["healed_s"], gap["healed_from"]) == (4, [SOURCE])
    assert stated["cameras"][0]["healed_s"] == 4
    for body in (before, stated):
        del body["cameras"][0]["healed_s"]
        for name in ("healed_s", "healed_from"):
            del body["cameras"][0]["gaps"][0][name]
    assert before == stated


MOMENT = st.integers(0, 100)
SPAN = st.tuples(MOMENT, MOMENT).map(sorted).filter(lambda pair: pair[0] < pair[1])


@given(st.lists(SPAN, max_size=3), st.lists(SPAN, max_size=3), st.lists(SPAN, max_size=4))
def test_no_healing_ever_changes_verdict_or_recorded_seconds(recorded: Any, gaps: Any, healings: Any) -> None:
    zero = from_text("2024-11-23T01:00:00.000Z")

    def span(pair: Any) -> dict[str, datetime]:
        return {"starts_at": zero + timedelta(seconds=pair[0]), "ends_at": zero + timedelta(seconds=pair[1])}

    window = Window(id="w", leaf=1, closed_leaf=2, **span((0, 100)))
    segments = [Segment(**span(pair)) for pair in recorded]
    rows = [Gap(id=number, cause="stream_lost", detail="", **span(pair)) for number, pair in enumerate(gaps)]
    take = BackfilledTake(source=SOURCE)
    cures = [
        Healing(gap_id=number % max(len(rows), 1), take=take, **span(pair))
        for number, pair in enumerate(healings)
    ]
    plain = _camera(window, CAMERA, segments, rows, [], [])
    cured = _camera(window, CAMERA, segments, rows, cures, [])
    for name in ("verdict", "recorded_s", "unexplained_s", "explained_s", "expected_s", "takes"):
        assert getattr(plain, name) == getattr(cured, name)
    assert 0 <= cured.healed_s <= cured.explained_s


def test_the_archive_is_intact_and_old_readers_see_what_they_saw(healed: Healed) -> None:
    report = verify_archive(healed.station)
    assert (report.outcome, report.findings) == ("intact", ())
    assert report.files == 18 + 4
    kinds = [json.loads(entry)["kind"] for entry in healed.station.log.entries()]
    # A reader that ignores kinds it does not know counts no take and no segment more.
    assert (kinds.count("take.opened"), kinds.count("segment"), kinds.count("gap")) == (3, 18, 1)
    with healed.station.sessions() as session:
        assert session.query(Take).count() == 3


def first(session: Any, table: type) -> Any:
    return session.query(table).order_by(table.id).first()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda session: session.delete(first(session, Healing)), "row_missing"),
        (lambda session: setattr(first(session, BackfilledTake), "source", "别处"), "row_differs"),
        (lambda session: setattr(first(session, BackfilledTake), "uncertainty_s", 0.1), "row_differs"),
        (lambda session: setattr(first(session, BackfilledSegment), "overlapping_s", 0.0), "row_differs"),
        (lambda session: setattr(first(session, BackfilledSegment), "leaf", None), "row_unsigned"),
        (lambda session: setattr(first(session, Healing), "leaf", 0), "row_forged"),
    ],
)
def test_a_row_that_does_not_say_what_was_signed_is_named(
    healed: Healed, spoil: Callable[[Any], None], code: str
) -> None:
    with healed.station.sessions.begin() as session:
        spoil(session)
    assert code in codes(verify_archive(healed.station))


def test_a_changed_or_lost_file_is_named(healed: Healed) -> None:
    victims = sorted(healed.station.archive.rglob("backfill-0001/seg-*.mp4"))
    content = victims[0].read_bytes()
    victims[0].write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    victims[1].unlink()
    assert {"changed", "missing"} <= codes(verify_archive(healed.station))


@pytest.mark.parametrize(("first_s", "last_s"), [(5, 10), (6, 11), (6, 10)])
def test_a_healing_beyond_its_gap_or_footage_is_named(disputed: Any, first_s: int, last_s: int) -> None:
    begins = disputed.begins
    said = (begins + timedelta(seconds=first_s), begins + timedelta(seconds=last_s))
    files = 1 if (first_s, last_s) == (6, 10) else 4
    disputed.archive.backfill(
        disputed.window, CAMERA, begins + timedelta(seconds=4 if files > 1 else 6), files, healed=said
    )
    assert codes(verify_archive(disputed.station)) == {"healing"}


@pytest.fixture
def bag(healed: Healed, tmp_path: Path) -> Path:
    export_bag(healed.station, healed.disputed.request(), tmp_path / "bag")
    return tmp_path / "bag"


def test_the_bag_holds_it_in_a_place_of_its_own_and_its_verifier_says_so(healed: Healed, bag: Path) -> None:
    report = verify_bag(bag)
    assert report.outcome == "intact"
    assert report.backfilled == 4
    (part,) = report.healed
    assert (part["source"], part["uncertainty_s"], part["take"]) == (SOURCE, 3, healed.take)
    assert len(report.gaps) == 1
    place = bag / "data" / "backfilled" / CAMERA / healed.disputed.window / "backfill-0001"
    assert len(list(place.glob("seg-*.mp4"))) == 4
    assert list((bag / "data" / "segments").rglob("backfill-*")) == []
    alone = subprocess.run(
        [sys.executable, "-I", "-S", str(bag / "verify.py"), str(bag)], capture_output=True, check=False
    )
    assert alone.returncode == 0, alone.stdout.decode() + alone.stderr.decode()
    assert f"补录 backfilled: {CAMERA}" in alone.stdout.decode()
    assert SOURCE in alone.stdout.decode()


def test_the_report_and_the_copies_say_where_it_came_from(bag: Path) -> None:
    report = (bag / "data" / "report.html").read_text(encoding="utf-8")
    assert f"补录，来自 {SOURCE}" in report
    assert "补录片段" in report
    assert "±3.0 秒" in report or "±3 秒" in report
    assert (bag / "data" / "viewing" / f"derived-viewing-copy-{CAMERA}-backfilled.mp4").is_file()
    assert f"  data/backfilled/{CAMERA}/" in (bag / "data/by-hand.md").read_text(encoding="utf-8")


def test_an_export_that_begins_within_it_verifies(healed: Healed, tmp_path: Path) -> None:
    result = export_bag(healed.station, healed.disputed.request(7.5, 8.5), tmp_path / "bag")
    assert (result.backfilled, result.gaps) == (2, 1)
    assert verify_bag(tmp_path / "bag").outcome == "intact"


@pytest.mark.parametrize(
    ("where", "code"),
    [("data/backfilled/{}/seg-00002.mp4", "changed"), ("data/backfilled/{}/seg-00003.mp4", "missing")],
)
def test_a_changed_or_removed_file_of_the_bag_is_named(
    healed: Healed, bag: Path, where: str, code: str
) -> None:
    victim = bag / where.format(f"{CAMERA}/{healed.disputed.window}/backfill-0001")
    if code == "missing":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert (code, victim.relative_to(bag).as_posix()) in {(one.code, one.path) for one in report.findings}


@pytest.mark.parametrize("kind", ["backfill.opened", "backfill.segment", "backfill.closed", "gap.healed"])
def test_a_record_taken_out_of_the_bag_is_named(bag: Path, kind: str) -> None:
    records = bag / "data" / "evidence" / "records.jsonl"
    lines = records.read_text(encoding="utf-8").splitlines(keepends=True)
    gone = next(line for line in lines if json.loads(json.loads(line)["entry"])["kind"] == kind)
    records.write_text("".join(line for line in lines if line != gone), encoding="utf-8")
    report = verify_bag(bag)
    assert report.outcome == "altered"
    assert "record_missing" in codes(report)


def test_footage_passed_off_as_recorded_is_named(healed: Healed, bag: Path) -> None:
    place = bag / "data" / "backfilled" / CAMERA / healed.disputed.window / "backfill-0001"
    shutil.move(place, bag / "data" / "segments" / CAMERA / healed.disputed.window / "take-0009")
    assert {"missing", "unexpected"} <= codes(verify_bag(bag))


def test_a_moment_in_the_gap_is_answered_by_backfilled_footage_and_still_not_recorded(healed: Healed) -> None:
    result = find(healed.station, ROOM, None, healed.at(7.5))
    camera = next(one for one in result.cameras if one.camera_id == CAMERA)
    assert camera.at_moment is State.BACKFILLED
    assert not camera.recorded
    assert all(segment.offset_s is None for segment in camera.segments)
    (holder,) = [one for one in camera.backfilled if one.segment.offset_s is not None]
    assert (holder.source, holder.segment.number, holder.segment.offset_s) == (SOURCE, 2, 1.5)
    assert [one.overlapping_s for one in camera.backfilled] == [2, 0, 0, 2]
    line = [(part.state, part.seconds) for part in camera.timeline if part.state is not State.NOT_EXPECTED]
    assert line == [(State.RECORDED, 6), (State.BACKFILLED, 4), (State.RECORDED, 10)]
    body = find_json(result)
    stated = next(one for one in body["cameras"] if one["camera"] == CAMERA)
    assert stated["at_moment"] == "backfilled"
    assert stated["backfilled"][1]["source"] == SOURCE
    assert next(part for part in stated["timeline"] if part["state"] == "backfilled")["source"] == SOURCE


def test_a_moment_that_was_recorded_stays_so_where_backfilled_footage_overlaps(healed: Healed) -> None:
    result = find(healed.station, ROOM, None, healed.at(5))
    camera = next(one for one in result.cameras if one.camera_id == CAMERA)
    assert camera.recorded
    assert all(one.segment.offset_s is None for one in camera.backfilled)


def test_it_can_be_watched(healed: Healed) -> None:
    assert viewing_clip(healed.station, healed.take, 1, 4).stat().st_size > 1000


def test_the_pages_show_it_as_what_it_is(healed: Healed, sign_in: Callable[..., Any]) -> None:
    with TestClient(create_app(healed.station), base_url="http://127.0.0.1") as client:
        sign_in(client, healed.station)
        status = client.get("/api/v1/status?day=2024-11-23").json()
        camera = status["windows"][0]["cameras"][0]
        assert (camera["seconds"]["recorded"], camera["seconds"]["backfilled"], camera["seconds"]["gap"]) == (
            16,
            4,
            0,
        )
        assert status["gaps"][0]["healed_s"] == 4
        page = client.get("/?day=2024-11-23").text
        assert "缺口 4秒，补录 4秒" in page
        assert f"补录自{SOURCE}" in page
        moment = f"{healed.at(7.5).astimezone(healed.station.site.zone):%Y-%m-%d %H:%M:%S}"
        found = client.get("/footage", params={"room": ROOM, "at": moment, "minutes": "1"}).text
        assert "这一刻没有录像" not in found  # the other camera recorded it
        assert "补录：不是本系统录制" in found
        assert SOURCE in found
        clip = client.get(f"/api/v1/clips/{healed.take}/1-4.mp4")
        assert clip.status_code == 200
