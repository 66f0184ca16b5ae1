"""`kaozheng second`: how far the second copy is, whether it is right, and a new disk for it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

if TYPE_CHECKING:
    from kaozheng_service.second.comparison import Comparison
    from kaozheng_service.second.target import Target

GB = 1_000_000_000


def second(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")
    ] = Path("site.yaml"),
    begin: Annotated[
        bool,
        typer.Option("--begin", help="copy to the disk that is mounted there now, from the first file on"),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="read every copied file and hold it against what was signed")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Say how far the second copy is. Ends with 1 where something is wrong with it."""
    from kaozheng_service.cli.tables import TaskBars
    from kaozheng_service.second import target as targets
    from kaozheng_service.second.comparison import compare
    from kaozheng_service.second.keeper import second_status
    from kaozheng_service.station import open_station

    if begin and verify:
        raise UserError("--begin and --verify are two steps: begin, let `kaozheng serve` copy, then verify")
    site = load_site(config)
    target = targets.target_of(site)
    station = open_station(site)
    if begin:
        targets.begin(target, station.sessions)
    trouble = target.trouble()
    compared = None
    if verify and not trouble:
        with TaskBars(shown=not as_json) as bars:
            compared = compare(station, target, bars.task("reading the second copy"))
    status = second_status(target.state) or {}
    body: dict[str, Any] = {
        "schema": "kaozheng/second/1",
        "path": str(target.root),
        "trouble": trouble or (status.get("trouble", "") if not begin else ""),
        "same_disk": not trouble and target.shares_a_disk(),
        "waiting": status.get("waiting"),
        "waiting_bytes": status.get("waiting_bytes"),
        "copied_at": status.get("copied_at"),
        "state_at": status.get("state_at"),
        "compared": None if compared is None else asdict(compared) | {"good": compared.good},
    }
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        _print(target, body, compared, begun=begin)
    raise typer.Exit(0 if not body["trouble"] and (compared is None or compared.good) else 1)


def _print(target: Target, body: dict[str, Any], compared: Comparison | None, *, begun: bool) -> None:
    if begun:
        typer.echo(f"{target.root}: begun; `kaozheng serve` copies to it, and leaves what is there and right")
    if body["same_disk"]:
        typer.echo("NOTE: first and second copy lie on the same disk; both die with it")
    if body["trouble"]:
        typer.echo(f"NOT WELL: {body['trouble']}")
    if compared is None and body["waiting"] is not None and not begun:
        typer.echo(
            f"{body['waiting']} files ({body['waiting_bytes'] / GB:.1f} GB) wait; "
            f"the last was copied {body['copied_at'] or 'before the service started'}, "
            f"the state {body['state_at'] or 'before the service started'}"
        )
    if compared is None:
        return
    for what, names in (
        ("missing", compared.missing),
        ("changed", compared.changed),
        ("state", compared.state),
    ):
        for name in names:
            typer.echo(f"{what}: {name}")
    if compared.missing or compared.changed:
        typer.echo("these files are copied anew while `kaozheng serve` runs")
    said = "as it was signed" if compared.good else "NOT as it was signed"
    typer.echo(f"{compared.same} files read, {compared.waiting} not copied yet: the second copy is {said}")
