"""The acceptance sheet of a demo room, from the real engine's verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.verdict import Outcome
from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.inspection.checklist import CHECKLIST
from kaozheng_service.inspection.outcome import propose
from kaozheng_service.inspection.pictures import write_picture
from kaozheng_service.inspection.result import CameraInspection, CameraRecording, RoomInspection
from kaozheng_service.inspection.sheet import acceptance_sheet, sheet_data
from kaozheng_service.paper import short_hash
from kaozheng_vision.diagnose import diagnose
from kaozheng_vision.failures import Failure
from kaozheng_vision.probe import ProbeResult

ROOM = "9-101"
CHECKPOINT = "kaozheng/demo-college\n12\nq0m0J0n1m6mT8v6C2qH0wE0c=\n\n— kaozheng/demo-college Az3g\n"


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml")


@pytest.fixture(scope="module")
def inspection(site: Site, tmp_path_factory: pytest.TempPathFactory) -> RoomInspection:
    """One camera shows a picture, the other is dead."""
    folder = tmp_path_factory.mktemp("inspection")
    room = site.room(ROOM)
    geometry, (alive, dead) = room_geometry(room), room_cameras(room)
    verdict = judge_room(geometry, (alive, dead), room_profile(site, room), unverified=frozenset({dead.id}))
    frame = np.full((1080, 1920, 3), 128, np.uint8)
    picture = write_picture(frame, geometry, alive, verdict, folder / "alive.jpg")
    cameras = (
        CameraInspection(
            alive.id,
            ProbeResult(codec="h264", width=1920, height=1080, size_matches=True, fps=25.0, frames=(frame,)),
            diagnose([frame]),
            picture,
        ),
        CameraInspection(dead.id, ProbeResult(failure=Failure.REFUSED), diagnose([]), None),
    )
    recordings = (
        CameraRecording(alive.id, 1, 10.0, 10.0, 250, 2_000_000, ()),
        CameraRecording(dead.id, 0, 0.0, 10.0, 0, 0, ("没有录到任何片段",)),
    )
    outcome, reasons = propose(verdict, cameras, recordings)
    return RoomInspection(
        id="20241122-090000-9-101",
        room_id=ROOM,
        at=datetime(2024, 11, 22, 1, 0, tzinfo=UTC),
        outcome=outcome,
        reasons=reasons,
        verdict=verdict,
        cameras=cameras,
        window_id="w",
        recordings=recordings,
        checkpoint=CHECKPOINT,
        key_fingerprint="01234 56789 01234 56789 01234 56789",
        sheet=folder / "acceptance.pdf",
        result=folder / "result.json",
        leaf=12,
    )


def test_the_sheet_is_a_small_pdf_and_the_same_inspection_gives_the_same_bytes(
    site: Site, inspection: RoomInspection, tmp_path: Path
) -> None:
    first = acceptance_sheet(site, inspection, tmp_path / "first.pdf").read_bytes()
    second = acceptance_sheet(site, inspection, tmp_path / "second.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    assert len(first) < 5_000_000
    assert first == second


def test_the_sheet_says_the_conclusion_in_the_sites_own_time(site: Site, inspection: RoomInspection) -> None:
    data = sheet_data(site, inspection)
    assert data["at"] == "2024-11-22 09:00:00（Asia/Shanghai）"
    assert data["outcome_name"] == "不合格"
    assert data["counts"]["cameras_live"] == 1
    assert data["counts"]["recordings_valid"] == 1


def test_every_seat_and_zone_that_does_not_pass_is_listed_with_reason_and_mend(
    site: Site, inspection: RoomInspection
) -> None:
    listed = sheet_data(site, inspection)["failures"]
    against = [target for target in inspection.verdict.targets if target.outcome is not Outcome.PASS]
    assert len(listed) == len(against) > 0
    for row in listed:
        assert all(row["reasons"])
        assert row["reasons"]
        assert row["mend"]


def test_a_dead_camera_stands_on_the_sheet_with_its_reason_and_without_a_picture(
    site: Site, inspection: RoomInspection
) -> None:
    alive, dead = sheet_data(site, inspection)["cameras"]
    assert (alive["size"], alive["fps"], alive["picture"]) == ("1920×1080", "25.0", f"{alive['id']}.jpg")
    assert "拒绝连接" in dead["failure"]
    assert dead["picture"] is None


def test_the_whole_manual_checklist_is_on_the_sheet(site: Site, inspection: RoomInspection) -> None:
    assert [row["text"] for row in sheet_data(site, inspection)["checklist"]] == [
        one.text for one in CHECKLIST
    ]


def test_the_checkpoint_is_printed_whole_with_a_hash_to_compare(
    site: Site, inspection: RoomInspection
) -> None:
    data = sheet_data(site, inspection)
    assert data["checkpoint"] == CHECKPOINT.strip()
    assert data["checkpoint_hash"] == short_hash(CHECKPOINT)


def test_a_name_with_typst_markup_is_printed_and_not_obeyed(
    site: Site, inspection: RoomInspection, tmp_path: Path
) -> None:
    reasons = ('#panic("obeyed")', "*粗* [ ] $x$ \\ @label")
    sheet = acceptance_sheet(site, replace(inspection, reasons=reasons), tmp_path / "markup.pdf")
    assert sheet.stat().st_size > 0


def test_the_sheet_says_what_is_lost_with_each_camera(site, inspection):
    losses = {one["id"]: one["lost"] for one in sheet_data(site, inspection)["losses"]}
    assert list(losses) == [camera.id for camera in site.room(ROOM).cameras]
    # The other camera's picture is not verified, so every seat that passes rests on this one alone.
    passing = [seat for seat in inspection.verdict.seats if seat.outcome is Outcome.PASS]
    alive = inspection.cameras[0].camera_id
    assert len([name for name in losses[alive] if name.startswith("座位")]) == len(passing)
