"""A room's verdict as plain data for a program: schema kaozheng/coverage/1."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kaozheng_coverage.verdict import (
    Additions,
    Draws,
    Mend,
    Outcome,
    PartVerdict,
    RoomVerdict,
    Sight,
    TargetVerdict,
)

SCHEMA = "kaozheng/coverage/1"


def verdict_json(verdict: RoomVerdict) -> dict[str, Any]:
    """The verdict as JSON types only: fractions 0-1 rounded to 4 places, densities to 0.1 px/m."""
    targets = verdict.targets
    return {
        "schema": SCHEMA,
        "room": verdict.room_id,
        "profile": {"id": verdict.profile_id, "version": verdict.profile_version},
        "outcome": verdict.outcome.value,
        "counts": {
            outcome.value: sum(target.outcome is outcome for target in targets) for outcome in Outcome
        },
        "seats": [_target(target) for target in verdict.seats],
        "zones": [_target(target) for target in verdict.zones],
        "lenses": [
            {
                "camera": lens.camera_id,
                "model": lens.model,
                "focal_px": round(lens.focal_px, 2),
                "hfov_deg": round(lens.hfov_deg, 2),
                "spread": round(lens.spread, 4),
                "note": lens.note,
            }
            for lens in verdict.lenses
        ],
        "warnings": list(verdict.warnings),
        "losses": [
            {"camera": loss.camera_id, "seats": list(loss.seats), "zones": list(loss.zones)}
            for loss in verdict.losses
        ],
        "tolerances": [_renamed(asdict(one)) for one in verdict.tolerances],
        "draws": _draws(verdict.draws),
        "additions": _additions(verdict.additions),
    }


def _mend(mend: Mend) -> dict[str, Any]:
    return _renamed({key: value for key, value in asdict(mend).items() if value is not None})


def _additions(found: Additions | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "cameras": [_mend(one) for one in found.cameras],
        "mended": found.mended,
        "left": list(found.left),
        "verified": found.verified,
    }


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """``camera_id`` of the records is ``camera`` in the file, as everywhere in it."""
    return {"camera" if key == "camera_id" else key: value for key, value in fields.items()}


def _draws(draws: Draws | None) -> dict[str, Any] | None:
    if draws is None:
        return None
    return {
        "draws": draws.draws,
        "passed": draws.passed,
        "probability": round(draws.probability, 4),
        "confidence": draws.confidence,
        "left_out": draws.left_out,
        "measure": draws.measure,
        "targets": [
            {"id": one.id, "kind": one.kind, "passed": one.passed, "part": one.part, "measure": one.measure}
            for one in draws.targets
        ],
    }


def _target(target: TargetVerdict) -> dict[str, Any]:
    mend = None
    if target.mend is not None:
        mend = _mend(target.mend)
    return {
        "id": target.id,
        "kind": target.kind,
        "outcome": target.outcome.value,
        "reason": target.binding.reason,
        "parts": [_part(part) for part in target.parts],
        "mend": mend,
    }


def _part(part: PartVerdict) -> dict[str, Any]:
    rule = part.rule
    needed = None
    if rule is not None:
        needed = {
            "level": rule.level.value,
            "px_per_m": rule.px_per_m,
            "visible": rule.visible,
            "cameras": rule.cameras,
            "spare": rule.spare,
            "facing_deg": rule.facing_deg,
        }
    return {
        "part": part.part.value,
        "rule": needed,
        "outcome": part.outcome.value,
        "cause": part.cause.value if part.cause else None,
        "reason": part.reason,
        "margin": {"visible": round(part.margin_visible, 4), "px_per_m": round(part.margin_px_per_m, 1)},
        "sights": [_sight(sight) for sight in part.sights],
    }


def _sight(sight: Sight) -> dict[str, Any]:
    return {
        "camera": sight.camera_id,
        "visible": round(sight.visible, 4),
        "visible_least": round(sight.visible_least, 4),
        "px_per_m": round(sight.px_per_m, 1),
        "px_per_m_p5": round(sight.px_per_m_p5, 1),
        "px_per_m_median": round(sight.px_per_m_median, 1),
        "outside": round(sight.outside, 4),
        "hidden_by": list(sight.hidden_by),
        "outcome": sight.outcome.value,
        "cause": sight.cause.value if sight.cause else None,
    }
