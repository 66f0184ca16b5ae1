"""The proposed outcome of an inspection, by one rule."""

from __future__ import annotations

from collections.abc import Sequence

from kaozheng_coverage.verdict import Outcome, RoomVerdict
from kaozheng_vision.diagnose import Fault, Judgement
from kaozheng_vision.walkthrough_result import WalkThrough

from kaozheng_service import card_wording, wording
from kaozheng_service.inspection.result import CameraInspection, CameraRecording

# A camera that shows one of these is as dead as one that does not answer.
DEAD = (Fault.LOST, Fault.BLACK, Fault.FROZEN, Fault.COVERED)


def propose(
    verdict: RoomVerdict,
    cameras: Sequence[CameraInspection],
    recordings: Sequence[CameraRecording],
    walk: WalkThrough | None = None,
) -> tuple[str, tuple[str, ...]]:
    """(accepted, conditional or rejected; every reason against acceptance in Chinese).

    Notes
    -----
    Rejected: a camera gives no picture, or a black, covered or frozen one; or a test recording is missing or not valid:
    such a room cannot be proven to have been watched. Conditional: a seat or zone fails or is undetermined, a
    picture has another fault or could not be judged, its size is not the stated one, or desk cards disagree with the
    model or were not all read: a supervisor decides.
    Accepted: none of these.
    """
    grave: list[str] = []
    light: list[str] = []
    for camera in cameras:
        probe, faults = camera.probe, camera.diagnosis.faults
        if probe.failure is not None:
            grave.append(f"{camera.camera_id}：{wording.failure_sentence(probe.failure)}")
            continue
        if camera.lost:
            light.append(f"{camera.camera_id}：转动后{'、'.join(camera.lost)}不再达标")
        for fault in faults:
            (grave if fault in DEAD else light).append(
                f"{camera.camera_id}：画面{wording.fault_words(camera.diagnosis, fault)}"
            )
        if not faults and camera.diagnosis.judgement is Judgement.CANNOT_JUDGE:
            unsure = [
                wording.fault_name(finding.kind)
                for finding in camera.diagnosis.findings
                if finding.judgement is Judgement.CANNOT_JUDGE
            ]
            light.append(f"{camera.camera_id}：画面是否{'、'.join(unsure)}无法判断")
        if probe.size_matches is False:
            light.append(f"{camera.camera_id}：分辨率{probe.width}×{probe.height}与登记不符")
    recorded = {recording.camera_id for recording in recordings}
    grave += [f"{camera.camera_id}：没有测试录像" for camera in cameras if camera.camera_id not in recorded]
    grave += [
        f"{recording.camera_id}：测试录像{problem}"
        for recording in recordings
        for problem in recording.problems
    ]
    for targets, kind in ((verdict.seats, "个座位"), (verdict.zones, "个区域")):
        for outcome in (Outcome.FAIL, Outcome.UNDETERMINED):
            count = sum(target.outcome is outcome for target in targets)
            if count:
                light.append(f"{count}{kind}{wording.outcome_name(outcome)}")
    if walk is not None:
        light += card_wording.walk_sentences(walk)
    if grave:
        return "rejected", (*grave, *light)
    return ("conditional" if light else "accepted"), tuple(light)
