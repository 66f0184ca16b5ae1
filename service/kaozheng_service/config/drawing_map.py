"""What the layers of a DXF plan hold: part of the site file, because one office draws all its plans alike."""

from __future__ import annotations

from typing import Annotated, Literal

from kaozheng_coverage.room import ZoneKind
from pydantic import Field

from kaozheng_service.config.fields import Degrees, DeskEntry, Length, Metres, MonitorEntry, Part_

Layer = Annotated[str, Field(min_length=1, max_length=255)]


class SolidLayer(Part_):
    """Closed polylines and circles that stand for upright solids of one height."""

    layer: Layer
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,40}$")] = Field(
        default="solid", description="each gets this name and a number"
    )
    bottom: Metres = 0.0
    top: Length


class SeatLayer(Part_):
    """Block inserts, one a desk: the insertion point is the middle of the desk top."""

    layer: Layer
    number: str = Field(description="the block attribute that holds the seat number")
    bearing: Degrees = Field(
        default=0.0, description="where the sitter looks in the block as it is drawn: 0 up, 90 right"
    )
    desk: DeskEntry
    monitor: MonitorEntry | None = None


class ZoneLayer(Part_):
    """Closed polylines that stand for zones of one kind."""

    layer: Layer
    kind: ZoneKind
    bottom: Metres = 0.0
    top: Length
    bearing: Degrees | None = Field(
        default=None, description="where the content faces in the room: 0 front wall"
    )


class DrawingMap(Part_):
    """Which layer of a plan holds what, and how the drawing lies."""

    units: Literal["mm", "cm", "m", "in", "ft"] | None = Field(
        default=None, description="only for drawings that state none themselves"
    )
    front: Degrees = Field(
        default=0.0, description="where the front wall lies on the drawing: 0 at the top, 90 at the right"
    )
    height: Length = Field(description="of the ceiling")
    boundary: Layer = Field(
        description="layer of the walls' inner line: one closed polyline, or lines that close"
    )
    obstacles: list[SolidLayer] = Field(default_factory=list)
    seats: SeatLayer | None = None
    zones: list[ZoneLayer] = Field(default_factory=list)
