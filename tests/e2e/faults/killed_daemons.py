"""Runs supervisors of a site one after the other, each killed (SIGKILL) at a random step of its work.

    killed_daemons.py SITE KILLS SEED VICTIM

A step is a file opened for writing, renamed, synced or locked, a process begun, a statement or a commit of the
database: every state that a crash can leave behind lies between two of them. Now and then the recorder of the camera
VICTIM is killed too. When the window is closed, prints as JSON how many were killed and in the middle of what.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kaozheng_service.config.site import Site, load_site
from kaozheng_service.database import Window
from kaozheng_service.recording.supervisor import Supervisor
from kaozheng_service.station import Station, open_station
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

# As audit events and the wrapped calls name them.
STEPS = frozenset(
    {"open", "os.rename", "os.mkdir", "os.remove", "os.truncate", "os.posix_spawn", "fcntl.flock"}
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
MOST_STEPS = 80
# How many are killed while they open the site, which takes more steps than that.
EARLY = 0.2
TICK_S = 0.02


def main(site_file: str, kills: str, seed: str, victim: str) -> int:
    site, dice = load_site(Path(site_file)), random.Random(int(seed))
    wanted, killed, at = int(kills), 0, Counter[str]()
    if os.fork() == 0:  # every camera is recorded when the killing begins
        keep(open_station(site), until_recording=True)
        os._exit(0)
    os.wait()
    while True:
        reader, writer = os.pipe()
        crashing = killed < wanted
        child = os.fork()
        if child == 0:
            os.close(reader)
            number, early = dice.randrange(1, MOST_STEPS), dice.random() < EARLY
            if crashing and early:
                crash_at(number, writer)
            station = open_station(site)
            if crashing and not early:
                crash_at(number, writer)
            keep(station)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as said:
            step = said.read().decode()
        _, status = os.waitpid(child, 0)
        dice.random()  # the child drew from a copy
        if os.waitstatus_to_exitcode(status) == 0:
            break
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            return 1
        killed += 1
        at[step] += 1
        if killed % 20 == 0:
            kill_recorder(site, victim)
    print(json.dumps({"killed": killed, "at": at}))
    return 0


def keep(station: Station, *, until_recording: bool = False) -> None:
    """What the daemon does at each tick, until every window is closed, or until every camera of one is recorded."""
    supervisor = Supervisor(station)
    while True:
        supervisor.tick()
        states = supervisor.states()
        if until_recording and states and all(state.take for state in states):
            return
        with station.sessions() as session:
            if session.scalar(select(Window.id).where(Window.closed_leaf.is_(None)).limit(1)) is None:
                return
        time.sleep(TICK_S)


def crash_at(number: int, told: int) -> None:
    """Kill this process in its ``number``-th step, naming the step to ``told``."""
    left = number

    def step(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(told, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(name: str, arguments: Any) -> None:
        if name in STEPS and (name != "open" or (arguments[2] or 0) & WRITING):
            step(name)

    def synced(descriptor: int, sync: Any = os.fsync) -> None:
        sync(descriptor)
        step("fsync")

    os.fsync = synced
    event.listen(Engine, "before_cursor_execute", lambda *_: step("statement"))
    event.listen(Engine, "commit", lambda *_: step("commit"))
    sys.addaudithook(heard)


def kill_recorder(site: Site, camera: str) -> None:
    """The newest recorder of that camera, if it runs."""
    for intent in sorted(site.archive.rglob(f"{camera}/*/take-*/take.json"))[-1:]:
        body = json.loads(intent.read_text(encoding="utf-8"))
        if body["child"] and f"/{camera}/".encode() in command_of(body["child"]["pid"]):
            os.kill(body["child"]["pid"], signal.SIGKILL)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
