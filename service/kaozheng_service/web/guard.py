"""What every answer carries, and which requests are answered at all: the right host, a sound form, one who may."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from kaozheng_service.access.caller import NOBODY, Caller, caller_of
from kaozheng_service.access.policy import (
    FROM_THE_MACHINE,
    UNATTENDED,
    Anyone,
    Permission,
    requirement,
)
from kaozheng_service.access.words import need_of
from kaozheng_service.clock import now
from kaozheng_service.station import Station
from kaozheng_service.web.cookies import FORM_FIELD, FORM_HEADER, cookie_of
from kaozheng_service.web.problems import problem
from kaozheng_service.web.refusals import forbidden, is_for_people, problem_of_needs
from kaozheng_service.web.witness import ADDRESS as WITNESS

HEADERS = {
    # Everything is ours: pages load nothing from elsewhere, run no inline code and are framed by nobody.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # To none but ourselves; under "no-referrer" browsers send our own forms with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

# What is asked to be changed fits into far less.
MOST_BODY_BYTES = 64_000
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_READING = ("GET", "HEAD", "OPTIONS")

Answer = Callable[[Request], Awaitable[Response]]


class Guard:
    """The one gate of all requests; an HTTP middleware.

    A page elsewhere can point a name of its own at 127.0.0.1 (DNS rebinding) and read footage through the
    viewer's browser; its requests carry that name, so foreign host names are refused first.
    """

    def __init__(self, station: Station, templates: Jinja2Templates) -> None:
        self._station = station
        self._public_host = station.site.web.host
        self._public_origin = station.site.web.address
        self._templates = templates

    async def __call__(self, request: Request, answer: Answer) -> Response:
        request.state.caller = NOBODY
        response = await self._refused(request) or await answer(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _refused(self, request: Request) -> Response | None:
        """Why this request is not answered; None where it is. Sets ``request.state.caller``."""
        host = (request.url.hostname or "").lower()
        if not (_is_this_machine(host) or (host and host == self._public_host)):
            return problem(
                421,
                "这个地址不属于本机",
                f"the host name {host!r} is not this machine's; use its IP address, its own name, or localhost, "
                "or name it in the site file under web: address",
            )
        found, template = _route(request)
        if not found:
            return None  # there is no such address, or it does not take this method: the router says which
        if request.method not in _READING and (fault := self._unsound(request)) is not None:
            return fault
        method = "GET" if request.method == "HEAD" else request.method
        needed = requirement(method, template)
        caller = request.state.caller = await run_in_threadpool(self._caller, request, (method, template))
        if (method, template) in FROM_THE_MACHINE and self._is_local(request, host):
            return None
        if not caller.may(needed):
            return self._not_allowed(request, caller, needed)
        if request.method not in _READING and needed is not Anyone.OPEN and caller.form_key:
            return await _forged(request, caller)
        return None

    def _caller(self, request: Request, endpoint: tuple[str, str]) -> Caller:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        return caller_of(
            self._station,
            cookie=cookie_of(request),
            bearer=bearer.strip() if scheme.lower() == "bearer" else None,
            at=now(),
            attended=endpoint not in UNATTENDED,
        )

    def _not_allowed(self, request: Request, caller: Caller, needed: Permission | Anyone | None) -> Response:
        if caller.actor is None and needed is not None:
            if is_for_people(request):
                if request.method not in _READING:
                    return RedirectResponse("/sign-in", 303)
                there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                where = "/sign-in/code" if caller.owes_code and needed is Anyone.PENDING else "/sign-in"
                return RedirectResponse(f"{where}?next={quote(there, safe='')}", 303)
            return problem_of_needs(401, "请先登录", (need_of(Anyone.SIGNED_IN), need_of(needed)))
        return forbidden(self._templates, request, (need_of(needed),))

    def _unsound(self, request: Request) -> Response | None:
        """Changes come from pages of ours or from programs, in a form and size that is meant. A browser sends JSON to
        another origin only after asking leave, which is never given; and it names the origin of the page.
        """
        headers = request.headers
        title = "不允许这样修改"
        origin = headers.get("origin")
        own = origin is None or origin == self._public_origin or _names_host(origin, headers.get("host", ""))
        if not own or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return problem(403, title, "a page of another site may not change anything here")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = _JSON if request.url.path.startswith("/api/") else _FORM
        if kind != wanted and request.url.path != WITNESS:
            return problem(415, title, f"send it with Content-Type: {wanted}")
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdecimal()) or int(length) > MOST_BODY_BYTES:
            return problem(
                413, title, f"send at most {MOST_BODY_BYTES} bytes, their number in Content-Length"
            )
        return None

    def _is_local(self, request: Request, host: str) -> bool:
        """Whether the machine itself asks, and not somebody through the proxy that stands on it."""
        return request.client is not None and _is_loopback(request.client.host) and host != self._public_host


async def _forged(request: Request, caller: Caller) -> Response | None:
    """A cookie goes along with whatever makes a browser send a request; the form's key is on our pages alone."""
    key = request.headers.get(FORM_HEADER)
    if key is None and not request.url.path.startswith("/api/"):
        await request.body()  # kept, so that the endpoint reads it again
        field = (await request.form()).get(FORM_FIELD)
        key = field if isinstance(field, str) else None
    if key is not None and secrets.compare_digest(key.encode(), caller.form_key.encode()):
        return None
    return problem(
        403,
        "表单已失效",
        f"the form's key is missing or of another sign-in; open the page anew (programs: header {FORM_HEADER}, "
        "or a token instead of a cookie)",
    )


def _route(request: Request) -> tuple[bool, str]:
    """Whether an endpoint takes this path and method, and its path template ("" where it has none of its own)."""
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is Match.FULL:
            return True, str(getattr(route, "path", None) or "")
    return False, ""


def _names_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _is_this_machine(host: str) -> bool:
    own = socket.gethostname().lower()
    if host in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
