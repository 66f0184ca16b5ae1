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
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from cut_bag import (
    CAMERAS,
    FRAGMENTS,
    RECORDS,
    Cut,
    join,
    judged,
    part_of,
    pieces_of,
    record,
    reseal,
    sign_anew,
)
from kaozheng_service.disputes.standalone.parts import STRETCH
from kaozheng_service.disputes.standalone.pieces import hash_pieces, tree_root
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.recording.timing import LARGEST_RATE


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
