"""What an export holds beside the originals: times of day, masked and common views, the report, its commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import bagit
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_coverage.outline import seat_outline, seat_region
from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.disputes.derived import Extras
from kaozheng_service.disputes.export import export_bag
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.errors import UserError

Image = npt.NDArray[np.uint8]
VIEWING = "data/viewing"


@dataclass(frozen=True)
class Handed:
    exam: Any
    bag: Path
    masked: Path


@pytest.fixture(scope="session")
def handed(
    rehearsed_exams: ModuleType, small_archives: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Handed:
    """Seconds 2 to 14 with everything that can be asked for, made once; not to be changed."""
    folder = tmp_path_factory.mktemp("handed")
    exam = rehearsed_exams.record_exam(small_archives, folder)
    rehearsed_exams.accept_views(exam)
    extras = Extras(mask_others=True, together=True, masked_out=folder / "masked")
    export_bag(exam.station, exam.request(), folder / "bag", extras=extras)
    return Handed(exam, folder / "bag", folder / "masked")


@pytest.fixture
def bag(handed: Handed, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return shutil.copytree(handed.bag, tmp_path / "bag")


def frame_at(path: Path, seconds: float) -> Image:
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            if frame.time is not None and frame.time >= seconds - 1e-3:
                return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    raise AssertionError(f"{path} ends before {seconds} s")


def cues(path: Path) -> list[tuple[str, str]]:
    """The begin and the words of each cue."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    found = [block.strip().split("\n", 1) for block in blocks if "-->" in block]
    return [(stamp.split(" ")[0], words) for stamp, words in found]


def test_a_bag_with_everything_is_whole_to_both_verifiers_and_to_bagit(bag: Path) -> None:
    assert verify_bag(bag).outcome == "intact"
    alone = subprocess.run(["python3", "-I", "-S", str(bag / "verify.py")], capture_output=True, check=False)
    assert alone.returncode == 0, alone.stdout.decode()
    assert bagit.Bag(str(bag)).validate()


def test_the_record_of_the_export_names_every_derived_file(handed: Handed) -> None:
    last = (handed.bag / "data/evidence/records.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    signed = json.loads(json.loads(last)["entry"])
    assert signed["by"] == "考务 王"
    derived = {f"{VIEWING}/{path.name}" for path in (handed.bag / VIEWING).iterdir()}
    assert len(derived) == 14
    assert derived | {"data/report.pdf", "data/by-hand.md"} < set(signed["files"])


def test_each_second_of_a_copy_has_its_time_of_day(handed: Handed) -> None:
    found = cues(handed.bag / VIEWING / "derived-viewing-copy-back-right.vtt")
    assert [words for _, words in found][:12] == [f"2024-11-23 09:00:{second:02d}" for second in range(2, 14)]
    assert found[5][0] == "00:00:05.000"


def test_a_copy_that_begins_after_a_gap_says_so_with_its_cause(handed: Handed) -> None:
    first = cues(handed.bag / VIEWING / "derived-viewing-copy-front-left-2.vtt")[0]
    assert first[1].startswith("2024-11-23 09:00:10\n▲ 此前未录 4.0 秒：视频流中断")


def test_a_step_of_the_clock_within_a_take_shows(small_archive: Any, disputed: Any, tmp_path: Path) -> None:
    """Files that follow one another while their signed times jump by 4 s."""
    begins = small_archive.local("2024-11-24 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=18), room="9-101", closed=False)
    small_archive.take(window, "front-left", begins, 3, segment_s=6)
    small_archive.gap(
        window, "front-left", begins + timedelta(seconds=2), begins + timedelta(seconds=6), "clock_step"
    )
    small_archive.close(window)
    request = disputed.request(
        starts_at=begins, ends_at=begins + timedelta(seconds=17), camera_ids=("front-left",)
    )
    export_bag(small_archive.station, request, tmp_path / "bag")
    words = dict(cues(tmp_path / "bag" / VIEWING / "derived-viewing-copy-front-left.vtt"))
    assert words["00:00:01.000"] == "2024-11-24 09:00:01"
    assert words["00:00:02.000"].startswith("2024-11-24 09:00:06")


def test_players_find_the_times_in_the_copy_itself(handed: Handed) -> None:
    with av.open(str(handed.bag / VIEWING / "derived-viewing-copy-back-right.mp4")) as video:
        (track,) = video.streams.subtitles
        assert track.codec_context.name == "mov_text"
        packets = [bytes(packet) for packet in video.demux(track) if packet.size > 2]
    assert b"2024-11-23 09:00:02" in packets[0]


@pytest.mark.parametrize("camera", ["front-left-1", "front-left-2", "back-right"])
def test_a_masked_copy_shows_the_disputed_seat_and_no_other_face(handed: Handed, camera: str) -> None:
    name = camera.removesuffix("-1").removesuffix("-2")
    plain = frame_at(handed.bag / VIEWING / f"derived-viewing-copy-{camera}.mp4", 1)
    masked = frame_at(handed.bag / VIEWING / f"derived-masked-copy-{camera}.mp4", 1)
    room = handed.exam.station.site.room("9-101")
    lens = next(one for one in room_cameras(room) if one.id == name)
    mine = np.zeros(plain.shape[:2], np.uint8)
    seats = room_geometry(room).seats
    for part in seat_outline(room_geometry(room).seat("09"), lens).values():
        cv2.fillPoly(mine, [part.astype(np.int32)], 255)
    inside = cv2.erode(mine, np.ones((9, 9), np.uint8)) > 0
    kept = np.abs(plain[inside].astype(int) - masked[: plain.shape[0]][inside].astype(int))
    assert kept.mean() < 8  # of encoding anew; a mask would differ by what the picture varies, and more
    assert plain[inside].std() > 20
    visible = np.zeros(plain.shape[:2], np.uint8)
    cv2.fillPoly(visible, [seat_region(room_geometry(room).seat("09"), lens).astype(np.int32)], 255)
    visible = cv2.dilate(visible, np.ones((17, 17), np.uint8))
    hidden = 0
    for seat in seats:
        other = np.zeros(plain.shape[:2], np.uint8)
        for part in seat_outline(seat, lens).values():
            cv2.fillPoly(other, [part.astype(np.int32)], 255)
        area = (cv2.erode(other, np.ones((17, 17), np.uint8)) > 0) & (visible == 0)
        if seat.number != "09" and area.sum() > 400:
            hidden += 1
            assert plain[area].std() > 10
            assert masked[: plain.shape[0]][area].max() < 64
            assert masked[: plain.shape[0]][area].std() < 2
    assert hidden >= 12


def test_a_masked_copy_is_labelled_in_the_picture_and_in_its_title(handed: Handed) -> None:
    path = handed.bag / VIEWING / "derived-masked-copy-back-right.mp4"
    with av.open(str(path)) as video:
        assert "派生、遮挡副本，不是证据" in video.metadata["title"]
        assert not video.streams.audio
    frame = frame_at(path, 0)
    strip = frame[1080:]
    assert strip.shape[0] == 36
    assert strip.max() > 200
    assert np.median(strip) < 20


def test_no_masked_copy_is_made_where_no_view_was_accepted(
    rehearsed_exams: ModuleType, small_archives: ModuleType, tmp_path: Path
) -> None:
    exam = rehearsed_exams.record_exam(small_archives, tmp_path / "site")
    size = exam.station.log.size
    with pytest.raises(UserError, match=r"cannot mask front-left: no view of it was accepted"):
        export_bag(exam.station, exam.request(), tmp_path / "bag", extras=Extras(mask_others=True))
    assert not list(tmp_path.glob("*bag*"))
    assert exam.station.log.size == size


def test_no_masked_copy_is_made_of_a_camera_that_looked_elsewhere(
    rehearsed_exams: ModuleType, small_archives: ModuleType, tmp_path: Path
) -> None:
    exam = rehearsed_exams.record_exam(small_archives, tmp_path / "site")
    rehearsed_exams.accept_views(exam, shift_px=40)
    with pytest.raises(UserError, match=r"cannot mask front-left: it looked elsewhere"):
        export_bag(exam.station, exam.request(), tmp_path / "bag", extras=Extras(mask_others=True))
    assert not list(tmp_path.glob("*bag*"))


@pytest.mark.parametrize(("seat", "why"), [(None, "give it with --seat"), ("99", "no seat '99'")])
def test_masking_needs_a_seat_of_the_room(handed: Handed, tmp_path: Path, seat: str | None, why: str) -> None:
    with pytest.raises(UserError, match=why):
        export_bag(
            handed.exam.station,
            handed.exam.request(2, 4, seat=seat),
            tmp_path / "bag",
            extras=Extras(mask_others=True),
        )


def test_the_common_view_keeps_the_cameras_in_step_and_shows_the_gap(handed: Handed) -> None:
    path = handed.bag / VIEWING / "derived-together.mp4"
    with av.open(str(path)) as video:
        assert video.duration is not None
        assert abs(video.duration / 1e6 - 12) < 0.15
        assert "不是证据" in video.metadata["title"]
    for at_s, copy_s in ((1.0, 1.0), (9.0, 1.0)):
        number = 1 if at_s < 4 else 2
        for tile, copy, seconds in (
            (0, f"front-left-{number}", copy_s),
            (1, "back-right", at_s),
        ):
            shown = frame_at(path, at_s)[40:360, 640 * tile : 640 * (tile + 1)]
            source = frame_at(handed.bag / VIEWING / f"derived-viewing-copy-{copy}.mp4", seconds)
            expected = cv2.resize(source, (640, 360), interpolation=cv2.INTER_AREA)[40:]
            assert np.abs(shown.astype(int) - expected.astype(int)).mean() < 8
    gap = frame_at(path, 6.0)
    left = gap[40:360, :640]
    assert np.median(left) < 20
    assert left.max() > 200  # the words
    assert gap[40:360, 640:].std() > 30
    assert gap[360:].max() > 200  # the time of day


def test_the_report_to_sign_has_the_facts_and_the_places_to_sign(
    handed: Handed, tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(shutil.which("pdftotext") is not None, "apt install poppler-utils")
    words = subprocess.run(
        ["pdftotext", "-layout", str(handed.bag / "data/report.pdf"), "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    squeezed = re.sub(r"[\s\u200b]", "", words)
    for expected in (
        "考生对座位09的成绩提出异议",
        "视频流中断",
        "09:00:06.000–09:00:10.000",
        "出具录像证明",
        "单位盖章",
        "录像保管负责人（签字）",
        "保管经过",
        "考务王",
        "第1页共3页",
        "kaozheng/demo-college+",
    ):
        assert expected in squeezed, expected
    last = (handed.bag / "data/evidence/records.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    files = json.loads(json.loads(last)["entry"])["files"]
    originals = {name: digest for name, digest in files.items() if name.startswith("data/segments/")}
    assert len(originals) == 10
    for digest in originals.values():
        assert digest[:32] in squeezed
        assert digest[32:] in squeezed


def test_a_damaged_original_is_left_out_of_the_certificate(
    disputed: Any, tmp_path: Path, need: Callable[[bool, str], None]
) -> None:
    need(shutil.which("pdftotext") is not None, "apt install poppler-utils")
    victim = next(disputed.station.archive.rglob("back-right/*/take-0001/seg-00003.mp4"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    export_bag(disputed.station, disputed.request(), tmp_path / "bag", despite_damage=True)
    run = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "bag/data/report.pdf"), "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    squeezed = re.sub(r"[\s\u200b]", "", run.stdout)
    assert "所导出的9个原始录像片段" in squeezed
    assert "另有1个文件缺失或不符，不在证明之列" in squeezed


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    page = (folder / "data/by-hand.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def tools(need: Callable[[bool, str], None]) -> None:
    need(
        all(shutil.which(tool) for tool in ("bash", "openssl", "sha256sum")), "apt install openssl coreutils"
    )


@pytest.mark.usefixtures("tools")
def test_the_commands_by_hand_agree_with_a_whole_bag(bag: Path) -> None:
    run = by_hand(bag)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "全部相符 / all agree" in run.stdout
    assert "✗" not in run.stdout
    records = (bag / "data/evidence/records.jsonl").read_text(encoding="utf-8").count("\n")
    assert run.stdout.count("record on line") == records
    assert run.stdout.count("signed record of data/segments/") == 10


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("victim", "told"),
    [
        ("data/segments/back-right/*/take-0001/seg-00004.mp4", "take-0001/seg-00004.mp4"),
        ("data/evidence/checkpoint", "signature of the checkpoint"),
        ("data/evidence/records.jsonl", "record on line 1"),
        ("data/viewing/derived-together.mp4", "derived-together.mp4"),
        ("data/evidence/key.pub", "key"),
    ],
)
def test_the_commands_by_hand_find_a_flipped_bit_under_manifests_made_anew(
    bag: Path, victim: str, told: str
) -> None:
    (path,) = bag.glob(victim)
    data = bytearray(path.read_bytes())
    spot = data.index(b'"kind') + 20 if path.suffix == ".jsonl" else len(data) // 2
    spot = 70 if path.name == "key.pub" else spot
    spot = 3 if path.name == "checkpoint" else spot
    data[spot] ^= 1
    path.write_bytes(bytes(data))
    for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        files = [line.split("  ", 1)[1] for line in (bag / name).read_text(encoding="utf-8").splitlines()]
        sums = subprocess.run(["sha256sum", *files], cwd=bag, capture_output=True, text=True, check=True)
        (bag / name).write_text(sums.stdout, encoding="utf-8")
    run = by_hand(bag)
    assert run.returncode == 1
    assert "DOES NOT AGREE" in run.stdout
    assert any(line.startswith("✗") and told in line for line in run.stdout.splitlines()), run.stdout
    assert "✓ 清单 manifests" in run.stdout


def test_a_masked_bag_holds_no_original_and_says_that_it_proves_nothing(handed: Handed) -> None:
    files = {path.relative_to(handed.masked).as_posix() for path in handed.masked.rglob("*.mp4")}
    assert files == {
        f"{VIEWING}/derived-masked-copy-{name}.mp4" for name in ("front-left-1", "front-left-2", "back-right")
    }
    info = (handed.bag / "bag-info.txt").read_text(encoding="utf-8")
    identity = next(
        line.split(": ")[1] for line in info.splitlines() if line.startswith("External-Identifier")
    )
    for name in ("README.txt", "data/masked-report.html"):
        words = (handed.masked / name).read_text(encoding="utf-8")
        assert "本文件夹单独不能证明任何事" in words
        assert identity in words
    with pytest.raises(UserError, match="prove nothing by themselves"):
        verify_bag(handed.masked)
    assert bagit.Bag(str(handed.masked)).validate()


@pytest.mark.usefixtures("tools")
def test_masked_copies_are_proven_to_be_those_of_the_export_that_names_them(
    handed: Handed, tmp_path: Path
) -> None:
    masked = shutil.copytree(handed.masked, tmp_path / "masked")
    run = by_hand(masked)
    assert run.returncode == 0, run.stdout + run.stderr
    copy = masked / VIEWING / "derived-masked-copy-back-right.mp4"
    copy.write_bytes(copy.read_bytes()[:-1] + b"!")
    run = by_hand(masked)
    assert run.returncode == 1
    assert "✗ data/viewing/derived-masked-copy-back-right.mp4" in run.stdout
