"""The pages in a real Chromium over real uvicorn on the loopback interface: they render, refresh and play."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from kaozheng_service.access.accounts import add_account
from kaozheng_service.access.actor import Role
from kaozheng_service.access.sign_ins import begin_sign_in
from kaozheng_service.clock import now
from kaozheng_service.database import Window
from kaozheng_service.web.app import create_app
from sqlalchemy import select

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.xdist_group("browser")]

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOM = "9-101"


@dataclass
class Shown:
    """A page, where it is served, and what its console complained of."""

    page: Any
    address: str
    archive: Any
    begins: Any
    complaints: list[str] = field(default_factory=list)

    def at(self, seconds: float) -> str:
        """A moment of the window, as typed into the form."""
        moment = self.begins + timedelta(seconds=seconds)
        return f"{moment.astimezone(self.archive.station.site.zone):%Y-%m-%d %H:%M:%S}"

    def open_footage(self, seconds: float, **fields: str) -> None:
        fields = {"room": ROOM, "at": self.at(seconds), "minutes": "1", **fields}
        self.page.goto(
            f"{self.address}/footage?" + "&".join(f"{name}={value}" for name, value in fields.items())
        )


@pytest.fixture
def server(small_archive: Any) -> Iterator[tuple[str, Any, Any]]:
    """The pages over a window of 30 s, an hour ago: front-left whole; back-right lost from 8 s to 12 s."""
    begins = now().replace(microsecond=0) - timedelta(hours=1)
    window = small_archive.window(begins, begins + timedelta(seconds=30), room=ROOM)
    small_archive.take(window, "front-left", begins, 15)
    small_archive.take(window, "back-right", begins, 4)
    small_archive.gap(window, "back-right", begins + timedelta(seconds=8), begins + timedelta(seconds=12))
    small_archive.take(window, "back-right", begins + timedelta(seconds=12), 9, number=2)
    config = uvicorn.Config(create_app(small_archive.station), host="127.0.0.1", port=0, log_level="warning")
    pages = uvicorn.Server(config)
    thread = threading.Thread(target=pages.run, daemon=True)
    thread.start()
    while not pages.started:
        assert thread.is_alive()
        thread.join(0.05)
    port = pages.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", small_archive, begins
    pages.should_exit = True
    thread.join()


@pytest.fixture
def shown(server: tuple[str, Any, Any], tmp_path: Path, need: Callable[[bool, str], None]) -> Iterator[Shown]:
    """Signed in for the appraisal centre; the demo site's footage is open."""
    need(os.access(CHROMIUM, os.X_OK), "Chromium at /usr/bin/chromium; on Debian: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            headless=True,
            locale="zh-CN",
            viewport={"width": 1366, "height": 768},
            args=ARGUMENTS,
        )
        station = server[1].station
        add_account(station, "chen", "陈晨", Role.CENTRE, password=None, by="test")
        secret = begin_sign_in(station, "chen", now())
        browser.add_cookies([{"name": "kaozheng", "value": secret, "url": server[0]}])
        page = browser.pages[0]
        seen = Shown(page, *server)
        page.on(
            "console",
            lambda message: seen.complaints.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        yield seen
        browser.close()


def until(page: Any, expression: str) -> None:
    """Wait until ``expression`` holds. Playwright's own waiting needs eval, which the pages forbid."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never became true: {expression}")


def fits_the_screen(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_found_footage_stands_at_the_moment_and_plays(shown: Shown) -> None:
    shown.open_footage(5, seat="07", camera="front-left")
    page = shown.page
    until(page, "document.getElementById('video').readyState >= 2")
    assert page.evaluate("document.getElementById('video').videoWidth") == 640
    assert page.evaluate("document.getElementById('video').currentTime") == pytest.approx(5, abs=0.05)
    page.get_by_role("button", name="播放").click()
    until(page, "document.getElementById('video').currentTime > 6")
    assert page.locator("#clock").inner_text() >= shown.at(5)[11:]
    assert page.locator("#overlay rect").count() == 2
    assert not shown.complaints


def test_the_picture_shown_is_the_one_of_that_moment(shown: Shown) -> None:
    """No two pictures of the test pattern are alike: the one shown is compared with all of its file."""
    import av
    import numpy as np

    shown.open_footage(5, seat="07", camera="front-left")
    page = shown.page
    until(
        page, "document.getElementById('video').readyState >= 2 && !document.getElementById('video').seeking"
    )
    pixels = page.evaluate(
        """() => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
          const context = canvas.getContext("2d");
          context.drawImage(document.getElementById("video"), 0, 0, 640, 360);
          return Array.from(context.getImageData(0, 0, 640, 360).data);
        }"""
    )
    picture = np.array(pixels, dtype=float).reshape(360, 640, 4)[..., :3]
    path = next(shown.archive.station.archive.rglob("front-left/**/seg-00003.mp4"))
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    differences = [float(np.abs(picture - frame).mean()) for frame in frames]
    assert abs(int(np.argmin(differences)) - 25) <= 1


def test_playing_over_a_gap_goes_on_after_it_and_says_so(shown: Shown) -> None:
    shown.open_footage(6, camera="back-right")
    page = shown.page
    until(page, "document.getElementById('video').readyState >= 2")
    page.get_by_role("button", name="播放").click()
    until(page, "document.getElementById('notice').textContent.includes('已跳过 4 秒')")
    assert "视频流中断" in page.locator("#notice").inner_text()
    until(
        page, "document.getElementById('video').currentTime > 0.5 && !document.getElementById('video').paused"
    )
    assert page.locator("#clock").inner_text() >= shown.at(12)[11:]
    assert not shown.complaints


def test_a_moment_in_a_gap_shows_its_cause_and_the_other_camera_shows_the_picture(shown: Shown) -> None:
    shown.open_footage(9, camera="back-right")
    page = shown.page
    assert "没有录像：缺口：视频流中断" in page.locator("#notice").inner_text()
    page.locator(".choice[data-camera=front-left]").click()
    until(page, "document.getElementById('video').readyState >= 2")
    assert page.locator("#notice").is_hidden()
    assert page.locator("#clock").inner_text() == shown.at(9)[11:]
    assert page.locator(".facts:visible h2").inner_text() == "front-left"
    assert not shown.complaints


def test_backfilled_footage_plays_within_its_gap_and_is_named_as_such(shown: Shown, tmp_path: Path) -> None:
    with shown.archive.station.sessions() as session:
        window = session.scalars(select(Window.id)).one()
    shown.archive.backfill(window, "back-right", shown.begins + timedelta(seconds=6), 4, source="校园录像机")
    shown.open_footage(10, camera="back-right")
    until(shown.page, "document.getElementById('video').readyState >= 2")
    which = "document.getElementById('which').textContent"
    assert "补录自 校园录像机" in shown.page.evaluate(which)
    assert shown.page.evaluate("document.getElementById('stage').classList.contains('from-elsewhere')")
    shown.page.screenshot(path=tmp_path / "backfilled.png", full_page=True)
    # Recorded before and after it: played on from before the gap, each part is named for what it is.
    shown.open_footage(6, camera="back-right")
    until(shown.page, "document.getElementById('video').readyState >= 2")
    assert "补录" not in shown.page.evaluate(which)
    shown.page.click("#play")
    until(shown.page, f"{which}.includes('补录自')")
    until(shown.page, f"!{which}.includes('补录自')")
    assert shown.page.evaluate("!document.getElementById('video').paused")
    assert shown.complaints == []


def test_a_click_on_the_timeline_goes_there(shown: Shown) -> None:
    shown.open_footage(15, camera="front-left")
    page = shown.page
    until(page, "document.getElementById('video').readyState >= 2")
    track = page.locator(".track[data-camera=front-left]")
    box = track.bounding_box()
    # The range is 180 s from 45 s before the window: 20 s into the window lie 65 s into the line.
    track.click(position={"x": box["width"] * 65 / 180, "y": box["height"] / 2})
    until(page, "Math.abs(document.getElementById('video').currentTime - 20) < 0.3")
    assert not shown.complaints


def test_a_clip_that_cannot_be_made_says_why(shown: Shown) -> None:
    for file in shown.archive.station.archive.rglob("front-left/**/seg-*.mp4"):
        file.unlink()
    shown.open_footage(5, camera="front-left")
    until(shown.page, "document.getElementById('notice').textContent.includes('is not in the archive')")


def test_the_status_page_follows_what_happens_without_a_reload(shown: Shown) -> None:
    page = shown.page
    page.goto(f"{shown.address}/")
    page.evaluate("window.stays = true")
    assert page.locator("text=录像服务未运行").is_visible()
    begins = now() - timedelta(seconds=10)
    window = shown.archive.window(
        begins, begins + timedelta(minutes=10), room="9-201", title="刚刚开始", closed=False
    )
    shown.archive.take(window, "front-left", begins, 5, running=True)
    page.wait_for_selector("text=刚刚开始")
    assert page.evaluate("window.stays") is True
    assert not shown.complaints


def test_the_status_page_says_when_the_service_is_gone(shown: Shown) -> None:
    page = shown.page
    page.goto(f"{shown.address}/")
    page.context.set_offline(True)
    page.wait_for_selector("#lost:visible")
    page.context.set_offline(False)
    page.wait_for_selector("#lost", state="hidden")


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_both_pages_fit_a_laptop_and_a_phone(shown: Shown, width: int, height: int, tmp_path: Path) -> None:
    page = shown.page
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{shown.address}/")
    page.screenshot(path=tmp_path / "status.png", full_page=True)
    assert fits_the_screen(page)
    shown.open_footage(5, seat="07")
    until(page, "document.getElementById('video').readyState >= 2")
    page.screenshot(path=tmp_path / "footage.png", full_page=True)
    assert fits_the_screen(page)
    assert not shown.complaints
