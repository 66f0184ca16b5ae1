"""Every role against every endpoint, and what is not in the table is refused to all."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from kaozheng_service.access.actor import Role
from kaozheng_service.access.policy import ENDPOINTS
from kaozheng_service.web.app import create_app
from starlette.routing import Route

ALL = set(Role)
FOOTAGE = {Role.CENTRE, Role.HEAD, Role.OFFICE, Role.QUALITY, Role.INSPECTOR}
ADMIN = {Role.ADMIN}
NOBODY_TOO = ALL | {None}

# Written out by hand, not made from the policy: what the domain says each role may do.
ALLOWED: dict[tuple[str, str], set[Any]] = {
    ("GET", "/"): ALL,
    ("GET", "/api/v1/status"): ALL,
    ("GET", "/api/v1/windows"): ALL,
    ("POST", "/api/v1/windows"): {Role.EXAM_STAFF, Role.CENTRE},
    ("POST", "/api/v1/windows/w-1/cancel"): {Role.EXAM_STAFF, Role.CENTRE},
    ("GET", "/api/v1/sheets/w-1.pdf"): ALL - ADMIN,
    ("GET", "/footage"): FOOTAGE,
    ("GET", "/api/v1/find?room=9-101&at=09:00"): FOOTAGE,
    ("GET", "/api/v1/clips/w/c/take-0001/1-2.mp4"): FOOTAGE,
    ("GET", "/healthz"): NOBODY_TOO,
    ("POST", "/witness/add-checkpoint"): NOBODY_TOO,
    ("GET", "/readyz"): ADMIN,
    ("GET", "/metrics"): ADMIN,
    ("GET", "/static/pages.css"): NOBODY_TOO,
    ("GET", "/api/v1/openapi.json"): NOBODY_TOO,
    ("GET", "/sign-in"): NOBODY_TOO,
    ("POST", "/sign-in"): NOBODY_TOO,
    ("POST", "/sign-in/token"): NOBODY_TOO,
    ("GET", "/sign-in/code"): set(),
    ("POST", "/sign-in/code"): set(),
    ("POST", "/sign-out"): ALL,
    ("GET", "/set-up"): NOBODY_TOO,
    ("POST", "/set-up"): NOBODY_TOO,
    ("GET", "/password"): NOBODY_TOO,
    ("POST", "/password"): NOBODY_TOO,
    ("GET", "/account"): ALL,
    ("POST", "/account/password"): ALL,
    ("POST", "/account/sign-outs"): ALL,
    ("POST", "/account/totp/begin"): ALL,
    ("POST", "/account/totp/confirm"): ALL,
    ("POST", "/account/totp/off"): ALL,
    ("GET", "/accounts"): ADMIN,
    ("POST", "/accounts"): ADMIN,
    ("POST", "/accounts/nobody"): ADMIN,
    ("GET", "/tokens"): ADMIN,
    ("POST", "/tokens"): ADMIN,
    ("POST", "/tokens/1/revoke"): ADMIN,
}


def template_of(app: FastAPI, method: str, path: str) -> str:
    from starlette.routing import Match

    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return next(str(route.path) for route in app.routes if route.matches(scope)[0] is Match.FULL)


def test_the_table_of_this_test_and_of_the_policy_name_the_same_endpoints(station):
    app = create_app(station)
    named = {(method, template_of(app, method, path.partition("?")[0])) for method, path in ALLOWED}
    assert named == set(ENDPOINTS)


def test_every_endpoint_of_the_service_is_in_the_policy(station):
    app = create_app(station)
    served = {
        (method, route.path)
        for route in app.routes
        for method in (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
    }
    assert served == set(ENDPOINTS)


@pytest.mark.parametrize("role", [None, *Role])
def test_each_endpoint_answers_exactly_the_roles_that_may(station, browser, sign_in, role):
    # From another machine: from this one monitoring needs no sign-in.
    app = create_app(station)
    wrong = []
    for (method, path), allowed in ALLOWED.items():
        client = browser(app, client=("10.0.0.9", 50000))
        client.headers["Accept"] = "application/json"
        if role is not None:
            sign_in(client, station, role.value)
        body = {"json": {}} if path.startswith("/api/") else {"data": {"x": "1"}}
        answer = client.request(method, path, **(body if method == "POST" else {}))
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        refused_by_gate = is_problem and answer.json().get("needs")
        # A clip's and a page's own "no" are no refusals of the gate.
        if refused_by_gate:
            assert answer.status_code == (401 if role is None else 403)
            assert all(need["chinese"] and need["english"] for need in answer.json()["needs"])
        if bool(refused_by_gate) == (role in allowed):
            wrong.append((method, path, answer.status_code))
    assert wrong == []


def test_an_endpoint_that_nobody_put_into_the_policy_is_refused_to_everyone(station, browser, sign_in):
    app = create_app(station)
    app.get("/api/v1/new")(lambda: "secret")
    router = APIRouter(prefix="/api/v1/included")
    router.get("")(lambda: "secret")
    app.include_router(router)
    app.router.routes.append(Route("/api/v1/raw", lambda request: PlainTextResponse("secret")))
    app.mount("/api/v1/mounted", FastAPI())
    # Lies under a template that is in the policy, and comes before it.
    app.get("/api/v1/sheets/{window}.pdf/pages")(lambda window: "secret")
    for role in (None, *Role):
        client = browser(app)
        if role is not None:
            sign_in(client, station, role.value)
        for path in ("new", "included", "raw", "mounted/x", "sheets/w.pdf/pages"):
            answer = client.get(f"/api/v1/{path}", headers={"Accept": "application/json"})
            assert answer.status_code == 403, (role, path)
            assert answer.json()["needs"][0]["kind"] == "policy"
            assert "secret" not in answer.text


def test_another_method_on_a_known_address_is_not_let_through(station, browser, sign_in):
    client = sign_in(browser(), station, "admin")
    assert client.delete("/accounts/admin").status_code == 405
    assert client.put("/api/v1/windows").status_code == 405


def test_people_are_led_to_the_sign_in_and_back_and_programs_are_told(browser):
    page = browser().get("/footage?room=9-101&at=09:00")
    assert page.status_code == 303
    assert page.headers["location"] == "/sign-in?next=%2Ffootage%3Froom%3D9-101%26at%3D09%3A00"
    api = browser().get("/api/v1/status", headers={"Accept": "text/html"})
    assert api.status_code == 401
    assert api.headers["www-authenticate"].startswith("Bearer")
    assert api.json()["needs"][0]["kind"] == "sign_in"


def test_a_refused_page_says_what_is_needed_and_who_gives_it(station, browser, sign_in):
    page = sign_in(browser(), station, "exam_staff").get("/footage")
    assert page.status_code == 403
    assert "查找录像" in page.text
    assert "鉴定中心负责人" in page.text
    assert "由谁给：系统管理员" in page.text


def test_monitoring_needs_no_token_on_the_machine_and_one_elsewhere(station, browser):
    for path in ("/metrics", "/readyz"):
        assert browser().get(path, headers={"Accept": "*/*"}).status_code in (200, 503)
        there = browser(client=("10.0.0.9", 50000))
        assert there.get(path, headers={"Accept": "*/*"}).status_code == 401
    assert browser(client=("10.0.0.9", 50000)).get("/healthz").status_code == 200
