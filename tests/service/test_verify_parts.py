"""An export cut to the disputed minutes proves itself; whatever is done to a part is found, by both verifiers.

The strongest attacker here is the site itself: it signs what it did anew, with its own key, in its own log.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import imageio_ffmpeg
import pytest
import yaml
from kaozheng_service.clock import from_text
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Segment
from kaozheng_service.disputes.bag import seal_bag
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.standalone.parts import STRETCH
from kaozheng_service.disputes.standalone.pieces import hash_pieces, tree_root
from kaozheng_service.disputes.verify import report_json, verify_archive, verify_bag
from kaozheng_service.errors import ServiceError
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import Exported
from kaozheng_service.recording.media import read_facts
from kaozheng_service.recording.timing import LARGEST_RATE
from kaozheng_service.recording.windows import record_now
from kaozheng_service.station import open_station

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


@pytest.fixture(scope="session")
def cut_media(small_archives: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    media: list[Path] = small_archives.make_segments(tmp_path_factory.mktemp("grouped"), 5, group=GROUP)
    return media


def record(archive: Any, media: list[Path], **other: Any) -> datetime:
    """The two cameras, which never show the same at one time."""
    begins: datetime = archive.local("2024-11-23 09:00:00")
    window = archive.window(begins, begins + timedelta(seconds=10), room=ROOM, closed=False)
    for shift, camera in enumerate(CAMERAS):
        archive.take(window, camera, begins, 5, media=media[shift:] + media[:shift], **other)
    archive.close(window)
    return begins


@pytest.fixture(scope="session")
def pristine(small_archives: ModuleType, cut_media: list[Path], tmp_path_factory: Any) -> Cut:
    folder = tmp_path_factory.mktemp("cut")
    archive = small_archives.SmallArchive.make(folder, cut_media)
    whole = Cut(archive, record(archive, cut_media), folder / "bag")
    whole.export(3.1, 7.3, whole.bag)
    return whole


@pytest.fixture
def cut(pristine: Cut, tmp_path: Path) -> Cut:
    """With a copy of the bag, to be tampered with."""
    return Cut(pristine.archive, pristine.begins, Path(shutil.copytree(pristine.bag, tmp_path / "bag")))


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
    rest = {name: claim[name] for name in ("export", "room", "cameras", "seat", "reason")}
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


def test_a_cut_bag_is_intact_and_holds_only_what_the_range_needs(pristine: Cut) -> None:
    assert judged(pristine.bag) == set()
    assert verify_bag(pristine.bag).parts == 4
    for camera in CAMERAS:
        files = {path.name: path for path in (pristine.bag / "data/segments" / camera).rglob("*.mp4")}
        assert set(files) == {
            "seg-00002.part-0003-0005.mp4",
            "seg-00003.mp4",
            "seg-00004.part-0001-0004.mp4",
        }
        assert files["seg-00003.mp4"].read_bytes() == pristine.original(camera, 3).read_bytes()
        second = pieces_of(pristine.original(camera, 2))
        fourth = pieces_of(pristine.original(camera, 4))
        assert [len(second), len(fourth)] == [6, 6]
        assert files["seg-00002.part-0003-0005.mp4"].read_bytes() == b"".join([second[0], *second[3:]])
        assert files["seg-00004.part-0001-0004.mp4"].read_bytes() == b"".join(fourth[:5])


def test_the_signed_root_is_the_tree_hash_over_the_pieces(pristine: Cut) -> None:
    for entry in pristine.station.log.entries():
        body = json.loads(entry)
        if body["kind"] != "segment":
            continue
        leaves = [
            hashlib.sha256(b"\0" + piece).digest()
            for piece in pieces_of(pristine.station.archive / body["path"])
        ]

        def node(left: bytes, right: bytes) -> bytes:
            return hashlib.sha256(b"\1" + left + right).digest()

        one, two, three, four, five, six = leaves
        root = node(node(node(one, two), node(three, four)), node(five, six))
        assert (body["fragments"], body["fragments_root"]) == (6, root.hex())


def test_a_part_plays_without_an_error(pristine: Cut) -> None:
    for path, frames in (("seg-00002.part-0003-0005.mp4", 30), ("seg-00004.part-0001-0004.mp4", 40)):
        for file in (pristine.bag / "data/segments").rglob(path):
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-xerror", "-i", str(file)]
            played = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True)
            assert played.stderr == ""
            with av.open(str(file)) as container:
                assert sum(1 for _ in container.decode(video=0)) == frames


def test_a_viewing_copy_of_parts_has_every_picture_and_no_jump(pristine: Cut) -> None:
    for camera in CAMERAS:
        with av.open(str(pristine.bag / f"data/viewing/derived-viewing-copy-{camera}.mp4")) as container:
            times = sorted(float(frame.pts * frame.time_base) for frame in container.decode(video=0))
        assert len(times) == 30 + 50 + 40
        steps = [later - earlier for earlier, later in pairwise(times)]
        assert max(steps) == pytest.approx(0.04, abs=0.002)


def test_the_report_and_the_readme_say_what_is_cut(pristine: Cut) -> None:
    report = (pristine.bag / "data/report.html").read_text(encoding="utf-8")
    assert report.count("截取 3–5/5") == 2
    assert report.count("截取 1–4/5") == 2
    assert "seg-00002.part-0003-0005.mp4" in report
    assert FRAGMENTS in (pristine.bag / "README.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("first_s", "last_s", "names"),
    [
        (4.5, 5.1, ["seg-00003.part-0002-0003.mp4"]),
        (4.9, 5.1, ["seg-00003.part-0003-0003.mp4"]),
        (4.0, 6.0, ["seg-00003.mp4"]),
        (3.9, 6.1, ["seg-00002.part-0005-0005.mp4", "seg-00003.mp4", "seg-00004.part-0001-0001.mp4"]),
        (2.0, 3.0, ["seg-00002.part-0001-0003.mp4"]),
        (0.1, 9.9, [f"seg-{number:05d}.mp4" for number in range(1, 6)]),
    ],
)
def test_what_of_a_segment_goes_in(
    pristine: Cut, tmp_path: Path, first_s: float, last_s: float, names: list[str]
) -> None:
    result = pristine.export(first_s, last_s, tmp_path / "bag", camera_ids=("front-left",))
    files = sorted((tmp_path / "bag/data/segments").rglob("*.mp4"))
    assert [path.name for path in files] == names
    assert result.parts == sum("part" in name for name in names)
    assert result.bytes == sum(path.stat().st_size for path in files)
    assert (tmp_path / "bag" / FRAGMENTS).exists() == bool(result.parts)
    assert judged(tmp_path / "bag") == set()


def test_without_the_option_segments_stay_whole(pristine: Cut, tmp_path: Path) -> None:
    result = pristine.export(3.1, 7.3, tmp_path / "bag", cut=False)
    assert (result.parts, result.segments) == (0, 6)
    assert not list((tmp_path / "bag").rglob("*.part-*"))
    assert not (tmp_path / "bag" / FRAGMENTS).exists()


@pytest.mark.parametrize("unknown", [("fragments", "fragments_root"), ("first_pts_s",)])
def test_a_segment_whose_record_cannot_prove_a_part_goes_in_whole(
    small_archive: Any, cut_media: list[Path], tmp_path: Path, unknown: tuple[str, ...]
) -> None:
    old = Cut(small_archive, record(small_archive, cut_media, unknown=unknown), tmp_path / "bag")
    assert old.export(3.1, 7.3, old.bag).parts == 0
    assert judged(old.bag) == set()
    assert verify_archive(old.station).outcome == "intact"


@pytest.mark.parametrize(
    ("unknown", "code"),
    [(("fragments", "fragments_root"), "part_rootless"), (("first_pts_s",), "part_times")],
)
def test_a_part_that_its_record_cannot_prove_cannot_be_judged(
    small_archive: Any, cut_media: list[Path], tmp_path: Path, unknown: tuple[str, ...], code: str
) -> None:
    old = Cut(small_archive, record(small_archive, cut_media, unknown=unknown), tmp_path / "bag")
    old.export(3.1, 7.3, old.bag, camera_ids=("front-left",))
    victim = next((old.bag / "data/segments").rglob("seg-00002.mp4"))
    shorter = victim.with_name("seg-00002.part-0003-0005.mp4")
    pieces = pieces_of(victim)
    victim.rename(shorter)
    shorter.write_bytes(b"".join([pieces[0], *pieces[3:]]))
    index = next(
        json.loads(line)["index"]
        for line in (old.bag / RECORDS).read_text(encoding="utf-8").splitlines()
        if '\\"number\\":2' in line and '\\"kind\\":\\"segment\\"' in line
    )
    leaves = [hashlib.sha256(b"\0" + piece).hexdigest() for piece in pieces]
    (old.bag / FRAGMENTS).write_text(json.dumps({"index": index, "leaves": leaves}) + "\n", encoding="utf-8")
    sign_anew(old)
    assert judged(old.bag) == {(code, shorter.relative_to(old.bag).as_posix())}
    assert verify_bag(old.bag).outcome == "cannot_judge"


def join(path: Path, pieces: list[bytes]) -> None:
    path.write_bytes(b"".join(pieces))


def drop(at: int) -> Callable[[Cut, Path], None]:
    def attack(_cut: Cut, part: Path) -> None:
        pieces = pieces_of(part)
        del pieces[at]
        join(part, pieces)

    return attack


def exchange(_cut: Cut, part: Path) -> None:
    pieces = pieces_of(part)
    join(part, [pieces[0], pieces[2], pieces[1], *pieces[3:]])


def repeat(_cut: Cut, part: Path) -> None:
    pieces = pieces_of(part)
    join(part, [*pieces, pieces[-1]])


def from_another(camera: str, number: int) -> Callable[[Cut, Path], None]:
    def attack(cut: Cut, part: Path) -> None:
        pieces = pieces_of(part)
        join(part, [*pieces[:2], pieces_of(cut.original(camera, number))[4], *pieces[3:]])

    return attack


def header_from_another(cut: Cut, part: Path) -> None:
    pieces = pieces_of(part)
    other = pieces_of(cut.original("front-left", 1))[0]
    join(part, [other[:-1] + bytes([other[-1] ^ 1]), *pieces[1:]])


def flip(piece: int, at: int) -> Callable[[Cut, Path], None]:
    """One bit, ``at`` bytes into a piece, or from its end."""

    def attack(_cut: Cut, part: Path) -> None:
        pieces = [bytearray(piece) for piece in pieces_of(part)]
        pieces[piece][at] ^= 1
        join(part, [bytes(one) for one in pieces])

    return attack


def append_bytes(_cut: Cut, part: Path) -> None:
    part.write_bytes(part.read_bytes() + b"\0")


def cut_bytes(_cut: Cut, part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-1])


def remux(_cut: Cut, part: Path) -> None:
    out = part.with_suffix(".new")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(part), "-c", "copy", "-f", "mp4"]
    command += ["-movflags", "frag_keyframe+empty_moov+default_base_moof", str(out)]
    subprocess.run(command, check=True, timeout=60)
    out.replace(part)


def replace_all(cut: Cut, part: Path) -> None:
    """The same pieces of the other camera."""
    other = next(one for one in CAMERAS if one not in part.as_posix())
    shutil.copyfile(part_of(cut.bag, other, 2), part)


TAMPERING = {
    "the first piece taken out": drop(1),
    "a piece taken out of the middle": drop(2),
    "the last piece taken out": drop(3),
    "the header taken out": drop(0),
    "two pieces exchanged": exchange,
    "a piece twice": repeat,
    "a piece of another segment": from_another("front-left", 3),
    "a piece of another camera": from_another("back-right", 2),
    "a header of another file": header_from_another,
    "all of another camera": replace_all,
    "a bit of the header": flip(0, 40),
    "a bit of a moof": flip(2, 30),
    "a bit of the length of a moof": flip(2, 3),
    "a bit of the name of a moof": flip(2, 6),
    "a bit of an mdat": flip(2, -7),
    "a bit of the last byte": flip(3, -1),
    "a byte more": append_bytes,
    "a byte less": cut_bytes,
    "muxed anew": remux,
}


@pytest.mark.parametrize("signed_anew", [False, True])
@pytest.mark.parametrize("attack", TAMPERING.values(), ids=TAMPERING.keys())
def test_a_part_that_is_not_as_recorded_is_named(
    cut: Cut, attack: Callable[[Cut, Path], None], signed_anew: bool
) -> None:
    part = part_of(cut.bag, "front-left", 2)
    before = part.read_bytes()
    attack(cut, part)
    assert part.read_bytes() != before
    if signed_anew:
        sign_anew(cut)
    else:
        reseal(cut.bag)
    codes = {"part_piece"} if signed_anew else {"changed", "swapped"}
    (found,) = judged(cut.bag)
    assert found[0] in codes
    assert found[1] == part.relative_to(cut.bag).as_posix()


def test_every_header_counts_even_where_only_a_part_of_it_is_wrong(cut: Cut) -> None:
    part = part_of(cut.bag, "front-left", 2)
    pieces = pieces_of(part)
    join(part, [pieces[0][8:], *pieces[1:]])
    sign_anew(cut)
    assert judged(cut.bag) == {("part_piece", part.relative_to(cut.bag).as_posix())}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("seg-00002.part-0002-0004.mp4", "part_piece"),
        ("seg-00002.part-0003-0004.mp4", "part_piece"),
        ("seg-00002.part-0001-0003.mp4", "part_piece"),
        ("seg-00002.part-0004-0006.mp4", "part_range"),
        ("seg-00002.part-0003-0009.mp4", "part_range"),
        ("seg-00002.part-0000-0002.mp4", "part_range"),
        ("seg-00002.part-0005-0003.mp4", "part_range"),
    ],
)
def test_a_part_that_says_to_be_other_pieces_is_named(cut: Cut, name: str, code: str) -> None:
    part = part_of(cut.bag, "front-left", 2)
    claimed = part.rename(part.with_name(name))
    sign_anew(cut)
    assert judged(cut.bag) == {(code, claimed.relative_to(cut.bag).as_posix())}


@pytest.mark.parametrize(
    "name",
    [
        "seg-00002.part-3-5.mp4",
        "seg-00002.part-00003-0005.mp4",
        "seg-00002.part-0003-0005-0006.mp4",
        "seg-00002.part-٠٠٠٣-٠٠٠٥.mp4",
        "seg-00099.part-0003-0005.mp4",
        "seg-00002.mp4.part-0003-0005.mp4",
        "seg-00002.PART-0003-0005.mp4",
    ],
)
@pytest.mark.parametrize("signed_anew", [False, True])
def test_a_part_by_another_name_is_no_part_and_its_segment_left_out(
    cut: Cut, name: str, signed_anew: bool
) -> None:
    part = part_of(cut.bag, "front-left", 2)
    place = part.parent.relative_to(cut.bag).as_posix()
    part.rename(part.with_name(name))
    if signed_anew:
        sign_anew(cut)
        # The hashes of its pieces belong to no part any more.
        expected = {("unexpected", f"{place}/{name}"), ("left_out", f"{place}/seg-00002.mp4")}
        assert judged(cut.bag) == expected | {("part_line", FRAGMENTS)}
    else:
        reseal(cut.bag)
        assert {("missing", f"{place}/{part.name}"), ("unexpected", f"{place}/{name}")} <= judged(cut.bag)


def test_a_part_that_would_be_another_segments_is_named(cut: Cut) -> None:
    part = part_of(cut.bag, "front-left", 2)
    other = part.with_name("seg-00003.part-0003-0005.mp4")
    part.with_name("seg-00003.mp4").unlink()
    shutil.copyfile(part, other)
    lines = (cut.bag / FRAGMENTS).read_text(encoding="utf-8").splitlines()
    third = next(
        json.loads(line)["index"]
        for line in (cut.bag / RECORDS).read_text(encoding="utf-8").splitlines()
        if '\\"number\\":3' in line and '\\"camera\\":\\"front-left\\"' in line
    )
    own = [leaf.hex() for leaf in hash_pieces(cut.original("front-left", 3)).leaves]
    text = "".join(f"{line}\n" for line in [*lines, json.dumps({"index": third, "leaves": own})])
    (cut.bag / FRAGMENTS).write_text(text, encoding="utf-8")
    sign_anew(cut)
    assert judged(cut.bag) == {("part_piece", other.relative_to(cut.bag).as_posix())}


def change_leaves(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Cut], None]:
    def attack(cut: Cut) -> None:
        file = cut.bag / FRAGMENTS
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        change(lines)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    return attack


def collapse(lines: list[dict[str, Any]]) -> None:
    """Inner nodes for leaves: the root stays, and the pieces would be what nobody hashed."""
    leaves = [bytes.fromhex(leaf) for leaf in lines[0]["leaves"]]
    lines[0]["leaves"] = [tree_root(leaves[at : at + 2]).hex() for at in range(0, len(leaves), 2)]
    assert tree_root([bytes.fromhex(leaf) for leaf in lines[0]["leaves"]]) == tree_root(leaves)


def to_begin(lines: list[dict[str, Any]]) -> None:
    lines[0]["leaves"] = [lines[0]["leaves"][0][::-1], *lines[0]["leaves"][1:]]


LEAVES = {
    "a leaf changed": change_leaves(to_begin),
    "a leaf taken out": change_leaves(lambda lines: lines[0]["leaves"].pop()),
    "a leaf more": change_leaves(lambda lines: lines[0]["leaves"].append("00" * 32)),
    "two leaves exchanged": change_leaves(lambda lines: lines[0]["leaves"].sort()),
    "no leaves": change_leaves(lambda lines: lines[0].update(leaves=[])),
    "inner nodes for leaves": change_leaves(collapse),
    "a line taken out": change_leaves(lambda lines: lines.pop(0)),
    "two lines exchanged": change_leaves(
        lambda lines: lines.__setitem__(0, {"index": lines[0]["index"], "leaves": lines[1]["leaves"]})
    ),
}


@pytest.mark.parametrize("signed_anew", [False, True])
@pytest.mark.parametrize("attack", LEAVES.values(), ids=LEAVES.keys())
def test_hashes_that_do_not_lead_to_the_signed_root_are_named(
    cut: Cut, attack: Callable[[Cut], None], signed_anew: bool
) -> None:
    attack(cut)
    if signed_anew:
        sign_anew(cut)
    else:
        reseal(cut.bag)
    found = judged(cut.bag)
    parts = {path.relative_to(cut.bag).as_posix() for path in cut.bag.rglob("*.part-*")}
    assert any(code == "part_leaves" and path in parts for code, path in found)
    assert (("changed", FRAGMENTS) in found) != signed_anew


@pytest.mark.parametrize("line", ["{}", "[1]", "not json", '{"index": 1, "leaves": 7}', "[" * 5000])
def test_a_line_that_is_no_hashes_of_a_part_is_named(cut: Cut, line: str) -> None:
    file = cut.bag / FRAGMENTS
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    sign_anew(cut)
    assert judged(cut.bag) == {("part_line", FRAGMENTS)}


def test_hashes_that_are_missing_are_named(cut: Cut) -> None:
    (cut.bag / FRAGMENTS).unlink()
    sign_anew(cut)
    found = judged(cut.bag)
    assert ("missing", FRAGMENTS) in found
    assert {code for code, _ in found} == {"missing", "part_leaves"}


@pytest.mark.parametrize(
    ("number", "first", "last"), [(2, 4, 5), (2, 5, 5), (4, 1, 3), (4, 1, 1), (2, 3, 4), (4, 2, 4)]
)
def test_a_site_that_cuts_shorter_than_it_says_is_found_out(
    cut: Cut, number: int, first: int, last: int
) -> None:
    part = part_of(cut.bag, "back-right", number)
    pieces = pieces_of(cut.original("back-right", number))
    part.unlink()
    shorter = part.with_name(f"seg-{number:05d}.part-{first:04d}-{last:04d}.mp4")
    join(shorter, [pieces[0], *pieces[first : last + 1]])
    sign_anew(cut)
    assert judged(cut.bag) == {("part_short", shorter.relative_to(cut.bag).as_posix())}


def test_a_site_that_widens_the_range_is_found_out(cut: Cut) -> None:
    sign_anew(cut, starts_at=cut.at(2.7))
    second = {part_of(cut.bag, camera, 2).relative_to(cut.bag).as_posix() for camera in CAMERAS}
    assert judged(cut.bag) == {("part_short", path) for path in second}
    sign_anew(cut, starts_at=cut.at(3.1), ends_at=cut.at(7.7))
    fourth = {part_of(cut.bag, camera, 4).relative_to(cut.bag).as_posix() for camera in CAMERAS}
    assert judged(cut.bag) == {("part_short", path) for path in fourth}
    sign_anew(cut, starts_at=cut.at(3.1), ends_at=cut.at(7.3))
    assert judged(cut.bag) == set()


def test_nobody_else_can_widen_the_range(cut: Cut) -> None:
    file = cut.bag / RECORDS
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("T01:00:03.100Z", "T01:00:02.100Z"), encoding="utf-8")
    reseal(cut.bag)
    assert ("record_proof", RECORDS) in judged(cut.bag)


def test_two_parts_of_one_segment_cannot_leave_out_what_lies_between(cut: Cut) -> None:
    part = part_of(cut.bag, "front-left", 4)
    pieces = pieces_of(cut.original("front-left", 4))
    part.unlink()
    join(part.with_name("seg-00004.part-0001-0001.mp4"), pieces[:2])
    join(part.with_name("seg-00004.part-0004-0004.mp4"), [pieces[0], pieces[4]])
    sign_anew(cut)
    place = part.parent.relative_to(cut.bag).as_posix()
    assert judged(cut.bag) == {
        ("part_short", f"{place}/seg-00004.part-0001-0001.mp4"),
        ("unexpected", f"{place}/seg-00004.part-0004-0004.mp4"),
    }


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_whole_file_beside_a_part_or_of_a_neighbour_is_too_many(cut: Cut, number: int) -> None:
    place = part_of(cut.bag, "front-left", 2).parent
    extra = place / f"seg-{number:05d}.mp4"
    extra.write_bytes(b"never recorded")
    reseal(cut.bag)
    assert {code for code, path in judged(cut.bag) if path == extra.relative_to(cut.bag).as_posix()} == {
        "unexpected"
    }


def test_a_part_of_a_segment_that_was_taken_out_is_missing(cut: Cut) -> None:
    part = part_of(cut.bag, "front-left", 2)
    part.unlink()
    reseal(cut.bag)
    assert judged(cut.bag) == {("missing", part.relative_to(cut.bag).as_posix())}


def test_footage_that_came_afterwards_is_cut_too(
    small_archives: ModuleType, cut_media: list[Path], tmp_path: Path
) -> None:
    archive = small_archives.SmallArchive.make(tmp_path, cut_media)
    begins = archive.local("2024-11-23 09:00:00")
    site = Cut(archive, begins, tmp_path / "bag")
    window = archive.window(begins, site.at(10), room=ROOM, cameras=("front-left",), closed=False)
    archive.take(window, "front-left", begins, 2)
    archive.gap(window, "front-left", site.at(4), site.at(10))
    archive.close(window)
    archive.backfill(window, "front-left", site.at(4), 3)
    result = site.export(4.5, 5.1, site.bag, camera_ids=("front-left",))
    assert (result.segments, result.backfilled, result.parts) == (0, 1, 1)
    (part,) = (site.bag / "data/backfilled").rglob("*.mp4")
    assert part.name == "seg-00001.part-0002-0003.mp4"
    assert judged(site.bag) == set()
    with av.open(str(site.bag / "data/viewing/derived-viewing-copy-front-left-backfilled.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20
    flip(1, -5)(site, part)
    sign_anew(site)
    assert judged(site.bag) == {("part_piece", part.relative_to(site.bag).as_posix())}


def test_an_original_that_is_damaged_is_not_cut(
    small_archive: Any, cut_media: list[Path], tmp_path: Path
) -> None:
    site = Cut(small_archive, record(small_archive, cut_media), tmp_path / "bag")
    victim = site.original("front-left", 2)
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ServiceError, match="not as it was signed"):
        site.export(3.1, 7.3, site.bag)
    span = {"starts_at": site.at(3.1), "ends_at": site.at(7.3)}
    request = ExportRequest(room_id=ROOM, camera_ids=CAMERAS, reason="x", cut=True, **span)
    export_bag(site.station, request, site.bag, despite_damage=True)
    (whole,) = (site.bag / "data/segments/front-left").rglob("seg-00002*")
    assert judged(site.bag) == {("not_as_recorded", whole.relative_to(site.bag).as_posix())}
    assert whole.name == "seg-00002.mp4"


def encoded(folder: Path, *encoder: str) -> list[Path]:
    """Five files of 2 s with sound, as a recorder leaves them, by an encoder that puts pictures out of order."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=320x180:r=25:d=10",
    ]
    command += ["-f", "lavfi", "-i", "sine=440:d=10", *encoder, "-c:a", "aac", "-pix_fmt", "yuv420p"]
    command += ["-f", "segment", "-segment_time", "2", "-segment_format", "mp4", "-segment_format_options"]
    command += ["movflags=frag_keyframe+empty_moov+default_base_moof", str(folder / "seg-%05d.mp4")]
    subprocess.run(command, check=True, timeout=120)
    return sorted(folder.glob("seg-*.mp4"))


def decoded(path: Path) -> dict[int, bytes]:
    """Every picture by its time stamp."""
    with av.open(str(path)) as container:
        return {
            frame.pts: frame.to_ndarray().tobytes() for frame in container.decode(video=0) if frame.pts is not None
        }


X264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "10", "-keyint_min", "10", "-sc_threshold", "0")


@pytest.mark.parametrize(
    "encoder",
    [
        (*X264, "-bf", "2"),
        (*X264, "-bf", "2", "-x264-params", "open-gop=1"),
        ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=10:min-keyint=10"),
    ],
    ids=["pictures out of order", "open groups", "H.265"],
)
@pytest.mark.parametrize(("first_s", "last_s"), [(3.1, 3.3), (2.45, 3.21), (2.37, 2.93)])
def test_every_picture_of_the_range_decodes_from_the_part_as_from_the_whole(
    small_archive: Any, tmp_path: Path, encoder: tuple[str, ...], first_s: float, last_s: float
) -> None:
    (tmp_path / "clips").mkdir()
    site = Cut(small_archive, record(small_archive, encoded(tmp_path / "clips", *encoder)), tmp_path / "bag")
    assert site.export(first_s, last_s, site.bag, camera_ids=("front-left",)).parts == 1
    assert judged(site.bag) == set()
    original = site.original("front-left", 2)
    whole, part = decoded(original), decoded(part_of(site.bag, "front-left", 2))
    with av.open(str(original)) as container:
        tick = float(container.streams.video[0].time_base)
    facts = read_facts(original)
    assert facts is not None
    # A picture is seen until the next comes, 40 ms later.
    times = {at: 2 + at * tick - facts.first_pts_s for at in whole}
    wanted = {at for at, shown_s in times.items() if first_s - 0.04 < shown_s < last_s}
    assert len(wanted) > 5
    assert wanted <= set(part)
    assert all(part[at] == whole[at] for at in wanted)
    assert len(part) < len(whole)


def test_what_the_recorder_recorded_is_cut_and_proves_itself(cut_media: list[Path], tmp_path: Path) -> None:
    """The whole way on real parts: ffmpeg under the recorder, closed, signed, exported by command, verified alone."""
    project = Path(__file__).resolve().parents[2]
    data = yaml.safe_load((project / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
    del data["timetable"]
    data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
    for camera, clip in zip(data["rooms"][0]["cameras"], cut_media, strict=False):
        camera["source"] = clip.as_uri()
    data["recording"] = {"segment_s": 4}
    site = tmp_path / "site.yaml"
    site.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    station = open_station(load_site(site))
    window = record_now(station, ROOM, ["front-left"], 9, kind="manual", title="cut")
    assert verify_archive(station).outcome == "intact"
    with station.sessions() as session:
        rows = session.query(Segment).order_by(Segment.number).all()
    assert all(row.fragments > 1 and len(row.fragments_root) == 64 for row in rows)
    inside = [row for row in rows if window.starts_at <= row.starts_at and row.ends_at <= window.ends_at]
    longest = max(inside, key=lambda row: row.ends_at - row.starts_at)
    begins, ends = (longest.starts_at + timedelta(seconds=after) for after in (1.1, 1.9))
    bag = tmp_path / "bag"
    command = [sys.executable, "-m", "kaozheng_service", "export", "-c", str(site), "--room", ROOM, "--cut"]
    command += ["--from", begins.isoformat(), "--to", ends.isoformat(), "--camera", "front-left"]
    command += ["--reason", "座位17", "--out", str(bag), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["parts"] == 1
    assert judged(bag) == set()
    part = part_of(bag, "front-left", longest.number)
    assert part.stat().st_size < longest.bytes
    assert 0.8 * 25 <= len(decoded(part)) <= 1.8 * 25 + 1
    assert window.id in part.as_posix()


def test_the_archive_is_held_against_the_roots(
    small_archive: Any, cut_media: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that signed another root is found out, though the file's own hash fits."""
    module = sys.modules["small_archive"]
    real = module.hash_pieces
    other = real(cut_media[0])

    def wrong(path: Path) -> Any:
        found = real(path)
        return other if path.name == "seg-00003.mp4" else found

    with monkeypatch.context() as patch:
        patch.setattr(module, "hash_pieces", wrong)
        record(small_archive, cut_media)
    report = verify_archive(small_archive.station)
    assert report.outcome == "altered"
    assert {finding.code for finding in report.findings} == {"fragments_root"}
    assert all("seg-00003.mp4" in finding.path for finding in report.findings)


def test_the_verifier_allows_for_as_much_as_the_recorder_stretches() -> None:
    assert STRETCH == LARGEST_RATE


def test_a_part_is_proven_by_the_program_in_the_documentation(cut: Cut, tmp_path: Path) -> None:
    formats = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
    script = formats.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "part.py").write_text(script, encoding="utf-8")
    part = part_of(cut.bag, "front-left", 2)

    def prove() -> str:
        command = [sys.executable, "-I", str(tmp_path / "part.py"), part.relative_to(cut.bag).as_posix()]
        return subprocess.run(command, cwd=cut.bag, capture_output=True, text=True, check=True).stdout.strip()

    assert prove() == "proven"
    content = part.read_bytes()
    for at in (50, len(content) // 2, len(content) - 1):
        part.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert prove() == "NOT proven"
    part.write_bytes(content)
    file = cut.bag / FRAGMENTS
    file.write_text(re.sub(r'"leaves": \["..', '"leaves": ["00', file.read_text()), encoding="utf-8")
    assert prove() == "NOT proven"
