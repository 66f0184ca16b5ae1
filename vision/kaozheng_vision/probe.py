"""Open a camera's stream, measure it for a few seconds, and tell each way of failing apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import TypeVar

import av.error

from kaozheng_vision.camera_clock import ClockReading, ClockSource, from_sender_reports, from_whole_seconds
from kaozheng_vision.describe import Description, describe
from kaozheng_vision.failures import BusyError, Failure, StreamError
from kaozheng_vision.onvif import ask_device
from kaozheng_vision.pace import frames_per_second, group_s, jitter_ms
from kaozheng_vision.reading import Frame, Reading, no_video, open_stream, read
from kaozheng_vision.source import Source

Answer = TypeVar("Answer")
# GStreamer's server answers 503 while it takes down what the question before had set up: under a second here.
BUSY_TRIES, BUSY_PAUSE_S = 3, 1.0
Key = TypeVar("Key", bound=Hashable)

# A probe mostly waits for packets; a whole building of ten rooms with three cameras each goes at once.
WORKERS = 32


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a stream turned out to be. A number is None where it could not be measured.

    Attributes
    ----------
    failure : None when pictures came, could be decoded and kept one size
    message : what happened and what to do next, without secrets; "" when all is well
    width, height : of the latest decoded picture, pixels
    size_matches : whether that is the size asked for; None when none was asked for or nothing was decoded
    sizes : every (width, height) in order; more than one is a failure
    fps : from the packets' own time stamps, frames per second
    jitter_ms : standard deviation of arrival against time stamp, milliseconds
    bitrate_bps : of the video alone, bit/s
    gop_s : median time from keyframe to keyframe, seconds
    keyframes, damaged_keyframes : how many came, and how many of them could not be decoded whole
    first_frame_delay_s : from the first connection attempt to the first decoded picture
    login : what an RTSP server asked for: "none", "basic", "digest" or "unknown"; "" where it was not asked
    clock : the camera's clock against ours
    frames : the first and latest decoded keyframes of one size, (height, width, 3) BGR
    frame_times_s : their time stamps, from the first packet on
    """

    failure: Failure | None = None
    message: str = ""
    codec: str = ""
    profile: str = ""
    width: int | None = None
    height: int | None = None
    size_matches: bool | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    fps: float | None = None
    jitter_ms: float | None = None
    bitrate_bps: float | None = None
    gop_s: float | None = None
    keyframes: int = 0
    damaged_keyframes: int = 0
    first_frame_delay_s: float | None = None
    audio: bool = False
    login: str = ""
    clock: ClockReading | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    frame_times_s: tuple[float, ...] = ()

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def outcome(self) -> str:
        return "ok" if self.ok else "failed"


def probe(
    source: Source,
    *,
    expected_size: tuple[int, int] | None = None,
    seconds: float = 6.0,
    timeout_s: float = 10.0,
) -> ProbeResult:
    """Read a stream for ``seconds`` and measure it; only keyframes are decoded.

    Parameters
    ----------
    expected_size : (width, height) of the picture as the site file states it
    timeout_s : longest wait for a name, for a connection, for an answer, and for the first or next picture

    Returns
    -------
    ProbeResult : never raises for what a camera or network does

    Notes
    -----
    Takes at most ``seconds`` + 10 ``timeout_s``, which only a server reaches that answers each question at
    the last moment: an ONVIF device 2, name and connection 2 (encrypted 3), description and login 2, opening
    2 (FFmpeg opens, then looks for the codec), the first keyframe 1. Anything that is silent ends it after
    one. A file is read at native pace and looped, so that its numbers mean the same as a camera's.
    """
    begun_s = time.monotonic()
    reading = Reading()
    described: Description | None = None
    clock: ClockReading | None = None
    failure, message = None, ""
    opening_s = begun_s
    try:
        if source.is_device:
            device = ask_device(source, timeout_s)
            source, clock = device.stream, device.clock
        if not source.is_file:
            asked = source
            described = _again_if_busy(lambda: describe(asked, timeout_s))
            reading.audio = "audio" in described.media
            if described.media and "video" not in described.media:
                raise no_video()
        opening_s = time.monotonic()
        opened = source
        with _again_if_busy(lambda: open_stream(opened, timeout_s)) as container:
            read(container, source, reading, seconds, timeout_s)
    except StreamError as error:
        failure, message = error.failure, str(error)
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError) as error:
        waited_s = time.monotonic() - opening_s
        failure, message = _explain(
            error, source, waited_s, timed_out=waited_s >= timeout_s * 0.9, opened=reading.opened
        )
    result = _measured(reading, expected_size, begun_s)
    return replace(
        result,
        failure=failure,
        message=source.mask(message),
        login=described.login if described else "",
        clock=clock or _clock(reading, described, result.fps),
    )


def _again_if_busy(ask: Callable[[], Answer]) -> Answer:
    """Ask a server again that says it cannot just now, as one does that is still ending the connection before."""
    for _ in range(BUSY_TRIES - 1):
        try:
            return ask()
        except (BusyError, av.error.HTTPServerError):
            time.sleep(BUSY_PAUSE_S)
    return ask()


def probe_all(
    sources: Mapping[Key, tuple[Source, tuple[int, int] | None]],
    *,
    workers: int = WORKERS,
    seconds: float = 6.0,
    timeout_s: float = 10.0,
    progress: Callable[[Key, ProbeResult], None] | None = None,
) -> dict[Key, ProbeResult]:
    """Probe many streams at once, each given with its expected size; ``progress`` is called here."""
    results: dict[Key, ProbeResult] = {}
    with ThreadPoolExecutor(max_workers=max(1, min(workers, len(sources)))) as pool:
        futures = {
            pool.submit(probe, source, expected_size=size, seconds=seconds, timeout_s=timeout_s): key
            for key, (source, size) in sources.items()
        }
        for future in as_completed(futures):
            key = futures[future]
            results[key] = future.result()
            if progress is not None:
                progress(key, results[key])
    return {key: results[key] for key in sources}


def _explain(
    error: BaseException, source: Source, waited_s: float, *, timed_out: bool, opened: bool
) -> tuple[Failure, str]:
    """What the demuxer met after the server had described the stream in good order."""
    where = source.path.name if source.is_file else source.url
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return (
                Failure.AUTH,
                f"{where} refuses the login; check the credential's user name and password, and its rights",
            )
        case av.error.HTTPNotFoundError():
            return Failure.NOT_FOUND, f"{where}: the camera answers but has no such stream; check the path"
        case av.error.HTTPError():
            return Failure.PROTOCOL, f"{where} answers with an error ({error}); look at the camera's own page"
        case FileNotFoundError() | IsADirectoryError() | NotADirectoryError():
            return Failure.NOT_FOUND, f"{where}: there is no such file; check the path"
        case ConnectionRefusedError():
            return Failure.REFUSED, f"{where} refuses the connection; is the camera's RTSP service on?"
    if opened:
        # FFmpeg's words for a wait that we ended are "immediate exit requested".
        how = "went silent" if isinstance(error, av.error.ExitError) else f"stopped sending ({error})"
        return Failure.STALLED, f"{where} {how}; check the camera's network and its load"
    # A server that accepts and then says nothing shows as invalid data in FFmpeg 8, after the whole wait.
    if timed_out and not source.is_file:
        return (
            Failure.STALLED,
            f"{where} was described and brought no picture in {waited_s:.0f} s; restart the stream, or the camera",
        )
    if source.is_file:
        return Failure.UNDECODABLE, f"{where} is no video that can be read ({error}); make it anew"
    return Failure.PROTOCOL, f"{where} does not speak RTSP as expected ({error}); check address and port"


def _measured(reading: Reading, expected_size: tuple[int, int] | None, begun_s: float) -> ProbeResult:
    fps = frames_per_second(reading.times_s, reading.keyframe_times_s)
    width, height = reading.sizes[-1] if reading.sizes else (None, None)
    return ProbeResult(
        codec=reading.codec,
        profile=reading.profile,
        width=width,
        height=height,
        size_matches=None if expected_size is None or width is None else (width, height) == expected_size,
        sizes=tuple(reading.sizes),
        fps=fps,
        jitter_ms=jitter_ms(reading.times_s, reading.arrivals_s),
        bitrate_bps=reading.size_bytes * 8 * fps / len(reading.times_s) if fps else None,
        gop_s=group_s(reading.keyframe_times_s),
        keyframes=len(reading.keyframe_times_s),
        damaged_keyframes=reading.undecodable,
        first_frame_delay_s=None if reading.first_frame_s is None else reading.first_frame_s - begun_s,
        audio=reading.audio,
        frames=tuple(reading.frames),
        frame_times_s=tuple(reading.frame_times_s),
    )


def _clock(reading: Reading, described: Description | None, fps: float | None) -> ClockReading | None:
    """The best that a stream itself tells: sender reports before the dates of answers."""
    if described is None:
        return None
    if fps:
        reported = from_sender_reports(reading.wall_clocks, described.round_trip_s, 1.0 / fps)
        if reported is not None:
            return reported
    return from_whole_seconds(described.answers, ClockSource.RTSP)
