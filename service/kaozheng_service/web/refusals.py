"""Refusals that say what is needed and who can give it: a page for people, problem details for programs."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

from kaozheng_service.access.grants import Need
from kaozheng_service.access.words import role_english
from kaozheng_service.web.problems import problem

TITLE = "没有权限"


def is_for_people(request: Request) -> bool:
    """Whether a browser shows the answer as a page."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def forbidden(templates: Jinja2Templates, request: Request, needs: tuple[Need, ...]) -> Response:
    """403, with each need and who can give it."""
    if not is_for_people(request):
        return problem_of_needs(403, TITLE, needs)
    return templates.TemplateResponse(
        request,
        "refused.html",
        {"page": "refused", "needs": needs, "title": TITLE},
        status_code=403,
        headers={"Cache-Control": "no-store"},
    )


def problem_of_needs(status: int, title: str, needs: tuple[Need, ...]) -> Response:
    """RFC 9457 with the member ``needs``: ``kind``, ``chinese``, ``english``, ``given_by`` (roles) of each."""
    words = [
        one.english + (f" (from: {', '.join(map(role_english, one.given_by))})" if one.given_by else "")
        for one in needs
    ]
    members = [
        {
            "kind": one.kind,
            "chinese": one.chinese,
            "english": one.english,
            "given_by": [role.value for role in one.given_by],
        }
        for one in needs
    ]
    headers = {"WWW-Authenticate": 'Bearer realm="kaozheng"'} if status == 401 else {}
    return problem(status, title, f"it takes {'; '.join(words)}", needs=members, headers=headers)
