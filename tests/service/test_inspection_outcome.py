"""The rule that proposes an inspection's outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kaozheng_coverage.verdict import Outcome, RoomVerdict, TargetVerdict
from kaozheng_service.inspection.outcome import propose
from kaozheng_service.inspection.result import CameraInspection, CameraRecording
from kaozheng_vision.diagnose import Diagnosis, diagnose
from kaozheng_vision.failures import Failure
from kaozheng_vision.picture import Frame
from kaozheng_vision.probe import ProbeResult

GOOD_RECORDING = CameraRecording("front", 1, 10.0, 10.0, 250, 1000, ())


def verdict(*outcomes: Outcome) -> RoomVerdict:
    seats = tuple(TargetVerdict(f"{n:02d}", "seat", outcome, (), None) for n, outcome in enumerate(outcomes))
    return RoomVerdict("9-201", "theory", 1, max(outcomes), seats, (), (), ())


def scene(seed: int) -> Frame:
    """Desks of different greys on a floor, with a sensor's faint noise."""
    picture = np.full((360, 640, 3), 120.0)
    for index in range(40):
        x, y = 40 + index % 8 * 70, 60 + index // 8 * 55
        picture[y : y + 30, x : x + 45] = 60 + (index * 37) % 150
    noise = np.random.default_rng(seed).normal(0, 1.0, picture.shape)
    return np.clip(picture + noise + 3 * seed, 0, 255).astype(np.uint8)


def healthy() -> Diagnosis:
    return diagnose([scene(1), scene(2), scene(3)], [0, 2, 4])


def camera(diagnosis: Diagnosis | None = None, **probe: object) -> CameraInspection:
    result = ProbeResult(size_matches=True, **probe) if "size_matches" not in probe else ProbeResult(**probe)  # type: ignore[arg-type]
    return CameraInspection("front", result, diagnosis or healthy(), Path("front.jpg"))


def test_all_good_is_accepted_without_a_reason() -> None:
    assert propose(verdict(Outcome.PASS), [camera()], [GOOD_RECORDING]) == ("accepted", ())


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.UNDETERMINED])
def test_a_seat_that_does_not_pass_makes_it_conditional(outcome: Outcome) -> None:
    proposed, reasons = propose(verdict(Outcome.PASS, outcome), [camera()], [GOOD_RECORDING])
    assert proposed == "conditional"
    assert reasons[0].startswith("1个座位")


def test_a_dead_camera_rejects_the_room() -> None:
    proposed, reasons = propose(verdict(Outcome.PASS), [camera(failure=Failure.REFUSED)], [GOOD_RECORDING])
    assert proposed == "rejected"
    assert "拒绝连接" in reasons[0]


def test_a_frozen_picture_rejects_the_room_and_a_blurred_one_asks_for_a_decision() -> None:
    still = np.random.default_rng(1).integers(60, 200, (360, 640, 3), dtype=np.uint8)
    frozen = diagnose([still] * 3, [0, 2, 4])
    assert propose(verdict(Outcome.PASS), [camera(frozen)], [GOOD_RECORDING])[0] == "rejected"
    soft = np.linspace(40, 220, 640).astype(np.uint8)[None, :, None].repeat(360, 0).repeat(3, 2)
    blurred = diagnose([soft] * 3, [0, 2, 4])
    assert propose(verdict(Outcome.PASS), [camera(blurred)], [GOOD_RECORDING])[0] == "conditional"


def test_a_picture_that_could_not_be_judged_is_no_silent_pass() -> None:
    unsure = diagnose([scene(1)])
    proposed, reasons = propose(verdict(Outcome.PASS), [camera(unsure)], [GOOD_RECORDING])
    assert proposed == "conditional"
    assert "无法判断" in reasons[0]


def test_another_size_than_stated_is_conditional() -> None:
    other = camera(size_matches=False, width=640, height=360)
    assert propose(verdict(Outcome.PASS), [other], [GOOD_RECORDING])[0] == "conditional"


def test_a_test_recording_that_is_missing_or_not_valid_rejects_the_room() -> None:
    assert propose(verdict(Outcome.PASS), [camera()], [])[0] == "rejected"
    broken = CameraRecording("front", 1, 10.0, 10.0, 250, 1000, ("第1段与登记的SHA-256不符",))
    proposed, reasons = propose(verdict(Outcome.PASS), [camera()], [broken])
    assert proposed == "rejected"
    assert reasons == ("front：测试录像第1段与登记的SHA-256不符",)
