"""All cameras of an export side by side on one axis of time: derived, and what is missing is seen to be missing."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path

from kaozheng_service.disputes.caption import draw_caption
from kaozheng_service.disputes.standalone.completeness import INSIDE, holes
from kaozheng_service.disputes.standalone.records import Record, Span
from kaozheng_service.disputes.subtitles import Placed
from kaozheng_service.errors import ServiceError
from kaozheng_service.ffmpeg import Card, Shown, Tile, draws_text, together_command
from kaozheng_service.paper import FONTS
from kaozheng_service.wording import gap_cause_name

TILE_PX = (640, 360)
_FONT = FONTS / "NotoSansCJK-VF.otf.ttc"
_NONE = "无录像 / no recording"


@dataclass(frozen=True, slots=True)
class Strand:
    """One camera's copies with the places of their originals in them, and its signed gaps."""

    camera: str
    copies: tuple[tuple[Path, tuple[Placed, ...]], ...]
    gaps: tuple[Record, ...]


def together(strands: Sequence[Strand], span: Span, zone: tzinfo, target: Path, title: str) -> None:
    """Write ``target``, an MP4 that lasts as long as ``span``. ServiceError with the reason if it cannot be made."""
    length_s = (span[1] - span[0]).total_seconds()
    columns = math.ceil(math.sqrt(len(strands)))
    with tempfile.TemporaryDirectory(prefix="kaozheng-together-") as folder:
        tiles = [_tile(strand, span, zone, Path(folder, str(at))) for at, strand in enumerate(strands)]
        command = together_command(
            tiles,
            target,
            tile_px=TILE_PX,
            columns=columns,
            length_s=length_s,
            clock_s=_clock(span, zone) if draws_text() else None,
            font=_FONT,
            title=title,
        )
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    if run.returncode != 0 or not target.is_file():
        target.unlink(missing_ok=True)
        reason = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        raise ServiceError(f"{target.name}: the common view cannot be made: {reason}")


def axis(span: Span) -> list[Placed]:
    """The common view's own time, for its subtitles."""
    return [Placed(0.0, (span[1] - span[0]).total_seconds(), span)]


def _clock(span: Span, zone: tzinfo) -> float | None:
    """Local time as if it were UTC; None where clocks are changed meanwhile: half of it would be burnt in wrong."""
    first, last = (at.astimezone(zone).utcoffset() or timedelta() for at in span)
    return (span[0] + first).timestamp() if first == last else None


def _tile(strand: Strand, span: Span, zone: tzinfo, folder: Path) -> Tile:
    folder.mkdir()
    label = folder / "label.png"
    words = f"{strand.camera}　派生，不是证据 / derived"
    draw_caption(label, [words], width_px=TILE_PX[0], height_px=TILE_PX[1], size_px=13, corner=True)
    shown = [part for path, placed in strand.copies for part in _stretches(path, placed, span)]
    there = [piece.span for _, placed in strand.copies for piece in placed]
    cards = []
    for number, hole in enumerate(holes(span, there)):
        if hole[1] - hole[0] > INSIDE:
            path = folder / f"hole-{number}.png"
            lines = [_NONE, _why(strand, hole), _times(hole, zone)]
            draw_caption(path, lines, width_px=TILE_PX[0], height_px=TILE_PX[1], size_px=24)
            at_s, until_s = ((at - span[0]).total_seconds() for at in hole)
            cards.append(Card(path, at_s, until_s))
    return Tile(tuple(shown), tuple(cards), label)


def _stretches(path: Path, placed: Sequence[Placed], span: Span) -> list[Shown]:
    """The parts of a copy whose times run on with its pictures; each begins where its first original was signed to."""
    groups: list[list[Placed]] = []
    for piece in placed:
        first = groups[-1][0] if groups else None
        offset = (piece.span[0] - first.span[0]).total_seconds() if first else 0.0
        if first and abs(offset - (piece.media_s - first.media_s)) <= INSIDE.total_seconds():
            groups[-1].append(piece)
        else:
            groups.append([piece])
    length_s = (span[1] - span[0]).total_seconds()
    parts = []
    for group in groups:
        at_s = (group[0].span[0] - span[0]).total_seconds()
        media_s = group[0].media_s + max(-at_s, 0.0)
        end_s = min(group[-1].media_s + group[-1].length_s, group[0].media_s + length_s - at_s)
        if end_s > media_s:
            parts.append(Shown(path, media_s, end_s - media_s, max(at_s, 0.0)))
    return parts


def _why(strand: Strand, hole: Span) -> str:
    causes = dict.fromkeys(gap_cause_name(gap["cause"]) for gap in strand.gaps if gap.meets(hole))
    return "、".join(causes) or "没有说明，或不在录像时段内 / not explained, or not to be recorded"


def _times(hole: Span, zone: tzinfo) -> str:
    return " – ".join(f"{at.astimezone(zone):%H:%M:%S}" for at in hole)
