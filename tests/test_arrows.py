"""Imports go one way: service to vision to coverage. The renderer of sample media borrows from none of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
HOUSES = {
    "coverage": {"kaozheng_vision", "kaozheng_service"},
    "vision": {"kaozheng_service"},
    "sample_media": {"kaozheng_coverage", "kaozheng_vision", "kaozheng_service"},
    "service/kaozheng_service/disputes/standalone": {"kaozheng_coverage", "kaozheng_vision"},
}
# Pure geometry: no files, no clock, no network.
IMPURE = {"datetime", "time", "pathlib", "os", "io", "socket", "urllib", "http", "subprocess", "random"}


def imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, at its head or within."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("folder", HOUSES)
def test_no_import_goes_against_the_arrows(folder):
    files = sorted((PROJECT / folder).rglob("*.py"))
    assert files
    against = {str(path): imports(path) & HOUSES[folder] for path in files if imports(path) & HOUSES[folder]}
    assert not against


def test_coverage_touches_no_file_clock_or_network():
    files = sorted((PROJECT / "coverage").rglob("*.py"))
    assert files
    impure = {str(path): imports(path) & IMPURE for path in files if imports(path) & IMPURE}
    assert not impure
