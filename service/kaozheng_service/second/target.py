"""Which disk the second copy goes to, and whether it is there.

A marker on the disk names the site and the copy. Without it nothing is written: an unplugged disk leaves an empty
mount point behind, and what is copied there fills the first disk and is no second copy.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update

from kaozheng_service.clock import now, to_text
from kaozheng_service.config.site import Site
from kaozheng_service.database import Segment, Sessions, Take
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.recording.durable import write_durably

SCHEMA = "kaozheng/second/1"
MARKER = "kaozheng-second.json"
CHOSEN = "second.json"


class SecondError(ServiceError):
    """The second copy cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """``archive`` and ``state`` are the first copy; the second has folders of the same names below ``root``."""

    site: str
    archive: Path
    state: Path
    root: Path

    @property
    def footage(self) -> Path:
        return self.root / "archive"

    @property
    def kept_state(self) -> Path:
        return self.root / "state"

    @property
    def chosen(self) -> dict[str, Any]:
        """The copy that was begun last, ``id`` and ``at``; empty where there is none."""
        return _read(self.state / CHOSEN)

    def trouble(self) -> str:
        """Why nothing may be written below ``root``; "" where the disk is there and ours."""
        marker, chosen = _read(self.root / MARKER), self.chosen
        if not chosen:
            return f"{self.root}: not begun yet; mount the disk, then: kaozheng second --begin"
        if not marker:
            return f"{self.root}: not mounted, or another disk; plug it in, or begin a new one: kaozheng second --begin"
        if (marker.get("site"), marker.get("id")) != (self.site, chosen.get("id")):
            return f"{self.root}: the copy of another site or time; to go on with it: kaozheng second --begin"
        return ""

    def shares_a_disk(self) -> bool:
        """Whether first and second copy would die together. OSError where one of them is not there."""
        return self.root.stat().st_dev == self.archive.stat().st_dev


def target_of(site: Site) -> Target:
    """Raises UserError where the site file names no second storage."""
    if site.second is None:
        raise UserError(
            "the site file names no second storage; add under storage: second: {path: /mnt/second}"
        )
    return Target(site.id, site.archive, site.state, site.second)


def begin(target: Target, sessions: Sessions) -> None:
    """Make the disk at ``root`` the one that is copied to. Everything is due anew; what is there already is only read.

    Raises
    ------
    UserError : it cannot be written, or is another site's
    """
    try:
        target.root.mkdir(parents=True, exist_ok=True)
        marker = _read(target.root / MARKER)
        if marker and marker.get("site") != target.site:
            raise UserError(
                f"{target.root}: holds the copy of site {marker.get('site')}; name another folder"
            )
        copy = {"schema": SCHEMA, "site": target.site, "id": marker.get("id") or secrets.token_hex(8)}
        write_durably(target.root / MARKER, json.dumps(copy) + "\n")
    except OSError as error:
        raise UserError(f"{target.root}: cannot be written: {error.strerror}") from None
    with sessions.begin() as session:
        session.execute(update(Segment).where(Segment.copied_at.is_not(None)).values(copied_at=None))
        session.execute(update(Take).where(Take.copied_leaf.is_not(None)).values(copied_leaf=None))
    write_durably(target.state / CHOSEN, json.dumps(copy | {"at": to_text(now())}) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
