"""Files that are known not to be as they were signed, kept until they are again; also over a restart."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kaozheng_service.errors import ServiceError
from kaozheng_service.recording.durable import write_durably

SCHEMA = "kaozheng/verification-damage/1"
FIRST, SECOND = "first", "second"


@dataclass(frozen=True, slots=True)
class Damage:
    """Entry ``damaged`` of the log tells of it; ``segment`` is the entry of the file, ``path`` below its copy's folder.

    ``aside`` is where the damaged file is being put; "" before a repair was begun.
    """

    damaged: int
    segment: int
    copy: str
    path: str
    fault: str
    aside: str = ""


class DamageList:
    """``<state>/verification/damage.json``. Repairs of one site happen one after the other, under :meth:`alone`."""

    def __init__(self, state: Path) -> None:
        self._path = state / "verification" / "damage.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for whoever repairs now: the service, or a command."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def all(self) -> list[Damage]:
        """ServiceError where the file is there and cannot be read."""
        try:
            body = json.loads(self._path.read_text(encoding="utf-8"))
            return [Damage(**entry) for entry in body["files"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServiceError(
                f"{self._path}: cannot be read ({error}); move it away, and the next verification finds all anew"
            ) from None

    def find(self, copy: str, path: str) -> Damage | None:
        return next((one for one in self.all() if (one.copy, one.path) == (copy, path)), None)

    def put(self, damage: Damage) -> None:
        """Add it, or replace what is known of the same file."""
        self._write([*self._others(damage), damage])

    def remove(self, damage: Damage) -> None:
        self._write(self._others(damage))

    def _others(self, damage: Damage) -> list[Damage]:
        return [one for one in self.all() if (one.copy, one.path) != (damage.copy, damage.path)]

    def _write(self, files: list[Damage]) -> None:
        body = {"schema": SCHEMA, "files": [asdict(one) for one in files]}
        write_durably(self._path, json.dumps(body, ensure_ascii=False, indent=1) + "\n")
