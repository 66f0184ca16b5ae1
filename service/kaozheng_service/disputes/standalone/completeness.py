"""What the records say of the footage: nothing taken out of the middle, cut off the end, or never explained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from kaozheng_service.disputes.standalone.files import TAG_FILES, name_unexpected
from kaozheng_service.disputes.standalone.findings import Findings
from kaozheng_service.disputes.standalone.printed import CONSISTENCY
from kaozheng_service.disputes.standalone.records import RECORDS, Record, Span
from kaozheng_service.disputes.standalone.signature import CHECKPOINT

# The recorder signs a hole from these lengths on, at a window's edges and inside; its times are in milliseconds.
ROUNDING = timedelta(milliseconds=2)
AT_THE_EDGE = timedelta(seconds=1) + ROUNDING
# Where originals lie in a bag: recorded, and come afterwards.
RECORDED, BACKFILLED = "data/segments/", "data/backfilled/"
INSIDE = timedelta(seconds=0.2) + ROUNDING
# Records that are written at once may enter the log in another order; a clock that is set back by more is doubted.
OUT_OF_ORDER = timedelta(seconds=60)


def check_claim(records: list[Record], hashes: dict[str, str], found: Findings) -> Record | None:
    """Hold files and records against the one signed record of the export, and return it.

    That record names every file but the evidence itself, and every record: whoever takes something away and
    writes the manifests anew still has that record against him.
    """
    claims = [record for record in records if record.kind == "export"]
    if len(claims) != 1:
        found.add("export_record", RECORDS)
        return None
    claim = claims[0]
    here, pinned = {record.index for record in records} - {claim.index}, set(claim["records"])
    for index in sorted(pinned - here):
        found.add("record_missing", RECORDS, index=index)
    for index in sorted(here - pinned):
        found.add("record_added", RECORDS, index=index)
    _check_files(records, claim, hashes, found)
    _check_takes(records, claim, found)
    if not any(record.kind == "window.expected" and record.meets(claim.span) for record in records):
        found.add("nothing_expected")
    for camera in claim["cameras"]:
        check_windows(records, camera, claim.span, found)
    return claim


def segment_path(segment: Record, pieces: tuple[int, int] | None = None) -> str:
    """Where a segment lies in a bag: all of it, or its header with the first to the last of these pieces."""
    take = segment["take"].rpartition("/")[2]
    place = BACKFILLED if segment.kind == "backfill.segment" else RECORDED
    part = f".part-{pieces[0]:04d}-{pieces[1]:04d}" if pieces is not None else ""
    return f"{place}{segment.camera}/{segment['window']}/{take}/seg-{segment['number']:05d}{part}.mp4"


@dataclass(frozen=True)
class Part:
    """The header and the pieces ``first`` to ``last`` of a segment, as one file at ``path`` in the bag."""

    path: str
    segment: Record
    first: int
    last: int


def parts_of(records: Iterable[Record], signed: Mapping[str, str]) -> dict[str, Part]:
    """The parts among an export's files, by where their segments would lie if they were whole.

    One for each segment that is not there whole: two could leave out what lies between them.
    """
    kinds = ("segment", "backfill.segment")
    segments = {segment_path(record): record for record in records if record.kind in kinds}
    parts: dict[str, Part] = {}
    for path in sorted(signed):
        match = re.fullmatch(r"(.*)\.part-(\d{4,9})-(\d{4,9})\.mp4", path, re.ASCII)
        whole = f"{match[1]}.mp4" if match is not None else ""
        if match is not None and whole in segments and whole not in signed and whole not in parts:
            part = Part(path, segments[whole], int(match[2]), int(match[3]))
            if path == segment_path(part.segment, (part.first, part.last)):
                parts[whole] = part
    return parts


def tombstones_of(records: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """Deletions by the path in the archive and the hash of what was deleted."""
    return {(one["path"], one["sha256"]): one for one in records if one.kind == "segment.deleted"}


def name_absent(
    code: str, path: str, segment: Record, tombstones: dict[tuple[str, str], Record], found: Findings
) -> None:
    """A footage file that is not there: deleted, where a record says so that came after the segment's own."""
    gone = tombstones.get((segment["path"], segment["sha256"]))
    if gone is not None and gone.index > segment.index:
        found.add("deleted", path, at=in_words(gone.times["at"]), reason=gone["reason"])
    else:
        found.add(code, path)


def gaps_within(records: list[Record], claim: Record) -> list[Record]:
    """What the exported cameras did not record within the range, and why."""
    gaps = (record for record in records if record.kind == "gap" and record.camera in claim["cameras"])
    return [gap for gap in gaps if gap.meets(claim.span)]


def _check_files(records: list[Record], claim: Record, hashes: dict[str, str], found: Findings) -> None:
    signed: dict[str, str] = claim["files"]
    places = {digest: path for path, digest in signed.items()}
    for path, digest in signed.items():
        if path not in hashes:
            found.add("missing", path)
        elif hashes[path] != digest:
            other = places.get(hashes[path])
            found.add("swapped" if other else "changed", path, other=other)
    kinds = ("segment", "backfill.segment")
    tombstones = tombstones_of(records)
    segments = {segment_path(record): record for record in records if record.kind in kinds}
    parts = parts_of(records, signed)
    for path, segment in segments.items():
        if signed.get(path, segment["sha256"]) != segment["sha256"]:
            found.add("not_as_recorded", path)
        elif path in signed or path in parts:
            continue
        elif segment.camera in claim["cameras"] and segment.meets(claim.span):
            name_absent("left_out", path, segment, tombstones, found)
    originals = {*segments, *(part.path for part in parts.values())}
    unsigned = (RECORDS, CHECKPOINT, CONSISTENCY, *TAG_FILES)
    for path in hashes:
        known = path in signed or path in unsigned
        if path.startswith((RECORDED, BACKFILLED)):
            known = path in signed and path in originals
        if not known:
            name_unexpected(path, found)


def _check_takes(records: list[Record], claim: Record, found: Findings) -> None:
    segments = sorted(
        (record for record in records if record.kind == "segment"), key=lambda record: str(record["take"])
    )
    closings = {record["take"]: record for record in records if record.kind == "take.closed"}
    for take, members in groupby(segments, key=lambda record: str(record["take"])):
        check_take(list(members), closings.get(take), claim.span, found)


def check_take(segments: list[Record], closed: Record | None, span: Span | None, found: Findings) -> None:
    """Hold the segments of one take against each other and against its closing.

    Parameters
    ----------
    segments : at least one
    span : the chain must reach from its begin to its end, or to the take's; None asks for the whole take
    """
    segments = sorted(segments, key=lambda record: (record["number"], record.index))
    first, last = segments[0], segments[-1]
    take = first["take"]
    if first["previous"] and (span is None or first.span[0] > span[0]):
        found.add("head", take=take, first=first["number"])
    for one, two in zip(segments, segments[1:]):  # noqa: B905, RUF007 - Python 3.9
        facts = {"take": take, "first": one["number"], "second": two["number"]}
        if two["previous"] != one["sha256"]:
            found.add("chain", **facts)
        elif two["number"] != one["number"] + 1:
            found.add("number_hole", **facts)
        if two.index < one.index:
            found.add("take_order", **facts)
        if two.span[0] < one.span[1] - ROUNDING:
            found.add("clock_back", **facts)
    if span is not None and last.span[1] >= span[1]:
        return
    if closed is None:
        found.add("take_open", take=take)
    elif closed["last"] != last["sha256"] or (not first["previous"] and closed["segments"] != len(segments)):
        found.add("cut_tail", take=take, last=last["number"])


def check_windows(records: Iterable[Record], camera: str, span: Span | None, found: Findings) -> None:
    """Expected less recorded less explained, for one camera: within ``span``, or in whole windows where it is None."""
    records = list(records)
    void = void_windows(records, found)
    mine = [record for record in records if record.camera in (camera, "")]
    footage = [record for record in mine if record.kind in ("segment", "gap")]
    expected = {record["window"]: record for record in mine if record.kind == "window.expected"}
    closings = {record["window"]: record for record in mine if record.kind == "window.closed"}
    for name in sorted({str(record["window"]) for record in footage} - set(expected)):
        found.add("no_window", window=name)
    for name, window in expected.items():
        if camera not in window["cameras"] or (span is not None and not window.meets(span)):
            continue
        if window.times["at"] > window.span[0]:
            found.add("late_window", window=name)
        if name in closings:
            _check_counts(mine, closings[name], camera, found)
        if name in void:
            continue
        for hole in holes(window.span, [record.span for record in footage]):
            at_the_edge = hole[0] == window.span[0] or hole[1] == window.span[1]
            shown = (max(hole[0], span[0]), min(hole[1], span[1])) if span is not None else hole
            if (
                hole[1] - hole[0] > (AT_THE_EDGE if at_the_edge else INSIDE)
                and shown[1] - shown[0] > ROUNDING
            ):
                found.add("hole", camera=camera, start=in_words(shown[0]), end=in_words(shown[1]))


def void_windows(records: list[Record], found: Findings | None = None) -> set[str]:
    """Windows of which nothing had to be recorded: cancelled, and that signed, before they began."""
    expected = {record["window"]: record for record in records if record.kind == "window.expected"}
    void = set()
    for record in records:
        if record.kind != "window.cancelled" or record["window"] not in expected:
            continue
        at = record.times["at"]
        code = "cancelled" if at <= expected[record["window"]].span[0] else "cancelled_late"
        moments = (str(other.body.get("at", "")) for other in records if other.index < record.index)
        if is_backdated(record, records, max(moments, default="")):
            code = "cancelled_backdated"
        if code == "cancelled":
            void.add(str(record["window"]))
        if found is not None:
            found.add(code, window=record["window"], at=in_words(at), reason=record["reason"])
    return void


def is_backdated(record: Record, records: list[Record], latest: str) -> bool:
    """Whether a cancellation says that it is of before its window began, and its place in the log says otherwise.

    Parameters
    ----------
    latest : when the latest of the records before it in the log was written down
    """
    begins = [
        one.span[0] for one in records if one.kind == "window.expected" and one["window"] == record["window"]
    ]
    return any(
        record.times["at"] <= begin and latest > f"{begin + OUT_OF_ORDER:%Y-%m-%dT%H:%M:%S}"
        for begin in begins
    )


def _check_counts(records: list[Record], closing: Record, camera: str, found: Findings) -> None:
    for what, kind in (("takes", "take.opened"), ("gaps", "gap")):
        count = sum(record.kind == kind and record["window"] == closing["window"] for record in records)
        signed = closing[what].get(camera, 0)
        if count != signed:
            facts = {"what": what, "expected": signed, "found": count}
            found.add("counts", window=closing["window"], camera=camera, **facts)


def holes(whole: Span, covered: list[Span]) -> list[Span]:
    """What of ``whole`` nothing covers, in order."""
    left: list[Span] = []
    at = whole[0]
    for begins, ends in sorted(covered):
        if begins > at:
            left.append((at, min(begins, whole[1])))
        at = max(at, ends)
        if at >= whole[1]:
            return left
    return [*left, (at, whole[1])]


def in_words(moment: datetime) -> str:
    """A moment as findings tell it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"
