"""Who acts at the command line: the account that the machine's operator names with ``--as``."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import column, inspect, select, table

from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

AsOption = Annotated[
    str,
    typer.Option("--as", metavar="ACCOUNT", help="the account that acts; recorded as done at the console"),
]

# Named by its columns alone, so that this asks nothing of who keeps it.
_ACCOUNTS = table("accounts", column("account"), column("name"), column("role"), column("disabled_at"))


def acting(station: Station, account: str) -> Actor:
    """The account of that name, as it is now.

    Raises
    ------
    UserError : there is none, or it is disabled
    """
    with station.sessions() as session:
        if not inspect(session.connection()).has_table("accounts"):
            raise UserError("还没有账号 · there are no accounts yet; make one: kaozheng account add")
        row = session.execute(select(_ACCOUNTS).where(_ACCOUNTS.c.account == account.strip().lower())).first()
    if row is None:
        raise UserError(f"没有账号 {account} · there is no account {account!r}; see: kaozheng account list")
    if row.disabled_at is not None:
        raise UserError(f"账号 {account} 已停用 · account {account!r} is disabled; name another")
    return Actor(row.account, row.name, Role(row.role))
