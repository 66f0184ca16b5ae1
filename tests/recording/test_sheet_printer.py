"""Sheets print themselves when windows close, beside the recording and never in its way."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.clock import now
from kaozheng_service.recording.daemon import Daemon
from kaozheng_service.sessions import printer
from kaozheng_service.sessions.printer import SheetPrinter


def closed_window(archive: Any, begins: datetime, **facts: Any) -> str:
    window: str = archive.window(
        begins, begins + timedelta(seconds=10), room="9-101", cameras=("front-left",), closed=False, **facts
    )
    archive.take(window, "front-left", begins, 5)
    archive.close(window)
    return window


def wait_for(found: Any, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def recent() -> datetime:
    return now().replace(microsecond=0) - timedelta(hours=1)


def test_what_closed_lately_and_has_no_sheet_is_due(small_archive: Any, recent: datetime) -> None:
    sheets = SheetPrinter(small_archive.station)
    window = closed_window(small_archive, recent)
    closed_window(small_archive, recent - timedelta(hours=1), kind="inspection")
    closed_window(small_archive, datetime(2024, 11, 23, 1, tzinfo=UTC))
    small_archive.window(
        recent + timedelta(minutes=5), recent + timedelta(minutes=6), room="9-201", closed=False
    )
    assert sheets.due() == [window]


def test_the_daemon_prints_it_in_a_process_of_its_own_and_logs_it(
    small_archive: Any, recent: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printer, "EVERY_S", 0.1)
    window = closed_window(small_archive, recent)
    station = small_archive.station
    day = f"{recent.astimezone(station.site.zone):%Y-%m-%d}"
    sheet: Path = station.state / "sheets" / day / f"{window}.pdf"
    daemon = Daemon(station)
    daemon.start()
    try:
        assert wait_for(sheet.exists)
    finally:
        daemon.stop()
    kinds = [json.loads(entry) for entry in station.log.entries()]
    assert [one["window"] for one in kinds if one["kind"] == "sheet.printed"] == [window]
    assert not list(sheet.parent.glob("*.part"))


def test_a_sheet_that_cannot_be_printed_is_tried_a_few_times_and_harms_nothing(
    small_archive: Any, recent: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printer, "EVERY_S", 0.1)
    monkeypatch.setattr(printer, "TRIES", 1)
    closed_window(small_archive, recent)
    station = small_archive.station
    (station.state / "sheets").write_text("not a folder", encoding="utf-8")
    size = station.log.size
    sheets = SheetPrinter(station)
    sheets.start()
    try:
        assert wait_for(lambda: not sheets.due())
    finally:
        sheets.stop()
    assert station.log.size == size


def test_a_site_can_do_without(small_archives: Any, h264_segments: list[Path], tmp_path: Path) -> None:
    archive = small_archives.SmallArchive.make(tmp_path, h264_segments, session_sheets=False)
    assert archive.station.site.recording.session_sheets is False
    window = closed_window(archive, now().replace(microsecond=0) - timedelta(hours=1))
    daemon = Daemon(archive.station)
    daemon.start()
    daemon.stop()
    assert SheetPrinter(archive.station).due() == [window]
