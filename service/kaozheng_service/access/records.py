"""What goes into the log of accounts and of who saw footage. Never a secret, nor a hash of one.

``by`` is the account that did it, or ``os:NAME`` where it was done by command on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from kaozheng_service.evidence.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCreated(Record):
    kind: ClassVar[str] = "account.created"
    account: str
    name: str
    role: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged(Record):
    """``name`` and ``role`` as they are from now on. ``change`` is ``details``, ``enabled``, ``password``,
    ``password_reset``, ``totp_on`` or ``totp_off``.
    """

    kind: ClassVar[str] = "account.changed"
    account: str
    name: str
    role: str
    change: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDisabled(Record):
    kind: ClassVar[str] = "account.disabled"
    account: str
    name: str
    role: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated(Record):
    """``token`` is its number, not the secret."""

    kind: ClassVar[str] = "token.created"
    token: int
    account: str
    name: str
    scopes: list[str]
    expires_at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(Record):
    kind: ClassVar[str] = "token.revoked"
    token: int
    account: str
    name: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLocked(Record):
    """After ``failures`` wrong sign-ins none is taken until ``until``; None: until its password is reset.

    ``account`` is "" where the lock is of the address.
    """

    kind: ClassVar[str] = "sign_in.locked"
    account: str
    address: str
    failures: int
    until: datetime | None
