"""`kaozheng account`: accounts, by who works on the machine itself and may read its state folder."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaozheng_service.access.actor import Role
from kaozheng_service.clock import to_text
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.errors import UserError

if TYPE_CHECKING:
    from kaozheng_service.access.accounts import AccountFacts

account_app = typer.Typer(no_args_is_help=True, help="Who may sign in to the pages, and as what.")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")]
AccountArgument = Annotated[str, typer.Argument(help="the sign-in name")]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="where the pages are; as the site file's web: address says when left out"),
]
SITE_FILE = Path("site.yaml")
HERE = "http://127.0.0.1:8080"


@account_app.command("add")
def add(
    account: AccountArgument,
    name: Annotated[str, typer.Option("--name", help="the person's name")],
    role: Annotated[Role, typer.Option("--role", help="what the person is to the exams")],
    config: ConfigOption = SITE_FILE,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read the password from standard input, one line")
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="print a one-time link by which its owner sets the password")
    ] = False,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account. The password is asked for, never an argument: those are seen by all on the machine."""
    from kaozheng_service.access.accounts import account_json, add_account, on_the_machine, reset_password
    from kaozheng_service.access.links import PASSWORD, link_address
    from kaozheng_service.station import open_station

    if link and password_stdin:
        raise UserError("give either --link or --password-stdin")
    site = load_site(config)
    by = on_the_machine()
    password = None if link else _password(password_stdin)
    station = open_station(site)
    facts = add_account(station, account, name, role, password=password, by=by)
    body: dict[str, object] = {"schema": "kaozheng/account/1", **account_json(facts)}
    made = None
    if link:
        facts, secret, until = reset_password(station, account, by=by)
        made = link_address(_base(site, address), PASSWORD, secret)
        body |= {"link": made, "link_until": to_text(until)}
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{facts.account}: {facts.name}, {facts.role}")
    if made is not None:
        typer.echo(_of_link(site, made, until))


@account_app.command("list")
def list_all(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """List all accounts; none is ever deleted."""
    from rich.markup import escape
    from rich.table import Table

    from kaozheng_service.access.accounts import account_json, list_accounts
    from kaozheng_service.access.words import role_name
    from kaozheng_service.cli.tables import console
    from kaozheng_service.station import open_station

    found = list_accounts(open_station(load_site(config)))
    if as_json:
        body = {"schema": "kaozheng/accounts/1", "accounts": [account_json(one) for one in found]}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    if not found:
        typer.echo("no account yet; make the first with: kaozheng account setup-link")
        return
    table = Table("account", "name", "role", "one-time codes", "", box=None)
    for one in found:
        state = "disabled" if one.disabled_at is not None else "" if one.has_password else "no password yet"
        codes = "on" if one.totp else "off"
        table.add_row(one.account, escape(one.name), f"{role_name(one.role)} ({one.role})", codes, state)
    console.print(table)


@account_app.command("change")
def change(
    account: AccountArgument,
    config: ConfigOption = SITE_FILE,
    name: Annotated[str | None, typer.Option("--name", help="the person's name")] = None,
    role: Annotated[Role | None, typer.Option("--role", help="what the person is to the exams")] = None,
    enable: Annotated[bool, typer.Option("--enable", help="let a disabled account sign in again")] = False,
    as_json: JsonOption = False,
) -> None:
    """Change name or role, also for who is signed in, or enable an account again."""
    from kaozheng_service.access.accounts import change_account, enable_account, on_the_machine
    from kaozheng_service.station import open_station

    if name is None and role is None and not enable:
        raise UserError("say what to change: --name, --role or --enable")
    station = open_station(load_site(config))
    by = on_the_machine()
    if enable:
        facts = enable_account(station, account, by=by)
    if name is not None or role is not None:
        facts = change_account(station, account, by=by, name=name, role=role)
    _say(as_json, facts, f"{facts.account}: {facts.name}, {facts.role}")


@account_app.command("disable")
def disable(account: AccountArgument, config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Sign an account out everywhere and let it in no more; its tokens are good for nothing."""
    from kaozheng_service.access.accounts import disable_account, on_the_machine
    from kaozheng_service.station import open_station

    facts = disable_account(open_station(load_site(config)), account, by=on_the_machine())
    _say(as_json, facts, f"{facts.account} is disabled")


@account_app.command("reset")
def reset(
    account: AccountArgument,
    config: ConfigOption = SITE_FILE,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Void a password and a lock, sign out everywhere, and print a one-time link that sets a new password."""
    from kaozheng_service.access.accounts import on_the_machine, reset_password
    from kaozheng_service.access.links import PASSWORD, link_address
    from kaozheng_service.station import open_station

    site = load_site(config)
    facts, secret, until = reset_password(open_station(site), account, by=on_the_machine())
    made = link_address(_base(site, address), PASSWORD, secret)
    _say(
        as_json,
        facts,
        f"{facts.account}: the password is void\n{_of_link(site, made, until)}",
        link=made,
        link_until=to_text(until),
    )


@account_app.command("totp")
def totp(
    account: AccountArgument,
    config: ConfigOption = SITE_FILE,
    off: Annotated[
        bool, typer.Option("--off", help="turn the codes off, when telephone and recovery codes are lost")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether sign-in takes a one-time code, or turn that off. It is turned on by its owner, on the page."""
    from kaozheng_service.access.accounts import account_facts, on_the_machine, turn_totp_off
    from kaozheng_service.station import open_station

    station = open_station(load_site(config))
    facts = account_facts(station, account)
    if off:
        facts = turn_totp_off(station, account, by=on_the_machine())
    _say(as_json, facts, f"{facts.account}: one-time codes are {'on' if facts.totp else 'off'}")


@account_app.command("setup-link")
def setup_link(
    config: ConfigOption = SITE_FILE, address: AddressOption = None, as_json: JsonOption = False
) -> None:
    """Print a new one-time link that makes the first account, an administrator's. Ends with 1 where there is one."""
    from kaozheng_service.access.links import SET_UP, link_address, new_setup_link
    from kaozheng_service.station import open_station

    site = load_site(config)
    made = new_setup_link(open_station(site))
    body: dict[str, object] = {"schema": "kaozheng/setup-link/1", "link": None, "link_until": None}
    said = "there is an account already; more are made by its administrator or with: kaozheng account add"
    if made is not None:
        secret, until = made
        link = link_address(_base(site, address), SET_UP, secret)
        body |= {"link": link, "link_until": to_text(until)}
        said = _of_link(site, link, until)
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2) if as_json else said)
    raise typer.Exit(0 if made is not None else 1)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError("no terminal to ask for the password; give --password-stdin, or --link")
    answer: str = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    return answer


def _base(site: Site, address: str | None) -> str:
    return address or site.web.address or HERE


def _of_link(site: Site, link: str, until: datetime) -> str:
    return f"{link}\ngood once, until {until.astimezone(site.zone):%Y-%m-%d %H:%M}; hand it to nobody else"


def _say(as_json: bool, facts: AccountFacts, words: str, **more: object) -> None:
    from kaozheng_service.access.accounts import account_json

    body = {"schema": "kaozheng/account/1", **account_json(facts), **more}
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2) if as_json else words)
