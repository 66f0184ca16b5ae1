"""An exam day to break things on: one room, a daemon of its own, cameras over real RTSP, and what was promised."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Segment, Take, Window
from kaozheng_service.disputes.verify import verify_archive
from kaozheng_service.recording.completeness import CameraCompleteness, Completeness, window_completeness
from kaozheng_service.recording.expectations import register
from kaozheng_service.rehearsal import HOW_TO_INSTALL, RehearsalServer, gstreamer_python
from kaozheng_service.station import Station, open_station
from sqlalchemy import select

PROJECT = Path(__file__).resolve().parents[3]
CLIPS = sorted((PROJECT / "sample_media" / "9-101").glob("*.mp4"))
WINDOW, ROOM = "exam", "9-101"
CLONE_NEWNET = 0x40000000
# Of the sample clips, and so the most that may be lost before a fault is felt.
KEYFRAMES_EVERY_S = 1.0


@dataclass
class ExamDay:
    """A site in ``folder`` with one window that begins some seconds from now."""

    folder: Path
    begins: datetime
    ends: datetime
    environment: dict[str, str] = field(default_factory=dict)
    storage: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / "site.yaml"

    def station(self) -> Station:
        return open_station(load_site(self.path))

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon; :meth:`served` ends it too."""
        command = [sys.executable, "-m", "kaozheng_service", "serve", "-c", str(self.path), "--port", "0"]
        with (self.folder / "serve.log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | self.environment
            )

    @contextmanager
    def served(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon; ended in the end, its recorders left running."""
        service = self.start()
        try:
            yield service
        finally:
            if service.poll() is None:
                service.terminate()
            service.wait(timeout=60)

    def said(self) -> str:
        return (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace")

    def recorder(self, camera: str) -> int:
        """The pid of the camera's newest recorder, from what stands beside its footage."""
        intents = sorted(load_site(self.path).archive.rglob(f"{camera}/{WINDOW}/take-*/take.json"))
        pid: int = json.loads(intents[-1].read_text(encoding="utf-8"))["child"]["pid"]
        return pid

    def wait(self, seconds: float) -> datetime:
        """Until so many seconds into the window; the moment."""
        time.sleep(max(0.0, (self.begins + timedelta(seconds=seconds) - datetime.now(UTC)).total_seconds()))
        return datetime.now(UTC)

    def completeness(self) -> Completeness:
        return window_completeness(self.station(), WINDOW)

    def camera(self, camera: str) -> CameraCompleteness:
        return next(one for one in self.completeness().cameras if one.camera_id == camera)

    def takes(self, camera: str) -> list[Take]:
        with self.station().sessions() as session:
            query = select(Take).where(Take.camera_id == camera, Take.window_id == WINDOW)
            return list(session.scalars(query.order_by(Take.number)))

    def segments(self, camera: str) -> list[Segment]:
        with self.station().sessions() as session:
            query = select(Segment).where(Segment.camera_id == camera)
            return list(session.scalars(query.order_by(Segment.starts_at)))

    def until_closed(self, limit_s: float = 90.0) -> None:
        """Wait until the window is over, settled and closed."""
        remaining = (self.ends - datetime.now(UTC)).total_seconds()
        time.sleep(max(0.0, remaining))
        for _ in range(int(limit_s * 2)):
            if self.completeness().closed:
                return
            time.sleep(0.5)
        raise AssertionError(f"the window was never closed:\n{self.said()[-3000:]}")

    def keeps(self, *untouched: str) -> None:
        """The promises of every fault: the archive verifies, nothing is unexplained, other cameras lost nothing."""
        found = self.completeness()
        assert verify_archive(self.station()).outcome == "intact"
        assert all(camera.unexplained_s == 0 for camera in found.cameras)
        for camera in untouched:
            assert self.camera(camera).verdict == "complete", (camera, self.camera(camera))

    def lost(
        self,
        camera: str,
        cause: str | set[str],
        *,
        since: datetime,
        until: datetime,
        reconnect_s: float,
        before_s: float = 2 * KEYFRAMES_EVERY_S,
    ) -> None:
        """One gap only, that begins at most one keyframe interval before the fault and ends so soon after it."""
        (gap,) = self.camera(camera).gaps
        assert gap.cause in ({cause} if isinstance(cause, str) else cause), gap
        assert gap.starts_at >= since - timedelta(seconds=before_s), (gap, since)
        assert gap.ends_at <= until + timedelta(seconds=reconnect_s), (gap, until)


MakeDay = Callable[..., ExamDay]


@pytest.fixture
def make_day(tmp_path: Path) -> Iterator[MakeDay]:
    """``make_day(sources, seconds=30, lead_s=20, **recording)``: a site whose cameras have these sources by id."""
    days: list[ExamDay] = []

    def make(
        sources: Mapping[str, str],
        *,
        seconds: float = 30,
        lead_s: float = 20,
        folder: Path | None = None,
        credential: str | None = None,
        storage: dict[str, Any] | None = None,
        **recording: Any,
    ) -> ExamDay:
        folder = folder or tmp_path
        data = yaml.safe_load((PROJECT / "configs" / "demo" / "site.yaml").read_text(encoding="utf-8"))
        del data["timetable"]
        data["rooms"] = [room for room in data["rooms"] if room["id"] == ROOM]
        pattern = data["rooms"][0]["cameras"][0]
        data["rooms"][0]["cameras"] = [
            pattern | {"id": camera, "source": source, "position": _beside(pattern["position"], number)}
            for number, (camera, source) in enumerate(sources.items())
        ]
        if credential is not None:
            data["credentials"] = [{"id": "guard", "username": "admin", "password_env": credential}]
            for camera in data["rooms"][0]["cameras"]:
                if camera["source"].startswith("rtsp"):
                    camera["credential"] = "guard"
        data["recording"] = {"segment_s": 4, "silence_s": 4} | recording
        data["storage"] = {"reserve_gb": 0} | (storage or {})
        begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lead_s)
        day = ExamDay(folder, begins, begins + timedelta(seconds=seconds))
        day.path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        window = Window(
            id=WINDOW,
            room_id=ROOM,
            kind="theory",
            title="理论考试",
            batch=None,
            camera_ids=" ".join(sources),
            starts_at=day.begins,
            ends_at=day.ends,
            exam_starts_at=day.begins,
            exam_ends_at=day.ends,
        )
        register(day.station(), window)
        days.append(day)
        return day

    yield make
    for day in days:
        _end_recorders(day.folder)


def _beside(position: list[float], number: int) -> list[float]:
    """Two cameras at one place that look the same way are refused as one."""
    return [position[0] + 0.05 * number, *position[1:]]


def _end_recorders(folder: Path) -> None:
    """Those that a failed test left; told by the folder in their command."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if b"ffmpeg" in words and os.fsencode(folder) in words:
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
def cameras(need: Callable[[bool, str], None]) -> Iterator[Callable[..., RehearsalServer]]:
    """``cameras(*ids, **options)``: a running RTSP server with one mount an id."""
    need(gstreamer_python() is not None, HOW_TO_INSTALL)
    servers: list[RehearsalServer] = []

    def serve(*ids: str, clips: Mapping[str, Path] | None = None, **options: Any) -> RehearsalServer:
        files = {one: CLIPS[number % len(CLIPS)] for number, one in enumerate(ids)} | dict(clips or {})
        server = RehearsalServer({f"/{one}": path for one, path in files.items()}, **options)
        server.start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        if server.pid is not None:
            os.kill(server.pid, signal.SIGCONT)
        server.stop()


@pytest.fixture
def steady() -> str:
    """A camera that no fault of a network reaches: a file, played as it is."""
    return CLIPS[0].as_uri()


class Network:
    """A network of its own, of loopback alone, that can be cut; processes begun :meth:`inside` live in it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._run("netns", "add", name)
        self._link("up")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, and the processes it begins, are in that network."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._name}", os.O_RDONLY)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(home, CLONE_NEWNET) == 0
        finally:
            os.close(home)
            os.close(there)

    def cut(self) -> None:
        self._link("down")

    def heal(self) -> None:
        self._link("up")

    def remove(self) -> None:
        self._run("netns", "del", self._name)

    def _link(self, state: str) -> None:
        self._run("netns", "exec", self._name, "ip", "link", "set", "lo", state)

    def _run(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def network(need: Callable[[bool, str], None]) -> Iterator[Network]:
    need(os.geteuid() == 0, "root, to make a network namespace")
    need(shutil.which("ip") is not None, "the command ip: apt install iproute2")
    made = Network(f"kaozheng-{os.getpid()}")
    yield made
    made.remove()
