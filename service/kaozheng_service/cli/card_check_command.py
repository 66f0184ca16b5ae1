"""`kaozheng cards-check`: the walk-through before an exam, desk cards read by every camera of a room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from kaozheng_coverage.verdict import Outcome
from kaozheng_vision.walkthrough_result import CameraState, Reading, WalkThrough
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import TaskBars, console
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

_READINGS = {
    Reading.SEEN: "[green]✓[/green]",
    Reading.SURPRISE: "[yellow]✓ unforeseen[/yellow]",
    Reading.MISSING: "[red]✗ missing[/red]",
    Reading.OPEN: "?",
    Reading.NOT_EXPECTED: "–",
    Reading.CANNOT_JUDGE: "[yellow]no picture[/yellow]",
}
_STATES = {
    CameraState.AGREES: "[green]✓ looks as stated[/green]",
    CameraState.TURNED: "[red]✗ looks elsewhere[/red]",
    CameraState.FEW_CARDS: "too few cards to tell",
    CameraState.NO_PICTURE: "[red]✗ no picture[/red]",
    CameraState.OTHER_SIZE: "[red]✗ another size[/red]",
}
_OUTCOMES = {
    Outcome.PASS: "[green]✓ every card is read, and nothing disagrees with the model[/green]",
    Outcome.FAIL: "[red]✗ the pictures disagree with the model[/red]",
    Outcome.UNDETERMINED: "[yellow]? nothing disagrees, but not everything is proven[/yellow]",
}


def check_cards(
    room: Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")
    ] = Path("site.yaml"),
    seconds: Annotated[float, typer.Option(min=1.0, help="how long each camera is watched")] = 6.0,
    seats_only: Annotated[
        bool, typer.Option("--seats-only", help="do not ask for the card of the seal-opening area")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="write each camera's picture with the cards it shows to this folder")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Read the desk cards in every camera of a room now, and hold what is read against the model."""
    from kaozheng_service.inspection.walkthrough import (
        passed,
        walk_room,
        walk_sentences,
        walkthrough_json,
        write_walk_pictures,
    )

    site = load_site(config)
    entry = site.room(room)
    with TaskBars(shown=not as_json) as bars:
        found = walk_room(
            site,
            entry,
            zones=not seats_only,
            seconds=seconds,
            progress=bars.task(f"reading the cards of {entry.name}"),
        )
    if pictures is not None:
        try:
            write_walk_pictures(found, pictures)
        except OSError as error:
            raise UserError(f"{pictures}: cannot be written: {error.strerror}; name another folder") from None
    if as_json:
        typer.echo(json.dumps(walkthrough_json(found), ensure_ascii=False, indent=2))
    else:
        _print(found.walk, walk_sentences(found))
    raise typer.Exit(0 if passed(found) else 1)


def _print(walk: WalkThrough, sentences: list[str]) -> None:
    cameras = Table("camera", "cards read", "off together by", "state", title=escape(walk.room_id))
    for one in walk.cameras:
        off = "" if one.turn_deg is None else f"{one.turn_deg:.2f}°, {one.turn_px:.1f} px"
        cameras.add_row(escape(one.camera_id), str(one.cards), off, _STATES[one.state])
    console.print(cameras)
    cards = Table("card", *(escape(one.camera_id) for one in walk.cameras))
    for label in walk.labels:
        by_camera = {one.camera_id: one for one in walk.of(label)}
        cards.add_row(escape(label), *(_READINGS[by_camera[one.camera_id].reading] for one in walk.cameras))
    console.print(cards)
    console.print("✓ read in its place   ? may be read, was not   – the model says it cannot be read there")
    for sentence in sentences:
        console.print(f"- {escape(sentence)}", soft_wrap=True)
    console.print(_OUTCOMES[walk.outcome])
