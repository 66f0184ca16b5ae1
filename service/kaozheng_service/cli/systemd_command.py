"""`kaozheng systemd-unit`: what systemd needs to run the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaozheng_service.config.site import load_site


def systemd_unit(
    site: Annotated[
        Path, typer.Option("--site", "--config", "-c", help="the site file", envvar="KAOZHENG_SITE")
    ] = Path("site.yaml"),
    user: Annotated[str, typer.Option(help="account that the service runs as")] = "kaozheng",
) -> None:
    """Print a systemd unit for this site; save it as /etc/systemd/system/kaozheng.service."""
    from kaozheng_service.systemd_unit import unit_text

    typer.echo(unit_text(load_site(site), site, user=user), nl=False)
