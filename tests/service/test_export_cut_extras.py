"""An export with everything that can be asked for at once: cut, masked, together, proven by verifiers and by hand."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import bagit
import cv2
import numpy as np
import pyrage
import pytest
from cut_bag import FRAGMENTS, OF_THE_LOG, RECORDS, judged, part_of, reseal
from kaozheng_service.disputes.derived import Extras
from kaozheng_service.disputes.encrypted import Lock, decrypt_folder, export_encrypted, read_recipients
from kaozheng_service.disputes.export import ExportResult, export_bag
from kaozheng_service.disputes.verify import verify_bag

VIEWING = "data/viewing"
PARTS = 4


@dataclass(frozen=True)
class Handed:
    exam: Any
    bag: Path
    masked: Path
    result: ExportResult


@pytest.fixture(scope="session")
def handed(
    rehearsed_exams: ModuleType, small_archives: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Handed:
    """Seconds 3.2 to 12.7, cut: each camera's first and last file hold one of their two groups of 1 s."""
    folder = tmp_path_factory.mktemp("everything")
    exam = rehearsed_exams.record_exam(small_archives, folder)
    rehearsed_exams.accept_views(exam)
    extras = Extras(mask_others=True, together=True, masked_out=folder / "masked")
    result = export_bag(exam.station, exam.request(3.2, 12.7, cut=True), folder / "bag", extras=extras)
    return Handed(exam, folder / "bag", folder / "masked", result)


@pytest.fixture
def bag(handed: Handed, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return shutil.copytree(handed.bag, tmp_path / "bag")


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    page = (folder / "data/by-hand.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def failed(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in run.stdout.splitlines() if line.startswith("✗")]


@pytest.fixture
def tools(need: Callable[[bool, str], None]) -> None:
    need(
        all(shutil.which(tool) for tool in ("bash", "openssl", "sha256sum")), "apt install openssl coreutils"
    )


def test_both_verifiers_and_bagit_find_it_whole(handed: Handed) -> None:
    assert judged(handed.bag) == set()
    assert handed.result.parts == verify_bag(handed.bag).parts == PARTS
    assert bagit.Bag(str(handed.bag)).validate()
    assert bagit.Bag(str(handed.masked)).validate()


def test_the_record_of_the_export_names_every_file_with_its_hash(handed: Handed) -> None:
    last = (handed.bag / RECORDS).read_text(encoding="utf-8").splitlines()[-1]
    signed = json.loads(json.loads(last)["entry"])["files"]
    there = {path.relative_to(handed.bag).as_posix() for path in handed.bag.rglob("*") if path.is_file()}
    named = {path for path in there if path not in OF_THE_LOG and "manifest" not in path}
    assert signed == {path: hashlib.sha256((handed.bag / path).read_bytes()).hexdigest() for path in named}
    assert FRAGMENTS in signed
    assert sum(".part-" in path for path in signed) == PARTS
    for name in (
        "viewing-copy-front-left-1",
        "masked-copy-front-left-2",
        "masked-copy-back-right",
        "together",
    ):
        assert {f"{VIEWING}/derived-{name}.mp4", f"{VIEWING}/derived-{name}.vtt"} <= set(signed)


@pytest.mark.parametrize("kind", ["viewing", "masked"])
@pytest.mark.parametrize(
    ("copy", "first", "second"),
    [
        ("front-left-1", "09:00:03", ("00:00:01.000", "09:00:04")),
        ("front-left-2", "09:00:10", ("00:00:01.000", "09:00:11")),
        ("back-right", "09:00:03", ("00:00:01.000", "09:00:04")),
    ],
)
def test_a_copy_of_a_part_has_the_time_of_day_of_its_own_first_picture(
    handed: Handed, kind: str, copy: str, first: str, second: tuple[str, str]
) -> None:
    """Not that of the segment: seconds 2 to 4 are one file, of which the bag holds 3 to 4."""
    text = (handed.bag / VIEWING / f"derived-{kind}-copy-{copy}.vtt").read_text(encoding="utf-8")
    blocks = [block.strip().split("\n", 1) for block in text.split("\n\n") if "-->" in block]
    cues = [(stamp.split(" ")[0], words) for stamp, words in blocks]
    assert cues[0][1].startswith(f"2024-11-23 {first}")
    assert all("此处缺" not in words and "时刻回退" not in words for _, words in cues)
    assert cues[1][1].startswith(f"2024-11-23 {second[1]}")
    # A part's times are told to 500 ppm of its place in the segment: half a millisecond after one second.
    hours, minutes, seconds = second[0].split(":")
    hours_told, minutes_told, seconds_told = cues[1][0].split(":")
    assert (hours, minutes) == (hours_told, minutes_told)
    assert float(seconds_told) == pytest.approx(float(seconds), abs=0.002)


def picture_at(path: Path, seconds: float) -> Any:
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            if frame.time is not None and frame.time >= seconds - 1e-3:
                return cv2.resize(frame.to_ndarray(format="bgr24"), (640, 360), interpolation=cv2.INTER_AREA)
    raise AssertionError(f"{path} ends before {seconds} s")


def test_copies_of_parts_hold_every_picture_of_them(handed: Handed) -> None:
    for kind in ("viewing", "masked"):
        for copy, seconds in (("front-left-1", 3), ("front-left-2", 3), ("back-right", 10)):
            with av.open(str(handed.bag / VIEWING / f"derived-{kind}-copy-{copy}.mp4")) as video:
                times = sorted(
                    float(packet.pts * packet.time_base) for packet in video.demux(video=0) if packet.size
                )
            assert len(times) == 25 * seconds
            assert max(np.diff(times)) == pytest.approx(0.04, abs=0.002)


def test_the_common_view_shows_a_part_when_it_was(handed: Handed) -> None:
    """At 3.7 s of the exam: half a second into the range, 0.7 s into the part, 1.7 s into its segment."""
    common = handed.bag / VIEWING / "derived-together.mp4"
    with av.open(str(common)) as video:
        assert video.duration is not None
        assert abs(video.duration / 1e6 - 9.5) < 0.15
        shown = next(one for one in video.decode(video=0) if one.time is not None and one.time >= 0.5 - 1e-3)
        picture = shown.to_ndarray(format="bgr24")
    for tile, camera in enumerate(("front-left", "back-right")):
        original = next(handed.exam.archive.station.archive.rglob(f"{camera}/*/take-0001/seg-00002.mp4"))
        with av.open(str(original)) as video:
            start = video.streams.video[0].start_time * video.streams.video[0].time_base
        there = picture[40:360, 640 * tile : 640 * (tile + 1)].astype(int)
        truth = picture_at(original, float(start) + 1.7)[40:].astype(int)
        assert np.abs(there - truth).mean() < 8


def test_the_printed_report_names_parts_as_parts(handed: Handed, need: Callable[[bool, str], None]) -> None:
    need(shutil.which("pdftotext") is not None, "apt install poppler-utils")
    command = ["pdftotext", "-layout", str(handed.bag / "data/report.pdf"), "-"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    squeezed = re.sub(r"[\s\u200b]", "", printed)
    assert squeezed.count("（截取2–2/2）") == 2
    assert squeezed.count("（截取1–1/2）") == 2
    for expected in ("其中4个只截取所求部分", "data/evidence/fragments.jsonl", "09:00:03.000–09:00:04.000"):
        assert expected in squeezed, expected
    originals = [path for path in (handed.bag / "data/segments").rglob("*.mp4") if path.is_file()]
    assert f"共{sum(path.stat().st_size for path in originals) / 1e6:.2f}MB" in squeezed


@pytest.mark.usefixtures("tools")
def test_the_commands_by_hand_prove_whole_files_and_parts(handed: Handed) -> None:
    run = by_hand(handed.bag)
    assert (run.returncode, failed(run)) == (0, []), run.stdout + run.stderr
    assert run.stderr == ""
    assert "全部相符 / all agree" in run.stdout
    assert run.stdout.count("root in signed record") == PARTS
    whole = [path for path in (handed.bag / "data/segments").rglob("*.mp4") if ".part-" not in path.name]
    assert run.stdout.count("signed record of data/segments/") == len(whole) == 6
    masked = by_hand(handed.masked)
    assert (masked.returncode, failed(masked)) == (0, []), masked.stdout + masked.stderr


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("what", ["bit", "tail", "leaf", "leaves gone", "other part"])
def test_the_commands_by_hand_name_what_was_done_to_a_part(bag: Path, what: str) -> None:
    part = part_of(bag, "back-right", 2)
    name, fragments = part.relative_to(bag).as_posix(), bag / FRAGMENTS
    lines = fragments.read_text(encoding="utf-8").splitlines(keepends=True)
    content = part.read_bytes()
    if what == "bit":
        part.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif what == "tail":
        part.write_bytes(content + b"\0")
    elif what == "leaf":
        changed = [re.sub(r'\["(.)', lambda at: f'["{int(at[1], 16) ^ 1:x}', line) for line in lines]
        fragments.write_text("".join(changed), encoding="utf-8")
    elif what == "leaves gone":
        fragments.write_text("", encoding="utf-8")
    else:
        part.write_bytes(part_of(bag, "front-left", 2).read_bytes())
    reseal(bag)
    run = by_hand(bag)
    assert run.returncode == 1
    # In the step for parts, not only in that for what the record of the export names.
    step = run.stdout.index("root in signed record")
    end = run.stdout.index("README.txt")
    told = [line for line in run.stdout[:end].splitlines() if line.startswith("✗")]
    assert step < end
    assert any(name in line for line in told), run.stdout
    assert judged(bag) != set()


def test_an_encrypted_export_is_cut_too(handed: Handed, tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    lock = Lock(read_recipients([str(key.to_public())]), None)
    request = handed.exam.request(3.2, 4.5, cut=True, camera_ids=("back-right",))
    result = export_encrypted(handed.exam.station, request, tmp_path / "bag.tar.age", lock)
    assert result.parts == 2
    opened = decrypt_folder(tmp_path / "bag.tar.age", tmp_path / "opened", [key])
    assert judged(opened) == set()
    assert verify_bag(opened).parts == 2
