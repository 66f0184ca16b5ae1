"""Whether the recording daemon lives, told by its heartbeat."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from kaozheng_service.clock import from_text, to_text
from kaozheng_service.station import Station

# The daemon beats every few seconds; several missed in a row are no delay but a death.
STALE_S = 20.0


def daemon_state(station: Station, present: datetime) -> dict[str, Any]:
    """``alive`` when the last beat is fresh; a missing or torn heartbeat file counts as no beat."""
    beat = heartbeat(station)
    if beat is None:
        return {"alive": False, "heartbeat_at": None, "heartbeat_age_s": None}
    at = from_text(beat["at"])
    age_s = max((present - at).total_seconds(), 0.0)
    return {"alive": age_s <= STALE_S, "heartbeat_at": to_text(at), "heartbeat_age_s": round(age_s, 1)}


def picture_states(station: Station, present: datetime) -> dict[tuple[str, str], dict[str, Any]]:
    """By window and camera, what the newest look at its picture said; what is old is no answer."""
    beat = heartbeat(station) or {}
    pictures = beat.get("pictures", [])
    stale = station.site.recording.watch_s * 3 + STALE_S
    found = {}
    for one in pictures:
        state = {key: one[key] for key in ("at", "judgement", "words", "looks")}
        if (present - from_text(one["at"])).total_seconds() > stale:
            state |= {"judgement": "cannot_judge", "words": "画面未在监看"}
        found[one["window"], one["camera"]] = state
    return found


def heartbeat(station: Station) -> dict[str, Any] | None:
    """The newest beat, schema ``kaozheng/heartbeat/1``; None where there is none that can be read."""
    try:
        beat: dict[str, Any] = json.loads((station.state / "heartbeat.json").read_text(encoding="utf-8"))
        from_text(beat["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return beat
