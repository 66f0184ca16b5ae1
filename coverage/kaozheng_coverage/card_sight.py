"""Which cards a camera will show well enough to be read, why not the others, and how large their markers must be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import shapely

from kaozheng_coverage.arrays import Array
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import (
    FORMS,
    MODULES,
    CardFace,
    CardForm,
    card_faces,
    card_zones,
)
from kaozheng_coverage.person import desk_id, invigilator_id, person_id
from kaozheng_coverage.projection import pixel_density, project
from kaozheng_coverage.room import Room
from kaozheng_coverage.shadows import Solids, cast_all, room_occluders, solids_of
from kaozheng_coverage.targets import Patch
from kaozheng_coverage.window import Bound, windows_all

# A marker's smaller extent in the picture, pixels, from which it is found in 95 of 100 pictures of a poor stream, and
# below which in none of a good one. Measured with vision's find_markers on drawn 1080p pictures of 144 markers each,
# blurred by 0.6 px, noisy, through x264 (`make bench`): face on, at constant rate factor 33 (1.5 Mbit/s) 16 px 49%,
# 18 px 86%, 20 px 95%; at 26 (4 Mbit/s) 12 px 20%, 13 px 70%, 14 px 95%. A slanted marker of the same smaller extent is
# longer the other way and found more often: at 50 degrees 16 px 88%, 18 px 98%. In the rendered rooms' clips, which are
# sharp and nearly free of noise, slanted ones are read down to 7.3 px.
SURE_PX, LEAST_PX = 20.0, 7.0
# Slant costs nothing beside the smaller extent: 60, 70, 75 and 80 degrees off its front a marker of 16 px is found at
# 97, 99, 95 and 96% of the poor stream (measured as above; beyond it nothing was). But a card that stands 5 degrees
# round loses a quarter of its extent at 70 degrees, and half of it at 80.
SURE_SLANT_DEG, MOST_SLANT_DEG = 70.0, 80.0
# A card is set up by hand from a measure on paper: it stands so far off, metres, each way.
PLACING_M = 0.03
# Of a marker that stands in the worst such place, so little (a fraction) may be hidden: what rounding leaves.
_LEAST_HIDDEN = 1e-6


class CardChance(StrEnum):
    """Whether a camera will read a face."""

    SURE = "sure"
    DOUBTFUL = "doubtful"
    NONE = "none"


class CardCause(StrEnum):
    """Why not, or why not surely; the first that applies, in this order."""

    TURNED_AWAY = "turned_away"
    OUT_OF_VIEW = "out_of_view"
    HIDDEN = "hidden"
    EDGE_ON = "edge_on"
    TOO_FAR = "too_far"


# Of two faces that cannot be read the one with the later cause is nearer to being read.
_CAUSES = tuple(CardCause)
_CHANCES = (CardChance.SURE, CardChance.DOUBTFUL, CardChance.NONE)


@dataclass(frozen=True, slots=True)
class CardSight:
    """How one camera sees one face of a card.

    Attributes
    ----------
    corners_px : of the marker, as :attr:`CardFace.corners_m`, pixels; nan where the lens shows nothing
    side_px : the marker's side in the direction in which it has fewest pixels; 0 where it has none
    slant_deg : how far off the face's front the camera is, 0 face on, over 90 behind it
    hidden : fraction of the marker and half its border that something hides, the card standing as measured
    hidden_by : what hides it, most first; where nothing does, what would if it stood PLACING_M off
    cause : None where the chance is SURE
    """

    camera_id: str
    face: CardFace
    corners_px: tuple[tuple[float, float], ...]
    side_px: float
    slant_deg: float
    hidden: float
    hidden_by: tuple[str, ...]
    chance: CardChance
    cause: CardCause | None

    @property
    def needed_m(self) -> float | None:
        """The smallest marker that is surely read here, metres; None where its size is not what is wrong.

        It may be larger than any sheet holds.
        """
        if self.cause not in (None, CardCause.TOO_FAR) or self.side_px <= 0:
            return None
        return self.face.marker_m * SURE_PX / self.side_px


def card_sights(room: Room, cameras: Sequence[Camera], marker_m: float) -> tuple[CardSight, ...]:
    """Every face of every card by every camera, camera by camera in the order of :func:`card_faces`.

    Notes
    -----
    Sure is what holds with the card PLACING_M off any way within its plane, with the camera's aim and lens off by
    their tolerances, and with a tall candidate at every desk; none is what holds with all of them in favour and nobody
    in the room. What lies between is doubtful. A card's own desk does not hide it, nor whoever holds up a zone's.
    """
    faces = card_faces(room, marker_m)
    solids = solids_of(room_occluders(room))
    furniture = solids_of(one for one in room_occluders(room) if one.id not in _people(room))
    return tuple(sight for camera in cameras for sight in _seen_by(room, camera, faces, solids, furniture))


def best_sights(sights: Iterable[CardSight]) -> dict[tuple[str, str], CardSight]:
    """By camera and label the face that has the best chance; of two that have none, the one that is nearer to it."""
    best: dict[tuple[str, str], CardSight] = {}
    for sight in sights:
        key = (sight.camera_id, sight.face.label)
        if key not in best or _rank(sight) < _rank(best[key]):
            best[key] = sight
    return best


def advised_marker_m(room: Room, cameras: Sequence[Camera]) -> float:
    """The largest marker of the smallest form with which no card is missed that the largest form would make sure.

    A form costs paper; a larger marker on the same paper costs nothing.
    """

    def sure(form: CardForm) -> set[tuple[str, str]]:
        best = best_sights(card_sights(room, cameras, form.most_marker_m))
        return {key for key, sight in best.items() if sight.chance is CardChance.SURE}

    wanted = sure(FORMS[-1])
    enough = (form for form in FORMS[:-1] if wanted and sure(form) >= wanted)
    return next(enough, FORMS[-1]).most_marker_m


def face_patch(room: Room, face: CardFace, margin_m: float = 0.0) -> Patch:
    """A face's marker and half of its white border, as a target: what must be seen whole to be read.

    ``margin_m`` makes it so much larger on every side, or smaller.
    """
    right, up = face.tangents
    half = max(face.marker_m * (0.5 + 0.5 / MODULES) + margin_m, face.marker_m / 8)
    own = {invigilator_id(zone) for zone in card_zones(room) if zone.id == face.label}
    own |= {desk_id(seat) for seat in room.seats if seat.number == face.label}
    middle = face.corners.mean(axis=0)
    return Patch(middle, np.stack([right, up]), shapely.box(-half, -half, half, half), frozenset(own))


def _people(room: Room) -> frozenset[str]:
    return frozenset(
        {person_id(seat) for seat in room.seats} | {invigilator_id(zone) for zone in card_zones(room)}
    )


def _seen_by(
    room: Room, camera: Camera, faces: Sequence[CardFace], solids: Solids, furniture: Solids
) -> list[CardSight]:
    if not faces:
        return []
    eye = np.asarray(camera.position_m, dtype=np.float64)
    patches = {margin: [face_patch(room, face, margin) for face in faces] for margin in (PLACING_M, 0.0)}
    # In favour of a small marker no more is asked than its middle.
    patches[-PLACING_M] = [face_patch(room, face, -PLACING_M) for face in faces]
    large, stated, small = patches[PLACING_M], patches[0.0], patches[-PLACING_M]
    around = cast_all(eye, large, solids)
    whole = [
        shapely.area(shade.unhidden) / patch.outline.area for patch, shade in zip(large, around, strict=True)
    ]
    least = [
        shapely.area(shade.unhidden) / patch.outline.area
        for patch, shade in zip(small, cast_all(eye, small, furniture), strict=True)
    ]
    shades = cast_all(eye, stated, solids)
    held = [
        _within(patch, window[Bound.LEAST])
        for patch, window in zip(large, windows_all(camera, large), strict=True)
    ]
    reached = [
        _within(patch, window[Bound.MOST])
        for patch, window in zip(small, windows_all(camera, small), strict=True)
    ]
    sights = []
    for index, face in enumerate(faces):
        slant_deg = _slant_deg(eye, face)
        points = np.concatenate([face.corners, face.corners.mean(axis=0)[None]])
        side_px = float(pixel_density(camera, points, face.tangents).min()) * face.marker_m
        hidden = 1 - float(shapely.area(shades[index].unhidden) / stated[index].outline.area)
        chance, cause = _judged(
            slant_deg, side_px, held[index], reached[index], whole[index], float(least[index])
        )
        sights.append(
            CardSight(
                camera.id,
                face,
                _pairs(project(camera, face.corners)),
                side_px,
                slant_deg,
                hidden if slant_deg < 90 else 0.0,
                tuple(name for name, _ in shades[index].hidden_by or around[index].hidden_by),
                chance,
                cause,
            )
        )
    return sights


def _judged(
    slant_deg: float, side_px: float, held: bool, reached: bool, whole: float, least: float
) -> tuple[CardChance, CardCause | None]:
    """The first thing that forbids it, else the first that makes it doubtful."""
    if slant_deg >= 90:
        return CardChance.NONE, CardCause.TURNED_AWAY
    tests = (
        (CardCause.OUT_OF_VIEW, held, reached),
        (CardCause.HIDDEN, whole >= 1 - _LEAST_HIDDEN, least >= 1 - _LEAST_HIDDEN),
        (CardCause.EDGE_ON, slant_deg <= SURE_SLANT_DEG, slant_deg <= MOST_SLANT_DEG),
        (CardCause.TOO_FAR, side_px >= SURE_PX, side_px >= LEAST_PX),
    )
    for cause, _, possible in tests:
        if not possible:
            return CardChance.NONE, cause
    for cause, sure, _ in tests:
        if not sure:
            return CardChance.DOUBTFUL, cause
    return CardChance.SURE, None


def _within(patch: Patch, window: shapely.Geometry | None) -> bool:
    return window is None or bool(window.buffer(1e-9).covers(patch.outline))


def _slant_deg(eye: Array, face: CardFace) -> float:
    sight = eye - face.corners.mean(axis=0)
    cosine = float(sight @ face.normal) / float(np.linalg.norm(sight))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def _rank(sight: CardSight) -> tuple[int, int, float]:
    cause = len(_CAUSES) if sight.cause is None else _CAUSES.index(sight.cause)
    return _CHANCES.index(sight.chance), -cause, -sight.side_px


def _pairs(points: Array) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)
