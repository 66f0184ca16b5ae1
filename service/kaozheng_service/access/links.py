"""One-time links: to make the first account, and to set a password. They expire, and a newer one voids the older."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kaozheng_service.access.secrets import hashed, new_secret
from kaozheng_service.access.tables import AccessLink, Account
from kaozheng_service.clock import now
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

SET_UP, PASSWORD = "set_up", "password"
# The first is used by who starts the service; the other is handed to a colleague.
_GOOD_FOR = {SET_UP: timedelta(hours=1), PASSWORD: timedelta(hours=24)}
_PAGES = {SET_UP: "/set-up", PASSWORD: "/password"}
SPENT = "链接无效或已过期 · this link is void: used, expired, or replaced by a newer one; "
_MEND = {
    SET_UP: "make another on the machine: kaozheng account setup-link",
    PASSWORD: "ask an administrator for another (kaozheng account reset)",
}


def new_link(rows: Session, purpose: str, account: str | None, at: datetime) -> tuple[str, datetime]:
    """A new link's secret, and until when it is good; links of before for the same are void."""
    void_links(rows, account, at)
    secret = new_secret()
    expires_at = at + _GOOD_FOR[purpose]
    rows.add(AccessLink(purpose=purpose, account=account, secret_hash=hashed(secret), expires_at=expires_at))
    return secret, expires_at


def void_links(rows: Session, account: str | None, at: datetime) -> None:
    """Links of an account, or those of the first set-up, are of no more use."""
    of = AccessLink.account.is_(None) if account is None else AccessLink.account == account
    rows.execute(update(AccessLink).where(of, AccessLink.used_at.is_(None)).values(used_at=at))


def new_setup_link(station: Station) -> tuple[str, datetime] | None:
    """The secret of a link that makes the first account; None where there is an account."""
    with station.sessions.begin() as rows:
        if rows.scalars(select(Account.account).limit(1)).first() is not None:
            return None
        return new_link(rows, SET_UP, None, now())


def look_at_link(station: Station, purpose: str, secret: str) -> str | None:
    """The account that a good link is of (None for the first set-up); the link stays good.

    Raises
    ------
    UserError : the link is void
    """
    with station.sessions() as rows:
        return _good(rows, purpose, secret).account


def use_link(station: Station, purpose: str, secret: str) -> str | None:
    """As :func:`look_at_link`, and of no more use: of two that come at once, one wins."""
    at = now()
    with station.sessions.begin() as rows:
        link = _good(rows, purpose, secret)
        taken = rows.execute(
            update(AccessLink)
            .where(AccessLink.id == link.id, AccessLink.used_at.is_(None))
            .values(used_at=at)
            .returning(AccessLink.id)
        ).first()
        if taken is None:
            raise UserError(SPENT + _MEND[purpose])
        return link.account


def give_back(station: Station, secret: str) -> None:
    """Make a link good again whose purpose failed after it was used."""
    with station.sessions.begin() as rows:
        rows.execute(update(AccessLink).where(AccessLink.secret_hash == hashed(secret)).values(used_at=None))


def link_address(base: str, purpose: str, secret: str) -> str:
    """``base`` is the pages' address, such as ``http://127.0.0.1:8080``."""
    return f"{base.rstrip('/')}{_PAGES[purpose]}?key={secret}"


def _good(rows: Session, purpose: str, secret: str) -> AccessLink:
    found = rows.scalars(select(AccessLink).where(AccessLink.secret_hash == hashed(secret))).first()
    good = found is not None and found.purpose == purpose and found.used_at is None
    if found is None or not good or found.expires_at <= now():
        raise UserError(SPENT + _MEND[purpose])
    if purpose == SET_UP and rows.scalars(select(Account.account).limit(1)).first() is not None:
        raise UserError("已有账号 · there is an account already; sign in with it")
    return found
