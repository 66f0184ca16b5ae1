"""A second reader of bags and logs, written from docs/formats.md alone: it imports nothing of the project.

It says intact, altered or cannot_judge, with a sentence for each reason; what the page calls a note it leaves out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

EVIDENCE = "data/evidence/"
TAGS = ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt")
FOOTAGE = ("segment", "backfill.segment")
SLACK = timedelta(milliseconds=2)
Span = tuple[datetime, datetime]
Line = tuple[int, dict[str, Any]]


@dataclass
class Judgement:
    """What speaks against a bag: ``altered`` first, then what cannot be judged."""

    altered: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        return "altered" if self.altered else "cannot_judge" if self.open else "intact"


@dataclass(frozen=True)
class Head:
    log: str
    size: int
    root: bytes


def read_bag(bag: Path, *, key: str | None = None, printed: str | None = None) -> Judgement:
    """Checks 1 to 8 and 10 of the page. ``key`` is a PEM known from elsewhere, ``printed`` a checkpoint's text."""
    judged = Judgement()
    files = dict(_files(bag, judged))
    try:
        pem, note = (bag / EVIDENCE / "key.pub").read_text(), (bag / EVIDENCE / "checkpoint").read_text()
        public = load_pem_public_key(pem.encode())
        head = open_note(note, public)
        if key is not None and load_pem_public_key(key.encode()) != public:
            judged.altered.append("another key")
        records = list(_records(bag, head, judged))
        _judge_printed(bag, head, public, printed, judged)
        _judge_claim(records, files, bag, judged)
    except (OSError, ValueError, KeyError, IndexError, TypeError, InvalidSignature) as error:
        judged.altered.append(f"not readable as the page says: {error!r}")
    _judge_manifests(bag, files, judged)
    return judged


def read_log(entries: Path, checkpoint: str, public: Ed25519PublicKey) -> Head:
    """The head that a log's file leads to, which must be the signed one; ValueError or InvalidSignature if not."""
    head = open_note(checkpoint, public)
    lines = entries.read_bytes().split(b"\n")
    if lines.pop() or len(lines) < head.size:
        raise ValueError("the log's file is shorter than what was signed")
    if tree([_leaf(line) for line in lines[: head.size]]) != head.root:
        raise ValueError("the log's entries do not lead to the signed root")
    return head


def open_note(text: str, public: Any) -> Head:
    lines = text.split("\n")
    if len(lines) != 6 or lines[3] or lines[5]:
        raise ValueError("a checkpoint has five lines")
    log, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    dash, name, signature = lines[4].split(" ")
    raw = base64.b64decode(signature, validate=True)
    spelt = (str(size), base64.b64encode(root).decode(), base64.b64encode(raw).decode())
    if (dash, name) != ("—", log) or spelt != (lines[1], lines[2], signature) or len(root) != 32:
        raise ValueError("a checkpoint written otherwise")
    if hashlib.sha256(log.encode() + b"\n\x01" + public.public_bytes_raw()).digest()[:4] != raw[:4]:
        raise ValueError("the id of another key")
    public.verify(raw[4:], "\n".join([*lines[:3], ""]).encode())
    return Head(log, size, root)


def tree(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, by its definition."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    middle = _split(len(leaves))
    return _node(tree(leaves[:middle]), tree(leaves[middle:]))


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an audit path (RFC 6962, 2.1.1) leads to, by the recursion that defines it."""
    if size == 1:
        if path:
            raise ValueError("the path is too long")
        return leaf
    middle, rest, last = _split(size), path[:-1], path[-1]
    if index < middle:
        return _node(root_by_path(leaf, index, middle, rest), last)
    return _node(last, root_by_path(leaf, index - middle, size - middle, rest))


def roots_by_proof(old: int, new: int, proof: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """Both roots of a consistency proof (RFC 6962, 2.1.2); ``known`` is the old root where it is a subtree itself."""
    if old == new:
        if known is not None:
            if proof:
                raise ValueError("the proof is too long")
            return known, known
        (one,) = proof
        return one, one
    middle, rest, last = _split(new), proof[:-1], proof[-1]
    if old <= middle:
        one, two = roots_by_proof(old, middle, rest, known)
        return one, _node(two, last)
    one, two = roots_by_proof(old - middle, new - middle, rest, None)
    return _node(last, one), _node(last, two)


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _files(bag: Path, judged: Judgement) -> Iterator[tuple[str, str]]:
    for place, folders, names in os.walk(bag):
        if len(Path(place).relative_to(bag).parts) >= 16:
            judged.altered.append("nested deeper than 16 folders")
            folders.clear()
            continue
        for name in folders + names:
            path = Path(place, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                judged.altered.append(f"{path.name}: no plain file")
            elif path.is_file():
                yield path.relative_to(bag).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()


def _records(bag: Path, head: Head, judged: Judgement) -> Iterator[Line]:
    before = -1
    lines = (bag / EVIDENCE / "records.jsonl").read_text(encoding="utf-8").split("\n")
    for line in lines[:-1]:
        try:
            fields = json.loads(line)
            index, proof = fields["index"], [bytes.fromhex(step) for step in fields["proof"]]
            root = root_by_path(_leaf(fields["entry"].encode()), index, head.size, proof)
            body = json.loads(fields["entry"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            judged.altered.append("a line of the records that is none")
            continue
        if root != head.root or not 0 <= index < head.size or index <= before:
            judged.altered.append(f"record {index} is not there in the log")
            continue
        before = index
        yield index, body


def _judge_printed(bag: Path, head: Head, public: Any, printed: str | None, judged: Judgement) -> None:
    roots = {head.size: head.root}
    path = bag / EVIDENCE / "consistency.jsonl"
    before = 0
    for line in path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []:
        try:
            fields = json.loads(line)
            size, root = fields["size"], bytes.fromhex(fields["root"])
            proof = [bytes.fromhex(step) for step in fields["proof"]]
            if not before < size < head.size or roots_by_proof(size, head.size, proof, root) != (
                root,
                head.root,
            ):
                raise ValueError("does not lead to the head")
            roots[size], before = root, size
        except (ValueError, KeyError, TypeError, IndexError) as error:
            judged.altered.append(f"a consistency proof that is none: {error}")
    if printed is None:
        return
    if printed.split("\n")[0] != head.log:
        judged.open.append("printed by another log")
        return
    paper = open_note(printed, public)
    if paper.size not in roots:
        judged.open.append("no proof from what was printed")
    elif roots[paper.size] != paper.root:
        judged.altered.append("rewritten after it was printed")


def _place(body: dict[str, Any]) -> str:
    folder = "backfilled" if body["kind"] == "backfill.segment" else "segments"
    take = body["take"].split("/")[-1]
    return f"data/{folder}/{body['camera']}/{body['window']}/{take}/seg-{body['number']:05d}.mp4"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _span(body: dict[str, Any]) -> Span:
    return _moment(body["starts_at"]), _moment(body["ends_at"])


def _meets(one: Span, two: Span) -> bool:
    return one[0] < two[1] and one[1] > two[0]


def _judge_claim(records: list[Line], files: dict[str, str], bag: Path, judged: Judgement) -> None:
    claims = [line for line in records if line[1]["kind"] == "export"]
    if len(claims) != 1:
        judged.altered.append("not one record of an export")
        return
    at, claim = claims[0]
    if {index for index, _ in records} - {at} != set(claim["records"]):
        judged.altered.append("other records than were signed")
    if f"External-Identifier: {claim['export']}" not in (bag / "bag-info.txt").read_text().split("\n"):
        judged.altered.append("bag-info names another export")
    for path, digest in claim["files"].items():
        if files.get(path) != digest:
            judged.altered.append(f"{path} is not as it was exported")
    unsigned = {EVIDENCE + name for name in ("records.jsonl", "checkpoint", "consistency.jsonl")}
    known = {*claim["files"], *unsigned, *TAGS}
    judged.altered += [f"{path} is too many" for path in files if path not in known and not _dropped(path)]
    span = _span(claim)
    tombs = {
        (body["path"], body["sha256"]): index for index, body in records if body["kind"] == "segment.deleted"
    }
    for index, body in records:
        if body["kind"] in FOOTAGE:
            signed = claim["files"].get(_place(body))
            if signed is not None and signed != body["sha256"]:
                judged.altered.append(f"{_place(body)} is not as it was recorded")
            due = body["camera"] in claim["cameras"] and _meets(_span(body), span)
            if signed is None and due and tombs.get((body["path"], body["sha256"]), -1) < index:
                judged.altered.append(f"{_place(body)} was left out")
    _judge_chains(records, span, judged)
    _judge_windows(records, claim, span, judged)
    _judge_backfills(records, judged)


def _judge_chains(records: list[Line], span: Span, judged: Judgement) -> None:
    for kind, closing, within in (
        ("segment", "take.closed", span),
        ("backfill.segment", "backfill.closed", None),
    ):
        closings = {body["take"]: body for _, body in records if body["kind"] == closing}
        takes: dict[str, list[Line]] = {}
        for line in records:
            if line[1]["kind"] == kind:
                takes.setdefault(line[1]["take"], []).append(line)
        for take, lines in takes.items():
            lines.sort(key=lambda line: line[1]["number"])
            first, last = lines[0][1], lines[-1][1]
            if first["previous"] and (within is None or _span(first)[0] > within[0]):
                judged.altered.append(f"{take}: its head is missing")
            for (one_at, one), (two_at, two) in pairwise(lines):
                if two["previous"] != one["sha256"] or two_at < one_at:
                    judged.altered.append(f"{take}: broken after {one['number']}")
            if within is not None and _span(last)[1] >= within[1]:
                continue
            closed = closings.get(take)
            if closed is None:
                judged.open.append(f"{take}: not closed")
            elif closed["last"] != last["sha256"] or (
                not first["previous"] and closed["segments"] != len(lines)
            ):
                judged.altered.append(f"{take}: its tail is missing")


def _judge_windows(records: list[Line], claim: dict[str, Any], span: Span, judged: Judgement) -> None:
    expected = [body for _, body in records if body["kind"] == "window.expected"]
    if not any(_meets(_span(window), span) for window in expected):
        judged.open.append("nothing was expected")
    void = set()
    for at, body in records:
        if body["kind"] == "window.cancelled":
            begins = [_span(window)[0] for window in expected if window["window"] == body["window"]]
            before = max((_moment(other["at"]) for index, other in records if index < at), default=None)
            for begin in begins:
                if _moment(body["at"]) <= begin:
                    if before is not None and before > begin + timedelta(seconds=60):
                        judged.open.append("a cancellation that is dated back")
                    else:
                        void.add(body["window"])
    names = {window["window"] for window in expected}
    for camera in claim["cameras"]:
        mine = [body for _, body in records if body.get("camera", camera) == camera]
        covered = [_span(body) for body in mine if body["kind"] in ("segment", "gap")]
        if any(body["window"] not in names for body in mine if body["kind"] in ("segment", "gap")):
            judged.open.append("footage of no window")
        for window in expected:
            if camera not in window["cameras"] or not _meets(_span(window), span):
                continue
            for closing in (
                body
                for body in mine
                if body["kind"] == "window.closed" and body["window"] == window["window"]
            ):
                for what, kind in (("takes", "take.opened"), ("gaps", "gap")):
                    count = sum(body["kind"] == kind and body["window"] == window["window"] for body in mine)
                    if closing[what].get(camera, 0) != count:
                        judged.altered.append(f"{camera}: {what} are missing")
            if window["window"] not in void:
                _judge_holes(camera, _span(window), covered, span, judged)


def _holes(whole: Span, covered: list[Span]) -> Iterator[Span]:
    at = whole[0]
    for begin, end in sorted(covered):
        if begin > at:
            yield at, min(begin, whole[1])
        at = max(at, end)
        if at >= whole[1]:
            return
    yield at, whole[1]


def _judge_holes(camera: str, window: Span, covered: list[Span], span: Span, judged: Judgement) -> None:
    for begin, end in _holes(window, covered):
        allowed = timedelta(seconds=1 if begin == window[0] or end == window[1] else 0.2) + SLACK
        if end - begin > allowed and min(end, span[1]) - max(begin, span[0]) > SLACK:
            judged.open.append(f"{camera}: nothing explains {begin} to {end}")


def _judge_backfills(records: list[Line], judged: Judgement) -> None:
    opened = {body["take"]: body for _, body in records if body["kind"] == "backfill.opened"}
    gaps = {index: body for index, body in records if body["kind"] == "gap"}
    footage: dict[str, list[Span]] = {}
    for _, body in records:
        if body["kind"] == "backfill.segment":
            footage.setdefault(body["take"], []).append(_span(body))
    judged.altered += [f"{take}: nothing says where it came from" for take in footage if take not in opened]
    for _, body in records:
        if body["kind"] == "backfill.closed" and body["segments"] and body["take"] not in footage:
            judged.altered.append("backfilled footage is missing")
        if body["kind"] != "gap.healed":
            continue
        gap, source, span = gaps.get(body["gap"]), opened.get(body["take"]), _span(body)
        fits = gap is not None and source is not None and source["gap"] == body["gap"]
        if gap is not None and fits:
            inside = _span(gap)[0] <= span[0] + SLACK and span[1] <= _span(gap)[1] + SLACK
            missing = sum(
                (end - begin for begin, end in _holes(span, footage.get(body["take"], []))), timedelta()
            )
            fits = inside and missing <= timedelta(seconds=0.2) + SLACK
            fits = fits and (gap["camera"], gap["window"]) == (body["camera"], body["window"])
        if not fits:
            judged.altered.append("a healing that does not fit")


def _dropped(path: str) -> bool:
    name = path.split("/")[-1]
    return name in (".DS_Store", "Thumbs.db", "desktop.ini") or name.startswith("._")


def _judge_manifests(bag: Path, files: dict[str, str], judged: Judgement) -> None:
    for name, of_payload in (("manifest-sha256.txt", True), ("tagmanifest-sha256.txt", False)):
        try:
            *lines, rest = (bag / name).read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError):
            judged.altered.append(f"{name} is missing")
            continue
        listed: dict[str, str] = {}
        for line in lines:
            match = re.fullmatch(r"([0-9a-f]{64})  ([^\\:\x00]+)", line)
            if match is None or match[2] in listed or {"", ".", ".."} & set(match[2].split("/")):
                judged.altered.append(f"{name}: no line of a manifest")
            else:
                listed[match[2]] = match[1]
        own = {
            path
            for path in files
            if path.startswith("data/") == of_payload and path != "tagmanifest-sha256.txt"
        }
        wrong = {path for path in own - set(listed) if not _dropped(path)}
        wrong |= {path for path, digest in listed.items() if files.get(path) != digest}
        if rest or wrong:
            judged.altered.append(f"{name} does not fit: {sorted(wrong)}")
