"""Make the test vectors of docs/formats.md: `python tests/vectors/make.py [FOLDER]`. The same bytes every time."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kaozheng_service.disputes.bag import seal_bag
from kaozheng_service.evidence.canonical import canonical
from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_hash,
)
from kaozheng_service.evidence.note import Checkpoint, sign_checkpoint, verifier_key

ORIGIN = "kaozheng/vectors"
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"kaozheng test vectors").digest())
WINDOW, ROOM, CAMERA = "20241123-090000-9-201-theory", "9-201", "front"
PRINTED = 5
# No video: a reader of evidence sees bytes.
FOOTAGE = {1: b"first segment of the vectors\n", 2: b"second segment of the vectors\n"}

Body = dict[str, Any]


def second(number: float) -> str:
    return f"2024-11-23T01:00:{number:06.3f}Z"


def take(number: int) -> Body:
    return {"take": f"{WINDOW}/{CAMERA}/take-{number:04d}", "window": WINDOW, "room": ROOM, "camera": CAMERA}


def recorded(number: int, begins: float, ends: float) -> list[Body]:
    """One take of one segment: opened, its segment, closed."""
    digest = hashlib.sha256(FOOTAGE[number]).hexdigest()
    segment = {
        **{"number": 1, "path": f"2024-11-23/{ROOM}/{CAMERA}/{WINDOW}/take-{number:04d}/seg-00001.mp4"},
        **{"bytes": len(FOOTAGE[number]), "sha256": digest, "previous": ""},
        **{"starts_at": second(begins), "ends_at": second(ends), "frames": 100, "codec": "h264"},
        **{"width": 1920, "height": 1080, "run": 1, "step_s": 0, "boot": None, "boot_s": None},
        **{"clock": "synchronised", "clock_error_s": 0.01, "first_pts_s": 0, "last_pts_s": 3.96},
    }
    closed = {"segments": 1, "last": digest, "cause": "window_ended", "detail": ""}
    return [
        {"kind": "take.opened", "at": second(begins), **take(number), "number": number, "token": number},
        {"kind": "segment", "at": second(ends), **take(number), **segment},
        {"kind": "take.closed", "at": second(ends), **take(number), **closed},
    ]


def bodies() -> list[Body]:
    """All entries but the export's."""
    expected = {"cameras": [CAMERA], "title": "理论考试", "starts_at": second(0), "ends_at": second(10)}
    expected |= {"activity": "theory", "batch": None, "exam_starts_at": None, "exam_ends_at": None}
    names = {"window": WINDOW, "room": ROOM}
    gap = {"starts_at": second(4), "ends_at": second(6), "cause": "stream_lost", "detail": "the stream ended"}
    sheet = {**names, "sha256": "00" * 32, "log_size": PRINTED}
    mark = {"room": ROOM, "moment": second(7.5), "mark": "seal_opened"}
    day_before = "2024-11-22T01:00:00.000Z"
    return [
        {"kind": "window.expected", "at": day_before, **names, **expected, "origin": "operator"},
        *recorded(1, 0, 4),
        {"kind": "gap", "at": second(6), **names, "camera": CAMERA, **gap},
        {"kind": "sheet.printed", "at": second(6.2), **sheet},
        *recorded(2, 6, 10),
        {"kind": "window.closed", "at": second(11), **names, "takes": {CAMERA: 2}, "gaps": {CAMERA: 1}},
        {"kind": "mark", "at": second(12), **mark, "note": "启封：第一份 “密封” 试卷"},
        {"kind": "mark", "at": second(13), **mark, "note": '\u0007 \\ " € 😀'},
    ]


class Tree:
    """Leaves in memory."""

    def __init__(self, entries: list[bytes]) -> None:
        self._leaves = [leaf_hash(entry) for entry in entries]

    def subtree(self, level: int, index: int) -> bytes:
        if level == 0:
            return self._leaves[index]
        return node_hash(self.subtree(level - 1, 2 * index), self.subtree(level - 1, 2 * index + 1))

    def root(self, size: int) -> bytes:
        return root_hash(size, self.subtree)

    def inclusion(self, index: int, size: int) -> list[str]:
        return [step.hex() for step in inclusion_path(index, size, self.subtree)]

    def consistency(self, old: int, new: int) -> list[str]:
        return [step.hex() for step in consistency_path(old, new, self.subtree)]

    def checkpoint(self, size: int) -> str:
        return sign_checkpoint(Checkpoint(ORIGIN, size, self.root(size)), KEY)


def make(folder: Path) -> None:
    """Write all vectors to ``folder``, over what is there."""
    files = {
        f"data/segments/{CAMERA}/{WINDOW}/take-{number:04d}/seg-00001.mp4": content
        for number, content in FOOTAGE.items()
    }
    files["data/evidence/key.pub"] = public_pem(KEY.public_key()).encode()
    files["README.txt"] = b"A test vector of docs/formats.md. No exam was held.\n"
    entries = bodies()
    inside = [index for index, body in enumerate(entries) if body["kind"] not in ("sheet.printed", "mark")]
    export = {"export": "export-20241123-100000-9-201-0000", "room": ROOM, "cameras": [CAMERA], "seat": ""}
    export |= {"starts_at": second(2), "ends_at": second(9), "reason": "test vector", "records": inside}
    export["files"] = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    entries.append({"kind": "export", "at": second(20), **export})
    lines = [canonical(body) for body in entries]
    tree, size = Tree(lines), len(lines)

    public = KEY.public_key()
    key = {"seed": KEY.private_bytes_raw().hex(), "public": public.public_bytes_raw().hex()}
    write_json(
        folder / "key.json", key | {"printed": verifier_key(ORIGIN, public), "pem": public_pem(public)}
    )
    write(folder / "entries.jsonl", b"".join(line + b"\n" for line in lines))
    write_json(folder / "heads.json", {"roots": [tree.root(number).hex() for number in range(size + 1)]})
    inclusion = [(index, total) for total in range(1, size + 1) for index in range(total)]
    proofs = [{"index": at, "size": total, "proof": tree.inclusion(at, total)} for at, total in inclusion]
    write_lines(folder / "inclusion.json", proofs)
    consistency = [(old, new) for new in range(1, size + 1) for old in range(1, new + 1)]
    proofs = [{"old": old, "new": new, "proof": tree.consistency(old, new)} for old, new in consistency]
    write_lines(folder / "consistency.json", proofs)
    for number in (PRINTED, PRINTED + 2, size):
        write(folder / f"checkpoint-{number:02d}", tree.checkpoint(number).encode())
    rewritten = Tree([b"another", *lines[1:]])
    write(folder / "checkpoint-05-rewritten", rewritten.checkpoint(PRINTED).encode())

    files["data/evidence/checkpoint"] = tree.checkpoint(size).encode()
    records = [
        {"index": index, "entry": lines[index].decode(), "proof": tree.inclusion(index, size)}
        for index in [*inside, size - 1]
    ]
    files["data/evidence/records.jsonl"] = b"".join(
        json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records
    )
    proof = {"size": PRINTED, "root": tree.root(PRINTED).hex(), "proof": tree.consistency(PRINTED, size)}
    files["data/evidence/consistency.jsonl"] = json.dumps(proof).encode() + b"\n"
    for path, content in files.items():
        write(folder / "bag" / path, content)
    seal_bag(folder / "bag", {}, [("External-Identifier", export["export"])])
    outcomes = {"": "intact", "checkpoint-05": "intact", "checkpoint-13": "intact"}
    outcomes |= {"checkpoint-07": "cannot_judge", "checkpoint-05-rewritten": "altered"}
    write_json(folder / "outcomes.json", outcomes)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_json(path: Path, body: Any) -> None:
    write(path, json.dumps(body, indent=1).encode() + b"\n")


def write_lines(path: Path, bodies: list[Body]) -> None:
    """A JSON list with one member a line."""
    write(path, b"[\n" + b",\n".join(json.dumps(body).encode() for body in bodies) + b"\n]\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
