"""What every plan of a room has in common: paper, walls, solids, name, scale, and the places that labels keep off."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from kaozheng_coverage import drawing as svg
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.drawing import Box, Labels, Point, attributes
from kaozheng_coverage.person import TALL, desk_corners, seat_frame
from kaozheng_coverage.plan_sheet import (
    FAINT,
    HEADER_MM,
    INK,
    MARGIN_MM,
    NORMAL_MM,
    SMALL_MM,
    WALL,
    Sheet,
    opening,
)
from kaozheng_coverage.room import Room


def head(sheet: Sheet, room: Room, what: str = "平面图") -> str:
    """The document's opening, its title and the hatch that solids are filled with."""
    title = escape(f"{room.name} {what}")
    hatch = svg.line((0, 0), (0, 1.2), stroke=FAINT, stroke_width=0.45)
    return (
        f"{opening(sheet.width, sheet.height)}\n<title>{title}</title>\n<defs>"
        f'<pattern id="hatch" width="1.2" height="1.2" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="1.2" height="1.2" fill="#dfe3e8"/>{hatch}</pattern></defs>\n'
        f"<rect{attributes(width=sheet.width, height=sheet.height, fill='#ffffff')}/>"
    )


def floor(sheet: Sheet, room: Room) -> list[str]:
    """The floor."""
    return [svg.polygon(sheet.all(room.boundary), fill="#fcfcfb")]


def walls(sheet: Sheet, room: Room) -> list[str]:
    """The walls, the front one heavy."""
    corners = room.boundary
    front_y = max(y for _, y in corners)
    parts = [
        svg.polygon(sheet.all(corners), fill="none", stroke=WALL, stroke_width=0.9, stroke_linejoin="miter")
    ]
    for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
        if start[1] == front_y and end[1] == front_y:
            parts.append(
                svg.line(
                    sheet.at(start), sheet.at(end), stroke=WALL, stroke_width=2.0, stroke_linecap="square"
                )
            )
    return parts


def obstacles(sheet: Sheet, room: Room) -> list[str]:
    """What stands in the room, hatched."""
    return [
        svg.polygon(sheet.all(solid.footprint), fill="url(#hatch)", stroke=FAINT, stroke_width=0.35)
        for solid in room.obstacles
    ]


def taken(sheet: Sheet, room: Room, cameras: Sequence[Camera]) -> Labels:
    """Labels keep off desks, sitters, obstacles, zones, cameras and the words at the front wall."""
    top, bottom = 0.6, sheet.bottom + 5.6
    labels = Labels(Box(sheet.width / 2, (top + bottom) / 2, sheet.width - 2, bottom - top))
    for seat in room.seats:
        frame = seat_frame(seat)
        labels.take(svg.box_around([sheet.at(corner) for corner in desk_corners(seat)], 0.3))
        breadth = TALL.shoulder_breadth_m * sheet.scale
        x, y = sheet.at(frame.body)
        labels.take(Box(x, y, breadth, breadth * 0.6))
    for solid in room.obstacles:
        labels.take(svg.box_around(sheet.all(solid.footprint), 0.3))
    for zone in room.zones:
        labels.take(svg.box_around(sheet.all(zone.polygon), 0.3))
    for camera in cameras:
        labels.take(Box(*sheet.at(camera.position_m), 4.4, 4.4))
    for start, end in zip(room.boundary, (*room.boundary[1:], room.boundary[0]), strict=True):
        labels.take(svg.box_around([sheet.at(start), sheet.at(end)], 0.7))
    labels.take(_name_box(room))
    labels.take(_scale_box(sheet)[0])
    labels.take(Box(*_front_words(sheet, room), svg.text_width(_FRONT, 3.2) + 4, 5.0))
    return labels


_FRONT = "前墙（讲台）"


def _front_words(sheet: Sheet, room: Room) -> Point:
    front = max(y for _, y in room.boundary)
    wall = [x for x, y in room.boundary if y == front]
    x, y = sheet.at(((min(wall) + max(wall)) / 2, front))
    return x, y - 4.0


def title(sheet: Sheet, room: Room) -> list[str]:
    """The room's name, the words at the front wall, and the scale."""
    name = _name_box(room)
    return [
        svg.text(_name(room), (name.x, name.y), NORMAL_MM, font_weight="500", fill=FAINT),
        svg.text(_FRONT, _front_words(sheet, room), 3.2, font_weight="bold"),
        _scale_bar(sheet),
    ]


def _name(room: Room) -> str:
    return room.name if room.id in room.name else f"{room.name}（{room.id}）"


def _name_box(room: Room) -> Box:
    width = svg.text_width(_name(room), NORMAL_MM)
    return Box(MARGIN_MM + width / 2, HEADER_MM - 4.0, width + 2.0, 4.4)


def _scale_bar(sheet: Sheet) -> str:
    """A bar of whole metres above the plan's right end."""
    box, metres = _scale_box(sheet)
    left, y = box.x - metres * sheet.scale / 2, box.y + 1.2
    parts = []
    for index in range(metres):
        x = left + index * sheet.scale
        block = [(x, y - 0.6), (x + sheet.scale, y - 0.6), (x + sheet.scale, y + 0.6), (x, y + 0.6)]
        parts.append(svg.polygon(block, fill="#ffffff" if index % 2 else INK, stroke=INK, stroke_width=0.25))
    for metre in (0, metres):
        words = f"{metre} m" if metre else "0"
        parts.append(svg.text(words, (left + metre * sheet.scale, y - 2.3), SMALL_MM, font_weight="500"))
    return "".join(parts)


def _scale_box(sheet: Sheet) -> tuple[Box, int]:
    metres = next((whole for whole in (5, 2) if sheet.scale * whole <= 34), 1)
    width = metres * sheet.scale
    return Box(sheet.width - MARGIN_MM - width / 2, HEADER_MM - 4.4, width + 6.0, 5.4), metres
