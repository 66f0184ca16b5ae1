"""Today's view over the accepted one: the same crop, a turn taken back, and heat only where something changed."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_coverage.lens import fit_lens
from kaozheng_coverage.pose import turn
from kaozheng_vision.errors import VisionError
from kaozheng_vision.view_pair import view_pair

Frame = npt.NDArray[np.uint8]

LENS = fit_lens(960, 540, 106.4, 57.9, 124.6)
TURN = turn(np.radians([0.8, 2.0, -0.6]))


def scene(seed: int = 1) -> Frame:
    """Soft patches: what a wall with posters is to a difference."""
    patches = np.random.default_rng(seed).integers(40, 200, (27, 48, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(patches, (960, 540), interpolation=cv2.INTER_CUBIC), np.uint8)


def turned(picture: Frame, rotation: npt.NDArray[np.float64]) -> Frame:
    """What the camera sees after a turn: pixel by pixel through the lens, without the product's grid."""
    x, y = np.meshgrid(np.arange(960) + 0.5, np.arange(540) + 0.5)
    rays = LENS.unproject(np.stack([x.ravel(), y.ravel()], axis=1)) @ rotation
    there = (LENS.project(rays) - 0.5).astype(np.float32).reshape(540, 960, 2)
    return np.asarray(cv2.remap(picture, there[..., 0], there[..., 1], cv2.INTER_CUBIC), np.uint8)


def test_a_turn_is_taken_back_and_both_are_cut_to_what_both_show() -> None:
    before = scene()
    after = turned(before, TURN)
    moved = view_pair(after, before, width_px=480)
    held = view_pair(after, before, lens=LENS, rotation=TURN, width_px=480)
    assert held.today.shape == held.reference.shape == held.heat.shape
    assert held.today.shape[1] == 480
    assert np.abs(held.today.astype(int) - held.reference).mean() < 1.5
    assert moved.changed > 0.05
    assert held.changed == 0.0
    left, top, right, bottom = held.crop
    assert (right - left) * (
        bottom - top
    ) > 0.88 * 960 * 540  # 2 degrees of 106 across, 0.8 of 58 down, some for roll
    assert (right - left) / (bottom - top) == pytest.approx(480 / held.today.shape[0], rel=0.01)


def test_only_what_changed_is_hot() -> None:
    before = scene()
    after = before.copy()
    after[200:300, 400:520] = 250
    pair = view_pair(after, before, width_px=960)
    assert pair.crop == (0, 0, 960, 540)
    assert pair.changed == pytest.approx(100 * 120 / (960 * 540), rel=0.35)
    colourful = np.ptp(pair.heat.astype(int), axis=2) > 20
    assert colourful[205:295, 405:515].mean() > 0.8
    assert not colourful[320:].any()
    assert not colourful[150:, :380].any()


@pytest.mark.parametrize("light", [0.7, 1.4])
def test_lamps_and_exposure_are_no_difference(light: float) -> None:
    before = scene() // 2
    after = np.clip(before * light + 10, 0, 255).astype(np.uint8)
    assert view_pair(after, before).changed == 0.0


def test_a_smaller_stream_is_brought_to_the_references_size() -> None:
    before = scene()
    small = np.asarray(cv2.resize(before, (480, 270), interpolation=cv2.INTER_AREA), np.uint8)
    pair = view_pair(small, before)
    assert pair.today.shape == pair.reference.shape
    assert pair.changed == 0.0


@pytest.mark.parametrize(
    ("today", "rotation", "lens", "why"),
    [
        (np.zeros((0, 0, 3), np.uint8), None, None, "empty picture"),
        (np.zeros((480, 640, 3), np.uint8), None, None, "resolution was changed"),
        (scene(), TURN, None, "lens: give it"),
        (scene(), turn(np.radians([0.0, 179.0, 0.0])), LENS, "nothing in common"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_its_mend(today, rotation, lens, why) -> None:
    with pytest.raises(VisionError, match=why):
        view_pair(today, scene(), lens=lens, rotation=rotation)


@pytest.mark.real_media
def test_on_untouched_footage_next_to_nothing_is_coloured(real_media: Path) -> None:
    frames = []
    with av.open(real_media / "intel" / "one-by-one-person-detection.mp4") as container:
        for index, frame in enumerate(container.decode(video=0)):
            frames.append(frame.to_ndarray(format="bgr24"))
            if index == 50:  # 5 s, before anyone comes
                break
    pair = view_pair(frames[-1], frames[0], width_px=768)
    assert pair.changed == 0.0
    below_legend = pair.heat[80:].astype(int)
    assert (np.ptp(below_legend, axis=2) > 20).mean() < 0.002
