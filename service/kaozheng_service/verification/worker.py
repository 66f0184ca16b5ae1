"""The process that verifies: ``python -m kaozheng_service.verification.worker FOLDER``, the site as JSON on one line.

Reading all of an archive takes days, and a disk that hangs hangs whoever reads it: so it is not the daemon. It ends
with the daemon, told by the end of its standard input.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

import structlog

from kaozheng_service.config.site import Site
from kaozheng_service.database import open_database
from kaozheng_service.evidence.key_rotation import open_log
from kaozheng_service.logs import configure_logs
from kaozheng_service.recording.leases import try_lease
from kaozheng_service.station import DATABASE, Station
from kaozheng_service.verification.pace import lower_priority
from kaozheng_service.verification.rounds import Verifier

POLL_S = 2.0
# What failed in itself, such as a log that cannot be written, is not tried more often.
TROUBLED_S = 60.0

logger = structlog.get_logger()


def run(site: Site) -> None:
    """Verify until the process ends."""
    lease = try_lease(site.state / "locks" / "verification.lock")
    while lease is None:  # the process of before hangs in a disk
        time.sleep(POLL_S)
        lease = try_lease(site.state / "locks" / "verification.lock")
    log = open_log(site.state, site.id)
    station = Station(site, site.archive, site.state, open_database(site.state / DATABASE), log)
    verifier = Verifier(station)
    while True:
        try:
            verifier.step()
        except Exception as error:
            logger.exception("verifying failed; it goes on from there")
            verifier.failed(f"{type(error).__name__}: {error}")
            time.sleep(TROUBLED_S)
        time.sleep(POLL_S)


def _end_with_the_daemon() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    configure_logs(level=logging.WARNING)
    lower_priority(os.getpid())
    site = Site.model_validate_json(sys.stdin.buffer.readline())
    site._folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_the_daemon, daemon=True).start()
    run(site)


if __name__ == "__main__":
    main()
