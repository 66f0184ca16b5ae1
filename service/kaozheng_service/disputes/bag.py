"""BagIt (RFC 8493): the manifests and tag files that make a folder with ``data/`` a bag."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from kaozheng_service.disputes.standalone.files import BAG_INFO, MANIFEST, TAG_MANIFEST, hash_file
from kaozheng_service.recording.durable import sync_file, sync_folder

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


def seal_bag(folder: Path, hashes: Mapping[str, str], info: Sequence[tuple[str, str]]) -> None:
    """Write the tag files of a bag whose other files are all there, and push everything to the disk.

    Parameters
    ----------
    hashes : SHA-256 by path in the bag, where known already; the others are read
    info : lines of ``bag-info.txt``, on one line each; Payload-Oxum is added
    """
    payload = _files(folder, folder / "data")
    size = sum((folder / path).stat().st_size for path in payload)
    lines = [*info, ("Payload-Oxum", f"{size}.{len(payload)}")]
    _write(folder / BAG_INFO, "".join(f"{name}: {' '.join(value.split())}\n" for name, value in lines))
    _write(folder / "bagit.txt", DECLARATION)
    _write_manifest(folder, MANIFEST, payload, hashes)
    tags = [path for path in _files(folder, folder) if not path.startswith("data/") and path != TAG_MANIFEST]
    _write_manifest(folder, TAG_MANIFEST, tags, hashes)
    for place, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(place, name))
        sync_folder(Path(place))


def _write_manifest(folder: Path, name: str, paths: list[str], hashes: Mapping[str, str]) -> None:
    _write(
        folder / name, "".join(f"{hashes.get(path) or hash_file(folder / path)}  {path}\n" for path in paths)
    )


def _files(folder: Path, place: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in place.rglob("*") if path.is_file())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
