"""One video for watching, made of files of a take. Never evidence: the originals are."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kaozheng_service.errors import ServiceError
from kaozheng_service.ffmpeg import viewing_copy_command


def playable_copy(
    files: Sequence[Path],
    target: Path,
    *,
    encode: bool,
    title: str = "",
    lengths_s: Mapping[Path, float] | None = None,
) -> None:
    """Write ``target``, an MP4 of files of one take in order. ServiceError with the reason if it cannot be.

    Parameters
    ----------
    lengths_s : of files that do not begin at zero; ffmpeg takes where they end for how long they are
    """
    with parts_list(target, files, lengths_s or {}) as parts:
        command = viewing_copy_command(parts, target, encode=encode, title=title)
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    if run.returncode != 0 or not target.is_file() or target.stat().st_size == 0:
        target.unlink(missing_ok=True)
        reason = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        for folder in {file.resolve().parent for file in files} | {target.parent}:
            reason = reason.replace(f"{folder}/", "")
        raise ServiceError(reason)


@contextlib.contextmanager
def parts_list(target: Path, files: Sequence[Path], lengths_s: Mapping[Path, float]) -> Iterator[Path]:
    """ffmpeg's concat script naming the files; quotes in a path are closed, escaped and opened again."""
    with tempfile.NamedTemporaryFile("w", suffix=".part", dir=target.parent, encoding="utf-8") as script:
        for file in files:
            quoted = str(file.resolve()).replace("'", "'\\''")
            script.write(f"file '{quoted}'\n")
            if file in lengths_s:
                script.write(f"duration {lengths_s[file]:.6f}\n")
        script.flush()
        yield Path(script.name)
