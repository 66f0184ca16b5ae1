"""The plan of a room as SVG: seats, zones and cameras, coloured and marked by verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.drawing import Box, Labels, Point, attributes, number
from kaozheng_coverage.person import TALL, seat_frame
from kaozheng_coverage.plan_cameras import camera_mark, camera_wedge
from kaozheng_coverage.plan_room import floor, head, obstacles, taken, title, walls
from kaozheng_coverage.plan_sheet import (
    CAMERA_INKS,
    FAINT,
    INK,
    LOOKS,
    MARGIN_MM,
    NORMAL_MM,
    SMALL_MM,
    Sheet,
    halo,
    leader,
    look_of,
    symbol,
)
from kaozheng_coverage.room import Room, Seat, ZoneKind
from kaozheng_coverage.verdict import Outcome, RoomVerdict

# Names as exam staff use them.
ZONE_NAMES = {
    ZoneKind.SEAL_OPENING: "启封区",
    ZoneKind.ANSWER_SEALING: "密封区",
    ZoneKind.INVIGILATOR: "监考位",
    ZoneKind.DOOR: "门口",
    ZoneKind.WAITING: "候考区",
    ZoneKind.SECURE_STORE: "保密室",
    ZoneKind.MARKING: "阅卷室",
}
OUTCOME_NAMES = {Outcome.PASS: "合格", Outcome.FAIL: "不合格", Outcome.UNDETERMINED: "未能判定"}


def plan_svg(room: Room, cameras: Sequence[Camera], verdict: RoomVerdict | None = None) -> str:
    """The room from above, the front wall at the top, as one SVG document for A4 paper and the web.

    Parameters
    ----------
    verdict : colours seats and zones and counts them in the legend; without it all are drawn alike

    Returns
    -------
    SVG text, 178 mm wide. The same input gives the same text. Verdict symbols are paths, not glyphs. Each seat is a
    group with the attribute ``data-seat``, each zone one with ``data-zone``, each camera one with ``data-camera``.

    Notes
    -----
    A camera's wedge is the horizontal angle of its picture's middle row, through its own lens and tilt, cut at the
    walls; what stands in the way is not cut out of it.
    """
    sheet = Sheet.of(room)
    labels = taken(sheet, room, cameras)
    outcomes = {} if verdict is None else {target.id: target.outcome for target in verdict.seats}
    zone_outcomes = {} if verdict is None else {target.id: target.outcome for target in verdict.zones}
    parts = [
        head(sheet, room),
        *floor(sheet, room),
        *(camera_wedge(sheet, room, camera, index) for index, camera in enumerate(cameras)),
        *obstacles(sheet, room),
        *_zone_areas(sheet, room, zone_outcomes),
        *(_seat(sheet, seat, outcomes.get(seat.number)) for seat in room.seats),
        *walls(sheet, room),
        *(camera_mark(sheet, camera, index, labels) for index, camera in enumerate(cameras)),
        *_zone_labels(sheet, room, zone_outcomes, labels),
        *_obstacle_labels(sheet, room, labels),
        *title(sheet, room),
        *_legend(sheet, room, cameras, verdict),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _obstacle_labels(sheet: Sheet, room: Room, labels: Labels) -> list[str]:
    parts = []
    for solid in room.obstacles:
        box = svg.box_around(sheet.all(solid.footprint))
        size = SMALL_MM - 0.2
        place = labels.place(solid.id, size, (box.x, box.y), start=min(box.width, box.height) / 2)
        parts.append(leader((box.x, box.y), place, FAINT, max(box.width, box.height) / 2 + 2.5))
        parts.append(halo(solid.id, place, size, FAINT))
    return parts


def _zone_areas(sheet: Sheet, room: Room, outcomes: dict[str, Outcome]) -> list[str]:
    parts = []
    for zone in room.zones:
        look = look_of(outcomes.get(zone.id))
        parts.append(
            svg.polygon(
                sheet.all(zone.polygon),
                fill=look.fill,
                fill_opacity="0.6",
                stroke=look.ink,
                stroke_width=0.5,
                stroke_dasharray="1.6 0.9",
            )
        )
    return parts


def _zone_labels(sheet: Sheet, room: Room, outcomes: dict[str, Outcome], labels: Labels) -> list[str]:
    parts = []
    for zone in room.zones:
        outcome = outcomes.get(zone.id)
        look = look_of(outcome)
        alike = sum(other.kind is zone.kind for other in room.zones) > 1
        name = f"{ZONE_NAMES[zone.kind]} {zone.id}" if alike else ZONE_NAMES[zone.kind]
        area = svg.box_around(sheet.all(zone.polygon))
        mark_mm = 3.4 if outcome is not None else 0.0
        place = _inside(area, name, mark_mm)
        if place is None:
            place = labels.place(
                name,
                NORMAL_MM,
                (area.x, area.y),
                start=min(area.width, area.height) / 2 + 0.4,
                extra=mark_mm,
            )
        else:
            labels.take(place)
        words = Box(place.x - mark_mm / 2, place.y, place.width, place.height)
        drawn = halo(name, words, NORMAL_MM, look.ink, weight="bold")
        if outcome is not None:
            drawn += symbol(outcome, (place.x + place.width / 2 - mark_mm / 2 - 0.3, place.y), 2.9)
        parts.append(f"<g{attributes(data_zone=zone.id, data_outcome=outcome or 'none')}>{drawn}</g>")
    return parts


def _inside(area: Box, name: str, mark_mm: float) -> Box | None:
    width = svg.text_width(name, NORMAL_MM) + mark_mm + 0.8
    fits = width <= area.width - 0.6 and area.height - 0.6 >= NORMAL_MM * 1.3
    return Box(area.x, area.y, width, NORMAL_MM * 1.3) if fits else None


def _seat(sheet: Sheet, seat: Seat, outcome: Outcome | None) -> str:
    """Desk, screen and sitter in the seat's own turn; number and symbol upright on the near half of the desk."""
    look = look_of(outcome)
    frame, desk, monitor = seat_frame(seat), seat.desk, seat.monitor

    def rectangle(half_m: float, near_m: float, far_m: float) -> list[Point]:
        corners = ((-half_m, near_m), (half_m, near_m), (half_m, far_m), (-half_m, far_m))
        return [sheet.at(frame.at(frame.near_edge, right_m, forward_m)) for right_m, forward_m in corners]

    turn = f"rotate({number(seat.bearing_deg)} {number(sheet.at(frame.body)[0])} {number(sheet.at(frame.body)[1])})"
    x, y = sheet.at(frame.body)
    half, deep = TALL.shoulder_breadth_m / 2 * sheet.scale, TALL.chest_depth_m / 2 * sheet.scale
    head = TALL.head_length_m / 2 * sheet.scale
    body = (
        f"<g{attributes(transform=turn)}>"
        f"<ellipse{attributes(cx=x, cy=y, rx=half, ry=deep, fill='#c3cad2')}/>"
        # The nose shows where the sitter looks.
        + svg.polygon(
            [(x - head * 0.6, y - head * 0.7), (x + head * 0.6, y - head * 0.7), (x, y - head * 1.9)],
            fill=FAINT,
        )
        + svg.circle((x, y), head, fill=FAINT)
        + "</g>"
    )
    top = svg.polygon(
        rectangle(desk.width_m / 2, 0.0, desk.depth_m),
        fill=look.fill,
        stroke=look.ink,
        stroke_width=look.line_mm,
        stroke_dasharray=look.dash,
        stroke_linejoin="round",
    )
    free_m, screen = desk.depth_m, ""
    if monitor is not None:
        middle_m = desk.depth_m - monitor.setback_m
        half_m = max(monitor.thickness_m / 2, 0.35 / sheet.scale)
        screen = svg.polygon(rectangle(monitor.width_m / 2, middle_m - half_m, middle_m + half_m), fill=INK)
        free_m = max(desk.depth_m / 2, middle_m - half_m)
    free, wide = free_m * sheet.scale, desk.width_m * sheet.scale
    size = min(3.6, free * 0.72, wide * 0.44 / max(0.56 * len(seat.number), 1e-9))
    aside = 0.0 if outcome is None else wide * 0.22 * _reading_side(seat)
    number_at = sheet.at(frame.at(frame.near_edge, -aside / sheet.scale, free_m / 2))
    words = svg.text(seat.number, number_at, size, font_weight="bold", fill=look.ink if outcome else INK)
    mark = ""
    if outcome is not None:
        mark = symbol(
            outcome, sheet.at(frame.at(frame.near_edge, aside / sheet.scale, free_m / 2)), size * 1.05
        )
    named = attributes(data_seat=seat.number, data_outcome=outcome or "none")
    return f"<g{named}>{body}{top}{screen}{words}{mark}</g>"


def _reading_side(seat: Seat) -> int:
    """Which way along the desk the symbol follows the number: to the right on paper, or else downwards."""
    bearing = math.radians(seat.bearing_deg)
    across, down = math.cos(bearing), math.sin(bearing)
    return 1 if (across > 1e-6 or (abs(across) <= 1e-6 and down > 0)) else -1


def _legend(sheet: Sheet, room: Room, cameras: Sequence[Camera], verdict: RoomVerdict | None) -> list[str]:
    """Under the plan: what colours and symbols mean, how many there are, and the scale."""
    y = sheet.bottom + 10.0
    x = MARGIN_MM
    parts: list[str] = []

    def entry(drawn: str, width: float, words: str) -> None:
        nonlocal x
        size = NORMAL_MM
        parts.append(drawn)
        parts.append(svg.text(words, (x + width + 1.0, y), size, text_anchor="start", font_weight="500"))
        x += width + 1.0 + svg.text_width(words, size) + 4.5

    if verdict is not None:
        for outcome in Outcome:
            seats = sum(target.outcome is outcome for target in verdict.seats)
            zones = sum(target.outcome is outcome for target in verdict.zones)
            counted = f"{OUTCOME_NAMES[outcome]} {seats}座" + (f" {zones}区" if room.zones else "")
            look = LOOKS[outcome]
            swatch = svg.polygon(
                [(x, y - 2.1), (x + 6.4, y - 2.1), (x + 6.4, y + 2.1), (x, y + 2.1)],
                fill=look.fill,
                stroke=look.ink,
                stroke_width=look.line_mm,
                stroke_dasharray=look.dash,
            )
            entry(swatch + symbol(outcome, (x + 3.2, y), 3.0), 6.4, counted)
    if cameras:
        ink = CAMERA_INKS[0]
        fan = [(x, y), (x + 6.4, y - 2.1), (x + 6.4, y + 2.1)]
        entry(
            svg.polygon(fan, fill=ink, fill_opacity="0.12", stroke=ink, stroke_width=0.25), 6.4, "摄像机视野"
        )
    if room.zones:
        dashed = [(x, y - 1.9), (x + 6.0, y - 1.9), (x + 6.0, y + 1.9), (x, y + 1.9)]
        area = svg.polygon(dashed, fill="none", stroke=FAINT, stroke_width=0.5, stroke_dasharray="1.6 0.9")
        entry(area, 6.0, "区域")
    if room.obstacles:
        solid = [(x, y - 1.9), (x + 5.0, y - 1.9), (x + 5.0, y + 1.9), (x, y + 1.9)]
        entry(svg.polygon(solid, fill="url(#hatch)", stroke=FAINT, stroke_width=0.35), 5.0, "遮挡物")
    return parts
