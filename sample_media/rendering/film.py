"""From a room, its people and a camera to a clip: layers over time, the camera's burnt-in lines, the encoder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from rendering.acting import LOOP_S, Actor, cast
from rendering.lens import View, view_of
from rendering.mesh import Array, Mesh
from rendering.room import room_mesh
from rendering.tracing import Layer, Solids, render_layer, render_room

FRAMES_PER_S = 25
# Poses are rendered five times a second and blended between: motion this slow shows no step.
POSES_PER_S = 5
# An exam morning of the domain's season, shortly before the start, when bags are opened.
CLOCK_START = datetime(2024, 11, 23, 8, 52, 0)  # noqa: DTZ001 - a picture on a wall clock has no zone

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Encoding:
    """``codec`` is ``h264`` or ``hevc``; ``quality`` the encoder's constant rate factor."""

    codec: str
    quality: int


def film(
    room: dict, camera: dict, seed: int, encoding: Encoding, path: Path, say: Callable[[str], None]
) -> None:
    """Render one camera's loop into an MP4 file."""
    view = view_of(camera)
    background, tracks = _shoot(view, room, seed, range(round(LOOP_S * POSES_PER_S)), say)
    _encode(_frames(background, tracks, _title(room, camera), seed), view, encoding, path)


def still(room: dict, camera: dict, seed: int, seconds: float) -> Picture:
    """One frame of the loop."""
    moment = round(seconds * POSES_PER_S)
    background, tracks = _shoot(view_of(camera), room, seed, range(moment, moment + 1), lambda _: None)
    return next(_frames(background, tracks, _title(room, camera), seed))


def _title(room: dict, camera: dict) -> str:
    return f"{room['id']} {camera['id']}"


def _shoot(
    view: View, room: dict, seed: int, moments: range, say: Callable[[str], None]
) -> tuple[Picture, list[_Track]]:
    """The room without people, and each person's layers, farthest first."""
    actors = cast(room, seed)
    solids = Solids(room_mesh(room))
    shades = Solids(_joined([actor.body(actor.pose_at(moments[0] / POSES_PER_S)) for actor in actors]))
    background, depth = render_room(view, solids, [shades])
    say("the room")
    tracks = []
    for number, actor in enumerate(actors, 1):
        tracks.append(_track(view, actor, solids, depth, moments))
        if number % 8 == 0:
            say(f"{number} of {len(actors)} people")
    return background, sorted(tracks, key=lambda track: -track.distance)


@dataclass(frozen=True)
class _Track:
    """A person's layers and, for each of POSES_PER_S moments a second, which one shows."""

    distance: float
    layers: list[Layer | None]
    shows: list[int]


def _track(view: View, actor: Actor, room: Solids, depth: npt.NDArray[np.float32], moments: range) -> _Track:
    seen: dict[object, int] = {}
    layers: list[Layer | None] = []
    shows = []
    distance = 0.0
    for moment in moments:
        pose = actor.pose_at(moment / POSES_PER_S)
        if pose not in seen:
            body = Solids(actor.body(pose))
            distance = float(np.linalg.norm(body.mesh.corners.mean(axis=(0, 1)) - view.position))
            seen[pose] = len(layers)
            layers.append(render_layer(view, body, room, depth))
        shows.append(seen[pose])
    return _Track(distance, layers, shows)


def _joined(meshes: list[Mesh]) -> Mesh:
    """Only the shape matters: these bodies cast shade."""
    corners: Array = np.concatenate([mesh.corners for mesh in meshes])
    return Mesh(corners, corners, corners[:, :, :2], np.zeros(len(corners), np.int64), meshes[0].materials)


def _frames(background: Picture, tracks: list[_Track], title: str, seed: int) -> Iterator[Picture]:
    # The sensor's fixed pattern. Noise that changes from frame to frame would cost more bytes than all the people.
    grain = np.random.default_rng(seed).normal(0, 1.1, (*background.shape[:2], 1)).round().astype(np.int16)
    steps = FRAMES_PER_S // POSES_PER_S
    for number in range(round(LOOP_S * FRAMES_PER_S)):
        frame = background.copy()
        moment, step = divmod(number, steps)
        for track in tracks:
            now, then = track.shows[moment], track.shows[(moment + 1) % len(track.shows)]
            _put(frame, track.layers[now], track.layers[then], step / steps if now != then else 0.0)
        frame = np.clip(frame.astype(np.int16) + grain, 0, 255).astype(np.uint8)
        _burn_in(frame, title, number)
        yield frame


def _put(frame: Picture, now: Layer | None, then: Layer | None, share: float) -> None:
    """Lay a person over the frame: ``share`` of the way from one layer to the next."""
    parts = [(layer, weight) for layer, weight in ((now, 1 - share), (then, share)) if layer and weight > 0]
    if not parts:
        return
    left, top = min(layer.left for layer, _ in parts), min(layer.top for layer, _ in parts)
    right = max(layer.left + layer.alpha.shape[1] for layer, _ in parts)
    bottom = max(layer.top + layer.alpha.shape[0] for layer, _ in parts)
    colour = np.zeros((bottom - top, right - left, 3), np.float32)
    alpha = np.zeros((bottom - top, right - left, 1), np.float32)
    for layer, weight in parts:
        height, width = layer.alpha.shape
        rows = slice(layer.top - top, layer.top - top + height)
        columns = slice(layer.left - left, layer.left - left + width)
        colour[rows, columns] += layer.colour * np.float32(weight)
        alpha[rows, columns, 0] += layer.alpha * np.float32(weight / 255)
    under = frame[top:bottom, left:right]
    under[:] = np.clip(under * (1 - alpha) + colour + 0.5, 0, 255).astype(np.uint8)


def _burn_in(frame: Picture, title: str, number: int) -> None:
    moment = CLOCK_START + timedelta(seconds=number / FRAMES_PER_S)
    size = frame.shape[0] / 1080
    clock = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 10000:02d}  {title}"
    _text(frame, clock, (int(28 * size), int(52 * size)), 1.15 * size)
    note = "GENERATED / kaozheng sample"
    (width, _), _ = cv2.getTextSize(note, cv2.FONT_HERSHEY_SIMPLEX, 0.75 * size, round(2 * size))
    _text(
        frame, note, (frame.shape[1] - width - int(28 * size), frame.shape[0] - int(26 * size)), 0.75 * size
    )


def _text(frame: Picture, text: str, at: tuple[int, int], size: float) -> None:
    for colour, thick in (((20, 20, 20), 5), ((245, 245, 245), 2)):
        cv2.putText(
            frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, max(1, round(thick * size)), cv2.LINE_AA
        )


def _encode(frames: Iterator[Picture], view: View, encoding: Encoding, path: Path) -> None:
    """No B-frames and a keyframe each second, as cameras send."""
    group = f"keyint={FRAMES_PER_S}:min-keyint={FRAMES_PER_S}:scenecut=0:bframes=0"
    if encoding.codec == "hevc":
        coder = ["-c:v", "libx265", "-tag:v", "hvc1", "-preset", "slow"]
        coder += ["-x265-params", f"{group}:open-gop=0:pools=1:frame-threads=1:log-level=error"]
    else:
        coder = ["-c:v", "libx264", "-preset", "slower", "-x264-params", f"{group}:threads=1"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{view.width_px}x{view.height_px}"]
    command += ["-r", str(FRAMES_PER_S), "-i", "-", *coder, "-crf", str(encoding.quality)]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p"]
    command += [
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
        "-color_range",
        "tv",
    ]
    command += ["-fflags", "+bitexact", "-map_metadata", "-1", "-movflags", "+faststart", str(path)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        if encoder.stdin is not None:
            for frame in frames:
                encoder.stdin.write(frame.tobytes())
            encoder.stdin.close()
        if encoder.wait() != 0:
            raise RuntimeError(f"{path}: ffmpeg ended with {encoder.returncode}; its message is above")
