"""What one running site holds open: its configuration, archive, database and log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.access import tables as _accounts  # noqa: F401 - so that their tables are made too
from kaozheng_service.cases import tables as _cases  # noqa: F401 - so that their tables are made too
from kaozheng_service.config.site import Site
from kaozheng_service.database import Sessions, open_database
from kaozheng_service.database_damage import put_aside_if_damaged
from kaozheng_service.evidence.key_rotation import open_log
from kaozheng_service.evidence.log import EvidenceLog
from kaozheng_service.retention import tables as _retention  # noqa: F401
from kaozheng_service.roster import tables as _roster  # noqa: F401

DATABASE = "kaozheng.sqlite"


@dataclass(frozen=True, slots=True)
class Station:
    """``archive`` holds footage; ``state`` the database, the signed log and its key."""

    site: Site
    archive: Path
    state: Path
    sessions: Sessions
    log: EvidenceLog


def open_station(site: Site, *, thorough: bool = False) -> Station:
    """Open, or make at the first start, the archive and state folders of ``site``.

    A database that cannot be read is put aside; what one lacks of the log's records it gets.

    Parameters
    ----------
    thorough : read the whole database first, to find damage that shows only where it lies
    """
    from kaozheng_service.recording.catching_up import catch_up

    site.archive.mkdir(parents=True, exist_ok=True)
    site.state.mkdir(parents=True, exist_ok=True)
    put_aside_if_damaged(site.state / DATABASE, thorough=thorough)
    station = Station(
        site=site,
        archive=site.archive,
        state=site.state,
        sessions=open_database(site.state / DATABASE),
        log=open_log(site.state, site.id),
    )
    catch_up(station)
    return station
