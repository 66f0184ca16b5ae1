"""Whether the service is fit to record, told by its heartbeat: for load balancers and monitors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kaozheng_service.clock import from_text
from kaozheng_service.station import Station
from kaozheng_service.web.daemon import STALE_S, heartbeat

# The checks run every ten seconds; a disk that hangs lets none come to an end.
CHECKS_STALE_S = 60.0
_WRITTEN = {"database": "the database", "log": "the evidence log", "archive": "the archive"}


def readiness(station: Station, present: datetime) -> dict[str, Any]:
    """Schema ``kaozheng/ready/1``: ``ready``, and every reason why not."""
    reasons = _reasons(heartbeat(station), present)
    return {"schema": "kaozheng/ready/1", "ready": not reasons, "reasons": reasons}


def _reasons(beat: dict[str, Any] | None, present: datetime) -> list[str]:
    if beat is None:
        return ["the recording daemon has never beaten; start it with kaozheng serve"]
    age_s = (present - from_text(beat["at"])).total_seconds()
    reasons = []
    if abs(age_s) > STALE_S:
        reasons.append(f"the recording daemon's last beat is {age_s:.0f} s old")
    checks = beat.get("checks")
    if checks is None:
        return [*reasons, "nothing was checked yet"]
    checked_s = (present - from_text(checks["at"])).total_seconds()
    if abs(checked_s) > CHECKS_STALE_S:
        reasons.append(f"the last check of what can be written is {checked_s:.0f} s old")
    reasons += [
        f"{name} cannot be written: {checks[key]}" for key, name in _WRITTEN.items() if checks.get(key)
    ]
    reasons += [
        f"what {one['camera']} of {one['room']} recorded cannot be signed: {one['unsigned']}"
        for one in beat.get("cameras", [])
        if one.get("unsigned")
    ]
    return reasons
