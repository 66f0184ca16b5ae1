"""`kaozheng backfill`: what a window lacks is fetched from where the cameras' footage is kept a second time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kaozheng_service.clock import to_text
from kaozheng_service.config.site import load_site

SCHEMA = "kaozheng/backfill/1"


def backfill(
    window: Annotated[
        str, typer.Option("--window", "-w", help="id of the window, as the status page shows it")
    ],
    camera: Annotated[str | None, typer.Option(help="only this camera; all when left out")] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")
    ] = Path("site.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Fetch now what a window lacks, from each camera's playback address: one attempt a gap, whatever was tried before.

    It may run beside recordings of other windows: choose the hour. A gap stays a gap, what came is a take of its own.
    """
    from kaozheng_service.cli.tables import TaskBars, print_backfill, print_session
    from kaozheng_service.recording.backfill import backfill_window
    from kaozheng_service.recording.completeness import completeness_json, window_completeness
    from kaozheng_service.sessions.facts import session_facts
    from kaozheng_service.station import open_station

    station = open_station(load_site(config))
    with TaskBars(shown=not as_json) as bars:
        results = backfill_window(station, window, camera, progress=bars.task("fetching"))
    whole = window_completeness(station, window)
    if as_json:
        gaps = [
            {
                "camera": one.camera_id,
                "from": to_text(one.starts_at),
                "to": to_text(one.ends_at),
                "cause": one.cause,
                "healed_s": round(one.healed_s, 3),
                "missing_s": round(one.missing_s, 3),
                "state": one.state,
                "reason": one.reason,
            }
            for one in results
        ]
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "window": window,
            "gaps": gaps,
            "completeness": completeness_json(whole),
        }
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        print_backfill(window, results)
        print_session(station.site, session_facts(station, window))
    raise typer.Exit(0 if all(one.missing_s == 0 for one in results) else 1)
