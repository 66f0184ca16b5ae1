"""A verification that was killed goes on where it was, and trusts nothing that changed since."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.errors import UserError
from kaozheng_service.verification.archive import JOURNAL, ArchiveReport
from kaozheng_service.verification.journal import Journal


def killed_in_the_middle(days: Any) -> int:
    """Kill a real run with -9 once some files are in its journal; how many lines it left."""
    command = [sys.executable, "-m", "kaozheng_service", "verify", str(days.path), "--resume", "--json"]
    process = subprocess.Popen([*command, "--jobs", "1", "--limit", "0.1"], stdout=subprocess.DEVNULL)
    journal = days.station.state / JOURNAL
    until = time.monotonic() + 120
    while lines(journal) < 3 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    return lines(journal)


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b'"mtime_ns"') if journal.exists() else 0


def resumed(days: Any) -> ArchiveReport:
    return verify_archive(days.station, journal=days.station.state / JOURNAL)


def test_a_killed_run_goes_on_and_the_next_one_reads_all_anew(days: Any) -> None:
    left = killed_in_the_middle(days)
    assert 3 <= left < 11
    report = resumed(days)
    assert (report.files, report.earlier) == (11, left)
    assert report.earlier_since
    fresh = verify_archive(days.station)
    assert (report.outcome, report.windows, report.bytes) == (fresh.outcome, fresh.windows, fresh.bytes)
    assert resumed(days).earlier == 0


def test_a_file_that_changed_since_is_read_again(days: Any) -> None:
    killed_in_the_middle(days)
    days.flip(days.file(days.whole, "front-left", 1))
    assert {one.code for one in resumed(days).findings} >= {"changed"}


def test_a_torn_line_and_another_record_count_for_nothing(days: Any) -> None:
    left = killed_in_the_middle(days)
    journal = days.station.state / JOURNAL
    good = journal.read_bytes()
    first = good.split(b"\n")[1]
    digest = first[first.index(b'"sha256": "') + 11 :][:64]
    journal.write_bytes(good.replace(digest, b"0" * 64).rstrip(b"\n")[:-20])
    assert resumed(days).earlier <= left - 2


def test_two_runs_do_not_keep_one_journal(days: Any) -> None:
    path = days.station.state / JOURNAL
    with Journal(path, 1), pytest.raises(UserError, match="another verification"):
        resumed(days)
    assert path.exists()
