"""A previewed or imported timetable and stored windows, as versioned JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kaozheng_service.clock import now, to_text
from kaozheng_service.database import Window
from kaozheng_service.recording.completeness import cancellation_json, cancellation_of
from kaozheng_service.recording.timetable_import import Imported, Preview, State

TIMETABLE_SCHEMA = "kaozheng/timetable/1"
WINDOWS_SCHEMA = "kaozheng/windows/1"


def timetable_json(preview: Preview, done: Imported | None = None) -> dict[str, Any]:
    """Schema ``kaozheng/timetable/1``. ``imported`` is null for a preview."""
    return {
        "schema": TIMETABLE_SCHEMA,
        "file": str(preview.timetable.path),
        "sessions": [
            {
                "where": session.where,
                "title": session.title,
                "kind": session.kind,
                "room": session.room_id,
                "from": to_text(session.starts_at),
                "to": to_text(session.ends_at),
                "occupation": session.occupation,
                "level": session.level,
                "candidates": session.candidates,
                "invigilators": session.invigilators,
                "office": session.office,
            }
            for session in preview.timetable.sessions
        ],
        "windows": [
            {
                "id": change.stored_id or change.window.id,
                "change": change.state.value,
                "differs": list(change.differs),
                "room": change.window.room_id,
                "kind": change.window.kind,
                "title": change.window.title,
                "cameras": list(change.window.cameras),
                "from": to_text(change.window.starts_at),
                "to": to_text(change.window.ends_at),
                "exam_from": _text(change.window.exam_starts_at),
                "exam_to": _text(change.window.exam_ends_at),
            }
            for change in preview.changes
        ],
        "counts": {state.value: len(preview.of(state)) for state in State},
        "warnings": list(preview.warnings),
        "imported": None
        if done is None
        else {"expected": list(done.expected), "cancelled": list(done.cancelled)},
    }


def window_json(window: Window) -> dict[str, Any]:
    """One stored window. ``state``: upcoming, running, ended, closed, or cancelled before it began."""
    return {
        "id": window.id,
        "room": window.room_id,
        "kind": window.kind,
        "title": window.title,
        "origin": window.origin,
        "cameras": list(window.cameras),
        "from": to_text(window.starts_at),
        "to": to_text(window.ends_at),
        "exam_from": _text(window.exam_starts_at),
        "exam_to": _text(window.exam_ends_at),
        "state": window_state(window, now()),
        "cancelled": cancellation_json(cancellation_of(window)),
        "leaf": window.leaf,
    }


def window_state(window: Window, present: datetime) -> str:
    """upcoming, running, ended (being settled), closed (its record is in the log), or cancelled before it began."""
    if window.is_void:
        return "cancelled"
    if window.closed_leaf is not None:
        return "closed"
    if present < window.starts_at:
        return "upcoming"
    return "running" if present < window.ends_at else "ended"


def windows_json(windows: list[Window]) -> dict[str, Any]:
    """Schema ``kaozheng/windows/1``."""
    return {"schema": WINDOWS_SCHEMA, "windows": [window_json(window) for window in windows]}


def _text(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None
