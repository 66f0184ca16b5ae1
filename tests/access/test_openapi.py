"""The OpenAPI description is true: schemathesis sends what it allows and what it forbids to the whole application."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from kaozheng_service.access.accounts import add_account
from kaozheng_service.access.actor import Role
from kaozheng_service.access.policy import ENDPOINTS, permissions_of
from kaozheng_service.access.tokens import create_token
from kaozheng_service.web.app import create_app
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

EXAMPLES = 25
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]


def token_of(station: Any, role: Role) -> str:
    add_account(station, f"t-{role}", "试", role, password=None, by="test")
    scopes = sorted(permissions_of(role), key=str)
    return create_token(station, f"t-{role}", "test", scopes, timedelta(days=1), by="test")[1]


@pytest.mark.parametrize("role", [Role.CENTRE, Role.ADMIN])
def test_nothing_that_is_sent_breaks_it_or_is_answered_otherwise_than_described(filmed, role):
    app = create_app(filmed.station)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers={"Host": "127.0.0.1"})
    headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {token_of(filmed.station, role)}"}
    tried = []
    for result in schema.get_all_operations():
        operation = result.ok()
        tried.append((operation.method.upper(), operation.path))

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            # "Not ready" is 503, and no failure.
            ready = [schemathesis.checks.not_a_server_error] if case.path == "/readyz" else []
            case.call_and_validate(headers=headers, checks=CHECKS, excluded_checks=ready)

        holds()
    assert ("POST", "/api/v1/windows/{window_id}/cancel") in tried


def test_every_endpoint_of_the_api_is_described_with_its_permission_and_its_refusals(station):
    found = json.loads(json.dumps(create_app(station).openapi()))
    described = {(method.upper(), path) for path, item in found["paths"].items() for method in item}
    expected = {
        (method, path.replace(":path}", "}").replace(":int}", "}"))
        for method, path in ENDPOINTS
        if path.startswith("/api/") or path in ("/healthz", "/readyz", "/metrics")
    } - {("GET", "/api/v1/openapi.json")}
    assert described == expected
    for path, item in found["paths"].items():
        for operation in item.values():
            good = [int(status) for status in operation["responses"] if status < "300"]
            assert good, path
            assert {"400", "401", "403", "421", "500"} <= set(operation["responses"])
            assert ("security" in operation) == (path != "/healthz"), path
