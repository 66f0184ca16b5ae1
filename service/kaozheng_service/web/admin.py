"""The administrator's pages: accounts and API tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import FastAPI, Form, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from kaozheng_service.access.accounts import (
    add_account,
    change_account,
    disable_account,
    enable_account,
    list_accounts,
    reset_password,
    turn_totp_off,
)
from kaozheng_service.access.actor import Role
from kaozheng_service.access.caller import Caller
from kaozheng_service.access.links import PASSWORD, link_address
from kaozheng_service.access.policy import Permission
from kaozheng_service.access.tokens import create_token, list_tokens, revoke_token
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

FRESH = {"Cache-Control": "no-store"}
Text = Annotated[str, Form(max_length=1000)]


def add_admin_pages(app: FastAPI, station: Station, templates: Jinja2Templates) -> None:
    """Put them on ``app``."""

    def accounts_page(request: Request, status: int = 200, **context: Any) -> Response:
        shown = {"page": "accounts", "accounts": list_accounts(station), "roles": list(Role), "fault": None}
        shown |= {"link": None, "link_of": None, "link_until": None} | context
        return templates.TemplateResponse(request, "accounts.html", shown, status_code=status, headers=FRESH)

    def with_link(request: Request, account: str) -> Response:
        facts, secret, until = reset_password(station, account, by=_by(request))
        base = station.site.web.address or str(request.base_url)
        link = link_address(base, PASSWORD, secret)
        return accounts_page(request, link=link, link_of=facts, link_until=until)

    @app.get("/accounts", response_class=HTMLResponse, include_in_schema=False)
    def accounts(request: Request) -> Response:
        return accounts_page(request)

    @app.post("/accounts", include_in_schema=False)
    def add(request: Request, account: Text = "", name: Text = "", role: Text = "") -> Response:
        """The account gets a link by which its owner sets the password: nobody else ever knows it."""
        try:
            facts = add_account(station, account, name, _role(role), password=None, by=_by(request))
            return with_link(request, facts.account)
        except UserError as error:
            return accounts_page(request, 400, fault=str(error))

    @app.post("/accounts/{account}", include_in_schema=False)
    def change(
        request: Request, account: str, action: Text = "", name: Text = "", role: Text = ""
    ) -> Response:
        by = _by(request)
        try:
            match action:
                case "change":
                    change_account(station, account, by=by, name=name, role=_role(role))
                case "disable":
                    disable_account(station, account, by=by)
                case "enable":
                    enable_account(station, account, by=by)
                case "totp_off":
                    turn_totp_off(station, account, by=by)
                case "reset":
                    return with_link(request, account)
                case _:
                    raise UserError(f"没有这个操作 · no such action: {action[:40]!r}")
        except UserError as error:
            return accounts_page(request, 400, fault=str(error))
        return RedirectResponse("/accounts", 303, headers=FRESH)

    def tokens_page(request: Request, status: int = 200, **context: Any) -> Response:
        shown = {
            "page": "tokens",
            "tokens": list_tokens(station),
            "accounts": [one for one in list_accounts(station) if one.disabled_at is None],
            "permissions": list(Permission),
            "present": now(),
            "fault": None,
            "secret": None,
            "made": None,
        }
        return templates.TemplateResponse(
            request, "tokens.html", shown | context, status_code=status, headers=FRESH
        )

    @app.get("/tokens", response_class=HTMLResponse, include_in_schema=False)
    def tokens(request: Request) -> Response:
        return tokens_page(request)

    @app.post("/tokens", include_in_schema=False)
    def make_token(
        request: Request,
        account: Text = "",
        name: Text = "",
        days: Text = "",
        scopes: Annotated[list[str] | None, Form(max_length=20)] = None,
    ) -> Response:
        try:
            known = {one.value: one for one in Permission}
            chosen = [known[scope] for scope in scopes or [] if scope in known]
            if not (days.isascii() and days.isdecimal()) or len(days) > 4:
                raise UserError("有效期须为整数天 · the length is a whole number of days")
            made, secret = create_token(
                station, account, name, chosen, timedelta(days=int(days)), by=_by(request)
            )
        except UserError as error:
            return tokens_page(request, 400, fault=str(error))
        return tokens_page(request, secret=secret, made=made)

    @app.post("/tokens/{token}/revoke", include_in_schema=False)
    def revoke(request: Request, token: Annotated[int, Path(ge=1, le=2**31)]) -> Response:
        try:
            revoke_token(station, token, by=_by(request))
        except UserError as error:
            return tokens_page(request, 400, fault=str(error))
        return RedirectResponse("/tokens", 303, headers=FRESH)


def _by(request: Request) -> str:
    caller: Caller = request.state.caller
    if caller.actor is None:  # the guard lets none through
        raise UserError("nobody is signed in")
    return caller.actor.account


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UserError(f"没有这个角色 · no role {text[:40]!r}; one of: {', '.join(Role)}") from None
