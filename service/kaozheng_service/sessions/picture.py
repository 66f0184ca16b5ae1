"""A window's timeline as a panel of the one picture, and as a bar of letters for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

from kaozheng_service import session_wording
from kaozheng_service.disputes.timeline import State
from kaozheng_service.disputes.timeline_svg import Bar, Flag, Panel, Row, timeline_svg
from kaozheng_service.sessions.facts import CameraFacts, SessionFacts
from kaozheng_service.sessions.listing import Item, listing

# Of the line only what is recorded or lies ahead: what is missing comes from the numbers, so that picture and table
# agree on what is tolerated, and a gap inside a take is not hidden by it.
_DRAWN = (State.RECORDED, State.WRITING, State.UPCOMING)
TEXT_LEGEND = "█ recorded  ▓ being written  ▒ explained gap  ! unexplained  · to come"
# The later wins where several share a letter's time: nothing that is missing may vanish.
_LETTERS = {"upcoming": "·", "recorded": "█", "writing": "▓", "gap": "▒", "unexplained": "!"}


def sessions_svg(sessions: Sequence[SessionFacts], zone: tzinfo) -> str:
    """Windows under one another, each with its heading and its lists: a picture that needs no table beside it."""
    return timeline_svg([session_panel(facts, zone, alone=True) for facts in sessions], zone)


def session_panel(facts: SessionFacts, zone: tzinfo, *, alone: bool = False) -> Panel:
    """``alone`` gives it a heading, and below it what the numbers in it mean."""
    window, found = facts.window, listing(facts)
    missing = (*found.gaps, *found.unexplained)
    return Panel(
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        rows=tuple(
            Row(
                camera.id,
                tuple(_bars(camera, missing, zone)),
                tuple(
                    _bar("fault", item, facts.at, zone) for item in found.alarms if item.camera == camera.id
                ),
                session_wording.share_text(camera.numbers.recorded_s, camera.numbers.expected_s),
            )
            for camera in facts.cameras
        ),
        heading=_heading(facts, zone) if alone else "",
        exam=(window.exam_starts_at, window.exam_ends_at)
        if window.exam_starts_at is not None and window.exam_ends_at is not None
        else None,
        flags=tuple(Flag(mark.at, session_wording.mark_name(mark.kind)) for mark in facts.marks),
        now=None if facts.result.verdict != "not_over" else facts.at,
        notes=tuple(_note(item, zone) for item in (*found.unexplained, *found.gaps, *found.alarms))
        if alone
        else (),
    )


def text_bar(facts: SessionFacts, camera: CameraFacts, letters: int) -> str:
    """The camera's window in so many letters; what they mean says TEXT_LEGEND."""
    window, found = facts.window, listing(facts)
    bar = [" "] * letters
    whole = window.ends_at - window.starts_at
    drawn = _bars(camera, (*found.gaps, *found.unexplained), window.starts_at.tzinfo)
    for kind, letter in _LETTERS.items():
        for one in drawn:
            if one.kind != kind:
                continue
            first = int((one.starts_at - window.starts_at) / whole * letters)
            # A letter that something ends just inside of is not its own, unless it has no other.
            last = max(first, -int((window.starts_at - one.ends_at) / whole * letters // 1) - 1)
            for place in range(max(first, 0), min(last + 1, letters)):
                bar[place] = letter
    return "".join(bar)


def _bars(camera: CameraFacts, missing: Iterable[Item], zone: tzinfo | None) -> list[Bar]:
    bars = [
        Bar(
            part.state.value,
            part.starts_at,
            part.ends_at,
            f"{part.take} {_times(part.starts_at, part.ends_at, zone)}",
        )
        for part in camera.line
        if part.state in _DRAWN
    ]
    return bars + [
        _bar("unexplained" if item.code == "unexplained" else "gap", item, None, zone)
        for item in missing
        if item.camera == camera.id
    ]


def _bar(kind: str, item: Item, until: datetime | None, zone: tzinfo | None) -> Bar:
    ends_at = item.ends_at or until or item.starts_at
    title = f"{item.number} {item.cause} {_times(item.starts_at, item.ends_at, zone)} {item.detail}"
    return Bar(kind, item.starts_at, ends_at, title.strip(), item.number)


def _heading(facts: SessionFacts, zone: tzinfo) -> str:
    window = facts.window
    begin, end = (at.astimezone(zone) for at in (window.starts_at, window.ends_at))
    verdict = session_wording.completeness_name(facts.result.verdict)
    return f"{window.room_id}　{begin:%Y-%m-%d %H:%M}–{end:%H:%M}　{verdict}　{window.title}"


def _note(item: Item, zone: tzinfo) -> str:
    code = "" if item.code == item.cause else f" {item.code.replace('_', ' ')}"
    length = "" if item.seconds is None else f"　{session_wording.length_text(item.seconds)}"
    detail = f"　{item.detail}" if item.detail else ""
    times = _times(item.starts_at, item.ends_at, zone)
    return f"{item.number}　{item.camera}　{times}{length}　{item.cause}{code}{detail}"


def _times(begin: datetime, end: datetime | None, zone: tzinfo | None) -> str:
    until = f"{end.astimezone(zone):%H:%M:%S}" if end is not None else "…"
    return f"{begin.astimezone(zone):%H:%M:%S}–{until}"
