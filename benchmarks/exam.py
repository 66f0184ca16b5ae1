"""An exam day to measure on: cameras over real RTSP, a site of its own, the daemon as ``kaozheng serve`` runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Gap, Segment, Take, Window
from kaozheng_service.ffmpeg import ffmpeg_path
from kaozheng_service.recording.completeness import Completeness, window_completeness
from kaozheng_service.recording.expectations import register
from kaozheng_service.rehearsal import RehearsalServer
from kaozheng_service.station import Station, open_station
from sqlalchemy import select

from benchmarks.processes import Usage, command_of, descendants, naming, usage

DEMO_SITE = Path(__file__).resolve().parents[1] / "configs" / "demo" / "site.yaml"
USER, PASSWORD = "viewer", "bench"
PASSWORD_VARIABLE = "KAOZHENG_BENCH_PASSWORD"  # noqa: S105
GOP_S, BITRATE = 2.0, 4_000_000
_PER_ROOM = 4


def make_clip(folder: Path) -> Path:
    """Ten seconds of 1080p25 H.264 at a constant 4 Mbit/s, a keyframe every 2 s: a test picture with noise."""
    path = folder / "clip.mp4"
    picture = "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=20:allf=t,format=yuv420p"
    rate = [
        "-b:v",
        str(BITRATE),
        "-minrate",
        str(BITRATE),
        "-maxrate",
        str(BITRATE),
        "-bufsize",
        str(BITRATE),
    ]
    gop = [
        "-g",
        str(round(25 * GOP_S)),
        "-keyint_min",
        str(round(25 * GOP_S)),
        "-sc_threshold",
        "0",
        "-bf",
        "0",
    ]
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-x264-params", "nal-hrd=cbr", *rate, *gop]
    command = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", picture, *encoder, str(path)]
    subprocess.run(command, check=True)
    return path


@contextmanager
def cameras(clip: Path, count: int) -> Iterator[RehearsalServer]:
    """A server of so many cameras, ``/camera-01`` and on, that ask for a login as real ones do."""
    mounts = {f"/{name}": clip for name in camera_ids(count)}
    with RehearsalServer(mounts, user=USER, password=PASSWORD) as server:
        yield server


def addresses(server: RehearsalServer, names: Sequence[str]) -> dict[str, str]:
    """Of these cameras on that server, by id."""
    return {name: server.url(f"/{name}") for name in names}


def camera_ids(count: int) -> list[str]:
    return [f"camera-{number:02d}" for number in range(1, count + 1)]


@dataclass
class Exam:
    """Windows of all cameras over the same time, four cameras a room, one window a room."""

    folder: Path
    archive: Path
    cameras: Sequence[str]
    begins: datetime
    ends: datetime
    daemon: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def station(self) -> Station:
        return open_station(load_site(self.folder / "site.yaml"))

    def start(self) -> int:
        """Start the daemon; its pid."""
        command = [sys.executable, "-m", "kaozheng_service", "serve", "--port", "0"]
        command += ["-c", str(self.folder / "site.yaml")]
        with (self.folder / "serve.log").open("ab") as log:
            environment = os.environ | {PASSWORD_VARIABLE: PASSWORD}
            self.daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        return self.daemon.pid

    def end(self) -> None:
        """End the daemon, and the recorders of this folder."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGCONT)
            self.daemon.terminate()
            self.daemon.wait(timeout=90)
        for pid, command in naming(str(self.archive)).items():
            if "ffmpeg" in command:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def wait(self, seconds: float) -> None:
        """Until so many seconds into the windows."""
        time.sleep(max(0.0, (self.begins + timedelta(seconds=seconds) - datetime.now(UTC)).total_seconds()))

    def recorder(self, camera: str) -> int | None:
        """The pid of the camera's newest recorder, if it lives."""
        intents = sorted(self.archive.glob(f"*/*/{camera}/*/take-*/take.json"))
        if not intents:
            return None
        child = json.loads(intents[-1].read_text(encoding="utf-8"))["child"]
        alive = child is not None and f"/{camera}/" in command_of(child["pid"])
        return int(child["pid"]) if alive else None

    def parts(self) -> dict[str, list[int]]:
        """The pids of the service by what they do: daemon, watch, recorders, masks (of secrets in their errors)."""
        found: dict[str, list[int]] = {"daemon": [], "watch": [], "recorders": [], "masks": []}
        archive = str(self.archive)
        if self.daemon is not None and self.daemon.poll() is None:
            found["daemon"].append(self.daemon.pid)
            for pid, command in descendants(self.daemon.pid).items():
                if "multiprocessing" in command:
                    found["watch"].append(pid)
        for pid, command in naming("").items():
            if "ffmpeg" in command and archive in command:
                found["recorders"].append(pid)
            elif command.startswith("sed -u") and _writes_into(pid, archive):
                found["masks"].append(pid)
        return found

    def usage(self) -> dict[str, Usage]:
        return {part: usage(pids) for part, pids in self.parts().items()}

    def tick_s(self) -> float:
        """How long the daemon's newest round took, by its heartbeat."""
        return float(
            json.loads((self.folder / "state" / "heartbeat.json").read_text(encoding="utf-8"))["tick_s"]
        )

    def rows(self, kind: type[Any], camera: str | None = None) -> list[Any]:
        """Takes, segments or gaps, of one camera or all, in the order they were made."""
        order = {Take: Take.number, Segment: Segment.starts_at, Gap: Gap.starts_at}[kind]
        query = select(kind).order_by(order)
        if camera is not None:
            query = query.where(kind.camera_id == camera)
        with self.station().sessions() as session:
            return list(session.scalars(query))

    def completeness(self) -> list[Completeness]:
        station = self.station()
        with station.sessions() as session:
            ids = list(session.scalars(select(Window.id)))
        return [window_completeness(station, one) for one in ids]

    def until_closed(self, limit_s: float = 120.0) -> bool:
        """Wait until every window is over, settled and closed; whether they came to be in time."""
        self.wait((self.ends - self.begins).total_seconds())
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if all(one.closed for one in self.completeness()):
                return True
            time.sleep(1.0)
        return False


def make_exam(
    folder: Path,
    sources: Mapping[str, str],
    *,
    seconds: float,
    lead_s: float = 15.0,
    archive: Path | None = None,
    **recording: Any,
) -> Exam:
    """A site in ``folder`` of cameras with these addresses, its windows from ``lead_s`` from now for ``seconds``."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = archive or folder / "archive"
    data = yaml.safe_load(DEMO_SITE.read_text(encoding="utf-8"))
    del data["timetable"]
    pattern, names = data["rooms"][0], list(sources)
    data["rooms"] = []
    for first in range(0, len(names), _PER_ROOM):
        number = first // _PER_ROOM + 1
        group = zip(pattern["cameras"], names[first : first + _PER_ROOM], strict=False)
        placed = [
            one
            | {
                "id": name,
                "source": sources[name],
                "credential": "viewer",
                "resolution": [1920, 1080],
            }
            for one, name in group
        ]
        room = {"id": f"room-{number:02d}", "name": f"room {number}", "aliases": [], "cameras": placed}
        data["rooms"].append(pattern | room)
    data["credentials"] = [{"id": "viewer", "username": USER, "password_env": PASSWORD_VARIABLE}]
    data["recording"] = recording
    data["storage"] = {"archive": str(archive), "state": "state", "reserve_gb": 0}
    (folder / "site.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lead_s)
    exam = Exam(folder, archive, names, begins, begins + timedelta(seconds=seconds))
    station = exam.station()
    for room in data["rooms"]:
        window = Window(
            id=f"exam-{room['id']}",
            room_id=room["id"],
            kind="theory",
            title="bench",
            batch=None,
            camera_ids=" ".join(one["id"] for one in room["cameras"]),
            starts_at=exam.begins,
            ends_at=exam.ends,
            exam_starts_at=exam.begins,
            exam_ends_at=exam.ends,
        )
        register(station, window)
    return exam


@contextmanager
def plain_recorders(folder: Path, server: RehearsalServer, names: Sequence[str]) -> Iterator[list[int]]:
    """The baseline: one plain ffmpeg a camera, stream copy into files of 30 s; their pids."""
    children = []
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        address = server.url(f"/{name}").replace("rtsp://", f"rtsp://{USER}:{PASSWORD}@")
        command = [ffmpeg_path(), "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", address]
        command += ["-c", "copy", "-f", "segment", "-segment_time", "30", str(folder / name / "%05d.mp4")]
        children.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
    try:
        yield [child.pid for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()


def _writes_into(pid: int, folder: str) -> bool:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/fd/1").readlink()).startswith(folder)
    return False
