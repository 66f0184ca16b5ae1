"""The numbers that a picture is judged by, alone and against the accepted view; ``diagnose`` has the thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.lens import Lens

from kaozheng_vision.drift import Drift, estimate_drift
from kaozheng_vision.picture import Mask, Picture
from kaozheng_vision.reference import Light, Reference, light_of
from kaozheng_vision.tiles import STRUCTURE, Tiles, likeness, recoloured, tile_means, tiles_of

# Correlation with the reference from which a coarse tile is the same thing, and below which it is another: untouched
# static tiles of real footage have 0.9 and more, other contents -0.5 to 0.4.
_SAME, _OTHER = 0.8, 0.4
# A covered tile has less than this share of the structure it had.
_SMOOTH = 0.35
# A flat tile beside covered ones is covered too where its colour changed by so much (CIELAB), or its luma by so much
# (share of the reference's): switched lamps change luma to a half.
_OTHER_COLOUR = 12.0
_OTHER_LUMA = (0.6, 1.4)
# A cover hides structure in two tiles at least: one may be a coat.
_FEWEST_GONE = 2
_MOST_GONE = 0.5
# A channel's gain is told by tiles in which it is not noise, nor clipped once it grew by half; where they are too few,
# by brighter ones too.
_DARK, _BRIGHT = 10.0, (170.0, 240.0)
# Tiles of so equal a colour (logarithm of a ratio) show no slope. Saturation from half to double.
_NARROW, _SLOPES, _FITS = 0.1, (0.5, 2.0), 6
# Fewer tiles than this decide nothing: a tenth of the picture.
FEWEST_TILES = 12
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A picture against the accepted view. A number is None where too little is left to tell it by.

    Attributes
    ----------
    covered : share 0-1 of the picture that is now smooth and shows something else
    sharpness : fine detail against the reference's, ratio, where the same is seen
    cast : by what share one of blue, green and red became stronger against another, where the same is seen
    same : share 0-1 of the reference's tiles with structure that show the same
    alike : structure of the whole picture against the reference's, ratio at the same light: a picture of something
        else has some
    drift : how far the camera turned; None where too little of the view is found again
    """

    covered: float | None
    sharpness: float | None
    cast: float | None
    same: float
    alike: float
    drift: Drift | None


@dataclass(frozen=True, slots=True)
class Measures:
    """One picture. Luma is 0-255.

    Attributes
    ----------
    p98, mean, deviation : of the luma
    bright : share of pixels at 250 and above
    edges : variance of the Laplacian over the variance of the luma
    noise : standard deviation of the noise, levels, at the small size
    against : None where it was not compared
    """

    p98: float
    mean: float
    deviation: float
    bright: float
    edges: float
    noise: float
    light: Light
    against: Comparison | None


def measure(picture: Picture, reference: Reference | None = None, lens: Lens | None = None) -> Measures:
    """Measure one picture; against ``reference`` if given, which must be of its light and shape."""
    histogram = np.bincount(picture.grey[picture.scene], minlength=256)
    levels, count = np.arange(256), max(int(histogram.sum()), 1)
    mean = float(histogram @ levels) / count
    variance = float(histogram @ (levels - mean) ** 2) / count
    edges = cv2.Laplacian(picture.grey, cv2.CV_32F)
    _, spread = cv2.meanStdDev(edges, mask=picture.scene.astype(np.uint8))
    tiles = tiles_of(picture)
    return Measures(
        p98=float(np.searchsorted(np.cumsum(histogram), 0.98 * count)),
        mean=mean,
        deviation=variance**0.5,
        bright=float(histogram[250:].sum()) / count,
        edges=float(spread[0, 0]) ** 2 / max(variance, 1e-9),
        noise=_noise(picture, tiles),
        light=light_of(picture),
        against=None if reference is None else _compare(picture, tiles, reference, lens),
    )


def _noise(picture: Picture, tiles: Tiles) -> float:
    """From the smoothest quarter of the tiles, where there is nothing else.

    Notes
    -----
    Immerkaer's mask (1996): sigma = sqrt(pi/2) / 6 times the mean of |mask * luma|.
    """
    answer = tile_means(np.abs(cv2.filter2D(picture.grey, cv2.CV_32F, _IMMERKAER)))[tiles.scene]
    return float(np.percentile(answer, 25) * (np.pi / 2) ** 0.5 / 6) if answer.size else 0.0


def _compare(picture: Picture, new: Tiles, reference: Reference, lens: Lens | None) -> Comparison:
    old = reference.tiles
    scene = old.scene & new.scene
    told = scene & (old.structure >= STRUCTURE)
    known = int(told.sum())
    like = likeness(old, new)
    same = told & (like >= _SAME)
    # Between day and infra-red every colour differs and says nothing.
    alike_lit = light_of(picture) is reference.light
    gains = _gains(old.colours[same], new.colours[same]) if alike_lit else None
    # Other colours everywhere must not look like a cover of what is flat, nor hide one.
    even = new if gains is None else replace(new, colours=(new.colours / np.exp(gains)).astype(np.float32))
    shift = recoloured(old, even) if alike_lit else np.zeros((*like.shape, 2), np.float32)
    light = float(new.mean[scene].mean() / max(float(old.mean[scene].mean()), 1.0)) if scene.any() else 1.0
    return Comparison(
        covered=_covered(old, new, told, same, told & (like < _OTHER), scene, shift)
        if known >= FEWEST_TILES
        else None,
        sharpness=_median(new.detail[same] / np.maximum(old.detail[same], 1e-6)),
        cast=None if gains is None else float(np.expm1(np.ptp(gains))),
        same=int(same.sum()) / known if known else 0.0,
        alike=_ratio(new.structure[scene], old.structure[scene]) / max(light, 0.05),
        drift=estimate_drift(reference, picture, lens),
    )


def _covered(
    old: Tiles, new: Tiles, told: Mask, same: Mask, other: Mask, scene: Mask, shift: npt.NDArray[np.float32]
) -> float:
    """The share of the scene in patches that are smooth now, in which more structure went missing than stays around
    them: a person before a wall that was dimmed leaves the wall's edges.
    """
    smooth = scene & (new.structure < STRUCTURE)
    gone = other & smooth & (new.structure < _SMOOTH * old.structure)
    luma = new.mean / np.maximum(old.mean, 1.0)
    changed = (
        (np.linalg.norm(shift, axis=2) > _OTHER_COLOUR) | (luma < _OTHER_LUMA[0]) | (luma > _OTHER_LUMA[1])
    )
    patches, labels = cv2.connectedComponents((gone | (smooth & changed)).astype(np.uint8), connectivity=8)
    covered = 0
    for patch in range(1, patches):
        inside = labels == patch
        around = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        missing = int(gone[inside].sum())
        if missing >= _FEWEST_GONE and missing > int((same & around).sum()):
            covered += int(inside.sum())
    share = covered / max(int(scene.sum()), 1)
    # Where most of all structure went, what is flat between it is covered as well.
    lost = int(gone.sum()) / max(int(told.sum()), 1)
    return max(share, lost) if lost >= _MOST_GONE else share


def _median(values: npt.NDArray[np.floating]) -> float | None:
    return float(np.median(values)) if len(values) >= FEWEST_TILES else None


def _ratio(new: npt.NDArray[np.float32], old: npt.NDArray[np.float32]) -> float:
    return float(new.mean() / max(float(old.mean()), 1e-6)) if new.size else 0.0


def _gains(old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    """(3,) how much stronger blue, green and red became, as logarithms, of (tiles, 3) mean colours; None if untold.

    Notes
    -----
    A white balance multiplies each channel, whatever the colour; contrast, saturation, haze and gamma leave grey grey.
    So each tile's ratio of two channels is held against what it was, and what counts is where that line is at grey: a
    robust straight line (Cauchy weights) over tiles that were not bright, as a channel that grew is clipped in those.
    """
    for bright in _BRIGHT:
        told = ((old > _DARK) & (old < bright)).all(axis=1)
        if np.count_nonzero(told) >= FEWEST_TILES:
            break
    else:
        return None
    before, after = np.log(old[told].astype(np.float64)), np.log(np.maximum(new[told], 1.0))
    blue, red = (_at_grey(before[:, one] - before[:, 1], after[:, one] - after[:, 1]) for one in (0, 2))
    return np.array([blue, 0.0, red])


def _at_grey(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    """Where the line of ``after`` over ``before`` is at zero."""
    if float(np.ptp(before)) < _NARROW:
        return float(np.median(after - before))
    slope, weights = 1.0, np.ones(len(before))
    for _ in range(_FITS):
        root = np.sqrt(weights)
        found = np.linalg.lstsq(np.stack([root, root * before], axis=1), root * after, rcond=None)[0]
        slope = float(found[1])
        off = np.abs(after - found[0] - slope * before)
        weights = 1 / (1 + (off / (2 * max(1.48 * float(np.median(off)), 0.01))) ** 2)
    return float(np.median(after - min(max(slope, _SLOPES[0]), _SLOPES[1]) * before))
