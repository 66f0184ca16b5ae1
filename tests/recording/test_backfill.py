"""Gaps filled afterwards from a real RTSP server that plays back what it kept, or does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Backfill, BackfilledSegment, BackfilledTake, Gap, Healing
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.backfill import Backfiller, backfill_window
from kaozheng_service.recording.leases import try_lease
from kaozheng_service.rehearsal import HOW_TO_INSTALL, KeptFootage, RehearsalServer, gstreamer_python
from kaozheng_service.station import Station, open_station
from sqlalchemy import select, text

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
CLIP = PROJECT / "sample_media" / "9-101" / "front-left.mp4"
ROOM, CAMERA, MOUNT = "9-101", "front-left", "/nvr/front-left"
FORM = "%Y%m%dT%H%M%SZ"
SECRET = "Geheim-4711"  # noqa: S105 - what must never be found again
# Before the gap, the gap itself and after it, s.
BEFORE_S, GAP_S, AFTER_S = 6, 6, 8
PADDING_S = 2


@dataclass
class Lacking:
    """A closed window of a quarter of an hour ago, of which one camera lacks six seconds."""

    path: Path
    window: str
    begins: datetime

    @property
    def station(self) -> Station:
        return open_station(load_site(self.path))

    @property
    def gap(self) -> tuple[datetime, datetime]:
        lost = self.begins + timedelta(seconds=BEFORE_S)
        return lost, lost + timedelta(seconds=GAP_S)

    def rows(self, table: type[Any]) -> list[Any]:
        with self.station.sessions() as session:
            return list(session.scalars(select(table)))

    def job(self) -> Backfill:
        (job,) = self.rows(Backfill)
        return job

    def records(self, kind: str) -> list[dict[str, Any]]:
        entries = [json.loads(entry) for entry in self.station.log.entries()]
        return [entry for entry in entries if entry["kind"] == kind]


def make_lacking(
    folder: Path, archives: Any, media: list[Path], gap_s: float = GAP_S, **playback: Any
) -> Lacking:
    site = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    site.pop("timetable")
    site["rooms"] = [room for room in site["rooms"] if room["id"] == ROOM]
    site["recording"] = {"segment_s": 3, "silence_s": 3}
    site["credentials"] = [{"id": "nvr", "username": "admin", "password_env": "KAOZHENG_TEST_PASSWORD"}]
    facts = {"padding_s": PADDING_S, "retry_s": 1, "attempts": 2} | playback
    site["rooms"][0]["cameras"][0]["playback"] = facts
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    archive = archives.SmallArchive(open_station(load_site(path)), media)
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=15)
    lost = begins + timedelta(seconds=BEFORE_S)
    back = lost + timedelta(seconds=gap_s)
    window = archive.window(
        begins, back + timedelta(seconds=AFTER_S), room=ROOM, cameras=(CAMERA,), closed=False
    )
    archive.take(window, CAMERA, begins, BEFORE_S // 2)
    archive.gap(window, CAMERA, lost, back, "stream_lost", "the stream ended")
    archive.take(window, CAMERA, back, AFTER_S // 2, number=2)
    archive.close(window)
    return Lacking(path, window, begins)


@pytest.fixture
def lacking(
    need: Any, small_archives: Any, h264_segments: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Lacking]:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    monkeypatch.setenv("KAOZHENG_TEST_PASSWORD", SECRET)
    return lambda **facts: make_lacking(tmp_path, small_archives, h264_segments, **facts)


def recorder(until: datetime | None = None, **login: str) -> RehearsalServer:
    """An NVR that has recorded the camera for the last hour."""
    origin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    server = RehearsalServer({}, kept=KeptFootage({MOUNT: CLIP}, origin, until), **login)
    server.start()
    return server


@pytest.fixture
def nvr(need: Any) -> Iterator[RehearsalServer]:
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    with recorder(user="admin", password=SECRET) as server:
        yield server


def address(server: RehearsalServer, mount: str = MOUNT) -> str:
    where = server.url(MOUNT).replace(MOUNT, mount)
    return f"{where}?starttime={{start:{FORM}}}&endtime={{end:{FORM}}}"


def test_a_gap_is_healed_by_a_take_of_its_own_and_stays_a_gap(lacking, nvr, tmp_path):
    site = lacking(url=address(nvr), credential="nvr", name="9号楼录像机")
    lost, back = site.gap
    (result,) = backfill_window(site.station, site.window)
    assert (result.state, result.reason, result.missing_s) == ("healed", "", 0)
    (take,) = site.rows(BackfilledTake)
    assert take.id == f"{site.window}/{CAMERA}/backfill-0001"
    assert (take.source, take.time_source, take.end_cause) == (
        "9号楼录像机",
        "requested_range",
        "range_ended",
    )
    # The device's clock may be off by 2 s, as its entry says, and it may begin at another keyframe: 1 s apart here.
    assert take.uncertainty_s == pytest.approx(3.0, abs=0.1)
    assert (take.asked_from, take.asked_to) == (lost - timedelta(seconds=2), back + timedelta(seconds=2))
    segments = site.rows(BackfilledSegment)
    assert segments[0].starts_at == take.asked_from
    assert (segments[-1].ends_at - take.asked_to).total_seconds() == pytest.approx(0, abs=0.3)
    for one, two in pairwise(segments):
        assert (two.starts_at - one.ends_at).total_seconds() == pytest.approx(0, abs=0.05)
    assert sum(row.overlapping_s for row in segments) == pytest.approx(2 * PADDING_S, abs=0.3)
    (healing,) = site.rows(Healing)
    assert (healing.starts_at, healing.ends_at) == (lost, back)
    (gap,) = site.rows(Gap)
    (healed,) = site.records("gap.healed")
    assert (healed["gap"], healed["take"]) == (gap.leaf, take.id)
    (opened,) = site.records("backfill.opened")
    assert opened["backfilled"] is True
    assert len(site.records("take.opened")) == 2
    assert verify_archive(site.station).outcome == "intact"
    holding = [
        file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()
    ]
    assert holding == []


def test_what_was_fetched_is_what_the_device_kept_of_that_time(lacking, nvr):
    site = lacking(url=address(nvr), credential="nvr")
    backfill_window(site.station, site.window)
    first = site.rows(BackfilledSegment)[0]
    kept = decoded(CLIP)
    origin = nvr._kept.origin
    into_s = (first.starts_at - origin).total_seconds() % (len(kept) / 25)
    (picture, *_) = decoded(site.station.archive / first.path)
    # The server begins at a keyframe, one a second.
    near = range(round((into_s - 1) * 25), round(into_s * 25) + 1)
    assert any(np.array_equal(picture, kept[index % len(kept)]) for index in near)


def test_a_second_time_nothing_is_done_twice(lacking, nvr):
    site = lacking(url=address(nvr), credential="nvr")
    backfill_window(site.station, site.window)
    size, asked = site.station.log.size, len(nvr.asked)
    (result,) = backfill_window(site.station, site.window, CAMERA)
    assert result.state == "healed"
    assert (site.station.log.size, len(nvr.asked)) == (size, asked)


def test_a_device_that_ends_early_heals_a_part_and_the_rest_stays_a_gap(lacking):
    site = lacking(url="rtsp://x/a?s={start}&e={end}")
    lost, _ = site.gap
    with recorder(until=lost + timedelta(seconds=3)) as nvr:
        change_url(site, address(nvr))
        backfiller_until(site, lambda: site.job().state not in ("waiting", "fetching"))
    job = site.job()
    assert (job.state, job.attempts) == ("partly", 2)
    healings = site.rows(Healing)
    healed_s = sum((row.ends_at - row.starts_at).total_seconds() for row in healings)
    assert healed_s == pytest.approx(3, abs=0.3)
    assert healings[0].starts_at == lost
    (given_up,) = site.records("backfill.given_up")
    assert given_up["missing_s"] == pytest.approx(GAP_S - healed_s, abs=0.01)
    assert verify_archive(site.station).outcome == "intact"


def test_a_device_that_has_nothing_is_asked_a_bounded_number_of_times(lacking):
    site = lacking(url="rtsp://x/a?s={start}&e={end}")
    with recorder(until=site.begins - timedelta(minutes=5)) as nvr:
        change_url(site, address(nvr))
        backfiller_until(site, lambda: site.job().state == "given_up")
        for _ in range(5):
            Backfiller(site.station).tick()
        assert len(nvr.asked) == 2
    assert "400" in site.job().reason
    assert site.rows(BackfilledTake) == site.rows(Healing) == []
    (given_up,) = site.records("backfill.given_up")
    assert (given_up["attempts"], given_up["missing_s"]) == (2, GAP_S)
    assert verify_archive(site.station).outcome == "intact"


@pytest.mark.parametrize(("change", "reason"), [("gone", "refused"), ("path", "404"), ("password", "401")])
def test_why_a_device_gave_nothing_is_told_and_its_password_is_not(
    lacking, nvr, change, reason, monkeypatch, tmp_path
):
    site = lacking(url=address(nvr, "/nowhere" if change == "path" else MOUNT), credential="nvr", attempts=5)
    if change == "gone":
        nvr.stop()
    if change == "password":
        monkeypatch.setenv("KAOZHENG_TEST_PASSWORD", SECRET + "x")
    (result,) = backfill_window(site.station, site.window)
    assert reason in result.reason
    assert result.missing_s == GAP_S
    # A login that was refused is not tried again by itself: devices lock accounts.
    assert result.state == ("given_up" if change == "password" else "waiting")
    assert site.rows(BackfilledTake) == []
    holding = [
        file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()
    ]
    assert holding == []


def test_a_dead_process_is_taken_up_where_it_was_and_its_child_goes_on(lacking, nvr):
    site = lacking(url=address(nvr), credential="nvr", gap_s=10)
    service = serve(site)
    eventually(lambda: site.rows(Backfill) and child_of(site) and nvr.asked)
    time.sleep(3)
    service.kill()
    service.wait()
    child = child_of(site)
    assert alive(child)
    assert site.job().state == "fetching"
    service = serve(site)
    try:
        eventually(lambda: site.job().state == "healed")
    finally:
        service.terminate()
        service.wait(timeout=30)
    assert site.job().attempts == 1
    assert len(nvr.asked) == len(site.rows(BackfilledTake)) == len(site.rows(Healing)) == 1
    for kind in ("backfill.opened", "backfill.closed", "gap.healed"):
        assert len(site.records(kind)) == 1
    assert verify_archive(site.station).outcome == "intact"


def test_after_a_power_cut_what_came_is_kept_and_the_rest_is_fetched(lacking, nvr):
    site = lacking(url=address(nvr), credential="nvr", gap_s=10)
    service = serve(site)
    eventually(lambda: site.rows(Backfill) and child_of(site) and nvr.asked)
    time.sleep(6)
    child = child_of(site)
    service.kill()
    os.kill(child, signal.SIGKILL)
    service.wait()
    backfiller_until(site, lambda: site.job().state == "healed")
    takes, healings = site.rows(BackfilledTake), site.rows(Healing)
    assert [take.number for take in takes] == [1, 2]
    assert takes[0].end_cause != "range_ended"
    assert len(healings) == 2
    assert healings[0].ends_at == healings[1].starts_at
    assert sum((row.ends_at - row.starts_at).total_seconds() for row in healings) == pytest.approx(
        10, abs=0.01
    )
    assert verify_archive(site.station).outcome == "intact"


def test_a_window_that_begins_ends_the_fetch_and_it_goes_on_later(
    lacking, nvr, small_archives, h264_segments
):
    site = lacking(url=address(nvr), credential="nvr", gap_s=10)
    station = site.station
    backfiller = Backfiller(station)
    backfiller.tick()
    eventually(lambda: nvr.asked)
    time.sleep(4)
    archive = small_archives.SmallArchive(station, h264_segments)
    present = datetime.now(UTC)
    archive.window(present, present + timedelta(seconds=4), room=ROOM, cameras=(CAMERA,), closed=False)
    eventually(lambda: backfiller.tick() or site.job().state == "waiting")
    assert site.job().attempts == 0
    asked = len(nvr.asked)
    backfiller.tick()
    assert len(nvr.asked) == asked
    time.sleep(5)
    backfiller_until(site, lambda: site.job().state == "healed")
    assert [take.end_cause for take in site.rows(BackfilledTake)] == ["live_recording", "range_ended"]
    assert sum((row.ends_at - row.starts_at).total_seconds() for row in site.rows(Healing)) == pytest.approx(
        10, abs=0.01
    )


@pytest.mark.parametrize("during", [False, True])
def test_while_a_window_is_recorded_only_a_camera_that_allows_it_is_asked(
    lacking, nvr, during, small_archives, h264_segments
):
    site = lacking(url=address(nvr), credential="nvr", during=during)
    archive = small_archives.SmallArchive(site.station, h264_segments)
    present = datetime.now(UTC)
    archive.window(present, present + timedelta(minutes=5), room=ROOM, cameras=(CAMERA,), closed=False)
    backfiller = Backfiller(site.station)
    for _ in range(3):
        backfiller.tick()
    assert [job.state for job in site.rows(Backfill)] == (["fetching"] if during else [])
    if during:
        eventually(lambda: backfiller.tick() or site.job().state == "healed")
    backfiller.release()


def test_a_device_that_plays_on_and_whose_sound_fits_no_mp4(lacking):
    """It ignores the end of the range and sends G.711: it is cut off after the length, its sound made AAC."""
    picture = f"filesrc location={CLIP} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
    sound = "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8"
    site = lacking(url="rtsp://x/a?s={start}&e={end}", gap_s=3, padding_s=1)
    with RehearsalServer({}, launched={"/on": f"( {picture} {sound} )"}) as server:
        change_url(site, f"{server.url('/on')}?s={{start}}&e={{end}}")
        backfiller_until(site, lambda: site.job().state == "healed")
    assert (site.job().attempts, site.job().audio_codec) == (1, "aac")
    (take,) = site.rows(BackfilledTake)
    played_s = sum((row.ends_at - row.starts_at).total_seconds() for row in site.rows(BackfilledSegment))
    asked_s = (take.asked_to - take.asked_from).total_seconds()
    assert asked_s <= played_s + 0.5
    assert played_s <= asked_s + 4


def test_a_database_of_before_is_opened_and_its_gaps_are_filled(lacking, nvr):
    site = lacking(url=address(nvr), credential="nvr")
    for table in ("healings", "backfilled_segments", "backfilled_takes", "backfills"):
        with site.station.sessions.begin() as session:
            session.execute(text(f"DROP TABLE {table}"))
    (result,) = backfill_window(site.station, site.window)
    assert result.state == "healed"


def test_two_processes_never_fetch_at_once(lacking, nvr):
    site = lacking(url=address(nvr), credential="nvr")
    lease = try_lease(site.station.state / "locks" / "backfill.lock")
    with pytest.raises(ServiceError, match="another process is fetching"):
        backfill_window(site.station, site.window)
    Backfiller(site.station).tick()
    assert site.rows(Backfill) == []
    lease.release()


def test_a_window_that_is_not_there_or_not_over_is_refused(lacking, small_archives, h264_segments):
    site = lacking(url="rtsp://x/a?s={start}&e={end}")
    with pytest.raises(UserError, match="no window 'x'"):
        backfill_window(site.station, "x")
    with pytest.raises(UserError, match="no camera 'x'; it has front-left"):
        backfill_window(site.station, site.window, "x")
    present = datetime.now(UTC)
    archive = small_archives.SmallArchive(site.station, h264_segments)
    window = archive.window(present, present + timedelta(hours=1), room=ROOM, closed=False)
    with pytest.raises(UserError, match="not over yet"):
        backfill_window(site.station, window)


def test_gaps_of_which_nothing_can_be_kept_are_left_alone(lacking, nvr, small_archives, h264_segments):
    site = lacking(url=address(nvr), credential="nvr")
    with site.station.sessions.begin() as session:
        session.scalars(select(Gap)).one().cause = "clock_step"
    Backfiller(site.station).tick()
    (result,) = backfill_window(site.station, site.window)
    assert result.state == "not_kept"
    assert nvr.asked == []


def change_url(site: Lacking, url: str) -> None:
    body = yaml.safe_load(site.path.read_text(encoding="utf-8"))
    body["rooms"][0]["cameras"][0]["playback"]["url"] = url
    site.path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")


def serve(site: Lacking) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kaozheng_service", "serve", "-c", str(site.path), "--port", "0"]
    with (site.path.parent / "serve.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def child_of(site: Lacking) -> int | None:
    for intent in (site.path.parent / "archive").rglob("backfill-*/take.json"):
        child = json.loads(intent.read_text(encoding="utf-8"))["child"]
        if child:
            return int(child["pid"])
    return None


def alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


def backfiller_until(site: Lacking, done: Callable[[], Any]) -> None:
    backfiller = Backfiller(site.station)
    eventually(lambda: backfiller.tick() or (site.rows(Backfill) and done()))
    backfiller.release()


def eventually(done: Callable[[], Any]) -> None:
    for _ in range(400):
        if done():
            return
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
