"""What every answer carries, and which requests are answered at all."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable

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


async def guarded(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse foreign host names, then add the headers.

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
        response = await answer(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _is_this_machine(host: str) -> bool:
    own = socket.gethostname().lower()
    if host.lower() in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
