"""The walk-through: which desk cards the cameras show, against which the model says they show.

A card that is read in its place proves that its camera sees that desk. Cards that are read elsewhere stand on the wrong
desk, or their camera looks elsewhere; which of the two, the other cards in the same picture tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import CardFace, card_faces, card_zones
from kaozheng_coverage.card_sight import CardChance, CardSight, best_sights, card_sights
from kaozheng_coverage.projection import unproject
from kaozheng_coverage.room import Room
from kaozheng_coverage.verdict import Outcome

from kaozheng_vision.card_turn import Turn, camera_turn
from kaozheng_vision.steady import SteadyMarker, steady_markers
from kaozheng_vision.walkthrough_result import (
    CameraReading,
    CameraState,
    CardReading,
    Misplaced,
    Reading,
    Stranger,
    WalkThrough,
)

Array = npt.NDArray[np.float64]
Frame = npt.NDArray[np.uint8]

# A card so near its place, metres, stands on its own desk: less than half of the 0.6 m by which the smallest desks
# stand apart, and more than what a hand (3 cm) and a plan of desks paced out (10 cm) are off.
STANDS_M = 0.25
# The first, the middle and the last picture: a card that someone hides in one is found in another.
_PICTURES = 3
# A sight flatter than this to the desk's plane (sine) does not tell where on it a card stands: 6 degrees, where a turn
# of a quarter degree is 0.3 m at 8 m.
_FLATTEST = 0.1

# A turn that hands and plan alone may feign, degrees, though a calibrated camera's aim is known better: desks off by
# 2 cm and cards on them by 1.5 (standard deviations) leave 0.14 over the fewest cards at 5 m; twice that.
_LEAST_TURN_DEG = 0.3

_UNREAD = {
    CardChance.SURE: Reading.MISSING,
    CardChance.DOUBTFUL: Reading.OPEN,
    CardChance.NONE: Reading.NOT_EXPECTED,
}


def walk_through(
    room: Room,
    cameras: Sequence[Camera],
    marker_m: float,
    pictures: Mapping[str, Sequence[Frame]],
    *,
    zones: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> WalkThrough:
    """Read every card in every camera's pictures and hold that against the model.

    Parameters
    ----------
    marker_m : side of the printed markers' black border, metres
    pictures : by camera id, (height, width, 3) BGR; a camera without any cannot be judged
    zones : whether the cards of seal-opening areas are asked for, which someone has to hold up

    Returns
    -------
    WalkThrough : its outcome fails where a card that must be read is not, where one is that the model says is hidden or
        out of the picture, where a card stands elsewhere or twice or belongs to no seat here, and where a camera looks
        elsewhere; it is undetermined where a camera has no picture, or a card is read by no camera.
    """
    found = _Findings(room, marker_m, zones)
    sights = card_sights(room, cameras, marker_m)
    for done, camera in enumerate(cameras):
        progress(done, len(cameras))
        found.add(
            camera,
            [sight for sight in sights if sight.camera_id == camera.id],
            _some(pictures.get(camera.id, ())),
        )
    progress(len(cameras), len(cameras))
    return found.summed()


class _Findings:
    """What the cameras tell, camera by camera."""

    def __init__(self, room: Room, marker_m: float, zones: bool) -> None:
        self._room = room
        self._held_up = {zone.id for zone in card_zones(room)}
        self._faces = {face.marker_id: face for face in card_faces(room, marker_m)}
        labels = dict.fromkeys(face.label for face in self._faces.values())
        self._labels = [label for label in labels if zones or label not in self._held_up]
        self._cameras: list[CameraReading] = []
        self._readings: list[CardReading] = []
        self._misplaced: list[Misplaced] = []
        self._strangers: list[Stranger] = []
        self._repeated: set[str] = set()

    def add(self, camera: Camera, sights: Sequence[CardSight], frames: Sequence[Frame]) -> None:
        asked = [sight for sight in sights if sight.face.label in self._labels]
        blind = _blind(camera, frames)
        if blind is not None:
            self._cameras.append(CameraReading(camera.id, blind, len(frames), 0))
            for (_, label), sight in best_sights(asked).items():
                self._readings.append(CardReading(label, camera.id, sight, Reading.CANNOT_JUDGE))
            return
        seen = steady_markers(frames)
        for one in seen:
            if one.marker.id not in self._faces:
                corners = _pairs(one.marker.corners_px)
                self._strangers.append(Stranger(camera.id, one.marker.id, corners, one.pictures))
        known = [one for one in seen if one.marker.id in self._faces]
        desks = [one for one in known if self._label(one) not in self._held_up]
        turn = camera_turn(
            camera,
            [self._faces[one.marker.id].corners.mean(axis=0) for one in desks],
            [one.marker.corners_px.mean(axis=0) for one in desks],
        )
        self._cameras.append(_camera_reading(camera, turn, len(frames), len(known)))
        self._repeated |= {self._label(one) for one in _twice(known)}
        for (_, label), best in best_sights(asked).items():
            shown = [one for one in known if self._label(one) == label]
            self._readings.append(self._read(camera, label, best, asked, shown, turn))

    def summed(self) -> WalkThrough:
        self._readings.sort(key=lambda one: self._labels.index(one.label))
        in_place = {one.label for one in self._readings if one.seen_px is not None}
        self._readings = [self._held_up_or_not(one, in_place) for one in self._readings]
        # A card that one camera sees on its desk and another on a different one is two cards.
        self._repeated |= in_place & {one.label for one in self._misplaced}
        unproven = tuple(label for label in self._labels if label not in in_place)
        repeated = tuple(label for label in self._labels if label in self._repeated)
        wrong = self._misplaced or repeated or self._strangers
        against = any(one.reading is Reading.MISSING or one.refutes for one in self._readings)
        if wrong or against or any(one.state is CameraState.TURNED for one in self._cameras):
            outcome = Outcome.FAIL
        elif unproven or any(
            one.state in (CameraState.NO_PICTURE, CameraState.OTHER_SIZE) for one in self._cameras
        ):
            outcome = Outcome.UNDETERMINED
        else:
            outcome = Outcome.PASS
        return WalkThrough(
            self._room.id,
            tuple(self._cameras),
            tuple(self._readings),
            tuple(self._misplaced),
            repeated,
            tuple(self._strangers),
            unproven,
            outcome,
        )

    def _held_up_or_not(self, one: CardReading, in_place: set[str]) -> CardReading:
        """A zone's card that no camera shows was not held up: that is no camera's fault."""
        if one.reading is Reading.MISSING and one.label in self._held_up - in_place:
            return replace(one, reading=Reading.OPEN)
        return one

    def _label(self, one: SteadyMarker) -> str:
        return self._faces[one.marker.id].label

    def _read(
        self,
        camera: Camera,
        label: str,
        best: CardSight,
        sights: Sequence[CardSight],
        shown: Sequence[SteadyMarker],
        turn: Turn,
    ) -> CardReading:
        """One card by one camera; what stands elsewhere is noted besides, and proves nothing of its own desk."""
        by_marker = {sight.face.marker_id: sight for sight in sights}
        in_place: list[CardReading] = []
        for one in shown:
            sight = by_marker[one.marker.id]
            off_px, off_deg, off_m = _off(camera, sight, one, turn)
            # Where the cards do not tell how the camera looks, it may be off by its tolerance.
            play_m = (
                0.0 if turn.known else _distance_m(camera, sight.face) * np.radians(camera.aim_tolerance_deg)
            )
            if label not in self._held_up and off_m > STANDS_M + play_m:
                self._misplaced.append(self._elsewhere(camera, one, turn))
                continue
            reading = Reading.SURPRISE if best.chance is CardChance.NONE else Reading.SEEN
            corners = _pairs(one.marker.corners_px)
            in_place.append(
                CardReading(label, camera.id, sight, reading, one.pictures, corners, off_px, off_deg, off_m)
            )
        if not in_place:
            return CardReading(label, camera.id, best, _UNREAD[best.chance])
        return max(in_place, key=lambda one: one.pictures)

    def _elsewhere(self, camera: Camera, one: SteadyMarker, turn: Turn) -> Misplaced:
        face = self._faces[one.marker.id]
        corners = _pairs(one.marker.corners_px)
        sight = turn.rotation.inv().apply(unproject(camera, one.marker.corners_px.mean(axis=0)[None])[0])
        eye, middle = np.asarray(camera.position_m, dtype=np.float64), face.corners.mean(axis=0)
        if not np.isfinite(sight).all() or abs(sight[2]) < _FLATTEST or (middle[2] - eye[2]) * sight[2] <= 0:
            return Misplaced(face.label, camera.id, face.marker_id, corners, None, None)
        at = (eye + sight * (middle[2] - eye[2]) / sight[2])[:2]
        apart = {
            other.label: float(np.linalg.norm(other.corners.mean(axis=0)[:2] - at))
            for other in self._faces.values()
            if other.label != face.label and other.label not in self._held_up
        }
        nearest = min(apart, key=lambda name: apart[name], default=None)
        place_of = nearest if nearest is not None and apart[nearest] <= 2 * STANDS_M else None
        return Misplaced(
            face.label, camera.id, face.marker_id, corners, (float(at[0]), float(at[1])), place_of
        )


def _some(frames: Sequence[Frame]) -> list[Frame]:
    if len(frames) <= _PICTURES:
        return list(frames)
    places = np.linspace(0, len(frames) - 1, _PICTURES).round().astype(int)
    return [frames[place] for place in places]


def _blind(camera: Camera, frames: Sequence[Frame]) -> CameraState | None:
    if not frames:
        return CameraState.NO_PICTURE
    size = (camera.lens.height_px, camera.lens.width_px)
    return CameraState.OTHER_SIZE if any(frame.shape[:2] != size for frame in frames) else None


def _camera_reading(camera: Camera, turn: Turn, pictures: int, cards: int) -> CameraReading:
    if not turn.known:
        return CameraReading(camera.id, CameraState.FEW_CARDS, pictures, cards)
    limit_deg = max(camera.aim_tolerance_deg, _LEAST_TURN_DEG)
    state = CameraState.TURNED if turn.degrees > limit_deg else CameraState.AGREES
    return CameraReading(camera.id, state, pictures, cards, turn.degrees, turn.middle_px(camera))


def _twice(seen: Iterable[SteadyMarker]) -> list[SteadyMarker]:
    """Markers of which the same picture shows two."""
    ids: set[int] = set()
    twice = []
    for one in seen:
        if one.marker.id in ids:
            twice.append(one)
        ids.add(one.marker.id)
    return twice


def _off(camera: Camera, sight: CardSight, one: SteadyMarker, turn: Turn) -> tuple[float, float, float]:
    """(pixels, degrees) between where a marker's middle is expected and seen, and metres left without the turn."""
    seen_px = one.marker.corners_px.mean(axis=0)
    seen = unproject(camera, seen_px[None])[0]
    ray = sight.face.corners.mean(axis=0) - np.asarray(camera.position_m)
    distance_m = float(np.linalg.norm(ray))
    expected = ray / distance_m
    off_px = float(np.linalg.norm(np.asarray(sight.corners_px).mean(axis=0) - seen_px))
    off_rad, left_rad = _angle(expected, seen), _angle(turn.rotation.apply(expected), seen)
    return off_px, float(np.degrees(off_rad)), left_rad * distance_m


def _distance_m(camera: Camera, face: CardFace) -> float:
    return float(np.linalg.norm(face.corners.mean(axis=0) - np.asarray(camera.position_m)))


def _angle(one: Array, other: Array) -> float:
    """Radians between two unit vectors; half a turn where one of them is not known."""
    apart = float(np.linalg.norm(one - other))
    return float(np.pi) if not np.isfinite(apart) else 2 * float(np.arcsin(min(1.0, apart / 2)))


def _pairs(points: Array) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)
