"""Footage that came afterwards (补录): its chain, and that each healing fits its gap and its footage.

It never counts as recorded: these records are of kinds of their own, which the check of completeness does not look at.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from kaozheng_service.disputes.standalone.completeness import INSIDE, ROUNDING, check_take, holes
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.records import Record, Span


def check_backfilled(records: list[Record], found: Findings) -> None:
    """Hold all backfilled takes of a bag against their closings, and all healings against gaps and footage."""
    takes: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "backfill.segment":
            takes.setdefault(str(record["take"]), []).append(record)
    closings = {str(record["take"]): record for record in records if record.kind == "backfill.closed"}
    openings = {str(record["take"]): record for record in records if record.kind == "backfill.opened"}
    gaps = {record.index: record for record in records if record.kind == "gap"}
    for take, members in takes.items():
        check_take(members, closings.get(take), None, found)
        if take not in openings:
            found.add("no_source", take=take)
    for take, closed in closings.items():
        if take not in takes and closed["segments"]:
            found.add("cut_tail", take=take, last=0)
    for healed in records:
        if healed.kind == "gap.healed":
            spans = [member.span for member in takes.get(str(healed["take"]), [])]
            check_healing(healed, gaps.get(healed["gap"]), openings.get(str(healed["take"])), spans, found)


def check_healing(
    healed: Record, gap: Record | None, opened: Record | None, footage: Iterable[Span], found: Findings
) -> None:
    """A healing lies within its gap, is of the same camera and window, and its take has footage of all of it."""
    fits = gap is not None and opened is not None and opened["gap"] == healed["gap"]
    if gap is not None and fits:
        fits = all(gap[name] == healed[name] for name in ("window", "camera"))
        fits = fits and gap.span[0] <= healed.span[0] + ROUNDING and healed.span[1] <= gap.span[1] + ROUNDING
        left = holes(healed.span, list(footage))
        fits = fits and sum((end - begin for begin, end in left), timedelta(0)) <= INSIDE
    if not fits:
        found.add("healing", take=healed["take"], index=healed.index)


def healed_within(records: list[Record], claim: Record) -> list[dict[str, Any]]:
    """The healings within the range, each with its source and how sure its times are."""
    openings = {record["take"]: record for record in records if record.kind == "backfill.opened"}
    found = []
    for record in records:
        if record.kind == "gap.healed" and record.camera in claim["cameras"] and record.meets(claim.span):
            opened = openings.get(record["take"])
            source = (
                {name: opened[name] for name in ("source", "time_source", "uncertainty_s")} if opened else {}
            )
            found.append({**record.body, **source})
    return found
