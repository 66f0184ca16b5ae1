"""`kaozheng anchor`: the log's head put out of this site's reach, now."""

from __future__ import annotations

import json
from typing import Any

import typer

from kaozheng_service.cli.commands import SITE_FILE, ConfigOption, JsonOption
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

anchor_app = typer.Typer(no_args_is_help=True, help=__doc__)


@anchor_app.command("stamp")
def stamp(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Have the head time-stamped by every authority under anchors: stamps:."""
    _anchor(config, "anchor.stamped", "stamps", as_json=as_json)


@anchor_app.command("witness")
def witness(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Have the head cosigned by every site under anchors: witnesses:."""
    _anchor(config, "anchor.witnessed", "witnesses", as_json=as_json)


@anchor_app.command("mail")
def mail(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Mail the head to the addresses under anchors: mail:."""
    _anchor(config, "anchor.mailed", "mail", as_json=as_json)


def _anchor(config: Any, kind: str, section: str, *, as_json: bool) -> None:
    """Ends with 1 where one did not take it."""
    from kaozheng_service.evidence.anchors.making import anchors_of, make_anchor
    from kaozheng_service.evidence.anchors.posting import AnchorError
    from kaozheng_service.redaction import redacted
    from kaozheng_service.station import open_station

    site = load_site(config)
    anchors = [one for one in anchors_of(site) if one.kind == kind]
    if not anchors:
        raise UserError(f"{config}: no {section} under anchors: (docs/operations.md shows how to name them)")
    station = open_station(site)
    lines: list[dict[str, Any]] = []
    for anchor in anchors:
        line: dict[str, Any] = {
            "anchor": anchor.id,
            "size": None,
            "leaf": None,
            "why": None,
            "refused": False,
        }
        try:
            made = make_anchor(station, anchor)
            line |= {"size": made.size, "leaf": made.leaf}
        except AnchorError as error:
            line |= {"why": redacted(str(error)), "refused": error.refused}
        lines.append(line)
    if as_json:
        body = {"schema": "kaozheng/anchor/1", "kind": kind, "anchors": lines}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            if line["why"] is None:
                typer.echo(f"✓ {line['anchor']}: {line['size']} entries anchored, record {line['leaf']}")
            else:
                typer.echo(f"✗ {line['why']}")
    raise typer.Exit(1 if any(line["why"] is not None for line in lines) else 0)
