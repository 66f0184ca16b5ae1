"""Accounts: made, changed, disabled, never deleted; each step a record in the log, written before the row counts."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kaozheng_service.access.actor import Role
from kaozheng_service.access.links import PASSWORD, new_link, void_links
from kaozheng_service.access.passwords import hash_password, refuse_weak
from kaozheng_service.access.records import AccountChanged, AccountCreated, AccountDisabled
from kaozheng_service.access.sign_ins import end_sign_ins
from kaozheng_service.access.tables import Account, RecoveryCode
from kaozheng_service.access.throttle import forget_failures
from kaozheng_service.clock import now, to_text
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

_ACCOUNT = re.compile(r"[a-z][a-z0-9._-]{1,31}")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account as people may see it."""

    account: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    totp: bool


def on_the_machine() -> str:
    """Who works on the machine itself, for records: its operating system's account."""
    try:
        return f"os:{getpass.getuser()}"
    except (KeyError, OSError):
        return "os:unknown"


def list_accounts(station: Station) -> list[AccountFacts]:
    with station.sessions() as rows:
        return [_facts(row) for row in rows.scalars(select(Account).order_by(Account.account))]


def account_facts(station: Station, account: str) -> AccountFacts:
    """UserError where there is none."""
    with station.sessions() as rows:
        return _facts(_existing(rows, account))


def has_accounts(station: Station) -> bool:
    with station.sessions() as rows:
        return rows.scalars(select(Account.account).limit(1)).first() is not None


def add_account(
    station: Station, account: str, name: str, role: Role, *, password: str | None, by: str
) -> AccountFacts:
    """Make an account; without a password nobody can sign in to it until one is set by a link.

    Raises
    ------
    UserError : the name is taken or no name, or the password is weak
    """
    account = _account_name(account)
    name = _person(name)
    if password is not None:
        refuse_weak(password, _names(station, account, name))
    at = now()
    with station.sessions.begin() as rows:
        if rows.get(Account, account) is not None:
            raise UserError(
                f"账号 {account} 已存在 · there is an account {account} already; take another name"
            )
        row = Account(
            account=account,
            name=name,
            role=role.value,
            password_hash=hash_password(password) if password is not None else None,
            created_at=at,
        )
        rows.add(row)
        rows.flush()
        row.leaf = station.log.append(
            AccountCreated(at=at, account=account, name=name, role=role.value, by=by)
        )
        return _facts(row)


def change_account(
    station: Station, account: str, *, by: str, name: str | None = None, role: Role | None = None
) -> AccountFacts:
    """Another name or role, from now on, also for who is signed in."""

    def change(rows: Session, row: Account) -> str:
        if role is not None and role is not Role.ADMIN:
            _refuse_last_admin(rows, row)
        row.name = _person(name) if name is not None else row.name
        row.role = role.value if role is not None else row.role
        return "details"

    return _change(station, account, change, by)


def enable_account(station: Station, account: str, *, by: str) -> AccountFacts:
    """Let a disabled account sign in again."""

    def change(_rows: Session, row: Account) -> str:
        row.disabled_at = None
        return "enabled"

    return _change(station, account, change, by)


def disable_account(station: Station, account: str, *, by: str) -> AccountFacts:
    """From now on it signs nobody in; its browsers are signed out, and its tokens say nothing.

    Raises
    ------
    UserError : it is the last administrator: nobody could manage accounts by the pages
    """
    at = now()
    with station.sessions.begin() as rows:
        row = _existing(rows, account)
        if row.disabled_at is None:
            _refuse_last_admin(rows, row)
            row.disabled_at = at
            end_sign_ins(rows, row.account)
            void_links(rows, row.account, at)
            rows.flush()
            row.leaf = station.log.append(
                AccountDisabled(at=at, account=row.account, name=row.name, role=row.role, by=by)
            )
        return _facts(row)


def reset_password(station: Station, account: str, *, by: str) -> tuple[AccountFacts, str, datetime]:
    """Void the password, sign every browser out, lift a lock, and make a one-time link that sets a new password.

    Returns
    -------
    the account, the link's secret, and until when it is good
    """
    made: list[tuple[str, datetime]] = []

    def change(rows: Session, row: Account) -> str:
        row.password_hash = None
        end_sign_ins(rows, row.account)
        forget_failures(rows, row.account)
        made.append(new_link(rows, PASSWORD, row.account, now()))
        return "password_reset"

    facts = _change(station, account, change, by)
    return facts, *made[0]


def set_password(station: Station, account: str, password: str, *, by: str, keep: int | None = None) -> None:
    """Set it, and sign out every browser of the account but ``keep``.

    Raises
    ------
    UserError : the password is weak
    """
    facts = account_facts(station, account)
    refuse_weak(password, _names(station, facts.account, facts.name))
    hashed = hash_password(password)

    def change(rows: Session, row: Account) -> str:
        row.password_hash = hashed
        end_sign_ins(rows, row.account, but=keep)
        void_links(rows, row.account, now())
        forget_failures(rows, row.account)
        return "password"

    _change(station, account, change, by)


def turn_totp_off(station: Station, account: str, *, by: str) -> AccountFacts:
    """For a lost telephone: the password alone signs in again."""

    def change(rows: Session, row: Account) -> str:
        row.totp_secret = row.totp_pending = None
        row.totp_step = None
        for code in rows.scalars(select(RecoveryCode).where(RecoveryCode.account == row.account)):
            rows.delete(code)
        return "totp_off"

    return _change(station, account, change, by)


def record_change(station: Station, row: Account, change: str, by: str) -> None:
    """Append what was changed of ``row``; for callers that hold its transaction."""
    row.leaf = station.log.append(
        AccountChanged(at=now(), account=row.account, name=row.name, role=row.role, change=change, by=by)
    )


def account_json(facts: AccountFacts) -> dict[str, object]:
    return {
        "account": facts.account,
        "name": facts.name,
        "role": facts.role.value,
        "created_at": to_text(facts.created_at),
        "disabled_at": to_text(facts.disabled_at) if facts.disabled_at is not None else None,
        "has_password": facts.has_password,
        "totp": facts.totp,
    }


def _change(
    station: Station, account: str, change: Callable[[Session, Account], str], by: str
) -> AccountFacts:
    with station.sessions.begin() as rows:
        row = _existing(rows, account)
        what = change(rows, row)
        rows.flush()
        record_change(station, row, what, by)
        return _facts(row)


def _existing(rows: Session, account: str) -> Account:
    row = rows.get(Account, account.strip().lower())
    if row is None:
        known = ", ".join(rows.scalars(select(Account.account).order_by(Account.account).limit(20)))
        raise UserError(f"没有账号 {account} · no account {account!r}; there are: {known or 'none yet'}")
    return row


def _refuse_last_admin(rows: Session, row: Account) -> None:
    if row.role != Role.ADMIN or row.disabled_at is not None:
        return
    admins = rows.scalar(
        select(func.count())
        .select_from(Account)
        .where(Account.role == Role.ADMIN.value, Account.disabled_at.is_(None))
    )
    if admins == 1:
        raise UserError(
            f"{row.account} 是最后一名系统管理员 · {row.account} is the last administrator; make another first"
        )


def _facts(row: Account) -> AccountFacts:
    return AccountFacts(
        account=row.account,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        has_password=row.password_hash is not None,
        totp=row.totp_secret is not None,
    )


def _names(station: Station, account: str, name: str) -> tuple[str, ...]:
    return (account, name, station.site.id, station.site.name)


def _account_name(text: str) -> str:
    account = text.strip().lower()
    if _ACCOUNT.fullmatch(account) is None:
        raise UserError(
            f"账号 {text[:40]!r} 不合要求 · an account is 2 to 32 of a-z, 0-9, dot, hyphen and underscore, "
            "and begins with a letter, such as zhang.wei"
        )
    return account


def _person(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise UserError(f"请填写姓名 · give the person's name, at most {_LONGEST_NAME} characters")
    return name
