"""What a take is for, written beside its footage before and after the recorder is started.

``take.json`` is all that a restarted service needs to adopt a running recorder or to close a dead one's take.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from kaozheng_service.clock import from_text, to_text
from kaozheng_service.recording.child import Child
from kaozheng_service.recording.durable import write_durably

NAME = "take.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """``child`` is None from before the start until the pid is known; ``stopping`` why we ended it, if so.

    ``clock_offset_s`` is our clock less the time since boot, at the start or after the last step that was noticed:
    where it differs, the clock was set. ``clock_step_s`` is by how much since the last segment that began a new time
    run. ``notes`` go into the record that closes the take.
    """

    window: str
    camera: str
    number: int
    planned_end: datetime
    spawned_at: datetime
    clock_offset_s: float
    audio_codec: str
    child: Child | None = None
    stopping: str | None = None
    notes: tuple[str, ...] = ()
    clock_step_s: float = 0.0
    token: int | None = None


def write_intent(folder: Path, intent: Intent) -> None:
    body = asdict(intent) | {
        "planned_end": to_text(intent.planned_end),
        "spawned_at": to_text(intent.spawned_at),
    }
    write_durably(folder / NAME, json.dumps(body, indent=1) + "\n")


def read_intent(folder: Path) -> Intent | None:
    """None where there is none, or where it is torn: the footage beside it is then closed without it."""
    try:
        body = json.loads((folder / NAME).read_text(encoding="utf-8"))
        child = Child(**body.pop("child")) if body["child"] is not None else body.pop("child")
        times = {name: from_text(body.pop(name)) for name in ("planned_end", "spawned_at")}
        return Intent(**body | times | {"child": child, "notes": tuple(body["notes"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
