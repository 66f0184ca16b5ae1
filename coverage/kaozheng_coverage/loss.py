"""What a room loses with any one of its cameras: a camera that fails on exam day takes its seats with it."""

from __future__ import annotations

from collections.abc import Sequence

from kaozheng_coverage.verdict import CameraLoss, Outcome, PartVerdict, TargetVerdict


def camera_losses(
    seats: Sequence[TargetVerdict], zones: Sequence[TargetVerdict], camera_ids: Sequence[str]
) -> tuple[CameraLoss, ...]:
    """For each camera the targets that pass now and would not without it.

    The verdicts hold how every camera sees every part, so nothing has to be judged again.
    """
    return tuple(
        CameraLoss(
            camera_id,
            tuple(seat.id for seat in seats if _is_lost(seat, camera_id)),
            tuple(zone.id for zone in zones if _is_lost(zone, camera_id)),
        )
        for camera_id in camera_ids
    )


def _is_lost(target: TargetVerdict, camera_id: str) -> bool:
    return target.outcome is Outcome.PASS and not all(
        _passes_without(part, camera_id) for part in target.parts
    )


def _passes_without(part: PartVerdict, camera_id: str) -> bool:
    others = sum(sight.outcome is Outcome.PASS for sight in part.sights if sight.camera_id != camera_id)
    return part.rule is not None and others >= part.rule.cameras
