"""What a calibration says of a camera: its pose or why there is none, how sure it is, and every card's part in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kaozheng_coverage.camera import Camera

from kaozheng_vision.pose import Array


class PoseVerdict(StrEnum):
    """``cannot_judge``: no pose is given. ``poor``: one is, and it does not hold what a calibrated one promises."""

    GOOD = "good"
    POOR = "poor"
    CANNOT_JUDGE = "cannot_judge"


class PoseCause(StrEnum):
    """Why a calibration is not good."""

    TOO_FEW = "too_few"
    IN_A_LINE = "in_a_line"
    IN_A_CORNER = "in_a_corner"
    DISAGREE = "disagree"
    AMBIGUOUS = "ambiguous"
    LOOSE = "loose"
    RESIDUALS = "residuals"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True, eq=False)
class CardFit:
    """One card in the picture: corners (4, 2) pixels as seen and as the calibrated pose expects them from the plan.

    ``off_px`` is the mean distance between the two. ``stands_at_m`` is where in the room the card's middle is seen, at
    the height that it should have, ``off_cm`` how far that is from its place; None where the sight meets no such point.
    """

    label: str
    marker_id: int
    seen_px: Array
    expected_px: Array
    off_px: float
    off_cm: float | None
    stands_at_m: tuple[float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class PoseCalibration:
    """What the cards in one picture tell of a camera.

    Attributes
    ----------
    cause, reason : why not good, with the numbers; None and "" of a good one
    camera : at the calibrated pose, the lens refined, with the covariance and the tolerances that follow from it; None
        where it cannot be judged
    covariance : (7, 7) as ``Camera.pose_covariance``
    inliers, outliers : cards by which the pose was found, and those that stand elsewhere, the worst first
    unsharp : cards that were not used either, as their corners fit no marker well enough to tell where they stand
    rms_px : root mean square over the corners of what is left when each desk's own shift is taken out
    held_out_cm : root mean square distance, in the room, between where cards are seen and where they should be, each
        by a calibration that it took no part in
    desk_cm : standard deviation of the desks about the plan, by survey and picture together
    printed : the markers' size over the stated one, as all cards tell together
    zoom, zoom_sd : focal length over the stated one
    pan_deg, tilt_deg, roll_deg : from the stated pose to this one, about the stated picture's axes: to the right, up,
        and as ``Camera.roll_deg`` counts it
    moved_cm : from the stated position to this one, x, y and z
    """

    verdict: PoseVerdict
    cause: PoseCause | None
    reason: str
    camera: Camera | None = None
    covariance: Array | None = None
    inliers: tuple[CardFit, ...] = ()
    outliers: tuple[CardFit, ...] = ()
    unsharp: tuple[CardFit, ...] = ()
    rms_px: float | None = None
    held_out_cm: float | None = None
    desk_cm: float | None = None
    printed: float = 1.0
    zoom: float = 1.0
    zoom_sd: float = 0.0
    pan_deg: float = 0.0
    tilt_deg: float = 0.0
    roll_deg: float = 0.0
    moved_cm: tuple[float, float, float] = (0.0, 0.0, 0.0)
