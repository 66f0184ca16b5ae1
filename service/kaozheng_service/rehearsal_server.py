"""Plays video files as if they were cameras: an RTSP server on the loopback interface.

Run by a Python that has GStreamer's bindings (on Debian ``/usr/bin/python3``), so this file imports
nothing of the product. ``kaozheng_service.rehearsal`` finds that Python and starts this file.

    rehearsal_server.py --port 8554 --mount /9-201/front-left=front-left.mp4

``--launch /sound='( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 )'`` serves a pipeline as it is,
for streams that no file makes; ``--certificate`` encrypts all of them (rtsps).

``--playback /nvr/front-left=front-left.mp4`` serves what a recorder kept of that camera:
``rtsp://HOST/nvr/front-left?starttime=20241123T010000Z&endtime=20241123T010010Z`` is that part of the looped file,
from the keyframe at or before its start on, and then the end of the stream. ``--origin`` is when the file first
began (s since the epoch, the server's start if not given), ``--kept-until`` when the recording ends: a range that
begins later is refused, one that ends later is cut short.

Each file is demuxed once; its access units are then sent again and again at native speed, never
re-encoded, with time stamps that go on over the loop point. All mounts share one time origin, so the
cameras of one room stay in step whoever connects when. Prints ``ready rtsp://127.0.0.1:PORT``.
"""

from __future__ import annotations

import argparse
import calendar
import os
import re
import signal
import sys
import time
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstApp, GstRtsp, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402, F401

# About 8 s of an 8 Mbit/s camera: more than any client lags, and a bound on memory if one stalls.
QUEUE_LIMIT_BYTES = 8_000_000
SESSION_SWEEP_S = 2


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT, or (with ``--until-stdin-closes``) until the parent is gone."""
    options = _parse(arguments)
    Gst.init(None)
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    password = os.environ.get(options.password_env, "") if options.password_env else ""
    guarded = options.user or options.certificate
    if guarded:
        server.set_auth(_authentication(options.user, password, options.certificate))
    mounts = server.get_mount_points()
    origin_s = time.monotonic()
    factories = [(mount, _launched(pipeline)) for mount, pipeline in options.launch]
    try:
        for mount, path in options.mount:
            factories.append((mount, _factory(mount, read_clip(path), origin_s)))
        kept = Kept(time.time() if options.origin is None else options.origin, options.kept_until)
        for mount, path in options.playback:
            factories.append((mount, PlaybackFactory(mount, read_clip(path), kept)))
    except ClipError as error:
        print(error, file=sys.stderr)
        return 2
    for mount, factory in factories:
        if guarded:
            factory.add_role_from_structure(_viewer_permissions())
        mounts.add_factory(mount, factory)
    if server.attach(None) == 0:
        print(f"cannot listen on 127.0.0.1:{options.port}; is another server there?", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, _quit, loop)
    if options.until_stdin_closes:
        GLib.unix_fd_add_full(
            GLib.PRIORITY_DEFAULT,
            sys.stdin.fileno(),
            GLib.IOCondition.HUP | GLib.IOCondition.ERR,
            lambda _fd, _condition: _quit(loop),
        )
    GLib.timeout_add_seconds(SESSION_SWEEP_S, _sweep_sessions, server)
    print(f"ready rtsp://127.0.0.1:{server.get_bound_port()}", flush=True)
    loop.run()
    return 0


class ClipError(Exception):
    """A file that cannot be served; the message says which and why."""


@dataclass(frozen=True)
class AccessUnit:
    """One coded picture. Times are nanoseconds from the start of the clip."""

    buffer: Any
    pts_ns: int
    dts_ns: int
    keyframe: bool


@dataclass(frozen=True)
class Clip:
    """A demuxed file: ``codec`` is ``h264`` or ``h265``; ``duration_ns`` is when the next round begins."""

    codec: str
    units: tuple[AccessUnit, ...]
    duration_ns: int


def read_clip(path: Path) -> Clip:
    """Demux the first H.264 or H.265 track of an MP4 file into access units.

    Raises
    ------
    ClipError : no such file, no such track, or a demuxer's error
    """
    if not path.is_file():
        raise ClipError(f"{path}: no such file")
    pipeline = Gst.Pipeline.new(None)
    source, demuxer, sink = (Gst.ElementFactory.make(name) for name in ("filesrc", "qtdemux", "appsink"))
    source.set_property("location", str(path))
    sink.set_property("sync", False)
    sink.set_property("max-buffers", 8)
    for element in (source, demuxer, sink):
        pipeline.add(element)
    source.link(demuxer)
    found: list[str] = []
    demuxer.connect("pad-added", _link_video, pipeline, sink, found)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        units = _pull_units(pipeline, sink, path)
    finally:
        pipeline.set_state(Gst.State.NULL)
    if not found or not units:
        raise ClipError(f"{path}: no H.264 or H.265 track; make an MP4 with one of the two")
    if not units[0].keyframe:
        raise ClipError(f"{path}: does not begin with a keyframe; cut it at one")
    spacing_ns = (units[-1].dts_ns - units[0].dts_ns) // max(1, len(units) - 1)
    return Clip(found[0], units, units[-1].dts_ns - units[0].dts_ns + spacing_ns)


def _link_video(demuxer: Any, pad: Any, pipeline: Any, sink: Any, found: list[str]) -> None:
    kind = pad.get_current_caps().get_structure(0).get_name()
    codec = {"video/x-h264": "h264", "video/x-h265": "h265"}.get(kind)
    if codec is None or found:
        # A pad nobody reads would end the demuxer with "not linked" once all others have ended.
        discard = Gst.ElementFactory.make("fakesink")
        discard.set_property("async", False)
        pipeline.add(discard)
        discard.sync_state_with_parent()
        pad.link(discard.get_static_pad("sink"))
        return
    found.append(codec)
    parser = Gst.ElementFactory.make(f"{codec}parse")
    parser.set_property("config-interval", -1)
    pipeline.add(parser)
    form = Gst.Caps.from_string(f"{kind},stream-format=byte-stream,alignment=au")
    parser.link_filtered(sink, form)
    parser.sync_state_with_parent()
    pad.link(parser.get_static_pad("sink"))


def _pull_units(pipeline: Any, sink: Any, path: Path) -> tuple[AccessUnit, ...]:
    units: list[AccessUnit] = []
    bus = pipeline.get_bus()
    first_dts_ns: int | None = None
    while True:
        sample = sink.emit("try-pull-sample", 100 * Gst.MSECOND)
        if sample is not None:
            buffer = sample.get_buffer().copy()
            pts = buffer.pts
            dts = buffer.dts if buffer.dts != Gst.CLOCK_TIME_NONE else pts
            first_dts_ns = dts if first_dts_ns is None else first_dts_ns
            keyframe = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
            units.append(AccessUnit(buffer, pts - first_dts_ns, dts - first_dts_ns, keyframe))
            continue
        message = bus.pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message is not None and message.type == Gst.MessageType.ERROR:
            raise ClipError(f"{path}: {message.parse_error()[0].message}")
        if message is not None or sink.get_property("eos"):
            return tuple(units)


class Feeder:
    """Pushes one clip into one running media, on the main loop's thread, until the media ends."""

    def __init__(self, mount: str, clip: Clip, source: Any, origin_s: float) -> None:
        self._mount = mount
        self._clip = clip
        self._source = source
        self._origin_s = origin_s
        self._described = False
        self._playing = False
        self._stopped = False
        self._index = 0
        # Time stamp of the pushed stream = time in the clip + shift; grows by one duration a round.
        self._shift_ns = 0
        self._started_s = 0.0
        self._started_ns = 0

    def describe(self, _source: Any, _wanted: int) -> None:
        """Send one keyframe: the media needs its parameter sets before it can answer a client."""
        if not self._described:
            self._described = True
            self._begin_at_keyframe()
            self._push_unit()

    def play(self, _media: Any, state: int) -> None:
        """Run from the first PLAY on, so that the first client gets a keyframe first."""
        # The signal carries a GstState as a plain number.
        if state == int(Gst.State.PLAYING) and not self._playing:
            self._playing = True
            # Signals come on the server's threads; all that follows runs on the main loop.
            GLib.idle_add(self._run, priority=GLib.PRIORITY_HIGH)

    def stop(self, _media: Any) -> None:
        """The last client has left."""
        self._stopped = True

    def _into_s(self) -> float:
        """How far the clip has come since the common time origin."""
        return time.monotonic() - self._origin_s

    def _begin_at_keyframe(self) -> None:
        """Go to the keyframe at or before where the clip is, and time-stamp it with now."""
        units = self._clip.units
        keyframes = [index for index, unit in enumerate(units) if unit.keyframe]
        into_ns = int(self._into_s() * 1e9) % self._clip.duration_ns
        latest = bisect_right([units[index].dts_ns for index in keyframes], into_ns) - 1
        self._index = keyframes[max(0, latest)]
        clock = self._source.get_clock()
        running_ns = clock.get_time() - self._source.get_base_time() if clock is not None else 0
        self._started_s = time.monotonic()
        self._started_ns = max(0, running_ns)
        self._shift_ns = self._started_ns - units[self._index].dts_ns

    def _run(self) -> bool:
        print(f"playing {time.time():.3f} {self._mount}", flush=True)
        self._begin_at_keyframe()
        self._push_what_is_due()
        return False

    def _push_what_is_due(self) -> bool:
        if self._stopped:
            return False
        while (wait_s := self._wait_s()) <= 0.001:
            if not self._push_unit():
                return False
        GLib.timeout_add(max(1, int(wait_s * 1000)), self._push_what_is_due, priority=GLib.PRIORITY_HIGH)
        return False

    def _wait_s(self) -> float:
        due_ns = self._clip.units[self._index].dts_ns + self._shift_ns - self._started_ns
        return self._started_s + due_ns / 1e9 - time.monotonic()

    def _push_unit(self) -> bool:
        unit = self._clip.units[self._index]
        buffer = unit.buffer.copy()
        buffer.pts = unit.pts_ns + self._shift_ns
        buffer.dts = unit.dts_ns + self._shift_ns
        self._index += 1
        if self._index == len(self._clip.units):
            self._index = 0
            self._shift_ns += self._clip.duration_ns
        return bool(self._source.emit("push-buffer", buffer) == Gst.FlowReturn.OK)


@dataclass(frozen=True)
class Kept:
    """What a recorder kept: the looped clip from ``origin_s`` (s since the epoch) on; ``until_s`` None is for ever."""

    origin_s: float
    until_s: float | None


class PlaybackFeeder(Feeder):
    """Pushes the part from ``start_s`` to ``end_s`` (s since the clip's origin) into one media, then its end."""

    def __init__(self, mount: str, clip: Clip, source: Any, start_s: float, end_s: float) -> None:
        super().__init__(mount, clip, source, 0.0)
        self._start_s = start_s
        self._length_ns = int((end_s - start_s) * 1e9)
        self._end_ns = 0

    def _into_s(self) -> float:
        return self._start_s

    def _begin_at_keyframe(self) -> None:
        super()._begin_at_keyframe()
        before_ns = int(self._start_s * 1e9) % self._clip.duration_ns - self._clip.units[self._index].dts_ns
        self._end_ns = self._started_ns + before_ns + self._length_ns

    def _push_unit(self) -> bool:
        if self._clip.units[self._index].dts_ns + self._shift_ns >= self._end_ns:
            self._source.emit("end-of-stream")
            return False
        return super()._push_unit()


class PlaybackFactory(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]
    """A media for each client, of the range that its address asks for."""

    def __init__(self, mount: str, clip: Clip, kept: Kept) -> None:
        super().__init__()
        self._mount = mount
        self._clip = clip
        self._kept = kept
        # What each media that is being made was asked for, by its element's name.
        self._ranges: dict[str, tuple[float, float]] = {}
        self.set_shared(False)
        self.connect("media-configure", self._configure)

    def do_create_element(self, url: Any) -> Any:
        """None, which refuses the client, where nothing was kept of the range."""
        query = {name: values[0] for name, values in parse_qs(url.query or "").items()}
        try:
            start_s, end_s = (_asked_s(query[name]) for name in ("starttime", "endtime"))
        except (KeyError, ValueError):
            return None
        if self._kept.until_s is not None:
            end_s = min(end_s, self._kept.until_s)
        print(f"asked {time.time():.3f} {self._mount}", flush=True)
        if start_s < self._kept.origin_s or end_s <= start_s:
            return None
        element = Gst.parse_bin_from_description(_pipeline(self._clip.codec), False)
        self._ranges[element.get_name()] = (start_s - self._kept.origin_s, end_s - self._kept.origin_s)
        return element

    def _configure(self, _factory: Any, media: Any) -> None:
        element = media.get_element()
        start_s, end_s = self._ranges.pop(element.get_name())
        source = element.get_by_name_recurse_up("source")
        feeder = PlaybackFeeder(self._mount, self._clip, source, start_s, end_s)
        source.connect("need-data", feeder.describe)
        media.connect("new-state", feeder.play)
        media.connect("unprepared", feeder.stop)


def _asked_s(text: str) -> float:
    """Seconds since the epoch of ``20241123T010000Z``. ValueError for anything else."""
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", text)
    if match is None:
        raise ValueError(text)
    return float(calendar.timegm(tuple(int(part) for part in match.groups())))


def _pipeline(codec: str) -> str:
    return (
        f"appsrc name=source is-live=true do-timestamp=false format=time block=false"
        f" max-bytes={QUEUE_LIMIT_BYTES} leaky-type=downstream"
        f" caps=video/x-{codec},stream-format=byte-stream,alignment=au"
        f" ! {codec}parse ! rtp{codec}pay name=pay0 pt=96 config-interval=-1"
    )


def _factory(mount: str, clip: Clip, origin_s: float) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {_pipeline(clip.codec)} )")
    factory.set_shared(True)

    def configure(_factory: Any, media: Any) -> None:
        source = media.get_element().get_by_name_recurse_up("source")
        feeder = Feeder(mount, clip, source, origin_s)
        source.connect("need-data", feeder.describe)
        media.connect("new-state", feeder.play)
        media.connect("unprepared", feeder.stop)

    factory.connect("media-configure", configure)
    return factory


def _launched(pipeline: str) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline)
    return factory


def _authentication(user: str | None, password: str, certificate: Path | None) -> Any:
    """Digest, which cameras ask for by default; everyone where no user is named."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if user:
        auth.add_digest(user, password, token)
    else:
        auth.set_default_token(token)
    if certificate is not None:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(str(certificate)))
    return auth


def _viewer_permissions() -> Any:
    permissions = Gst.Structure.new_empty("viewer")
    permissions.set_value("media.factory.access", True)
    permissions.set_value("media.factory.construct", True)
    return permissions


def _sweep_sessions(server: Any) -> bool:
    server.get_session_pool().cleanup()
    return True


def _quit(loop: Any) -> bool:
    loop.quit()
    return False


def _mount(text: str) -> tuple[str, Path]:
    mount, path = _launch(text)
    return mount, Path(path)


def _launch(text: str) -> tuple[str, str]:
    mount, separator, rest = text.partition("=")
    if not separator or not mount.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form /room/camera=WHAT")
    return mount, rest


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve video files over RTSP on the loopback interface.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--mount", type=_mount, action="append", default=[], metavar="/ROOM/CAMERA=FILE")
    parser.add_argument(
        "--launch", type=_launch, action="append", default=[], metavar="/ROOM/CAMERA=PIPELINE"
    )
    parser.add_argument(
        "--playback",
        type=_mount,
        action="append",
        default=[],
        metavar="/ROOM/CAMERA=FILE",
        help="kept footage",
    )
    parser.add_argument("--origin", type=float, metavar="S", help="when kept footage first began its file")
    parser.add_argument("--kept-until", type=float, metavar="S", help="when kept footage ends")
    parser.add_argument("--user", help="ask clients for this user name")
    parser.add_argument("--password-env", metavar="VARIABLE", help="environment variable with the password")
    parser.add_argument("--certificate", type=Path, help="PEM file with certificate and key: serve rtsps")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the parent process ends")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
