"""The tables of accounts. Of secrets only hashes are stored; TOTP secrets, which must be read again, are encrypted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from kaozheng_service.database import Base


class Account(Base):
    """A person's account. ``account`` is the sign-in name; ``role`` a value of ``Role``.

    ``password_hash`` is None until a password is set by a one-time link. ``totp_secret`` and ``totp_pending``, a secret
    whose first code was not seen yet, are encrypted; ``totp_step`` is the newest time step whose code was used.
    """

    __tablename__ = "accounts"

    account: Mapped[str] = mapped_column(String, primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str | None]
    totp_secret: Mapped[str | None]
    totp_pending: Mapped[str | None]
    totp_step: Mapped[int | None]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    leaf: Mapped[int | None]


class RecoveryCode(Base):
    """A code that stands in for a lost TOTP device, once."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    code_hash: Mapped[str]
    used_at: Mapped[datetime | None]


class AccessLink(Base):
    """A one-time link: ``purpose`` is ``set_up``, of the first account, or ``password``, of ``account``."""

    __tablename__ = "access_links"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    purpose: Mapped[str]
    account: Mapped[str | None] = mapped_column(ForeignKey("accounts.account"), index=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignIn(Base):
    """A browser that is signed in. ``stage`` is ``code`` while only the password was right, then ``full``.

    ``token_id`` is the API token of a screen that was signed in by one: such a sign-in has its scopes and its end.
    """

    __tablename__ = "sign_ins"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    token_id: Mapped[int | None] = mapped_column(ForeignKey("api_tokens.id"), index=True)
    stage: Mapped[str]
    begun_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ends_at: Mapped[datetime]


class ApiToken(Base):
    """What a program or a wall screen signs in with, for ``account`` but with ``scopes`` (joined by spaces) alone."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    name: Mapped[str]
    scopes: Mapped[str]
    secret_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    leaf: Mapped[int | None]


class FailedTries(Base):
    """Sign-ins that failed one after another, of an account or from an address: ``subject`` is a hash of which."""

    __tablename__ = "failed_tries"

    subject: Mapped[str] = mapped_column(String, primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]
    until: Mapped[datetime | None]
