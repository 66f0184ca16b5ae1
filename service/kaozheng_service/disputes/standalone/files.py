"""The files of a bag and what its manifests say of them (BagIt, RFC 8493)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from kaozheng_service.disputes.standalone.findings import Findings

MANIFEST, TAG_MANIFEST, BAG_INFO = "manifest-sha256.txt", "tagmanifest-sha256.txt", "bag-info.txt"
# All that a bag holds outside of data/ without the signed record of the export naming it.
TAG_FILES = ("bagit.txt", BAG_INFO, MANIFEST, TAG_MANIFEST)
# What file browsers leave behind in any folder that they show.
DROPPINGS = re.compile(r"(.*/)?(\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini)")

# An export lies six folders deep; what lies deeper is no part of one. Python before 3.12 walks by recursion.
DEEPEST = 16
# Texts are held in memory. The records of a whole day of 30 cameras in a log of 10 million entries are some 300 MB.
LONGEST_TEXT = 1 << 30

Progress = Callable[[int, int], None]


def hash_files(folder: Path, found: Findings, progress: Progress | None) -> tuple[dict[str, str], int]:
    """SHA-256 of every file by its path in ``folder``, and how many bytes they are. Links are not followed."""
    paths: list[Path] = []

    def name_unreadable(error: OSError) -> None:
        found.add("unreadable", Path(error.filename).relative_to(folder).as_posix(), why=error.strerror)

    for place, folders, names in os.walk(folder, onerror=name_unreadable):
        here = Path(place).relative_to(folder)
        if len(here.parts) >= DEEPEST:
            found.add("too_deep", here.as_posix())
            folders.clear()
            continue
        for name in folders + names:
            path = Path(place, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                found.add("not_a_file", path.relative_to(folder).as_posix())
            elif path.is_file():
                paths.append(path)
    total = sum(path.stat().st_size for path in paths)
    hashes: dict[str, str] = {}
    done = 0
    for path in sorted(paths):
        name = path.relative_to(folder).as_posix()
        try:
            hashes[name] = hash_file(path)
            done += path.stat().st_size
        except OSError as error:
            found.add("unreadable", name, why=error.strerror)
        if progress is not None:
            progress(done, total)
    return hashes, done


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_manifests(folder: Path, hashes: dict[str, str], found: Findings) -> None:
    """Hold every file against the two manifests, and these against every file."""
    for manifest, lists_data in ((MANIFEST, True), (TAG_MANIFEST, False)):
        listed = _read_manifest(folder, manifest, found)
        if listed is None:
            continue
        for path, digest in listed.items():
            if path not in hashes:
                found.add("missing", path)
            elif hashes[path] != digest:
                found.add("changed", path)
        for path in hashes:
            if path.startswith("data/") == lists_data and path not in listed and path != TAG_MANIFEST:
                name_unexpected(path, found)


def name_unexpected(path: str, found: Findings) -> None:
    """A file that should not be there, or a trace of a file browser."""
    found.add("dropping" if DROPPINGS.fullmatch(path) else "unexpected", path)


def _read_manifest(folder: Path, name: str, found: Findings) -> dict[str, str] | None:
    text = read_text(folder, name, found)
    if text is None:
        return None
    listed: dict[str, str] = {}
    lines = text.split("\n")
    if lines.pop():
        found.add("manifest_line", name, line=len(lines) + 1)
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None or match[2] in listed:
            found.add("manifest_line", name, line=number)
        elif re.search(r"[\\:\0]", match[2]) or {"", ".", ".."} & set(match[2].split("/")):
            found.add("unsafe_path", name, line=number)
        else:
            listed[match[2]] = match[1]
    return listed


def read_text(folder: Path, name: str, found: Findings) -> str | None:
    """A file's text; None, and a finding, where there is none."""
    path = folder / name
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            found.add("not_a_file", name)
            return None
        if path.stat().st_size > LONGEST_TEXT:
            found.add("too_long", name)
            return None
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        found.add("missing", name)
    except UnicodeDecodeError:
        found.add("changed", name)
    except OSError as error:
        found.add("unreadable", name, why=error.strerror)
    return None


def read_integer(digits: str) -> int:
    """A number of JSON. Python before 3.11 takes hours for one of many million digits; none of ours has over 16."""
    if len(digits) > 20:
        raise ValueError("a number out of all proportion")
    return int(digits)
