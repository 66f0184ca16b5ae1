"""`kaozheng retention`: what may be deleted, approved by two, and deleted with a tombstone each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from kaozheng_service.cli.acting import AsOption, acting
from kaozheng_service.cli.tables import TaskBars, console
from kaozheng_service.cli.timetable_commands import ConfigOption, JsonOption
from kaozheng_service.clock import now
from kaozheng_service.config.site import load_site
from kaozheng_service.station import open_station

retention_app = typer.Typer(no_args_is_help=True, help=__doc__)
SITE_FILE = Path("site.yaml")


@retention_app.command("preview")
def preview(config: ConfigOption = SITE_FILE, as_json: JsonOption = False) -> None:
    """Batches with the day on which they are due, what is kept nevertheless, and when the disk will be full."""
    from kaozheng_service.retention.preview import preview_json, preview_retention

    found = preview_retention(open_station(load_site(config)), now())
    if as_json:
        _json(preview_json(found))
        return
    table = Table("批次 batch", "到期 due", "文件 files", "GB", "保留 kept", "可删 may go, GB")
    for one in found.batches:
        kept = f"{one.kept_files}: {', '.join(sorted(one.kept))}" if one.kept_files else ""
        table.add_row(
            escape(one.batch or "（无批次）"),
            one.due_on.isoformat(),
            str(one.files),
            f"{one.bytes / 1e9:.3f}",
            escape(kept),
            f"{one.deletable_bytes / 1e9:.3f}" if one.is_due else "未到期 not due",
        )
    console.print(table)
    look = found.outlook
    if look.bytes_per_day is None or look.bytes_per_exam_day is None:
        console.print(
            "近一年没有录像，无法预计磁盘 · nothing was recorded in the last year: no outlook for the disk"
        )
        return
    console.print(
        f"每考试日约 {look.bytes_per_exam_day / 1e9:.2f} GB an exam day; "
        f"可用 usable {(look.free_bytes - look.reserve_bytes) / 1e9:.1f} GB",
        soft_wrap=True,
    )
    ends = [(look.full_on, "不删除 without deletions"), (look.full_with_retention_on, "按期删除 with them")]
    for day, words in ends:
        when = day.isoformat() if day is not None else "十年内不会 not within ten years"
        console.print(f"磁盘写满 disk full, {words}: {when}", soft_wrap=True)


@retention_app.command("approve")
def approve(
    batch: Annotated[str, typer.Argument(help='the batch; "" for windows without one')],
    account: AsOption,
    config: ConfigOption = SITE_FILE,
    as_json: JsonOption = False,
) -> None:
    """Approve that what is due of a batch is deleted; it takes two accounts, head and centre."""
    from kaozheng_service.cases.words import role_names
    from kaozheng_service.retention.approval import approve_deletion

    station = open_station(load_site(config))
    state = approve_deletion(station, batch, acting(station, account), now(), console=True)
    if as_json:
        _json(
            {
                "schema": "kaozheng/deletion/1",
                "id": state.id,
                "batch": state.batch,
                "files": state.files,
                "bytes": state.bytes,
                "approved_by": list(state.accounts),
                "waits_for": [role.value for role in state.waits_for],
            }
        )
        return
    console.print(f"[green]✓[/green] {state.id}: {state.files} 个文件 files, {state.bytes / 1e9:.3f} GB")
    if state.waits_for:
        both = role_names(state.waits_for, chinese=True), role_names(state.waits_for, chinese=False)
        console.print(f"还需批准：{both[0]} · still to be approved by: {both[1]}")
    else:
        console.print("可以删除 · may be deleted now: kaozheng retention run")


@retention_app.command("run")
def run(
    config: ConfigOption = SITE_FILE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete what both approved. Exit code 1 where something was left alone that should not have been."""
    from kaozheng_service.retention.run import deleted_json, run_deletions

    station = open_station(load_site(config))
    if not yes and not typer.confirm(
        "删除后不能恢复，继续？ What is deleted cannot be brought back. Go on?", err=True
    ):
        console.print("没有删除。Nothing was deleted.")
        raise typer.Exit(1)
    with TaskBars(shown=not as_json) as bars:
        done = run_deletions(station, now(), bars.task("deleting"))
    if as_json:
        _json(deleted_json(done))
    else:
        console.print(f"已删除 deleted: {done.files} 个文件 files, {done.bytes / 1e9:.3f} GB")
        for path, why in done.kept.items():
            console.print(f"保留 kept: {escape(path)}: {escape(why)}", soft_wrap=True)
        for path, why in done.faults.items():
            console.print(f"[red]✗ {escape(path)}: {escape(why)}[/red]", soft_wrap=True)
        for one in done.waiting:
            console.print(f"[yellow]待批准 waits for an approval: {one}[/yellow]")
        if done.elsewhere:
            console.print(
                f"[yellow]{done.elsewhere} 个文件可能在其他磁盘上还有副本 · {done.elsewhere} files may have a copy "
                "on a disk that the site file does not name[/yellow]",
                soft_wrap=True,
            )
    raise typer.Exit(1 if done.faults else 0)


def _json(body: dict[str, Any]) -> None:
    typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
