"""`kaozheng token`: what programs and wall screens sign in with."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from kaozheng_service.access.policy import Permission
from kaozheng_service.config.site import load_site

token_app = typer.Typer(no_args_is_help=True, help="What programs and wall screens sign in with.")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")]
SITE_FILE = Path("site.yaml")


@token_app.command("create")
def create(
    account: Annotated[str, typer.Argument(help="whose it is; it never may more than this account")],
    name: Annotated[str, typer.Option("--name", help="what it is for")],
    scope: Annotated[list[Permission], typer.Option("--scope", help="what it may; give it several times")],
    config: ConfigOption = SITE_FILE,
    days: Annotated[int, typer.Option(min=1, max=366, help="how long it is good")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it, this once. Send it as `Authorization: Bearer TOKEN`."""
    from kaozheng_service.access.accounts import on_the_machine
    from kaozheng_service.access.tokens import create_token, token_json
    from kaozheng_service.station import open_station

    site = load_site(config)
    length = timedelta(days=days)
    facts, secret = create_token(open_station(site), account, name, scope, length, by=on_the_machine())
    if as_json:
        body = {"schema": "kaozheng/token/1", **token_json(facts), "secret": secret}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    typer.echo(secret)
    until = facts.expires_at.astimezone(site.zone)
    typer.echo(f"token {facts.number}, shown this once, good until {until:%Y-%m-%d %H:%M}", err=True)


@token_app.command("list")
def list_all(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """List all tokens that were ever made, without their secrets."""
    from rich.markup import escape
    from rich.table import Table

    from kaozheng_service.access.tokens import list_tokens, token_json
    from kaozheng_service.cli.tables import console
    from kaozheng_service.clock import now
    from kaozheng_service.station import open_station

    site = load_site(config)
    found = list_tokens(open_station(site))
    if as_json:
        body = {"schema": "kaozheng/tokens/1", "tokens": [token_json(one) for one in found]}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    if not found:
        typer.echo("no token yet; make one with: kaozheng token create")
        return
    table = Table("token", "for", "account", "scopes", "good until", box=None)
    for one in found:
        until = f"{one.expires_at.astimezone(site.zone):%Y-%m-%d %H:%M}"
        if one.revoked_at is not None:
            until = "revoked"
        elif one.expires_at <= now():
            until = f"expired {until}"
        table.add_row(str(one.number), escape(one.name), one.account, " ".join(one.scopes), until)
    console.print(table)


@token_app.command("revoke")
def revoke(
    token: Annotated[
        int, typer.Argument(min=1, max=2**31, help="its number, as `kaozheng token list` shows it")
    ],
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """Make a token good for nothing, at once."""
    from kaozheng_service.access.accounts import on_the_machine
    from kaozheng_service.access.tokens import revoke_token, token_json
    from kaozheng_service.station import open_station

    facts = revoke_token(open_station(load_site(config)), token, by=on_the_machine())
    body = {"schema": "kaozheng/token/1", **token_json(facts)}
    words = f"token {facts.number} ({facts.name}) is revoked"
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2) if as_json else words)
