"""What the commands print for people: progress bars and tables. Programs ask for ``--json``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any

from kaozheng_coverage.assess import MEASURES
from kaozheng_coverage.room import Room
from kaozheng_coverage.verdict import Additions, CameraTolerance, Draws, Outcome, RoomVerdict, TargetVerdict
from kaozheng_vision.diagnose import Diagnosis, Judgement
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from kaozheng_service.alarms.listing import Listed
from kaozheng_service.alarms.words import alarm_name
from kaozheng_service.config.site import Site
from kaozheng_service.disputes.found import FindResult, FoundCamera
from kaozheng_service.disputes.timeline import State
from kaozheng_service.disputes.verify import Report
from kaozheng_service.inspection.result import RoomInspection
from kaozheng_service.recording.backfill import GapBackfill
from kaozheng_service.session_wording import share_text
from kaozheng_service.sessions.facts import SessionFacts
from kaozheng_service.sessions.listing import listing
from kaozheng_service.sessions.picture import TEXT_LEGEND, text_bar

console = Console()

_MARKS = {
    Outcome.PASS: "[green]✓ pass[/green]",
    Outcome.FAIL: "[red]✗ fail[/red]",
    Outcome.UNDETERMINED: "[yellow]? undetermined[/yellow]",
}


class TaskBars:
    """A progress bar a task, while the context lasts; on standard error, so that results can be piped."""

    def __init__(self, shown: bool = True, *, in_bytes: bool = False) -> None:
        """``in_bytes``: what is counted are bytes, told with their rate and the time that is left."""
        counted: tuple[ProgressColumn, ...] = (
            (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            if in_bytes
            else (MofNCompleteColumn(),)
        )
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *counted,
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )

    def __enter__(self) -> TaskBars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def task(self, description: str) -> Callable[[int, int], None]:
        """Begin a line; what is returned moves it, given how much is done and how much there is."""
        line = self._progress.add_task(escape(description), total=None)

        def step(done: int, total: int) -> None:
            self._progress.update(line, completed=done, total=total)

        return step


def print_verdict(room: Room, verdict: RoomVerdict) -> None:
    """Every seat and zone with its verdict, the reason that decides and the mend."""
    table = Table(
        "target",
        "verdict",
        "why",
        "mend",
        title=f"{escape(room.name)} under {verdict.profile_id} v{verdict.profile_version}",
    )
    for target in verdict.targets:
        table.add_row(
            escape(f"{target.kind} {target.id}"),
            _MARKS[target.outcome],
            escape(_reason(target)),
            escape(target.mend.text) if target.mend else "",
        )
    console.print(table)
    for lens in verdict.lenses:
        console.print(
            f"lens of {escape(lens.camera_id)}: {lens.model}, {lens.focal_px:.0f} px, "
            f"known to {lens.spread:.0%}. {escape(lens.note)}",
            soft_wrap=True,
        )
    for loss in verdict.losses:
        lost = [f"seat {seat}" for seat in loss.seats] + [f"zone {zone}" for zone in loss.zones]
        console.print(
            f"without {escape(loss.camera_id)}: {escape(', '.join(lost)) or 'nothing'} would no longer pass",
            soft_wrap=True,
        )
    if verdict.additions is not None:
        console.print(_additions(verdict.additions), soft_wrap=True)
    for one in verdict.tolerances:
        console.print(f"{escape(one.camera_id)} {_tolerance(one)}", soft_wrap=True)
    if verdict.draws is not None:
        console.print(_draws(verdict.draws), soft_wrap=True)
    for warning in verdict.warnings:
        console.print(f"[yellow]note[/yellow]: {escape(warning)}", soft_wrap=True)
    counts = {outcome: sum(target.outcome is outcome for target in verdict.targets) for outcome in Outcome}
    console.print(
        f"{_MARKS[verdict.outcome]}: {len(verdict.seats)} seats and {len(verdict.zones)} zones; "
        + ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items())
    )


def _tolerance(one: CameraTolerance) -> str:
    if not one.depending:
        return "can be turned without a loss: the other cameras show what it shows"
    turns = (("pan", one.pan_deg), ("tilt", one.tilt_deg), ("roll", one.roll_deg))
    said = ", ".join(f"{name} {'over 10' if angle is None else f'{angle:g}'}" for name, angle in turns)
    first = f"; {one.first_lost} is lost first" if one.first_lost else ""
    return escape(f"can be off by so many degrees before anything is lost: {said}{first}")


def _additions(found: Additions) -> str:
    left = f" What no place on the walls mends: {escape(', '.join(found.left))}." if found.left else ""
    if not found.cameras:
        return f"no camera on a wall mends what fails.{left}"
    count = f"{len(found.cameras)} camera{'s' if len(found.cameras) > 1 else ''}"
    where = " ".join(escape(one.text) for one in found.cameras)
    checked = "judged with them" if found.verified else "not proven"
    return f"to mend {found.mended} targets at once, the fewest: {count} ({checked}). {where}{left}"


def _draws(drawn: Draws) -> str:
    judged = len(drawn.targets)
    if not judged:
        return "no draws of what may be off: every target fails as stated"
    text = (
        f"{drawn.passed} of {drawn.draws} draws of what may be off in pose, lens and layout pass all {judged} targets "
        f"that do not fail as stated: at least {drawn.probability:.0%} of such worlds would, "
        f"with {drawn.confidence:.0%} confidence"
    )
    return text if drawn.measure is None else f"{text}; measure {MEASURES[drawn.measure]} better"


def _reason(target: TargetVerdict) -> str:
    return target.binding.reason if target.parts else "no rule names anything of it to be seen"


def print_inspection(result: RoomInspection) -> None:
    """The cameras, the count of verdicts, the test recording and the proposed outcome of one room."""
    table = Table(
        "camera", "stream", "size", "fps", "Mbit/s", "GOP s", "picture", "test recording",
        title=f"room {escape(result.room_id)}",
    )  # fmt: skip
    recordings = {recording.camera_id: recording for recording in result.recordings}
    for camera in result.cameras:
        probe = camera.probe
        recording = recordings[camera.camera_id]
        table.add_row(
            escape(camera.camera_id),
            f"[green]✓[/green] {probe.codec}" if probe.ok else f"[red]✗[/red] {escape(probe.message)}",
            f"{probe.width}×{probe.height}" if probe.width else "",
            _figure(probe.fps, 1),
            _figure(probe.bitrate_bps / 1e6 if probe.bitrate_bps else None, 2),
            _figure(probe.gop_s, 1),
            picture_words(camera.diagnosis),
            "[green]✓ verified[/green]"
            if recording.valid
            else f"[red]✗[/red] {escape('; '.join(recording.problems))}",
        )
    console.print(table)
    for name, targets in (("seats", result.verdict.seats), ("zones", result.verdict.zones)):
        passed = sum(target.outcome is Outcome.PASS for target in targets)
        console.print(f"{passed} of {len(targets)} {name} pass")
    if result.walk is not None:
        walk = result.walk.walk
        console.print(f"{len(walk.labels) - len(walk.unproven)} of {len(walk.labels)} desk cards are read")
    for reason in result.reasons:
        console.print(f"- {escape(reason)}", soft_wrap=True)
    console.print(
        f"proposed outcome: [bold]{result.outcome}[/bold]; print and sign {result.sheet}", soft_wrap=True
    )


def picture_words(diagnosis: Diagnosis) -> str:
    """What the picture's diagnosis says, as markup: what cannot be judged is no pass."""
    if diagnosis.judgement is Judgement.FAULT:
        return f"[red]✗[/red] {', '.join(fault.value for fault in diagnosis.faults)}"
    if diagnosis.judgement is Judgement.CANNOT_JUDGE:
        return "[yellow]? cannot judge[/yellow]"
    return "[green]✓[/green]"


def _figure(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


_VERDICTS = {
    "complete": "[green]✓ complete[/green]",
    "incomplete_explained": "[yellow]▲ explained[/yellow]",
    "incomplete_unexplained": "[red]✗ not explained[/red]",
    "not_over": "[yellow]… not over[/yellow]",
    "cancelled": "⊘ cancelled before it began",
}
BAR_LETTERS = 48


def print_session(site: Site, facts: SessionFacts) -> None:
    """Camera by camera what became of a window, its timeline, and every gap, hole and alarm in the site's time."""
    window, result = facts.window, facts.result

    def local(at: datetime, form: str = "%H:%M:%S") -> str:
        return f"{at.astimezone(site.zone):{form}}"

    title = (
        f"{window.title} in {window.room_id}, {local(window.starts_at, '%F %T')} to {local(window.ends_at)}"
    )
    table = Table(title=escape(title), box=SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("camera", overflow="fold", min_width=12)
    for name in ("expected", "recorded", "explained", "unexplained", "takes", "gaps", "alarms"):
        table.add_column(name, justify="right", no_wrap=True)
    for camera in facts.cameras:
        one = camera.numbers
        table.add_row(
            escape(camera.id),
            f"{one.expected_s:.1f} s",
            *(
                f"{seconds:.1f} s\n{share_text(seconds, one.expected_s)}"
                for seconds in (one.recorded_s, one.explained_s, one.unexplained_s)
            ),
            str(one.takes),
            str(len(one.gaps)),
            str(len(camera.alarms)),
        )
    console.print(table)
    names = max((len(camera.id) for camera in facts.cameras), default=0)
    for camera in facts.cameras:
        line = f"{escape(camera.id):>{names}} |{text_bar(facts, camera, BAR_LETTERS)}| "
        console.print(line + verdict_words(camera.numbers.verdict), soft_wrap=True, highlight=False)
    axis = f"{local(window.starts_at, '%H:%M')}{local(window.ends_at, '%H:%M'):>{BAR_LETTERS - 3}}"
    console.print(f"{'':>{names}}  {axis}", soft_wrap=True, highlight=False)
    console.print(TEXT_LEGEND, soft_wrap=True, highlight=False)
    found = listing(facts)
    for item in (*found.unexplained, *found.gaps, *found.alarms):
        until = local(item.ends_at) if item.ends_at is not None else "…"
        length = "" if item.seconds is None else f", {item.seconds:.1f} s"
        what = item.code.replace("_", " ") + (f" ({item.detail})" if item.detail else "") + item.healed
        line = f"{item.number} {item.camera} {local(item.starts_at)} to {until}{length}: {what}"
        console.print(escape(line), soft_wrap=True)
    for mark in facts.marks:
        console.print(
            escape(f"mark {local(mark.at)}: {mark.kind.replace('_', ' ')} {mark.note}".rstrip()),
            soft_wrap=True,
        )
    console.print(f"{verdict_words(result.verdict)}: window {escape(window.id)}", soft_wrap=True)
    console.print(result.summary(), soft_wrap=True)


def verdict_words(verdict: str) -> str:
    """Whether a window is complete, as markup."""
    return _VERDICTS.get(verdict, escape(verdict.replace("_", " ")))


def print_backfill(window_id: str, results: list[GapBackfill]) -> None:
    """Gap by gap what was fetched afterwards, and why the rest was not."""
    table = Table("camera", "gap", "cause", "backfilled", "state", "why", title=f"window {escape(window_id)}")
    for one in results:
        length_s = (one.ends_at - one.starts_at).total_seconds()
        table.add_row(
            escape(one.camera_id),
            f"{one.starts_at:%H:%M:%S} UTC, {length_s:.1f} s",
            one.cause,
            f"{one.healed_s:.1f} s",
            one.state.replace("_", " "),
            escape(one.reason),
        )
    console.print(table)


def print_found(site: Site, result: FindResult) -> None:
    """The cameras that see the seat, best first, each with its file, offset and box in the picture."""
    at = result.at.astimezone(site.zone)
    about = f"seat {result.seat} of {result.room_name}" if result.seat else result.room_name
    table = Table(
        "camera", "sight", "box x0 y0 x1 y1", "at that moment", "file", title=escape(f"{about}, {at:%F %T}")
    )
    for camera in (*result.cameras, *result.blind):
        box = camera.sight.box_px if camera.sight else None
        table.add_row(
            escape(camera.camera_id),
            _MARKS[camera.sight.outcome] if camera.sight else "",
            " ".join(f"{edge:.0f}" for edge in box) if box else "",
            camera.at_moment.value,
            escape(_file(camera)),
        )
    console.print(table)
    for window in result.windows:
        if window.cancellation is not None:
            on = window.cancellation.at.astimezone(site.zone)
            when = "before it began" if window.cancellation.before_start else "after it had begun"
            console.print(
                f"window {escape(window.id)} was cancelled at {on:%F %T}, {when}: {escape(window.cancellation.reason)}",
                soft_wrap=True,
            )
    for word, nearest in (("before", result.before), ("after", result.after)):
        if nearest is not None:
            moment = nearest.at.astimezone(site.zone)
            console.print(f"nearest footage {word}: {escape(nearest.camera_id)} at {moment:%F %T}")
    if not result.found:
        came = any(camera.at_moment is State.BACKFILLED for camera in result.cameras)
        console.print(
            "[yellow]No camera that sees it recorded that moment"
            f"{'; footage of it was fetched afterwards' if came else ''}.[/yellow]"
        )


def _file(camera: FoundCamera) -> str:
    for segment in camera.segments:
        if segment.deleted_leaf is not None and segment.offset_s is not None:
            return f"保存期满已删除 deleted after its time, 存证 record {segment.deleted_leaf}"
        if segment.offset_s is not None:
            return f"{segment.path} at {segment.offset_s:.1f} s"
    for one in camera.backfilled:
        if one.segment.offset_s is not None:
            known = f"backfilled from {one.source}, known to {one.uncertainty_s:g} s"
            return f"{one.segment.path} at {one.segment.offset_s:.1f} s ({known})"
    return "; ".join(f"gap: {gap.cause}" for gap in camera.gaps)


def print_verification(report: Report) -> None:
    """The outcome and every finding."""
    colour = {"intact": "green", "altered": "red"}.get(report.outcome, "yellow")
    console.print(f"[{colour}]{report.outcome}[/{colour}]", soft_wrap=True)
    findings: tuple[Any, ...] = tuple(report.findings)
    for finding in findings:
        console.print(f"- {escape(finding.message)}", soft_wrap=True)


def print_alarms(site: Site, found: list[Listed]) -> None:
    """Alarms with what became of their messages."""
    if not found:
        console.print("no alarms")
        return
    table = Table(box=None)
    for name in ("no.", "from", "to", "room", "camera", "alarm", "detail", "messages"):
        table.add_column(name)
    for one in found:
        alarm = one.alarm
        until = alarm.cleared_at.astimezone(site.zone).strftime("%H:%M:%S") if alarm.cleared_at else "lasts"
        waiting = sum(message.state == "waiting" for message in one.messages)
        lost = sum(message.state == "given_up" for message in one.messages)
        sent = sum(message.state == "sent" for message in one.messages)
        counts = ((sent, "sent"), (waiting, "waiting"), (lost, "given up"))
        cells = (
            str(alarm.id),
            alarm.raised_at.astimezone(site.zone).strftime("%Y-%m-%d %H:%M:%S"),
            "-" if alarm.ended == "told" else until,
            alarm.room_id or "-",
            alarm.camera_id or "-",
            f"{alarm_name(alarm.kind, site.alarms.language)} ({alarm.kind})",
            alarm.detail,
            ", ".join(f"{count} {word}" for count, word in counts if count) or "-",
        )
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
