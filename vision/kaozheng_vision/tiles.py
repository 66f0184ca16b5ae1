"""A picture as a grid of tiles: structure, light, detail and colour of each, for comparing two pictures of one view."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kaozheng_vision.picture import Frame, Mask, Picture

Floats = npt.NDArray[np.float32]

# The side of a tile, small pixels: 16 x 9 of them; a seated person at 8 m through a 106 degree lens covers about one.
TILE_PX = 40
# Mean gradient (levels a small pixel) from which a tile has structure that can go missing: on real footage white walls
# have 0.5-2, wooden floor and furniture 4-30.
STRUCTURE = 3.0
# A blur that leaves desks and people, and takes what focus and bitrate change.
_COARSE_PX = 3.0
_FINE_PX = 1.5
# Scharr's kernel sums to 32 a step of one level.
_SCHARR = 1 / 32


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Each array is (rows, columns) of tiles, but ``coarse``.

    Attributes
    ----------
    structure : mean length of the luma's gradient, levels a small pixel
    detail : mean fine detail over structure: focus, whatever the light
    colours : (rows, columns, 3) mean blue, green and red
    scene : true for tiles of which at least half is scene
    coarse : (height, width) the blurred luma
    mean, variance : of ``coarse``
    """

    structure: Floats
    detail: Floats
    colours: Floats
    scene: Mask
    coarse: Floats
    mean: Floats
    variance: Floats


def tiles_of(picture: Picture) -> Tiles:
    """Cut a picture into tiles."""
    grey = picture.grey.astype(np.float32)
    smooth = cv2.GaussianBlur(picture.grey, (0, 0), 1.0)
    slopes = cv2.magnitude(
        cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=_SCHARR),
        cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=_SCHARR),
    )
    structure = tile_means(np.asarray(slopes, np.float32))
    fine = tile_means(np.asarray(cv2.absdiff(grey, cv2.GaussianBlur(grey, (0, 0), _FINE_PX)), np.float32))
    coarse = np.asarray(cv2.GaussianBlur(grey, (0, 0), _COARSE_PX), np.float32)
    mean = tile_means(coarse)
    return Tiles(
        structure,
        np.asarray(fine / np.maximum(structure, 0.1), np.float32),
        tile_means(picture.small),
        tile_means(picture.scene.astype(np.float32)) >= 0.5,
        coarse,
        mean,
        tile_means(coarse * coarse) - mean**2,
    )


def likeness(old: Tiles, new: Tiles) -> Floats:
    """Pearson's correlation of the coarse luma, tile by tile; 0 where one of both is flat."""
    covariance = tile_means(old.coarse * new.coarse) - old.mean * new.mean
    product = old.variance * new.variance
    return np.where(product > 1.0, covariance / np.sqrt(np.maximum(product, 1e-6)), 0.0).astype(np.float32)


def recoloured(old: Tiles, new: Tiles) -> Floats:
    """How far each tile's colour changed, whatever the light: (rows, columns, 2) of a and b in CIELAB units.

    Both are brought to the reference's luma first: a lamp that is switched changes how much colour there is, not which.
    """
    weights = np.array([0.114, 0.587, 0.299], np.float32)  # ITU-R BT.601, as OpenCV's luma
    luma = np.maximum(old.colours @ weights, 1.0)
    level = new.colours * (luma / np.maximum(new.colours @ weights, 1.0))[..., None]
    colours = [
        cv2.cvtColor(one / np.float32(255), cv2.COLOR_BGR2LAB)[..., 1:] for one in (old.colours, level)
    ]
    return np.asarray(colours[1] - colours[0], dtype=np.float32)


def tile_means(values: Floats | Frame) -> Floats:
    """Means over whole tiles: (height, width, ...) to (rows, columns, ...); what is left over is not counted."""
    rows, columns = values.shape[0] // TILE_PX, values.shape[1] // TILE_PX
    whole = np.ascontiguousarray(values[: rows * TILE_PX, : columns * TILE_PX], dtype=np.float32)
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)
