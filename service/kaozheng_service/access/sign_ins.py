"""Browsers that are signed in: an opaque random secret in a cookie, of which the database knows the hash alone."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kaozheng_service.access.secrets import hashed, new_secret
from kaozheng_service.access.tables import ApiToken, SignIn
from kaozheng_service.station import Station

# NIST SP 800-63B (rev. 3), 4.2.3: signed in anew after 12 h at the latest, and after 30 min in which nothing came.
IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
# From the password to the code of a telephone.
CODE_WITHIN = timedelta(minutes=5)
CODE, FULL = "code", "full"


def begin_sign_in(station: Station, account: str, at: datetime, *, owes_code: bool = False) -> str:
    """A new secret for the cookie of a browser whose password was right; nothing of before is taken over."""
    ends_at = at + (CODE_WITHIN if owes_code else LONGEST)
    return _begin(station, account, CODE if owes_code else FULL, at, ends_at)


def begin_screen(station: Station, token: ApiToken, at: datetime) -> str:
    """A secret for the cookie of a screen that was given an API token; it lasts as long as the token does."""
    return _begin(station, token.account, FULL, at, token.expires_at, token.id)


def _begin(
    station: Station,
    account: str,
    stage: str,
    at: datetime,
    ends_at: datetime,
    token_id: int | None = None,
) -> str:
    secret = new_secret()
    with station.sessions.begin() as rows:
        rows.execute(delete(SignIn).where(SignIn.ends_at <= at))
        rows.add(
            SignIn(
                secret_hash=hashed(secret),
                account=account,
                token_id=token_id,
                stage=stage,
                begun_at=at,
                seen_at=at,
                ends_at=ends_at,
            )
        )
    return secret


def sign_in_of(rows: Session, secret: str, at: datetime) -> SignIn | None:
    """The sign-in that is still good at ``at``. One that began in the future, by a clock that was set, is not."""
    found = rows.scalars(select(SignIn).where(SignIn.secret_hash == hashed(secret))).first()
    if found is None or not found.begun_at <= at < found.ends_at:
        return None
    if found.token_id is None and at - found.seen_at >= IDLE:
        return None
    return found


def end_sign_in(station: Station, sign_in_id: int) -> None:
    """Forget one; its cookie is then nobody's."""
    with station.sessions.begin() as rows:
        rows.execute(delete(SignIn).where(SignIn.id == sign_in_id))


def end_sign_ins(rows: Session, account: str, *, but: int | None = None) -> None:
    """Forget all of an account's browsers, but for one; screens with a token of its own stay."""
    query = delete(SignIn).where(SignIn.account == account, SignIn.token_id.is_(None))
    rows.execute(query if but is None else query.where(SignIn.id != but))
