"""What the commands print for people."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from kaozheng_service.cli.tables import picture_words
from kaozheng_vision.diagnose import diagnose

CLIP = Path(__file__).resolve().parents[2] / "sample_media" / "9-201" / "front-left.mp4"


def test_a_good_picture_is_a_tick():
    with av.open(str(CLIP)) as container:
        frames = [
            (frame.to_ndarray(format="bgr24"), float(frame.time))
            for number, frame in enumerate(container.decode(video=0))
            if number % 25 == 0 and number < 150
        ]
    pictures, times_s = zip(*frames, strict=True)
    assert "✓" in picture_words(diagnose(pictures, times_s))


def test_a_fault_is_named():
    black = [np.zeros((1080, 1920, 3), np.uint8)] * 3
    words = picture_words(diagnose(black, (0.0, 1.0, 2.0)))
    assert "✗" in words
    assert "black" in words


def test_no_picture_is_no_pass():
    words = picture_words(diagnose([]))
    assert "✗" in words
    assert "lost" in words
