"""When no daemon ran: noted at each start, for the next start may come before what is missing was signed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import structlog

from kaozheng_service.clock import from_text, to_text
from kaozheng_service.recording.durable import write_durably
from kaozheng_service.recording.gaps import Span

logger = structlog.get_logger()

ABSENCES = "absences.json"
_SCHEMA = "kaozheng/absences/1"
# A window lasts 24 h at most, and is settled within minutes of a start; the rest is for who looks later.
_KEPT = timedelta(days=30)


def note_absence(state: Path, absence: Span) -> tuple[Span, ...]:
    """Note that no daemon ran then, and return all absences of the last 30 days, the oldest first.

    Where the note cannot be written that is logged, and recording begins all the same.
    """
    path = state / ABSENCES
    known = [
        one
        for one in _read(path)
        if one.ends_at >= absence.ends_at - _KEPT
        # Of a daemon that died before its first beat: the same absence went on.
        and not (absence.starts_at <= one.starts_at and one.ends_at <= absence.ends_at)
    ]
    known.append(absence)
    body = {
        "schema": _SCHEMA,
        "absences": [{"from": to_text(one.starts_at), "to": to_text(one.ends_at)} for one in known],
    }
    try:
        write_durably(path, json.dumps(body, indent=1) + "\n")
    except OSError as error:
        logger.error("when the service did not run could not be noted", path=str(path), why=str(error))
    return tuple(known)


def _read(path: Path) -> list[Span]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return [Span(from_text(one["from"]), from_text(one["to"])) for one in body["absences"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.error("when the service did not run before cannot be read", path=str(path), why=str(error))
        return []
