"""A camera's stream with its login, read from where the site file says the password is."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

from kaozheng_vision.errors import VisionError
from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.onvif import ask_device
from kaozheng_vision.source import Source

from kaozheng_service.config.cameras import CameraConfig
from kaozheng_service.config.playback import PlaybackEntry
from kaozheng_service.config.secrets import read_secret
from kaozheng_service.config.site import Site

# A device on the same network answers within 0.1 s; one that does not in this time is asked again later.
DEVICE_TIMEOUT_S = 5.0


def camera_source(site: Site, camera: CameraConfig) -> Source:
    """The stream or device of ``camera``. Raises UserError where its password cannot be read, without showing it."""
    return _with_login(site, camera.source, camera.credential, camera.certificate)


def playback_source(site: Site, playback: PlaybackEntry, starts_at: datetime, ends_at: datetime) -> Source:
    """What plays a range of a camera's footage that is kept elsewhere.

    Raises
    ------
    UserError : its password cannot be read
    ServiceError : its local time does not name the range
    """
    return _with_login(site, playback.address(starts_at, ends_at), playback.credential, playback.certificate)


def _with_login(site: Site, url: str, credential: str | None, pinned: Path | None) -> Source:
    certificate = None if pinned is None else site.folder / pinned
    if credential is None:
        return Source(url, certificate=certificate)
    entry = site.credential(credential)
    password = read_secret(
        f"credential {entry.id}", site.folder, env=entry.password_env, file=entry.password_file
    )
    return Source(url, entry.username, password, certificate)


def stream_of(device: Source) -> Future[Source]:
    """The RTSP stream of an ``onvif://`` source, asked for in a thread of its own: recording never waits for it.

    The future raises StreamError where the device gives none.
    """
    answer: Future[Source] = Future()

    def ask() -> None:
        try:
            answer.set_result(ask_device(device, DEVICE_TIMEOUT_S, clock=False).stream)
        except VisionError as error:
            answer.set_exception(error)
        except Exception as error:  # noqa: BLE001 - a future that never ends would never be recorded
            failure = StreamError(
                Failure.PROTOCOL, f"{device.host} gives an answer that cannot be read ({error})"
            )
            answer.set_exception(failure)

    threading.Thread(target=ask, daemon=True).start()
    return answer
