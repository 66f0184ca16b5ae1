"""The whole archive against its log: every file, every row, every record, both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.database import Gap, Segment, Take, Window
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.verify import Report, verify_archive


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def change_row(disputed: Any, table: type, change: Callable[[Any], None], **which: Any) -> None:
    with disputed.station.sessions.begin() as session:
        change(session.query(table).filter_by(**which).first())


def test_an_archive_as_it_was_recorded_is_intact(disputed: Any, tmp_path: Path) -> None:
    export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    steps: list[tuple[int, int]] = []
    report = verify_archive(disputed.station, progress=lambda done, total: steps.append((done, total)))
    assert (report.outcome, report.findings) == ("intact", ())
    assert (report.segments, report.files, report.records) == (18, 18, disputed.station.log.size)
    assert steps[-1] == (report.bytes, report.bytes)


def test_nothing_recorded_is_intact_too(small_archive: Any) -> None:
    assert verify_archive(small_archive.station).outcome == "intact"


def test_one_changed_byte_is_named(disputed: Any) -> None:
    victim = next(disputed.station.archive.rglob("back-right/*/take-0001/seg-00004.mp4"))
    content = victim.read_bytes()
    victim.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    report = verify_archive(disputed.station)
    assert report.outcome == "altered"
    assert [(finding.code, finding.path) for finding in report.findings] == [
        ("changed", victim.relative_to(disputed.station.archive).as_posix())
    ]


def test_a_missing_file_is_named(disputed: Any) -> None:
    victim = next(disputed.station.archive.rglob("front-left/*/take-0002/seg-00005.mp4"))
    victim.unlink()
    report = verify_archive(disputed.station)
    assert report.outcome == "altered"
    assert [finding.code for finding in report.findings] == ["missing"]


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        (Segment, "sha256", "0" * 64),
        (Segment, "frames", 1),
        (Segment, "number", 99),
        (Take, "end_cause", "stream_lost"),
        (Gap, "cause", "disk_full"),
        (Window, "camera_ids", "front-left"),
    ],
)
def test_a_row_that_was_changed_is_found(disputed: Any, table: type, field: str, value: Any) -> None:
    change_row(disputed, table, lambda row: setattr(row, field, value))
    report = verify_archive(disputed.station)
    assert report.outcome == "altered"
    assert codes(report) == {"row_differs"}


def test_a_row_that_was_deleted_is_found(disputed: Any) -> None:
    with disputed.station.sessions.begin() as session:
        session.delete(session.query(Segment).filter_by(camera_id="back-right", number=10).one())
    report = verify_archive(disputed.station)
    assert report.outcome == "altered"
    assert codes(report) == {"row_missing"}


def test_a_row_that_names_a_record_of_something_else_is_found(disputed: Any) -> None:
    change_row(disputed, Segment, lambda row: setattr(row, "leaf", 0), camera_id="back-right", number=3)
    assert codes(verify_archive(disputed.station)) == {"row_missing", "row_forged"}


def test_a_row_that_is_not_signed_cannot_be_judged(disputed: Any) -> None:
    victim = next(disputed.station.archive.rglob("back-right/*/take-0001/seg-00010.mp4"))
    with disputed.station.sessions.begin() as session:
        last = session.query(Segment).filter_by(camera_id="back-right", number=10).one()
        facts = {
            name: getattr(last, name)
            for name in ("take_id", "room_id", "camera_id", "bytes", "sha256", "starts_at", "ends_at")
        }
        facts |= {name: getattr(last, name) for name in ("frames", "codec", "width", "height")}
        session.add(Segment(**facts, number=11, path=f"{last.path[:-8]}0011.mp4"))
    (victim.parent / "seg-00011.mp4").write_bytes(victim.read_bytes())
    report = verify_archive(disputed.station)
    assert report.outcome == "cannot_judge"
    assert codes(report) == {"row_unsigned", "unknown_file"}


def test_a_log_that_was_rewritten_under_way_is_found(disputed: Any) -> None:
    log = disputed.station.state / "log" / "entries.jsonl"
    log.write_bytes(log.read_bytes().replace(b"stream_lost", b"disk_full__"))
    report = verify_archive(disputed.station)
    assert report.outcome == "altered"
    assert {"log_root", "row_differs"} <= codes(report)


def test_a_window_with_an_unexplained_hole_cannot_be_judged(small_archive: Any) -> None:
    begins = small_archive.local("2024-11-24 09:00:00")
    ends = small_archive.local("2024-11-24 09:00:10")
    window = small_archive.window(begins, ends, room="9-101", cameras=("front-left",), closed=False)
    small_archive.take(window, "front-left", begins, 3)
    small_archive.close(window)
    report = verify_archive(small_archive.station)
    assert report.outcome == "cannot_judge"
    assert codes(report) == {"hole"}


def test_a_camera_that_never_recorded_shows_in_a_window_that_is_over(small_archive: Any) -> None:
    begins = small_archive.local("2024-11-24 09:00:00")
    ends = small_archive.local("2024-11-24 09:00:10")
    small_archive.window(begins, ends, room="9-101", cameras=("front-left",), closed=False)
    report = verify_archive(small_archive.station)
    assert report.outcome == "cannot_judge"
    assert "front-left" in report.findings[0].message


def test_a_take_that_was_never_closed_cannot_be_judged_once_its_window_is_over(small_archive: Any) -> None:
    begins = small_archive.local("2024-11-24 09:00:00")
    ends = small_archive.local("2024-11-24 09:00:06")
    window = small_archive.window(begins, ends, room="9-101", cameras=("front-left",), closed=False)
    small_archive.take(window, "front-left", begins, 3, running=True)
    assert codes(verify_archive(small_archive.station)) == {"take_open"}
