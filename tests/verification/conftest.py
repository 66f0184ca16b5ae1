"""An archive of two days and two rooms: complete, with a signed gap, and with a hole that nobody explained."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.station import Station, open_station


@dataclass(frozen=True)
class Days:
    """``whole`` and ``explained`` are of 2024-11-23 in rooms 9-101 and 9-201, ``holed`` of the day after in 9-101."""

    archive: Any
    whole: str
    explained: str
    holed: str

    @property
    def path(self) -> Path:
        path: Path = self.archive.station.site.folder / "site.yaml"
        return path

    @property
    def station(self) -> Station:
        return open_station(load_site(self.path))

    def write(self, **sections: Any) -> None:
        """Change sections of the site file."""
        site = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        for name, section in sections.items():
            site[name] = site.get(name, {}) | section
        self.path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")

    def file(self, window: str, camera: str, number: int, folder: Path | None = None) -> Path:
        (found,) = (folder or self.station.archive).glob(f"*/*/{camera}/{window}/*/seg-{number:05d}.mp4")
        return found

    @staticmethod
    def flip(path: Path, at: int = 500) -> bytes:
        """Turn one bit round, as a disk may; what was there before."""
        before = path.read_bytes()
        path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        return before


@pytest.fixture
def days(small_archive: Any) -> Days:
    one, seconds = small_archive, lambda count: timedelta(seconds=count)
    begins = one.local("2024-11-23 09:00:00")
    whole = one.window(begins, begins + seconds(8), room="9-101", cameras=("front-left",), closed=False)
    one.take(whole, "front-left", begins, 4)
    one.close(whole)
    explained = one.window(begins, begins + seconds(10), cameras=("front-left",), closed=False)
    one.take(explained, "front-left", begins, 3)
    one.gap(explained, "front-left", begins + seconds(6), begins + seconds(10))
    one.close(explained)
    begins = one.local("2024-11-24 14:00:00")
    holed = one.window(begins, begins + seconds(10), room="9-101", cameras=("front-left",), closed=False)
    one.take(holed, "front-left", begins, 5, without=(3,))
    one.close(holed)
    return Days(one, whole, explained, holed)
