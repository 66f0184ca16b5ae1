"""What one running site holds open: its configuration, archive, database and log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.config.site import Site
from kaozheng_service.database import Sessions, open_database
from kaozheng_service.evidence.keys import load_or_make_key
from kaozheng_service.evidence.log import EvidenceLog


@dataclass(frozen=True, slots=True)
class Station:
    """``archive`` holds footage; ``state`` the database, the signed log and its key."""

    site: Site
    archive: Path
    state: Path
    sessions: Sessions
    log: EvidenceLog


def open_station(site: Site) -> Station:
    """Open, or make at the first start, the archive and state folders of ``site``."""
    site.archive.mkdir(parents=True, exist_ok=True)
    site.state.mkdir(parents=True, exist_ok=True)
    return Station(
        site=site,
        archive=site.archive,
        state=site.state,
        sessions=open_database(site.state / "kaozheng.sqlite"),
        log=EvidenceLog(
            site.state / "log", origin=f"kaozheng/{site.id}", key=load_or_make_key(site.state / "keys")
        ),
    )
