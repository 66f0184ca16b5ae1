"""The cookie of a browser that is signed in, and where the form's key stands."""

from __future__ import annotations

from fastapi import Request, Response

from kaozheng_service.access.sign_ins import LONGEST

# RFC 6265bis, 4.1.3.2: browsers take a name with this prefix over https alone, for this host and all its paths.
_SECURE_NAME, _PLAIN_NAME = "__Host-kaozheng", "kaozheng"
FORM_FIELD, FORM_HEADER = "form_key", "X-Form-Key"


def cookie_of(request: Request) -> str | None:
    return request.cookies.get(_name(request))


def set_cookie(request: Request, response: Response, secret: str, *, lasts_s: int | None = None) -> None:
    """``lasts_s``: over the browser's end, for screens; else it is forgotten with the browser, or after 12 h."""
    response.set_cookie(
        _name(request),
        secret,
        max_age=lasts_s if lasts_s is not None else int(LONGEST.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response) -> None:
    response.delete_cookie(
        _name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax"
    )


def _name(request: Request) -> str:
    return _SECURE_NAME if _is_secure(request) else _PLAIN_NAME


def _is_secure(request: Request) -> bool:
    """As the browser sees it: by the scheme that the proxy names, or the site file's address."""
    address = request.app.state.public_address
    return request.url.scheme == "https" or (
        address is not None
        and address.scheme == "https"
        and (request.url.hostname or "").lower() == address.hostname
    )
