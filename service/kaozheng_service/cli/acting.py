"""Who acts at the command line: the account that the machine's operator names with ``--as``."""

from __future__ import annotations

from typing import Annotated

import typer

from kaozheng_service.access.accounts import account_facts, has_accounts
from kaozheng_service.access.actor import Actor
from kaozheng_service.errors import UserError
from kaozheng_service.station import Station

AsOption = Annotated[
    str,
    typer.Option("--as", metavar="ACCOUNT", help="the account that acts; recorded as done at the console"),
]


def acting(station: Station, account: str) -> Actor:
    """The account of that name, as it is now.

    Raises
    ------
    UserError : there is none, or it is disabled
    """
    if not has_accounts(station):
        raise UserError("还没有账号 · there are no accounts yet; make one: kaozheng account add")
    found = account_facts(station, account)
    if found.disabled_at is not None:
        raise UserError(f"账号 {account} 已停用 · account {account!r} is disabled; name another")
    return Actor(found.account, found.name, found.role)
