"""What a walk-through finds, as plain records: each card by each camera, and what stands where it should not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kaozheng_coverage.card_sight import CardCause, CardSight
from kaozheng_coverage.verdict import Outcome


class Reading(StrEnum):
    """One card and one camera."""

    SEEN = "seen"  # in its place, as the model says for sure or perhaps
    MISSING = "missing"  # the model is sure of it, and it was not read there
    SURPRISE = "surprise"  # in its place, though the model says that it cannot be read
    OPEN = "open"  # not read, and the model leaves it open
    NOT_EXPECTED = "not_expected"  # not read, and the model says so
    CANNOT_JUDGE = "cannot_judge"  # no picture that could tell


class CameraState(StrEnum):
    """What a camera's cards tell of the camera."""

    AGREES = "agrees"
    TURNED = "turned"  # all its cards are off together by more than its aim may be
    FEW_CARDS = "few_cards"  # too few were read to tell
    NO_PICTURE = "no_picture"
    OTHER_SIZE = "other_size"  # the picture has another size than the lens was stated for


# Of these causes of "cannot be read" it is the room's model that a card that is read refutes; of the others only the
# bounds of what can be read, which are stated for poor pictures.
_REFUTED = frozenset({CardCause.TURNED_AWAY, CardCause.OUT_OF_VIEW, CardCause.HIDDEN})


@dataclass(frozen=True, slots=True)
class CardReading:
    """One card by one camera.

    Attributes
    ----------
    sight : what the model says of the face that was read, or of the one with the best chance
    pictures : in how many of the camera's pictures it was read
    seen_px : the marker's corners as read, (4, 2), else None
    off_px, off_deg : how far its middle is from where the model expects it; None where it is not read
    off_m : the same in the room at the card's distance, without what the camera as a whole is off
    """

    label: str
    camera_id: str
    sight: CardSight
    reading: Reading
    pictures: int = 0
    seen_px: tuple[tuple[float, float], ...] | None = None
    off_px: float | None = None
    off_deg: float | None = None
    off_m: float | None = None

    @property
    def refutes(self) -> bool:
        """Whether what was read contradicts the room's model, not only its bounds of what can be read."""
        return self.reading is Reading.SURPRISE and self.sight.cause in _REFUTED


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A card that does not stand on its desk.

    ``at_m`` is where on the floor plan it is seen, metres, None where the sight is too flat to tell; ``place_of``
    whose card should stand there, if anyone's.
    """

    label: str
    camera_id: str
    marker_id: int
    seen_px: tuple[tuple[float, float], ...]
    at_m: tuple[float, float] | None
    place_of: str | None


@dataclass(frozen=True, slots=True)
class Stranger:
    """A marker that is on no card of this room, with its corners in the picture."""

    camera_id: str
    marker_id: int
    seen_px: tuple[tuple[float, float], ...]
    pictures: int


@dataclass(frozen=True, slots=True)
class CameraReading:
    """A camera as a whole: how many cards it shows, and by how much they are off together.

    ``turn_deg`` and ``turn_px`` are the turn that explains its cards best, as an angle and in the picture's middle;
    None where too few cards are read.
    """

    camera_id: str
    state: CameraState
    pictures: int
    cards: int
    turn_deg: float | None = None
    turn_px: float | None = None


@dataclass(frozen=True, slots=True)
class WalkThrough:
    """A room's cards in its cameras' pictures. ``readings`` holds one entry a card and camera, card by card.

    ``repeated`` are labels of which two cards stand in the room; ``unproven`` those that no camera reads in their
    place: of a seat, that no picture proves that it is seen; of a zone, that its card was not held up.
    """

    room_id: str
    cameras: tuple[CameraReading, ...]
    readings: tuple[CardReading, ...]
    misplaced: tuple[Misplaced, ...]
    repeated: tuple[str, ...]
    strangers: tuple[Stranger, ...]
    unproven: tuple[str, ...]
    outcome: Outcome

    def of(self, label: str) -> tuple[CardReading, ...]:
        """One card by every camera."""
        return tuple(one for one in self.readings if one.label == label)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.label for one in self.readings))
