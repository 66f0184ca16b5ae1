"""Segments of which a bag holds a part only: proven piece by piece, and never cut shorter than what is claimed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from kaozheng_service.disputes.standalone.completeness import Part, in_words, parts_of
from kaozheng_service.disputes.standalone.files import read_text
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.moments import NoTimesError, PieceTimes, piece_times
from kaozheng_service.disputes.standalone.pieces import Pieces, hash_pieces, tree_root
from kaozheng_service.disputes.standalone.records import Record, Span

FRAGMENTS = "data/evidence/fragments.jsonl"
# The recorder stretches a segment by at most this, to meet our clock (NTP slews by at most 500 ppm).
STRETCH = 500e-6


def begins_by(segment: Record, times: PieceTimes) -> datetime:
    """When a piece has begun at the latest, however its segment was stretched."""
    into_s = times.begins_s - segment["first_pts_s"]
    return segment.span[0] + timedelta(seconds=into_s * (1 + STRETCH))


def lasts_until(segment: Record, times: PieceTimes) -> datetime:
    """Until when a piece lasts at least."""
    into_s = times.ends_s - segment["first_pts_s"]
    return segment.span[0] + timedelta(seconds=into_s * (1 - STRETCH))


def check_parts(
    folder: Path, records: list[Record], claim: Record, hashes: Mapping[str, str], found: Findings
) -> int:
    """Hold every part in the bag against the signed roots of its segment; how many there are.

    Of each the hashes of all the segment's pieces are in ``FRAGMENTS``. They must lead to the root in its record, and
    the part must be the pieces that its name says, none changed, missing or exchanged, from no later than the
    range's begin until no earlier than its end, as far as the segment reaches.
    """
    parts = list(parts_of(records, claim["files"]).values())
    leaves = _read_leaves(folder, parts, found) if parts or FRAGMENTS in hashes else {}
    for part in parts:
        if part.path in hashes:
            _check_part(folder / part.path, part, leaves.get(part.segment.index), claim.span, found)
    return len(parts)


def _read_leaves(folder: Path, parts: list[Part], found: Findings) -> dict[int, list[bytes]]:
    """The hashes of all pieces of a segment, by the index of its record."""
    wanted = {part.segment.index for part in parts}
    leaves: dict[int, list[bytes]] = {}
    for number, line in enumerate((read_text(folder, FRAGMENTS, found) or "").split("\n")[:-1], 1):
        try:
            fields = json.loads(line)
            index, hashed = fields["index"], [bytes.fromhex(leaf) for leaf in fields["leaves"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            index, hashed = -1, []
        if index not in wanted or index in leaves:
            found.add("part_line", FRAGMENTS, line=number)
        else:
            leaves[index] = hashed
    return leaves


def _check_part(file: Path, part: Part, leaves: list[bytes] | None, span: Span, found: Findings) -> None:
    signed = part.segment.body
    count, root = signed.get("fragments"), signed.get("fragments_root")
    if not isinstance(count, int) or not isinstance(root, str):
        found.add("part_rootless", part.path)
        return
    if not leaves or len(leaves) != count or tree_root(leaves).hex() != root:
        found.add("part_leaves", part.path)
        return
    if not 1 <= part.first <= part.last < count:
        found.add("part_range", part.path, first=part.first, last=part.last, count=count - 1)
        return
    numbers = [0, *range(part.first, part.last + 1)]
    try:
        pieces = hash_pieces(file)
        for at, number in enumerate(numbers):
            if at >= len(pieces.leaves) or pieces.leaves[at] != leaves[number]:
                found.add("part_piece", part.path, piece=number)
                return
        if len(pieces.leaves) > len(numbers):
            found.add("part_piece", part.path, piece=part.last + 1)
            return
        _check_reach(file, pieces, part, count, span, found)
    except OSError as error:
        found.add("unreadable", part.path, why=error.strerror)


def _check_reach(file: Path, pieces: Pieces, part: Part, count: int, span: Span, found: Findings) -> None:
    """The part is of the claimed range as far as its segment reaches: by the times in its own, proven bytes."""
    if not isinstance(part.segment.body.get("first_pts_s"), (int, float)):
        found.add("part_times", part.path)
        return
    try:
        times = piece_times(file, pieces)
        begins, ends = begins_by(part.segment, times[0]), lasts_until(part.segment, times[-1])
    except (NoTimesError, OverflowError):
        found.add("part_times", part.path)
        return
    if (part.first > 1 and begins > span[0]) or (part.last < count - 1 and ends < span[1]):
        found.add("part_short", part.path, start=in_words(begins), end=in_words(ends))
