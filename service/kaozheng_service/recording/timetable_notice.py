"""How the site file's timetable differs from what is expected, until someone decides: for the status page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kaozheng_service.clock import from_text, now, to_text
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.station import Station

NAME = "timetable-notice.json"
MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class Notice:
    """``file`` as the site file names it; ``lines`` one sentence each."""

    at: datetime
    file: str
    lines: tuple[str, ...]


def write_notice(station: Station, file: str, lines: Sequence[str]) -> None:
    """Stands until :func:`clear_notice`, also over restarts."""
    shown = list(lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        shown.append(f"... and {len(lines) - MOST_LINES} more")
    body = {"at": to_text(now()), "file": file, "lines": shown}
    write_durably(station.state / NAME, json.dumps(body, ensure_ascii=False, indent=1) + "\n")


def clear_notice(station: Station) -> None:
    (station.state / NAME).unlink(missing_ok=True)


def read_notice(station: Station) -> Notice | None:
    """None where there is none, or it is torn."""
    try:
        body = json.loads((station.state / NAME).read_text(encoding="utf-8"))
        return Notice(from_text(body["at"]), str(body["file"]), tuple(map(str, body["lines"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def notice_json(notice: Notice | None) -> dict[str, Any] | None:
    if notice is None:
        return None
    return {"at": to_text(notice.at), "file": notice.file, "lines": list(notice.lines)}
