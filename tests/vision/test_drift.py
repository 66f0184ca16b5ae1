"""How far a camera turned, measured from its picture."""

from __future__ import annotations

import math
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.lens import Lens, fit_lens, pinhole_lens
from kaozheng_coverage.nudge import nudged
from kaozheng_coverage.projection import axes
from kaozheng_vision.drift import Drift, drifted, estimate_drift
from kaozheng_vision.picture import make_picture
from kaozheng_vision.reference import make_reference
from scipy.spatial.transform import Rotation

Frame = npt.NDArray[np.uint8]

# Three of the fixed cameras; the fourth clip's own camera pans half a degree in its four seconds, as it shows below.
FIXED = ("one-by-one-person-detection.mp4", "classroom.gif", "people-detection.gif")


def turn(frame: Frame, rotation: npt.NDArray[np.float64], lens: Lens) -> Frame:
    """What the camera shows after the view turned by ``rotation``; the border is repeated."""
    columns, rows = np.meshgrid(np.arange(lens.width_px) + 0.5, np.arange(lens.height_px) + 0.5)
    rays = lens.unproject(np.stack([columns.ravel(), rows.ravel()], axis=1)) @ rotation
    pixels = (lens.project(rays) - 0.5).reshape(lens.height_px, lens.width_px, 2).astype(np.float32)
    turned = cv2.remap(
        frame, pixels[..., 0], pixels[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8)


def encoded(frame: Frame, quality: int = 60) -> Frame:
    """Through JPEG, which spoils a picture as a keyframe's encoder does."""
    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def frames_of(path: Path, every: int) -> list[Frame]:
    with av.open(path) as container:
        return [
            np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            for number, frame in enumerate(container.decode(video=0))
            if number % every == 0
        ]


def textured(seed: int = 1, size: tuple[int, int] = (960, 540)) -> Frame:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 12, size[0] // 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def measured(reference: Frame, now: Frame, lens: Lens) -> Drift:
    drift = estimate_drift(make_reference([reference]), make_picture(now), lens)
    assert drift is not None
    return drift


@settings(max_examples=15, deadline=None)
@given(
    angle_deg=st.floats(0.05, 3.0),
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: math.hypot(*axis) > 0.1),
    wide=st.booleans(),
)
def test_a_turn_that_was_put_in_is_measured(angle_deg: float, axis: tuple[float, ...], wide: bool) -> None:
    lens = fit_lens(960, 540, 106.4, 57.9, 124.6) if wide else pinhole_lens(960, 540, 60)
    direction = np.asarray(axis) / np.linalg.norm(axis)
    rotation = Rotation.from_rotvec(math.radians(angle_deg) * direction).as_matrix()
    scene = textured()
    drift = measured(scene, encoded(turn(scene, rotation, lens)), lens)
    off = math.degrees(Rotation.from_matrix(drift.rotation @ rotation.T).magnitude())
    assert off < 0.05
    assert drift.angle_deg == pytest.approx(angle_deg, abs=0.05)


@pytest.mark.parametrize(
    "turned", [(2.0, 0.0, 0.0), (0.0, -1.5, 0.0), (0.0, 0.0, 1.0)], ids=["pan", "tilt", "roll"]
)
def test_a_turn_is_told_about_the_axes_that_the_model_uses(turned: tuple[float, float, float]) -> None:
    camera = Camera("c", (0, 0, 1), (5, 5, 1), fit_lens(960, 540, 106.4, 57.9, 124.6))
    rotation = axes(nudged(camera, *turned)) @ axes(camera).T
    scene = textured()
    drift = measured(scene, turn(scene, rotation, camera.lens), camera.lens)
    assert (drift.pan_deg, drift.tilt_deg, drift.roll_deg) == pytest.approx(turned, abs=0.05)


def test_the_model_turns_with_the_camera() -> None:
    camera = Camera("c", (0.2, 0.3, 2.9), (5, 4, 1), fit_lens(960, 540, 106.4, 57.9, 124.6), 3.0)
    now = nudged(camera, 2.0, -1.0, 0.7)
    drift = Drift(axes(now) @ axes(camera).T, 0, 0, 0, 0, 0, 0, 0)
    assert np.allclose(axes(drifted(camera, drift)), axes(now), atol=1e-12)
    assert drifted(camera, drift).position_m == camera.position_m


def test_a_flat_wall_and_another_room_have_no_turn() -> None:
    lens = pinhole_lens(960, 540, 70)
    wall = np.full((540, 960, 3), 128, np.uint8)
    assert estimate_drift(make_reference([wall]), make_picture(wall), lens) is None
    assert estimate_drift(make_reference([textured(1)]), make_picture(textured(2)), lens) is None


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
def test_people_who_move_are_no_turn(real_media: Path, name: str) -> None:
    frames = frames_of(real_media / "intel" / name, 60 if name.endswith("mp4") else 4)
    reference = make_reference(frames[:3])
    for frame in frames:
        drift = estimate_drift(reference, make_picture(encoded(frame)))
        assert drift is not None
        assert drift.angle_deg < 0.1


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
def test_a_turn_put_into_real_footage_is_measured_to_a_twentieth_of_a_degree(
    real_media: Path, name: str
) -> None:
    frames = frames_of(real_media / "intel" / name, 60 if name.endswith("mp4") else 4)
    lens = pinhole_lens(frames[0].shape[1], frames[0].shape[0], 70)
    reference, random = make_reference(frames[:3]), np.random.default_rng(1)
    errors = []
    for frame in frames:
        axis = random.normal(size=3)
        rotation = Rotation.from_rotvec(
            math.radians(random.uniform(0.3, 3)) * axis / np.linalg.norm(axis)
        ).as_matrix()
        drift = estimate_drift(reference, make_picture(encoded(turn(frame, rotation, lens))), lens)
        assert drift is not None
        errors.append(math.degrees(Rotation.from_matrix(drift.rotation @ rotation.T).magnitude()))
    assert np.median(errors) <= 0.05
    assert max(errors) < 0.15


@pytest.mark.real_media
def test_a_camera_that_really_pans_is_seen_to(real_media: Path) -> None:
    frames = frames_of(real_media / "intel" / "worker-zone-detection.gif", 10)
    reference = make_reference(frames[:1])
    pans = [estimate_drift(reference, make_picture(frame)) for frame in frames]
    angles = [drift.pan_deg for drift in pans if drift is not None]
    assert len(angles) == len(frames)
    assert angles == sorted(angles)
    assert angles[-1] > 0.3
