"""A segment's file as pieces, the header and one for each fragment, hashed as the leaves of a tree (RFC 6962).

Whoever records hashes with this, and so does whoever checks: they cannot disagree on where a piece ends.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Pieces:
    """A file's SHA-256, where its pieces begin, in bytes, and their leaf hashes, ``SHA-256(0x00 || piece)``."""

    sha256: str
    size: int
    starts: tuple[int, ...]
    leaves: tuple[bytes, ...]

    @property
    def root(self) -> str:
        return tree_root(self.leaves).hex()

    def extent(self, number: int) -> tuple[int, int]:
        """Where piece ``number`` begins and ends, in bytes."""
        return self.starts[number], [*self.starts, self.size][number + 1]


def hash_pieces(path: Path, taken: Callable[[int], object] | None = None) -> Pieces:
    """Read a file once and hash it, whole and in pieces; ``taken`` is told of each so many bytes.

    Raises
    ------
    OSError : it cannot be read

    Notes
    -----
    Piece 0 is what stands before the first outer ``moof`` box (ISO/IEC 14496-12, 4.2); each ``moof`` begins the next
    piece, and the last runs to the file's end. A box counts where all of it is there: at the first that is not, the
    boxes end, and the rest belongs to the piece before. So a torn file has pieces too; joined they are the file.
    """
    whole, piece = hashlib.sha256(), hashlib.sha256(b"\x00")
    starts, leaves, at = [0], [], 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        kind = b"begin"
        while kind:
            head, kind, rest = _next_box(file, size - at)
            if kind == b"moof":
                leaves.append(piece.digest())
                starts.append(at)
                piece = hashlib.sha256(b"\x00")
            for chunk in itertools.chain([head], read_chunks(file, rest)):
                whole.update(chunk)
                piece.update(chunk)
                at += len(chunk)
                if taken is not None:
                    taken(len(chunk))
    return Pieces(whole.hexdigest(), at, tuple(starts), (*leaves, piece.digest()))


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The tree's head over at least one leaf hash (RFC 6962, 2.1)."""
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_root(leaves[:middle]) + tree_root(leaves[middle:])).digest()


def read_chunks(file: BinaryIO, count: int) -> Iterator[bytes]:
    """The next ``count`` bytes, or as many as there are."""
    while count > 0 and (chunk := file.read(min(count, _CHUNK_BYTES))):
        yield chunk
        count -= len(chunk)


def _next_box(file: BinaryIO, left: int) -> tuple[bytes, bytes, int]:
    """A box's header, its kind, and how many bytes follow; of what is no whole box the kind is empty."""
    head = file.read(min(8, left))
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        head += file.read(min(8, left - len(head)))
        length = int.from_bytes(head[8:], "big") if len(head) == 16 else 0
    if len(head) < 8 or not len(head) <= length <= left:
        return head, b"", left - len(head)
    return head, head[4:8], length - len(head)
