"""What a camera should show, as SVG: the room's edges, its solids, and the outline of every seat and zone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np
import shapely

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.drawing import Box, Labels, Point, attributes, number
from kaozheng_coverage.outline import seat_outline, zone_outline
from kaozheng_coverage.person import desk_id, invigilator_id, person_id
from kaozheng_coverage.plan_sheet import FAINT, INK, UNJUDGED, Look, look_of, opening, symbol
from kaozheng_coverage.profile import Part
from kaozheng_coverage.projection import project
from kaozheng_coverage.room import Room, Seat
from kaozheng_coverage.shadows import room_occluders
from kaozheng_coverage.verdict import RoomVerdict

WIDTH_MM = 178.0
# Edges are cut this fine before they are projected, so that a bent picture shows them bent.
_STEP_M = 0.1
_LABEL_MM = 3.0
# Four outlines a seat, thirty seats in a picture: thinner than on the plan.
_THIN = 0.6


def view_svg(room: Room, camera: Camera, verdict: RoomVerdict | None = None) -> str:
    """The predicted picture of one camera, 178 mm wide: solids drawn from far to near, seats and zones by verdict.

    With a verdict a seat's outlines say how this camera alone shows it, and the mark at its number the seat's verdict.
    The same input gives the same text.
    """
    scale = WIDTH_MM / camera.lens.width_px
    height = camera.lens.height_px * scale
    mine = _own_outcomes(verdict, camera)
    labels = Labels(Box(WIDTH_MM / 2, height / 2, WIDTH_MM - 2, height - 2))
    parts = [_opening(room, camera, height)]
    parts += [_line(piece, scale, stroke=FAINT, stroke_width=0.35) for piece in _edges(room, camera)]
    parts += [drawn for _, drawn in sorted(_bodies(room, camera, scale), key=lambda one: -one[0])]
    for zone in room.zones:
        outline = zone_outline(zone, camera)
        if len(outline):
            look = mine.get(("zone", zone.id, Part.AREA), UNJUDGED)
            parts.append(_outline(outline, scale, look, dash="1.6 0.9"))
    named = []
    for seat in room.seats:
        outlines = seat_outline(seat, camera)
        parts += [
            _outline(outline, scale, mine.get(("seat", seat.number, part), UNJUDGED))
            for part, outline in outlines.items()
        ]
        if outlines:
            named.append((seat, outlines))
    parts += [_name(seat, outlines, scale, labels, verdict, camera) for seat, outlines in named]
    parts += [_caption(room, camera, height), "</g></svg>"]
    return "\n".join(part for part in parts if part) + "\n"


def _opening(room: Room, camera: Camera, height: float) -> str:
    frame = attributes(width=WIDTH_MM, height=height)
    return (
        f"{opening(WIDTH_MM, height + 6)}\n<title>{escape(f'{room.name} {camera.id}')}</title>\n"
        f'<clipPath id="picture"><rect{frame}/></clipPath>\n'
        f"<rect{attributes(width=WIDTH_MM, height=height + 6, fill='#ffffff')}/>"
        f"<rect{frame}{attributes(fill='#fcfcfb', stroke=INK, stroke_width=0.4)}/>"
        '<g clip-path="url(#picture)">'
    )


def _caption(room: Room, camera: Camera, height: float) -> str:
    lens = camera.lens
    size = f"{lens.width_px}×{lens.height_px}，水平{lens.hfov_deg:.0f}°"
    words = f"{room.name} · {camera.id} · 预计画面（{size}）：轮廓为本机所见，标记为座位结论"
    return "</g><g>" + svg.text(words, (1.0, height + 3.2), _LABEL_MM, text_anchor="start", font_weight="500")


def _own_outcomes(verdict: RoomVerdict | None, camera: Camera) -> dict[tuple[str, str, Part], Look]:
    """How this camera alone shows each part of each target."""
    return {
        ("seat" if target.kind == "seat" else "zone", target.id, part.part): look_of(sight.outcome)
        for target in (verdict.targets if verdict is not None else ())
        for part in target.parts
        for sight in part.sights
        if sight.camera_id == camera.id
    }


def _edges(room: Room, camera: Camera) -> Iterator[Array]:
    """The room's floor, ceiling and corners, as pixel polylines."""
    ring = [*room.boundary, room.boundary[0]]
    for height_m in (0.0, room.height_m):
        yield from _drawn(camera, _walk([(x, y, height_m) for x, y in ring]))
    for x, y in room.boundary:
        yield from _drawn(camera, _walk([(x, y, 0.0), (x, y, room.height_m)]))


def _bodies(room: Room, camera: Camera, scale: float) -> Iterator[tuple[float, str]]:
    """(distance, drawing) of furniture, screens, people and pillars."""
    people = {person_id(seat) for seat in room.seats} | {invigilator_id(zone) for zone in room.zones}
    desks = {desk_id(seat) for seat in room.seats}
    for solid in room_occluders(room):
        if solid.id == "wall":
            continue
        rings = [
            _walk([(x, y, h) for x, y in (*solid.footprint, solid.footprint[0])])
            for h in (solid.bottom_m, solid.top_m)
        ]
        pixels = project(camera, np.concatenate(rings))
        if not np.isfinite(pixels).all():
            continue  # it reaches behind the camera or beyond the lens: its outline is not a hull of what is seen
        hull = shapely.convex_hull(shapely.MultiPoint(pixels))
        if not isinstance(hull, shapely.Polygon):
            continue
        fill = "#e8ebee" if solid.id in people else "#ffffff" if solid.id in desks else "#d5dae0"
        middle = (*np.mean(np.asarray(solid.footprint), axis=0), (solid.bottom_m + solid.top_m) / 2)
        ring = [(float(x) * scale, float(y) * scale) for x, y in hull.exterior.coords[:-1]]
        drawn = svg.polygon(ring, fill=fill, stroke="#9aa3ad", stroke_width=0.2)
        yield math.dist(camera.position_m, middle), drawn


def _outline(outline: Array, scale: float, look: Look, dash: str | None = None) -> str:
    ring = [(float(x) * scale, float(y) * scale) for x, y in outline]
    return svg.polygon(
        ring,
        fill="none",
        stroke=look.ink,
        stroke_width=look.line_mm * _THIN,
        stroke_dasharray=dash or look.dash,
    )


def _name(
    seat: Seat,
    outlines: dict[Part, Array],
    scale: float,
    labels: Labels,
    verdict: RoomVerdict | None,
    camera: Camera,
) -> str:
    part = next(part for part in (Part.HEAD, Part.TORSO, Part.DESK, Part.HANDS) if part in outlines)
    x, y = np.clip(outlines[part].mean(axis=0), 0.0, (camera.lens.width_px, camera.lens.height_px)) * scale
    box = labels.place(seat.number, _LABEL_MM, (float(x), float(y)), start=0.0, extra=3.0 if verdict else 0.0)
    words = svg.text(
        seat.number,
        (box.x - (1.6 if verdict else 0.0), box.y),
        _LABEL_MM,
        font_weight="bold",
        stroke="#ffffff",
        stroke_width=0.7,
        paint_order="stroke",
    )
    outcome = next((one.outcome for one in verdict.seats if one.id == seat.number), None) if verdict else None
    mark = symbol(outcome, (box.x + 2.0, box.y), 2.6) if outcome is not None else ""
    return f"<g{attributes(data_seat=seat.number)}>{words}{mark}</g>"


def _walk(corners: Sequence[tuple[float, float, float]]) -> Array:
    """Points along a polyline, every tenth of a metre."""
    points = [np.asarray(corners[0], dtype=np.float64)[None]]
    for start, end in pairwise(corners):
        steps = max(1, math.ceil(math.dist(start, end) / _STEP_M))
        share = np.arange(1, steps + 1)[:, None] / steps
        points.append(np.asarray(start) + share * (np.asarray(end) - np.asarray(start)))
    return np.concatenate(points)


def _drawn(camera: Camera, points: Array) -> Iterator[Array]:
    """The stretches of a polyline that have pixels near the picture."""
    pixels = project(camera, points)
    size = np.array([camera.lens.width_px, camera.lens.height_px])
    off = np.abs(np.where(np.isfinite(pixels), pixels, 1e9) - size / 2)
    near = np.asarray((off < 2 * size).all(axis=1))
    for run in np.split(np.arange(len(points)), np.flatnonzero(np.diff(near.astype(int))) + 1):
        if near[run[0]] and len(run) > 1:
            yield pixels[run]


def _line(pixels: Array, scale: float, **style: str | float) -> str:
    at: list[Point] = [(float(x) * scale, float(y) * scale) for x, y in pixels]
    return svg.path("M" + "L".join(f"{number(x)} {number(y)}" for x, y in at), fill="none", **style)
