"""An original handed over: all of it, or only the pieces that hold the range, which prove themselves (``--cut``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.disputes.standalone.completeness import segment_path
from kaozheng_service.disputes.standalone.moments import NoTimesError, PieceTimes, piece_times
from kaozheng_service.disputes.standalone.parts import begins_by, lasts_until
from kaozheng_service.disputes.standalone.pieces import Pieces, hash_pieces, read_chunks
from kaozheng_service.disputes.standalone.records import Record, Span
from kaozheng_service.errors import ServiceError

# Records keep the stream's first time stamp to the microsecond.
_SAME_S = 2e-6


@dataclass(frozen=True, slots=True)
class Original:
    """An original at ``path`` in a bag, and the time that it holds. ``size`` is in bytes.

    Of a part ``leaves`` are the hashes of all pieces of its segment, ``numbers`` says which of them it holds, header
    and all, and ``sizes`` how long each is, bytes. ``length_s`` is its media time.
    """

    record: Record
    path: str
    size: int
    span: Span
    leaves: tuple[bytes, ...] = ()
    numbers: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    length_s: float = 0.0

    @property
    def words(self) -> str:
        """``3–5/9`` for the fragments 3 to 5 of nine; "" where it is whole."""
        if not self.leaves:
            return ""
        return f"{self.numbers[1]}–{self.numbers[-1]}/{len(self.leaves) - 1}"


def whole(record: Record, size: int) -> Original:
    return Original(record, segment_path(record), size, record.span)


def cut_lengths(originals: Iterable[Original], bag: Path) -> dict[Path, float]:
    """How long each part is, s, by its file in ``bag``: a part does not begin at zero, and ffmpeg must be told."""
    return {bag / one.path: one.length_s for one in originals if one.leaves}


def cut(original: Path, pieces: Pieces, record: Record, span: Span, bag: Path) -> tuple[Original, str] | None:
    """Write the part of a segment that holds ``span`` into the bag; where it lies there, and its SHA-256.

    None where the whole segment must go in: all of it is asked for, its record has no root, or its bytes do not
    tell the times of its pieces in the one form that the verifier reads.

    Parameters
    ----------
    original : the segment's file, of which ``pieces`` were hashed and found as recorded

    Raises
    ------
    ServiceError : what is read now is not what was hashed
    OSError : it cannot be read, or the disk does not take it
    """
    range_ = _pieces_of(original, pieces, record, span)
    if range_ is None:
        return None
    first, last, held, length_s = range_
    path = segment_path(record, (first, last))
    target = bag / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with original.open("rb") as source, target.open("xb") as copy:
        for begin, end in (pieces.extent(0), (pieces.starts[first], pieces.extent(last)[1])):
            source.seek(begin)
            for chunk in read_chunks(source, end - begin):
                copy.write(chunk)
    written = hash_pieces(target)
    numbers = (0, *range(first, last + 1))
    if written.leaves != tuple(pieces.leaves[number] for number in numbers):
        raise ServiceError(f"{original} changed while it was copied; verify the archive")
    sizes = tuple(end - begin for begin, end in map(written.extent, range(len(numbers))))
    part = Original(record, path, written.size, held, pieces.leaves, numbers, sizes, length_s)
    return part, written.sha256


def _pieces_of(
    original: Path, pieces: Pieces, record: Record, span: Span
) -> tuple[int, int, Span, float] | None:
    """The first and the last piece that are needed, what time they hold and how long, s; None for all of them."""
    signed, first_pts_s = record.body.get("fragments_root"), record.body.get("first_pts_s")
    if signed != pieces.root or first_pts_s is None or len(pieces.starts) < 3:
        return None
    try:
        times = piece_times(original, pieces)
    except NoTimesError:
        return None
    if abs(times[0].earliest_s - first_pts_s) > _SAME_S:
        return None  # dated by a demuxer, which counts from elsewhere
    first = max((at for at, one in enumerate(times) if begins_by(record, one) <= span[0]), default=0)
    ends = [at for at, one in enumerate(times) if at >= first and lasts_until(record, one) >= span[1]]
    last = min(ends, default=len(times) - 1)
    if last - first + 1 == len(times):
        return None
    length_s = times[last].ends_s - min(one.earliest_s for one in times[first : last + 1])
    return first + 1, last + 1, _held(record, times, first, last), length_s


def _held(record: Record, times: list[PieceTimes], first: int, last: int) -> Span:
    begins = begins_by(record, times[first]) if first else record.span[0]
    ends = lasts_until(record, times[last]) if last < len(times) - 1 else record.span[1]
    return begins, ends
