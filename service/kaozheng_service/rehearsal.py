"""Cameras for rehearsals, the demo and the tests: video files served over real RTSP.

The server itself is ``rehearsal_server.py``, run by a Python that has GStreamer's bindings.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from kaozheng_service.errors import ServiceError

SERVER_SCRIPT = Path(__file__).with_name("rehearsal_server.py")
HOW_TO_INSTALL = (
    "GStreamer's RTSP server with Python bindings; on Debian or Ubuntu: apt install python3-gi"
    " gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)
# A cold start reads every clip and GStreamer's registry: 0.5 s here; the rest is for a loaded machine.
START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0

_CHECK = """
import gi
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstApp, GstRtspServer
Gst.init(None)
needed = ("qtdemux", "h264parse", "h265parse", "appsrc", "appsink", "rtph264pay", "rtph265pay")
raise SystemExit(any(Gst.ElementFactory.find(name) is None for name in needed))
"""


@functools.cache
def gstreamer_python() -> Path | None:
    """A Python that can run the server, or None where there is none (then see ``HOW_TO_INSTALL``).

    The system's Python first: its packages bring the bindings, and a virtual environment hides them.
    """
    on_path = shutil.which("python3")
    candidates = ["/usr/bin/python3", *([on_path] if on_path else []), sys.executable]
    for candidate in dict.fromkeys(candidates):
        if not Path(candidate).exists():
            continue
        check = subprocess.run(
            [candidate, "-c", _CHECK],
            capture_output=True,
            env=_environment(),
            timeout=START_LIMIT_S,
            check=False,
        )
        if check.returncode == 0:
            return Path(candidate)
    return None


@dataclass(frozen=True, slots=True)
class KeptFootage:
    """What a recorder (NVR) kept of its cameras, to be asked for by ``?starttime=20241123T010000Z&endtime=...``.

    Attributes
    ----------
    mounts : mount point to the MP4 file that was played again and again
    origin : when it first began
    until : when the recording ends; a range after it is refused, one over it is cut short
    """

    mounts: Mapping[str, Path]
    origin: datetime
    until: datetime | None = None


class RehearsalServer:
    """An RTSP server on the loopback interface that loops one file a mount at native speed.

    Parameters
    ----------
    mounts : mount point such as ``/9-201/front-left`` to an MP4 file (H.264 or H.265)
    port : 0 takes a free one at the first start; later starts use the same
    user, password : what clients must give, if anything
    launched : mount point to a GStreamer pipeline that is served as it is, for streams that no file makes
    certificate : PEM file with a certificate and its key; all mounts are then encrypted (``rtsps``)
    kept : footage that is played back on demand, on mounts of its own

    Examples
    --------
    >>> with RehearsalServer({"/9-201/front-left": clip}) as server:  # doctest: +SKIP
    ...     server.url("/9-201/front-left")
    'rtsp://127.0.0.1:8554/9-201/front-left'
    """

    def __init__(
        self,
        mounts: Mapping[str, Path],
        port: int = 0,
        *,
        user: str | None = None,
        password: str | None = None,
        launched: Mapping[str, str] | None = None,
        certificate: Path | None = None,
        kept: KeptFootage | None = None,
    ) -> None:
        self._mounts = dict(mounts)
        self._port = port
        self._user = user
        self._password = password
        self._launched = dict(launched or {})
        self._certificate = certificate
        self._kept = kept
        self._child: subprocess.Popen[str] | None = None
        # When each mount began to send pictures, as (mount, aware UTC), in order.
        self.played: list[tuple[str, datetime]] = []
        # When kept footage was asked for, alike.
        self.asked: list[tuple[str, datetime]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start when none was asked for."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def url(self, mount: str) -> str:
        """The address of a mount, without credentials.

        Raises
        ------
        KeyError : no such mount
        """
        kept = self._kept.mounts if self._kept is not None else {}
        if mount not in (*self._mounts, *self._launched, *kept):
            raise KeyError(mount)
        scheme = "rtsps" if self._certificate is not None else "rtsp"
        return f"{scheme}://127.0.0.1:{self._port}{mount}"

    def start(self) -> None:
        """Start, or start again on the same port; returns when the server listens.

        Raises
        ------
        ServiceError : no GStreamer here, a file that cannot be served, or a port that is taken
        """
        if self.pid is not None:
            return
        python = gstreamer_python()
        if python is None:
            raise ServiceError(f"no RTSP server on this machine; it needs {HOW_TO_INSTALL}")
        command = [str(python), str(SERVER_SCRIPT), "--port", str(self._port), "--until-stdin-closes"]
        for mount, path in self._mounts.items():
            command += ["--mount", f"{mount}={path.resolve()}"]
        for mount, pipeline in self._launched.items():
            command += ["--launch", f"{mount}={pipeline}"]
        if self._kept is not None:
            command += self._kept_options(self._kept)
        if self._certificate is not None:
            command += ["--certificate", str(self._certificate.resolve())]
        environment = _environment()
        if self._user is not None:
            command += ["--user", self._user, "--password-env", "KAOZHENG_REHEARSAL_PASSWORD"]
            environment["KAOZHENG_REHEARSAL_PASSWORD"] = self._password or ""
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        complaints = _Complaints(self._child.stderr)
        self._port = self._wait_until_ready(self._child, complaints)
        threading.Thread(target=self._note_plays, args=(self._child.stdout,), daemon=True).start()

    def stop(self) -> None:
        """End it in good order; harmless when it does not run."""
        self._end(signal_kill=False)

    def kill(self) -> None:
        """SIGKILL, as a camera that loses its power; ``start`` brings it back on the same port."""
        self._end(signal_kill=True)

    def _kept_options(self, kept: KeptFootage) -> list[str]:
        options = ["--origin", f"{kept.origin.timestamp():.3f}"]
        for mount, path in kept.mounts.items():
            options += ["--playback", f"{mount}={path.resolve()}"]
        if kept.until is not None:
            options += ["--kept-until", f"{kept.until.timestamp():.3f}"]
        return options

    def _wait_until_ready(self, child: subprocess.Popen[str], complaints: _Complaints) -> int:
        watchdog = threading.Timer(START_LIMIT_S, child.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            line = child.stdout.readline() if child.stdout is not None else ""
        finally:
            watchdog.cancel()
        prefix = "ready rtsp://127.0.0.1:"
        if not line.startswith(prefix):
            self._end(signal_kill=True)
            raise ServiceError(
                f"the rehearsal server did not start: {complaints.text() or line or 'no reason given'}"
            )
        return int(line[len(prefix) :])

    def _note_plays(self, stream: IO[str] | None) -> None:
        if stream is None:
            return
        with contextlib.suppress(ValueError):  # closed by ``_end`` while reading
            for line in stream:
                word, moment, mount = line.rstrip("\n").split(" ", 2)
                told = {"playing": self.played, "asked": self.asked}.get(word)
                if told is not None:
                    told.append((mount, datetime.fromtimestamp(float(moment), UTC)))

    def _end(self, *, signal_kill: bool) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if signal_kill:
            child.kill()
        else:
            child.terminate()
        try:
            child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()


class _Complaints:
    """Drains the server's stderr, so that it never blocks on a full pipe, and keeps the last lines."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._drain, args=(stream,), daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(STOP_LIMIT_S)
        return "; ".join(self._lines)

    def _drain(self, stream: IO[str] | None) -> None:
        if stream is None:
            return
        with stream:
            for line in stream:
                self._lines = [*self._lines[-9:], line.strip()]


def _environment() -> dict[str, str]:
    """Ours, without what would make another Python look into this virtual environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
