"""Who may do what: an endpoint names a permission, a permission its roles. What is not here is refused to all."""

from __future__ import annotations

from enum import StrEnum

from kaozheng_service.access.actor import Role


class Permission(StrEnum):
    """What a role may do; also the scopes of API tokens."""

    STATUS = "status"  # what is recorded now, windows, gaps, disk
    METRICS = "metrics"  # numbers for monitoring, and whether the service is fit to record
    WINDOWS_CHANGE = "windows.change"
    SHEETS = "sheets"  # printed session sheets
    FOOTAGE_FIND = "footage.find"  # where footage is, without its pictures
    FOOTAGE_WATCH = "footage.watch"  # the pictures; beyond the role it takes a grant
    ACCOUNTS = "accounts"
    TOKENS = "tokens"


class Anyone(StrEnum):
    """Endpoints that take no permission."""

    OPEN = "open"  # also without a sign-in
    PENDING = "pending"  # whose password was right, and who still owes a code
    SIGNED_IN = "signed_in"
    PERSON = "person"  # signed in by password, not by a token


_ALL = frozenset(Role)
_FOOTAGE = frozenset({Role.CENTRE, Role.HEAD, Role.OFFICE, Role.QUALITY, Role.INSPECTOR})

ROLES: dict[Permission, frozenset[Role]] = {
    Permission.STATUS: _ALL,
    Permission.METRICS: frozenset({Role.ADMIN}),
    Permission.WINDOWS_CHANGE: frozenset({Role.EXAM_STAFF, Role.CENTRE}),
    Permission.SHEETS: _ALL - {Role.ADMIN},
    Permission.FOOTAGE_FIND: _FOOTAGE,
    Permission.FOOTAGE_WATCH: _FOOTAGE,
    Permission.ACCOUNTS: frozenset({Role.ADMIN}),
    Permission.TOKENS: frozenset({Role.ADMIN}),
}

ENDPOINTS: dict[tuple[str, str], Permission | Anyone] = {
    ("GET", "/"): Permission.STATUS,
    ("GET", "/api/v1/status"): Permission.STATUS,
    ("GET", "/api/v1/windows"): Permission.STATUS,
    ("POST", "/api/v1/windows"): Permission.WINDOWS_CHANGE,
    ("POST", "/api/v1/windows/{window_id}/cancel"): Permission.WINDOWS_CHANGE,
    ("GET", "/api/v1/sheets/{window}.pdf"): Permission.SHEETS,
    ("GET", "/footage"): Permission.FOOTAGE_FIND,
    ("GET", "/api/v1/find"): Permission.FOOTAGE_FIND,
    ("GET", "/api/v1/clips/{take:path}/{first:int}-{last:int}.mp4"): Permission.FOOTAGE_WATCH,
    ("GET", "/healthz"): Anyone.OPEN,
    ("GET", "/readyz"): Permission.METRICS,
    ("GET", "/metrics"): Permission.METRICS,
    ("GET", "/static"): Anyone.OPEN,
    (
        "POST",
        "/witness/add-checkpoint",
    ): Anyone.OPEN,  # only a log's own key gets anything cosigned
    ("GET", "/api/v1/openapi.json"): Anyone.OPEN,
    ("GET", "/sign-in"): Anyone.OPEN,
    ("POST", "/sign-in"): Anyone.OPEN,
    ("POST", "/sign-in/token"): Anyone.OPEN,
    ("GET", "/sign-in/code"): Anyone.PENDING,
    ("POST", "/sign-in/code"): Anyone.PENDING,
    ("POST", "/sign-out"): Anyone.SIGNED_IN,
    ("GET", "/set-up"): Anyone.OPEN,
    ("POST", "/set-up"): Anyone.OPEN,
    ("GET", "/password"): Anyone.OPEN,
    ("POST", "/password"): Anyone.OPEN,
    ("GET", "/account"): Anyone.PERSON,
    ("POST", "/account/password"): Anyone.PERSON,
    ("POST", "/account/sign-outs"): Anyone.PERSON,
    ("POST", "/account/totp/begin"): Anyone.PERSON,
    ("POST", "/account/totp/confirm"): Anyone.PERSON,
    ("POST", "/account/totp/off"): Anyone.PERSON,
    ("GET", "/accounts"): Permission.ACCOUNTS,
    ("POST", "/accounts"): Permission.ACCOUNTS,
    ("POST", "/accounts/{account}"): Permission.ACCOUNTS,
    ("GET", "/tokens"): Permission.TOKENS,
    ("POST", "/tokens"): Permission.TOKENS,
    ("POST", "/tokens/{token}/revoke"): Permission.TOKENS,
}

# From the machine itself monitoring needs no token.
FROM_THE_MACHINE = frozenset({("GET", "/readyz"), ("GET", "/metrics")})
# Asked by pages on their own: that a page stands open is no sign of a person before it.
UNATTENDED = frozenset({("GET", "/api/v1/status")})


def permissions_of(role: Role) -> frozenset[Permission]:
    """All that ``role`` may do."""
    return frozenset(one for one, roles in ROLES.items() if role in roles)


def requirement(method: str, path: str) -> Permission | Anyone | None:
    """What an endpoint asks for, by method and path template; None where nothing is said: then nobody may."""
    return ENDPOINTS.get((method, path))
