"""`kaozheng calibrate`: where the cameras of a room really hang and look, by the desk cards that they see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.tables import TaskBars, console
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

if TYPE_CHECKING:
    from kaozheng_service.inspection.calibration import CameraCalibration

_MARKS = {
    "good": "[green]✓ good[/green]",
    "poor": "[red]✗ poor[/red]",
    "cannot_judge": "[yellow]? cannot judge[/yellow]",
}


def calibrate(
    room: Annotated[str, typer.Option("--room", "-r", help="room id, name or alias")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="the site file", envvar="KAOZHENG_SITE")
    ] = Path("site.yaml"),
    camera: Annotated[list[str] | None, typer.Option(help="only these cameras; all when left out")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="put good poses into the site file; the stated ones stay in it")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="write each camera's picture with cards and residuals to this folder")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="how long each camera is watched")] = 6.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Find position, aim and focal length of a room's cameras by the desk cards in their pictures."""
    from kaozheng_service.config.site_edit import write_calibrations
    from kaozheng_service.inspection.calibration import (
        calibrate_room,
        calibrated_entry,
        calibration_json,
        write_overlays,
    )

    site = load_site(config)
    entry = site.room(room)
    ids = (
        [entry.camera(name).id for name in dict.fromkeys(camera)]
        if camera
        else [one.id for one in entry.cameras]
    )
    with TaskBars(shown=not as_json) as bars:
        found = calibrate_room(
            site,
            entry,
            ids,
            seconds=seconds,
            progress=bars.task(f"calibrating {entry.name}"),
        )
    if pictures is not None:
        try:
            write_overlays(site, entry, found, pictures)
        except OSError as error:
            raise UserError(
                f"{error.filename or pictures}: cannot be written: {error.strerror}; name another place"
            ) from None
    good = {
        one.camera_id: calibrated_entry(
            entry.camera(one.camera_id), one.result, now().astimezone(site.zone).date()
        )
        for one in found
        if one.good and one.result is not None
    }
    if write and good:
        write_calibrations(config, entry.id, good)
    written = list(good) if write else []
    if as_json:
        typer.echo(json.dumps(calibration_json(entry.id, found, written), ensure_ascii=False, indent=2))
    else:
        _print(entry.name, found, config, written)
    raise typer.Exit(0 if all(one.good for one in found) else 1)


def _print(name: str, found: Sequence[CameraCalibration], config: Path, written: Sequence[str]) -> None:
    table = Table(
        "camera", "pose", "cards", "off the stated pose", "sure to (2 sd)", "check", title=escape(name)
    )
    for one in found:
        table.add_row(
            escape(one.camera_id),
            _MARKS["cannot_judge" if one.result is None else one.result.verdict.value],
            _cards(one),
            _change(one),
            _sure(one),
            _check(one),
        )
    console.print(table)
    for one in found:
        reason = one.problem if one.result is None else one.result.reason
        if reason:
            console.print(f"- {escape(one.camera_id)}: {escape(reason)}", soft_wrap=True)
        for card in one.result.outliers if one.result is not None else ():
            far = "" if card.off_cm is None else f", {card.off_cm:.0f} cm from its place"
            where = ""
            if card.stands_at_m is not None:
                where = f", at ({card.stands_at_m[0]:.2f}, {card.stands_at_m[1]:.2f}) m"
            console.print(
                f"- {escape(one.camera_id)}: card {escape(card.label)} stands elsewhere{far}{where}; it was left out",
                soft_wrap=True,
            )
    if written:
        console.print(f"{config}: {', '.join(written)} written, the stated pose kept", soft_wrap=True)
    elif any(one.good for one in found):
        console.print("Nothing was written; --write puts the good poses into the site file.")


def _cards(one: CameraCalibration) -> str:
    if one.result is None:
        return ""
    return f"{len(one.result.inliers)} of {len(one.sightings)}"


def _change(one: CameraCalibration) -> str:
    result = one.result
    if result is None or result.camera is None:
        return ""
    x, y, z = result.moved_cm
    return (
        f"{x:+.1f} {y:+.1f} {z:+.1f} cm\npan {result.pan_deg:+.2f}° tilt {result.tilt_deg:+.2f}° "
        f"roll {result.roll_deg:+.2f}°\nfocal length {100 * (result.zoom - 1):+.1f}%"
    )


def _sure(one: CameraCalibration) -> str:
    result = one.result
    if result is None or result.camera is None or result.covariance is None:
        return ""
    worst_cm = 200 * max(float(result.covariance[axis][axis]) for axis in range(3)) ** 0.5
    return f"{worst_cm:.1f} cm\naim {result.camera.aim_tolerance_deg:.2f}°"


def _check(one: CameraCalibration) -> str:
    result = one.result
    if result is None or result.rms_px is None or result.held_out_cm is None:
        return ""
    return (
        f"{result.rms_px:.2f} px\nleft out: {result.held_out_cm:.1f} cm\n"
        f"markers {100 * (result.printed - 1):+.1f}%"
    )
