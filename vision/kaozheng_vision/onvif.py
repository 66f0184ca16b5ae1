"""Ask an ONVIF device for its stream, its clock and a snapshot (onvif-zeep-async, profile S: media service 1).

What a device says is not trusted: requests go to the host that the site file names and nowhere else, answers
are bounded in size and time, a DTD is refused (so there is no entity to expand: lxml is told not to resolve
any), and a login inside an address that it gives out is dropped or hidden.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import cv2
import numpy as np

from kaozheng_vision.camera_clock import Answer, ClockReading, ClockSource, from_whole_seconds
from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.onvif_service import (
    DEVICE,
    MEDIA,
    AnswerTooLongError,
    OnvifService,
    fetch,
    is_refused_login,
    onvif_errors,
    prepare_services,
)
from kaozheng_vision.reach import reach, resolve
from kaozheng_vision.reading import Frame
from kaozheng_vision.source import Source, printable, without_login

# A time in whole seconds is known to a second; so many questions over one second narrow it to about a sixth.
TIME_QUESTIONS = 6
LONGEST_SNAPSHOT = 32_000_000

Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Device:
    """What an ONVIF device said.

    Attributes
    ----------
    stream : its RTSP stream, with the device's login and certificate
    profile : token of the media profile that the stream is of
    size : (width, height) that its encoder is set to, pixels
    clock : its clock against ours
    """

    stream: Source
    profile: str
    size: tuple[int, int] | None
    clock: ClockReading | None


def ask_device(source: Source, timeout_s: float, *, clock: bool = True) -> Device:
    """Ask the device that an ``onvif://`` source names for its stream and its time.

    Parameters
    ----------
    timeout_s : for the connection, and again for all answers together
    clock : False leaves the time out, which takes a second

    Raises
    ------
    StreamError : what ``reach`` raises, TIMEOUT, AUTH, NOT_FOUND (no such profile), NO_VIDEO, PROTOCOL, or
        REDIRECT where the stream's address is another host's
    """

    async def ask(service: _Services) -> Device:
        offset = await service.clock(questions=TIME_QUESTIONS if clock else 1)
        profile = await service.profile()
        stream = _same_host(source, await service.stream_uri(profile.token), service.address)
        return Device(stream, profile.token, _size(profile), offset if clock else None)

    return _asked(source, timeout_s, ask)


def snapshot(source: Source, timeout_s: float) -> Frame:
    """The device's own still picture, (height, width, 3) BGR.

    Raises
    ------
    StreamError : as ``ask_device``; UNDECODABLE or ZERO_SIZE where it is no picture
    """

    async def ask(service: _Services) -> bytes:
        await service.clock(questions=1)
        profile = await service.profile()
        address = await service.snapshot_uri(profile.token)
        return await fetch(
            _on_our_host(address, service.address, source),
            source.username,
            source.password,
            longest=LONGEST_SNAPSHOT,
        )

    content = _asked(source, timeout_s, ask)
    if not content:
        raise StreamError(
            Failure.ZERO_SIZE,
            f"{source.url} gives an empty snapshot; restart the camera, or look at its page",
        )
    decoded = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or 0 in decoded.shape:
        raise StreamError(
            Failure.UNDECODABLE,
            f"{source.url} gives a snapshot that is no picture; look at the camera's own page",
        )
    return np.asarray(decoded, dtype=np.uint8)


class _Services:
    """The device and media service of one device, for one event loop."""

    def __init__(self, source: Source, address: tuple[str, int]) -> None:
        self.address = address
        self._source = source
        self._device_url = f"http://{_netloc(address)}/onvif/device_service"
        self._skew_s = 0.0
        self._open: list[OnvifService] = []

    async def close(self) -> None:
        for service in self._open:
            await service.close()

    async def clock(self, *, questions: int) -> ClockReading | None:
        """Its clock, asked without a login as ONVIF allows; logins are dated by it from then on."""
        device = await self._service(DEVICE, self._device_url)
        answers: list[Answer] = []
        for number in range(questions):
            if number:
                await asyncio.sleep(1.0 / questions)
            sent_s, begun_s = time.time(), time.monotonic()
            said = await _without_login_first(device, "GetSystemDateAndTime")
            received_s = sent_s + (time.monotonic() - begun_s)
            moment = getattr(said, "UTCDateTime", None)
            if (
                moment is None
            ):  # optional in the standard; the local one needs a time zone that few write well
                return None
            try:
                camera = datetime(
                    moment.Date.Year,
                    moment.Date.Month,
                    moment.Date.Day,
                    moment.Time.Hour,
                    moment.Time.Minute,
                    min(moment.Time.Second, 59),
                    tzinfo=UTC,
                )
            except (ValueError, AttributeError, TypeError, OverflowError):
                return None
            answers.append(Answer(sent_s, received_s, camera.timestamp()))
        reading = from_whole_seconds(answers, ClockSource.ONVIF)
        self._skew_s = reading.offset_s if reading else 0.0
        return reading

    async def profile(self) -> Any:
        """The profile that the source names."""
        media = await self._media()
        profiles = [
            profile
            for profile in await _call(media, "GetProfiles") or []
            if getattr(profile, "VideoEncoderConfiguration", None) is not None
        ]
        if not profiles:
            raise StreamError(
                Failure.NO_VIDEO,
                f"{self._source.url} has no media profile with video; make one on its own page",
            )
        wanted = unquote(urlsplit(self._source.url).path.strip("/"))
        for profile in profiles:
            if not wanted or profile.token == wanted:
                return profile
        if wanted.isdecimal() and 1 <= int(wanted) <= len(profiles):
            return profiles[int(wanted) - 1]
        known = ", ".join(str(profile.token) for profile in profiles)
        raise StreamError(
            Failure.NOT_FOUND,
            f"{self._source.url}: the device has no profile {wanted!r}; it has {known}, or a number from 1 on",
        )

    async def stream_uri(self, profile: str) -> str:
        media = await self._media()
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        return _text(await _call(media, "GetStreamUri", {"StreamSetup": setup, "ProfileToken": profile}))

    async def snapshot_uri(self, profile: str) -> str:
        media = await self._media()
        return _text(await _call(media, "GetSnapshotUri", {"ProfileToken": profile}))

    async def _media(self) -> Any:
        for service in self._open:
            if service.kind == MEDIA:
                return service
        # Opened anew: its login is dated by the device's clock, which was not known at first.
        device = await self._service(DEVICE, self._device_url)
        capabilities = await _without_login_first(device, "GetCapabilities", {"Category": ["All"]})
        address = getattr(getattr(capabilities, "Media", None), "XAddr", None)
        if not address:
            raise StreamError(
                Failure.NO_VIDEO,
                f"{self._source.url} offers no ONVIF media service; switch it on, or write the rtsp:// address",
            )
        return await self._service(MEDIA, _on_our_host(str(address), self.address, self._source))

    async def _service(self, kind: str, url: str) -> OnvifService:
        service = OnvifService(kind, url, self._source.username, self._source.password, self._skew_s)
        self._open.append(service)
        await service.setup()
        return service


def _asked(source: Source, timeout_s: float, ask: Callable[[_Services], Awaitable[Answered]]) -> Answered:
    """Run one dialogue in this thread, with every way of failing told apart."""
    reach(source, timeout_s).close()
    address = resolve(source.host, source.port, timeout_s)
    prepare_services()

    async def dialogue() -> Answered:
        services = _Services(source, address)
        try:
            async with asyncio.timeout(timeout_s):
                return await ask(services)
        finally:
            await services.close()

    try:
        return asyncio.run(dialogue())
    except TimeoutError:
        raise StreamError(
            Failure.TIMEOUT,
            f"{source.url} accepts the connection and does not answer as an ONVIF device within"
            f" {timeout_s:.0f} s; check the port, and the camera's load",
        ) from None
    except AnswerTooLongError:
        raise StreamError(
            Failure.PROTOCOL,
            f"{source.url} answers without end; check the port, another service answers there",
        ) from None
    except onvif_errors() as error:
        if is_refused_login(error):
            mend = (
                "check the credential's user name and password, its rights, and that ONVIF is switched on for it"
                if source.username is not None
                else "name a credential in the camera's entry"
            )
            raise StreamError(Failure.AUTH, f"{source.url} refuses the ONVIF login; {mend}") from None
        # What it said may hold its own secrets, so only its kind is told.
        raise StreamError(
            Failure.PROTOCOL,
            f"{source.url} does not answer as an ONVIF device should ({type(error).__name__}); check the port, and"
            " that ONVIF is switched on, or write the camera's rtsp:// address",
        ) from None


async def _without_login_first(device: OnvifService, name: str, request: Any = None) -> Any:
    """ONVIF lets everyone ask for these; some devices want a login all the same."""
    try:
        return await getattr(device, f"authless_{name}")(request)
    except onvif_errors() as error:
        if device.user is None or not is_refused_login(error):
            raise
    return await _call(device, name, request)


async def _call(service: OnvifService, name: str, request: Any = None) -> Any:
    """With the login, if there is one."""
    return await getattr(service, name if service.user is not None else f"authless_{name}")(request)


def _same_host(source: Source, uri: str, address: tuple[str, int], timeout_s: float = 5.0) -> Source:
    """The stream that the device named, without any login in it, if it is the device's own."""
    parts = urlsplit(without_login(uri))
    try:
        there, port = parts.hostname or "", parts.port
    except ValueError:
        there, port = "", None
    if parts.scheme not in ("rtsp", "rtsps") or not there:
        raise StreamError(
            Failure.PROTOCOL,
            f"{source.url} names {printable(uri) or 'nothing'} as its stream, which is no RTSP; write the"
            " rtsp:// address",
        )
    if there != source.host and _address_of(there, port or 0, timeout_s) != address[0]:
        raise StreamError(
            Failure.REDIRECT,
            f"{source.url} names a stream on another host, {printable(uri)}, which gets no login; if that is the"
            " camera, write that address into the site file",
        )
    opened, shown = without_login(uri), printable(uri)
    return Source(
        shown,
        source.username,
        source.password,
        certificate=source.certificate if parts.scheme == "rtsps" else None,
        address=opened if opened != shown else None,
    )


def _address_of(host: str, port: int, timeout_s: float) -> str | None:
    try:
        return resolve(host, port, timeout_s)[0]
    except StreamError:
        return None


def _on_our_host(url: str, address: tuple[str, int], source: Source) -> str:
    """``url`` on the device's own host: the port that it names there, or ours where it names another host."""
    try:
        parts = urlsplit(without_login(url))
        same = parts.hostname in (source.host, address[0])
        port = (parts.port or 80) if same else address[1]
    except ValueError:
        parts, port = urlsplit(""), address[1]
    if parts.scheme == "https":
        raise StreamError(
            Failure.PROTOCOL,
            f"{source.url} wants ONVIF over https, which is not supported; allow http on its own page, or write"
            " the camera's rtsps:// address",
        )
    return urlunsplit(("http", _netloc((address[0], port)), parts.path, parts.query, ""))


def _netloc(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(answer: Any) -> str:
    return str(getattr(answer, "Uri", "") or "").strip()


def _size(profile: Any) -> tuple[int, int] | None:
    resolution = getattr(profile.VideoEncoderConfiguration, "Resolution", None)
    width, height = getattr(resolution, "Width", None), getattr(resolution, "Height", None)
    return (int(width), int(height)) if width and height else None
