"""Who records a window, decided in the database: one holder at a time, each with a higher token than all before it.

A lock of the kernel keeps two processes of one machine apart (:mod:`leases`). Two machines that share a database, or a
folder whose locks do not reach the other, are kept apart here: whoever renews too late is overtaken, and finds out by
its token before it closes anything. What it recorded until then stays, as a take of its own.
"""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kaozheng_service.clock import now
from kaozheng_service.database import Holder, Sessions

# A holder that did not renew for so long is taken for dead; it renews after a third of it.
TTL_S = 60.0
RENEW_S = TTL_S / 3


def node_of(state: Path) -> str:
    """This machine and state folder: of one node only one process can hold a window's lock."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = socket.gethostname()
    return f"{machine}:{state.resolve()}"


def claim(sessions: Sessions, window_id: str, node: str) -> int | None:
    """Hold the window from now on; the new token, or None while another node holds it.

    A holder of the same node is dead for sure, as its lock was free: it is overtaken at once.
    """
    present = now()
    with sessions.begin() as session:
        _alone(session)
        row = session.get(Holder, window_id, with_for_update=True)
        if row is None:
            row = Holder(window_id=window_id, node=node, token=0, until=present)
            session.add(row)
        elif row.node != node and row.until > present:
            return None
        row.node, row.token, row.until = node, row.token + 1, _until(present)
        return row.token


def renew(sessions: Sessions, window_id: str, token: int) -> bool:
    """Hold it longer; False where another has overtaken us."""
    with sessions.begin() as session:
        _alone(session)
        row = session.get(Holder, window_id, with_for_update=True)
        if row is None or row.token != token:
            return False
        row.until = _until(now())
        return True


def is_newest(session: Session, window_id: str, token: int) -> bool:
    """Whether nobody has overtaken this token, as this transaction sees it."""
    return session.scalar(select(Holder.token).where(Holder.window_id == window_id)) == token


def _alone(session: Session) -> None:
    """SQLite knows no lock of a row: nobody else may write from before the token is read."""
    session.connection().exec_driver_sql("BEGIN IMMEDIATE")


def _until(present: datetime) -> datetime:
    return present + timedelta(seconds=TTL_S)
