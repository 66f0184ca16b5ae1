"""A session sheet made, signed into the log, and put where it is found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.errors import UserError
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.records import SheetPrinted
from kaozheng_service.recording.durable import rename_durably
from kaozheng_service.sessions.facts import session_facts
from kaozheng_service.sessions.sheet import session_sheet
from kaozheng_service.station import Station

SHEETS = "sheets"


@dataclass(frozen=True, slots=True)
class PrintedSheet:
    """``log_size`` is that of the checkpoint on it, ``leaf`` the record that names the PDF's ``sha256``."""

    path: Path
    window_id: str
    verdict: str
    sha256: str
    log_size: int
    leaf: int


def sheet_path(station: Station, window: Window) -> Path:
    """Where the sheet of a window that closed is put: by the day on which it began, in the site's time."""
    day = f"{window.starts_at.astimezone(station.site.zone):%Y-%m-%d}"
    return station.state / SHEETS / day / f"{window.id}.pdf"


def printed_sheet(station: Station, window_id: str) -> Path | None:
    """The sheet that was printed when the window closed; None where there is none, or no such window."""
    with station.sessions() as session:
        window = session.get(Window, window_id)
    path = sheet_path(station, window) if window is not None else None
    return path if path is not None and path.is_file() else None


def print_window(station: Station, window_id: str, out: Path) -> PrintedSheet:
    """Print a window to the PDF file ``out`` and log what was printed.

    The record comes before the name: whatever stands under a sheet's name is in the log.

    Raises
    ------
    UserError : no such window, or ``out`` cannot be written
    """
    facts = session_facts(station, window_id)
    checkpoint = station.log.checkpoint()
    size = parse_checkpoint(checkpoint).size
    draft = out.with_name(f"{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}; name another place") from None
    session_sheet(station.site, facts, checkpoint, draft)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    record = SheetPrinted(at=now(), window=window_id, room=facts.window.room_id, sha256=digest, log_size=size)
    leaf = station.log.append(record)
    rename_durably(draft, out)
    return PrintedSheet(out, window_id, facts.result.verdict, digest, size, leaf)
