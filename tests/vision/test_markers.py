"""Markers in real photos against the reference detector, and in drawn pictures whose true corners are known."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from kaozheng_vision.markers import Marker, find_markers, marker_modules, repeated

Array = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

DICTIONARY = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
# A reference tag is found when a marker's middle is nearer than this; they are 18 to 45 px large.
NEAR_PX = 4.0


@dataclass(frozen=True)
class Photo:
    """``tags`` is (N, 4, 2) as the reference detector lists them, ``ids`` (N,)."""

    grey: Grey
    ids: npt.NDArray[np.int64]
    tags: Array

    def nearest(self, marker: Marker) -> tuple[int, float]:
        """The tag whose middle is nearest to a marker's, and how far it is: all tags here have one id."""
        away = np.linalg.norm(self.tags.mean(axis=1) - marker.corners_px.mean(axis=0), axis=1)
        return int(away.argmin()), float(away.min())


def photo(path: Path) -> Photo:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    rows = [[float(value) for value in re.findall(r"-?[\d.]+", line)] for line in lines if line.strip()]
    grey = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
    numbers = np.array(rows)
    # The reference counts from the corner of the first pixel, as we do.
    return Photo(grey, numbers[:, 0].astype(np.int64), numbers[:, 1:].reshape(-1, 4, 2))


def corner_distances(seen: Array, tag: Array) -> Array:
    """(4,) px, whichever corner the reference began with."""
    ways = [np.roll(one, turn, axis=0) for one in (seen, seen[::-1]) for turn in range(4)]
    return min((np.linalg.norm(way - tag, axis=1) for way in ways), key=lambda one: float(one.sum()))


def found_by(markers: list[Marker], shown: Photo) -> tuple[set[int], list[Array]]:
    """Which tags were found, and each one's corner distances."""
    hits: dict[int, Array] = {}
    for marker in markers:
        index, away_px = shown.nearest(marker)
        if away_px < NEAR_PX:
            hits[index] = corner_distances(marker.corners_px, shown.tags[index])
    return set(hits), list(hits.values())


def by_opencv(grey: Grey) -> list[Marker]:
    """What plain cv2.aruco finds with its default settings."""
    corners, ids, _ = cv2.aruco.ArucoDetector(DICTIONARY).detectMarkers(grey)
    if ids is None:
        return []
    return [
        Marker(int(number), np.asarray(quad, np.float64).reshape(4, 2) + 0.5)
        for quad, number in zip(corners, ids.ravel(), strict=True)
    ]


@pytest.mark.real_media
def test_in_real_photos_nearly_every_tag_is_found_at_the_references_corners_and_none_misread(real_media):
    photos = [photo(path) for path in sorted((real_media / "apriltag").glob("*.jpg"))]
    listed = sum(len(one.tags) for one in photos)
    assert listed == 47
    ours, plain = 0, 0
    ours_px: list[Array] = []
    plain_px: list[Array] = []
    for one in photos:
        markers = list(find_markers(one.grey))
        assert {marker.id for marker in markers} <= set(one.ids.tolist()), "a wrong id"
        hits, distances = found_by(markers, one)
        ours, ours_px = ours + len(hits), ours_px + distances
        hits, distances = found_by(by_opencv(one.grey), one)
        plain, plain_px = plain + len(hits), plain_px + distances
    assert ours / listed >= 0.95
    assert np.median(np.concatenate(ours_px)) <= 0.5
    # Beside it what OpenCV does by itself, so that all this is worth its code.
    assert ours >= plain + 5
    assert np.median(np.concatenate(plain_px)) > 2 * np.median(np.concatenate(ours_px))


def drawn(
    number: int, corners: Array, seed: int, size: tuple[int, int] = (200, 160), noise: float = 3.0
) -> Grey:
    """A card whose marker's corners are there, blurred a little, noisy, and through JPEG."""
    random = np.random.default_rng(seed)
    fine, module, margin = 8, 40, 2
    tag = cv2.aruco.generateImageMarker(DICTIONARY, number, 8 * module)
    card = np.full(((8 + 2 * margin) * module,) * 2, 235, np.uint8)
    first, last = margin * module, (margin + 8) * module
    card[first:last, first:last] = np.where(tag > 0, 235, 25)
    source = np.array([(first, first), (last, first), (last, last), (first, last)], np.float32)
    onto = cv2.getPerspectiveTransform(source, (corners * fine).astype(np.float32))
    # From edges to the middles of pixels, from which OpenCV counts.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    large = cv2.warpPerspective(
        card, np.linalg.inv(half) @ onto @ half, (size[0] * fine, size[1] * fine), borderValue=150
    )
    small = cv2.resize(large, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    small = cv2.GaussianBlur(small, (0, 0), 0.6) + random.normal(0, noise, small.shape)
    data = cv2.imencode(".jpg", np.clip(small, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def quad(side_px: float, seed: int, slant_deg: float = 0.0, middle: tuple[float, float] = (100, 80)) -> Array:
    """Corners as one reads the marker, between two pixels, rolled a little, turned about its upright axis."""
    random = np.random.default_rng((seed, 1))
    square = np.array([(-1.0, -1.0), (1, -1), (1, 1), (-1, 1)]) * side_px / 2
    angle = np.radians(slant_deg)
    nearer = 1 + square[:, :1] * np.sin(angle) / (25 * side_px)
    square = square * (np.cos(angle), 1.0) / nearer
    roll = random.uniform(-0.3, 0.3)
    rotation = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return np.asarray(square @ rotation.T + middle + random.uniform(-1, 1, 2))


@pytest.mark.parametrize(("side_px", "slant_deg"), [(18, 0), (20, 40), (40, 55), (60, 0)])
def test_corners_of_drawn_markers_are_measured_without_bias(side_px, slant_deg):
    errors, outward = [], []
    for seed in range(24):
        true = quad(side_px, seed, slant_deg)
        number = int(np.random.default_rng(seed).integers(587))
        markers = find_markers(drawn(number, true, seed))
        assert [marker.id for marker in markers] == [number]
        off = markers[0].corners_px - true
        errors.append(np.linalg.norm(off, axis=1))
        from_middle = true - true.mean(axis=0)
        outward.append((off * from_middle / np.linalg.norm(from_middle, axis=1, keepdims=True)).sum(axis=1))
    assert np.median(np.concatenate(errors)) < 0.25
    # Larger or smaller than it is, a marker would seem nearer or farther: of 24 the mean is to be right to 0.06 px.
    assert abs(np.mean(outward)) < 0.06


def test_the_first_corner_is_the_one_top_left_as_the_marker_is_read_however_it_is_turned():
    upright = np.array([(80.0, 60.0), (120, 60), (120, 100), (80, 100)])
    for turn in range(4):
        true = np.roll(upright, turn, axis=0)
        markers = find_markers(drawn(7, true, turn))
        assert [marker.id for marker in markers] == [7]
        assert markers[0].corners_px == pytest.approx(true, abs=0.5)


def test_two_cards_of_one_number_are_both_returned_and_named():
    picture = np.hstack([drawn(12, quad(40, 1), 1), drawn(12, quad(36, 2), 2), drawn(13, quad(36, 3), 3)])
    markers = find_markers(picture)
    assert [marker.id for marker in markers] == [12, 12, 13]
    assert sorted(marker.corners_px.mean(axis=0)[0] // 200 for marker in markers[:2]) == [0, 1]
    assert repeated(markers) == (12,)
    assert repeated(markers[1:]) == ()


def test_one_marker_is_returned_once_though_it_is_found_in_several_ways():
    assert len(find_markers(drawn(3, quad(80, 5), 5))) == 1


def test_a_mirrored_marker_is_none():
    """As in a window pane: an id read from it would be another seat's."""
    assert find_markers(np.ascontiguousarray(drawn(3, quad(60, 5), 5)[:, ::-1])) == ()


def test_noise_and_desks_hold_no_marker():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (400, 600), dtype=np.uint8)
    assert find_markers(noise) == ()
    assert find_markers(np.full((300, 400), 128, np.uint8)) == ()


@pytest.mark.real_media
def test_real_footage_of_desks_and_people_without_markers_holds_none(real_media):
    with av.open(real_media / "intel" / "one-by-one-person-detection.mp4") as container:
        for frame in itertools.islice(container.decode(video=0), 0, 401, 400):
            assert find_markers(np.asarray(frame.to_ndarray(format="gray"), np.uint8)) == ()


def test_the_modules_that_are_printed_are_those_that_are_read():
    for number in (0, 1, 300, 586):
        black = marker_modules(number)
        assert black[[0, -1]].all(), "a border of one module"
        assert black[:, [0, -1]].all()
        page = np.kron(np.pad(~black, 2, constant_values=True), np.ones((10, 10))) * 255
        assert [marker.id for marker in find_markers(page.astype(np.uint8))] == [number]
    for number in (-1, 587):
        with pytest.raises(IndexError):
            marker_modules(number)
