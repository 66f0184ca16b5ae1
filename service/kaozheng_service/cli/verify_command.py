"""`kaozheng verify`: an export, or what of an archive is asked for, held against what was signed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaozheng_service.config.site import load_site
from kaozheng_service.errors import UserError

if TYPE_CHECKING:
    from kaozheng_service.config.site import Site
    from kaozheng_service.verification.archive import ArchiveReport
    from kaozheng_service.verification.verdicts import WindowVerdict

# What a long archive has of findings is told in JSON; a screen holds so many.
SHOWN = 200


def verify(
    path: Annotated[Path, typer.Argument(help="an exported bag, or a site file to verify its archive")],
    key: Annotated[
        str | None, typer.Option(help="the site's public key as you know it from elsewhere; for a bag")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(
            help="a witness's key, as printed; it must have cosigned; may be given again; for a bag"
        ),
    ] = None,
    tsa_ca: Annotated[
        Path | None,
        typer.Option("--tsa-ca", help="PEM file of the authority whose time stamps are checked; for a bag"),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="text or picture of a printed QR code: the export's log must go on from it; may be given again"
        ),
    ] = None,
    take: Annotated[str | None, typer.Option(help="only this take: WINDOW/CAMERA/take-0001")] = None,
    window: Annotated[str | None, typer.Option(help="only this window, by its id")] = None,
    day: Annotated[str | None, typer.Option(help="only windows of this day, such as 2024-11-23")] = None,
    room: Annotated[
        str | None, typer.Option("--room", "-r", help="only this room; with --day or alone")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="files read at once; every core, and one while anything is recorded"
        ),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(min=0.1, help="read no more than so many MB a second, all jobs together")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="keep what was read, and go on where such a run was broken off")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="put damaged files aside and copy good ones from the second storage"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs instead of words")] = False,
) -> None:
    """Check an export, or an archive, and name whatever is wrong with it."""
    from kaozheng_service.cli.tables import TaskBars, print_verification
    from kaozheng_service.disputes.verify import report_json, verify_bag
    from kaozheng_service.sessions.scan import read_checkpoint
    from kaozheng_service.verification.report import archive_json

    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; give the folder of an export")
    if path.is_dir():
        if take or window or day or room or jobs or limit or resume or repair:
            raise UserError(
                f"{path} is an export: only --key, --checkpoint, --witness, --tsa-ca and --json are for one"
            )
        printed = [read_checkpoint(one) for one in checkpoint or []]
        with TaskBars(shown=not as_json) as bars:
            report = verify_bag(
                path,
                trusted_key=key,
                progress=bars.task("verifying"),
                witnesses=witness or (),
                tsa_ca=tsa_ca,
                printed=printed,
            )
        if as_json:
            typer.echo(json.dumps(report_json(report), ensure_ascii=False, indent=2))
        else:
            print_verification(report)
        raise typer.Exit(0 if report.outcome == "intact" else 1)
    if checkpoint:
        raise UserError("--checkpoint is for exports; hold it against the log with: kaozheng checkpoint FILE")
    if key is not None or witness or tsa_ca is not None:
        raise UserError(
            "--key, --witness and --tsa-ca are for an export; a site is verified with its own key"
        )
    site = load_site(path)
    found = _verify_site(
        site,
        (take, window, day, room),
        jobs=jobs,
        limit_mb_s=limit,
        resume=resume,
        repair=repair,
        as_json=as_json,
    )
    if as_json:
        typer.echo(json.dumps(archive_json(found), ensure_ascii=False, indent=2))
    else:
        _print(site, found)
    raise typer.Exit(0 if found.outcome == "intact" else 1)


def _verify_site(
    site: Site,
    asked: tuple[str | None, str | None, str | None, str | None],
    *,
    jobs: int | None,
    limit_mb_s: float | None,
    resume: bool,
    repair: bool,
    as_json: bool,
) -> ArchiveReport:
    from kaozheng_service.cli.tables import TaskBars
    from kaozheng_service.station import open_station
    from kaozheng_service.verification.archive import JOURNAL, verify_archive
    from kaozheng_service.verification.pace import MB, Pace, Throttle, recording_now
    from kaozheng_service.verification.repair import repairer
    from kaozheng_service.verification.scope import parse_scope

    take, window, day, room = asked
    scope = parse_scope(site, take=take, window=window, day=day, room=room)
    station = open_station(site)
    busy = recording_now(station)
    if jobs is None and busy():
        typer.echo(
            "正在录像：一次只读一个文件，优先级最低 / windows are being recorded: one file at a time, after all else",
            err=True,
        )
    throttle = Throttle(lambda: limit_mb_s * MB if limit_mb_s is not None else None)
    cores = len(os.sched_getaffinity(0))
    pace = Pace(jobs, throttle) if jobs is not None else Pace(cores, throttle, busy=busy)
    with TaskBars(shown=not as_json, in_bytes=True) as bars:
        return verify_archive(
            station,
            bars.task("verifying"),
            scope=scope,
            pace=pace,
            journal=site.state / JOURNAL if resume else None,
            mend=repairer(station) if repair else None,
        )


def _print(site: Site, report: ArchiveReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    from kaozheng_service.cli.tables import console
    from kaozheng_service.verification.report import OUTCOME_WORDS, VERDICT_WORDS

    table = Table(box=None)
    for name in ("window", "verdict", "files", "signed gaps s", "unexplained s"):
        table.add_column(name, justify="left" if name in ("window", "verdict") else "right", overflow="fold")
    for one in report.windows:
        sign, colour, chinese, english = VERDICT_WORDS[one.verdict]
        table.add_row(
            escape(one.window),
            f"[{colour}]{sign} {chinese} / {english}[/{colour}]",
            str(one.files),
            f"{one.explained_s:.1f}" if one.gaps else "-",
            f"{one.unexplained_s:.1f}" if one.unexplained_s else "-",
        )
    console.print(table)
    for one in report.windows:
        for line in _lines(site, one):
            console.print(f"  {escape(line)}", soft_wrap=True)
    told = {(fault.path, fault.chinese) for one in report.windows for fault in one.faults}
    rest = [finding for finding in report.findings if (finding.path, finding.chinese) not in told]
    for finding in rest[:SHOWN]:
        console.print(f"- {escape(finding.message)}", soft_wrap=True)
    if len(rest) > SHOWN:
        console.print(f"- … {len(rest) - SHOWN} more; --json has all of them")
    if report.earlier:
        console.print(
            f"{report.earlier} of the files were read by the run that this one went on with, "
            f"from {report.earlier_since} on, and not again"
        )
    sign, colour, chinese, english = OUTCOME_WORDS[report.outcome]
    console.print(
        f"[{colour}]{sign} {chinese} / {english}[/{colour}]: {report.files} files, {report.bytes / 1e9:.2f} GB, "
        f"{report.records} records of {escape(report.log)}",
        soft_wrap=True,
    )


def _lines(site: Site, one: WindowVerdict) -> list[str]:
    """Each fault of a window and, where nothing is wrong, each signed gap: camera, time of day, what."""
    lines = [
        f"✗ {one.window}: {fault.place(site.zone)} {fault.path} {fault.chinese} / {fault.english}"
        for fault in one.faults[:SHOWN]
    ]
    if len(one.faults) > SHOWN:
        lines.append(f"✗ {one.window}: … {len(one.faults) - SHOWN} more; --json has all of them")
    for gap in one.gaps:
        begin, end = (at.astimezone(site.zone) for at in (gap.starts_at, gap.ends_at))
        lines.append(
            f"· {one.window}: {gap.camera} {begin:%H:%M:%S}–{end:%H:%M:%S} {gap.seconds:.1f} s {gap.cause}"
        )
    return lines
