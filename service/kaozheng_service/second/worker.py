"""The process that copies: ``python -m kaozheng_service.second.worker SITE ARCHIVE STATE SECOND``.

A disk or share that hangs hangs whoever writes to it, beyond the reach of any signal: so it is not the daemon.
It ends with the daemon, told by the end of its standard input.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

import structlog

from kaozheng_service.database import open_database
from kaozheng_service.evidence.key_rotation import open_log
from kaozheng_service.logs import configure_logs
from kaozheng_service.recording.leases import try_lease
from kaozheng_service.second.copier import Copier
from kaozheng_service.second.target import Target

# Recording comes first on the processor.
NICE = 10
POLL_S = 2.0
# A disk that does not take anything is not knocked at more often.
TROUBLED_S = 10.0

logger = structlog.get_logger()


def run(target: Target) -> None:
    """Copy until the process ends."""
    lease = try_lease(target.state / "locks" / "second.lock")
    while lease is None:  # the process of before hangs in the disk; it holds on to its lock until it is gone
        time.sleep(POLL_S)
        lease = try_lease(target.state / "locks" / "second.lock")
    database = open_database(target.state / "kaozheng.sqlite")
    copier = Copier(target, database, open_log(target.state, target.site))
    while True:
        try:
            more = copier.round()
        except Exception:
            logger.exception("a round of the second copy failed; the next one tries again")
            more = False
        if not more:
            time.sleep(TROUBLED_S if copier.trouble else POLL_S)


def _end_with_the_daemon() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    configure_logs(level=logging.WARNING)
    os.nice(NICE)
    site, archive, state, second = sys.argv[1:]
    threading.Thread(target=_end_with_the_daemon, daemon=True).start()
    run(Target(site, Path(archive), Path(state), Path(second)))


if __name__ == "__main__":
    main()
