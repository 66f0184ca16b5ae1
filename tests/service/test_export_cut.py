"""An export cut to the disputed minutes holds what the range needs, byte for byte, and proves itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import imageio_ffmpeg
import pytest
import yaml
from cut_bag import (
    CAMERAS,
    FRAGMENTS,
    ROOM,
    Cut,
    judged,
    part_of,
    pieces_of,
    record,
    sign_anew,
)
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Segment
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.verify import verify_archive, verify_bag
from kaozheng_service.errors import ServiceError
from kaozheng_service.recording.media import read_facts
from kaozheng_service.recording.windows import record_now
from kaozheng_service.station import open_station


def test_a_cut_bag_is_intact_and_holds_only_what_the_range_needs(pristine_cut: Cut) -> None:
    assert judged(pristine_cut.bag) == set()
    assert verify_bag(pristine_cut.bag).parts == 4
    for camera in CAMERAS:
        files = {path.name: path for path in (pristine_cut.bag / "data/segments" / camera).rglob("*.mp4")}
        assert set(files) == {
            "seg-00002.part-0003-0005.mp4",
            "seg-00003.mp4",
            "seg-00004.part-0001-0004.mp4",
        }
        assert files["seg-00003.mp4"].read_bytes() == pristine_cut.original(camera, 3).read_bytes()
        second = pieces_of(pristine_cut.original(camera, 2))
        fourth = pieces_of(pristine_cut.original(camera, 4))
        assert [len(second), len(fourth)] == [6, 6]
        assert files["seg-00002.part-0003-0005.mp4"].read_bytes() == b"".join([second[0], *second[3:]])
        assert files["seg-00004.part-0001-0004.mp4"].read_bytes() == b"".join(fourth[:5])


def test_the_signed_root_is_the_tree_hash_over_the_pieces(pristine_cut: Cut) -> None:
    for entry in pristine_cut.station.log.entries():
        body = json.loads(entry)
        if body["kind"] != "segment":
            continue
        leaves = [
            hashlib.sha256(b"\0" + piece).digest()
            for piece in pieces_of(pristine_cut.station.archive / body["path"])
        ]

        def node(left: bytes, right: bytes) -> bytes:
            return hashlib.sha256(b"\1" + left + right).digest()

        one, two, three, four, five, six = leaves
        root = node(node(node(one, two), node(three, four)), node(five, six))
        assert (body["fragments"], body["fragments_root"]) == (6, root.hex())


def test_a_part_plays_without_an_error(pristine_cut: Cut) -> None:
    for path, frames in (("seg-00002.part-0003-0005.mp4", 30), ("seg-00004.part-0001-0004.mp4", 40)):
        for file in (pristine_cut.bag / "data/segments").rglob(path):
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-xerror", "-i", str(file)]
            played = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True)
            assert played.stderr == ""
            with av.open(str(file)) as container:
                assert sum(1 for _ in container.decode(video=0)) == frames


def test_a_viewing_copy_of_parts_has_every_picture_and_no_jump(pristine_cut: Cut) -> None:
    for camera in CAMERAS:
        with av.open(str(pristine_cut.bag / f"data/viewing/derived-viewing-copy-{camera}.mp4")) as container:
            times = sorted(float(frame.pts * frame.time_base) for frame in container.decode(video=0))
        assert len(times) == 30 + 50 + 40
        steps = [later - earlier for earlier, later in pairwise(times)]
        assert max(steps) == pytest.approx(0.04, abs=0.002)


def test_the_report_and_the_readme_say_what_is_cut(pristine_cut: Cut) -> None:
    report = (pristine_cut.bag / "data/report.html").read_text(encoding="utf-8")
    assert report.count("截取 3–5/5") == 2
    assert report.count("截取 1–4/5") == 2
    assert "seg-00002.part-0003-0005.mp4" in report
    assert FRAGMENTS in (pristine_cut.bag / "README.txt").read_text(encoding="utf-8")


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
    pristine_cut: Cut, tmp_path: Path, first_s: float, last_s: float, names: list[str]
) -> None:
    result = pristine_cut.export(first_s, last_s, tmp_path / "bag", camera_ids=("front-left",))
    files = sorted((tmp_path / "bag/data/segments").rglob("*.mp4"))
    assert [path.name for path in files] == names
    assert result.parts == sum("part" in name for name in names)
    assert result.bytes == sum(path.stat().st_size for path in files)
    assert (tmp_path / "bag" / FRAGMENTS).exists() == bool(result.parts)
    assert judged(tmp_path / "bag") == set()


def test_without_the_option_segments_stay_whole(pristine_cut: Cut, tmp_path: Path) -> None:
    result = pristine_cut.export(3.1, 7.3, tmp_path / "bag", cut=False)
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
    content = part.read_bytes()
    part.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
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
            frame.pts: frame.to_ndarray().tobytes()
            for frame in container.decode(video=0)
            if frame.pts is not None
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
