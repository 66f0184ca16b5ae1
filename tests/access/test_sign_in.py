"""Signing in by the pages: password, code, delays, cookies, forms, and the end of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from kaozheng_service.access.accounts import (
    account_facts,
    add_account,
    change_account,
    disable_account,
    reset_password,
)
from kaozheng_service.access.actor import Role
from kaozheng_service.access.authenticate import (
    Accepted,
    Denied,
    begin_totp,
    check_code,
    check_password,
    confirm_totp,
)
from kaozheng_service.access.caller import caller_of
from kaozheng_service.access.sign_ins import begin_sign_in
from kaozheng_service.access.tables import FailedTries
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.station import open_station
from kaozheng_service.web.app import create_app
from kaozheng_service.web.sign_in import safe_path
from sqlalchemy import event, select

from .conftest import HERE, write_site

PASSWORD, OTHER = "slate-harbour-42", "granite-willow-7"
AT = datetime(2024, 11, 23, 1, 0, tzinfo=UTC)


def records(station) -> list[dict]:
    return [json.loads(line) for line in station.log.entries()]


@pytest.fixture
def zhang(station):
    return add_account(station, "zhang", "张伟", Role.CENTRE, password=PASSWORD, by="test")


def sign_in_at(client, account="zhang", password=PASSWORD, **fields):
    return client.post("/sign-in", data={"account": account, "password": password, **fields})


def test_a_right_password_leads_back_to_where_one_was_going(zhang, browser):
    client = browser()
    answer = sign_in_at(client, next="/footage?room=9-101")
    assert (answer.status_code, answer.headers["location"]) == (303, "/footage?room=9-101")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("kaozheng=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    page = client.get("/").text
    assert "张伟" in page
    assert "鉴定中心工作人员" in page


def test_behind_https_the_cookie_is_secure_and_of_this_host_alone(zhang, tmp_path, browser):
    site = write_site(tmp_path, web={"address": "https://kaozheng.example.edu"})
    app = create_app(open_station(load_site(site)))
    for base in ("https://kaozheng.example.edu", "http://kaozheng.example.edu"):
        client = browser(app, base=base)
        answer = sign_in_at(client)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-kaozheng=")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    assert browser(app, base="https://other.example.edu").get("/sign-in").status_code == 421


@pytest.mark.parametrize(
    ("account", "password"), [("zhang", "wrong-password"), ("nobody", PASSWORD), ("", ""), ("new", PASSWORD)]
)
def test_wrong_ones_are_answered_alike(station, zhang, browser, account, password):
    add_account(station, "new", "新人", Role.OFFICE, password=None, by="test")
    answer = sign_in_at(browser(), account, password)
    assert answer.status_code == 401
    assert "账号或密码不对" in answer.text
    assert "set-cookie" not in answer.headers


def test_an_unknown_account_costs_as_much_as_a_wrong_password(station, zhang):
    def cost(account: str) -> float:
        begun = time.process_time()
        check_password(station, account, "wrong-password", "10.0.0.1", AT)
        return time.process_time() - begun

    cost("nobody")  # the first makes the hash that stands in for none
    known, unknown = (min(cost(name) for _ in range(3)) for name in ("zhang", "nobody"))
    assert unknown > known / 2
    assert known > unknown / 2


def test_delays_grow_and_a_restart_does_not_end_them(station, zhang, tmp_path):
    for _ in range(4):
        assert check_password(station, "zhang", "wrong", "10.0.0.1", AT) == Denied(None)
    fifth = check_password(station, "zhang", "wrong", "10.0.0.1", AT)
    assert fifth == Denied(AT + timedelta(seconds=15))
    again = open_station(load_site(tmp_path / "site.yaml"))
    # Also the right one, also from elsewhere, until then.
    assert check_password(again, "zhang", PASSWORD, "10.9.9.9", AT + timedelta(seconds=14)) == fifth
    later = AT + timedelta(seconds=15)
    assert check_password(again, "zhang", "wrong", "10.0.0.1", later) == Denied(later + timedelta(seconds=30))
    locks = [one for one in records(again) if one["kind"] == "sign_in.locked"]
    assert [(one["account"], one["failures"]) for one in locks] == [("zhang", 5), ("zhang", 6)]
    right = check_password(again, "zhang", PASSWORD, "10.0.0.1", later + timedelta(seconds=30))
    assert right == Accepted("zhang", owes_code=False)
    assert check_password(again, "zhang", "wrong", "10.0.0.1", later + timedelta(seconds=31)) == Denied(None)


def test_after_a_hundred_in_a_row_only_a_reset_helps(station, zhang):
    check_password(station, "zhang", "wrong", "10.0.0.1", AT)
    with station.sessions.begin() as rows:
        for row in rows.scalars(select(FailedTries)):
            row.count = 98
    for hour in (1, 2):
        check_password(station, "zhang", "wrong", f"10.0.1.{hour}", AT + timedelta(hours=hour))
    far = AT + timedelta(days=400)
    assert isinstance(check_password(station, "zhang", PASSWORD, "10.0.0.2", far), Denied)
    locks = [one for one in records(station) if one["kind"] == "sign_in.locked"]
    assert [(one["failures"], one["until"] is None) for one in locks] == [(99, False), (100, True)]
    reset_password(station, "zhang", by="test")
    assert check_password(station, "zhang", PASSWORD, "10.0.0.2", far) == Denied(None)  # it is void


def test_one_address_that_tries_many_accounts_is_slowed_and_others_are_not(station, zhang):
    for number in range(20):
        check_password(station, f"guess{number}", "wrong", "2001:db8::1", AT)
    assert isinstance(check_password(station, "zhang", PASSWORD, "2001:db8::2", AT), Denied)
    assert check_password(station, "zhang", PASSWORD, "2001:db9::1", AT) == Accepted("zhang", False)
    (lock,) = [one for one in records(station) if one["kind"] == "sign_in.locked"]
    assert (lock["account"], lock["address"]) == ("", "2001:db8::1")


def test_what_was_typed_as_a_name_is_stored_nowhere(station, zhang, tmp_path):
    for _ in range(6):
        check_password(station, "my-secret-password-typed-too-early", "x", "10.0.0.1", AT)
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or b"typed-too-early" not in path.read_bytes(), path


def test_a_code_is_asked_for_and_taken_once(station, zhang, browser):
    secret = begin_totp(station, "zhang")
    totp = pyotp.TOTP(secret)
    confirm_totp(station, "zhang", totp.at(AT), AT, by="zhang")
    assert check_password(station, "zhang", PASSWORD, "10.0.0.1", AT) == Accepted("zhang", owes_code=True)
    # The code that turned it on was used then.
    assert check_code(station, "zhang", totp.at(AT), "10.0.0.1", AT) == Denied(None)
    later = AT + timedelta(seconds=60)
    assert check_code(station, "zhang", totp.at(later), "10.0.0.1", later) == Accepted("zhang", False)
    assert check_code(station, "zhang", totp.at(later), "10.0.0.1", later) == Denied(None)
    assert check_code(station, "zhang", "000000", "10.0.0.1", AT) == Denied(None)
    stored = station.sessions().connection().exec_driver_sql("SELECT totp_secret FROM accounts").scalar()
    assert secret not in stored


def test_a_password_alone_shows_nothing_while_a_code_is_owed(station, zhang, browser, send_form):
    secret = begin_totp(station, "zhang")
    totp = pyotp.TOTP(secret)
    codes = confirm_totp(station, "zhang", totp.at(AT), AT, by="zhang")
    client = browser()
    answer = sign_in_at(client, next="/account")
    assert answer.headers["location"] == "/sign-in/code?next=%2Faccount"
    half = client.cookies["kaozheng"]
    for path in ("/", "/account", "/footage"):
        assert client.get(path).headers["location"].startswith("/sign-in")
    assert client.get("/api/v1/status").status_code == 401
    wrong = send_form(client, "/sign-in/code", key_from="/sign-in/code", code="123")
    assert wrong.status_code == 401
    unsigned = client.post("/sign-in/code", data={"code": codes[0]})
    assert unsigned.status_code == 403
    right = send_form(
        client, "/sign-in/code", key_from="/sign-in/code", code=codes[0].upper(), next="/account"
    )
    assert (right.status_code, right.headers["location"]) == (303, "/account")
    # Rotated: the cookie of before the code is nobody's.
    assert client.cookies["kaozheng"] != half
    assert client.get("/account").status_code == 200
    old = browser()
    old.cookies.set("kaozheng", half)
    assert old.get("/sign-in/code").status_code == 303
    # A recovery code is used up.
    again = browser()
    sign_in_at(again)
    assert send_form(again, "/sign-in/code", key_from="/sign-in/code", code=codes[0]).status_code == 401
    assert send_form(again, "/sign-in/code", key_from="/sign-in/code", code=codes[1]).status_code == 303


def test_wrong_codes_are_counted_as_wrong_passwords_are(station, zhang):
    secret = begin_totp(station, "zhang")
    confirm_totp(station, "zhang", pyotp.TOTP(secret).at(AT), AT, by="zhang")
    for _ in range(5):
        # A right password between does not set the count back.
        check_password(station, "zhang", PASSWORD, "10.0.0.1", AT)
        answer = check_code(station, "zhang", "000000", "10.0.0.1", AT)
    assert answer == Denied(AT + timedelta(seconds=15))


def test_without_its_key_a_code_is_not_judged(station, zhang):
    secret = begin_totp(station, "zhang")
    confirm_totp(station, "zhang", pyotp.TOTP(secret).at(AT), AT, by="zhang")
    (station.state / "keys" / "totp.key").unlink()
    with pytest.raises(ServiceError, match="--off"):
        check_code(station, "zhang", "000000", "10.0.0.1", AT)


def test_a_sign_in_ends_when_idle_and_after_twelve_hours(station, zhang):
    secret = begin_sign_in(station, "zhang", AT)

    def is_in(at: datetime, attended: bool = True) -> bool:
        found = caller_of(station, cookie=secret, bearer=None, at=at, attended=attended)
        return found.actor is not None

    assert is_in(AT + timedelta(minutes=29))
    assert is_in(AT + timedelta(minutes=58))
    # A page that refreshes itself is no person.
    assert is_in(AT + timedelta(minutes=80), attended=False)
    assert not is_in(AT + timedelta(minutes=89))
    secret, at = begin_sign_in(station, "zhang", AT), AT
    while at < AT + timedelta(hours=12):
        assert is_in(at)
        at += timedelta(minutes=20)
    assert not is_in(at)
    assert not is_in(AT - timedelta(seconds=1))  # the clock was set back: it never began yet


def test_what_is_taken_away_is_gone_at_once(station, zhang):
    secret = begin_sign_in(station, "zhang", AT)

    def actor():
        return caller_of(station, cookie=secret, bearer=None, at=AT).actor

    change_account(station, "zhang", role=Role.OFFICE, by="test")
    assert actor().role is Role.OFFICE
    disable_account(station, "zhang", by="test")
    assert actor() is None


def test_a_database_that_takes_nothing_keeps_nobody_from_looking(station, zhang):
    secret = begin_sign_in(station, "zhang", AT)
    engine = station.sessions().get_bind()
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only=ON"))
    engine.dispose()
    for minutes in (5, 29):
        at = AT + timedelta(minutes=minutes)
        assert caller_of(station, cookie=secret, bearer=None, at=at).actor is not None
    assert caller_of(station, cookie=secret, bearer=None, at=AT + timedelta(minutes=31)).actor is None


def test_only_hashes_of_cookies_are_stored(station, zhang, tmp_path):
    secret = begin_sign_in(station, "zhang", AT)
    for path in (tmp_path / "state").rglob("*"):
        text = b"" if path.is_dir() else path.read_bytes()
        assert secret.encode() not in text
        assert PASSWORD.encode() not in text


def test_signing_out_ends_it_on_the_server_too(zhang, browser, send_form):
    client = browser()
    sign_in_at(client)
    kept = client.cookies["kaozheng"]
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out", data={"form_key": "0" * 64}).status_code == 403
    assert client.post("/sign-out", data={"x": "1"}).status_code == 403
    answer = send_form(client, "/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    other = browser()
    other.cookies.set("kaozheng", kept)
    assert other.get("/").status_code == 303


def test_a_new_password_signs_every_other_browser_out(station, zhang, browser, send_form):
    one, two = browser(), browser()
    sign_in_at(one)
    sign_in_at(two)
    fields = {"password": OTHER, "again": OTHER}
    assert send_form(one, "/account/password", present="wrong", **fields).status_code == 403
    assert send_form(one, "/account/password", present=PASSWORD, **fields).status_code == 303
    assert one.get("/account").status_code == 200
    assert two.get("/account").status_code == 303
    assert sign_in_at(browser()).status_code == 401
    assert sign_in_at(browser(), password=OTHER).status_code == 303
    assert records(station)[-1] | {"at": ""} == {
        "kind": "account.changed",
        "at": "",
        "account": "zhang",
        "name": "张伟",
        "role": "centre",
        "change": "password",
        "by": "zhang",
    }


def test_the_api_takes_a_cookie_only_with_the_forms_key(station, browser, sign_in):
    client = sign_in(browser(), station, "centre")
    body = {"room": "9-101", "from": "2090-11-23 10:00", "to": "2090-11-23 11:00"}
    key = client.headers.pop("X-Form-Key")
    assert client.post("/api/v1/windows", json=body).status_code == 403
    assert client.post("/api/v1/windows", json=body, headers={"X-Form-Key": key[:-1]}).status_code == 403
    evil = {"X-Form-Key": key, "Origin": "http://evil.example"}
    assert client.post("/api/v1/windows", json=body, headers=evil).status_code == 403
    assert client.post("/api/v1/windows", json=body, headers={"X-Form-Key": key}).status_code == 201


def test_a_page_of_elsewhere_signs_nobody_in(zhang, browser):
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        client = browser()
        answer = client.post("/sign-in", data={"account": "zhang", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert browser().post("/sign-in", data={"x": "1"}, headers={"Origin": HERE}).status_code == 401


@pytest.mark.parametrize(
    "evil",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:x", "/a\r\nb", ""],
)
def test_a_return_path_never_leads_elsewhere(evil):
    assert safe_path(evil) == "/"


def test_an_address_that_is_ours_is_returned_to():
    assert safe_path("/footage?room=9-101&at=09:00") == "/footage?room=9-101&at=09:00"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "at least 10"),
        ("1234567890", "first that are tried"),
        ("aaaaaaaaaaaa", "first that are tried"),
        ("Qwertyuiop", "first that are tried"),
        ("zhang.wei-zhang.wei", "names"),
        ("示范学院考点demo-college1", "names"),
        ("x" * 257, "longer"),
    ],
)
def test_weak_passwords_are_refused(station, password, why):
    with pytest.raises(UserError, match=why):
        add_account(station, "zhang.wei", "张伟", Role.ADMIN, password=password, by="test")
    assert station.log.size == 0


def test_a_password_needs_no_composition_and_may_be_a_sentence(station):
    sentence = "晨光照在操场的旧梧桐上"
    add_account(station, "li.na", "李娜", Role.HEAD, password=sentence, by="test")
    # The same text as another keyboard composes it.
    accented = "caf\u00e9 au lait du matin"
    add_account(station, "marie", "Marie", Role.OFFICE, password=accented, by="test")
    assert check_password(station, "Marie ", "cafe\u0301 au lait du matin", "10.0.0.1", AT) == Accepted(
        "marie", False
    )
    assert account_facts(station, "li.na").has_password
