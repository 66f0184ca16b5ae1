"""Open a camera's stream, measure it for a few seconds, and tell each way of failing apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TypeVar

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from kaozheng_vision.reach import Failure, StreamError, reach
from kaozheng_vision.source import Source

Frame = npt.NDArray[np.uint8]
Key = TypeVar("Key", bound=Hashable)

# A picture of 2560x1440 is 11 MB decoded: the first and the latest ones are enough to judge a picture by.
KEPT_FRAMES = 5
# Bounds memory and the processor when a whole building is probed: 8 cameras of 1080p are 240 MB.
WORKERS = 8


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a stream turned out to be. A number is None where it could not be measured.

    Attributes
    ----------
    failure : None when pictures came and could be decoded
    message : what happened and what to do next, without secrets; "" when all is well
    width, height : of the decoded picture, pixels
    size_matches : whether that is the size asked for; None when none was asked for or nothing was decoded
    fps : from the packets' own time stamps, frames per second
    jitter_ms : standard deviation of arrival against time stamp, milliseconds
    bitrate_bps : of the video alone, bit/s
    gop_s : median time from keyframe to keyframe, seconds
    first_frame_delay_s : from the first connection attempt to the first decoded picture
    frames : the first and latest decoded keyframes, (height, width, 3) BGR
    frame_times_s : their time stamps, from the first packet on
    """

    failure: Failure | None = None
    message: str = ""
    codec: str = ""
    profile: str = ""
    width: int | None = None
    height: int | None = None
    size_matches: bool | None = None
    fps: float | None = None
    jitter_ms: float | None = None
    bitrate_bps: float | None = None
    gop_s: float | None = None
    keyframes: int = 0
    first_frame_delay_s: float | None = None
    audio: bool = False
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
    timeout_s : longest wait for a connection, for an answer, and for the first or next packet

    Returns
    -------
    ProbeResult : never raises for what a camera or network does

    Notes
    -----
    Takes at most about ``seconds`` + 4 ``timeout_s``. A file is read at native pace and looped, so that its
    numbers mean the same as a camera's.
    """
    begun_s = time.monotonic()
    reading = _Reading()
    try:
        reach(source, timeout_s)
        with _open(source, timeout_s) as container:
            if not container.streams.video:
                raise StreamError(
                    Failure.NO_VIDEO, "the stream carries no video; choose the camera's video profile"
                )
            reading.audio = bool(container.streams.audio)
            _read(container, source, reading, begun_s, seconds, timeout_s)
    except StreamError as error:
        return _result(reading, expected_size, error.failure, source.mask(str(error)))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        waited_s = time.monotonic() - begun_s
        failure, message = _explain(
            error, source, waited_s, timed_out=waited_s >= timeout_s * 0.9, opened=reading.opened
        )
        return _result(reading, expected_size, failure, source.mask(message))
    return _result(reading, expected_size, None, "")


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


@dataclass(slots=True)
class _Reading:
    """What has been seen so far; belongs to one thread."""

    opened: bool = False
    audio: bool = False
    codec: str = ""
    profile: str = ""
    times_s: list[float] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)
    keyframe_times_s: list[float] = field(default_factory=list)
    size_bytes: int = 0
    frames: list[Frame] = field(default_factory=list)
    frame_times_s: list[float] = field(default_factory=list)
    first_frame_delay_s: float | None = None
    undecodable: int = 0

    def keep(self, frame: Frame, time_s: float) -> None:
        """Keep the first and the latest."""
        if len(self.frames) == KEPT_FRAMES:
            del self.frames[1], self.frame_times_s[1]
        self.frames.append(frame)
        self.frame_times_s.append(time_s)


@dataclass(frozen=True, slots=True)
class _Coded:
    """One picture as it came."""

    packets: tuple[Packet[VideoStream], ...]
    time_s: float
    arrival_s: float


def _open(source: Source, timeout_s: float) -> InputContainer:
    options = {}
    if not source.is_file:
        # FFmpeg's own timeout is per socket operation, in microseconds.
        options = {"rtsp_transport": "tcp", "timeout": str(int(timeout_s * 1e6))}
    return av.open(source.secret_url(), mode="r", options=options, timeout=(timeout_s, timeout_s))


def _read(
    container: InputContainer,
    source: Source,
    reading: _Reading,
    begun_s: float,
    seconds: float,
    timeout_s: float,
) -> None:
    stream = container.streams.video[0]
    context = stream.codec_context
    context.thread_count = 1
    reading.opened = True
    reading.codec = context.name
    reading.profile = context.profile or ""
    pictures = _pictures(_looped(container, stream) if source.is_file else _live(container, stream))
    started_s = time.monotonic()
    for picture in pictures:
        reading.arrivals_s.append(picture.arrival_s)
        reading.times_s.append(picture.time_s)
        reading.size_bytes += sum(packet.size for packet in picture.packets)
        if any(packet.is_keyframe for packet in picture.packets):
            reading.keyframe_times_s.append(picture.time_s)
            frame = _decode_alone(context, picture.packets)
            if frame is None:
                reading.undecodable += 1
            else:
                reading.keep(frame, picture.time_s)
                if reading.first_frame_delay_s is None:
                    reading.first_frame_delay_s = time.monotonic() - begun_s
        elapsed_s = time.monotonic() - started_s
        if elapsed_s >= seconds and (reading.frames or elapsed_s >= seconds + timeout_s):
            break
    else:
        what = "ended by itself" if reading.times_s else "was described but brought no picture"
        raise StreamError(Failure.STALLED, f"the stream {what}; restart it, or the camera, and probe again")
    if not reading.frames:
        what = (
            f"none of {reading.undecodable} keyframes could be decoded; set it to plain H.264 or H.265"
            if reading.undecodable
            else f"no keyframe in {elapsed_s:.0f} s; set the camera's keyframe (I frame) interval to 2 s"
        )
        raise StreamError(Failure.UNDECODABLE, what)


def _pictures(packets: Iterator[tuple[Packet[VideoStream], float]]) -> Iterator[_Coded]:
    """Packets of one time stamp are one picture: a demuxer may hand over parameter sets apart."""
    gathered: list[Packet[VideoStream]] = []
    gathered_s = arrival_s = 0.0
    for packet, time_s in packets:
        if gathered and time_s != gathered_s:
            yield _Coded(tuple(gathered), gathered_s, arrival_s)
            gathered = []
        gathered.append(packet)
        gathered_s, arrival_s = time_s, time.monotonic()
    if gathered:
        yield _Coded(tuple(gathered), gathered_s, arrival_s)


def _live(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Packet[VideoStream], float]]:
    origin: int | None = None
    time_base = float(stream.time_base or 0)
    for packet in container.demux(stream):
        if packet.pts is None or packet.size == 0:
            continue
        origin = packet.pts if origin is None else origin
        yield packet, (packet.pts - origin) * time_base


def _looped(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Packet[VideoStream], float]]:
    """A file's packets as a camera would send them: paced by their own times, again and again."""
    time_base = float(stream.time_base or 0)
    frame_s = 1.0 / float(stream.average_rate or 25)
    begun_s = time.monotonic()
    shift_s = 0.0
    while True:
        first: int | None = None
        last_s = 0.0
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None or packet.size == 0:
                continue
            first = packet.dts if first is None else first
            due_s = begun_s + shift_s + (packet.dts - first) * time_base
            time.sleep(max(0.0, due_s - time.monotonic()))
            time_s = (packet.pts - first) * time_base
            last_s = max(last_s, time_s)
            yield packet, shift_s + time_s
        if first is None:
            return
        shift_s += last_s + frame_s
        container.seek(0, stream=stream)


def _decode_alone(context: VideoCodecContext, packets: tuple[Packet[VideoStream], ...]) -> Frame | None:
    """The picture of one keyframe. Flushed at once: a decoder that waits for B-frames would hold it back."""
    try:
        decoded = [frame for packet in (*packets, None) for frame in context.decode(packet)]
    except av.error.FFmpegError:
        decoded = []
    context.flush_buffers()
    for frame in decoded:
        return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    return None


def _explain(
    error: BaseException, source: Source, waited_s: float, *, timed_out: bool, opened: bool
) -> tuple[Failure, str]:
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
        return (
            Failure.STALLED,
            f"{where} stopped sending ({error}); check the camera's network and its load",
        )
    # A server that accepts and then says nothing shows as invalid data in FFmpeg 8, after the whole wait.
    if timed_out and not source.is_file:
        return (
            Failure.TIMEOUT,
            f"{where} gave no answer in {waited_s:.0f} s; check the port, and the camera's load",
        )
    if source.is_file:
        return Failure.UNDECODABLE, f"{where} is no video that can be read ({error}); make it anew"
    return Failure.PROTOCOL, f"{where} does not speak RTSP as expected ({error}); check address and port"


def _result(
    reading: _Reading, expected_size: tuple[int, int] | None, failure: Failure | None, message: str
) -> ProbeResult:
    fps = _fps(np.sort(np.asarray(reading.times_s)), reading.keyframe_times_s)
    keyframe_gaps_s = np.diff(reading.keyframe_times_s)
    height, width = reading.frames[-1].shape[:2] if reading.frames else (None, None)
    return ProbeResult(
        failure=failure,
        message=message,
        codec=reading.codec,
        profile=reading.profile,
        width=width,
        height=height,
        size_matches=None if expected_size is None or width is None else (width, height) == expected_size,
        fps=fps,
        jitter_ms=_jitter_ms(np.asarray(reading.times_s), np.asarray(reading.arrivals_s)),
        bitrate_bps=reading.size_bytes * 8 * fps / len(reading.times_s) if fps else None,
        gop_s=float(np.median(keyframe_gaps_s)) if len(keyframe_gaps_s) else None,
        keyframes=len(reading.keyframe_times_s),
        first_frame_delay_s=reading.first_frame_delay_s,
        audio=reading.audio,
        frames=tuple(reading.frames),
        frame_times_s=tuple(reading.frame_times_s),
    )


def _fps(times_s: npt.NDArray[np.float64], keyframe_times_s: list[float]) -> float | None:
    """Frames a second over whole groups of pictures: at either end B-frames may not have come yet."""
    if len(keyframe_times_s) > 1 and keyframe_times_s[-1] > keyframe_times_s[0]:
        begin, end = np.searchsorted(times_s, [keyframe_times_s[0], keyframe_times_s[-1]])
        return float((end - begin) / (keyframe_times_s[-1] - keyframe_times_s[0]))
    span_s = float(times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0
    return (len(times_s) - 1) / span_s if span_s > 0 else None


def _jitter_ms(times_s: npt.NDArray[np.float64], arrivals_s: npt.NDArray[np.float64]) -> float | None:
    """Without the packets that were stored while the stream was being opened, which all come at once."""
    if len(times_s) < 3:
        return None
    frame_s = (times_s.max() - times_s.min()) / (len(times_s) - 1)
    waits = np.flatnonzero(np.diff(arrivals_s) > frame_s / 2)
    first_live = int(waits[0]) + 1 if len(waits) else len(times_s)
    # B-frames carry their time stamps out of order; sorted, the n-th packet belongs to the n-th instant.
    lag_s = arrivals_s[first_live:] - np.sort(times_s[first_live:])
    return float(lag_s.std() * 1000) if len(lag_s) >= 3 else None
