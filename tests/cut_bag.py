"""A bag cut to the disputed minutes, what may be done to it, and what both verifiers say of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kaozheng_service.clock import from_text
from kaozheng_service.disputes.bag import seal_bag
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.verify import report_json, verify_bag
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import Exported

ROOM, CAMERAS = "9-101", ("front-left", "back-right")
RECORDS, CHECKPOINT = "data/evidence/records.jsonl", "data/evidence/checkpoint"
FRAGMENTS = "data/evidence/fragments.jsonl"
OF_THE_LOG = (RECORDS, CHECKPOINT, "bagit.txt", "bag-info.txt")
# Five fragments of 0.4 s in each file of 2 s.
GROUP = 10


@dataclass(frozen=True)
class Cut:
    """10 s from 09:00:00, and a bag of 3.1 to 7.3 s of it: parts of segments 2 and 4 of each camera, 3 whole."""

    archive: Any
    begins: datetime
    bag: Path

    @property
    def station(self) -> Any:
        return self.archive.station

    def at(self, seconds: float) -> datetime:
        return self.begins + timedelta(seconds=seconds)

    def export(self, first_s: float, last_s: float, bag: Path, **other: Any) -> Any:
        facts: dict[str, Any] = {
            "room_id": ROOM,
            "camera_ids": CAMERAS,
            "starts_at": self.at(first_s),
            "ends_at": self.at(last_s),
            "reason": "座位17",
            "cut": True,
        }
        return export_bag(self.station, ExportRequest(**(facts | other)), bag)

    def original(self, camera: str, number: int) -> Path:
        found: Path = next(self.station.archive.rglob(f"{camera}/*/take-0001/seg-{number:05d}.mp4"))
        return found


def record(archive: Any, media: list[Path], **other: Any) -> datetime:
    """The two cameras, which never show the same at one time."""
    begins: datetime = archive.local("2024-11-23 09:00:00")
    window = archive.window(begins, begins + timedelta(seconds=10), room=ROOM, closed=False)
    for shift, camera in enumerate(CAMERAS):
        archive.take(window, camera, begins, 5, media=media[shift:] + media[:shift], **other)
    archive.close(window)
    return begins


def part_of(bag: Path, camera: str, number: int) -> Path:
    return next((bag / "data/segments" / camera).rglob(f"seg-{number:05d}.part-*.mp4"))


def pieces_of(path: Path) -> list[bytes]:
    """Cut by this test's own hands: before each moof of well-formed boxes."""
    data, at, starts = path.read_bytes(), 0, [0]
    while at < len(data):
        if data[at + 4 : at + 8] == b"moof":
            starts.append(at)
        at += int.from_bytes(data[at : at + 4], "big")
    return [data[begin:end] for begin, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def join(path: Path, pieces: list[bytes]) -> None:
    path.write_bytes(b"".join(pieces))


def reseal(bag: Path) -> None:
    """Manifests anew: what whoever has the bag alone can do."""
    info = (bag / "bag-info.txt").read_text(encoding="utf-8").splitlines()
    lines = [tuple(line.split(": ", 1)) for line in info if not line.startswith("Payload-Oxum")]
    for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt", "bagit.txt", "bag-info.txt"):
        (bag / name).unlink(missing_ok=True)
    seal_bag(bag, {}, [(one[0], one[1]) for one in lines])


def sign_anew(cut: Cut, **other: Any) -> None:
    """What the site itself can do: an export record of what is in the bag now, in its own log."""
    bag, log = cut.bag, cut.station.log
    entries = [json.loads(line) for line in (bag / RECORDS).read_text(encoding="utf-8").splitlines()]
    bodies = {entry["index"]: json.loads(entry["entry"]) for entry in entries}
    claim = next(body for body in bodies.values() if body["kind"] == "export")
    kept = [index for index, body in bodies.items() if body["kind"] != "export"]
    paths = [path.relative_to(bag).as_posix() for path in bag.rglob("*") if path.is_file()]
    named = [path for path in paths if path not in OF_THE_LOG and "manifest" not in path]
    files = {path: hashlib.sha256((bag / path).read_bytes()).hexdigest() for path in named}
    times = {name: from_text(claim[name]) for name in ("at", "starts_at", "ends_at")}
    rest = {name: claim[name] for name in ("export", "room", "cameras", "seat", "reason", "by")}
    leaf = log.append(Exported(**(times | rest | {"files": files, "records": kept} | other)))
    checkpoint = log.checkpoint()
    size = parse_checkpoint(checkpoint).size
    lines = [
        json.dumps(
            {
                "index": index,
                "entry": log.entry(index).decode(),
                "proof": [step.hex() for step in log.inclusion_proof(index, size)],
            },
            ensure_ascii=False,
        )
        for index in [*kept, leaf]
    ]
    (bag / RECORDS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (bag / CHECKPOINT).write_text(checkpoint, encoding="utf-8")
    reseal(bag)


def judged(bag: Path) -> set[tuple[str, str]]:
    """Code and path of each finding but notes, by the library and by the bag's own verifier, which agree."""
    report = verify_bag(bag)
    command = [sys.executable, "-I", "-S", str(bag / "verify.py"), "--json"]
    alone = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, env={})
    assert alone.stderr == ""
    assert json.loads(alone.stdout) == json.loads(json.dumps(report_json(report)))
    found = {(one.code, one.path) for one in report.findings if one.severity != "note"}
    assert (alone.returncode == 0) == (report.outcome == "intact") == (not found)
    return found
