"""`kaozheng demo`: the whole service in order, on one room of the demo site and generated footage."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from kaozheng_coverage.plan import plan_svg
from kaozheng_coverage.report import verdict_json
from kaozheng_coverage.verdict import Outcome
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from kaozheng_service.access.accounts import add_account
from kaozheng_service.access.actor import Role
from kaozheng_service.access.policy import Permission
from kaozheng_service.access.tokens import create_token
from kaozheng_service.cli.tables import TaskBars
from kaozheng_service.clock import now
from kaozheng_service.config.geometry import room_cameras, room_geometry
from kaozheng_service.config.site import Site, load_site
from kaozheng_service.config.timetable import read_timetable
from kaozheng_service.database import Alarm
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.find import find
from kaozheng_service.disputes.verify import verify_bag
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.inspection.inspect import inspect_rooms
from kaozheng_service.inspection.references import accept_references, newest_inspection
from kaozheng_service.recording.completeness import window_completeness
from kaozheng_service.recording.plan import plan_windows
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python
from kaozheng_service.station import Station, open_station

PROJECT = Path(__file__).resolve().parents[2]
ROOM = "9-201"
SEAT = "17"
EXAM_S = 24
ROLL_S = 6
# Until the service records: it reads its libraries in 3 s here, and in 10 s where two other processes run.
START_S = 16
ACCOUNT = "demo"
MARKER = ".made-by-kaozheng-demo"

console = Console()


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the closing table."""

    name: str
    result: str
    passed: bool


def run_demo(out: Path, *, force_files: bool = False) -> int:
    """Run everything into ``out`` and print what happened; 0 if all went as it should, else 1.

    Raises
    ------
    UserError : ``out`` holds something that the demo did not make, or this is not a checkout of the project
    """
    source = PROJECT / "configs" / "demo" / "site.yaml"
    if not source.is_file():
        raise UserError(
            "the demo plays the project's own sample footage; run it in a checkout of the project"
        )
    _make_room(out)
    steps: list[Step] = []
    with _cameras(source, force_files=force_files) as (urls, kind):
        console.print(f"Cameras: {kind}")
        site = _write_site(source, out, urls)
        password = _make_account(site)
        steps += _inspect(site, out)
        steps += _accept_views(site)
        steps += _record_session(out)
    steps += _dispute(site, out)
    table = Table("step", "what happened", "", title=f"kaozheng demo, room {ROOM}")
    for step in steps:
        table.add_row(step.name, step.result, "[green]✓[/green]" if step.passed else "[red]✗[/red]")
    console.print(table)
    console.print(
        f"Look at {out}/acceptance.pdf and {out}/plan.svg; verify with: python {out}/export/verify.py"
    )
    console.print(f"The pages, over what was recorded: kaozheng serve --config {out}/site.yaml")
    console.print(f"Sign in there as {ACCOUNT} with the password {password} (made for this demo alone)")
    return 0 if all(step.passed for step in steps) else 1


def _make_room(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise UserError(f"{out} holds files that the demo did not make; name another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


@contextlib.contextmanager
def _cameras(source: Path, *, force_files: bool) -> Iterator[tuple[dict[tuple[str, str], str], str]]:
    """The stream address of every demo camera, over RTSP where that can be served here, and the words for it."""
    clips = {
        (room.id, camera.id): PROJECT / "sample_media" / room.id / f"{camera.id}.mp4"
        for room in load_site(source).rooms
        for camera in room.cameras
    }
    missing = [str(clip.relative_to(PROJECT)) for clip in clips.values() if not clip.is_file()]
    if missing:
        raise UserError(f"sample footage is missing: {', '.join(missing)}; make it with: make media")
    if force_files or gstreamer_python() is None:
        why = "as asked" if force_files else f"no RTSP server here (for one: {HOW_TO_INSTALL})"
        yield {key: clip.as_uri() for key, clip in clips.items()}, f"looped files, {why}"
        return
    with RehearsalServer({f"/{room}/{camera}": clip for (room, camera), clip in clips.items()}) as server:
        urls = {key: server.url(f"/{key[0]}/{key[1]}") for key in clips}
        yield urls, "real RTSP, generated footage served by GStreamer on this machine"


def _write_site(source: Path, out: Path, urls: dict[tuple[str, str], str]) -> Site:
    """The demo site with these addresses and short pre- and post-rolls, in ``out``."""
    data: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    for room in data["rooms"]:
        for camera in room["cameras"]:
            camera["source"] = urls[room["id"], camera["id"]]
    data["recording"] = {
        "pre_roll_min": ROLL_S / 60,
        "post_roll_min": ROLL_S / 60,
        "segment_s": 10,
        "watch_s": 2,
    }
    path = out / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return load_site(path)


def _inspect(site: Site, out: Path) -> list[Step]:
    room = site.room(ROOM)
    with TaskBars() as bars:
        (result,) = inspect_rooms(
            open_station(site), [ROOM], seconds=10, out=out / "inspection", progress=bars
        )
    shutil.copyfile(result.sheet, out / "acceptance.pdf")
    verdict = result.verdict
    geometry = room_geometry(room)
    (out / "plan.svg").write_text(plan_svg(geometry, room_cameras(room), verdict), encoding="utf-8")
    (out / "coverage.json").write_text(
        json.dumps(verdict_json(verdict), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    seats = sum(seat.outcome is Outcome.PASS for seat in verdict.seats)
    zones = sum(zone.outcome is Outcome.PASS for zone in verdict.zones)
    live = sum(camera.probe.ok for camera in result.cameras)
    return [
        Step(
            "inspect: cameras",
            f"{live} of {len(room.cameras)} live, measured and diagnosed",
            live == len(room.cameras),
        ),
        Step(
            "inspect: coverage",
            f"{seats} of {len(verdict.seats)} seats and {zones} of {len(verdict.zones)} zones pass; "
            "the sheet gives reason and mend of the others",
            True,
        ),
        Step(
            "inspect: test recording",
            "played back and verified" if result.recording_valid else "not valid",
            result.recording_valid,
        ),
        Step(
            "inspect: sheet",
            f"acceptance.pdf, proposed outcome: {result.outcome}",
            result.outcome != "rejected",
        ),
    ]


def _accept_views(site: Site) -> list[Step]:
    """Accept what the inspection saw: from now on every camera is held against its own view."""
    station = open_station(site)
    rows = accept_references(station, newest_inspection(station, ROOM), ROOM)
    return [Step("inspect: views", f"{len(rows)} accepted; a turned or covered camera shows", True)]


def _record_session(out: Path) -> list[Step]:
    """Write a timetable with one session that is about to begin, and let the daemon do the rest."""
    config = out / "site.yaml"
    site = load_site(config)
    token = _token(site)
    begins = datetime.fromtimestamp(int(now().timestamp()) + ROLL_S + START_S, site.zone)
    ends = begins + timedelta(seconds=EXAM_S)
    place = site.room(ROOM).aliases[0]
    (out / "timetable.csv").write_text(
        "场次,时间,地点,职业(工种),级别,人数,监考,考务办\n"
        f"第一考场 理论考试,{begins:%Y-%m-%d %H:%M:%S}-{ends:%H:%M:%S},{place},计算机程序设计员,三级,30,2,\n",
        encoding="utf-8-sig",
    )
    (window,) = plan_windows(site, read_timetable(out / "timetable.csv", site).sessions)
    port = _free_port()
    pages = f"http://127.0.0.1:{port}"
    with (out / "serve.log").open("wb") as log:
        command = [
            sys.executable,
            "-m",
            "kaozheng_service",
            "serve",
            "--config",
            str(config),
            "--port",
            str(port),
        ]
        service = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        status_seen, looks = _watch(service, pages, token, window.id, window.ends_at)
    finally:
        service.terminate()
        service.wait(timeout=30)
    station = open_station(site)
    result = window_completeness(station, window.id)
    return [
        Step(
            "record: daemon",
            f"window {window.id} from the timetable, nobody watching",
            result.verdict == "complete",
        ),
        Step("record: completeness", result.summary(), result.verdict == "complete"),
        Step("watch", *_watched(station, window.id, looks)),
        Step("pages", "status page answered while it recorded", status_seen),
    ]


def _token(site: Site) -> str:
    """What the demo itself asks the status page with."""
    station = open_station(site)
    length = timedelta(hours=1)
    return create_token(station, ACCOUNT, "demo", [Permission.STATUS], length, by="demo")[1]


def _make_account(site: Site) -> str:
    """An account of the appraisal centre for whoever looks at the pages; returns its password."""
    password = secrets.token_urlsafe(9)
    add_account(open_station(site), ACCOUNT, "演示", Role.CENTRE, password=password, by="demo")
    return password


def _watched(station: Station, window_id: str, looks: int) -> tuple[str, bool]:
    """What the watch over the pictures said, and whether it looked and found nothing."""
    with station.sessions() as session:
        alarms = session.scalars(select(Alarm).where(Alarm.window_id == window_id)).all()
    found = ", ".join(f"{one.camera_id}: {one.kind}" for one in alarms) or "no alarm"
    return f"{looks} looks at the recorded pictures, {found}", looks > 0 and not alarms


def _watch(
    service: subprocess.Popen[bytes], pages: str, token: str, window_id: str, ends_at: datetime
) -> tuple[bool, int]:
    """Wait until the window is closed, showing progress; whether the status page answered meanwhile, and how many
    looks at the pictures it told of.
    """
    seen, looks = False, 0
    begun = now()
    whole = (ends_at - begun).total_seconds()
    with TaskBars() as bars:
        progress = bars.task("recording by timetable")
        while now() < ends_at + timedelta(seconds=60):
            if service.poll() is not None:
                raise ServiceError(
                    f"the service ended with code {service.returncode}; see serve.log in the demo's folder"
                )
            with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
                with _asked(f"{pages}/", token) as page:
                    seen = seen or page.status == 200
                with _asked(f"{pages}/api/v1/status", token) as answer:
                    status = json.load(answer)
                looks = max(looks, _looks(status))
                if window_id in _closed_windows(status):
                    break
            progress(min(round((now() - begun).total_seconds()), round(whole)), round(whole))
            time.sleep(1)
        progress(round(whole), round(whole))
    return seen, looks


def _asked(address: str, token: str) -> Any:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - our own
    return urllib.request.urlopen(request, timeout=10)  # noqa: S310 - loopback


def _looks(status: dict[str, Any]) -> int:
    cameras = [camera for room in status["rooms"] for camera in room["cameras"]]
    return sum(camera["picture"]["looks"] for camera in cameras if camera["picture"])


def _closed_windows(status: dict[str, Any]) -> set[str]:
    return {window["id"] for window in status["windows"] if window["closed"]}


def _dispute(site: Site, out: Path) -> list[Step]:
    station = open_station(site)
    (window,) = plan_windows(site, read_timetable(out / "timetable.csv", site).sessions)
    moment = window.starts_at + timedelta(seconds=ROLL_S + EXAM_S / 2)
    found = find(station, ROOM, SEAT, moment)
    best = found.cameras[0] if found.cameras else None
    request = ExportRequest(
        room_id=ROOM,
        camera_ids=tuple(camera.id for camera in site.room(ROOM).cameras),
        starts_at=moment - timedelta(seconds=8),
        ends_at=moment + timedelta(seconds=8),
        reason=f"demo: seat {SEAT} at the middle of the exam",
        seat=SEAT,
    )
    bag = out / "export"
    with TaskBars() as bars:
        exported = export_bag(station, request, bag, progress=bars.task("exporting"))
    whole = verify_bag(bag)
    victim = next((bag / "data" / "segments").rglob("seg-*.mp4"))
    with _one_byte_flipped(victim):
        broken = verify_bag(bag)
    first = broken.findings[0].message if broken.findings else "nothing noticed"
    restored = verify_bag(bag)
    return [
        Step(
            "find",
            f"seat {SEAT}: best seen by {best.camera_id}" if best else "no camera sees the seat",
            best is not None and found.found,
        ),
        Step("export", f"{exported.segments} segments in a BagIt bag", exported.segments > 0),
        Step("verify", f"export is {whole.outcome}", whole.outcome == "intact"),
        Step("verify, one byte changed", f"{broken.outcome}: {first}", broken.outcome == "altered"),
        Step("verify, byte put back", f"export is {restored.outcome}", restored.outcome == "intact"),
    ]


@contextlib.contextmanager
def _one_byte_flipped(path: Path) -> Iterator[None]:
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
