"""Recorder processes that outlive us: started detached, known by pid and start time, adopted after a restart.

Linux only: a process is told from a later one of the same pid by its start time in ``/proc``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.errors import ServiceError

# ffmpeg names the address it could not open, password and all; this filter beside it holds no secret.
# Devices write a login into the path or query too.
MASK = (
    *("sed", "-u", "-E"),
    *("-e", "s#//[^/@ ]*@#//****@#g"),
    *("-e", "s#((pass(word|wd)?|pwd|auth|token|key)=)[^&/?;: ]*#\\1****#gI"),
)


_masks: set[int] = set()
# All filters are asked at once, and so often that a round over many recorders does it once.
_REAP_S = 1.0
_reaped_at_s = -_REAP_S


@dataclass(frozen=True, slots=True)
class Child:
    """``started_ticks`` since boot (field 22 of ``/proc/<pid>/stat``) with ``boot`` tells a reused pid."""

    pid: int
    started_ticks: int
    boot: str


@dataclass(frozen=True, slots=True)
class Ended:
    """``status`` is the exit code, negative for a signal; None where it was not our own child."""

    status: int | None


def spawn(command: list[str], errors: Path, *, masked: bool) -> Child:
    """Start ``command`` in a session of its own, its stderr going to the file ``errors``.

    Parameters
    ----------
    masked : login data in addresses are struck from stderr on the way by ``sed``, which ends with the child

    Raises
    ------
    ServiceError : the program cannot be started
    """
    with contextlib.ExitStack() as closing:
        log = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        closing.callback(os.close, log)
        nowhere = os.open(os.devnull, os.O_RDWR)
        closing.callback(os.close, nowhere)
        target = log
        if masked:
            outlet, target = os.pipe()
            closing.callback(os.close, outlet)
            closing.callback(os.close, target)
            _masks.add(_detached(list(MASK), stdin=outlet, stdout=log, stderr=nowhere))
        pid = _detached(command, stdin=nowhere, stdout=nowhere, stderr=target)
    ticks = _start_ticks(pid)
    if ticks is None:
        raise ServiceError(f"{command[0]} ended before it could be looked at; see {errors}")
    return Child(pid, ticks, boot_id())


def poll(child: Child) -> Ended | None:
    """None while it runs; a zombie, a reused pid or a pid of another boot has ended."""
    _reap_masks()
    with contextlib.suppress(ChildProcessError):
        if is_same(child):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            return Ended(os.waitstatus_to_exitcode(status)) if pid == child.pid else None
    return None if is_same(child) and _state(child.pid) not in ("Z", "X", None) else Ended(None)


def _reap_masks() -> None:
    """The filters beside recorders end with them, and must not stay as zombies."""
    global _reaped_at_s
    if time.monotonic() - _reaped_at_s < _REAP_S:
        return
    _reaped_at_s = time.monotonic()
    for pid in list(_masks):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            ended = True
        if ended:
            _masks.discard(pid)


def is_same(child: Child) -> bool:
    """Whether the pid still names that very process, dead or alive."""
    return child.boot == boot_id() and _start_ticks(child.pid) == child.started_ticks


def send(child: Child, number: signal.Signals) -> None:
    """Signal it, never a process that has its pid now; nothing where it has ended."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(child.pid)
        try:
            if is_same(child):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def find_by_argument(text: str) -> Child | None:
    """The process with ``text`` in an argument: started just before we died, its pid not yet noted."""
    wanted = os.fsencode(text)
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes()
            ticks = _start_ticks(int(folder.name))
            if arguments and wanted in arguments and ticks is not None:
                return Child(int(folder.name), ticks, boot_id())
    return None


@functools.cache
def boot_id() -> str:
    """This boot of the machine; a process noted under another one is gone."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _detached(command: list[str], *, stdin: int, stdout: int, stderr: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate((stdin, stdout, stderr))]
    try:
        return os.posix_spawnp(command[0], command, os.environ, file_actions=actions, setsid=True)
    except OSError as error:
        raise ServiceError(f"{command[0]} cannot be started: {error.strerror}; is it installed?") from None


def _stat_fields(pid: int) -> list[str] | None:
    """From the third field on: the second, the name in brackets, may hold spaces and brackets itself."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None


def _start_ticks(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def _state(pid: int) -> str | None:
    fields = _stat_fields(pid)
    return fields[0] if fields else None
