"""Footage handed over: originals untouched, proofs, a readable report and the verifier, in one BagIt bag."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from kaozheng_service.clock import now, to_text
from kaozheng_service.disputes.anchored import anchored_sizes, copy_anchors
from kaozheng_service.disputes.bag import seal_bag
from kaozheng_service.disputes.byhand import BY_HAND, by_hand_text
from kaozheng_service.disputes.cutting import Original, cut, cut_lengths, whole
from kaozheng_service.disputes.derived import Extras, add_derived, made_files
from kaozheng_service.disputes.masked_bag import masked_bag
from kaozheng_service.disputes.playable import playable_copy
from kaozheng_service.disputes.report import Claim, ViewingCopy, readme_text, report_html
from kaozheng_service.disputes.report_pdf import REPORT_PDF, report_pdf
from kaozheng_service.disputes.selection import Footage, Selection, select_footage
from kaozheng_service.disputes.standalone.assemble import standalone_verifier
from kaozheng_service.disputes.standalone.completeness import segment_path
from kaozheng_service.disputes.standalone.files import hash_file
from kaozheng_service.disputes.standalone.parts import FRAGMENTS
from kaozheng_service.disputes.standalone.pieces import hash_pieces
from kaozheng_service.disputes.standalone.printed import CONSISTENCY
from kaozheng_service.disputes.standalone.records import RECORDS, Record
from kaozheng_service.disputes.standalone.signature import CHECKPOINT, KEY
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.evidence.keys import public_pem
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.evidence.printed import printed_sizes
from kaozheng_service.evidence.records import Exported
from kaozheng_service.station import Station

Progress = Callable[[int, int], None]

VIEWING_TITLE = "派生观看副本，不是证据原件 / derived viewing copy, not evidence"
_CHUNK = 1 << 20
# Manifests, report and verifier are some 100 kB; a disk filled to the last byte fails while they are written.
_SPARE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is asked for, and ``by`` whom, for the record.

    Originals are never cut to the ``seat``: it is for the record, and what stays visible in masked copies.
    ``cut`` leaves out what of the first and last segments lies beyond the range, by whole groups of pictures.
    """

    room_id: str
    camera_ids: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    reason: str
    seat: str | None = None
    by: str = ""
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ExportResult:
    """``bytes`` are those of the originals; ``gaps`` counts what is missing in the range, with its signed cause.

    ``segments`` were recorded; ``backfilled`` came afterwards from elsewhere, for gaps. Of ``parts`` of them the bag
    holds only what was asked for.
    """

    path: Path
    id: str
    leaf: int
    segments: int
    bytes: int
    gaps: int
    viewing_copies: int
    backfilled: int
    parts: int


def export_bag(
    station: Station,
    request: ExportRequest,
    out: Path,
    progress: Progress | None = None,
    *,
    despite_damage: bool = False,
    extras: Extras = Extras(),  # noqa: B008 - frozen
) -> ExportResult:
    """Make the bag ``out`` and sign in the log what it holds.

    The folder appears at once and whole, or not at all; nothing that exists is written over.

    Parameters
    ----------
    progress : called with bytes of originals copied, of all
    despite_damage : hand over originals that are missing or not as they were signed; ``verify`` then names them
    extras : copies for watching beside the plain ones

    Raises
    ------
    UserError : a request that cannot be meant, ``out`` exists, or masked copies cannot be vouched for
    ServiceError : the footage is not as it was signed, still being written, or does not fit on the disk
    """
    _refuse_bad_request(station, request, out)
    if extras.masks and not (request.seat or "").strip():
        raise UserError("masked copies need the seat that stays visible; give it with --seat")
    if extras.masked_out is not None and (extras.masked_out.exists() or extras.masked_out == out):
        raise UserError(f"{extras.masked_out} is there already, or the export itself; name another folder")
    span = (request.starts_at, request.ends_at)
    selection = select_footage(station, request.room_id, request.camera_ids, span)
    total = sum(footage.bytes for footage in selection.originals)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Originals, copies, and each copy once more while its subtitles are put in.
    _refuse_full_disk(out.parent, (3 + 2 * extras.masks + extras.together) * total + _SPARE_BYTES)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        placed, hashes = _copy_originals(
            station, request, selection, draft, progress, despite_damage=despite_damage
        )
        result = _complete(station, request, selection, draft, placed, hashes, extras)
        draft.chmod(0o755)
        if out.exists():
            raise UserError(f"{out} appeared meanwhile; name another folder")
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    identity, leaf, copies = result
    gaps = [gap for gap in selection.of_kind("gap") if gap.meets(span)]
    return ExportResult(
        path=out,
        id=identity,
        leaf=leaf,
        segments=len(selection.footage),
        bytes=sum(one.size for one in placed.values()),
        gaps=len(gaps),
        viewing_copies=copies,
        backfilled=len(selection.backfilled),
        parts=sum(bool(one.leaves) for one in placed.values()),
    )


def export_json(result: ExportResult) -> dict[str, Any]:
    """Schema ``kaozheng/export/1``."""
    return {"schema": "kaozheng/export/1", **asdict(result), "path": str(result.path)}


def _refuse_bad_request(station: Station, request: ExportRequest, out: Path) -> None:
    room = station.site.room(request.room_id)
    for camera_id in request.camera_ids:
        room.stream(camera_id)
    if not request.camera_ids:
        raise UserError(f"name at least one camera of room {room.id}")
    if request.starts_at >= request.ends_at:
        raise UserError("the range ends before it begins; give --from before --to")
    if request.ends_at > now():
        raise UserError(f"{to_text(request.ends_at)} is still to come; export what is over")
    if not request.reason.strip():
        raise UserError("an export needs a reason, for the record; give it with --reason")
    if out.exists():
        raise UserError(f"{out} exists and is not written over; name another folder")


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ServiceError(
            f"{folder}: {needed / 1e9:.1f} GB are needed for originals and viewing copies, "
            f"{free / 1e9:.1f} GB are free; name a folder on another disk, or ask for less"
        )


def _copy_originals(
    station: Station,
    request: ExportRequest,
    selection: Selection,
    draft: Path,
    progress: Progress | None,
    *,
    despite_damage: bool,
) -> tuple[dict[int, Original], dict[str, str]]:
    """Copy byte by byte, hashing what is read: where each lies, by its record's index, and SHA-256 by path in the bag.

    What cannot be handed over has its place too, and no hash.
    """
    total = sum(footage.bytes for footage in selection.originals)
    placed = {footage.record.index: whole(footage.record, footage.bytes) for footage in selection.originals}
    hashes: dict[str, str] = {}
    done = 0
    for footage in selection.originals:
        original, record = station.archive / footage.path, footage.record
        try:
            part = _cut_to_range(original, record, request, draft)
            if part is not None:
                placed[record.index], hashes[part[0].path] = part
            else:
                digest = hashes[segment_path(record)] = _copy(original, draft / segment_path(record))
                if digest != record["sha256"]:
                    what = "is not as it was signed when recorded"
                    _refuse_damage(footage, what, despite_damage=despite_damage)
        except FileNotFoundError:
            _refuse_damage(footage, "is missing in the archive", despite_damage=despite_damage)
            continue
        done += footage.bytes
        if progress is not None:
            progress(done, total)
    return placed, hashes


def _cut_to_range(
    original: Path, record: Record, request: ExportRequest, draft: Path
) -> tuple[Original, str] | None:
    span = (request.starts_at, request.ends_at)
    if not request.cut or (span[0] <= record.span[0] and record.span[1] <= span[1]):
        return None
    pieces = hash_pieces(original)
    return cut(original, pieces, record, span, draft) if pieces.sha256 == record["sha256"] else None


def _copy(original: Path, target: Path) -> str:
    digest = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with original.open("rb") as source, target.open("xb") as copy:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()


def _refuse_damage(footage: Footage, what: str, *, despite_damage: bool) -> None:
    if not despite_damage:
        raise ServiceError(
            f"{footage.path} {what}; verify the archive and restore the file from its copy, "
            "or export despite the damage: the verifier will then name this file"
        )


def _complete(
    station: Station,
    request: ExportRequest,
    selection: Selection,
    draft: Path,
    placed: dict[int, Original],
    hashes: dict[str, str],
    extras: Extras,
) -> tuple[str, int, int]:
    """Everything but the originals. The export is signed once all that it names is there."""
    at = now()
    local = at.astimezone(station.site.zone)
    identity = f"export-{local:%Y%m%d-%H%M%S}-{request.room_id}-{secrets.token_hex(2)}"
    span = (request.starts_at, request.ends_at)
    seat, reason = (request.seat or "").strip(), request.reason.strip()
    claim = Claim(identity, at, request.room_id, request.camera_ids, span, seat, reason, request.by)
    plain = _make_viewing_copies(station, selection, draft, placed, hashes)
    copies = add_derived(station, claim, selection, plain, draft, extras)
    parts = [one for one in placed.values() if one.leaves]
    signed = {one.path: one.record["sha256"] for one in placed.values() if not one.leaves}
    damaged = {path for path, digest in signed.items() if hashes.get(path) != digest}
    earlier = sorted({*printed_sizes(station.log), *anchored_sizes(selection)})
    texts = {
        KEY: public_pem(station.log.public_key),
        "data/report.html": report_html(station, claim, selection, placed, copies, damaged),
        "README.txt": readme_text(station, claim, backfilled=bool(selection.backfilled), parts=bool(parts)),
        "verify.py": standalone_verifier(),
    }
    if parts:
        texts[FRAGMENTS] = "".join(_fragments_line(one) for one in parts)
    made = [REPORT_PDF, *made_files(copies)]
    texts[BY_HAND] = by_hand_text(station, claim, list(placed.values()), [*texts, *made])
    for name, text in texts.items():
        _write(draft / name, text)
    report_pdf(station, claim, selection, placed, copies, damaged, draft / REPORT_PDF)
    hashes |= {name: hash_file(draft / name) for name in (*texts, *made)}
    hashes |= copy_anchors(station, selection, draft)
    record = Exported(
        at=at,
        export=identity,
        room=request.room_id,
        cameras=list(claim.cameras),
        starts_at=claim.span[0],
        ends_at=claim.span[1],
        seat=claim.seat,
        reason=claim.reason,
        by=claim.by,
        files=hashes,
        records=[record.index for record in selection.records],
    )
    leaf = station.log.append(record)
    _write_evidence(station, [*record.records, leaf], earlier, draft)
    info = [
        ("Source-Organization", station.site.name),
        ("External-Identifier", identity),
        ("External-Description", "考证录像导出 / footage exported by kaozheng"),
        ("Bagging-Date", f"{local:%Y-%m-%d}"),
        ("Bag-Software-Agent", f"kaozheng {version('kaozheng')}"),
    ]
    seal_bag(draft, hashes, info)
    if extras.masked_out is not None:
        masked_bag(station, claim, selection, copies, draft, extras.masked_out)
    return identity, leaf, sum(not copy.failure for copy in copies)


def _fragments_line(part: Original) -> str:
    leaves = [leaf.hex() for leaf in part.leaves]
    return json.dumps({"index": part.record.index, "leaves": leaves}) + "\n"


def _make_viewing_copies(
    station: Station,
    selection: Selection,
    draft: Path,
    placed: dict[int, Original],
    hashes: dict[str, str],
) -> list[ViewingCopy]:
    """One copy for each unbroken run of a camera: a copy that runs on over a gap would hide it."""
    copies: list[ViewingCopy] = []
    zone = station.site.zone
    openings = {record["take"]: record for record in selection.of_kind("backfill.opened")}
    for kind, part in (("", selection.footage), ("-backfilled", selection.backfilled)):
        there = [footage for footage in part if placed[footage.record.index].path in hashes]
        for camera, members in groupby(there, key=lambda footage: footage.record.camera):
            runs = _runs([footage.record for footage in members])
            for number, records in enumerate(runs, 1):
                run = [placed[record.index] for record in records]
                suffix = f"-{number}" if len(runs) > 1 else ""
                name = f"data/viewing/derived-viewing-copy-{camera}{kind}{suffix}.mp4"
                begins = run[0].span[0].astimezone(zone)
                source = openings[records[0]["take"]]["source"] if kind else ""
                title = f"{VIEWING_TITLE}: {camera} {begins:%Y-%m-%d %H:%M:%S}"
                title += f" 补录，来自 / backfilled from {source}" if source else ""
                target = draft / name
                target.parent.mkdir(parents=True, exist_ok=True)
                failure = ""
                try:
                    files = [draft / one.path for one in run]
                    lengths_s = cut_lengths(run, draft)
                    playable_copy(files, target, encode=False, title=title, lengths_s=lengths_s)
                except ServiceError as error:
                    # The originals are what counts; a copy that cannot be made must not hold them back.
                    failure = str(error)
                span = run[0].span[0], run[-1].span[1]
                copies.append(ViewingCopy(name, camera, *span, failure, source, tuple(run)))
    return copies


def _runs(records: list[Record]) -> list[list[Record]]:
    """Records of one camera cut where a take ends or a number is missing."""
    runs: list[list[Record]] = []
    for record in records:
        last = runs[-1][-1] if runs else None
        if last is not None and last["take"] == record["take"] and last["number"] + 1 == record["number"]:
            runs[-1].append(record)
        else:
            runs.append([record])
    return runs


def _write_evidence(station: Station, indices: list[int], earlier: list[int], draft: Path) -> None:
    """The records with their proofs, and that earlier heads begin the log, all against one signed head."""
    checkpoint = station.log.checkpoint()
    size = parse_checkpoint(checkpoint).size
    lines = []
    for index in indices:
        proof = [step.hex() for step in station.log.inclusion_proof(index, size)]
        fields = {"index": index, "entry": station.log.entry(index).decode(), "proof": proof}
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    _write(draft / CHECKPOINT, checkpoint)
    _write(draft / RECORDS, "".join(lines))
    # From every printed and anchored head; these stand before the export's record, so they are smaller.
    proofs = []
    for old in earlier:
        proof = [step.hex() for step in station.log.consistency_proof(old, size)]
        fields = {"size": old, "root": station.log.root(old).hex(), "proof": proof}
        proofs.append(json.dumps(fields) + "\n")
    if proofs:
        _write(draft / CONSISTENCY, "".join(proofs))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
