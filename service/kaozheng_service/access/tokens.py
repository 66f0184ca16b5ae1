"""API tokens: shown once, hashed at rest, bound to an account, never more than its role, and with an end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.access.actor import Role
from kaozheng_service.access.policy import Permission, permissions_of
from kaozheng_service.access.records import TokenCreated, TokenRevoked
from kaozheng_service.access.secrets import hashed, new_secret
from kaozheng_service.access.tables import Account, ApiToken
from kaozheng_service.clock import now, to_text
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

# So that it is known for what it is wherever it turns up.
PREFIX = "kaozheng_"
LONGEST_DAYS = 366
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token as people may see it."""

    number: int
    account: str
    name: str
    scopes: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def create_token(
    station: Station, account: str, name: str, scopes: list[Permission], length: timedelta, *, by: str
) -> tuple[TokenFacts, str]:
    """A new token of ``account`` and its secret, which nobody can show again.

    Raises
    ------
    UserError : no such account, a scope that its role lacks, no name, or no end within a year
    """
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise UserError(f"请填写用途 · say what the token is for, in at most {_LONGEST_NAME} characters")
    if not scopes:
        raise UserError(f"请选择权限 · name at least one scope: {', '.join(Permission)}")
    if not timedelta(0) < length <= timedelta(days=LONGEST_DAYS):
        raise UserError(f"有效期不对 · a token lasts from one to {LONGEST_DAYS} days")
    secret = PREFIX + new_secret()
    at = now()
    with station.sessions.begin() as rows:
        owner = rows.get(Account, account.strip().lower())
        if owner is None or owner.disabled_at is not None:
            raise UserError(f"没有账号 {account} · no account {account!r} that may sign in")
        lacking = sorted(set(scopes) - permissions_of(Role(owner.role)))
        if lacking:
            raise UserError(
                f"角色无此权限 · {owner.account} is {owner.role}, which may not: {', '.join(lacking)}"
            )
        row = ApiToken(
            account=owner.account,
            name=name,
            scopes=" ".join(sorted(set(scopes))),
            secret_hash=hashed(secret),
            created_at=at,
            expires_at=at + length,
        )
        rows.add(row)
        rows.flush()
        row.leaf = station.log.append(
            TokenCreated(
                at=at,
                token=row.id,
                account=row.account,
                name=name,
                scopes=row.scopes.split(),
                expires_at=row.expires_at,
                by=by,
            )
        )
        return _facts(row), secret


def list_tokens(station: Station) -> list[TokenFacts]:
    """All that were ever made, the newest first."""
    with station.sessions() as rows:
        return [_facts(row) for row in rows.scalars(select(ApiToken).order_by(ApiToken.id.desc()))]


def revoke_token(station: Station, number: int, *, by: str) -> TokenFacts:
    """Good for nothing from now on. UserError where there is none of that number."""
    at = now()
    with station.sessions.begin() as rows:
        row = rows.get(ApiToken, number)
        if row is None:
            raise UserError(
                f"没有令牌 {number} · no token {number}; kaozheng token list shows those there are"
            )
        if row.revoked_at is None:
            row.revoked_at = at
            rows.flush()
            station.log.append(TokenRevoked(at=at, token=row.id, account=row.account, name=row.name, by=by))
        return _facts(row)


def token_of(rows: Session, secret: str, at: datetime) -> ApiToken | None:
    """The token that is good at ``at`` of that secret."""
    found = rows.scalars(select(ApiToken).where(ApiToken.secret_hash == hashed(secret.strip()))).first()
    if found is None or found.revoked_at is not None or found.expires_at <= at:
        return None
    return found


def token_json(facts: TokenFacts) -> dict[str, object]:
    return {
        "token": facts.number,
        "account": facts.account,
        "name": facts.name,
        "scopes": [one.value for one in facts.scopes],
        "created_at": to_text(facts.created_at),
        "expires_at": to_text(facts.expires_at),
        "revoked_at": to_text(facts.revoked_at) if facts.revoked_at is not None else None,
    }


def _facts(row: ApiToken) -> TokenFacts:
    known = {one.value: one for one in Permission}
    return TokenFacts(
        number=row.id,
        account=row.account,
        name=row.name,
        scopes=tuple(known[scope] for scope in row.scopes.split() if scope in known),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
