"""The API's OpenAPI description: what each endpoint answers, how it refuses, and how to sign in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from kaozheng_service.access.policy import Anyone, requirement
from kaozheng_service.web.cookies import FORM_HEADER

_JSON, _PROBLEM = "application/json", "application/problem+json"
_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_MOMENT: dict[str, Any] = {"type": "string", "format": "date-time", "examples": ["2024-11-23T01:00:00.000Z"]}
_OBJECT: dict[str, Any] = {"type": "object"}
_MAYBE_OBJECT: dict[str, Any] = {"type": ["object", "null"]}
_OBJECTS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
_YES_NO: dict[str, Any] = {"type": "boolean"}

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details. `detail` says what, where, and what to do next.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "needs": {
            "type": "array",
            "description": "of a refusal: what is needed, and the roles that can give it",
            "items": {
                "type": "object",
                "required": ["kind", "chinese", "english", "given_by"],
                "properties": {
                    "kind": _TEXT,
                    "chinese": _TEXT,
                    "english": _TEXT,
                    "given_by": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "没有权限",
            "status": 403,
            "detail": "it takes the approval of the head of the appraisal centre (from: head of the appraisal centre)",
        }
    ],
}


def _body(schema: str, **members: dict[str, Any]) -> dict[str, Any]:
    """A JSON object of which each of ``members`` is always there; later versions may add others."""
    properties = {"schema": {"const": schema}} | {name.rstrip("_"): one for name, one in members.items()}
    return {"type": "object", "required": list(properties), "properties": properties}


_WINDOW = {
    "id": _TEXT,
    "room": _TEXT,
    "kind": _TEXT,
    "title": _TEXT,
    "cameras": {"type": "array", "items": {"type": "string"}},
    "from": _MOMENT,
    "to": _MOMENT,
    "state": _TEXT,
    "cancelled": _MAYBE_OBJECT,
}
_BINARY = {"type": "string", "format": "binary"}

# By operation: the good answers, and which refusals it has beside those that all have.
_ANSWERS: dict[tuple[str, str], dict[int, tuple[str, dict[str, Any], str]]] = {
    ("get", "/api/v1/status"): {
        200: (
            _JSON,
            _body(
                "kaozheng/status/1",
                at=_MOMENT,
                site=_OBJECT,
                day=_OBJECT,
                daemon=_OBJECT,
                rooms=_OBJECTS,
                windows=_OBJECTS,
                next_window=_MAYBE_OBJECT,
                gaps=_OBJECTS,
                alarms=_OBJECTS,
                disk=_OBJECT,
                timetable=_MAYBE_OBJECT,
                log=_OBJECT,
            ),
            "what is recorded now, and a day's windows, gaps and alarms",
        )
    },
    ("get", "/api/v1/find"): {
        200: (
            _JSON,
            _body(
                "kaozheng/find/1",
                room=_TEXT,
                room_name=_TEXT,
                seat=_MAYBE,
                at=_MOMENT,
                until=_MOMENT,
                from_=_MOMENT,
                to=_MOMENT,
                found=_YES_NO,
                windows=_OBJECTS,
                cameras=_OBJECTS,
                blind_cameras=_OBJECTS,
                nearest_before=_MAYBE_OBJECT,
                nearest_after=_MAYBE_OBJECT,
            ),
            "the footage of a room or seat about a moment, without its pictures",
        )
    },
    ("get", "/api/v1/windows"): {
        200: (_JSON, _body("kaozheng/windows/1", windows=_OBJECTS), "windows, the earliest first")
    },
    ("post", "/api/v1/windows"): {
        201: (_JSON, _body("kaozheng/window/1", **_WINDOW), "the window as stored")
    },
    ("post", "/api/v1/windows/{window_id}/cancel"): {
        200: (_JSON, _body("kaozheng/window/1", **_WINDOW), "the window, cancelled or stopped")
    },
    ("get", "/api/v1/clips/{take}/{first}-{last}.mp4"): {
        200: ("video/mp4", _BINARY, "the clip"),
        206: ("video/mp4", _BINARY, "the range that was asked for"),
    },
    ("get", "/api/v1/sheets/{window}.pdf"): {
        200: ("application/pdf", _BINARY, "the sheet as it was printed")
    },
    ("get", "/healthz"): {200: (_JSON, _body("kaozheng/health/1", alive=_YES_NO), "the process answers")},
    ("get", "/readyz"): {
        status: (
            _JSON,
            _body("kaozheng/ready/1", ready=_YES_NO, reasons={"type": "array", "items": _TEXT}),
            words,
        )
        for status, words in ((200, "fit to record"), (503, "not fit to record, with every reason"))
    },
    ("get", "/metrics"): {200: ("text/plain", _TEXT, "numbers in Prometheus' text format")},
}
_PROBLEMS = {
    400: "the request cannot be meant",
    401: "nobody is signed in",
    403: "the role or a grant is missing; `needs` says what and who gives it",
    404: "there is no such room, seat, window or footage",
    413: "the body is too long",
    415: "the body is of another type",
    421: "the host name is not this service's",
    500: "the service failed; its log has the cause",
    503: "it cannot be done now",
}
_BODIES_ALONE = (413, 415)


def describe(app: FastAPI) -> None:
    """Make ``app`` answer with the whole description."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    # As FastAPI's documentation shows.
    app.openapi = openapi  # type: ignore[method-assign]


def _description(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = get_openapi(title="kaozheng", version="1", routes=app.routes)
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    for left_over in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(left_over, None)
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "an API token: kaozheng token create",
        },
        "browser": {
            "type": "apiKey",
            "in": "cookie",
            "name": "kaozheng",
            "description": f"a browser that is signed in; what changes something carries {FORM_HEADER} too. "
            "Over https the cookie is `__Host-kaozheng`.",
        },
    }
    templates = {_plain(route.path): route.path for route in app.routes if hasattr(route, "path")}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            answers: dict[str, Any] = {
                str(status): {"description": words, "content": {kind: {"schema": schema}}}
                for status, (kind, schema, words) in _ANSWERS.get((method, path), {}).items()
            }
            for status, words in _PROBLEMS.items():
                if status not in _BODIES_ALONE or method != "get":
                    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
                    described = answers.setdefault(str(status), {"description": words, "content": {}})
                    described["content"][_PROBLEM] = problem
            if path.endswith(".mp4"):
                answers["416"] = {"description": "the range is not of this clip"}
            operation["responses"] = answers
            needed = requirement(method.upper(), templates.get(path, path))
            if needed is not Anyone.OPEN:
                operation["security"] = [{"token": []}, {"browser": []}]
                operation["description"] = (
                    f"{operation.get('description', '')}\n\nPermission: `{needed}`.".strip()
                )
    return found


def _plain(template: str) -> str:
    """A path template as OpenAPI writes it: without converters."""
    return template.replace(":path}", "}").replace(":int}", "}")
