"""The acceptance sheet (考场监控验收单): a PDF to be printed, checked by hand and signed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from kaozheng_coverage.plan import plan_svg
from kaozheng_coverage.profile import Profile
from kaozheng_coverage.verdict import CameraLoss, Outcome, PartVerdict, RoomVerdict, TargetVerdict

from kaozheng_service import wording
from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
from kaozheng_service.config.site import Site
from kaozheng_service.inspection.checklist import CHECKLIST
from kaozheng_service.inspection.result import CameraInspection, CameraRecording, RoomInspection
from kaozheng_service.paper import print_sheet, short_hash

TEMPLATE = Path(__file__).with_name("sheet.typ")


def acceptance_sheet(site: Site, inspection: RoomInspection, out: Path) -> Path:
    """Print an inspection of one room to the PDF file ``out``.

    Returns
    -------
    ``out``. The same inspection gives the same bytes: no system font and no clock enter.
    """
    room = site.room(inspection.room_id)
    plan = plan_svg(room_geometry(room), room_cameras(room), inspection.verdict)
    print_sheet(
        TEMPLATE,
        out,
        sheet_data(site, inspection),
        at=inspection.at,
        checkpoint=inspection.checkpoint,
        texts={"plan.svg": plan},
        files={
            f"{camera.camera_id}.jpg": camera.picture
            for camera in inspection.cameras
            if camera.picture is not None
        },
    )
    return out


def sheet_data(site: Site, inspection: RoomInspection) -> dict[str, Any]:
    """Every word and number of the sheet, in Chinese and the site's time; ``sheet.typ`` only places them."""
    room, verdict = site.room(inspection.room_id), inspection.verdict
    geometry = room_geometry(room)
    profile = room_profile(site, room)
    building = next((one for one in site.buildings if one.id == room.building), None)
    return {
        "site": site.name,
        "room": room.name,
        "room_id": room.id,
        "building": f"{building.name}（{building.owner}）" if building and building.owner else "",
        "batch": site.batch or "",
        "at": _local(site, inspection.at),
        "id": inspection.id,
        "profile": f"{wording.profile_name(profile.id)}（{profile.id} 第{profile.version}版）",
        "size": f"{len(geometry.seats)}个座位 · {len(geometry.zones)}个区域 · {len(room.cameras)}台摄像机",
        "outcome": inspection.outcome,
        "outcome_name": wording.inspection_outcome_name(inspection.outcome),
        "reasons": list(inspection.reasons),
        "counts": {
            "seats": _counts(verdict.seats),
            "zones": _counts(verdict.zones),
            "cameras_live": sum(camera.probe.ok for camera in inspection.cameras),
            "cameras": len(inspection.cameras),
            "recordings_valid": sum(recording.valid for recording in inspection.recordings),
            "cards": _cards(inspection),
        },
        "cameras": [_camera(camera) for camera in inspection.cameras],
        "failures": [_failure(target) for target in verdict.targets if target.outcome is not Outcome.PASS],
        "losses": [_loss(verdict, loss) for loss in verdict.losses],
        "tolerances": [
            {"id": one.camera_id, "text": wording.tolerance_sentence(one)} for one in verdict.tolerances
        ],
        "additions": wording.additions_sentence(verdict.additions),
        "draws": wording.draws_sentence(verdict.draws),
        "rules": _rules(profile),
        "recordings": [_recording(recording) for recording in inspection.recordings],
        "checklist": [{"place": check.place, "text": check.text} for check in CHECKLIST],
        "checkpoint": inspection.checkpoint.strip(),
        "checkpoint_hash": short_hash(inspection.checkpoint),
        "key_fingerprint": inspection.key_fingerprint,
    }


def _local(site: Site, moment: datetime) -> str:
    return f"{moment.astimezone(site.zone):%Y-%m-%d %H:%M:%S}（{site.timezone}）"


def _counts(targets: tuple[TargetVerdict, ...]) -> dict[str, int]:
    return {outcome.value: sum(target.outcome is outcome for target in targets) for outcome in Outcome}


def _cards(inspection: RoomInspection) -> str:
    """How many desk cards any camera reads, of how many; empty where they were not asked for."""
    if inspection.walk is None:
        return ""
    walk = inspection.walk.walk
    return f"{len(walk.labels) - len(walk.unproven)} / {len(walk.labels)}"


def _camera(camera: CameraInspection) -> dict[str, Any]:
    probe = camera.probe
    return {
        "id": camera.camera_id,
        "ok": probe.ok,
        "failure": wording.failure_sentence(probe.failure) if probe.failure else "",
        "codec": {"h264": "H.264", "hevc": "H.265"}.get(probe.codec, probe.codec) or "—",
        "size": f"{probe.width}×{probe.height}" if probe.width else "—",
        "size_matches": probe.size_matches is not False,
        "fps": _number(probe.fps, ".1f"),
        "bitrate": _number(probe.bitrate_bps and probe.bitrate_bps / 1e6, ".2f"),
        "gop": _number(probe.gop_s, ".1f"),
        "delay": _number(probe.first_frame_delay_s, ".2f"),
        "jitter": _number(probe.jitter_ms, ".0f"),
        "audio": "有" if probe.audio else "无",
        "diagnosis": wording.diagnosis_sentence(camera.diagnosis),
        "diagnosis_ok": not camera.diagnosis.faults,
        "findings": [wording.finding_sentence(finding) for finding in camera.diagnosis.findings],
        "picture": f"{camera.camera_id}.jpg" if camera.picture is not None else None,
    }


def _failure(target: TargetVerdict) -> dict[str, Any]:
    """The parts that are against it, the binding one first."""
    against = sorted(
        (part for part in target.parts if part.outcome is not Outcome.PASS),
        key=lambda part: part is not target.binding,
    )
    return {
        "name": wording.target_name(target),
        "outcome": target.outcome.value,
        "outcome_name": wording.outcome_name(target.outcome),
        "reasons": [_reason(target, part) for part in against],
        "mend": wording.advice(target),
        "mend_verified": target.mend is not None and target.mend.verified,
    }


def _loss(verdict: RoomVerdict, loss: CameraLoss) -> dict[str, Any]:
    """What no longer passes when this camera fails on exam day."""
    lost = [seat for seat in verdict.seats if seat.id in loss.seats]
    lost += [zone for zone in verdict.zones if zone.id in loss.zones]
    return {"id": loss.camera_id, "lost": [wording.target_name(target) for target in lost]}


def _reason(target: TargetVerdict, part: PartVerdict) -> str:
    return wording.cause_sentence(target, part) or wording.outcome_name(part.outcome)


def _rules(profile: Profile) -> list[dict[str, str]]:
    named = [(wording.part_name(part), rule) for part, rule in profile.seat.items()]
    named += [(wording.zone_name(kind), rule) for kind, rule in profile.zones.items()]
    return [
        {
            "name": name,
            "rule": f"{wording.level_name(rule.level)}级 ≥{rule.px_per_m:g}像素/米，可见≥{rule.visible:.0%}，"
            + wording.cameras_rule(rule),
        }
        for name, rule in named
    ]


def _recording(recording: CameraRecording) -> dict[str, Any]:
    return {
        "camera": recording.camera_id,
        "segments": recording.segments,
        "seconds": f"{recording.seconds:.1f}",
        "asked": f"{recording.asked_s:g}",
        "frames": recording.frames,
        "megabytes": f"{recording.bytes / 1e6:.2f}",
        "valid": recording.valid,
        "result": "回放正常，摘要与日志一致" if recording.valid else "；".join(recording.problems),
    }


def _number(value: float | None, form: str) -> str:
    return "—" if value is None else format(value, form)
