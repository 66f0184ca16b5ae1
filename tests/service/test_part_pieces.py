"""Pieces of files that are made of boxes at random: any part of them verifies, and no change of it does."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_service.clock import to_text
from kaozheng_service.disputes.standalone.completeness import segment_path
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.moments import NoTimesError, piece_times
from kaozheng_service.disputes.standalone.parts import FRAGMENTS, check_parts
from kaozheng_service.disputes.standalone.pieces import hash_pieces
from kaozheng_service.disputes.standalone.records import parse_record
from kaozheng_service.evidence.merkle import GrowingTree

BEGINS = datetime(2024, 11, 23, 1, tzinfo=UTC)
TIMESCALE, VIDEO, SOUND = 12800, 2, 1
PICTURE = TIMESCALE // 25


def box(kind: bytes, *inside: bytes, wide: bool = False) -> bytes:
    body = b"".join(inside)
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def integers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def track(number: int, kind: bytes, *more: bytes) -> bytes:
    media = box(b"mdhd", integers(0, 0, 0, TIMESCALE, 0, 0)), box(b"hdlr", integers(0, 0), kind)
    return box(b"trak", box(b"tkhd", integers(0, 0, 0, number, 0)), *more, box(b"mdia", *media))


def header(*more: bytes) -> bytes:
    defaults = [box(b"trex", integers(0, number, 1, PICTURE, 0, 0)) for number in (SOUND, VIDEO)]
    tracks = track(SOUND, b"soun"), track(VIDEO, b"vide", *more)
    return box(b"ftyp", b"iso5") + box(b"moov", box(b"mvhd", integers(0)), *tracks, box(b"mvex", *defaults))


def fragment(begin: int, pictures: int, *, wide: bool, stated: bool) -> bytes:
    """A group of pictures from ``begin`` on, in pictures: with their own durations or the track's."""
    start = struct.pack(">IQ", 1 << 24, begin * PICTURE) if wide else struct.pack(">II", 0, begin * PICTURE)
    rows = [PICTURE] * pictures if stated else []
    runs = box(b"trun", integers(0x101 if stated else 0x01, pictures, 0, *rows))
    sound = box(b"traf", box(b"tfhd", integers(0x020000, SOUND)), box(b"tfdt", integers(0, 7)))
    video = box(b"traf", box(b"tfhd", integers(0x020000, VIDEO)), box(b"tfdt", start), runs)
    return box(b"moof", box(b"mfhd", integers(0, begin)), sound, video, wide=wide)


@dataclass(frozen=True)
class Made:
    """A file as its pieces, and how many pictures are in each but the header."""

    pieces: list[bytes]
    pictures: list[int]

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


OTHER_BOX = st.builds(
    box,
    st.sampled_from([b"free", b"sidx", b"uuid", b"mdat", b"emsg", b"mfra"]),
    st.binary(max_size=40),
    wide=st.booleans(),
)
TAIL = st.one_of(
    st.just(b""),
    st.binary(max_size=7),
    # Boxes that are longer than what is there, shorter than their own header, or of no stated length.
    st.binary(max_size=30).map(lambda body: struct.pack(">I4s", 1000, b"moof") + body),
    st.binary(max_size=30).map(lambda body: struct.pack(">I4s", 7, b"moof") + body),
    st.binary(max_size=30).map(lambda body: struct.pack(">I4s", 0, b"moof") + body),
    st.just(struct.pack(">I4sI", 1, b"moof", 12)),
)


@st.composite
def files(draw: st.DrawFn) -> Made:
    pieces = [header() + b"".join(draw(st.lists(OTHER_BOX, max_size=2)))]
    counts = draw(st.lists(st.integers(1, 60), min_size=2, max_size=12))
    at = draw(st.integers(0, 500))
    for count in counts:
        moof = fragment(at, count, wide=draw(st.booleans()), stated=draw(st.booleans()))
        pieces.append(moof + b"".join(draw(st.lists(OTHER_BOX, min_size=1, max_size=3))))
        at += count
    pieces[-1] += draw(TAIL)
    return Made(pieces, counts)


def leaf(piece: bytes) -> str:
    return hashlib.sha256(b"\0" + piece).hexdigest()


def root(pieces: list[bytes]) -> str:
    """By the log's own tree, which knows nothing of the verifier's."""
    tree = GrowingTree()
    for piece in pieces:
        tree.add(piece)
    return tree.root().hex()


def check(made: Made, asked: tuple[int, int], named: tuple[int, int], part: bytes, folder: Path) -> set[str]:
    """Codes found for a part of that file, named as pieces ``named``, where all that ``asked`` show is claimed."""
    before, until = sum(made.pictures[: asked[0] - 1]) / 25, sum(made.pictures[: asked[1]]) / 25
    # Within the first and the last picture, however the segment was stretched: its 720 pictures at most, by 500 ppm.
    span = {"starts_at": BEGINS + timedelta(seconds=before + 0.02)}
    span["ends_at"] = BEGINS + timedelta(seconds=until - 0.02)
    file_times = {"starts_at": BEGINS, "ends_at": BEGINS + timedelta(seconds=sum(made.pictures) / 25)}
    (folder / "whole.mp4").write_bytes(made.data)
    times = piece_times(folder / "whole.mp4", hash_pieces(folder / "whole.mp4"))
    body = {
        "kind": "segment",
        "take": "w/c/take-0001",
        "window": "w",
        "camera": "c",
        "number": 1,
        "sha256": hashlib.sha256(made.data).hexdigest(),
        "previous": "",
        "path": "x",
        "fragments": len(made.pieces),
        "fragments_root": root(made.pieces),
        "first_pts_s": round(times[0].begins_s, 6),
        **{name: to_text(moment) for name, moment in file_times.items()},
    }
    segment = parse_record(1, json.dumps(body).encode())
    path = segment_path(segment, named)
    for name in (path, FRAGMENTS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(part)
    line = json.dumps({"index": 1, "leaves": [leaf(piece) for piece in made.pieces]})
    (folder / FRAGMENTS).write_text(line + "\n", encoding="utf-8")
    hashes = {path: "0", FRAGMENTS: "0"}
    claim = {"kind": "export", "export": "e", "room": "r", "cameras": ["c"], "files": hashes, "records": [1]}
    claim |= {name: to_text(moment) for name, moment in span.items()}
    signed = parse_record(2, json.dumps(claim).encode())
    found = Findings()
    assert check_parts(folder, [segment, signed], signed, hashes, found) == 1
    return {finding.code for finding in found.ranked()}


def changed(draw: st.DrawFn, part: bytes, pieces: list[bytes]) -> bytes:
    """A part with bytes changed, put in, or taken out, or pieces of it dropped, exchanged or repeated."""
    at = draw(st.integers(0, len(part) - 1))
    kind = draw(st.sampled_from(["flip", "insert", "delete", "drop", "exchange", "repeat"]))
    if kind == "flip":
        return part[:at] + bytes([part[at] ^ draw(st.integers(1, 255))]) + part[at + 1 :]
    if kind == "insert":
        return part[:at] + draw(st.binary(min_size=1, max_size=9)) + part[at:]
    if kind == "delete":
        return part[:at] + part[at + draw(st.integers(1, 9)) :]
    one, two = draw(st.integers(0, len(pieces) - 1)), draw(st.integers(0, len(pieces) - 1))
    other = list(pieces)
    if kind == "drop":
        del other[one]
    elif kind == "exchange":
        other[one], other[two] = other[two], other[one]
    else:
        other.insert(two, other[one])
    return b"".join(other)


@given(made=files())
def test_the_pieces_of_any_file_joined_are_the_file(made: Made) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file.mp4"
        path.write_bytes(made.data)
        found = hash_pieces(path)
        cut = [made.data[slice(*found.extent(number))] for number in range(len(found.starts))]
    assert cut == made.pieces
    assert (found.sha256, found.size) == (hashlib.sha256(made.data).hexdigest(), len(made.data))
    assert [one.hex() for one in found.leaves] == [leaf(piece) for piece in made.pieces]
    assert found.root == root(made.pieces)


@given(data=st.binary(max_size=200))
def test_what_is_no_file_of_boxes_has_pieces_too(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file"
        path.write_bytes(data)
        found = hash_pieces(path)
        cut = [data[slice(*found.extent(number))] for number in range(len(found.starts))]
    assert b"".join(cut) == data
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.root == root(cut)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), made=files())
def test_any_part_verifies_and_no_change_of_it_does(data: Any, made: Made) -> None:
    first = data.draw(st.integers(1, len(made.pieces) - 1))
    last = data.draw(st.integers(first, len(made.pieces) - 1))
    pieces = [made.pieces[0], *made.pieces[first : last + 1]]
    part = b"".join(pieces)
    with tempfile.TemporaryDirectory() as name:
        assert check(made, (first, last), (first, last), part, Path(name)) == set()
        other = changed(data.draw, part, pieces)
        if other != part:
            assert check(made, (first, last), (first, last), other, Path(name)) == {"part_piece"}


@settings(max_examples=100, deadline=None)
@given(data=st.data(), made=files())
def test_a_part_of_fewer_pieces_than_the_range_needs_is_too_short(data: Any, made: Made) -> None:
    first = data.draw(st.integers(1, len(made.pieces) - 1))
    last = data.draw(st.integers(first, len(made.pieces) - 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for begin, end in ((first + 1, last), (first, last - 1)):
            if begin > end:
                continue
            shorter = b"".join([made.pieces[0], *made.pieces[begin : end + 1]])
            assert check(made, (first, last), (begin, end), shorter, folder) == {"part_short"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: [box(b"ftyp", b"iso5"), *made.pieces[1:]],
        lambda made: [header(box(b"edts", box(b"elst", integers(0, 1, 0, 512, 0)))), *made.pieces[1:]],
        lambda made: [made.pieces[0], made.pieces[2], made.pieces[1]],
        lambda made: [*made.pieces[:2], box(b"moof", box(b"mfhd", integers(0, 1)))],
        lambda made: [*made.pieces[:2], box(b"moof", b"\0\0\0\5traf")],
        lambda made: [*made.pieces[:2], made.pieces[2].replace(b"trun", b"skip")],
    ],
    ids=["no moov", "an edit", "back in time", "no track", "a broken box", "no pictures"],
)
def test_times_that_the_boxes_do_not_tell_are_not_guessed(spoil: Any, tmp_path: Path) -> None:
    pieces = [fragment(at, 25, wide=False, stated=True) + box(b"mdat") for at in (0, 25)]
    made = Made([header(), *pieces], [25, 25])
    path = tmp_path / "file.mp4"
    path.write_bytes(made.data)
    times = piece_times(path, hash_pieces(path))
    assert [(one.begins_s, one.ends_s, one.earliest_s) for one in times] == [(0, 1, 0), (1, 2, 1)]
    path.write_bytes(b"".join(spoil(made)))
    with pytest.raises(NoTimesError):
        piece_times(path, hash_pieces(path))
