"""How one camera sees one target: visible fraction, density, and what is in the way, worst case over statures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera, Point3
from kaozheng_coverage.profile import Part, Rule
from kaozheng_coverage.projection import pixel_density, project
from kaozheng_coverage.rays import Hits, RayScene
from kaozheng_coverage.room import Seat, Zone
from kaozheng_coverage.shadows import Shade, Solids, cast_all
from kaozheng_coverage.targets import Patch, off_front_deg, seat_patches, to_room, zone_patch
from kaozheng_coverage.volumes import SAMPLING_ERROR, Volume, is_flat, zone_volume
from kaozheng_coverage.window import Bound, border_px, windows_all

Target = Seat | Zone

SEAT_PARTS = (Part.HEAD, Part.TORSO, Part.HANDS, Part.DESK)

# Density is taken at the corners of what is visible and along its edges at least this often.
_SAMPLE_M = 0.15
_LEAST_AREA_M2 = 1e-8
# Pairs of a patch and a solid that are looked at together: some tens of megabytes.
_MOST_PAIRS = 200_000
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


class SurfaceView(NamedTuple):
    """A flat piece of a target and how much of it is unhidden, exactly."""

    patch: Patch
    shade: Shade

    def share(self) -> float:
        """The unhidden fraction of its area, whatever a picture holds of it."""
        return float(self.shade.unhidden.area / self.patch.outline.area)

    def samples(self, eye: Array) -> tuple[Array, Array]:
        """Points (N, 3) in what is unhidden, at least one, and the two directions (2, 3) of the surface there."""
        return self.patch.to_room(_spread(self.shade.unhidden)), self.patch.tangents


class VolumeView(NamedTuple):
    """A zone's volume and which of its points are unhidden."""

    volume: Volume
    hits: Hits

    def share(self) -> float:
        """The unhidden fraction of its points."""
        return float(self.hits.unhidden.mean())

    def samples(self, eye: Array) -> tuple[Array, Array]:
        """Its unhidden points (N, 3), or its middle, and the directions (2, 3) of the surface looked at."""
        points = self.volume.points[self.hits.unhidden]
        points = points if len(points) else self.volume.points.mean(axis=0)[None]
        return points, self.volume.tangents(eye)

    def glimpse(self, camera: Camera, eye: Array) -> Glimpse:
        """What a camera at the eye sees of it. The tolerances include what so many points leave open."""
        pixels = project(camera, self.volume.points)
        unhidden = self.hits.unhidden
        inside = camera.lens.inside(pixels)
        least, most = _framed(camera, pixels, Bound.LEAST), _framed(camera, pixels, Bound.MOST)
        shown = unhidden & inside
        visible = float(shown.mean())
        densities = pixel_density(camera, self.volume.points[shown], self.volume.tangents(eye))
        return Glimpse(
            visible=visible,
            least=min(visible, max(0.0, _open(float((shown & least).mean()), -SAMPLING_ERROR))),
            most=max(visible, min(1.0, _open(float((unhidden & (inside | most)).mean()), SAMPLING_ERROR))),
            density=_density_of(densities, densities),
            outside=1.0 - float(inside.mean()),
            hidden_by=self.hits.hidden_by,
            off_front_deg=self.volume.off_front_deg(eye),
            widest_deg=self.volume.widest_deg,
        )


View = SurfaceView | VolumeView


class Vantage:
    """Everything seen from one point, whatever the camera there looks at.

    What hides depends on the point alone, so a search over aims and lenses casts shadows and rays once. Flat pieces
    are judged by exact shadows, volumes by rays. Not safe for two threads.
    """

    def __init__(self, position_m: Point3, solids: Solids, scenes: Scenes | None = None) -> None:
        self.position_m = position_m
        self._eye = np.asarray(position_m, dtype=np.float64)
        self._solids = solids
        self._scenes = scenes or Scenes(solids)
        self._patches: dict[tuple[str, str], dict[Part, tuple[Patch, ...]]] = {}
        self._views: dict[tuple[tuple[str, str], Part], tuple[View, ...]] = {}

    def views(self, target: Target) -> dict[Part, tuple[View, ...]]:
        """Each part of a target as it is seen from here, one view for every sitter that matters."""
        parts = parts_of(target)
        self._see([(target, part) for part in parts])
        return {part: self._views[target_key(target), part] for part in parts}

    def glimpses(self, camera: Camera, target: Target) -> dict[Part, Glimpse]:
        """What a camera at this point sees of each part of a target."""
        parts = parts_of(target)
        return dict(zip(parts, self.look(camera, [(target, part) for part in parts]), strict=True))

    def glimpse(self, camera: Camera, target: Target, part: Part) -> Glimpse:
        """What a camera at this point sees of one part of a target."""
        return self.look(camera, [(target, part)])[0]

    def look(self, camera: Camera, wanted: Sequence[tuple[Target, Part]]) -> list[Glimpse]:
        """What a camera at this point sees of many parts of targets, at once: much faster than one by one."""
        self._see(wanted)
        views = [self._views[target_key(target), part] for target, part in wanted]
        flat = [view for several in views for view in several if isinstance(view, SurfaceView)]
        surfaces = iter(_surface_glimpses(camera, self._eye, flat))
        return [
            _worst(
                [
                    next(surfaces) if isinstance(view, SurfaceView) else view.glimpse(camera, self._eye)
                    for view in several
                ]
            )
            for several in views
        ]

    def _see(self, wanted: Sequence[tuple[Target, Part]]) -> None:
        """Cast the shadows and rays of all that is wanted and was not cast before."""
        pending: list[tuple[tuple[tuple[str, str], Part], tuple[Patch, ...]]] = []
        for target, part in wanted:
            key = target_key(target)
            if (key, part) in self._views:
                continue
            if isinstance(target, Zone) and not is_flat(target):
                volume = zone_volume(target)
                hits = self._scenes.without(volume.own).hits(self._eye, volume.points)
                self._views[key, part] = (VolumeView(volume, hits),)
                continue
            if key not in self._patches:
                self._patches[key] = patches_of(target, self._eye)
            pending.append(((key, part), self._patches[key][part]))
        # Together, but never so many that a room of thousands of solids fills the memory.
        most = max(16, _MOST_PAIRS // max(len(self._solids.ids), 1))
        patches = [patch for _, several in pending for patch in several]
        shades: list[Shade] = []
        for start in range(0, len(patches), most):
            shades += cast_all(self._eye, patches[start : start + most], self._solids)
        cast = iter(shades)
        for at, several in pending:
            self._views[at] = tuple(SurfaceView(patch, next(cast)) for patch in several)

    def samples(self, target: Target) -> dict[Part, list[tuple[float, Array, Array]]]:
        """For each part and stature the unhidden fraction, points in it and the directions of the surface there."""
        return {
            part: [(view.share(), *view.samples(self._eye)) for view in views]
            for part, views in self.views(target).items()
        }


class Scenes:
    """The ray scenes of one room: all solids, and all but a target's own. Built when first asked for."""

    def __init__(self, solids: Solids) -> None:
        self._solids = solids
        self._scenes: dict[frozenset[str], RayScene] = {}

    def without(self, names: frozenset[str]) -> RayScene:
        if names not in self._scenes:
            self._scenes[names] = RayScene(self._solids, names)
        return self._scenes[names]


def target_name(target: Target) -> str:
    """A target in a sentence: "seat 07", "zone door"."""
    kind, name = target_key(target)
    return f"{kind} {name}"


def target_key(target: Target) -> tuple[str, str]:
    """What tells one target of a room from another."""
    return ("seat", target.number) if isinstance(target, Seat) else ("zone", target.id)


def parts_of(target: Target) -> tuple[Part, ...]:
    """The parts a target is judged by."""
    return SEAT_PARTS if isinstance(target, Seat) else (Part.AREA,)


def patches_of(target: Target, eye: Array) -> dict[Part, tuple[Patch, ...]]:
    """The flat pieces of a seat, or of a zone that is a surface, as seen from ``eye``."""
    if isinstance(target, Seat):
        return seat_patches(target, eye)
    return {Part.AREA: (zone_patch(target),)}


def _framed(camera: Camera, pixels: Array, bound: Bound) -> np.ndarray:
    """Which pixels (N, 2) lie in the picture with aim and lens off by their tolerance."""
    if camera.aim_tolerance_deg == 0 and camera.lens.spread == 0:
        return np.asarray(camera.lens.inside(pixels))
    sign = float(bound.value)
    tolerance_rad = sign * math.radians(camera.aim_tolerance_deg)
    border = shapely.Polygon(border_px(camera.lens, tolerance_rad, sign * camera.lens.spread / 2))
    known = np.asarray(np.isfinite(pixels).all(axis=1))
    within = shapely.contains_xy(border, np.where(known[:, None], pixels, -1e9))
    return np.asarray(known & np.asarray(within))


def _open(fraction: float, error: float) -> float:
    """A sampled fraction moved by its error; none and all of the points leave nothing open."""
    return fraction if fraction in (0.0, 1.0) else fraction + error


def _spread(unhidden: shapely.Geometry) -> Array:
    """Points of an even grid inside what is unhidden, (N, 2); at least one."""
    if unhidden.is_empty:
        return np.zeros((1, 2))
    left, low, right, high = unhidden.bounds
    grid = np.array([left, low]) + _GRID * np.array([right - left, high - low])
    inner = grid[shapely.contains_xy(unhidden, grid)]
    if not len(inner):
        point = unhidden.representative_point()
        return np.array([[point.x, point.y]])
    return np.asarray(inner)


def _surface_glimpses(camera: Camera, eye: Array, views: Sequence[SurfaceView]) -> list[Glimpse]:
    """What a camera at the eye sees of each flat piece."""
    if not views:
        return []
    framed = windows_all(camera, [view.patch for view in views])
    unhidden = np.array([view.shade.unhidden for view in views], dtype=object)
    outlines = np.array([view.patch.outline for view in views], dtype=object)
    totals = shapely.area(outlines)
    fractions: dict[Bound, Array] = {}
    shown: dict[Bound, np.ndarray] = {}
    for bound in (Bound.STATED, Bound.LEAST, Bound.MOST):
        if bound is not Bound.STATED and all(one[bound] is one[Bound.STATED] for one in framed):
            fractions[bound] = fractions[Bound.STATED]
            continue
        shown[bound] = _framed_pieces(unhidden, [one[bound] for one in framed])
        fractions[bound] = np.minimum(1.0, shapely.area(shown[bound]) / totals)
    inside = shapely.area(_framed_pieces(outlines, [one[Bound.STATED] for one in framed])) / totals
    densities = _densities(camera, views, shown[Bound.STATED])
    # Tolerances only ever take away or add: rounding must not turn that round.
    return [
        Glimpse(
            visible=float(visible),
            least=float(min(visible, least)),
            most=float(max(visible, most)),
            density=density,
            outside=float(max(0.0, 1.0 - within)),
            hidden_by=view.shade.hidden_by,
            off_front_deg=angle,
            widest_deg=None,
        )
        for view, visible, least, most, density, within, angle in zip(
            views,
            fractions[Bound.STATED],
            fractions[Bound.LEAST],
            fractions[Bound.MOST],
            densities,
            inside,
            off_front_deg([view.patch for view in views], eye),
            strict=True,
        )
    ]


def _framed_pieces(pieces: np.ndarray, windows: Sequence[shapely.Geometry | None]) -> np.ndarray:
    """Each piece as far as its window shows it; None shows all."""
    cut = np.flatnonzero([window is not None for window in windows])
    framed = pieces.copy()
    framed[cut] = shapely.intersection(pieces[cut], [windows[int(index)] for index in cut])
    return framed


def _densities(camera: Camera, views: Sequence[SurfaceView], shown: np.ndarray) -> list[Density]:
    """The density of each view over what is shown of it: at its corners, along its edges and on an even grid."""
    found = [Density(0.0, 0.0, 0.0)] * len(views)
    seen = np.flatnonzero(shapely.area(shown) > _LEAST_AREA_M2)
    if not len(seen):
        return found
    pieces = shown[seen]
    rims, rim_of = shapely.get_coordinates(shapely.segmentize(pieces, _SAMPLE_M), return_index=True)
    bounds = shapely.bounds(pieces)
    grid = bounds[:, None, :2] + _GRID * (bounds[:, None, 2:] - bounds[:, None, :2])
    inner = shapely.contains_xy(pieces[:, None], grid[..., 0], grid[..., 1])
    inner_of = np.nonzero(inner)[0]
    points, owner = np.concatenate([grid[inner], rims]), np.concatenate([inner_of, rim_of])
    patches = [views[int(index)].patch for index in seen]
    tangents = np.array([patch.tangents for patch in patches])[owner]
    densities = pixel_density(camera, to_room(patches, owner, points), tangents)
    split = len(inner_of)
    ends = np.searchsorted(inner_of, np.arange(len(seen) + 1))
    rim_ends = split + np.searchsorted(rim_of, np.arange(len(seen) + 1))
    for at, index in enumerate(seen):
        evenly = densities[ends[at] : ends[at + 1]]
        rim = densities[rim_ends[at] : rim_ends[at + 1]]
        found[index] = _density_of(np.concatenate([evenly, rim]), evenly if len(evenly) else rim)
    return found


def _density_of(densities: Array, evenly: Array) -> Density:
    """Of all that was measured the least; the percentiles of what was measured evenly."""
    if not len(densities):
        return Density(0.0, 0.0, 0.0)
    ordered = np.sort(evenly)
    last = len(ordered) - 1
    p5, median = np.interp((0.05 * last, 0.5 * last), np.arange(len(ordered)), ordered)
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
