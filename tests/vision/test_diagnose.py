"""Diagnosis of pictures, held against real footage with and without faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_vision.diagnose import Fault, Judgement, diagnose
from kaozheng_vision.errors import VisionError
from kaozheng_vision.reference import Light, make_reference

Frame = npt.NDArray[np.uint8]

CLIPS = (
    "one-by-one-person-detection.mp4",
    "classroom.gif",
    "people-detection.gif",
    "worker-zone-detection.gif",
)


def scene(seed: int, *, noise: float = 4.0) -> Frame:
    """Desks as rectangles on a floor, with a sensor's noise."""
    picture = np.full((720, 1280, 3), 120.0)
    for index in range(40):
        x, y = 80 + index % 8 * 140, 120 + index // 8 * 110
        picture[y : y + 60, x : x + 90] = 60 + (index * 37) % 150
    noise_levels = np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(picture + noise_levels, 0, 255).astype(np.uint8)


def faults(frames: Sequence[Frame], times_s: Sequence[float] = (0.0, 2.0, 4.0)) -> tuple[Fault, ...]:
    return diagnose(frames, times_s[: len(frames)]).faults


def test_a_sharp_bright_noisy_picture_has_no_fault() -> None:
    diagnosis = diagnose([scene(1), scene(2), scene(3)], [0, 2, 4])
    assert diagnosis.judgement is Judgement.OK


def test_a_covered_lens_is_black_and_its_other_faults_cannot_be_judged() -> None:
    diagnosis = diagnose([np.full((720, 1280, 3), 8, np.uint8)] * 3, [0, 2, 4])
    assert Fault.BLACK in diagnosis.faults
    assert diagnosis.finding(Fault.BLURRED).judgement is Judgement.CANNOT_JUDGE
    assert diagnosis.finding(Fault.FROZEN).judgement is Judgement.CANNOT_JUDGE


def test_a_running_clock_does_not_make_a_frozen_picture_look_alive() -> None:
    frames = []
    for second in range(3):
        frame = scene(1)
        cv2.putText(frame, f"09:30:{second:02d}", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)
        frames.append(frame)
    assert faults(frames) == (Fault.FROZEN,)


def test_a_clock_in_the_middle_is_left_out_by_its_mask() -> None:
    frames, mask = [], np.zeros((720, 1280), bool)
    mask[300:420, 300:800] = True
    for second in range(3):
        frame = scene(1)
        cv2.putText(
            frame, f"09:30:{second * 17:02d}", (320, 400), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 3
        )
        frames.append(frame)
    assert faults(frames) == ()
    assert diagnose(frames, [0, 2, 4], clock_mask=mask).faults == (Fault.FROZEN,)


@pytest.mark.parametrize(
    ("count", "times_s"), [(2, [0, 4]), (3, [0, 0.5, 1.0]), (3, [])], ids=["two", "too-soon", "no-times"]
)
def test_frozen_cannot_be_judged_from_too_little(count: int, times_s: list[float]) -> None:
    finding = diagnose([scene(1)] * count, times_s).finding(Fault.FROZEN)
    assert finding.judgement is Judgement.CANNOT_JUDGE
    assert "3 pictures over 2 s" in finding.reason


def test_a_blank_wall_is_not_called_blurred() -> None:
    wall = np.clip(np.random.default_rng(1).normal(128, 2, (720, 1280, 3)), 0, 255).astype(np.uint8)
    assert diagnose([wall]).finding(Fault.BLURRED).judgement is Judgement.CANNOT_JUDGE


def test_no_picture_at_all_is_never_a_pass() -> None:
    diagnosis = diagnose([])
    assert diagnosis.faults == (Fault.LOST,)
    others = {finding.judgement for finding in diagnosis.findings if finding.kind is not Fault.LOST}
    assert others == {Judgement.CANNOT_JUDGE}


@pytest.mark.real_media
@pytest.mark.parametrize("name", CLIPS)
def test_real_footage_has_no_fault(real_media: Path, name: str) -> None:
    frames, times_s = sample(real_media / "intel" / name)
    for start in range(len(frames) - 2):
        diagnosis = diagnose(frames[start : start + 3], times_s[start : start + 3])
        assert diagnosis.faults == (), f"{name} at {times_s[start]:.1f} s: {diagnosis}"


@pytest.mark.real_media
@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(
    ("fault", "spoil"),
    [
        (Fault.BLACK, lambda frame: (frame * 0.1).astype(np.uint8)),
        (Fault.TOO_DARK, lambda frame: (frame * 0.2).astype(np.uint8)),
        (Fault.TOO_BRIGHT, lambda frame: np.clip(frame * 3.0, 0, 255).astype(np.uint8)),
        (Fault.BLURRED, lambda frame: cv2.GaussianBlur(frame, (0, 0), 6 * frame.shape[1] / 1920)),
    ],
    ids=["black", "dark", "bright", "blurred"],
)
def test_a_fault_put_into_real_footage_is_found(
    real_media: Path, name: str, fault: Fault, spoil: Callable[[Frame], Frame]
) -> None:
    frames, _ = sample(real_media / "intel" / name)
    missed = [index for index, frame in enumerate(frames) if fault not in diagnose([spoil(frame)]).faults]
    assert missed == []


@pytest.mark.real_media
@pytest.mark.parametrize("name", CLIPS)
def test_real_footage_that_is_repeated_is_frozen(real_media: Path, name: str) -> None:
    frames, _ = sample(real_media / "intel" / name)
    assert Fault.FROZEN in diagnose([frames[0]] * 3, [0, 2, 4]).faults


def sample(path: Path) -> tuple[list[Frame], list[float]]:
    """One picture every 2 s of a film; all pictures of a preview, which shows few and far apart ones."""
    step_s = 2.0 if path.suffix == ".mp4" else 0.0
    frames: list[Frame] = []
    times_s: list[float] = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            if frame.time is None or (times_s and step_s and frame.time < times_s[-1] + step_s):
                continue
            frames.append(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
            times_s.append(frame.time)
    if not step_s:
        times_s = [2.0 * index for index in range(len(frames))]
    return frames, times_s


FIXED = CLIPS[:3]


def covered(frame: Frame, share: float = 0.6) -> Frame:
    picture = frame.copy()
    width = round(frame.shape[1] * share)
    picture[:, :width] = cv2.GaussianBlur(picture[:, :width], (0, 0), 2) * 0 + 70
    return picture


def tinted(frame: Frame) -> Frame:
    return np.clip(frame * np.array([1.0, 0.65, 1.0]), 0, 255).astype(np.uint8)


def noisy(frame: Frame) -> Frame:
    noise = np.random.default_rng(7).normal(0, 25, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def turned(frame: Frame, degrees: float = 1.0) -> Frame:
    height, width = frame.shape[:2]
    shift = np.tan(np.radians(degrees)) * width / 2 / np.tan(np.radians(35))
    matrix = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
    return np.asarray(
        cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
def test_real_footage_agrees_with_its_own_accepted_view(real_media: Path, name: str) -> None:
    frames, times_s = sample(real_media / "intel" / name)
    reference = make_reference(frames[:3])
    for start in range(0, len(frames) - 2, 5):
        diagnosis = diagnose(frames[start : start + 3], times_s[start : start + 3], references=[reference])
        assert diagnosis.judgement is Judgement.OK, f"{name} at {times_s[start]:.1f} s: {diagnosis.findings}"
        assert diagnosis.compared


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize(
    ("fault", "spoil"),
    [
        (Fault.COVERED, covered),
        (Fault.COLOUR_CAST, tinted),
        (Fault.NOISY, noisy),
        (Fault.MOVED, turned),
        (Fault.BLURRED, lambda frame: cv2.GaussianBlur(frame, (0, 0), 4 * frame.shape[1] / 1920)),
    ],
    ids=["covered", "cast", "noise", "moved", "slightly-blurred"],
)
def test_a_fault_against_the_accepted_view_is_found_and_no_other(
    real_media: Path, name: str, fault: Fault, spoil: Callable[[Frame], Frame]
) -> None:
    frames, _ = sample(real_media / "intel" / name)
    reference = make_reference(frames[:3])
    for frame in frames[::8]:
        assert diagnose([spoil(frame)], references=[reference]).faults == (fault,)


def lit(frame: Frame, light: npt.NDArray[np.float64]) -> Frame:
    return np.clip(frame * light, 0, 255).astype(np.uint8)


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize(
    "light",
    ["dimmed", "half-the-lamps", "sunset", "projector", "low-contrast", "high-contrast", "haze", "gamma"],
)
def test_lamps_the_sun_and_a_projector_are_no_fault(real_media: Path, name: str, light: str) -> None:
    frames, _ = sample(real_media / "intel" / name)
    height, width = frames[0].shape[:2]
    reference = make_reference(frames[:3])
    lamps = np.where(np.arange(width) < width / 2, 0.5, 1.0).astype(np.float32)
    lights = {
        "dimmed": np.array([0.5, 0.5, 0.5]),
        "half-the-lamps": cv2.GaussianBlur(lamps[None], (0, 0), width / 20)[0][None, :, None],
        "sunset": np.array([0.85, 1.0, 1.08]),
        "projector": np.ones(3),
    }
    curves: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
        "low-contrast": lambda grey: (grey - 110) * 0.7 + 110,
        "high-contrast": lambda grey: (grey - 110) * 1.3 + 110,
        "haze": lambda grey: grey + 20,
        "gamma": lambda grey: 255 * (grey / 255) ** 0.7,
    }
    for frame in frames[::8]:
        if light in curves:
            picture = np.clip(curves[light](frame.astype(np.float64)), 0, 255).astype(np.uint8)
        else:
            picture = lit(frame, lights[light])
        if light == "projector":
            top, bottom, left, right = (
                round(n) for n in (0.15 * height, 0.45 * height, 0.3 * width, 0.65 * width)
            )
            picture[top:bottom, left:right] = (250, 250, 245)
        assert diagnose([picture], references=[reference]).faults == ()


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("channel", [0, 2], ids=["blue", "red"])
def test_a_channel_stuck_at_full_is_a_cast(real_media: Path, name: str, channel: int) -> None:
    frames, _ = sample(real_media / "intel" / name)
    reference = make_reference(frames[:3])
    for frame in frames[::8]:
        picture = frame.copy()
        picture[..., channel] = 255
        assert Fault.COLOUR_CAST in diagnose([picture], references=[reference]).faults


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED)
def test_a_cast_hides_no_cover(real_media: Path, name: str) -> None:
    frames, _ = sample(real_media / "intel" / name)
    reference = make_reference(frames[:3])
    for frame in frames[::8]:
        picture = frame.copy()
        picture[:, : round(0.8 * picture.shape[1])] = 120
        found = diagnose([lit(picture, np.array([0.7, 1.0, 1.1]))], references=[reference])
        assert found.finding(Fault.COVERED).judgement is Judgement.FAULT


def test_without_an_accepted_view_what_needs_one_is_not_compared_and_no_pass() -> None:
    diagnosis = diagnose([scene(1), scene(2), scene(3)], [0, 2, 4])
    assert not diagnosis.compared
    not_compared = {one.kind for one in diagnosis.findings if one.judgement is Judgement.NOT_COMPARED}
    assert not_compared == {Fault.COVERED, Fault.COLOUR_CAST, Fault.MOVED}


def test_another_cameras_accepted_view_is_a_moved_picture_with_the_reason() -> None:
    other = np.asarray(tinted(scene(1))[::-1, ::-1], np.uint8)
    finding = diagnose([checkered()], references=[make_reference([other])]).finding(Fault.MOVED)
    assert finding.judgement is Judgement.FAULT
    assert "another camera" in finding.reason


def test_an_accepted_view_of_another_shape_cannot_be_compared_and_says_both_sizes() -> None:
    tall = np.asarray(np.rot90(tinted(scene(1))), np.uint8)
    finding = diagnose([tinted(scene(1))], references=[make_reference([tall])]).finding(Fault.MOVED)
    assert finding.judgement is Judgement.CANNOT_JUDGE
    assert "720 x 1280" in finding.reason
    assert "1280 x 720" in finding.reason


def test_an_infra_red_picture_needs_an_infra_red_view() -> None:
    day = tinted(scene(1))
    night = np.repeat(scene(1).mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    finding = diagnose([night], references=[make_reference([day])]).finding(Fault.COLOUR_CAST)
    assert finding.judgement is Judgement.CANNOT_JUDGE
    assert "infra-red" in finding.reason
    both = diagnose([night], references=[make_reference([day]), make_reference([night])])
    assert both.light is Light.INFRARED
    assert both.finding(Fault.MOVED).judgement is Judgement.OK
    assert both.finding(Fault.COLOUR_CAST).judgement is Judgement.CANNOT_JUDGE


@pytest.mark.real_media
@pytest.mark.parametrize("name", FIXED[:2])  # the third shows little but plain walls
@pytest.mark.parametrize("share", [0.7, 1.0])
def test_a_grey_cloth_is_a_cover_and_no_infra_red_view(real_media: Path, name: str, share: float) -> None:
    frames, _ = sample(real_media / "intel" / name)
    width = round(frames[0].shape[1] * share)
    folds = np.random.default_rng(3).normal(0, 1, (27, 48)).astype(np.float32)
    cloth = 120 + 20 * cv2.resize(folds, frames[0].shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    picture = frames[0].copy()
    picture[:, :width] = np.clip(cloth[:, :width].repeat(3, 2), 0, 255)
    assert Fault.COVERED in diagnose([picture], references=[make_reference(frames[:3])]).faults


@pytest.mark.real_media
def test_lettering_that_stands_still_does_not_hide_another_view(real_media: Path) -> None:
    frames, _ = sample(real_media / "intel" / "classroom.gif")

    def lettered(frame: Frame) -> Frame:
        picture = frame.copy()
        for row in (0.14, 0.88):
            place = (10, round(row * frame.shape[0]))
            cv2.putText(picture, "2024-11-23 09:30:15 ROOM 201 FRONT LEFT", place, 0, 0.6, (255,) * 3, 1)
        return picture

    reference = make_reference([lettered(frame) for frame in frames[:3]])
    mirrored = lettered(np.ascontiguousarray(frames[9][:, ::-1]))
    assert Fault.MOVED in diagnose([mirrored], references=[reference]).faults
    assert diagnose([lettered(frames[9])], references=[reference]).faults == ()


def test_a_strip_that_is_no_cameras_view_is_refused_with_its_size() -> None:
    with pytest.raises(VisionError, match="1920 x 40"):
        diagnose([np.full((40, 1920, 3), 90, np.uint8)])


def test_a_picture_of_zero_size_is_a_lost_one() -> None:
    assert diagnose([np.zeros((0, 1280, 3), np.uint8)]).faults == (Fault.LOST,)


def test_a_clock_mask_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(VisionError, match="320 x 180 and the picture 1280 x 720"):
        diagnose([scene(1)], clock_mask=np.zeros((180, 320), bool))


def test_what_a_dark_picture_hides_is_not_guessed() -> None:
    dark = (scene(1) * 0.1).astype(np.uint8)
    diagnosis = diagnose([dark], references=[make_reference([scene(1)])])
    hidden = {Fault.BLURRED, Fault.FROZEN, Fault.NOISY, Fault.COVERED, Fault.COLOUR_CAST, Fault.MOVED}
    assert {one.kind for one in diagnosis.findings if one.judgement is Judgement.CANNOT_JUDGE} == hidden


def checkered() -> Frame:
    """A scene with much structure and nothing of the desks."""
    random = np.random.default_rng(5).integers(40, 220, (180, 320, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(random, (1280, 720), interpolation=cv2.INTER_CUBIC), np.uint8)
