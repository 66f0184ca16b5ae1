"""How far a growing file has come, at any byte where a crash may cut it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from kaozheng_service.recording.fragments import FragmentReader
from kaozheng_service.recording.media import read_facts


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Six seconds of a test picture in fragmented MP4, a keyframe each second, as recorders write it."""
    path = tmp_path_factory.mktemp("media") / "whole.mp4"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=320x180:r=25",
    ]
    command += ["-t", "6", "-c:v", "libx264", "-g", "25", "-bf", "0", "-pix_fmt", "yuv420p"]
    command += ["-movflags", "frag_keyframe+empty_moov+default_base_moof", str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


def test_a_whole_file_is_as_long_as_its_media(whole, tmp_path):
    path = tmp_path / "open.mp4"
    path.write_bytes(whole)
    progress = FragmentReader(path).read()
    assert progress.fragments == 6
    assert progress.media_s == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.77, 0.99])
def test_a_cut_file_counts_its_whole_fragments_and_says_that_it_is_torn(whole, tmp_path, share):
    path = tmp_path / "open.mp4"
    path.write_bytes(whole[: int(len(whole) * share)])
    progress = FragmentReader(path).read()
    assert progress.torn
    with av.open(str(path)) as container:
        frames = 0
        try:
            for _ in container.decode(video=0):
                frames += 1
        except av.FFmpegError:
            pass
    assert progress.fragments * 25 <= frames < (progress.fragments + 1) * 25 + 1


def test_a_growing_file_is_followed_without_reading_it_again(whole, tmp_path):
    path = tmp_path / "open.mp4"
    path.write_bytes(b"")
    reader, seen = FragmentReader(path), []
    for cut in range(0, len(whole) + 1, max(1, len(whole) // 37)):
        path.write_bytes(whole[:cut])
        seen.append(reader.read().media_s)
    path.write_bytes(whole)
    assert reader.read().media_s == FragmentReader(path).read().media_s
    assert seen == sorted(seen)


def jumped(whole: bytes, folder: Path, jump_s: float) -> Path:
    """The same pictures where the camera's clock was set after 100 of the 150."""
    before, after = folder / "before.mp4", folder / "after.mp4"
    before.write_bytes(whole)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(before), "-c", "copy"]
    command += ["-bsf:v", rf"setts=ts=if(gte(N\,100)\,TS+({jump_s})/TB\,TS)"]
    command += ["-movflags", "frag_keyframe+empty_moov+default_base_moof", str(after)]
    subprocess.run(command, check=True)
    return after


def test_time_stamps_that_jump_on_are_a_hole_until_arrival_says_otherwise(whole, tmp_path):
    path = jumped(whole, tmp_path, 5)
    progress = FragmentReader(path).read()
    assert (progress.hole_s, progress.pressed_s) == (pytest.approx(5, abs=0.1), 0.0)
    facts = read_facts(path)
    assert facts.duration_s == pytest.approx(11, abs=0.1)
    assert facts.missing_s == pytest.approx(5, abs=0.1)
    without = facts.without_jump(progress.hole_s)
    assert (without.duration_s, without.holes) == (pytest.approx(6, abs=0.1), ())


def test_pictures_whose_time_stamps_go_back_took_their_usual_time(whole, tmp_path):
    path = jumped(whole, tmp_path, -1.5)
    progress = FragmentReader(path).read()
    assert (progress.hole_s, progress.pressed_s) == (0.0, pytest.approx(1.5, abs=0.1))
    assert progress.media_s == pytest.approx(4.5, abs=0.1)
    facts = read_facts(path)
    assert facts.frames == 150
    assert (facts.duration_s, facts.holes) == (pytest.approx(6, abs=0.1), ())
