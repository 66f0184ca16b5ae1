"""The pictures of a file, read from its boxes: the same that a demuxer finds, at any byte where a crash may cut it."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from kaozheng_service.recording.media import demuxed_facts, read_facts
from kaozheng_service.recording.samples import UnknownFormError, read_pictures

FORM = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-flush_packets", "1")
# Encoders as cameras have them, and one that sends its pictures out of order.
STREAMS = {
    "h264": ("-c:v", "libx264", "-bf", "0"),
    "reordered": ("-c:v", "libx264", "-bf", "3"),
    "h265": ("-c:v", "libx265", "-x265-params", "log-level=none"),
    "with-sound": ("-c:v", "libx264", "-bf", "0", "-c:a", "aac"),
}


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, made = tmp_path_factory.mktemp("media"), {}
    for name, encoder in STREAMS.items():
        made[name] = folder / f"{name}.mp4"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi"]
        command += ["-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine", "-map", "0:v"]
        command += ["-map", "1:a"] if name == "with-sound" else []
        command += ["-t", "6", "-g", "25", "-pix_fmt", "yuv420p", *encoder, *FORM, str(made[name])]
        subprocess.run(command, check=True)
    return made


@pytest.mark.parametrize("name", list(STREAMS))
def test_a_whole_file_holds_what_a_demuxer_finds(streams, name):
    found = read_facts(streams[name])
    assert found == demuxed_facts(streams[name])
    assert found is not None
    assert (found.frames, found.width, found.height) == (150, 320, 180)
    assert found.codec == ("hevc" if name == "h265" else "h264")
    assert found.duration_s == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("name", list(STREAMS))
def test_a_torn_file_holds_its_whole_pictures(streams, name, tmp_path):
    data, torn, dice = streams[name].read_bytes(), tmp_path / "torn.mp4", random.Random(5)
    cuts = [dice.randrange(len(data)) for _ in range(40)] + [0, 1, 7, 40, len(data) - 1]
    for cut in cuts:
        torn.write_bytes(data[:cut])
        assert read_facts(torn) == demuxed_facts(torn), cut


def test_streams_in_order_are_read_without_a_demuxer(streams):
    for name in ("h264", "h265", "with-sound"):
        assert len(read_pictures(streams[name]).times) == 150


def test_another_form_is_left_to_the_demuxer(tmp_path):
    clip = next((Path(__file__).parents[2] / "sample_media").glob("*/*.mp4"))
    with pytest.raises(UnknownFormError):
        read_pictures(clip)
    assert read_facts(clip) == demuxed_facts(clip)
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(b"no box at all, and more than sixteen bytes")
    assert read_facts(nothing) is None
