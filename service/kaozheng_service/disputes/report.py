"""The texts of a bag: the report that a complainant or a commission reads, and how to check without us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from kaozheng_service.disputes.report_timeline import camera_lines, lines_svg
from kaozheng_service.disputes.selection import Selection
from kaozheng_service.disputes.standalone.completeness import segment_path
from kaozheng_service.disputes.standalone.records import Span
from kaozheng_service.evidence.note import verifier_key
from kaozheng_service.station import Station
from kaozheng_service.wording import gap_cause_name


@dataclass(frozen=True, slots=True)
class Claim:
    """What was asked for, as the report tells it."""

    id: str
    at: datetime
    room_id: str
    cameras: tuple[str, ...]
    span: Span
    seat: str
    reason: str


@dataclass(frozen=True, slots=True)
class ViewingCopy:
    """A derived copy at ``path`` in the bag; ``failure`` is why there is none, ``source`` where it came from later."""

    path: str
    camera: str
    starts_at: datetime
    ends_at: datetime
    failure: str
    source: str = ""


def report_html(
    station: Station, claim: Claim, selection: Selection, copies: Sequence[ViewingCopy], damaged: set[str]
) -> str:
    """The report as one HTML file without scripts or outside parts.

    Parameters
    ----------
    damaged : paths in the bag whose original is missing or not as it was signed
    """
    zone = station.site.zone
    gaps = [gap for gap in selection.of_kind("gap") if gap.meets(claim.span)]
    footage = sorted(selection.footage, key=lambda part: claim.cameras.index(part.record.camera))
    by_camera = {
        camera: list(parts) for camera, parts in groupby(footage, key=lambda part: part.record.camera)
    }
    # What cannot be trusted is drawn as neither recorded nor explained.
    trusted = tuple(part for part in selection.footage if segment_path(part.record) not in damaged)
    whole = replace(selection, footage=trusted)
    lines = camera_lines(whole, claim.cameras, claim.span, gaps, zone)
    room = station.site.room(claim.room_id)
    return (
        _environment(zone)
        .get_template("report.html")
        .render(
            site=station.site,
            room=room,
            claim=claim,
            windows=selection.of_kind("window.expected"),
            cancelled={record["window"]: record for record in selection.of_kind("window.cancelled")},
            lines=lines,
            timeline=lines_svg(lines, claim.span, zone),
            gaps=gaps,
            footage=by_camera,
            backfilled=selection.backfilled,
            openings={record["take"]: record for record in selection.of_kind("backfill.opened")},
            healed=_healed(selection),
            given_up={record["gap"]: record for record in selection.of_kind("backfill.given_up")},
            copies=copies,
            damaged=damaged,
            segment_path=segment_path,
            key=verifier_key(station.log.origin, station.log.public_key),
            seconds=(claim.span[1] - claim.span[0]).total_seconds(),
            bytes=sum(part.bytes for part in trusted),
            count=len(trusted),
        )
    )


def _healed(selection: Selection) -> dict[int, float]:
    """Seconds of each gap for which footage came afterwards, by the index of the gap's record."""
    seconds: dict[int, float] = {}
    for record in selection.of_kind("gap.healed"):
        length = (record.span[1] - record.span[0]).total_seconds()
        seconds[record["gap"]] = seconds.get(record["gap"], 0.0) + length
    return seconds


def readme_text(station: Station, claim: Claim, *, backfilled: bool, printed: bool) -> str:
    """README.txt of the bag.

    Parameters
    ----------
    backfilled : it holds footage that came afterwards
    printed : it holds proofs that its log goes on from printed checkpoints
    """
    key = verifier_key(station.log.origin, station.log.public_key)
    return (
        _environment(station.site.zone)
        .get_template("README.txt")
        .render(claim=claim, key=key, backfilled=backfilled, printed=printed)
    )


def _environment(zone: tzinfo) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        cause=gap_cause_name,
        local=lambda at, form="%Y-%m-%d %H:%M:%S": f"{at.astimezone(zone):{form}}",
        precise=lambda at: f"{at.astimezone(zone):%H:%M:%S}.{at.microsecond // 1000:03d}",
        duration=_duration,
        megabytes=lambda size: f"{size / 1e6:.2f} MB",
    )
    return environment


def _duration(seconds: float) -> str:
    """``2 分 05.3 秒``."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    words = [f"{hours} 小时"] if hours else []
    words += [f"{minutes} 分"] if minutes or hours else []
    return " ".join([*words, f"{rest:.1f} 秒"])
