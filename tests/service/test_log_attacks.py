"""What a site can do to its own log with the true key in hand, and who finds it out: a printed checkpoint does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.cli import app
from kaozheng_service.database import Gap, Segment
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.verify import verify_archive, verify_bag
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.anchor import hold_against
from kaozheng_service.evidence.log import LogDamagedError
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import SheetPrinted
from kaozheng_service.retention.records import SegmentDeleted
from kaozheng_service.station import Station, open_station
from typer.testing import CliRunner, Result

Lines = list[bytes]


def print_paper(disputed: Any) -> str:
    """A checkpoint on a sheet, and its record."""
    log = disputed.station.log
    text: str = log.checkpoint()
    size = parse_checkpoint(text).size
    facts = {"at": disputed.begins, "window": disputed.window, "room": "9-101", "sha256": "0" * 64}
    log.append(SheetPrinted(log_size=size, **facts))
    return text


def rewrite(disputed: Any, change: Callable[[Lines], Lines]) -> Station:
    """The strongest attacker: entries rewritten, all that follows from them removed, signed anew with the true key."""
    folder: Path = disputed.station.state / "log"
    entries = folder / "entries.jsonl"
    lines = change(entries.read_bytes().splitlines(keepends=True))
    for path in folder.iterdir():
        path.unlink()
    entries.write_bytes(b"".join(lines))
    return open_station(disputed.station.site)


def blame_the_disk(lines: Lines) -> Lines:
    return [line.replace(b"stream_lost", b"disk_full") for line in lines]


def blame_the_disk_in_the_database(disputed: Any) -> None:
    with disputed.station.sessions.begin() as session:
        session.query(Gap).one().cause = "disk_full"


def test_a_log_that_was_rewritten_and_signed_with_the_true_key_is_found_by_the_paper_alone(
    disputed: Any, tmp_path: Path
) -> None:
    paper = print_paper(disputed)
    station = rewrite(disputed, blame_the_disk)
    blame_the_disk_in_the_database(disputed)
    # This is the limit: whoever has no paper is told that all is well.
    assert verify_archive(station).outcome == "intact"
    export_bag(station, disputed.request(), tmp_path / "bag")
    assert verify_bag(tmp_path / "bag").outcome == "intact"
    assert hold_against(station.log, paper).why == "changed"
    report = verify_bag(tmp_path / "bag", printed=[paper])
    assert (report.outcome, report.findings[0].code) == ("altered", "printed_changed")


def test_a_rewritten_log_that_hides_its_proofs_cannot_be_judged(disputed: Any, tmp_path: Path) -> None:
    paper = print_paper(disputed)
    without = rewrite(disputed, lambda lines: blame_the_disk(lines)[:-1])
    blame_the_disk_in_the_database(disputed)
    export_bag(without, disputed.request(), tmp_path / "bag")
    report = verify_bag(tmp_path / "bag", printed=[paper])
    assert report.outcome in ("cannot_judge", "altered")
    assert report.findings[0].code in ("printed_unproven", "printed_changed")


def test_a_log_that_was_cut_back_to_an_older_state_is_found(disputed: Any, tmp_path: Path) -> None:
    older = disputed.station.log.size
    paper = print_paper(disputed)
    later = print_paper(disputed)
    station = rewrite(disputed, lambda lines: lines[: older - 1])
    assert hold_against(station.log, paper).why == "shorter"
    assert verify_archive(station).outcome == "altered"
    # The window's closing was cut off: the database still names it, and nothing is exported of such a log.
    with pytest.raises(Exception, match="verify the archive"):
        export_bag(station, disputed.request(), tmp_path / "bag")
    assert hold_against(station.log, later).why == "shorter"


def test_an_export_of_before_the_printing_cannot_be_held_against_it(disputed: Any, tmp_path: Path) -> None:
    export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    print_paper(disputed)
    report = verify_bag(tmp_path / "bag", printed=[print_paper(disputed)])
    assert (report.outcome, report.findings[0].code) == ("cannot_judge", "printed_later")


def test_a_log_that_is_cut_while_its_checkpoint_stays_is_not_even_opened(disputed: Any) -> None:
    entries = disputed.station.state / "log" / "entries.jsonl"
    entries.write_bytes(b"".join(entries.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(LogDamagedError, match="were signed"):
        open_station(disputed.station.site)


def test_the_commands_find_a_rewritten_log_by_the_text_on_the_paper(disputed: Any, tmp_path: Path) -> None:
    paper = tmp_path / "paper.txt"
    paper.write_text(print_paper(disputed).replace("\n", "\r\n"), encoding="utf-8")
    site = str(disputed.station.site.folder / "site.yaml")
    export_bag(disputed.station, disputed.request(), tmp_path / "honest")
    honest = run("verify", str(tmp_path / "honest"), "--checkpoint", str(paper), "--json")
    assert honest.exit_code == 0
    assert "printed_holds" in {finding["code"] for finding in json.loads(honest.stdout)["findings"]}
    rewrite(disputed, blame_the_disk)
    blame_the_disk_in_the_database(disputed)
    held = run("checkpoint", str(paper), "--config", site)
    assert (held.exit_code, "changed" in held.stdout) == (1, True)
    export_bag(open_station(disputed.station.site), disputed.request(), tmp_path / "bag")
    forged = run("verify", str(tmp_path / "bag"), "--checkpoint", str(paper), "--json")
    assert forged.exit_code == 1
    assert json.loads(forged.stdout)["findings"][0]["code"] == "printed_changed"
    refused = run("verify", site, "--checkpoint", str(paper))
    assert isinstance(refused.exception, UserError)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def tombstone_of(disputed: Any, row: Segment, sha256: str) -> SegmentDeleted:
    facts = {"room": row.room_id, "camera": row.camera_id, "number": row.number, "path": row.path}
    return SegmentDeleted(
        at=disputed.begins,
        take=row.take_id,
        window=disputed.window,
        sha256=sha256,
        reason="保存期满",
        approved_by=["张三", "李四"],
        **facts,
    )


def delete(disputed: Any, number: int, *, record: bool) -> Segment:
    with disputed.station.sessions() as session:
        row: Segment = session.query(Segment).filter_by(camera_id="back-right", number=number).one()
    if record:
        tombstone = tombstone_of(disputed, row, row.sha256)
        disputed.station.log.append(tombstone)
    (disputed.station.archive / row.path).unlink()
    return row


def test_a_segment_with_a_tombstone_is_told_as_deleted_and_why(disputed: Any, tmp_path: Path) -> None:
    row = delete(disputed, 4, record=True)
    report = verify_archive(disputed.station)
    assert report.outcome == "intact"
    assert [(one.code, one.path) for one in report.findings] == [("deleted", row.path)]
    assert "保存期满" in report.findings[0].message
    export_bag(disputed.station, disputed.request(), tmp_path / "bag")
    told = verify_bag(tmp_path / "bag")
    assert told.outcome == "intact"
    assert [one.path.rpartition("/")[2] for one in told.findings if one.code == "deleted"] == [
        "seg-00004.mp4"
    ]
    assert told.segments == 9


def test_a_segment_without_one_stays_missing(disputed: Any, tmp_path: Path) -> None:
    delete(disputed, 4, record=True)
    row = delete(disputed, 5, record=False)
    report = verify_archive(disputed.station)
    assert report.outcome == "altered"
    assert [one.path for one in report.findings if one.code == "missing"] == [row.path]
    with pytest.raises(Exception, match="missing in the archive"):
        export_bag(disputed.station, disputed.request(), tmp_path / "bag")


def test_a_tombstone_of_another_content_excuses_nothing(disputed: Any) -> None:
    row = delete(disputed, 4, record=False)
    disputed.station.log.append(tombstone_of(disputed, row, "0" * 64))
    assert [one.code for one in verify_archive(disputed.station).findings] == ["missing"]
