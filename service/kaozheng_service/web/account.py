"""The page of one's own account: password, one-time codes, and where else it is signed in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from kaozheng_service.access.accounts import account_facts, set_password, turn_totp_off
from kaozheng_service.access.authenticate import (
    Denied,
    begin_totp,
    check_password,
    confirm_totp,
    pending_totp,
)
from kaozheng_service.access.caller import Caller
from kaozheng_service.access.passwords import SHORTEST
from kaozheng_service.access.sign_ins import begin_sign_in, end_sign_ins
from kaozheng_service.access.totp import totp_address, totp_picture
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station
from kaozheng_service.web.cookies import set_cookie

FRESH = {"Cache-Control": "no-store"}
Text = Annotated[str, Form(max_length=1000)]
_WRONG = "当前密码不对，或尝试过多 · the present password is wrong, or there were too many attempts"


def add_account_page(app: FastAPI, station: Station, templates: Jinja2Templates) -> None:
    """Put it on ``app``."""

    def page(request: Request, status: int = 200, **context: Any) -> Response:
        shown: dict[str, Any] = {
            "page": "account",
            "facts": account_facts(station, _account(request)),
            "fault": None,
            "done": None,
            "secret": None,
            "picture": None,
            "codes": None,
            "shortest": SHORTEST,
        }
        return templates.TemplateResponse(
            request, "account.html", shown | context, status_code=status, headers=FRESH
        )

    def is_person(request: Request, password: str) -> bool:
        """What is changed of a sign-in asks for the password again: the browser may stand open."""
        address = request.client.host if request.client is not None else ""
        return not isinstance(check_password(station, _account(request), password, address, now()), Denied)

    def enrolling(request: Request, status: int = 200, fault: str | None = None) -> Response:
        secret = pending_totp(station, _account(request))
        if secret is None:
            return page(request, 400, fault="请重新开始 · begin anew")
        address = totp_address(secret, _account(request), station.site.name)
        picture = Markup(totp_picture(address))  # noqa: S704 - an SVG of our own making
        return page(request, status, fault=fault, secret=secret, picture=picture)

    @app.get("/account", response_class=HTMLResponse, include_in_schema=False)
    def own_account(request: Request) -> Response:
        return page(request)

    @app.post("/account/password", include_in_schema=False)
    def change_password(
        request: Request, present: Text = "", password: Text = "", again: Text = ""
    ) -> Response:
        account = _account(request)
        if not is_person(request, present):
            return page(request, 403, fault=_WRONG)
        try:
            if password != again:
                raise UserError("两次密码不一致 · the two passwords differ; type the same twice")
            set_password(station, account, password, by=account)
        except UserError as error:
            return page(request, 400, fault=str(error))
        response = RedirectResponse("/account", 303, headers=FRESH)
        set_cookie(request, response, begin_sign_in(station, account, now()))
        return response

    @app.post("/account/sign-outs", include_in_schema=False)
    def sign_out_elsewhere(request: Request) -> Response:
        caller: Caller = request.state.caller
        with station.sessions.begin() as rows:
            end_sign_ins(rows, _account(request), but=caller.sign_in_id)
        return page(request, done="其他浏览器均已退出 · signed out everywhere else")

    @app.post("/account/totp/begin", include_in_schema=False)
    def begin(request: Request, present: Text = "") -> Response:
        if not is_person(request, present):
            return page(request, 403, fault=_WRONG)
        begin_totp(station, _account(request))
        return enrolling(request)

    @app.post("/account/totp/confirm", include_in_schema=False)
    def confirm(request: Request, code: Text = "") -> Response:
        account = _account(request)
        try:
            codes = confirm_totp(station, account, code, now(), by=account)
        except UserError as error:
            return enrolling(request, 400, str(error))
        return page(request, codes=codes, done="动态码已启用 · one-time codes are on")

    @app.post("/account/totp/off", include_in_schema=False)
    def off(request: Request, present: Text = "") -> Response:
        if not is_person(request, present):
            return page(request, 403, fault=_WRONG)
        turn_totp_off(station, _account(request), by=_account(request))
        return page(request, done="动态码已停用 · one-time codes are off")


def _account(request: Request) -> str:
    caller: Caller = request.state.caller
    if caller.actor is None:  # the guard lets none through
        raise UserError("nobody is signed in")
    return caller.actor.account
