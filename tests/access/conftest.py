"""A station with a site of no exceptions, and browsers of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from kaozheng_service.config.site import load_site
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.app import create_app

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo" / "site.yaml"
HERE = "http://127.0.0.1:8080"


def write_site(folder: Path, **sections: Any) -> Path:
    """The demo site, footage closed, with these sections instead."""
    site = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    del site["access"], site["timetable"]
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site | sections, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return open_station(load_site(write_site(tmp_path)))


@pytest.fixture
def browser(station: Station) -> Iterator[Callable[..., TestClient]]:
    """``browser()``: a new one, with no cookies, that follows no redirect; ``browser(app)``: of another service."""
    open_ones = []

    def new(app: Any = None, base: str = HERE, client: tuple[str, int] = ("127.0.0.1", 50000)) -> TestClient:
        made = TestClient(
            app or create_app(station),
            base_url=base,
            client=client,
            follow_redirects=False,
            headers={"Accept": "text/html"},
        )
        made.__enter__()
        open_ones.append(made)
        return made

    yield new
    for one in open_ones:
        one.__exit__(None, None, None)


@dataclass(frozen=True)
class Filmed:
    """10 s of footage of one camera, in a site where footage is closed."""

    station: Station
    take: str
    clip: str
    at: str


@pytest.fixture
def filmed(small_archives: Any, h264_segments: list[Path], tmp_path: Path) -> Filmed:
    archive = small_archives.SmallArchive.make(tmp_path, h264_segments)
    station = open_station(load_site(write_site(tmp_path)))
    begins = archive.local("2024-11-23 09:00:00")
    window = archive.window(begins, begins + timedelta(seconds=10), room="9-101")
    take = archive.take(window, "front-left", begins, 5)
    return Filmed(station, take, f"/api/v1/clips/{take}/1-5.mp4", "2024-11-23 09:00:05")


def forms(client: TestClient, address: str, *, key_from: str = "/account", **fields: str) -> Any:
    """Send a form as the page at ``key_from`` would."""
    import re

    found = re.search(r'name="form_key" value="([0-9a-f]*)"', client.get(key_from).text)
    return client.post(address, data={"form_key": found[1] if found else "", **fields})


@pytest.fixture
def send_form() -> Callable[..., Any]:
    return forms
