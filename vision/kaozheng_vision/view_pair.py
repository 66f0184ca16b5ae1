"""Today's view beside the accepted one: two pictures that a slider can lie over each other, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from kaozheng_coverage.lens import Lens

from kaozheng_vision.errors import VisionError
from kaozheng_vision.overlay import Frame

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# 178 mm of paper at 170 dots an inch, as the other pictures of an inspection.
WIDTH_PX = 1200
# A difference is of what is a few pixels large: noise and the edges that compression moves are smoothed away.
_SMOOTH_PX = 2.0
# Grey levels at which the heat is hottest: a person before a wall differs by 50 and more, noise by 2 to 4 smoothed.
HOTTEST = 60.0
# Below this nothing is coloured. On untouched footage of one scene 99% of pixels differ by less than 3 grey levels.
COLDEST = 8.0
# Added before a ratio of luma is taken: black is noise.
_DARK_LEVELS = 8.0
_LEGEND_SHARE = 0.035


@dataclass(frozen=True, slots=True, eq=False)
class ViewPair:
    """``today`` and ``reference`` show the same crop at the same size (BGR), ``heat`` where they differ.

    ``crop`` is left, top, right, bottom in pixels of the reference; ``changed`` the share of the crop that is hot.
    """

    today: Frame
    reference: Frame
    heat: Frame
    crop: tuple[int, int, int, int]
    changed: float


def view_pair(
    today: Frame,
    reference: Frame,
    *,
    lens: Lens | None = None,
    rotation: Array | None = None,
    width_px: int = WIDTH_PX,
) -> ViewPair:
    """Two pictures of one camera made to lie over each other.

    Parameters
    ----------
    today, reference : (height, width, 3) BGR; today's is brought to the reference's size
    lens : of the camera, for ``rotation``
    rotation : (3, 3), how the view turned since the reference, as :class:`kaozheng_vision.drift.Drift` gives it: then
        today's picture is turned back, and both are cut to what both show. Without it both stay as they are, and a
        turned camera shows as a difference everywhere.
    width_px : of the pictures that are returned

    Raises
    ------
    VisionError : an empty picture, pictures of different shape, a rotation without a lens, or nothing that both show
    """
    if min(today.shape[:2]) == 0 or min(reference.shape[:2]) == 0:
        raise VisionError("an empty picture cannot be compared: look at the camera's stream")
    height, width = reference.shape[:2]
    if abs(today.shape[1] / today.shape[0] / (width / height) - 1) > 0.01:
        raise VisionError(
            f"pictures of {today.shape[1]}x{today.shape[0]} and {width}x{height} pixels are not of one shape: "
            "the camera's resolution was changed; accept a new view"
        )
    if today.shape[:2] != (height, width):
        today = np.asarray(cv2.resize(today, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    shown: Mask = np.ones((height, width), np.bool_)
    if rotation is not None:
        if lens is None:
            raise VisionError("a turn can be taken back only through the camera's lens: give it")
        today, shown = _turned_back(today, lens, np.asarray(rotation, np.float64))
    left, top, right, bottom = _crop(shown)
    size = (width_px, max(1, round(width_px * (bottom - top) / (right - left))))
    now, then = (
        np.asarray(cv2.resize(one[top:bottom, left:right], size, interpolation=cv2.INTER_AREA), np.uint8)
        for one in (today, reference)
    )
    heat, changed = _heat(now, then)
    return ViewPair(now, then, heat, (left, top, right, bottom), changed)


def _turned_back(today: Frame, lens: Lens, rotation: Array) -> tuple[Frame, Mask]:
    """Today's picture as it would be had the camera not turned, and which of its pixels it shows."""
    height, width = today.shape[:2]
    scale = np.array([lens.width_px / width, lens.height_px / height])
    # The bent grid is smooth: it is computed at every 8th pixel and filled in between.
    columns, rows = np.arange(0, width + 8, 8) + 0.5, np.arange(0, height + 8, 8) + 0.5
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    rays = lens.unproject(grid.reshape(-1, 2) * scale)
    there = (lens.project(rays @ rotation.T) / scale - 0.5).reshape(grid.shape)
    coarse = np.where(np.isfinite(there), there, -1e6).astype(np.float32)
    x, y = (
        np.meshgrid(np.arange(width) / 8, np.arange(height) / 8)[axis].astype(np.float32) for axis in (0, 1)
    )
    across, down = (
        cv2.remap(np.ascontiguousarray(coarse[..., axis]), x, y, cv2.INTER_LINEAR) for axis in (0, 1)
    )
    turned = cv2.remap(today, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    shown = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
    return np.asarray(turned, np.uint8), np.asarray(shown)


def _crop(shown: Mask) -> tuple[int, int, int, int]:
    """A rectangle wholly shown: the side that shows least is moved in until none lacks anything."""
    left, top, right, bottom = 0, 0, shown.shape[1], shown.shape[0]
    while right - left > 1 and bottom - top > 1:
        part = shown[top:bottom, left:right]
        lacks = {
            "left": 1 - part[:, 0].mean(),
            "right": 1 - part[:, -1].mean(),
            "top": 1 - part[0].mean(),
            "bottom": 1 - part[-1].mean(),
        }
        worst = max(lacks, key=lambda side: float(lacks[side]))
        if lacks[worst] == 0:
            if part.all():
                return left, top, right, bottom
            worst = "left"  # a hole inside, as beyond an image circle: given up from one side
        left, right = left + (worst == "left"), right - (worst == "right")
        top, bottom = top + (worst == "top"), bottom - (worst == "bottom")
    raise VisionError(
        "the two pictures show nothing in common: the camera was turned away; accept a new view"
    )


def _heat(today: Frame, reference: Frame) -> tuple[Frame, float]:
    """The reference in grey with what differs coloured, and the share that is at least half hot."""
    now, then = (
        cv2.GaussianBlur(np.asarray(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY), np.float32), (0, 0), _SMOOTH_PX)
        for one in (today, reference)
    )
    # Lamps and exposure brighten the whole picture by one factor: the commonest one, so that a cover over most of the
    # lens does not pass for a change of light.
    off = np.abs(now / _gain(now, then) - then)
    share = np.clip((off - COLDEST) / (HOTTEST - COLDEST), 0, 1)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO).astype(np.float32)
    sharp = np.asarray(cv2.cvtColor(reference, cv2.COLOR_BGR2GRAY), np.float32)
    grey = 0.6 * np.repeat(sharp[..., None], 3, axis=2) + 20
    # Cold is see-through, so that one sees what of the room it is.
    cover = np.clip(share * 4, 0, 1)[..., None]
    heat = np.clip(np.rint(grey * (1 - cover) + colours * cover), 0, 255).astype(np.uint8)
    _draw_scale(heat)
    return heat, float((share > 0.5).mean())


def _gain(now: npt.NDArray[Any], then: npt.NDArray[Any]) -> float:
    """The factor of light that most pixels agree on, to a fiftieth."""
    ratios = np.log((now + _DARK_LEVELS) / (then + _DARK_LEVELS))
    counts, edges = np.histogram(ratios, bins=151, range=(-1.51, 1.51))
    peak = int(np.argmax(np.convolve(counts, np.ones(3), mode="same")))
    return float(np.exp((edges[peak] + edges[peak + 1]) / 2))


def _draw_scale(heat: Frame) -> None:
    """What the colours mean, in grey levels, at the upper right."""
    height, width = heat.shape[:2]
    long, tall = round(0.2 * width), max(6, round(_LEGEND_SHARE * height))
    left, top = width - long - tall, tall
    size = tall / 34
    texts = (f"{COLDEST:g}", f"{HOTTEST:g} grey levels")
    sizes = [cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0] for text in texts]
    bottom, pad = top + tall + sizes[1][1] + tall // 2, tall // 3
    cv2.rectangle(heat, (left - pad, top - pad), (left + long + pad, bottom + pad), (25, 25, 25), -1)
    ramp = np.linspace(0, 255, long).astype(np.uint8)[None].repeat(tall, axis=0)
    heat[top : top + tall, left : left + long] = cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)
    for text, x in zip(texts, (left, left + long - sizes[1][0]), strict=True):
        cv2.putText(heat, text, (x, bottom), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
