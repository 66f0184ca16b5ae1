"""Who sends a request: found by cookie or token, anew each time, so that what is taken away is gone at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.access.policy import Anyone, Permission, permissions_of
from kaozheng_service.access.secrets import form_key
from kaozheng_service.access.sign_ins import CODE, FULL, sign_in_of
from kaozheng_service.access.tables import Account, ApiToken, SignIn
from kaozheng_service.access.tokens import token_of
from kaozheng_service.station import Station

log = structlog.get_logger()

# So often at most is it written down that a browser was heard of.
_SEEN_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """``actor`` is None for who is not signed in. ``form_key`` guards forms, "" where no cookie signs requests.

    ``owes_code`` is the account whose password was right and whose code is still to come, "" for all others.
    """

    actor: Actor | None = None
    permissions: frozenset[Permission] = frozenset()
    by_token: bool = False
    form_key: str = ""
    sign_in_id: int | None = None
    owes_code: str = ""

    def may(self, requirement: Permission | Anyone | None) -> bool:
        match requirement:
            case None:
                return False
            case Anyone.OPEN:
                return True
            case Anyone.PENDING:
                return bool(self.owes_code)
            case Anyone.SIGNED_IN:
                return self.actor is not None
            case Anyone.PERSON:
                return self.actor is not None and not self.by_token
            case Permission():
                return requirement in self.permissions


NOBODY = Caller()


def caller_of(
    station: Station, *, cookie: str | None, bearer: str | None, at: datetime, attended: bool = True
) -> Caller:
    """Who holds this cookie or, where one is sent, this token. A token that is not good makes nobody of its sender.

    Parameters
    ----------
    attended : whether the request shows that a person is there, so that the idle time begins anew
    """
    if bearer is not None:
        with station.sessions() as rows:
            token = token_of(rows, bearer, at)
            return NOBODY if token is None else _by_token(rows, token)
    if not cookie:
        return NOBODY
    with station.sessions() as rows:
        sign_in = sign_in_of(rows, cookie, at)
        if sign_in is None:
            return NOBODY
        account = rows.get(Account, sign_in.account)
        if account is None or account.disabled_at is not None:
            return NOBODY
        key = form_key(cookie)
        if sign_in.stage == CODE:
            return Caller(form_key=key, sign_in_id=sign_in.id, owes_code=account.account)
        if sign_in.stage != FULL:
            return NOBODY
        if sign_in.token_id is not None:
            token = rows.get(ApiToken, sign_in.token_id)
            if token is None or token.revoked_at is not None or token.expires_at <= at:
                return NOBODY
            return _by_token(rows, token, key, sign_in.id)
        if attended and at - sign_in.seen_at >= _SEEN_AGAIN:
            _write_down(rows, sign_in, at)
        actor = _actor(account)
        return Caller(actor, permissions_of(actor.role), form_key=key, sign_in_id=sign_in.id)


def _write_down(rows: Session, sign_in: SignIn, at: datetime) -> None:
    """A full disk must not keep anyone from the page that says so; the idle time then goes on."""
    sign_in.seen_at = at
    try:
        rows.commit()
    except SQLAlchemyError as error:
        rows.rollback()
        log.warning("a sign-in's time could not be stored", why=str(getattr(error, "orig", error)))


def _by_token(rows: Session, token: ApiToken, key: str = "", sign_in_id: int | None = None) -> Caller:
    """Never more than its account may now."""
    account = rows.get(Account, token.account)
    if account is None or account.disabled_at is not None:
        return NOBODY
    actor = _actor(account)
    scopes = {one for one in Permission if one.value in token.scopes.split()}
    return Caller(actor, permissions_of(actor.role) & scopes, True, key, sign_in_id)


def _actor(account: Account) -> Actor:
    return Actor(account.account, account.name, Role(account.role))
