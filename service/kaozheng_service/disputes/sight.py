"""How the cameras of a room see one seat, from the coverage engine's verdict."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from kaozheng_coverage.judge import judge_room
from kaozheng_coverage.outline import seat_box
from kaozheng_coverage.profile import Part
from kaozheng_coverage.verdict import Cause, Outcome, RoomVerdict

from kaozheng_service.config.geometry import room_cameras, room_geometry, room_profile
from kaozheng_service.config.site import RoomConfig, Site

# A dispute is about what a candidate did: the face and the hands decide which camera is best.
DECIDING = (Part.HEAD, Part.HANDS)
_BEST_FIRST = {Outcome.PASS: 0, Outcome.UNDETERMINED: 1, Outcome.FAIL: 2}
_verdicts: dict[tuple[str, str], RoomVerdict] = {}
_verdicts_lock = threading.Lock()
# By room, profile and seat; a dispute asks of few seats, and often.
_sights: dict[tuple[str, str, str], dict[str, SeatSight]] = {}


@dataclass(frozen=True, slots=True)
class PartSight:
    """How one camera sees one part of the seat: visible fraction 0-1, density in pixels per metre."""

    part: Part
    outcome: Outcome
    cause: Cause | None
    visible: float
    px_per_m: float
    hidden_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeatSight:
    """How one camera sees one seat.

    ``box_px`` is left, top, right, bottom in the picture of the site file's resolution; None where the seat
    is out of the picture. ``outcome`` is the worst of the deciding parts.
    """

    camera_id: str
    outcome: Outcome
    parts: tuple[PartSight, ...]
    box_px: tuple[float, float, float, float] | None

    @property
    def sees(self) -> bool:
        """Whether anything at all of the seated person is in the picture and unhidden."""
        return any(part.visible > 0 for part in self.parts if part.part is not Part.DESK)

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts best first: the outcome, then density times visible fraction, summed over head and hands."""
        deciding = [part for part in self.parts if part.part in DECIDING] or list(self.parts)
        return _BEST_FIRST[self.outcome], -sum(part.px_per_m * part.visible for part in deciding)


def room_seats(room: RoomConfig) -> list[str]:
    """The seat numbers of a room, in its order."""
    return [seat.number for seat in room_geometry(room).seats]


def seat_sights(site: Site, room: RoomConfig, number: str) -> dict[str, SeatSight]:
    """Per camera id, how it sees seat ``number``; worked out once a process. KeyError if the room has no such seat."""
    key = (*_key(site, room), number)
    if key not in _sights:
        _sights[key] = _seat_sights(site, room, number)
    return dict(_sights[key])


def _seat_sights(site: Site, room: RoomConfig, number: str) -> dict[str, SeatSight]:
    seat = room_geometry(room).seat(number)
    verdict = next(target for target in _verdict(site, room).seats if target.id == number)
    sights = {}
    for camera in room_cameras(room):
        parts = tuple(
            PartSight(part.part, sight.outcome, sight.cause, sight.visible, sight.px_per_m, sight.hidden_by)
            for part in verdict.parts
            for sight in part.sights
            if sight.camera_id == camera.id
        )
        deciding = [part for part in parts if part.part in DECIDING] or list(parts)
        outcome = max(
            (part.outcome for part in deciding), key=_BEST_FIRST.__getitem__, default=Outcome.UNDETERMINED
        )
        sights[camera.id] = SeatSight(camera.id, outcome, parts, seat_box(seat, camera))
    return sights


def _verdict(site: Site, room: RoomConfig) -> RoomVerdict:
    """Judged once per room and process: geometry changes only with the site file."""
    key = _key(site, room)
    with _verdicts_lock:
        if key not in _verdicts:
            profile = room_profile(site, room)
            _verdicts[key] = judge_room(room_geometry(room), room_cameras(room), profile, mends=False)
        return _verdicts[key]


def _key(site: Site, room: RoomConfig) -> tuple[str, str]:
    return room.model_dump_json(by_alias=True), repr(room_profile(site, room))
