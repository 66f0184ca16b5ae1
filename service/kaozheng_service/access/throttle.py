"""Wrong sign-ins are counted by account and address and cost growing delays, in the database: no restart ends one."""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete
from sqlalchemy.orm import Session

from kaozheng_service.access.records import SignInLocked
from kaozheng_service.access.tables import Account, FailedTries
from kaozheng_service.station import Station

log = structlog.get_logger()

# A person mistypes a few times; a school's machines share an address.
FREE_OF_ACCOUNT, FREE_OF_ADDRESS = 5, 20
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=15), timedelta(minutes=15)
# NIST SP 800-63B, 5.2.2: no more than 100 wrong ones in a row on one account.
MOST_OF_ACCOUNT = 100
# What is counted of an address, or of a name that is no account, is forgotten after so long without another.
FORGOTTEN = timedelta(days=1)
# A lock without an end of its own.
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


def locked_until(rows: Session, account: str, address: str, at: datetime) -> datetime | None:
    """Until when no sign-in of this account or from this address is taken; None where it is.

    Parameters
    ----------
    account : as it was typed, also where there is none
    address : an IP address; of IPv6 the network of 64 bits counts, which is one subscriber's
    """
    found = [rows.get(FailedTries, subject) for subject in (_of_account(account), _of_address(address))]
    ends = [one.until for one in found if one is not None and one.until is not None and one.until > at]
    return max(ends, default=None)


def count_failure(rows: Session, station: Station, account: str, address: str, at: datetime) -> None:
    """Count a wrong one; a lock that follows from it is a record and an error in the service's log."""
    rows.execute(
        delete(FailedTries).where(FailedTries.last_at < at - FORGOTTEN, FailedTries.count < MOST_OF_ACCOUNT)
    )
    of_account = _count(rows, _of_account(account), FREE_OF_ACCOUNT, at, MOST_OF_ACCOUNT)
    of_address = _count(rows, _of_address(address), FREE_OF_ADDRESS, at)
    # A name that is nobody's may be a password in the wrong field: it goes nowhere.
    if of_account.until is not None and rows.get(Account, account) is not None:
        _tell(station, account, address, of_account, at)
    if of_address.until is not None:
        _tell(station, "", address, of_address, at)


def forget_failures(rows: Session, account: str) -> None:
    """After a right sign-in or a reset. Those of the address stay: one who has an account may still guess others'."""
    rows.execute(delete(FailedTries).where(FailedTries.subject == _of_account(account)))


def _count(rows: Session, subject: str, free: int, at: datetime, most: int | None = None) -> FailedTries:
    row = rows.get(FailedTries, subject)
    if row is None:
        row = FailedTries(subject=subject, count=0)
        rows.add(row)
    row.count += 1
    row.last_at = at
    row.until = None
    if most is not None and row.count >= most:
        row.until = NEVER
    elif row.count >= free:
        row.until = at + min(FIRST_DELAY * 2 ** min(row.count - free, 16), LONGEST_DELAY)
    return row


def _tell(station: Station, account: str, address: str, tries: FailedTries, at: datetime) -> None:
    until = tries.until if tries.until != NEVER else None
    station.log.append(
        SignInLocked(at=at, account=account, address=address, failures=tries.count, until=until)
    )
    log.error(
        "sign-in locked after wrong attempts",
        account=account or "(any, from this address)",
        address=address,
        failures=tries.count,
        until=until.isoformat() if until else "its password is reset",
    )


def _of_account(account: str) -> str:
    return hashlib.sha256(b"account\0" + account.encode("utf-8", "replace")).hexdigest()


def _of_address(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return hashlib.sha256(b"address\0" + address.encode("utf-8", "replace")).hexdigest()
    network = ipaddress.ip_network((parsed, 64 if parsed.version == 6 else 32), strict=False)
    return hashlib.sha256(b"address\0" + str(network).encode()).hexdigest()
