"""The pages of signing in and out, of the first account, and of a password set by a one-time link."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from kaozheng_service.access.accounts import account_facts, add_account, set_password
from kaozheng_service.access.actor import Role
from kaozheng_service.access.authenticate import Accepted, Denied, check_code, check_password
from kaozheng_service.access.caller import Caller
from kaozheng_service.access.links import PASSWORD, SET_UP, give_back, look_at_link, use_link
from kaozheng_service.access.passwords import SHORTEST
from kaozheng_service.access.sign_ins import begin_screen, begin_sign_in, end_sign_in
from kaozheng_service.access.throttle import NEVER, count_failure, locked_until
from kaozheng_service.access.tokens import token_of
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station
from kaozheng_service.web.cookies import drop_cookie, set_cookie

log = structlog.get_logger()
FRESH = {"Cache-Control": "no-store"}
Text = Annotated[str, Form(max_length=1000)]
# What is wrong with a token's sign-in counts against its address; no account has this name.
_TOKENS = ":token"


def safe_path(text: str) -> str:
    """Where to go after signing in: a path of ours, never another site's."""
    sound = (
        text.startswith("/")
        and not text.startswith(("//", "/\\", "/sign-in", "/sign-out"))
        and text.isprintable()
        and "\\" not in text
        and len(text) <= 2000
    )
    return text if sound else "/"


def add_sign_in_pages(app: FastAPI, station: Station, templates: Jinja2Templates) -> None:
    """Put these pages on ``app``."""

    def page(request: Request, template: str, status: int = 200, **context: Any) -> Response:
        shown = {"page": "sign-in", "fault": None, "shortest": SHORTEST, **context}
        return templates.TemplateResponse(request, template, shown, status_code=status, headers=FRESH)

    def signed_in(request: Request, secret: str, there: str, *, lasts_s: int | None = None) -> Response:
        """Nothing of an earlier sign-in of this browser is taken over: it ends."""
        _end_earlier(request, station)
        response = RedirectResponse(there, 303, headers=FRESH)
        set_cookie(request, response, secret, lasts_s=lasts_s)
        return response

    @app.get("/sign-in", response_class=HTMLResponse, include_in_schema=False)
    def sign_in_page(request: Request, next: str = "/") -> Response:
        return page(request, "sign_in.html", next=safe_path(next), account="", unsafe=_unsafe(request))

    @app.post("/sign-in", include_in_schema=False)
    def sign_in(
        request: Request,
        account: Text = "",
        password: Text = "",
        next: Text = "/",
    ) -> Response:
        there, at = safe_path(next), now()
        result = check_password(station, account, password, _address(request), at)
        if isinstance(result, Denied):
            log.warning("sign-in refused", address=_address(request))
            fault = _denied(station, result, "账号或密码不对 · wrong account or password")
            status = 429 if result.locked_until else 401
            context = {"next": there, "account": account, "unsafe": _unsafe(request)}
            return page(request, "sign_in.html", status, fault=fault, **context)
        secret = begin_sign_in(station, result.account, at, owes_code=result.owes_code)
        if result.owes_code:
            there = f"/sign-in/code?next={quote(there, safe='')}"
        else:
            log.info("signed in", account=result.account, address=_address(request))
        return signed_in(request, secret, there)

    @app.get("/sign-in/code", response_class=HTMLResponse, include_in_schema=False)
    def code_page(request: Request, next: str = "/") -> Response:
        return page(request, "sign_in_code.html", next=safe_path(next))

    @app.post("/sign-in/code", include_in_schema=False)
    def code(request: Request, code: Text = "", next: Text = "/") -> Response:
        there, at = safe_path(next), now()
        account = _caller(request).owes_code
        result = check_code(station, account, code, _address(request), at)
        if not isinstance(result, Accepted):
            fault = _denied(station, result, "动态码不对或已用过 · wrong code, or one that was used")
            status = 429 if result.locked_until else 401
            return page(request, "sign_in_code.html", status, fault=fault, next=there)
        log.info("signed in", account=account, address=_address(request))
        return signed_in(request, begin_sign_in(station, account, at), there)

    @app.post("/sign-in/token", include_in_schema=False)
    def screen(request: Request, secret: Text = "") -> Response:
        """A wall screen: signed in by an API token, for as long as that lasts."""
        at, address = now(), _address(request)
        with station.sessions.begin() as rows:
            until = locked_until(rows, _TOKENS + address, address, at)
            token = token_of(rows, secret, at) if until is None else None
            if until is None and token is None:
                count_failure(rows, station, _TOKENS + address, address, at)
                until = locked_until(rows, _TOKENS + address, address, at)
        if token is None:
            fault = _denied(station, Denied(until), "令牌无效或已过期 · this token is void or expired")
            context = {"next": "/", "account": "", "unsafe": _unsafe(request)}
            return page(request, "sign_in.html", 429 if until else 401, fault=fault, **context)
        lasts_s = int((token.expires_at - at).total_seconds())
        return signed_in(request, begin_screen(station, token, at), "/", lasts_s=lasts_s)

    @app.post("/sign-out", include_in_schema=False)
    def sign_out(request: Request) -> Response:
        _end_earlier(request, station)
        response = RedirectResponse("/sign-in", 303, headers=FRESH)
        drop_cookie(request, response)
        return response

    @app.get("/set-up", response_class=HTMLResponse, include_in_schema=False)
    def set_up_page(request: Request, key: str = "") -> Response:
        try:
            look_at_link(station, SET_UP, key)
        except UserError as error:
            return page(request, "set_up.html", 410, fault=str(error), link_key=None, account="", name="")
        return page(request, "set_up.html", link_key=key, account="", name="")

    @app.post("/set-up", include_in_schema=False)
    def set_up(
        request: Request,
        key: Text = "",
        account: Text = "",
        name: Text = "",
        password: Text = "",
        again: Text = "",
    ) -> Response:
        try:
            use_link(station, SET_UP, key)
        except UserError as error:
            return page(request, "set_up.html", 410, fault=str(error), link_key=None, account="", name="")
        try:
            _same(password, again)
            facts = add_account(station, account, name, Role.ADMIN, password=password, by="set-up link")
        except UserError as error:
            give_back(station, key)
            return page(
                request, "set_up.html", 400, fault=str(error), link_key=key, account=account, name=name
            )
        log.info("first account made", account=facts.account, address=_address(request))
        return signed_in(request, begin_sign_in(station, facts.account, now()), "/accounts")

    @app.get("/password", response_class=HTMLResponse, include_in_schema=False)
    def password_page(request: Request, key: str = "") -> Response:
        try:
            account = look_at_link(station, PASSWORD, key) or ""
        except UserError as error:
            return page(request, "set_password.html", 410, fault=str(error), link_key=None, account="")
        return page(request, "set_password.html", link_key=key, account=account)

    @app.post("/password", include_in_schema=False)
    def new_password(request: Request, key: Text = "", password: Text = "", again: Text = "") -> Response:
        try:
            account = use_link(station, PASSWORD, key) or ""
        except UserError as error:
            return page(request, "set_password.html", 410, fault=str(error), link_key=None, account="")
        try:
            _same(password, again)
            set_password(station, account, password, by=account)
        except UserError as error:
            give_back(station, key)
            return page(request, "set_password.html", 400, fault=str(error), link_key=key, account=account)
        facts = account_facts(station, account)
        log.info("password set by link", account=facts.account, address=_address(request))
        return RedirectResponse("/sign-in", 303, headers=FRESH)


def _denied(station: Station, denied: Denied, wrong: str) -> str:
    if denied.locked_until is None:
        return wrong
    if denied.locked_until == NEVER:
        return (
            "连续错误过多，账号已锁定，须由系统管理员重置密码 · locked after too many wrong attempts; "
            "an administrator must reset the password"
        )
    clock = denied.locked_until.astimezone(station.site.zone).strftime("%H:%M:%S")
    return f"尝试过多，{clock} 之后再试 · too many attempts; try again after {clock}"


def _same(password: str, again: str) -> None:
    if password != again:
        raise UserError("两次密码不一致 · the two passwords differ; type the same twice")


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _end_earlier(request: Request, station: Station) -> None:
    earlier = _caller(request).sign_in_id
    if earlier is not None:
        end_sign_in(station, earlier)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _unsafe(request: Request) -> bool:
    """Whether what is typed travels in the clear through a network."""
    local = (request.url.hostname or "") in ("localhost", "127.0.0.1", "::1")
    return request.url.scheme != "https" and not local
