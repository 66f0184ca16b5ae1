"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import Response

from kaozheng_service.disputes.find import UnknownNameError
from kaozheng_service.errors import ServiceError, UserError


def problem(
    status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> Response:
    """An ``application/problem+json`` answer. ``detail`` says what, where, and what to do next."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(
        json.dumps(body, ensure_ascii=False),
        status_code=status,
        media_type="application/problem+json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def problem_of(error: ServiceError) -> Response:
    """404 for a name that is not there, 400 for other input, 503 for what the service could not do."""
    status = status_of(error)
    return problem(status, _TITLES.get(status, HTTPStatus(status).phrase), str(error))


def status_of(error: ServiceError) -> int:
    if isinstance(error, UnknownNameError):
        return 404
    return 400 if isinstance(error, UserError) else 503


_TITLES = {400: "请求有误", 404: "没有找到", 503: "暂时无法完成"}
