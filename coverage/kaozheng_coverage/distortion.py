"""How lens models bend a picture: the image radius of an angle, its inverse, and where a model folds back.

Everything is at focal length 1. Angles are radians from the axis.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial

from kaozheng_coverage.arrays import Array

Coefficients = tuple[float, ...]

# Bisection halves a bracket of at most pi so often that what is left is below a double's precision.
_HALVINGS = 56
_NEWTON_STEPS = 12
# A pixel whose direction images farther from it than this (focal lengths) has none: 1e-7 px for any real lens.
_RESIDUAL = 1e-11


class LensModel(StrEnum):
    """How the distance from the picture's middle grows with the angle from the axis."""

    PINHOLE = "pinhole"  # r = f tan(theta)
    F_THETA = "f-theta"  # r = f theta
    BROWN_CONRADY = "brown-conrady"  # pinhole, then radial (rational) and tangential distortion
    KANNALA_BRANDT = "kannala-brandt"  # r = f (theta + k1 theta^3 + k2 theta^5 + k3 theta^7 + k4 theta^9)


def radius_of(model: LensModel, coefficients: Coefficients, theta: Array) -> tuple[Array, Array]:
    """Image radius and its derivative by the angle, both (N,), for angles (N,) below :func:`fold_rad`.

    Of Brown-Conrady this is the radial part; the tangential part is smaller by orders.
    """
    theta = np.asarray(theta, dtype=np.float64)
    if model is LensModel.F_THETA:
        return theta, np.ones_like(theta)
    if model is LensModel.KANNALA_BRANDT:
        odd = _kannala_brandt(coefficients)
        return odd(theta), odd.deriv()(theta)
    across = np.tan(theta)
    if model is LensModel.PINHOLE:
        return across, 1.0 + across**2
    over, under = _rational(coefficients)
    squared = across**2
    ratio = over(squared) / under(squared)
    slope = ratio + 2 * squared * _ratio_slope(over, under, squared)
    return across * ratio, slope * (1.0 + squared)


def angle_of(model: LensModel, coefficients: Coefficients, radius: Array) -> Array:
    """The angle (N,) whose image radius this is; nan beyond the fold, where the model has none."""
    radius = np.asarray(radius, dtype=np.float64)
    if model is LensModel.F_THETA:
        return radius
    if model is LensModel.PINHOLE:
        return np.arctan(radius)
    fold = fold_rad(model, coefficients)
    low, high = np.zeros_like(radius), np.full_like(radius, fold)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        short = radius_of(model, coefficients, middle)[0] < radius
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    reached = low < fold * (1 - 1e-12)
    return np.where(reached, (low + high) / 2, np.nan)


@lru_cache(maxsize=256)
def fold_rad(model: LensModel, coefficients: Coefficients) -> float:
    """The angle from which the image radius no longer grows: farther rays would be imaged a second time.

    90 degrees for a pinhole and a Brown-Conrady lens that does not fold, 180 for a fisheye that does not.
    """
    if model is LensModel.KANNALA_BRANDT:
        k1, k2, k3, k4 = coefficients
        roots = _positive_roots(Polynomial([1.0, 3 * k1, 5 * k2, 7 * k3, 9 * k4]))
        return min([math.pi, *(math.sqrt(root) for root in roots)])
    if model is LensModel.BROWN_CONRADY:
        over, under = _rational(coefficients)
        squared = Polynomial([0.0, 1.0])
        grows = (over + 2 * squared * over.deriv()) * under - 2 * squared * over * under.deriv()
        roots = _positive_roots(grows) + _positive_roots(under)
        return min([math.pi / 2, *(math.atan(math.sqrt(root)) for root in roots)])
    return math.pi / 2 if model is LensModel.PINHOLE else math.pi


def brown_conrady(flat: Array, coefficients: Coefficients) -> tuple[Array, Array]:
    """Points (N, 2) on the plane z = 1 distorted, (N, 2), and the derivative, (N, 2, 2).

    Notes
    -----
    Brown (1971) with the rational radial term and the order of OpenCV's ``calibrateCamera``:
    k1, k2, p1, p2, k3, k4, k5, k6.
    """
    p1, p2 = coefficients[2], coefficients[3]
    over, under = _rational(coefficients)
    x, y = flat[:, 0], flat[:, 1]
    squared = x**2 + y**2
    ratio = over(squared) / under(squared)
    slope = 2 * _ratio_slope(over, under, squared)  # the derivative of the ratio by x is slope * x
    bent = np.stack(
        [
            x * ratio + 2 * p1 * x * y + p2 * (squared + 2 * x**2),
            y * ratio + p1 * (squared + 2 * y**2) + 2 * p2 * x * y,
        ],
        axis=1,
    )
    by = np.empty((len(flat), 2, 2))
    by[:, 0, 0] = ratio + x * x * slope + 2 * p1 * y + 6 * p2 * x
    by[:, 0, 1] = by[:, 1, 0] = x * y * slope + 2 * p1 * x + 2 * p2 * y
    by[:, 1, 1] = ratio + y * y * slope + 6 * p1 * y + 2 * p2 * x
    return bent, by


def undo_brown_conrady(bent: Array, coefficients: Coefficients) -> Array:
    """The points (N, 2) on the plane z = 1 that :func:`brown_conrady` takes to ``bent``; nan where there is none."""
    model = LensModel.BROWN_CONRADY
    reach = math.tan(min(fold_rad(model, coefficients), math.pi / 2 - 1e-9))
    radius = np.hypot(bent[:, 0], bent[:, 1])
    angle = angle_of(model, coefficients, radius)
    # Where tangential distortion carries a pixel just beyond the radial fold, begin just within it.
    across = np.tan(np.where(np.isnan(angle), min(fold_rad(model, coefficients), 1.5) * 0.99, angle))
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = bent * np.where(radius > 0, across / radius, 1.0)[:, None]
        for _ in range(_NEWTON_STEPS):
            there, by = brown_conrady(flat, coefficients)
            miss = there - bent
            determinant = by[:, 0, 0] * by[:, 1, 1] - by[:, 0, 1] * by[:, 1, 0]
            step = np.stack(
                [
                    by[:, 1, 1] * miss[:, 0] - by[:, 0, 1] * miss[:, 1],
                    by[:, 0, 0] * miss[:, 1] - by[:, 1, 0] * miss[:, 0],
                ],
                axis=1,
            )
            flat = flat - step / determinant[:, None]
        there, by = brown_conrady(flat, coefficients)
        determinant = by[:, 0, 0] * by[:, 1, 1] - by[:, 0, 1] * by[:, 1, 0]
        scale = np.maximum(1.0, radius)
        found = np.hypot(*(there - bent).T) <= _RESIDUAL * scale
        found &= (np.hypot(flat[:, 0], flat[:, 1]) < reach) & (determinant > 0)
    return np.where(found[:, None], flat, np.nan)


def _kannala_brandt(coefficients: Coefficients) -> Polynomial:
    k1, k2, k3, k4 = coefficients
    return Polynomial([0.0, 1.0, 0.0, k1, 0.0, k2, 0.0, k3, 0.0, k4])


def _rational(coefficients: Coefficients) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator of the radial term, in the squared radius."""
    k1, k2, _, _, k3, k4, k5, k6 = coefficients
    return Polynomial([1.0, k1, k2, k3]), Polynomial([1.0, k4, k5, k6])


def _ratio_slope(over: Polynomial, under: Polynomial, squared: Array) -> Array:
    below = under(squared)
    return np.asarray((over.deriv()(squared) * below - over(squared) * under.deriv()(squared)) / below**2)


def _positive_roots(polynomial: Polynomial) -> list[float]:
    # A coefficient so small moves no root within a lens, and spoils them all by rounding.
    trimmed = polynomial.trim(1e-14 * float(np.abs(polynomial.coef).max()))
    if trimmed.degree() < 1:
        return []
    roots = trimmed.roots()
    real = roots[np.abs(roots.imag) <= 1e-9 * np.maximum(1.0, np.abs(roots.real))].real
    return [float(root) for root in real if root > 1e-12]
