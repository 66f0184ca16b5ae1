"""The clips that the demo plays: what they claim to be, small, and as the renderer left them."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import av
import pytest
from kaozheng_service.config.site import load_site

PROJECT = Path(__file__).resolve().parents[2]
MEDIA = PROJECT / "sample_media"
CLIPS = sorted(MEDIA.rglob("*.mp4"))


def test_every_camera_of_the_demo_site_has_its_clip():
    site = load_site(PROJECT / "configs" / "demo" / "site.yaml")
    wanted = {f"{room.id}/{camera.id}.mp4" for room in site.rooms for camera in room.cameras}
    assert {str(clip.relative_to(MEDIA)) for clip in CLIPS} == wanted


def test_all_together_are_under_15_mb():
    assert sum(clip.stat().st_size for clip in CLIPS) < 15_000_000


def test_the_manifest_tells_the_truth():
    clips = json.loads((MEDIA / "MANIFEST.json").read_text(encoding="utf-8"))["clips"]
    assert {clip["path"]: clip["sha256"] for clip in clips} == {
        str(clip.relative_to(MEDIA)): hashlib.sha256(clip.read_bytes()).hexdigest() for clip in CLIPS
    }


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: str(clip.relative_to(MEDIA)))
def test_a_clip_is_what_a_camera_would_send(clip):
    site = load_site(PROJECT / "configs" / "demo" / "site.yaml")
    stated = site.room(clip.parent.name).camera(clip.stem).resolution
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.width, stream.codec_context.height) == tuple(stated)
        assert stated[1] >= 1080
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert float(stream.average_rate) == 25
    assert all(packet.pts == packet.dts for packet in packets), "B-frames"
    keyframes = [float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe]
    assert max(after - before for before, after in itertools.pairwise(keyframes)) <= 2
    with av.open(str(clip)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == len(packets)


def test_one_camera_sends_h265():
    codecs = set()
    for clip in CLIPS:
        with av.open(str(clip)) as container:
            codecs.add(container.streams.video[0].codec_context.name)
    assert codecs == {"h264", "hevc"}
