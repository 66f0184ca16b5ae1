"""What processes use, as the kernel tells it in ``/proc``: processor time, memory, open files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KB = 1e3 / 1.024  # /proc counts in 1024 bytes; a MB here is a million


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over some processes. ``cpu_s`` is user and system time, that of reaped children in ``reaped_s``.

    ``pss_mb`` shares out what processes have in common; ``own_mb`` is what would be freed if they ended (USS);
    ``anonymous_mb`` is of no file: what a leak is made of, and what no other process' libraries change.
    """

    count: int = 0
    cpu_s: float = 0.0
    reaped_s: float = 0.0
    pss_mb: float = 0.0
    own_mb: float = 0.0
    anonymous_mb: float = 0.0
    files: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.count + other.count,
            self.cpu_s + other.cpu_s,
            self.reaped_s + other.reaped_s,
            self.pss_mb + other.pss_mb,
            self.own_mb + other.own_mb,
            self.anonymous_mb + other.anonymous_mb,
            self.files + other.files,
        )


def usage(pids: Iterable[int]) -> Usage:
    """What these processes used so far; those that have ended count nothing."""
    total = Usage()
    for pid in pids:
        try:
            total += _of_one(pid)
        except (OSError, IndexError):
            continue
    return total


def descendants(pid: int) -> dict[int, str]:
    """The living processes that it started, and theirs, with their command lines."""
    parents: dict[int, int] = {}
    for other in _pids():
        try:
            parents[other] = int(_stat(other)[1])
        except (OSError, IndexError):
            continue
    found: set[int] = set()
    frontier = {pid}
    while frontier:
        frontier = {one for one, parent in parents.items() if parent in frontier} - found
        found |= frontier
    return {one: command_of(one) for one in found}


def naming(text: str) -> dict[int, str]:
    """The processes with ``text`` in an argument, this one not, with their command lines."""
    return {pid: line for pid in _pids() if pid != os.getpid() and text in (line := command_of(pid))}


def command_of(pid: int) -> str:
    """Its arguments, spaces between them; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _of_one(pid: int) -> Usage:
    stat = _stat(pid)
    user, system, reaped_user, reaped_system = (int(one) / _TICKS_PER_S for one in stat[11:15])
    memory = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, _, size = line.partition(":")
        memory[name] = int(size.split()[0]) / _KB
    own = memory.get("Private_Clean", 0.0) + memory.get("Private_Dirty", 0.0)
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    pss, anonymous = memory.get("Pss", 0.0), memory.get("Anonymous", 0.0)
    return Usage(1, user + system, reaped_user + reaped_system, pss, own, anonymous, files)


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the third on: the name before them may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _pids() -> Iterator[int]:
    return (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
