"""Measure and print. A ratio compares two things done side by side here; the seconds are this machine's."""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_service.disputes.standalone.files import hash_file
from kaozheng_service.disputes.standalone.pieces import hash_pieces
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.evidence.records import Marked
from rich.console import Console
from rich.table import Table

from benchmarks import evidence, pose, probe
from benchmarks.coverage import growth, ten_rooms, verdicts
from benchmarks.lookup import write_report
from benchmarks.markers import markers_report
from benchmarks.recording import recording_report
from benchmarks.timing import Rows, median
from benchmarks.watching import watch_report

# What docs/vision.md tells, measured anew: accuracies, not times.
VISION = Path("bench-out/vision.md")


def main() -> int:
    """Run every measurement; 0 when all ran."""
    table = Table(
        "what", "seconds", "ratio", "against", title="medians; a ratio compares two things done in this run"
    )
    for rows in (verdicts(), growth(), ten_rooms(), _log(), _hashing(), probe.run(), pose.run()):
        for what, seconds, ratio, against in rows:
            table.add_row(what, f"{seconds:.4f}", f"{ratio:.2f}", against)
    Console(width=120).print(table)
    VISION.parent.mkdir(exist_ok=True)
    lines = [line for report in (watch_report, markers_report) for line in report()]
    VISION.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    write_report()
    print("\n".join(recording_report((10, 40), trials=1)))
    evidence.main()
    return 0


def _log() -> Rows:
    """A signed, synced append against a plain append with fsync."""
    moment = datetime(2024, 11, 23, tzinfo=UTC)
    record = Marked(at=moment, room="9-201", moment=moment, mark="seal_opened", note="")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        log = EvidenceLog(Path(folder) / "log", origin="bench", key=Ed25519PrivateKey.generate())
        signed = median(lambda: [log.append(record) for _ in range(100)])
        with (Path(folder) / "plain").open("ab") as file:
            plain = median(lambda: [_append(file) for _ in range(100)])
    return [
        ("100 plain appends with fsync", plain, 1.0, "itself"),
        ("100 log entries", signed, signed / plain, "plain appends"),
    ]


def _hashing() -> Rows:
    """SHA-256 of a segment against reading it, and the second one, over its fragments, against the first."""
    random = np.random.default_rng(0)
    # 30 s at 4 Mbit/s with a keyframe every 2 s.
    content = b"".join(
        struct.pack(">I4s", 8 + size, kind) + random.bytes(size)
        for kind, size in [(b"moov", 1200), *[(b"moof", 1000), (b"mdat", 1_000_000)] * 15]
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "segment"
        path.write_bytes(content)
        read = median(path.read_bytes)
        hashed = median(lambda: hash_file(path))
        pieces = median(lambda: hash_pieces(path))
    return [
        ("read a segment of 15 MB, 15 fragments", read, 1.0, "itself"),
        ("read and hash it", hashed, hashed / read, "reading"),
        ("read and hash it, whole and in pieces", pieces, pieces / hashed, "hashing it whole"),
    ]


def _append(file: BinaryIO) -> None:
    file.write(b"x" * 200)
    file.flush()
    os.fsync(file.fileno())


if __name__ == "__main__":
    sys.exit(main())
