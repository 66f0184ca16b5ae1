"""Accounts and tokens by command and page, the first start, and what of it is in the log."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from kaozheng_service.access.accounts import add_account
from kaozheng_service.access.actor import Role
from kaozheng_service.access.caller import caller_of
from kaozheng_service.access.policy import Permission
from kaozheng_service.access.tokens import create_token, revoke_token
from kaozheng_service.cli import app
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station
from typer.testing import CliRunner

PASSWORD = "slate-harbour-42"  # noqa: S105 - of this test alone


def run(station: Station, *arguments: str, answer: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(
        app,
        [*arguments, "--config", str(station.site.folder / "site.yaml")],
        input=answer,
        env={"COLUMNS": "200"},
    )
    if isinstance(done.exception, UserError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def records(station: Station, *kinds: str) -> list[dict]:
    found = (json.loads(line) for line in station.log.entries())
    return [one for one in found if not kinds or one["kind"] in kinds]


def path_of(link: str) -> str:
    return re.sub(r"^https?://[^/]+", "", link)


def add(station: Station, *more: str, answer: str = f"{PASSWORD}\n") -> tuple[int, str]:
    return run(station, "account", "add", *more, "--name", "李娜", "--password-stdin", answer=answer)


def test_an_account_is_made_and_listed_and_no_secret_is_said(station):
    code, said = add(station, "li.na", "--role", "head", "--json")
    assert (code, json.loads(said)["schema"], json.loads(said)["role"]) == (0, "kaozheng/account/1", "head")
    code, listed = run(station, "account", "list", "--json")
    (one,) = json.loads(listed)["accounts"]
    assert (one["account"], one["has_password"], one["totp"], one["disabled_at"]) == (
        "li.na",
        True,
        False,
        None,
    )
    code, table = run(station, "account", "list")
    assert "李娜" in table
    (record,) = records(station)
    assert record["kind"] == "account.created"
    assert record["by"].startswith("os:")
    assert set(record) == {"kind", "at", "account", "name", "role", "by"}
    for text in (said, listed, table, json.dumps(record)):
        assert PASSWORD not in text
        assert "argon2" not in text


@pytest.mark.parametrize(
    ("arguments", "answer", "mend"),
    [
        (("li na", "--role", "head"), PASSWORD, "such as zhang.wei"),
        (("li.na", "--role", "head"), "short", "at least 10"),
        (("li.na", "--role", "head"), "", "at least 10"),
    ],
)
def test_what_cannot_be_an_account_is_refused_with_the_mend(station, arguments, answer, mend):
    code, said = add(station, *arguments, answer=answer)
    assert (code, mend in said) == (2, True), said
    assert station.log.size == 0


def test_a_second_account_of_the_same_name_is_refused(station):
    add(station, "li.na", "--role", "head")
    code, said = add(station, "LI.NA", "--role", "admin")
    assert (code, "already" in said) == (2, True)
    assert len(records(station)) == 1


def test_a_reset_voids_the_password_and_its_link_sets_one_once(station, browser):
    add(station, "li.na", "--role", "head")
    client = browser()
    fields = {"account": "li.na", "password": PASSWORD}
    assert client.post("/sign-in", data=fields).status_code == 303
    said = run(station, "account", "reset", "li.na", "--json")[1]
    link = json.loads(said)["link"]
    assert client.get("/account").status_code == 303
    assert client.post("/sign-in", data=fields).status_code == 401
    page = client.get(path_of(link))
    assert page.status_code == 200
    assert 'value="li.na"' in page.text
    key = link.partition("key=")[2]
    new = {"key": key, "password": "granite-willow-7", "again": "granite-willow-8"}
    assert client.post("/password", data=new).status_code == 400  # the link stays good
    new["again"] = new["password"]
    assert client.post("/password", data=new).status_code == 303
    assert client.post("/password", data=new).status_code == 410
    assert client.get(path_of(link)).status_code == 410
    assert client.post("/sign-in", data=fields | {"password": new["password"]}).status_code == 303
    assert [one["change"] for one in records(station, "account.changed")] == ["password_reset", "password"]


def test_a_newer_link_voids_the_older(station, browser):
    add(station, "li.na", "--role", "head")
    old, new = (json.loads(run(station, "account", "reset", "li.na", "--json")[1])["link"] for _ in range(2))
    assert browser().get(path_of(old)).status_code == 410
    assert browser().get(path_of(new)).status_code == 200


def test_the_last_administrator_cannot_be_lost(station):
    add(station, "admin1", "--role", "admin")
    code, said = run(station, "account", "disable", "admin1")
    assert (code, "last administrator" in said) == (2, True)
    code, said = run(station, "account", "change", "admin1", "--role", "centre")
    assert (code, "last administrator" in said) == (2, True)
    add(station, "admin2", "--role", "admin")
    assert run(station, "account", "disable", "admin1")[0] == 0
    assert run(station, "account", "change", "admin1", "--enable")[0] == 0
    kinds = [one["kind"] for one in records(station)]
    assert kinds == ["account.created", "account.created", "account.disabled", "account.changed"]


def test_the_setup_link_makes_the_first_account_and_only_that(station, browser):
    code, said = run(station, "account", "setup-link", "--json")
    first = json.loads(said)["link"]
    link = json.loads(run(station, "account", "setup-link", "--json")[1])["link"]
    client = browser()
    assert client.get(path_of(first)).status_code == 410  # made anew: the older is void
    assert client.get("/set-up?key=guess").status_code == 410
    assert "第一个账号" in client.get(path_of(link)).text
    fields = {"key": link.partition("key=")[2], "account": "chen", "name": "陈晨"}
    weak = client.post("/set-up", data=fields | {"password": "short", "again": "short"})
    assert (weak.status_code, "at least 10" in weak.text) == (400, True)
    done = client.post("/set-up", data=fields | {"password": PASSWORD, "again": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/accounts")
    assert client.get("/accounts").status_code == 200
    assert client.post("/set-up", data=fields | {"password": PASSWORD, "again": PASSWORD}).status_code == 410
    code, said = run(station, "account", "setup-link")
    assert (code, "already" in said) == (1, True)
    (record,) = records(station)
    assert (record["account"], record["role"], record["by"]) == ("chen", "admin", "set-up link")


def test_an_administrator_makes_accounts_whose_owners_set_the_password(station, browser, sign_in, send_form):
    client = sign_in(browser(), station, "admin")
    page = send_form(client, "/accounts", account="wang", name="王芳", role="office")
    link = re.search(r'id="one-time-link"[^>]*>([^<]+)<', page.text)[1].replace("&amp;", "&")
    assert link.startswith("http://127.0.0.1:8080/password?key=")
    assert browser().get(path_of(link)).status_code == 200
    bad = send_form(client, "/accounts", account="wang", name="王芳", role="office")
    assert (bad.status_code, "already" in bad.text) == (400, True)
    assert send_form(client, "/accounts/wang", action="disable").status_code == 303
    assert browser().get(path_of(link)).status_code == 410
    assert send_form(client, "/accounts/wang", action="explode").status_code == 400
    assert send_form(client, "/accounts/admin", action="disable").status_code == 400
    script = send_form(client, "/accounts", account="eve", name="<script>alert(1)</script>", role="office")
    assert "<script>alert" not in script.text


def test_a_token_may_no_more_than_its_scopes_and_its_account(station, browser):
    add_account(station, "chen", "陈晨", Role.CENTRE, password=None, by="test")
    code, said = run(station, "token", "create", "chen", "--name", "大厅屏幕", "--scope", "status", "--json")
    body = json.loads(said)
    assert body["schema"] == "kaozheng/token/1"
    client = browser(client=("10.0.0.9", 50000))
    client.headers.update({"Authorization": f"Bearer {body['secret']}", "Accept": "application/json"})
    assert client.get("/api/v1/status").status_code == 200
    assert client.get("/api/v1/find?room=9-101&at=09:00").status_code == 403
    assert client.post("/api/v1/windows", json={}).status_code == 403
    assert client.get("/metrics").status_code == 403
    assert client.get("/account").status_code == 403
    code, said = run(station, "token", "create", "chen", "--name", "x", "--scope", "metrics")
    assert (code, "may not: metrics" in said) == (2, True)
    listed = run(station, "token", "list", "--json")[1]
    assert body["secret"] not in listed
    assert json.loads(listed)["tokens"][0]["scopes"] == ["status"]
    assert run(station, "token", "revoke", str(body["token"]))[0] == 0
    assert client.get("/api/v1/status").status_code == 401
    assert run(station, "token", "revoke", "99")[0] == 2
    assert [one["kind"] for one in records(station)] == ["account.created", "token.created", "token.revoked"]
    for path in station.state.rglob("*"):
        assert path.is_dir() or body["secret"].encode() not in path.read_bytes()


def test_a_token_ends_by_itself_and_with_its_account(station):
    from kaozheng_service.access.accounts import change_account, disable_account

    add_account(station, "chen", "陈晨", Role.ADMIN, password=None, by="test")
    add_account(station, "boss", "老板", Role.ADMIN, password=None, by="test")
    facts, secret = create_token(
        station, "chen", "prometheus", [Permission.METRICS], timedelta(days=1), by="test"
    )

    def may(at=None) -> bool:
        found = caller_of(station, cookie=None, bearer=secret, at=at or now())
        return found.may(Permission.METRICS)

    assert may()
    assert not may(facts.expires_at)
    change_account(station, "chen", role=Role.OFFICE, by="test")
    assert not may()
    change_account(station, "chen", role=Role.ADMIN, by="test")
    disable_account(station, "chen", by="test")
    assert not may()
    revoke_token(station, facts.number, by="test")


def test_a_bad_token_is_nobodys_even_beside_a_good_cookie(station, browser, sign_in):
    client = sign_in(browser(), station, "centre")
    assert client.get("/api/v1/status", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_wall_screen_signs_in_by_token_and_sees_the_status_alone(station, browser, send_form):
    add_account(station, "chen", "陈晨", Role.CENTRE, password=None, by="test")
    length = timedelta(days=90)
    facts, secret = create_token(station, "chen", "大厅屏幕", [Permission.STATUS], length, by="test")
    client: TestClient = browser()
    assert client.post("/sign-in/token", data={"secret": "guess"}).status_code == 401
    answer = client.post("/sign-in/token", data={"secret": secret})
    assert answer.status_code == 303
    assert int(re.search(r"Max-Age=(\d+)", answer.headers["set-cookie"])[1]) > 89 * 86400
    page = client.get("/")
    assert (page.status_code, "令牌：chen" in page.text, "查找录像" in page.text) == (200, True, False)
    assert client.get("/account").status_code == 403
    cookie = client.cookies["kaozheng"]
    month = now() + timedelta(days=30)
    assert caller_of(station, cookie=cookie, bearer=None, at=month).may(Permission.STATUS)
    revoke_token(station, facts.number, by="test")
    assert client.get("/").status_code == 303


def test_an_old_database_gets_the_tables_of_accounts(station, tmp_path):
    import sqlite3

    from kaozheng_service.config.site import load_site
    from kaozheng_service.station import open_station

    database = sqlite3.connect(tmp_path / "state" / "kaozheng.sqlite")
    for table in ("sign_ins", "api_tokens", "access_links", "recovery_codes", "failed_tries", "accounts"):
        database.execute(f"DROP TABLE {table}")
    database.commit()
    database.close()
    again = open_station(load_site(tmp_path / "site.yaml"))
    assert add(again, "li.na", "--role", "head")[0] == 0


@pytest.mark.e2e
def test_the_first_start_shows_the_link_on_a_terminal_and_never_in_a_log(station, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    site = str(tmp_path / "site.yaml")
    command = [sys.executable, "-m", "kaozheng_service", "serve", "-c", site, "--port", port]
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _until(lambda: b"account setup-link" in (tmp_path / "log").read_bytes(), service)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=60)
    assert b"key=" not in (tmp_path / "log").read_bytes()
    ours, theirs = pty.openpty()
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(command, stdout=theirs, stderr=log)
        os.close(theirs)
        shown = b""
        try:
            while b"key=" not in shown:
                assert service.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
                if select.select([ours], [], [], 1.0)[0]:
                    shown += os.read(ours, 4096)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=60)
            os.close(ours)
    assert f"http://127.0.0.1:{port}/set-up?key=" in shown.decode()
    assert b"key=" not in (tmp_path / "log").read_bytes()


def _until(condition, service) -> None:
    import time

    while not condition():
        assert service.poll() is None
        time.sleep(0.2)
