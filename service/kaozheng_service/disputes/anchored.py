"""What an export carries of the log's anchors: their files, and what its head must follow from."""

from __future__ import annotations

import shutil
from pathlib import Path

from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.standalone.anchors import PLACE, WITH_FILES
from kaozheng_service.disputes.standalone.files import hash_file
from kaozheng_service.station import Station


def copy_anchors(station: Station, selection: Selection, draft: Path) -> dict[str, str]:
    """Copy the anchors' files into the bag; SHA-256 by path. One that is missing is named by the verifier."""
    hashes: dict[str, str] = {}
    for record in selection.records:
        if record.kind not in WITH_FILES:
            continue
        folder = Path(record["folder"]).name
        for file in sorted((station.state / "anchors" / folder).glob("*")):
            name = f"{PLACE}{folder}/{file.name}"
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, draft / name)
            hashes[name] = hash_file(draft / name)
    return hashes


def anchored_sizes(selection: Selection) -> list[int]:
    """The sizes of which a bag must prove that its head follows from them."""
    return sorted({record["size"] for record in selection.records if record.kind in WITH_FILES})
