"""What every answer carries, and which requests are answered at all."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import Request, Response

from kaozheng_service.web.problems import problem

HEADERS = {
    # Everything is ours: pages load nothing from elsewhere, run no inline code and are framed by nobody.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


# Only below this address is anything changed; what is asked fits into far less.
CHANGING = "/api/v1/windows"
MOST_BODY_BYTES = 64_000


async def guarded(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse foreign host names, and changes from elsewhere; then add the headers.

    A page elsewhere can point a name of its own at 127.0.0.1 (DNS rebinding) and read footage through the
    viewer's browser; its requests carry that name.
    """
    host = request.url.hostname or ""
    if not _is_this_machine(host):
        response: Response = problem(
            421,
            "这个地址不属于本机",
            f"the host name {host!r} is not this machine's; use its IP address, its own name, or localhost",
        )
    else:
        response = _refused_change(request) or await answer(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _refused_change(request: Request) -> Response | None:
    """Why this request may not change anything; None where it may, or only reads.

    There is no login yet, so who may change is who works on this machine. A browser sends JSON to another origin only
    after asking leave, which is never given; and it names the origin of the page.
    """
    if request.method in ("GET", "HEAD") or not request.url.path.startswith(CHANGING):
        return None
    headers = request.headers
    title = "不允许这样修改"
    if request.client is None or not _is_loopback(request.client.host):
        return problem(
            403, title, "windows are changed from the service's own machine only: http://127.0.0.1"
        )
    origin = headers.get("origin")
    if (origin is not None and urlsplit(origin).netloc != headers.get("host", "")) or headers.get(
        "sec-fetch-site", "same-origin"
    ) not in ("same-origin", "none"):
        return problem(403, title, "a page of another site may not change anything here")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return problem(415, title, "send JSON, with Content-Type: application/json")
    length = headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
        return problem(413, title, f"send at most {MOST_BODY_BYTES} bytes, their number in Content-Length")
    return None


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _is_this_machine(host: str) -> bool:
    own = socket.gethostname().lower()
    if host.lower() in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
