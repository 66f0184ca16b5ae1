"""Read a stream's packets for a while and measure them; only keyframes are decoded."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from kaozheng_vision.failures import Failure, StreamError
from kaozheng_vision.reach import encryption_options
from kaozheng_vision.source import Source

Frame = npt.NDArray[np.uint8]

# The first and the latest ones are enough to judge a picture by. A picture of 2560x1440 is 11 MB decoded, one of
# 3840x2160 is 25 MB: a building of 30 such cameras fits into 2.3 GB. A median needs three.
KEPT_FRAMES = 5
KEPT_LARGE_FRAMES = 3
LARGE_PX = 2560 * 1440
# Where every picture is a keyframe (MJPEG), not each is decoded: 13 ms of a core at 2560x1440.
DECODE_EVERY_S = 0.4


@dataclass(slots=True)
class Reading:
    """What has been seen so far; belongs to one thread.

    Attributes
    ----------
    times_s, arrivals_s : of each picture: its time stamp from the first on, and when it came (monotonic)
    wall_clocks : (a picture's time on the camera's clock, its arrival on ours), seconds since 1970
    frames : the first and latest decoded keyframes of the latest size, (height, width, 3) BGR
    sizes : (width, height) of decoded pictures, each where it is another than the one before
    """

    opened: bool = False
    audio: bool = False
    codec: str = ""
    profile: str = ""
    times_s: list[float] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)
    wall_clocks: list[tuple[float, float]] = field(default_factory=list)
    keyframe_times_s: list[float] = field(default_factory=list)
    size_bytes: int = 0
    frames: list[Frame] = field(default_factory=list)
    frame_times_s: list[float] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    first_frame_s: float | None = None
    undecodable: int = 0

    def keep(self, frame: Frame, time_s: float) -> None:
        """Keep the first and the latest of one size."""
        size = (frame.shape[1], frame.shape[0])
        if not self.sizes or self.sizes[-1] != size:
            self.sizes.append(size)
            self.frames.clear()
            self.frame_times_s.clear()
        kept = KEPT_LARGE_FRAMES if size[0] * size[1] > LARGE_PX else KEPT_FRAMES
        if len(self.frames) == kept:
            del self.frames[1], self.frame_times_s[1]
        self.frames.append(frame)
        self.frame_times_s.append(time_s)
        if self.first_frame_s is None:
            self.first_frame_s = time.monotonic()


@dataclass(frozen=True, slots=True)
class _Coded:
    """One picture as it came."""

    packets: tuple[Packet[VideoStream], ...]
    time_s: float
    arrival_s: float


def open_stream(source: Source, timeout_s: float) -> InputContainer:
    """Open it as a demuxer does; an encrypted one is verified by FFmpeg too."""
    options = {}
    if not source.is_file:
        # FFmpeg's own timeout is per socket operation, in microseconds.
        options = {
            "rtsp_transport": "tcp",
            "timeout": str(int(timeout_s * 1e6)),
            **encryption_options(source),
        }
    return av.open(source.secret_url(), mode="r", options=options, timeout=(timeout_s, timeout_s))


def read(
    container: InputContainer, source: Source, reading: Reading, seconds: float, timeout_s: float
) -> None:
    """Fill ``reading`` for ``seconds``, and up to ``timeout_s`` longer while no picture could be shown.

    Raises
    ------
    StreamError : NO_VIDEO, STALLED, NO_KEYFRAME, UNDECODABLE, ZERO_SIZE or SIZE_CHANGES
    av.error.FFmpegError : what the demuxer meets
    """
    reading.audio = bool(container.streams.audio)
    if not container.streams.video:
        raise no_video()
    stream = container.streams.video[0]
    # None, whatever the type says, where the codec is not known.
    context: VideoCodecContext | None = stream.codec_context
    if context is None:
        raise StreamError(
            Failure.UNDECODABLE,
            "the stream's video is of a kind that is not known here; set it to H.264 or H.265",
        )
    context.thread_count = 1
    # Else a decoder paints over what is missing, and a grey picture would pass for one.
    context.options = {"err_detect": "explode"}
    reading.opened = True
    reading.codec = context.name
    reading.profile = context.profile or ""
    started_s = time.monotonic()
    packets = _looped(container, stream) if source.is_file else _live(container, stream, reading, timeout_s)
    for picture in _pictures(packets, timeout_s):
        _note(reading, context, picture)
        elapsed_s = time.monotonic() - started_s
        if elapsed_s >= seconds and (reading.frames or elapsed_s >= seconds + timeout_s):
            break
    else:
        what = "ended by itself" if reading.times_s else "was described but brought no picture"
        raise StreamError(Failure.STALLED, f"the stream {what}; restart it, or the camera, and probe again")
    _judge(reading, context, elapsed_s)


def no_video() -> StreamError:
    """The failure of a stream of sound alone."""
    return StreamError(Failure.NO_VIDEO, "the stream carries no video; choose the camera's video profile")


def _note(reading: Reading, context: VideoCodecContext, picture: _Coded) -> None:
    reading.arrivals_s.append(picture.arrival_s)
    reading.times_s.append(picture.time_s)
    reading.size_bytes += sum(packet.size for packet in picture.packets)
    if any(packet.is_keyframe for packet in picture.packets):
        reading.keyframe_times_s.append(picture.time_s)
        if reading.frame_times_s and picture.time_s - reading.frame_times_s[-1] < DECODE_EVERY_S:
            return
        frame = _decode_alone(context, picture.packets)
        if frame is None:
            reading.undecodable += 1
        else:
            reading.keep(frame, picture.time_s)


def _judge(reading: Reading, context: VideoCodecContext, elapsed_s: float) -> None:
    if len(reading.sizes) > 1:
        told = " and ".join(f"{width}x{height}" for width, height in dict.fromkeys(reading.sizes))
        raise StreamError(
            Failure.SIZE_CHANGES,
            f"the picture changes its size while it runs: {told}; switch off what adapts the resolution to the"
            " network, and set one resolution",
        )
    if reading.frames:
        return
    if not reading.undecodable:
        raise StreamError(
            Failure.NO_KEYFRAME,
            f"no keyframe in {elapsed_s:.0f} s; set the camera's keyframe (I frame) interval to 2 s",
        )
    if not (context.width and context.height):
        raise StreamError(
            Failure.ZERO_SIZE,
            f"the stream's pictures have no size ({context.width}x{context.height}) and cannot be decoded; set the"
            " camera's resolution anew, and restart it",
        )
    raise StreamError(
        Failure.UNDECODABLE,
        f"none of {reading.undecodable} keyframes could be decoded; set it to plain H.264 or H.265",
    )


def _pictures(packets: Iterator[tuple[Packet[VideoStream], float]], timeout_s: float) -> Iterator[_Coded]:
    """Packets of one time stamp are one picture: a demuxer may hand over parameter sets apart."""
    gathered: list[Packet[VideoStream]] = []
    gathered_s = arrival_s = 0.0
    begun_s = time.monotonic()
    for packet, time_s in packets:
        if not gathered or time_s != gathered_s:
            begun_s = time.monotonic()
        elif time.monotonic() - begun_s >= timeout_s:
            raise StreamError(
                Failure.PROTOCOL,
                f"the time stamps of its pictures stand still for {timeout_s:.0f} s; restart the camera, or have its"
                " maker's firmware brought up to date",
            )
        if gathered and time_s != gathered_s:
            yield _Coded(tuple(gathered), gathered_s, arrival_s)
            gathered = []
        gathered.append(packet)
        gathered_s, arrival_s = time_s, time.monotonic()
    if gathered:
        yield _Coded(tuple(gathered), gathered_s, arrival_s)


def _live(
    container: InputContainer, stream: VideoStream, reading: Reading, timeout_s: float
) -> Iterator[tuple[Packet[VideoStream], float]]:
    """All streams are read, lest sound that goes on hides that the picture has stopped."""
    origin: int | None = None
    time_base = float(stream.time_base or 0)
    latest_s = time.monotonic()
    for packet in container.demux():
        present_s = time.monotonic()
        if packet.stream_index != stream.index or packet.pts is None or packet.size == 0:
            if present_s - latest_s >= timeout_s:
                raise StreamError(
                    Failure.STALLED,
                    f"no picture for {timeout_s:.0f} s while the connection lives; restart the stream, or the camera",
                )
            continue
        latest_s = present_s
        if (wall_s := _wall_clock_s(packet)) is not None:
            reading.wall_clocks.append((wall_s, time.time()))
        origin = packet.pts if origin is None else origin
        yield packet, (packet.pts - origin) * time_base  # type: ignore[misc]


def _wall_clock_s(packet: Packet[Any]) -> float | None:
    """When the camera says that the picture was taken, after its first RTCP sender report."""
    if not packet.has_sidedata("prft"):
        return None
    # AVProducerReferenceTime: int64 microseconds since 1970, int flags.
    (wall_us,) = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))
    return float(wall_us) / 1e6


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
    decoded = []
    with contextlib.suppress(av.error.FFmpegError):
        decoded = [frame for packet in (*packets, None) for frame in context.decode(packet)]
    context.flush_buffers()
    for frame in decoded:
        if frame.width and frame.height:
            return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    return None
