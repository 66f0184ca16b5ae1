"""An exam room as plain frozen records, in metres and room coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Point2 = tuple[float, float]


class ZoneKind(StrEnum):
    """Named areas of a site, as exam staff call them."""

    SEAL_OPENING = "seal_opening"
    ANSWER_SEALING = "answer_sealing"
    INVIGILATOR = "invigilator"
    DOOR = "door"
    WAITING = "waiting"
    SECURE_STORE = "secure_store"
    MARKING = "marking"


@dataclass(frozen=True, slots=True)
class Prism:
    """An upright solid: a floor polygon between two heights. The occluder of every kind.

    ``footprint`` is a simple polygon (not closed), ``bottom_m`` and ``top_m`` heights above the floor.
    """

    id: str
    footprint: tuple[Point2, ...]
    bottom_m: float
    top_m: float


@dataclass(frozen=True, slots=True)
class Desk:
    """A desk top: ``width_m`` across the sitter, ``depth_m`` along the sitter's view, ``height_m`` of its top."""

    width_m: float
    depth_m: float
    height_m: float


@dataclass(frozen=True, slots=True)
class Monitor:
    """A screen on a desk; ``setback_m`` is from the desk's far edge (the candidate's view) to the screen's middle."""

    width_m: float
    height_m: float
    bottom_m: float
    thickness_m: float
    setback_m: float


@dataclass(frozen=True, slots=True)
class Seat:
    """A desk with a candidate: ``centre`` is the middle of the desk top, ``bearing_deg`` where the sitter looks."""

    number: str
    centre: Point2
    bearing_deg: float
    desk: Desk
    monitor: Monitor | None


@dataclass(frozen=True, slots=True)
class Zone:
    """A named volume. ``bearing_deg`` is where its content faces (a sealed bag towards the candidates), if anywhere."""

    id: str
    kind: ZoneKind
    polygon: tuple[Point2, ...]
    bottom_m: float
    top_m: float
    bearing_deg: float | None


@dataclass(frozen=True, slots=True)
class Room:
    """A room: its walls, what stands in it, its seats and zones."""

    id: str
    name: str
    boundary: tuple[Point2, ...]
    height_m: float
    obstacles: tuple[Prism, ...]
    seats: tuple[Seat, ...]
    zones: tuple[Zone, ...]

    def seat(self, number: str) -> Seat:
        """The seat of that number; KeyError if there is none."""
        for seat in self.seats:
            if seat.number == number:
                return seat
        raise KeyError(number)
