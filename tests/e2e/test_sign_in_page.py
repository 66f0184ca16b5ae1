"""From the set-up link to the first account, out and in again with a code, in a real Chromium over real uvicorn."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
import uvicorn
import yaml
from kaozheng_service.access.accounts import add_account, change_account
from kaozheng_service.access.actor import Role
from kaozheng_service.access.links import SET_UP, link_address, new_setup_link
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.station import Station, open_station
from kaozheng_service.web.app import create_app

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.xdist_group("browser")]

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
PASSWORD = "slate-harbour-42"  # noqa: S105 - of this test alone
ROOM = "9-101"


@pytest.fixture
def served(small_archive: Any) -> Iterator[tuple[str, Station, str]]:
    """The pages of a site whose footage is closed, with 30 s of it; the address, the station, and a moment of it."""
    begins = now().replace(microsecond=0) - timedelta(hours=1)
    window = small_archive.window(begins, begins + timedelta(seconds=30), room=ROOM)
    small_archive.take(window, "front-left", begins, 15)
    folder = small_archive.station.site.folder
    site = yaml.safe_load((folder / "site.yaml").read_text(encoding="utf-8"))
    site.pop("access")
    (folder / "site.yaml").write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    station = open_station(load_site(folder / "site.yaml"))
    config = uvicorn.Config(create_app(station), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    moment = (begins + timedelta(seconds=5)).astimezone(station.site.zone)
    yield f"http://127.0.0.1:{port}", station, f"{moment:%Y-%m-%d %H:%M:%S}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(tmp_path: Path, need: Callable[[bool, str], None]) -> Iterator[Any]:
    need(os.access(CHROMIUM, os.X_OK), "Chromium at /usr/bin/chromium; on Debian: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            headless=True,
            locale="zh-CN",
            viewport={"width": 360, "height": 740},
            args=ARGUMENTS,
        )
        page = browser.pages[0]
        page.complaints = []
        # A page that refuses answers 4xx, which the console tells too; what breaks the content policy is a fault.
        page.on(
            "console",
            lambda said: page.complaints.append(said.text) if "Security Policy" in said.text else None,
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        browser.close()


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def every_field_has_a_name(page: Any) -> bool:
    return bool(
        page.evaluate(
            """[...document.querySelectorAll("input:not([type=hidden]), select")].every((one) => one.labels.length)"""
        )
    )


def test_from_the_first_link_to_a_refusal_that_says_what_is_needed(
    served: tuple[str, Station, str], page: Any, tmp_path: Path
) -> None:
    address, station, moment = served
    made = new_setup_link(station)
    assert made is not None
    page.goto(link_address(address, SET_UP, made[0]))
    assert fits(page)
    assert every_field_has_a_name(page)
    # With the keyboard alone.
    page.get_by_label("账号 Account").press_sequentially("chen")
    page.keyboard.press("Tab")
    page.keyboard.type("陈晨")
    for _ in range(2):
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts")
    assert page.locator(".who").inner_text().split() == ["陈晨", "系统管理员"]
    assert fits(page)
    assert every_field_has_a_name(page)
    page.screenshot(path=tmp_path / "accounts.png", full_page=True)

    page.get_by_role("link", name="陈晨").click()
    page.get_by_role("region", name="动态码").get_by_label("当前密码").fill(PASSWORD)
    page.get_by_role("button", name="启用动态码").click()
    secret = page.locator("#totp-secret").inner_text()
    assert page.locator(".qr svg").bounding_box()["width"] > 100
    page.screenshot(path=tmp_path / "enrol.png", full_page=True)
    page.get_by_label("6 位数字").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="启用", exact=True).click()
    recovery = page.locator(".codes code").all_inner_texts()
    assert len(recovery) == 10
    assert fits(page)

    page.get_by_role("button", name="退出", exact=True).click()
    page.wait_for_url("**/sign-in")
    page.goto(f"{address}/")
    page.wait_for_url("**/sign-in?next=*")
    assert fits(page)
    assert every_field_has_a_name(page)
    page.screenshot(path=tmp_path / "sign-in.png", full_page=True)
    page.get_by_label("账号 Account").fill("chen")
    page.get_by_label("密码 Password").fill("wrong-password")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=账号或密码不对")
    page.get_by_label("密码 Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in/code?next=*")
    # The code of now may be the one that turned it on, and is taken once: the next step's is taken too.
    page.get_by_label("手机上的 6 位数字").fill(pyotp.TOTP(secret).at(now(), counter_offset=1))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/")
    assert page.locator(".who").is_visible()

    page.goto(f"{address}/footage?room={ROOM}&at={moment}")
    assert "鉴定中心工作人员" in page.locator("[role=alert]").inner_text()
    assert fits(page)
    add_account(station, "boss", "老板", Role.ADMIN, password=None, by="test")
    change_account(station, "chen", role=Role.CENTRE, by="test")
    page.goto(f"{address}/footage?room={ROOM}&at={moment}")
    said = page.locator("#refused").inner_text()
    for words in ("一个案件", "鉴定中心负责人批准", "由谁给：办公室、内部质量督导"):
        assert words in said
    assert "还缺批准" in page.locator("#notice").inner_text()
    assert page.locator("video[src]").count() == 0
    assert fits(page)
    page.screenshot(path=tmp_path / "refused.png", full_page=True)
    assert page.complaints == []
