"""`kaozheng cards`: a room's desk cards to print, and which cameras will read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from kaozheng_coverage.card_sight import CardCause, CardChance, CardSight
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import console
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

if TYPE_CHECKING:
    from kaozheng_service.inspection.cards import CardPlan

_MARKS = {
    CardChance.SURE: "[green]✓[/green]",
    CardChance.DOUBTFUL: "[yellow]?[/yellow]",
    CardChance.NONE: "[red]✗[/red]",
}


def print_cards(
    room: Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")],
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="KAOZHENG_SITE", help="the site file")
    ] = Path("site.yaml"),
    marker: Annotated[
        str | None,
        typer.Option(
            help="side of the marker in millimetres, or auto for what suits the cameras; "
            "the site file's card_marker when left out"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="the PDF file to write")] = Path("cards.pdf"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Print a room's desk cards as foldable A4 sheets, and say which cameras will read which card."""
    from kaozheng_service.inspection.cards import cards_json, cards_pdf, plan_cards

    site = load_site(config)
    entry = site.room(room)
    plan = plan_cards(entry, entry.card_marker if marker is None else marker_size(marker))
    cards_pdf(site, plan, out)
    if as_json:
        typer.echo(json.dumps(cards_json(plan, out), ensure_ascii=False, indent=2))
        return
    _print_plan(plan)
    console.print(
        f"{escape(str(out))}: {plan.form.name} cards with a marker of {1000 * plan.marker_m:g} mm, "
        f"{plan.sheets} sheets; print at 100%, and measure one",
        soft_wrap=True,
    )
    if abs(plan.advised_m - plan.marker_m) > 5e-5:
        console.print(f"[yellow]note[/yellow]: {1000 * plan.advised_m:g} mm would suit the cameras better")
    if plan.to_write:
        console.print(f"write into the site file, under room {escape(plan.room_id)}: {plan.to_write}")


def marker_size(text: str) -> float | None:
    """``--marker`` in metres; None for ``auto``. Raises UserError where it is neither."""
    if text.strip().lower() == "auto":
        return None
    try:
        size_m = float(text.strip().removesuffix("mm")) / 1000
    except ValueError:
        size_m = float("nan")
    if not size_m > 0:
        raise UserError(f"--marker {text!r}: give the marker's side in millimetres, such as 94, or auto")
    return size_m


def _print_plan(plan: CardPlan) -> None:
    table = Table("card", *(escape(camera.id) for camera in plan.cameras))
    for label in plan.labels:
        cells = [f"{_MARKS[sight.chance]} {escape(_reason(sight))}" for sight in plan.of(label)]
        table.add_row(f"{_MARKS[plan.chance(label)]} {escape(label)}", *cells)
    console.print(table)


def _reason(sight: CardSight) -> str:
    match sight.cause:
        case None:
            return f"{int(sight.side_px)} px"
        case CardCause.TOO_FAR:
            needed = f", needs {1000 * sight.needed_m:.0f} mm" if sight.needed_m else ""
            return f"{int(sight.side_px)} px{needed}"
        case CardCause.HIDDEN if sight.hidden_by:
            return f"hidden by {sight.hidden_by[0]}"
        case CardCause.EDGE_ON:
            return f"edge-on, {sight.slant_deg:.0f} degrees"
        case CardCause.OUT_OF_VIEW if sight.chance is CardChance.DOUBTFUL:
            return "at the border of the picture"
    return sight.cause.value.replace("_", " ")
