"""The session sheet: what it says, that its QR code reads, and that it convicts who rewrites the log."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from kaozheng_service.cli import app
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.evidence.anchor import hold_against
from kaozheng_service.evidence.keys import load_or_make_key
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.merkle import verify_consistency
from kaozheng_service.evidence.note import NoteError, open_checkpoint
from kaozheng_service.evidence.records import Marked
from kaozheng_service.paper import short_hash
from kaozheng_service.sessions.facts import session_facts
from kaozheng_service.sessions.printing import print_window
from kaozheng_service.sessions.scan import read_checkpoint
from kaozheng_service.sessions.sheet import session_sheet, sheet_data
from kaozheng_service.web.app import create_app
from typer.testing import CliRunner

ROOM = "9-101"
POPPLER = "pdftoppm and pdftotext; on Debian: apt install poppler-utils"


def pages(pdf: Path, folder: Path, dpi: int) -> list[Path]:
    subprocess.run(["pdftoppm", "-r", str(dpi), "-png", str(pdf), str(folder / "page")], check=True)
    return sorted(folder.glob("page-*.png"))


def words(pdf: Path) -> str:
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], check=True, capture_output=True, text=True)
    return done.stdout


def data_of(case: Any) -> dict[str, Any]:
    checkpoint = case.station.log.checkpoint()
    return sheet_data(case.station.site, session_facts(case.station, case.window), checkpoint)


def mark(archive: Any, note: str) -> Marked:
    moment = archive.local("2024-11-23 12:00:00")
    return Marked(at=moment, room=ROOM, moment=moment, mark="incident", note=note)


@pytest.fixture
def poppler(need: Callable[[bool, str], None]) -> None:
    need(all(shutil.which(name) for name in ("pdftoppm", "pdftotext")), POPPLER)


def test_the_sheet_is_a_small_pdf_and_the_same_facts_give_the_same_bytes(
    disputed: Any, tmp_path: Path
) -> None:
    facts, checkpoint = session_facts(disputed.station, disputed.window), disputed.station.log.checkpoint()
    one, two = (
        session_sheet(disputed.station.site, facts, checkpoint, tmp_path / name).read_bytes()
        for name in ("one.pdf", "two.pdf")
    )
    assert one.startswith(b"%PDF")
    assert len(one) < 500_000
    assert one == two


def test_it_says_what_was_expected_recorded_and_explained(disputed: Any) -> None:
    data = data_of(disputed)
    assert (data["verdict_words"], data["verdict_more"]) == ("不完整", "已说明")
    left, right = data["cameras"]
    assert (left["recorded"], left["recorded_share"], left["explained"]) == (
        "0:00:16.0",
        "80.00%",
        "0:00:04.0",
    )
    assert (right["recorded_share"], right["verdict_words"]) == ("100%", "完整")
    (gap,) = data["gaps"]
    assert (gap["times"], gap["length"], gap["cause"]) == ("09:00:06–09:00:10", "4秒", "视频流中断")
    assert [row["share"] for row in data["totals"]] == ["100%", "90.00%", "10.00%", "0.00%"]
    assert data["none"] == "本时段没有画面异常、标记记录。"
    assert data["checkpoint_hash"] == short_hash(disputed.station.log.checkpoint())


@pytest.mark.parametrize(
    ("segments", "closed", "verdict"),
    [(10, True, ("完整", "")), (8, True, ("不完整", "有未说明缺口")), (8, False, ("不完整", "有未说明缺口"))],
)
def test_the_verdict_stands_in_large_letters(
    small_archive: Any, segments: int, closed: bool, verdict: tuple[str, str]
) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(
        begins, begins + timedelta(seconds=20), room=ROOM, cameras=("front-left",), closed=False
    )
    small_archive.take(window, "front-left", begins, segments)
    if closed:
        small_archive.close(window)
    station = small_archive.station
    data = sheet_data(station.site, session_facts(station, window), station.log.checkpoint())
    assert (data["verdict_words"], data["verdict_more"]) == verdict
    assert ("已结束" in data["judged"]) == closed
    assert data["none"].startswith("本时段没有缺口") == (segments == 10)


@pytest.mark.usefixtures("poppler")
def test_the_printed_code_gives_back_the_checkpoint_byte_for_byte(disputed: Any, tmp_path: Path) -> None:
    station = disputed.station
    expected = station.log.checkpoint()
    sheet = print_window(station, disputed.window, tmp_path / "sheet.pdf")
    for dpi in (100, 200):  # as on a screen, and as a scanner sees it
        page = pages(sheet.path, tmp_path, dpi)[-1]
        assert read_checkpoint(page).encode() == expected.encode()
    assert open_checkpoint(expected, station.log.public_key).size == sheet.log_size


@pytest.mark.usefixtures("poppler")
def test_the_paper_is_proven_to_begin_todays_log_and_no_other(disputed: Any, tmp_path: Path) -> None:
    station = disputed.station
    sheet = print_window(station, disputed.window, tmp_path / "sheet.pdf")
    printed = read_checkpoint(pages(sheet.path, tmp_path, 150)[-1])
    for number in range(5):
        station.log.append(mark(disputed.archive, str(number)))
    old, new = (open_checkpoint(text, station.log.public_key) for text in (printed, station.log.checkpoint()))
    proof = station.log.consistency_proof(old.size, new.size)
    assert verify_consistency(old.size, new.size, old.root, new.root, proof)
    found = hold_against(station.log, printed)
    assert (found.holds, found.size, found.log_size) == (True, sheet.log_size, sheet.log_size + 6)


def test_who_holds_the_key_and_writes_the_log_anew_is_convicted(disputed: Any, tmp_path: Path) -> None:
    station = disputed.station
    printed = station.log.checkpoint()
    key = load_or_make_key(station.state / "keys")
    forged = EvidenceLog(tmp_path / "forged", origin=station.log.origin, key=key)
    assert hold_against(forged, printed).why == "shorter"
    for number in range(station.log.size + 3):
        forged.append(mark(disputed.archive, str(number)))
    found = hold_against(forged, printed)
    assert (found.holds, found.why) == (False, "changed")
    assert hold_against(station.log, printed).holds


def test_a_log_whose_derived_hashes_were_kept_is_hashed_anew(disputed: Any) -> None:
    station = disputed.station
    printed = station.log.checkpoint()
    entries = station.state / "log" / "entries.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b"stream_lost", b"disk_full__"))
    assert hold_against(station.log, printed).why == "changed"


def test_what_is_no_checkpoint_of_this_log_is_refused(disputed: Any, tmp_path: Path) -> None:
    log = disputed.station.log
    other = EvidenceLog(tmp_path / "other", origin=log.origin, key=load_or_make_key(tmp_path / "keys"))
    other.append(mark(disputed.archive, ""))
    for text in (
        "",
        "https://example.org",
        other.checkpoint(),
        log.checkpoint().replace(f"\n{log.size}\n", "\n9\n"),
    ):
        with pytest.raises(NoteError):
            hold_against(log, text)
    # Line ends and edges that a scanner or an editor changed are not the paper's fault.
    assert hold_against(
        log, "\ufeff".strip("\ufeff") + log.checkpoint().replace("\n", "\r\n") + "\r\n "
    ).holds


def test_a_printed_sheet_is_in_the_log_and_the_archive_stays_intact(disputed: Any, tmp_path: Path) -> None:
    station = disputed.station
    size = station.log.size
    sheet = print_window(station, disputed.window, tmp_path / "deep" / "sheet.pdf")
    record = json.loads(station.log.entry(sheet.leaf))
    assert record.pop("at")
    assert record == {
        "kind": "sheet.printed",
        "window": disputed.window,
        "room": ROOM,
        "sha256": hashlib.sha256(sheet.path.read_bytes()).hexdigest(),
        "log_size": size,
    }
    assert [path.name for path in sheet.path.parent.iterdir()] == ["sheet.pdf"]
    report = verify_archive(station)
    assert (report.outcome, report.records) == ("intact", size + 1)


@pytest.mark.usefixtures("poppler")
def test_eight_cameras_forty_gaps_and_long_names_break_over_pages_and_lose_nothing(
    small_archive: Any, tmp_path: Path
) -> None:
    begins = small_archive.local("2024-11-23 08:00:00")
    cameras = (
        "ceiling_centre_fisheye_4k_looking_north_over_all_desks",
        *(f"camera-{i}" for i in range(2, 9)),
    )
    window = small_archive.window(
        begins,
        begins + timedelta(hours=3),
        room=ROOM,
        cameras=cameras,
        title="考" * 90 + "X" * 90,
        closed=False,
    )
    detail = "the service did not run; " + "tcp://192.0.2.17:554" * 10
    for camera in cameras:
        small_archive.take(window, camera, begins, 1, segment_s=100)
        for number in range(5):
            at = begins + timedelta(seconds=100 + 2000 * number)
            small_archive.gap(window, camera, at, at + timedelta(seconds=7), "stalled", detail)
            small_archive.take(
                window,
                camera,
                at + timedelta(seconds=7),
                1,
                number=number + 2,
                segment_s=1993 if number < 4 else 2693,
            )
    small_archive.close(window)
    sheet = print_window(small_archive.station, window, tmp_path / "sheet.pdf")
    text = words(sheet.path)
    count = text.count("\f")
    assert 3 <= count <= 8
    tight = re.sub(r"\s", "", text)
    assert all(f"第{number}页共{count}页" in tight for number in range(1, count + 1))
    assert len(re.findall(r"\d\d:\d\d:\d\d–\d\d:\d\d:\d\d", text)) == 40
    assert tight.count("视频流停滞无数据") == 41  # each gap, and the word explained
    assert read_checkpoint(pages(sheet.path, tmp_path, 150)[-1]).startswith("kaozheng/")


def test_names_with_typst_markup_are_printed_and_not_obeyed(small_archive: Any, tmp_path: Path) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    title = '#panic("obeyed") *粗* [ ] $x$ \\ @label'
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM, title=title)
    small_archive.gap(window, "front-left", begins, begins + timedelta(seconds=20), "#panic()", "<x> $ [")
    assert print_window(small_archive.station, window, tmp_path / "sheet.pdf").path.stat().st_size > 0


def run(archive: Any, *arguments: str | Path) -> Any:
    site = archive.station.site.folder / "site.yaml"
    return CliRunner().invoke(app, [*map(str, arguments), "-c", str(site)])


def test_the_command_prints_a_window_or_a_day(disputed: Any, tmp_path: Path) -> None:
    done = run(disputed.archive, "sheet", "--window", disputed.window, "--out", tmp_path / "one.pdf")
    assert done.exit_code == 0
    assert "incomplete explained" in done.stdout
    done = run(disputed.archive, "sheet", "--day", "2024-11-23", "--out", tmp_path / "day", "--json")
    (one,) = json.loads(done.stdout)["sheets"]
    assert Path(one["path"]) == tmp_path / "day" / f"{disputed.window}.pdf"
    assert one["sha256"] == hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest()
    for wrong in (
        [],
        ["--window", "nowhere"],
        ["--day", "2020-01-01"],
        ["--day", "2024-11-23", "--window", "x"],
    ):
        assert run(disputed.archive, "sheet", *wrong, "--out", tmp_path / "no").exit_code != 0
    (tmp_path / "file").touch()
    refused = run(
        disputed.archive, "sheet", "--window", disputed.window, "--out", tmp_path / "file" / "x.pdf"
    )
    assert "cannot be written" in str(refused.exception)


def test_the_command_holds_a_paper_against_the_log(disputed: Any, tmp_path: Path) -> None:
    paper = tmp_path / "sheet.txt"
    paper.write_text(disputed.station.log.checkpoint(), encoding="utf-8")
    disputed.station.log.append(mark(disputed.archive, ""))
    done = run(disputed.archive, "checkpoint", paper)
    assert done.exit_code == 0
    assert "\nholds:" in f"\n{done.stdout}"
    body = json.loads(run(disputed.archive, "checkpoint", paper, "--json").stdout)
    assert (body["holds"], body["log_size"] - body["size"]) == (True, 1)
    scrap = tmp_path / "scrap"
    scrap.write_bytes(b"\xff\xfe\x00")
    assert "neither text nor a picture" in str(run(disputed.archive, "checkpoint", scrap).exception)
    entries = disputed.station.state / "log" / "entries.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b"stream_lost", b"disk_full__"))
    assert run(disputed.archive, "checkpoint", paper).exit_code == 1


def test_the_status_page_links_the_sheet_once_there_is_one(
    disputed: Any, sign_in: Callable[..., Any]
) -> None:
    station = disputed.station
    address = f"/api/v1/sheets/{disputed.window}.pdf"
    with TestClient(create_app(station), base_url="http://127.0.0.1") as client:
        sign_in(client, station)
        assert address not in client.get("/?day=2024-11-23").text
        assert client.get(address).status_code == 404
        sheet = station.state / "sheets" / "2024-11-23" / f"{disputed.window}.pdf"
        print_window(station, disputed.window, sheet)
        assert f'href="{address}"' in client.get("/?day=2024-11-23").text
        assert client.get("/api/v1/status?day=2024-11-23").json()["windows"][0]["sheet"] == address
        answer = client.get(address)
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content == sheet.read_bytes()
        assert client.get("/api/v1/sheets/..%2F..%2Fkeys%2Fsite.key.pdf").status_code == 404
