"""A room from a building plan in DXF. What is not plain is refused by the entity's name, never guessed."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from ezdxf.document import Drawing
from ezdxf.entities.circle import Circle
from ezdxf.entities.dxfentity import DXFEntity
from ezdxf.entities.insert import Insert
from ezdxf.entities.line import Line
from ezdxf.entities.lwpolyline import LWPolyline
from ezdxf.entities.polyline import Polyline
from ezdxf.filemanagement import readfile
from ezdxf.lldxf.const import DXFError

from kaozheng_service.config.document import FileError
from kaozheng_service.config.drawing_map import DrawingMap, SeatLayer, SolidLayer, ZoneLayer
from kaozheng_service.config.room_file import corner_cameras
from kaozheng_service.errors import UserError

_UNIT_M = {"mm": 0.001, "cm": 0.01, "m": 1.0, "in": 0.0254, "ft": 0.3048}
# $INSUNITS of the DXF reference: 1 inches, 2 feet, 4 millimetres, 5 centimetres, 6 metres.
_INSUNITS = {1: "in", 2: "ft", 4: "mm", 5: "cm", 6: "m"}
# What a drawing says about itself is read past: it is no shape.
_WORDS = {"TEXT", "MTEXT", "DIMENSION", "HATCH", "LEADER", "MULTILEADER", "ATTDEF", "POINT"}
# Corners nearer than this are one corner: half a centimetre, less than a wall is ever surveyed to.
_SAME_M = 0.005
_CIRCLE_CORNERS = 16
_MOST_M = 100.0

# The library's own remarks on a damaged drawing, bytes of it included, are no words for a user: ours follow.
logging.getLogger("ezdxf").setLevel(logging.CRITICAL)

Ring = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What was read: the fields of a room file, and what was passed over, for the user to know."""

    room: dict[str, Any]
    passed_over: tuple[str, ...]


def read_plan(path: Path, layers: DrawingMap, room_id: str, name: str) -> Plan:
    """Read the mapped layers of a DXF file as a room.

    Room coordinates: the lower left corner of the walls' bounding box, the front wall up, is (0, 0).

    Raises
    ------
    UserError : no such file, no DXF, no units
    FileError : every entity that is not plain, by type, handle and layer, with the mend
    """
    drawing = _open(path)
    reader = _Reader(path, drawing, _scale(path, drawing, layers), layers.front)
    try:
        boundary = reader.boundary(layers.boundary)
        solids = [one for entry in layers.obstacles for one in reader.solids(entry)]
        zones = [one for entry in layers.zones for one in reader.zones(entry)]
        seats = reader.seats(layers.seats) if layers.seats is not None else []
    except (DXFError, LookupError, TypeError, ValueError, AttributeError) as error:
        # What the library lets through of a damaged drawing shows when an entity is asked for its points.
        raise UserError(
            f"{path}: the drawing is damaged; save it as DXF again: {_printable(str(error))}"
        ) from None
    if reader.faults or boundary is None:
        raise FileError(reader.faults)
    left, near = min(x for x, _ in boundary), min(y for _, y in boundary)
    right, far = max(x for x, _ in boundary), max(y for _, y in boundary)
    if max(right - left, far - near) > _MOST_M:
        raise UserError(
            f"{path}: the walls on layer {layers.boundary} span {right - left:.0f} x {far - near:.0f} m: the drawing's "
            "units are not what it says; state them as `units` under `drawing`"
        )

    def moved(points: Iterable[tuple[float, float]]) -> list[list[float]]:
        return [[round(x - left, 3), round(y - near, 3)] for x, y in points]

    room: dict[str, Any] = {
        "schema": "kaozheng/room/1",
        "id": room_id,
        "name": name,
        "boundary": moved(boundary),
        "height": layers.height,
        "obstacles": [{**solid, "footprint": moved(solid["footprint"])} for solid in solids],
    }
    if layers.seats is not None:
        listed = [{**seat, "position": moved([seat["position"]])[0]} for seat in seats]
        room["seats"] = {"list": listed, "desk": layers.seats.desk.model_dump()}
        if layers.seats.monitor is not None:
            room["seats"]["monitor"] = layers.seats.monitor.model_dump()
    room["zones"] = [{**zone, "polygon": moved(zone["polygon"])} for zone in zones]
    room["cameras"] = corner_cameras(room_id, right - left, far - near, layers.height)
    return Plan(room, tuple(reader.passed_over))


def _open(path: Path) -> Drawing:
    try:
        return readfile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give the path of a DXF drawing") from None
    except Exception as error:  # noqa: BLE001 - of a damaged file the library raises anything
        raise UserError(
            f"{path}: is no DXF drawing that can be read; save it as DXF again: {_printable(str(error))}"
        ) from None


def _scale(path: Path, drawing: Drawing, layers: DrawingMap) -> float:
    """Metres a drawing unit."""
    stated = _INSUNITS.get(int(drawing.header.get("$INSUNITS", 0)))
    if stated is None and layers.units is None:
        raise UserError(
            f"{path}: the drawing states no units ($INSUNITS); state them as `units` under `drawing` in the site file"
        )
    if stated is not None and layers.units is not None and stated != layers.units:
        raise UserError(
            f"{path}: the drawing is in {stated}, the site file says {layers.units}: mend the one that is wrong"
        )
    return _UNIT_M[stated or layers.units or "m"]


@dataclass
class _Reader:
    """The drawing's entities as shapes in metres, turned so that the front wall is up; faults as they are met."""

    path: Path
    drawing: Drawing
    scale: float
    front_deg: float
    faults: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    def boundary(self, layer: str) -> Ring | None:
        """The one closed line on the layer, or what its lines enclose."""
        on = self._on(layer)
        lines = [one for one in on if isinstance(one, Line)]
        shapes = [one for one in on if not isinstance(one, Line)]
        if lines and shapes:
            self._fault(lines[0], f"stands beside {_name(shapes[0])}: draw the walls as one closed polyline")
            return None
        if lines:
            return self._enclosed(lines)
        if len(shapes) != 1:
            which = ", ".join(_name(one) for one in shapes[:4]) or "nothing"
            self.faults.append(
                f"{self.path}: layer {layer}: needs one closed polyline as walls, it holds {which}"
            )
            return None
        return self._ring(shapes[0])

    def solids(self, entry: SolidLayer) -> list[dict[str, Any]]:
        rings = [ring for entity in self._on(entry.layer) if (ring := self._ring(entity)) is not None]
        return [
            {"id": f"{entry.name}-{index}", "footprint": ring, "bottom": entry.bottom, "top": entry.top}
            for index, ring in enumerate(rings, 1)
        ]

    def zones(self, entry: ZoneLayer) -> list[dict[str, Any]]:
        rings = [ring for entity in self._on(entry.layer) if (ring := self._ring(entity)) is not None]
        named = entry.kind.value.replace("_", "-")
        zones = []
        for index, ring in enumerate(rings, 1):
            zone: dict[str, Any] = {
                "id": named if len(rings) == 1 else f"{named}-{index}",
                "kind": entry.kind.value,
                "polygon": ring,
                "bottom": entry.bottom,
                "top": entry.top,
            }
            zones.append(zone if entry.bearing is None else {**zone, "bearing": entry.bearing})
        return zones

    def seats(self, entry: SeatLayer) -> list[dict[str, Any]]:
        seats: list[dict[str, Any]] = []
        seen: dict[str, DXFEntity] = {}
        for entity in self._on(entry.layer):
            if not isinstance(entity, Insert):
                self._fault(
                    entity, "is no block insert: a desk is one insert of a block; move it off this layer"
                )
                continue
            if entity.mcount > 1 or min(entity.dxf.xscale, entity.dxf.yscale) <= 0:
                self._fault(entity, "is an array or mirrored: insert each desk by itself, not mirrored")
                continue
            tag = next((one for one in entity.attribs if one.dxf.tag.upper() == entry.number.upper()), None)
            number = tag.dxf.text.strip() if tag is not None else ""
            if not number:
                self._fault(entity, f"has no attribute {entry.number} with a seat number: fill it in")
                continue
            if number in seen:
                self._fault(entity, f"is seat {number}, and so is {_name(seen[number])}: give each its own")
                continue
            seen[number] = entity
            x, y = self._at(entity.dxf.insert)
            bearing = (entry.bearing - float(entity.dxf.rotation) - self.front_deg) % 360
            seats.append({"number": number, "position": (x, y), "bearing": round(bearing, 2)})
        return seats

    def _on(self, layer: str) -> list[DXFEntity]:
        if layer not in self.drawing.layers:
            known = ", ".join(sorted(one.dxf.name for one in self.drawing.layers))
            self.faults.append(
                f"{self.path}: has no layer {layer}: mend the name under `drawing`; it has {known}"
            )
            return []
        found: list[DXFEntity] = []
        for entity in self.drawing.modelspace():
            if not entity.dxf.is_supported("layer"):
                self.passed_over.append(_name(entity))  # an object of another program: no shape that is known
                continue
            if entity.dxf.layer.lower() != layer.lower():
                continue
            if entity.dxftype() in _WORDS:
                self.passed_over.append(_name(entity))
            elif tuple(entity.dxf.get("extrusion", (0, 0, 1))) != (0, 0, 1):
                self._fault(
                    entity, "is drawn from below or aslant (its extrusion): draw it in the plan's plane"
                )
            else:
                found.append(entity)
        if not found and not any(f"layer {layer}" in fault for fault in self.faults):
            self.faults.append(
                f"{self.path}: layer {layer} holds no shape: mend the name, or leave the layer out"
            )
        return found

    def _ring(self, entity: DXFEntity) -> Ring | None:
        """The corners of a closed shape, or None and a fault."""
        if isinstance(entity, Circle):
            radius = float(entity.dxf.radius) / math.cos(math.pi / _CIRCLE_CORNERS)
            centre = entity.dxf.center
            turns = [2 * math.pi * index / _CIRCLE_CORNERS for index in range(_CIRCLE_CORNERS)]
            return [
                self._at((centre[0] + radius * math.cos(turn), centre[1] + radius * math.sin(turn)))
                for turn in turns
            ]
        if isinstance(entity, LWPolyline):
            points = [(float(x), float(y), float(bulge)) for x, y, bulge in entity.get_points("xyb")]
            closed = bool(entity.closed)
        elif isinstance(entity, Polyline) and entity.is_2d_polyline:
            points = [
                (float(one.dxf.location[0]), float(one.dxf.location[1]), float(one.dxf.get("bulge", 0.0)))
                for one in entity.vertices
            ]
            closed = bool(entity.is_closed)
        else:
            self._fault(entity, "is no closed polyline: draw it as one, or move it off this layer")
            return None
        if any(abs(bulge) > 1e-9 for _, _, bulge in points):
            self._fault(entity, "has an arc: draw it with straight sides")
            return None
        ring = [self._at((x, y)) for x, y, _ in points]
        gap = math.dist(ring[0], ring[-1]) if ring else 0.0
        if len(ring) > 1 and gap <= _SAME_M:
            ring, closed = ring[:-1], True
        if not closed:
            self._fault(entity, f"is open by {gap:.3f} m: close it")
            return None
        return self._checked(entity, ring)

    def _enclosed(self, lines: Sequence[Line]) -> Ring | None:
        """What lines that meet at their ends enclose."""
        segments = []
        for line in lines:
            ends = [self._at(line.dxf.start), self._at(line.dxf.end)]
            # Ends on a grid of half a centimetre, so that lines which meet but for rounding are one corner.
            snapped = [(round(x / _SAME_M) * _SAME_M, round(y / _SAME_M) * _SAME_M) for x, y in ends]
            if snapped[0] != snapped[1]:
                segments.append((line, shapely.LineString(snapped)))
        whole = shapely.union_all([segment for _, segment in segments])
        areas, cuts, dangles, _ = shapely.polygonize_full([whole])
        loose = [*cuts.geoms, *dangles.geoms]
        if loose:
            line = next(
                one for one, segment in segments if shapely.intersection(segment, loose[0]).length > 0
            )
            self._fault(
                line, "does not meet the next wall at its ends: close the walls, or draw one polyline"
            )
            return None
        if len(areas.geoms) != 1:
            self._fault(
                lines[0], f"and its neighbours enclose {len(areas.geoms)} areas: leave one line of walls"
            )
            return None
        return self._checked(lines[0], list(areas.geoms[0].exterior.coords)[:-1])

    def _checked(self, entity: DXFEntity, ring: Ring) -> Ring | None:
        if len(ring) < 3:
            self._fault(entity, f"has {len(ring)} corners: draw at least three")
            return None
        area = shapely.Polygon(ring)
        if not area.is_valid:
            self._fault(entity, "crosses itself: draw its corners in order around it")
            return None
        if area.area < _SAME_M**2:
            self._fault(entity, "encloses no area: draw its corners apart")
            return None
        return [(float(x), float(y)) for x, y in ring]

    def _at(self, point: Sequence[float]) -> tuple[float, float]:
        """A point of the drawing in metres, turned so that the front wall is up."""
        turn = math.radians(self.front_deg)
        x, y = float(point[0]) * self.scale, float(point[1]) * self.scale
        return x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)

    def _fault(self, entity: DXFEntity, what: str) -> None:
        self.faults.append(f"{self.path}: {_name(entity)} {what}")


def _name(entity: DXFEntity) -> str:
    layer = entity.dxf.layer if entity.dxf.is_supported("layer") else "unknown"
    return _printable(f"{entity.dxftype()} #{entity.dxf.handle} on layer {layer}")


def _printable(text: str) -> str:
    """Text of a drawing whose bytes may be no text at all."""
    return text.encode("utf-8", "replace").decode("utf-8")
