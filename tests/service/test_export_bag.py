"""An export: originals untouched, everything that explains them, a report, nothing secret, nothing overwritten."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import bagit
import pytest
from kaozheng_service.clock import now
from kaozheng_service.database import Segment
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.errors import ServiceError, UserError
from sqlalchemy import select


def records(bag: Path) -> list[dict[str, Any]]:
    lines = (bag / "data/evidence/records.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(json.loads(line)["entry"]) for line in lines]


def test_a_bag_holds_every_original_of_the_range_byte_for_byte(disputed: Any, tmp_path: Path) -> None:
    result = export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    with disputed.station.sessions() as session:
        rows = session.scalars(select(Segment)).all()
    request = disputed.request()
    wanted = [row for row in rows if row.starts_at < request.ends_at and row.ends_at > request.starts_at]
    assert result.segments == len(wanted) == 10
    for row in wanted:
        take = row.take_id.rpartition("/")[2]
        copy = (
            tmp_path / f"bag/data/segments/{row.camera_id}/{disputed.window}/{take}/seg-{row.number:05d}.mp4"
        )
        assert copy.read_bytes() == (disputed.station.archive / row.path).read_bytes()


def test_the_bag_is_a_bag_to_the_library_of_congress_tool(pristine_bag: Path, tmp_path: Path) -> None:
    bag = bagit.Bag(str(shutil.copytree(pristine_bag, tmp_path / "bag")))
    assert bag.validate()
    assert bag.version == "1.0"


def test_the_log_keeps_what_was_handed_over_and_why(disputed: Any, tmp_path: Path) -> None:
    result = export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    signed = json.loads(disputed.station.log.entry(result.leaf))
    assert (signed["kind"], signed["export"], signed["seat"]) == ("export", result.id, "17")
    assert signed["reason"] == "考生对座位17的成绩提出异议"
    for name, digest in signed["files"].items():
        assert hashlib.sha256((tmp_path / "bag" / name).read_bytes()).hexdigest() == digest
    unsigned = {
        path.relative_to(tmp_path / "bag").as_posix()
        for path in (tmp_path / "bag").rglob("*")
        if path.is_file()
    }
    assert unsigned - set(signed["files"]) == {
        "bagit.txt",
        "bag-info.txt",
        "manifest-sha256.txt",
        "tagmanifest-sha256.txt",
        "data/evidence/records.jsonl",
        "data/evidence/checkpoint",
    }


def test_the_neighbours_of_the_range_come_as_records_alone(pristine_bag: Path) -> None:
    segments = [record for record in records(pristine_bag) if record["kind"] == "segment"]
    right = [record["number"] for record in segments if record["camera"] == "back-right"]
    assert right == [1, 2, 3, 4, 5, 6, 7, 8]
    folder = next((pristine_bag / "data/segments/back-right").rglob("take-0001"))
    assert [path.name for path in sorted(folder.iterdir())] == [
        f"seg-{number:05d}.mp4" for number in range(2, 8)
    ]


def test_a_viewing_copy_is_labelled_and_never_runs_on_over_a_gap(pristine_bag: Path) -> None:
    copies = sorted((pristine_bag / "data/viewing").glob("*.mp4"))
    assert [path.name for path in copies] == [
        "derived-viewing-copy-back-right.mp4",
        "derived-viewing-copy-front-left-1.mp4",
        "derived-viewing-copy-front-left-2.mp4",
    ]
    frames = []
    for path in copies:
        with av.open(str(path)) as container:
            assert "不是证据原件" in container.metadata["title"]
            frames.append(sum(1 for _ in container.decode(video=0)))
        head = path.read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")
    assert frames == [300, 100, 100]


def test_the_report_tells_what_was_asked_and_what_is_missing(pristine_bag: Path) -> None:
    report = (pristine_bag / "data/report.html").read_text(encoding="utf-8")
    for words in (
        "考生对座位17的成绩提出异议",
        "第一考场 理论考试",
        "视频流中断",
        "09:00:06.000",
        "1 处缺口",
    ):
        assert words in report
    assert "<script" not in report
    assert not re.findall(r'(?:src|href)="(?!viewing/|segments/|report\.pdf"|by-hand\.md")', report)


def test_a_reason_cannot_smuggle_markup_into_the_report(disputed: Any, tmp_path: Path) -> None:
    export_bag(
        disputed.station, disputed.request(reason="<script>alert(1)</script>\nSource: x"), tmp_path / "bag"
    )
    assert "<script>" not in (tmp_path / "bag/data/report.html").read_text(encoding="utf-8")
    assert verify_bag(tmp_path / "bag").outcome == "intact"


def test_no_camera_address_or_private_key_leaves_the_site(pristine_bag: Path) -> None:
    for path in pristine_bag.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"rtsp://" not in content
            assert b"PRIVATE KEY" not in content


def test_a_part_that_no_camera_recorded_can_be_exported_as_its_explanation(
    disputed: Any, tmp_path: Path
) -> None:
    request = disputed.request(7, 9, camera_ids=("front-left",))
    result = export_bag(disputed.station, request, tmp_path / "bag")
    assert (result.segments, result.gaps) == (0, 1)
    assert verify_bag(tmp_path / "bag").outcome == "intact"


def test_an_original_that_was_changed_is_refused_by_name(disputed: Any, tmp_path: Path) -> None:
    victim = next(disputed.station.archive.rglob("back-right/*/take-0001/seg-00003.mp4"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    with pytest.raises(ServiceError, match=r"back-right.*seg-00003\.mp4 is not as it was signed"):
        export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    assert not list(tmp_path.glob("*bag*"))


def test_a_damaged_archive_can_still_be_handed_over_and_says_so(disputed: Any, tmp_path: Path) -> None:
    changed, gone = (
        next(disputed.station.archive.rglob(f"back-right/*/take-0001/seg-0000{number}.mp4"))
        for number in (3, 5)
    )
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    gone.unlink()
    export_bag(disputed.station, disputed.request(), tmp_path / "bag", despite_damage=True)
    report = verify_bag(tmp_path / "bag")
    assert report.outcome == "altered"
    named = {finding.path[-13:]: finding.code for finding in report.findings if finding.severity == "altered"}
    assert named == {"seg-00003.mp4": "not_as_recorded", "seg-00005.mp4": "left_out"}
    assert "缺失" in (tmp_path / "bag/data/report.html").read_text(encoding="utf-8")


def test_nothing_is_written_over(disputed: Any, tmp_path: Path) -> None:
    out = tmp_path / "bag"
    out.mkdir()
    size = disputed.station.log.size
    with pytest.raises(UserError, match="is not written over"):
        export_bag(disputed.station, disputed.request(), out)
    assert not list(out.iterdir())
    assert disputed.station.log.size == size


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"first_s": 13, "last_s": 3}, "ends before it begins"),
        ({"reason": " "}, "needs a reason"),
        ({"camera_ids": ()}, "at least one camera"),
        ({"camera_ids": ("nowhere",)}, "nowhere"),
        ({"room_id": "9-999"}, "9-999"),
        ({"first_s": 3600, "last_s": 3700}, "no camera named here had to record"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(
    disputed: Any, tmp_path: Path, asked: dict[str, Any], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        export_bag(disputed.station, disputed.request(**asked), tmp_path / "bag")


def test_the_future_and_an_open_file_are_refused(small_archive: Any, disputed: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="still to come"):
        export_bag(disputed.station, disputed.request(ends_at=now() + timedelta(hours=1)), tmp_path / "bag")
    begins = small_archive.local("2024-11-24 09:00:00")
    window = small_archive.window(begins, begins + timedelta(minutes=1), room="9-101")
    small_archive.take(window, "front-left", begins, 3, running=True)
    request = disputed.request(
        starts_at=begins, ends_at=begins + timedelta(seconds=8), camera_ids=("front-left",)
    )
    with pytest.raises(ServiceError, match=r"file after 2024-11-24T01:00:06\.000Z is still open"):
        export_bag(disputed.station, request, tmp_path / "bag")


def test_progress_counts_the_bytes_of_the_originals(disputed: Any, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    result = export_bag(
        disputed.station,
        disputed.request(),
        tmp_path / "bag",
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps[-1] == (result.bytes, result.bytes)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
