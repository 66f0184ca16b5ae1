"""The log's head put somewhere: one anchor made, kept under ``<state>/anchors/``, and recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kaozheng_service.config.site import Site
from kaozheng_service.evidence.anchors.anchored import Anchor
from kaozheng_service.evidence.anchors.mailing import MailAnchor
from kaozheng_service.evidence.anchors.stamping import StampAnchor
from kaozheng_service.evidence.anchors.submitting import WitnessAnchor
from kaozheng_service.evidence.note import parse_checkpoint
from kaozheng_service.recording.durable import sync_file, sync_folder
from kaozheng_service.station import Station

FOLDER = "anchors"


@dataclass(frozen=True, slots=True)
class Made:
    """Entry ``leaf`` of the log records that ``size`` entries are anchored at ``id``."""

    kind: str
    id: str
    size: int
    leaf: int


def anchors_of(site: Site) -> list[Anchor]:
    """All that the site file names: stamps, witnesses, mail."""
    found: list[Anchor] = [StampAnchor(site, one) for one in site.anchors.stamps]
    found += [WitnessAnchor(site, one) for one in site.anchors.witnesses]
    return found + ([MailAnchor(site)] if site.anchors.mail is not None else [])


def make_anchor(station: Station, anchor: Anchor) -> Made:
    """Put today's head there. What came back is on the disk before the record that names it. Raises AnchorError."""
    checkpoint = station.log.checkpoint()
    done = anchor.put(station.log, checkpoint)
    if done.folder:
        _keep(station.state / FOLDER / done.folder, done.files)
    leaf = station.log.append(done.record)
    return Made(anchor.kind, anchor.id, parse_checkpoint(checkpoint).size, leaf)


def _keep(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write new files durably; one that is there already stays, for nothing held is written over."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        sync_file(folder / name)
    sync_folder(folder)
    sync_folder(folder.parent)
