"""Which files were found right in a run that is not through yet, so that it goes on where it was broken off."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kaozheng_service.clock import now, to_text
from kaozheng_service.errors import UserError
from kaozheng_service.recording.leases import try_lease

if TYPE_CHECKING:
    from kaozheng_service.verification.looking import Footage

SCHEMA = "kaozheng/verify-journal/1"


class Journal:
    """A line a file that was read and right. Files that were not are never in it, and are read again.

    An entry counts only while the file has the same size and time of change, and the record the same hash. A torn
    last line counts for nothing. Its end, :meth:`finish`, is the end of the run: the next one reads everything anew.

    Raises
    ------
    UserError : another run keeps the same journal now
    """

    def __init__(self, path: Path, log_size: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lease = try_lease(path.with_suffix(".lock"))
        if self._lease is None:
            raise UserError(
                f"another verification goes on with {path} now; wait for it, or run without --resume"
            )
        self._path = path
        self._log_size = log_size
        self.since = ""  # when the first of what is held was read
        self._held: dict[str, tuple[int, int, str]] = {}
        self._read()
        self._file = path.open("a", encoding="utf-8")
        self._file.write("\n")  # whatever a crash tore ends here
        self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._lease is not None:
            self._lease.release()

    def holds(self, footage: Footage, size: int, mtime_ns: int) -> bool:
        """Whether this very file was read and right. For any thread."""
        return self._held.get(footage.path) == (size, mtime_ns, footage.sha256)

    def note(self, footage: Footage, size: int, mtime_ns: int) -> None:
        """Flushed at once, so that a process that is killed loses nothing; a power cut may, and it is read again."""
        entry = {
            "schema": SCHEMA,
            "at": to_text(now()),
            "log_size": self._log_size,
            "path": footage.path,
            "bytes": size,
            "mtime_ns": mtime_ns,
            "sha256": footage.sha256,
        }
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._file.flush()

    def finish(self) -> None:
        """The run is through."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                entry: dict[str, Any] = json.loads(line)
                if entry["schema"] != SCHEMA or entry["log_size"] > self._log_size:
                    continue
                self._held[entry["path"]] = (entry["bytes"], entry["mtime_ns"], entry["sha256"])
                self.since = min(self.since or entry["at"], entry["at"])
            except (ValueError, KeyError, TypeError):
                continue
