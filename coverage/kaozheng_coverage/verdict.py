"""The outcome of judging a room, as plain records. Everything a sheet, a page or a program shows is in here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kaozheng_coverage.profile import Part, Rule


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNDETERMINED = "undetermined"


class Cause(StrEnum):
    """The binding reason: the first thing that would have to change."""

    OUT_OF_VIEW = "out_of_view"
    HIDDEN = "hidden"
    TOO_FEW_PIXELS = "too_few_pixels"
    WRONG_SIDE = "wrong_side"  # the camera looks at the back of a target that faces away
    TOO_FEW_CAMERAS = "too_few_cameras"
    NOT_VERIFIED = "not_verified"  # passes only if the pose, the lens or the live picture is as stated
    NOT_ROBUST = "not_robust"  # passes as stated, but not in every draw of what may be off
    NO_RULE = "no_rule"
    NO_FRONT = "no_front"  # the rule asks for a front, and the room file does not say where the target faces


@dataclass(frozen=True, slots=True)
class Sight:
    """How one camera sees one part of a target, worst case over the statures judged.

    Attributes
    ----------
    visible : fraction 0-1 of the part's area that is inside the picture and unhidden
    visible_least : the same when the aim is off by its tolerance in the worst way
    px_per_m : worst-direction density, pixels per metre, the minimum over the visible part; 0 if none is visible
    px_per_m_p5, px_per_m_median : its 5th percentile and its median over the visible part, by area
    hidden_by : ids of the occluders, the one that hides most first; "seat-07 person", "seat-07 monitor" for furniture
    outside : fraction 0-1 that lies outside the picture
    """

    camera_id: str
    visible: float
    visible_least: float
    px_per_m: float
    px_per_m_p5: float
    px_per_m_median: float
    outside: float
    hidden_by: tuple[str, ...]
    outcome: Outcome
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class Mend:
    """The smallest change found that makes the target pass as stated; ``verified`` when the engine re-judged it so.

    What the draws say of it shows when the changed room is judged as a whole.

    ``kind`` is one of "turn", "zoom", "move", "add". ``text`` is one plain English sentence; the other
    fields carry the numbers for a caller who words it in another language: ``pan_deg`` and ``tilt_deg``
    (positive right and up), ``hfov_deg`` the new horizontal angle, ``position_m`` and ``aim_m`` for an added camera.
    """

    kind: str
    camera_id: str
    text: str
    verified: bool
    pan_deg: float | None = None
    tilt_deg: float | None = None
    hfov_deg: float | None = None
    position_m: tuple[float, float, float] | None = None
    aim_m: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class TargetDraws:
    """In how many draws a target passed; which part was lost most often, and what to measure better for it."""

    id: str
    kind: str
    draws: int
    passed: int
    part: Part | None = None
    measure: str | None = None


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """One part of one target. ``sights`` has one entry per camera, best first.

    ``margin_visible`` and ``margin_px_per_m`` are how far the deciding camera (the k-th best) is above
    (positive) or below (negative) the rule. ``reason`` is one plain English sentence naming camera and occluder.
    ``drawn`` tells how often the target passed, where a tolerance decides (causes NOT_ROBUST and NOT_VERIFIED).
    """

    part: Part
    rule: Rule | None
    outcome: Outcome
    cause: Cause | None
    reason: str
    margin_visible: float
    margin_px_per_m: float
    sights: tuple[Sight, ...]
    drawn: TargetDraws | None = None


@dataclass(frozen=True, slots=True)
class TargetVerdict:
    """A seat or a zone. ``kind`` is "seat" or the zone's kind; ``id`` the seat number or the zone id."""

    id: str
    kind: str
    outcome: Outcome
    parts: tuple[PartVerdict, ...]
    mend: Mend | None

    @property
    def binding(self) -> PartVerdict:
        """The part that decides: the first that fails, else the first undetermined, else the one of least margin."""
        for outcome in (Outcome.FAIL, Outcome.UNDETERMINED):
            for part in self.parts:
                if part.outcome is outcome:
                    return part
        return min(self.parts, key=lambda part: part.margin_visible)


@dataclass(frozen=True, slots=True)
class LensReport:
    """How a camera's lens was chosen: the model and the relative spread of focal length between the stated angles."""

    camera_id: str
    model: str
    focal_px: float
    hfov_deg: float
    spread: float
    note: str


@dataclass(frozen=True, slots=True)
class CameraLoss:
    """What a room loses with one camera: the seats and zones that pass now and would not without it."""

    camera_id: str
    seats: tuple[str, ...]
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CameraTolerance:
    """How far a camera can be turned, degrees, either way, before a target that passes is lost; None beyond 10.

    ``depending`` counts the parts of targets that pass by this camera alone; ``first_lost`` is what goes first.
    """

    camera_id: str
    pan_deg: float | None
    tilt_deg: float | None
    roll_deg: float | None
    depending: int
    first_lost: str | None


@dataclass(frozen=True, slots=True)
class Draws:
    """The room judged again and again with pose, lens and layout off together.

    Attributes
    ----------
    passed : in how many of ``draws`` every target judged passed
    probability : that the room as it really stands passes, at least so much with ``confidence``; both 0-1
    left_out : targets that fail as stated and are not asked
    measure : what to measure better: "aim", "mount", "lens" or "layout"; None where all draws pass or none helps
    """

    draws: int
    passed: int
    probability: float
    confidence: float
    left_out: int
    targets: tuple[TargetDraws, ...]
    measure: str | None


@dataclass(frozen=True, slots=True)
class Additions:
    """The fewest cameras that, added together, mend what fails.

    ``cameras`` are mends of kind "add"; ``mended`` counts the targets that then pass and did not; ``left`` names what
    fails even then; ``verified`` says that the engine judged the room with them and all but ``left`` passes or is
    undetermined.
    """

    cameras: tuple[Mend, ...]
    mended: int
    left: tuple[str, ...]
    verified: bool


@dataclass(frozen=True, slots=True)
class RoomVerdict:
    """The verdict of a whole room under one profile, with the inputs' warnings.

    ``losses`` has one entry a camera, in the order of the cameras.
    """

    room_id: str
    profile_id: str
    profile_version: int
    outcome: Outcome
    seats: tuple[TargetVerdict, ...]
    zones: tuple[TargetVerdict, ...]
    lenses: tuple[LensReport, ...]
    warnings: tuple[str, ...]
    losses: tuple[CameraLoss, ...] = ()
    tolerances: tuple[CameraTolerance, ...] = ()
    draws: Draws | None = None
    additions: Additions | None = None

    @property
    def targets(self) -> tuple[TargetVerdict, ...]:
        return self.seats + self.zones
