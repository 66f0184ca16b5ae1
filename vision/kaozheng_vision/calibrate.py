"""Where a camera really hangs and looks, by the desk cards in its picture; how sure that is, and whether it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from kaozheng_coverage.camera import Camera
from kaozheng_coverage.card import CardFace
from kaozheng_coverage.lens import Lens
from kaozheng_coverage.pose import change_between, posed, with_covariance
from kaozheng_coverage.projection import axes
from kaozheng_coverage.robustness import Survey
from scipy.spatial import ConvexHull, QhullError
from scipy.stats import chi2

from kaozheng_vision.hypotheses import agreeing, apart, mirrored, rough_poses
from kaozheng_vision.markers import Marker
from kaozheng_vision.pose import Array, Cards, Flags, Noise, Pose, covariance_of, fit, misfit, zoomed
from kaozheng_vision.pose_result import CardFit, PoseCalibration, PoseCause, PoseVerdict

__all__ = ["CardFit", "PoseCalibration", "PoseCause", "PoseVerdict", "calibrate_pose"]

# Standard deviation of a large marker's corner along each axis: 0.05 to 0.07 px on the pose bench's rendered pictures;
# a camera's own sharpening and coding add to it, and what the picture shows corrects it.
PIXEL_SIGMA_PX = 0.1
# The bars of the design: pixels left when each desk's own shift is taken out, and where a card that took no part in
# the calibration is expected against where it is seen, both root mean squares.
MOST_RMS_PX = 1.0
MOST_HELD_OUT_CM = 5.0
# Seven unknowns are known from one card; with six, two may stand wrong and four still outvote them.
FEWEST_CARDS = 6
# Cards within a band so narrow (root mean square, metres, across its length) are one row: how the camera swings about
# it shows in the height of the markers alone. Two rows 1.1 m apart, the closest that people sit, have 0.55 m.
_NARROW_M = 0.3
# On the bench's rooms cards that fill less of the picture leave the camera's place open by 6 to 11 cm (two standard
# deviations), those that fill 10% by 3 to 4 cm.
_CORNER_SHARE = 0.04
# Two standard deviations of the position's worst direction: 10 cm, 3 m from a desk, are 2 degrees, twice what a stated
# aim is off; nothing is gained.
_LOOSE_CM = 10.0
# Another pose is refuted where it is a thousand times less likely: twice the logarithm.
_REFUTED = 2 * math.log(1000)
# One in ten thousand cards that stand where they should is taken for one that does not.
_OUTLIER = float(chi2.ppf(0.9999, 8))
# Cards may all be off so many times more than survey and detector say: desks surveyed to 2 cm that stand 6 cm off are
# badly measured, and beyond it they are not the plan's.
_MOST_WORSE = 3.0
# What a corner may be off that was found wrongly, by blur or a shadow: 1.8 px at most, of 400 on the pose bench. A card
# that this explains is not used, and not said to stand wrong.
_BAD_CORNER_PX = 2.0
# What the survey says of the desks and the detector of its pixels counts as much as so many numbers measured here.
_TRUST = 10.0
_FOLDS = 10
_MOST_PASSES = 8
_SAME_NOISE = 0.02


def calibrate_pose(
    camera: Camera,
    sightings: Sequence[tuple[CardFace, Marker]],
    *,
    pixel_sigma_px: float = PIXEL_SIGMA_PX,
    survey: Survey | None = None,
) -> PoseCalibration:
    """Position, rotation and focal length of a camera from all corners of the cards that it sees.

    Parameters
    ----------
    camera : as stated; its lens' ``spread`` is the prior of its focal length, its pose only a place to begin from
    sightings : cards that stand on desks, each with where its marker was found. No card that a person holds.
    pixel_sigma_px : standard deviation of a large marker's found corner along each axis
    survey : how well the desks were measured; what the picture tells of that is weighed in

    Returns
    -------
    Never raises for what is seen: too few cards, or cards that disagree, are verdicts.

    Notes
    -----
    RANSAC over cards, not corners, for a card on a wrong desk has four wrong ones; then generalised least squares (see
    :mod:`kaozheng_vision.pose`) from several starts, among them the stated pose and the mirrored one of the cards'
    plane. A height that all desks share wrongly, such as desks 1 cm higher than stated, shows in no residual: it
    lifts the camera by as much.
    """
    survey = survey or Survey()
    # An even distribution over the spread, as the draws of the coverage engine have it.
    noise = Noise(
        pixel_sigma_px, survey.desk_m, math.radians(survey.desk_deg), camera.lens.spread / math.sqrt(12)
    )
    refused = _too_little(sightings, camera.lens)
    if refused is not None:
        return refused
    cards = Cards.of(sightings)
    stated = Pose(np.asarray(camera.position_m, dtype=np.float64), np.asarray(axes(camera)))
    answers = _answers(cards, camera.lens, stated, noise)
    best = answers[0]
    seen = np.count_nonzero(best.inliers)
    if seen < max(FEWEST_CARDS, len(cards) / 2):
        return _cannot(
            PoseCause.DISAGREE,
            f"only {seen} of {len(cards)} cards agree on one place of the camera: check that each stands on its own "
            "desk, the plan, and that the markers were printed at their size",
        )
    refused = _too_little([one for one, ok in zip(sightings, best.inliers, strict=True) if ok], camera.lens)
    if refused is not None:
        return refused
    rivals = [one for one in answers[1:] if apart(one.pose, best.pose) and one.cost - best.cost < _REFUTED]
    if rivals:
        apart_m = float(np.linalg.norm(rivals[0].pose.position_m - best.pose.position_m))
        return _cannot(
            PoseCause.AMBIGUOUS,
            f"two places of the camera, {apart_m:.1f} m apart, explain the picture equally well: set up more cards, "
            "some of them nearer to the camera",
        )
    return _described(camera, sightings, cards, best)


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    pose: Pose
    inliers: Flags
    noise: Noise
    cost: float


def _answers(cards: Cards, lens: Lens, stated: Pose, noise: Noise) -> list[_Answer]:
    """The minima reached from every start, the best first."""
    found = [_settled(cards, lens, start, noise) for start in rough_poses(cards, lens, stated)]
    best = min(found, key=lambda one: one.cost)
    if best.inliers.any():
        found.append(_settled(cards, lens, mirrored(cards.only(best.inliers), best.pose), noise))
    best = min(found, key=lambda one: one.cost)
    # All under the noise that the best one learned: an answer is no better for calling the desks worse measured.
    judged = [replace(one, cost=_cost(cards, lens, one.pose, best.noise)) for one in found]
    return sorted(judged, key=lambda one: one.cost)


def _settled(cards: Cards, lens: Lens, start: Pose, prior: Noise) -> _Answer:
    """From a start to where the cards that agree with it leave it, which cards those are, and how noisy they are."""
    near = agreeing(cards, lens, start)
    inliers = near if np.count_nonzero(near) >= FEWEST_CARDS else np.ones(len(cards), dtype=bool)
    noise = prior
    pose = fit(cards.only(inliers), lens, start, noise, robust=True)
    for _ in range(_MOST_PASSES):
        squared = misfit(cards, lens, pose, noise).squared
        # The median: what desks and pixels are really off by shows through cards that stand wrong.
        scale = float(np.median(squared[inliers])) / float(chi2.median(8))
        agree = squared < _OUTLIER * min(max(1.0, scale), _MOST_WORSE**2)
        settled, inliers = bool((agree == inliers).all()), agree
        if np.count_nonzero(agree) < FEWEST_CARDS:
            break
        before, noise = noise, _learned(cards.only(inliers), lens, pose, prior)
        # What was learned at a start far off is not noise: it is learned anew where that led, until it stays.
        settled = settled and abs(noise.pixel_px / before.pixel_px - 1) < _SAME_NOISE
        pose = fit(cards.only(inliers), lens, pose, noise, robust=False)
        if settled:
            break
    return _Answer(pose, inliers, noise, _cost(cards, lens, pose, prior))


def _cost(cards: Cards, lens: Lens, pose: Pose, noise: Noise) -> float:
    """Twice the negative logarithm of the likelihood, a card that stands wrong counting a fixed amount."""
    zoom = ((pose.zoom - 1.0) / noise.zoom) ** 2 if noise.zoom > 0 else 0.0
    return float(np.minimum(misfit(cards, lens, pose, noise).squared, _OUTLIER).sum()) + zoom


def _learned(cards: Cards, lens: Lens, pose: Pose, prior: Noise) -> Noise:
    """The noise that survey and picture tell together.

    Notes
    -----
    Of each card's eight numbers two lie where its desk would shift it along the floor, two where the card would turn or
    lean, and four where only pixels do. Mean squares of the first and the last correct the two variances, the stated
    ones counting as ``_TRUST`` numbers (the mean of a scaled inverse chi-squared prior); the pose took six numbers of
    the first kind.
    """
    noise = prior
    by_pixels, by_desks = 4 * len(cards), max(2 * len(cards) - 6, 1)
    for _ in range(3):
        now = misfit(cards, lens, pose, noise)
        pixel = noise.pixel_px**2 * float(now.by_pixels.sum()) / by_pixels
        desk = (
            float(now.by_shift.sum()) / by_desks * (noise.desk_m / prior.desk_m) ** 2 if prior.desk_m else 0.0
        )
        factor = math.sqrt((_TRUST + desk * by_desks) / (_TRUST + by_desks))
        noise = replace(
            noise,
            pixel_px=math.sqrt((_TRUST * prior.pixel_px**2 + by_pixels * pixel) / (_TRUST + by_pixels)),
            desk_m=prior.desk_m * factor,
            desk_rad=prior.desk_rad * factor,
        )
    return noise


def _too_little(sightings: Sequence[tuple[CardFace, Marker]], lens: Lens) -> PoseCalibration | None:
    """The verdict where cards are too few or stand too close together for a pose."""
    if len(sightings) < FEWEST_CARDS:
        return _cannot(
            PoseCause.TOO_FEW,
            f"cards seen: {len(sightings)}; at least {FEWEST_CARDS} are needed: set up more, or larger ones",
        )
    places = np.stack([face.corners.mean(axis=0)[:2] for face, _ in sightings])
    across_m = float(np.linalg.svd(places - places.mean(axis=0))[1][1]) / math.sqrt(len(places))
    if across_m < _NARROW_M:
        return _cannot(
            PoseCause.IN_A_LINE,
            f"all {len(places)} cards stand in a line ({across_m:.2f} m across it, at least {_NARROW_M:g} are needed): "
            "set up cards in other rows too",
        )
    pixels = np.concatenate([marker.corners_px for _, marker in sightings])
    try:
        share = float(ConvexHull(pixels).volume) / (lens.width_px * lens.height_px)
    except QhullError:
        share = 0.0
    if share < _CORNER_SHARE:
        return _cannot(
            PoseCause.IN_A_CORNER,
            f"all {len(places)} cards stand in {share:.0%} of the picture, at least {_CORNER_SHARE:.0%} are needed: "
            "set up cards all over it",
        )
    return None


def _cannot(cause: PoseCause, reason: str) -> PoseCalibration:
    return PoseCalibration(PoseVerdict.CANNOT_JUDGE, cause, reason)


def _described(
    camera: Camera, sightings: Sequence[tuple[CardFace, Marker]], cards: Cards, answer: _Answer
) -> PoseCalibration:
    lens, pose, used = camera.lens, answer.pose, cards.only(answer.inliers)
    # The noise itself was learned from few numbers: the covariance of Student's t with as many degrees of freedom.
    known = _TRUST + 2 * len(used) - 6
    full = covariance_of(used, lens, pose, answer.noise) * (known / (known - 2))
    loose_cm = 200 * math.sqrt(float(np.linalg.eigvalsh(full[:3, :3])[-1]))
    if not loose_cm <= _LOOSE_CM:
        return _cannot(
            PoseCause.LOOSE,
            f"the {len(used)} cards leave the camera's place open by {loose_cm:.0f} cm, more than {_LOOSE_CM:g}: set "
            "up more cards, all over the picture, or measure the desks better",
        )
    left = misfit(used, lens, pose, answer.noise).left_px
    rms_px = math.sqrt(float((left**2).sum(axis=2).mean()))
    held_out_cm = _held_out_cm(used, lens, answer)
    found = posed(camera, pose.position_m, pose.rotation)
    refined = replace(zoomed(lens, pose.zoom), note=f"{lens.note}; refined by {len(used)} desk cards")
    turn = pose.rotation[2] @ axes(camera).T
    fits = _card_fits(sightings, cards, lens, pose)
    # Of those that do not fit: a marker that was found badly, or one in another place.
    doubtful = replace(answer.noise, pixel_px=_BAD_CORNER_PX)
    elsewhere = ~answer.inliers & (misfit(cards, lens, pose, doubtful).squared > _OUTLIER)
    verdict, cause, reason = PoseVerdict.GOOD, None, ""
    if rms_px > MOST_RMS_PX:
        verdict, cause = PoseVerdict.POOR, PoseCause.RESIDUALS
        reason = (
            f"markers are {rms_px:.1f} px from the shape that they should have, more than {MOST_RMS_PX:g}: check the "
            "lens, the picture's size and the printed size of the markers"
        )
    elif not held_out_cm <= MOST_HELD_OUT_CM:
        verdict, cause = PoseVerdict.POOR, PoseCause.HELD_OUT
        reason = (
            f"cards that were left out stand {held_out_cm:.1f} cm from where the pose puts them, more than "
            f"{MOST_HELD_OUT_CM:g}: measure the desks anew, or check that each card stands in its place"
        )
    return PoseCalibration(
        verdict,
        cause,
        reason,
        camera=with_covariance(replace(found, lens=refined), full),
        covariance=full,
        inliers=_worst_first(fits, answer.inliers),
        outliers=_worst_first(fits, elsewhere),
        unsharp=_worst_first(fits, ~answer.inliers & ~elsewhere),
        rms_px=rms_px,
        held_out_cm=held_out_cm,
        desk_cm=100 * answer.noise.desk_m,
        printed=pose.printed,
        zoom=pose.zoom,
        zoom_sd=pose.zoom * math.sqrt(float(full[6, 6])),
        pan_deg=math.degrees(math.atan2(float(turn[0]), float(turn[2]))),
        tilt_deg=math.degrees(math.atan2(-float(turn[1]), float(turn[2]))),
        roll_deg=math.degrees(float(change_between(camera, found)[5])),
        moved_cm=_centimetres(pose.position_m - np.asarray(camera.position_m)),
    )


def _centimetres(metres: Array) -> tuple[float, float, float]:
    return (100 * float(metres[0]), 100 * float(metres[1]), 100 * float(metres[2]))


def _worst_first(fits: Sequence[CardFit], which: Flags) -> tuple[CardFit, ...]:
    chosen = [one for one, ok in zip(fits, which, strict=True) if ok]
    return tuple(sorted(chosen, key=lambda one: -one.off_px))


def _held_out_cm(cards: Cards, lens: Lens, answer: _Answer) -> float:
    """Each card left out in its turn, up to a tenth of them at once; the root mean square of how far off they are."""
    folds = min(_FOLDS, len(cards))
    # By turns, so that no fold takes all cards of one part of the room.
    fold = np.arange(len(cards)) % folds
    poses = [
        fit(cards.only(fold != number), lens, answer.pose, answer.noise, robust=False)
        for number in range(folds)
    ]
    stands = _stands_at(cards, lens, [poses[number] for number in fold])
    off = np.linalg.norm(stands - cards.middles_m[:, :2], axis=1)
    return 100 * math.sqrt(float((off**2).mean()))


def _stands_at(cards: Cards, lens: Lens, poses: Sequence[Pose]) -> Array:
    """(N, 2) where in the room the cards' middles are seen by a pose each, at the heights that they have.

    Nan where a sight meets no such height.
    """
    middle = np.asarray(lens.centre_px)
    zoom = np.array([pose.zoom for pose in poses])[:, None]
    # A picture zoomed is one of the stated lens, stretched about its middle.
    rays = lens.unproject(middle + (cards.seen_px.mean(axis=1) - middle) / zoom)
    sight = np.einsum("ni,nij->nj", rays, np.stack([pose.rotation for pose in poses]))
    position = np.stack([pose.position_m for pose in poses])
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (cards.middles_m[:, 2] - position[:, 2]) / sight[:, 2]
        place = position[:, :2] + far[:, None] * sight[:, :2]
    return np.where(((far > 0) & np.isfinite(far))[:, None], place, np.nan)


def _card_fits(
    sightings: Sequence[tuple[CardFace, Marker]], cards: Cards, lens: Lens, pose: Pose
) -> list[CardFit]:
    expected = cards.expected_px(lens, pose)
    stands = _stands_at(cards, lens, [pose] * len(cards))
    off_px = np.linalg.norm(cards.seen_px - expected, axis=2).mean(axis=1)
    off_cm = 100 * np.linalg.norm(stands - cards.middles_m[:, :2], axis=1)
    return [
        CardFit(
            label=face.label,
            marker_id=face.marker_id,
            seen_px=marker.corners_px,
            expected_px=expected[index],
            off_px=float(off_px[index]),
            off_cm=float(off_cm[index]) if math.isfinite(off_cm[index]) else None,
            stands_at_m=(float(stands[index, 0]), float(stands[index, 1]))
            if math.isfinite(off_cm[index])
            else None,
        )
        for index, (face, marker) in enumerate(sightings)
    ]
