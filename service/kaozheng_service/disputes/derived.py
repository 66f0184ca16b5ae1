"""What a bag holds to watch beside the plain copies: times of day, masked copies, all cameras together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kaozheng_service.disputes.cutting import cut_lengths
from kaozheng_service.disputes.mask import mask_others
from kaozheng_service.disputes.masked import LABEL, masked_copy
from kaozheng_service.disputes.report import Claim, ViewingCopy
from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.subtitles import Piece, Placed, add_track, place, subtitles
from kaozheng_service.disputes.together import Strand, axis, together
from kaozheng_service.errors import ServiceError
from kaozheng_service.station import Station

VIEWING = "data/viewing"
_SUBTITLES = (
    "派生字幕，不是证据：由原始片段的签名时刻推算 / derived from the originals' signed times, not evidence"
)
_TOGETHER = "派生同步画面，不是证据 / derived common view, not evidence"


@dataclass(frozen=True, slots=True)
class Extras:
    """What is wanted beside the originals. ``mask_others`` needs the request's seat: it alone stays visible.

    ``masked_out`` is a folder to be made, of the masked copies alone; it asks for them too.
    """

    mask_others: bool = False
    together: bool = False
    masked_out: Path | None = None

    @property
    def masks(self) -> bool:
        """Whether masked copies are made."""
        return self.mask_others or self.masked_out is not None


def add_derived(
    station: Station,
    claim: Claim,
    selection: Selection,
    copies: Sequence[ViewingCopy],
    draft: Path,
    extras: Extras,
) -> list[ViewingCopy]:
    """The copies with their subtitles, and then what else is wanted; all in ``draft``, below ``data/viewing/``.

    Raises
    ------
    UserError : masked copies are wanted of a camera whose model is not known to be true
    ServiceError : a copy that was asked for by name cannot be made
    """
    there = [copy for copy in copies if not copy.failure]
    masked = _masked(station, claim, there, draft) if extras.masks else []
    result: list[ViewingCopy] = []
    strands: dict[str, list[tuple[Path, tuple[Placed, ...]]]] = {camera: [] for camera in claim.cameras}
    for copy in (*copies, *masked):
        if copy.failure:
            result.append(copy)
            continue
        told, placed = _with_subtitles(station, selection, copy, draft)
        result.append(told)
        if not copy.kind and not copy.source and placed:
            strands[copy.camera].append((draft / copy.path, tuple(placed)))
    if extras.together:
        result.append(_together(station, claim, selection, strands, draft))
    return result


def made_files(copies: Sequence[ViewingCopy]) -> list[str]:
    """Paths in the bag of all copies and subtitles that were made."""
    made = [copy for copy in copies if not copy.failure]
    return [copy.path for copy in made] + [copy.subtitles for copy in made if copy.subtitles]


def _with_subtitles(
    station: Station, selection: Selection, copy: ViewingCopy, draft: Path
) -> tuple[ViewingCopy, list[Placed]]:
    pieces = [Piece(draft / one.path, one.span) for one in copy.originals]
    gaps = [] if copy.source else selection.of_kind("gap", copy.camera)
    try:
        placed = place(draft / copy.path, pieces, gaps)
        name = _write_subtitles(station, copy.path, placed, draft)
        add_track(draft / copy.path, draft / name)
    except ServiceError as error:
        # As with the copy itself: what is for comfort must not hold the originals back, but it is told.
        return replace(copy, untimed=str(error)), []
    return replace(copy, subtitles=name), placed


def _write_subtitles(station: Station, path: str, placed: Sequence[Placed], draft: Path) -> str:
    name = f"{path.removesuffix('.mp4')}.vtt"
    title = f"{_SUBTITLES} ({station.site.timezone})"
    (draft / name).write_text(subtitles(placed, station.site.zone, title), encoding="utf-8", newline="\n")
    return name


def _masked(station: Station, claim: Claim, copies: Sequence[ViewingCopy], draft: Path) -> list[ViewingCopy]:
    made = []
    for copy in copies:
        files = [draft / one.path for one in copy.originals]
        mask = mask_others(station, claim.room_id, copy.camera, claim.seat, files)
        name = copy.path.replace("derived-viewing-copy-", "derived-masked-copy-")
        what = f"{copy.camera}　座位 / seat {claim.seat}"
        title = f"{LABEL}: {copy.camera}, {claim.seat}"
        masked_copy(
            files, draft / name, mask, title=title, what=what, lengths_s=cut_lengths(copy.originals, draft)
        )
        made.append(replace(copy, path=name, kind="masked", hidden=mask.seats))
    return made


def _together(
    station: Station,
    claim: Claim,
    selection: Selection,
    strands: dict[str, list[tuple[Path, tuple[Placed, ...]]]],
    draft: Path,
) -> ViewingCopy:
    name = f"{VIEWING}/derived-together.mp4"
    (draft / VIEWING).mkdir(parents=True, exist_ok=True)
    rows = [
        Strand(camera, tuple(copies), tuple(selection.of_kind("gap", camera)))
        for camera, copies in strands.items()
    ]
    zone = station.site.zone
    begins = claim.span[0].astimezone(zone)
    title = f"{_TOGETHER}: {claim.room_id} {begins:%Y-%m-%d %H:%M:%S}"
    together(rows, claim.span, zone, draft / name, title)
    text = _write_subtitles(station, name, axis(claim.span), draft)
    add_track(draft / name, draft / text)
    cameras = "、".join(claim.cameras)
    return ViewingCopy(name, cameras, *claim.span, "", kind="together", subtitles=text)
