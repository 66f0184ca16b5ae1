"""Sign-in: password, then a code where the account has one. Wrong ones are counted before anything else is said."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.access.accounts import record_change
from kaozheng_service.access.passwords import hash_password, is_outdated, is_password
from kaozheng_service.access.secrets import Vault, hashed
from kaozheng_service.access.tables import Account, RecoveryCode
from kaozheng_service.access.throttle import count_failure, forget_failures, locked_until
from kaozheng_service.access.totp import (
    new_recovery_codes,
    new_totp_secret,
    plain_recovery_code,
    step_of_code,
)
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

# One at a time: Argon2 takes 64 MiB and a core of a machine that records, and many tries at once are none at a time.
_alone = threading.Lock()
_LONGEST_TYPED = 256


@dataclass(frozen=True, slots=True)
class Accepted:
    """Password or code was right. ``owes_code`` is true while a code is to follow."""

    account: str
    owes_code: bool


@dataclass(frozen=True, slots=True)
class Denied:
    """Wrong, or not looked at until ``locked_until``. Tells nothing of whether there is such an account."""

    locked_until: datetime | None = None


def check_password(
    station: Station, typed_account: str, password: str, address: str, at: datetime
) -> Accepted | Denied:
    """Whether ``password`` signs ``typed_account`` in, from the IP address ``address``.

    Unknown, disabled and passwordless accounts cost the same time as a wrong password and are answered alike.
    """
    account = typed_account.strip().lower()[:_LONGEST_TYPED]
    with _alone, station.sessions.begin() as rows:
        until = locked_until(rows, account, address, at)
        if until is not None:
            return Denied(until)
        row = rows.get(Account, account)
        usable = row is not None and row.disabled_at is None
        right = is_password(row.password_hash if row is not None else None, password)
        if row is None or not usable or not right:
            count_failure(rows, station, account, address, at)
            return Denied(locked_until(rows, account, address, at))
        if row.password_hash is not None and is_outdated(row.password_hash):
            row.password_hash = hash_password(password)
        if row.totp_secret is not None:
            return Accepted(account, owes_code=True)
        forget_failures(rows, account)
        return Accepted(account, owes_code=False)


def check_code(station: Station, account: str, code: str, address: str, at: datetime) -> Accepted | Denied:
    """Whether ``code`` is the account's newest, never taken before, or one of its recovery codes."""
    with _alone, station.sessions.begin() as rows:
        until = locked_until(rows, account, address, at)
        if until is not None:
            return Denied(until)
        row = rows.get(Account, account)
        if row is None or row.disabled_at is not None or row.totp_secret is None:
            return Denied()
        step = step_of_code(Vault(station.state).open(row.totp_secret), code, at, row.totp_step)
        if step is not None:
            row.totp_step = step
        elif not _use_recovery_code(rows, account, code, at):
            count_failure(rows, station, account, address, at)
            return Denied(locked_until(rows, account, address, at))
        forget_failures(rows, account)
        return Accepted(account, owes_code=False)


def begin_totp(station: Station, account: str) -> str:
    """A new secret for the account's telephone. It counts once its first code was seen."""
    secret = new_totp_secret()
    with station.sessions.begin() as rows:
        row = rows.get_one(Account, account)
        row.totp_pending = Vault(station.state).seal(secret)
    return secret


def pending_totp(station: Station, account: str) -> str | None:
    """The secret whose first code is still to come; None where none is begun."""
    with station.sessions() as rows:
        row = rows.get_one(Account, account)
        return Vault(station.state).open(row.totp_pending) if row.totp_pending is not None else None


def confirm_totp(station: Station, account: str, code: str, at: datetime, *, by: str) -> list[str]:
    """From now on sign-in takes a code. Returns the recovery codes, which are shown this once.

    Raises
    ------
    UserError : none was begun, or the code is wrong
    """
    codes = new_recovery_codes()
    with station.sessions.begin() as rows:
        row = rows.get_one(Account, account)
        if row.totp_pending is None:
            raise UserError("请重新开始 · begin anew: there is no QR code that waits for its first code")
        step = step_of_code(Vault(station.state).open(row.totp_pending), code, at, None)
        if step is None:
            raise UserError(
                "动态码不对 · the code is wrong; check that the telephone's clock is set by the network"
            )
        row.totp_secret, row.totp_pending, row.totp_step = row.totp_pending, None, step
        for old in rows.scalars(select(RecoveryCode).where(RecoveryCode.account == account)):
            rows.delete(old)
        rows.add_all(
            RecoveryCode(account=account, code_hash=hashed(plain_recovery_code(one))) for one in codes
        )
        rows.flush()
        record_change(station, row, "totp_on", by)
    return codes


def _use_recovery_code(rows: Session, account: str, typed: str, at: datetime) -> bool:
    code = plain_recovery_code(typed[:_LONGEST_TYPED])
    found = rows.scalars(
        select(RecoveryCode).where(
            RecoveryCode.account == account,
            RecoveryCode.code_hash == hashed(code),
            RecoveryCode.used_at.is_(None),
        )
    ).first()
    if found is None:
        return False
    found.used_at = at
    return True
