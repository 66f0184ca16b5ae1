"""How one camera sees one target: visible fraction, density, and what is in the way, worst case over statures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera, Point3
from kaozheng_coverage.profile import Part, Rule
from kaozheng_coverage.projection import pixel_density
from kaozheng_coverage.room import Seat, Zone
from kaozheng_coverage.shadows import Shade, Solids, cast
from kaozheng_coverage.targets import Patch, off_front_deg, seat_patches, zone_patch
from kaozheng_coverage.window import Bound, windows

Target = Seat | Zone

# Density is taken at the corners of what is visible and along its edges at least this often.
_SAMPLE_M = 0.15
_LEAST_AREA_M2 = 1e-8
# Its percentiles are taken over an even grid of so many points a side.
_GRID_SIDE = 6
_GRID = np.stack(np.meshgrid(*[(np.arange(_GRID_SIDE) + 0.5) / _GRID_SIDE] * 2), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Density:
    """Worst-direction pixels per metre over a visible part: minimum, 5th percentile and median by area; 0 unseen."""

    least: float
    p5: float
    median: float


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a camera sees of one part: fractions of its area 0-1, density in px/m, tolerances included.

    ``least`` and ``most`` are the visible fraction with aim and lens off by their tolerance against and in favour
    of the target; ``hidden_by`` each occluder's share; ``off_front_deg`` how far off the target's front the camera
    stands (None for what faces nowhere) and ``widest_deg`` how far it may where the rule does not say.
    """

    visible: float
    least: float
    most: float
    density: Density
    outside: float
    hidden_by: tuple[tuple[str, float], ...]
    off_front_deg: float | None
    widest_deg: float | None

    @property
    def px_per_m(self) -> float:
        """The least density over the visible part, which is what a rule is held against."""
        return self.density.least

    def wrong_side(self, rule: Rule) -> bool:
        """Whether the camera stands too far off the target's front for this rule."""
        limit = self.widest_deg if rule.facing_deg is None else rule.facing_deg
        return self.off_front_deg is not None and limit is not None and self.off_front_deg >= limit


class Vantage:
    """Everything seen from one point, whatever the camera there looks at.

    Shadows depend on the point alone, so a search over aims and lenses casts them once. Not safe for two threads.
    """

    def __init__(self, position_m: Point3, solids: Solids) -> None:
        self.position_m = position_m
        self._eye = np.asarray(position_m, dtype=np.float64)
        self._solids = solids
        self._shades: dict[tuple[str, str], dict[Part, tuple[tuple[Patch, Shade], ...]]] = {}

    def shades(self, target: Target) -> dict[Part, tuple[tuple[Patch, Shade], ...]]:
        """Each part of a target with its shade, one for every stature that matters."""
        key = target_key(target)
        if key not in self._shades:
            self._shades[key] = {
                part: tuple((patch, cast(self._eye, patch, self._solids)) for patch in patches)
                for part, patches in patches_of(target, self._eye).items()
            }
        return self._shades[key]

    def glimpses(self, camera: Camera, target: Target) -> dict[Part, Glimpse]:
        """What a camera at this point sees of each part of a target."""
        return {
            part: _worst([_glimpse(camera, self._eye, patch, shade) for patch, shade in shaded])
            for part, shaded in self.shades(target).items()
        }


def target_key(target: Target) -> tuple[str, str]:
    """What tells one target of a room from another."""
    return ("seat", target.number) if isinstance(target, Seat) else ("zone", target.id)


def patches_of(target: Target, eye: Array) -> dict[Part, tuple[Patch, ...]]:
    """The parts of a seat, or the single part of a zone, as seen from ``eye``."""
    if isinstance(target, Seat):
        return seat_patches(target, eye)
    return {Part.AREA: (zone_patch(target, eye),)}


def _glimpse(camera: Camera, eye: Array, patch: Patch, shade: Shade) -> Glimpse:
    total = patch.outline.area
    framed = windows(camera, patch)
    shown: dict[Bound, shapely.Geometry] = {}
    for bound, window in framed.items():
        shown[bound] = shade.unhidden if window is None else shapely.intersection(shade.unhidden, window)
    stated = framed[Bound.STATED]
    outside = 0.0
    if stated is not None:
        outside = 1.0 - float(shapely.area(shapely.intersection(patch.outline, stated))) / total
    fractions = {bound: min(1.0, float(shapely.area(piece)) / total) for bound, piece in shown.items()}
    # Tolerances only ever take away or add: rounding must not turn that round.
    visible = fractions[Bound.STATED]
    return Glimpse(
        visible=visible,
        least=min(visible, fractions[Bound.LEAST]),
        most=max(visible, fractions[Bound.MOST]),
        density=_density(camera, patch, shown[Bound.STATED]),
        outside=max(0.0, outside),
        hidden_by=shade.hidden_by,
        off_front_deg=off_front_deg(patch, eye),
        widest_deg=patch.widest_deg,
    )


def _density(camera: Camera, patch: Patch, shown: shapely.Geometry) -> Density:
    if float(shapely.area(shown)) <= _LEAST_AREA_M2:
        return Density(0.0, 0.0, 0.0)
    rim = shapely.get_coordinates(shapely.segmentize(shown, _SAMPLE_M))
    left, low, right, high = shapely.bounds(shown)
    grid = np.array([left, low]) + _GRID * np.array([right - left, high - low])
    inner = grid[shapely.contains_xy(shown, grid)]
    densities = pixel_density(camera, patch.to_room(np.concatenate([inner, rim])), patch.tangents)
    spread = densities[: len(inner)] if len(inner) else densities
    p5, median = np.percentile(spread, (5.0, 50.0))
    return Density(float(densities.min()), float(p5), float(median))


def _worst(glimpses: list[Glimpse]) -> Glimpse:
    """The worst of each number; what hides is taken from the stature of which least is visible."""
    least = min(glimpses, key=lambda glimpse: glimpse.visible)
    return Glimpse(
        visible=least.visible,
        least=min(glimpse.least for glimpse in glimpses),
        most=min(glimpse.most for glimpse in glimpses),
        density=min((glimpse.density for glimpse in glimpses), key=lambda density: density.least),
        outside=least.outside,
        hidden_by=least.hidden_by,
        off_front_deg=least.off_front_deg,
        widest_deg=least.widest_deg,
    )
