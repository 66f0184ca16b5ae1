"""Markers: recall and corners on real photos against AprilTag's, and on pictures whose true corners are known.

The real photos are those of the AprilTag project (NASA's Swarmathon, CC BY-SA 2.0); their text files list what the
reference detector finds. True corners are known only of drawn pictures: markers of every size and view angle, blurred,
noisy, and through H.264 as a camera sends it.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream
from kaozheng_vision.markers import Marker, find_markers

Array = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]
Lines = list[str]

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "media" / "apriltag"
SIDES_PX = (12, 14, 16, 18, 20, 24)
ANGLES_DEG = (0, 50, 60, 70)
# Constant rate factors of x264: what a camera sends at about 4 Mbit/s, and at 1.5.
QUALITIES = (26, 33)
_WIDTH, _HEIGHT = 1920, 1080
_CELL = 120
_FINE = 8
_DICTIONARY = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)


# A reference tag is found when a marker's middle is nearer than this; a drawn one when all is well but its corners.
_NEAR_PX = 4.0

Finder = Callable[[Grey], tuple[Marker, ...]]


def markers_report() -> Lines:
    """Recall and corner error, as lines of a report."""
    return [
        "## Markers of desk cards",
        *(
            _photo_lines()
            if PHOTOS.is_dir()
            else ["No real photos beside the project: not measured on them."]
        ),
        *_drawn_lines(),
        "",
    ]


def plain_opencv(grey: Grey) -> tuple[Marker, ...]:
    """What cv2.aruco finds with its default settings."""
    corners, ids, _ = cv2.aruco.ArucoDetector(_DICTIONARY).detectMarkers(grey)
    if ids is None:
        return ()
    return tuple(
        Marker(int(number), np.asarray(quad, np.float64).reshape(4, 2) + 0.5)
        for quad, number in zip(corners, ids.ravel(), strict=True)
    )


def _photo_lines() -> Lines:
    lines = [
        "Real photos (47 tags of 13 to 45 px, listed with corners by the AprilTag reference detector):",
        "",
        "| finder | found | median corner distance | 95% | wrong ids | time of three photos |",
        "|---|---|---|---|---|---|",
    ]
    finders: dict[str, Finder] = {"kaozheng": find_markers, "cv2.aruco default": plain_opencv}
    for name, finder in finders.items():
        listed = found = wrong = 0
        distances: list[Array] = []
        begun_s = time.perf_counter()
        for path in sorted(PHOTOS.glob("*.jpg")):
            tags = _listed(path.with_suffix(".txt"))
            grey = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
            listed += len(tags)
            hits: dict[int, Array] = {}
            for marker in finder(grey):
                wrong += marker.id != 0
                away = np.linalg.norm(tags.mean(axis=1) - marker.corners_px.mean(axis=0), axis=1)
                if away.min() < _NEAR_PX:
                    hits[int(away.argmin())] = _apart(marker.corners_px, tags[int(away.argmin())])
            found += len(hits)
            distances += hits.values()
        apart = np.concatenate(distances)
        lines.append(
            f"| {name} | {found} of {listed} | {np.median(apart):.2f} px | {np.percentile(apart, 95):.2f} px "
            f"| {wrong} | {time.perf_counter() - begun_s:.1f} s |"
        )
    return lines


def _listed(path: Path) -> Array:
    """(N, 4, 2) corners of the tags (all of id 0) as the reference detector found them, from the corner of a pixel."""
    rows = [
        re.findall(r"-?[\d.]+", line)
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    return np.array(rows, np.float64)[:, 1:].reshape(-1, 4, 2)


def _apart(seen: Array, tag: Array) -> Array:
    """(4,) px, whichever corner the reference began with and whichever way it went round."""
    ways = [np.roll(one, turn, axis=0) for one in (seen, seen[::-1]) for turn in range(4)]
    return min((np.linalg.norm(way - tag, axis=1) for way in ways), key=lambda one: float(one.sum()))


def _drawn_lines() -> Lines:
    lines = [
        "",
        "Drawn pictures of 1080p with 144 cards each, through H.264: share found at each smaller extent of the marker, "
        "and the median corner error there.",
        "",
        "| angle off its front | x264 crf | " + " | ".join(f"{side} px" for side in SIDES_PX) + " |",
        "|---|---|" + "---|" * len(SIDES_PX),
    ]
    wrong = 0
    for angle in ANGLES_DEG:
        for quality in QUALITIES:
            cells = []
            for side in SIDES_PX:
                true = drawn(side, angle, quality, seed=1)
                corners = {marker.id: marker.corners_px for marker in true.markers}
                errors = []
                for marker in find_markers(true.grey):
                    off = np.linalg.norm(marker.corners_px - corners.get(marker.id, np.inf), axis=1)
                    if off.mean() < _NEAR_PX:
                        errors.append(off)
                    else:
                        wrong += 1
                middle = f", {np.median(errors):.2f} px" if errors else ""
                cells.append(f"{len(errors) / len(true.markers):.0%}{middle}")
            lines.append(f"| {angle}° | {quality} | " + " | ".join(cells) + " |")
    return [*lines, "", f"Wrong ids among them all: {wrong}."]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture with markers whose corners are known: ``markers`` as they truly are."""

    grey: Grey
    markers: tuple[Marker, ...]


def drawn(side_px: float, angle_deg: float, quality: int, seed: int) -> Drawn:
    """A 1080p picture of 144 cards, each seen from ``angle_deg`` off its front, all ids different.

    ``side_px`` is the marker's smaller extent: of its height, shortened by the cosine of the angle.
    """
    random = np.random.default_rng(seed)
    picture = np.full((_HEIGHT, _WIDTH), 110.0)
    ids = random.permutation(587)
    markers = []
    for index in range((_WIDTH // _CELL) * (_HEIGHT // _CELL)):
        row, column = divmod(index, _WIDTH // _CELL)
        left, top = column * _CELL, row * _CELL
        patch, corners = _card(int(ids[index]), side_px, angle_deg, random)
        picture[top : top + _CELL, left : left + _CELL] = patch
        markers.append(Marker(int(ids[index]), corners + np.array([left, top])))
    # A lens of middling sharpness, and a sensor's noise.
    picture = cv2.GaussianBlur(picture, (0, 0), 0.6) + random.normal(0, 2.5, picture.shape)
    return Drawn(_through_h264(np.clip(picture, 0, 255).astype(np.uint8), quality), tuple(markers))


def _card(number: int, side_px: float, angle_deg: float, random: np.random.Generator) -> tuple[Array, Array]:
    """A cell with one card, and the true corners within it."""
    modules = cv2.aruco.generateImageMarker(_DICTIONARY, number, 8).astype(np.float64) / 255
    face = np.ones((10, 10))
    face[1:9, 1:9] = modules
    white, black = random.uniform(170, 235), random.uniform(20, 60)
    face = black + (white - black) * face
    height = side_px / np.cos(np.radians(angle_deg))
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    # Turned about the upright axis at a distance of 25 sides, a little rolled, anywhere between two pixels.
    turn, roll = np.radians(angle_deg) * random.choice([-1, 1]), np.radians(random.uniform(-12, 12))
    x, z = square[:, 0] * np.cos(turn), 1 + square[:, 0] * np.sin(turn) / 25
    flat = np.stack([x / z, square[:, 1] / z], axis=1) * height
    rotation = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    corners = flat @ rotation.T + _CELL / 2 + random.uniform(-1, 1, 2)
    source = np.array([(1, 1), (9, 1), (9, 9), (1, 9)], np.float32)
    onto = cv2.getPerspectiveTransform(source, (corners * _FINE).astype(np.float32))
    # From edges to the middles that OpenCV counts from, on both sides.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    onto = np.linalg.inv(half) @ onto @ half
    fine = cv2.warpPerspective(
        face, onto, (_CELL * _FINE, _CELL * _FINE), flags=cv2.INTER_NEAREST, borderValue=110.0
    )
    return np.asarray(cv2.resize(fine, (_CELL, _CELL), interpolation=cv2.INTER_AREA)), corners


def _through_h264(grey: Grey, quality: int) -> Grey:
    """The picture as the first keyframe of a stream."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = cast(VideoStream, container.add_stream("libx264", rate=Fraction(25)))
        stream.width, stream.height, stream.pix_fmt = grey.shape[1], grey.shape[0], "yuv420p"
        stream.options = {"crf": str(quality), "preset": "medium"}
        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), format="bgr24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="bgr24")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
