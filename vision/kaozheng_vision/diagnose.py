"""Diagnosis of a camera's picture, by itself and against the view that was accepted for it.

Every threshold was measured on real indoor footage (four cameras; three watch people at work, one a classroom
against a bright window; intel-iot-devkit/sample-videos), as it is and with faults put in, encoded again at qualities
from poor to good. ``tests/vision/test_diagnose.py`` holds them against that footage, ``make bench`` over a camera-day.
"Untouched" and "put in" beside a threshold are the extremes that were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np
from kaozheng_coverage.lens import Lens

from kaozheng_vision.drift import Drift
from kaozheng_vision.measure import Comparison, Measures, measure
from kaozheng_vision.picture import Frame, Mask, Picture, make_picture
from kaozheng_vision.reference import Light, Reference, light_of

__all__ = ["Diagnosis", "Fault", "Finding", "Frame", "Judgement", "Look", "diagnose", "judge_looks", "look"]


class Fault(StrEnum):
    """What can be wrong with a camera's picture. The last three need an accepted view to compare with."""

    LOST = "lost"
    BLACK = "black"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLURRED = "blurred"
    FROZEN = "frozen"
    NOISY = "noisy"
    COVERED = "covered"
    COLOUR_CAST = "colour_cast"
    MOVED = "moved"


class Judgement(StrEnum):
    """``NOT_COMPARED``: nothing was accepted yet that it could be compared with."""

    OK = "ok"
    FAULT = "fault"
    CANNOT_JUDGE = "cannot_judge"
    NOT_COMPARED = "not_compared"


# Black: 98% of the luma (0-255) is below. Untouched 183 and more; at a fifth of the light 36-50, at a tenth 18-25.
BLACK_P98 = 30.0
# Too dark: mean luma below. Untouched 92-145, at a fifth of the light 13-30.
DARK_MEAN = 40.0
# Too bright: share of pixels at 250 and above. Untouched 0-0.11 (a bright window), three times the light 0.37-0.88.
BRIGHT_SHARE = 0.3
# Blurred: variance of the Laplacian over the variance of the luma, below. Untouched 0.0158-0.09; a blur of sigma 6 px
# at a width of 1920 gives 0.0012-0.0044.
BLURRED_RATIO = 0.008
# Against the accepted view: fine detail where the same is seen. Untouched 0.89-1.03; sigma 4 to 16 px 0.30-0.69.
BLURRED_SHARE = 0.75
# Standard deviation of the luma under which nothing has an edge to be blurred: a blank wall. Untouched 31-74.
FLAT_DEVIATION = 8.0
# Frozen: share of pixels that change by more than 2 of 255 between keyframes, below. Measured over 2 s: whole real
# pictures 0.05 and more, the middle one of 48 tiles (people move in few) 0.0066 and more. One picture repeated and
# encoded at 1.5 Mbit/s, H.264 and H.265: up to 0.0005; at 0.3 Mbit/s under 0.002 only once the encoder has settled
# for 6 s: so a low rate can hide a freeze that has just begun.
FROZEN_SHARE = 0.002
CHANGE_LEVELS = 2
# Three pictures over two seconds: two equal ones can come from an encoder that repeats a frame.
FROZEN_FRAMES = 3
FROZEN_SPAN_S = 2.0
# Noisy: standard deviation of the noise at the small width, levels, from the smoothest tiles. Untouched 0.05-0.34;
# sigma 18 to 35 put into small footage and encoded 0.65-10. With an accepted view the lower threshold holds, where fine
# detail has risen too (untouched up to 1.03, noise 1.28 and more): a camera that was focused better has no noise.
NOISE_LEVELS = 1.5
NOISE_LEVELS_COMPARED = 0.5
NOISE_DETAIL = 1.2
# Covered: share of the picture, at and above. Untouched 0-0.06 (a man in black before the camera), also with half of
# the lamps off; half the picture and more hidden 0.45-1, less where that half was plain wall.
COVERED_SHARE = 0.25
# Colour cast: share by which one of blue, green and red became stronger against another, at grey. Untouched, and with
# contrast 0.7 to 1.3, saturation 0.8, gamma 0.7 to 1.4 or haze, 0-0.19; blue and red off by 15% and 8%, as a white
# balance drifts, 0.20-0.30; a channel at 0.7 of what it was 0.42-0.51, at 1.4 times 0.23-0.43, stuck at full over 1.
CAST_SHARE = 0.31
# Moved: degrees. Untouched up to 0.06; 0.3 to 3 degrees put in are measured within 0.1.
MOVED_DEG = 0.2
# A picture with this much structure, in which nothing of the accepted view is found again, shows something else.
ALIKE = 0.5
# And of the accepted view's structure less than this share shows the same. Untouched 0.69 and more, another view
# 0-0.05, with lettering all over it up to 0.14 in a room full of things (on plain walls more: state it as captions).
SAME_SHARE = 0.2

# A fault is over, when the number is better than its threshold by this factor: values near it would flicker else.
HYSTERESIS = 0.8

_THRESHOLDS = {
    Fault.LOST: 1.0,
    Fault.BLACK: BLACK_P98,
    Fault.TOO_DARK: DARK_MEAN,
    Fault.TOO_BRIGHT: BRIGHT_SHARE,
    Fault.BLURRED: BLURRED_RATIO,
    Fault.FROZEN: FROZEN_SHARE,
    Fault.NOISY: NOISE_LEVELS,
    Fault.COVERED: COVERED_SHARE,
    Fault.COLOUR_CAST: CAST_SHARE,
    Fault.MOVED: MOVED_DEG,
}
_FAULTY_BELOW = frozenset({Fault.LOST, Fault.BLACK, Fault.TOO_DARK, Fault.BLURRED, Fault.FROZEN})
COMPARING = (Fault.COVERED, Fault.COLOUR_CAST, Fault.MOVED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One question asked of the picture.

    ``value`` is what was measured (None: nothing could be), in the unit of ``threshold``: pictures for lost, luma
    0-255 for black and too_dark, a share 0-1 for too_bright, frozen and covered, the share of change of one colour
    against another for colour_cast, a ratio for blurred, levels for noisy, degrees for moved. ``reason`` says why it
    cannot be judged, or what a fault without a number is, and is "" otherwise.
    """

    kind: Fault
    judgement: Judgement
    value: float | None
    threshold: float
    reason: str = ""

    @property
    def clear(self) -> bool:
        """Whether it is good beyond the threshold, so that an alarm may end."""
        if self.judgement is not Judgement.OK or self.value is None:
            return False
        if self.kind in _FAULTY_BELOW:
            return self.value * HYSTERESIS >= self.threshold
        return self.value <= self.threshold * HYSTERESIS


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding per kind of fault, in the order of :class:`Fault`; ``drift`` where a turn could be measured."""

    findings: tuple[Finding, ...]
    light: Light | None = None
    drift: Drift | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(finding.kind for finding in self.findings if finding.judgement is Judgement.FAULT)

    @property
    def judgement(self) -> Judgement:
        """FAULT if any is found, CANNOT_JUDGE if any cannot be, else OK; what was not compared does not count."""
        judgements = {finding.judgement for finding in self.findings}
        return next(
            (one for one in (Judgement.FAULT, Judgement.CANNOT_JUDGE, Judgement.OK) if one in judgements),
            Judgement.NOT_COMPARED,
        )

    @property
    def compared(self) -> bool:
        """Whether there was an accepted view to compare with."""
        return all(finding.judgement is not Judgement.NOT_COMPARED for finding in self.findings)

    def finding(self, kind: Fault) -> Finding:
        return next(finding for finding in self.findings if finding.kind is kind)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One picture, measured. ``missing`` says why it was not compared, or not with a view of its light; else ""."""

    at_s: float | None
    picture: Picture
    measures: Measures
    missing: str = ""


def diagnose(
    frames: Sequence[Frame],
    times_s: Sequence[float] = (),
    *,
    clock_mask: Mask | None = None,
    references: Sequence[Reference] = (),
    lens: Lens | None = None,
) -> Diagnosis:
    """Judge the pictures of one camera, a few seconds' worth.

    Parameters
    ----------
    frames : (height, width, 3) BGR pictures of one size, in order
    times_s : when each was taken, seconds; without them a frozen picture cannot be told
    clock_mask : (height, width), true where a clock or caption is burnt in; the top and bottom tenth if None
    references : views accepted for this camera, at most one by day and one by infra-red
    lens : of this camera, so that a turn is measured in true degrees

    Returns
    -------
    Diagnosis : no frames, or frames of zero size, are a lost picture and nothing else can be judged, never a pass

    Raises
    ------
    VisionError : a clock mask of another size than the picture

    Notes
    -----
    All numbers are medians over the frames.
    """
    timed = len(times_s) == len(frames)
    return judge_looks(
        [
            look(
                frame,
                times_s[index] if timed else None,
                clock_mask=clock_mask,
                references=references,
                lens=lens,
            )
            for index, frame in enumerate(frames)
            if frame.size
        ],
        compared=bool(references),
    )


def look(
    frame: Frame,
    at_s: float | None,
    *,
    clock_mask: Mask | None = None,
    references: Sequence[Reference] = (),
    lens: Lens | None = None,
) -> Look:
    """Measure one picture against the accepted view of its light."""
    picture = make_picture(frame, clock_mask)
    light = light_of(picture)
    reference = next((one for one in references if one.light is light), None)
    missing = ""
    if references and reference is None:
        # A grey cloth looks like infra-red: what does not need colours is compared all the same.
        reference = references[0]
        missing = f"no view was accepted by {'infra-red light' if light is Light.INFRARED else 'daylight'}"
    if reference is not None and reference.picture.grey.shape != picture.grey.shape:
        old = reference.picture
        missing = (
            f"the accepted view has {old.width_px} x {old.height_px} and this picture {picture.width_px} x "
            f"{picture.height_px}: another shape; it may be another camera's"
        )
        reference = None
    return Look(at_s, picture, measure(picture, reference, lens), missing)


def judge_looks(looks: Sequence[Look], *, compared: bool) -> Diagnosis:
    """Judge looks at one camera; ``compared`` says whether a view was accepted for it.

    What one fault hides is not guessed: a dark picture hides blur, a covered one whether the camera was turned.
    """
    if not looks:
        lost = Finding(Fault.LOST, Judgement.FAULT, 0.0, 1.0)
        return Diagnosis((lost, *(_cannot(kind, "no picture") for kind in Fault if kind is not Fault.LOST)))
    measures = [one.measures for one in looks]
    found = {Fault.LOST: Finding(Fault.LOST, Judgement.OK, float(len(looks)), 1.0)}

    def put(finding: Finding) -> bool:
        found[finding.kind] = finding
        return finding.judgement is Judgement.FAULT

    black = put(_judged(Fault.BLACK, _median(one.p98 for one in measures)))
    dark = put(_judged(Fault.TOO_DARK, _median(one.mean for one in measures)))
    bright = put(_judged(Fault.TOO_BRIGHT, _median(one.bright for one in measures)))
    unlit = "too dark" if black or dark else ""
    against = [one.against for one in measures if one.against is not None]
    blurred = put(_blurred(measures, against, unlit))
    # Blur smooths away the noise by which a living picture is told from a frozen one.
    hidden = unlit or ("blurred" if blurred else "")
    put(_cannot(Fault.FROZEN, hidden) if hidden else _frozen(looks))
    put(_cannot(Fault.NOISY, unlit) if unlit else _noisy(measures, against))
    hidden = unlit or ("too bright" if bright else "")
    drift = None
    if not compared:
        for kind in COMPARING:
            put(Finding(kind, Judgement.NOT_COMPARED, None, _THRESHOLDS[kind], "no view was accepted yet"))
    elif hidden or not against:
        for kind in COMPARING:
            put(_cannot(kind, hidden or looks[-1].missing or "the accepted view cannot be used"))
    else:
        other_light = looks[-1].missing
        put(
            _cannot(Fault.COLOUR_CAST, other_light)
            if other_light
            else _compared(Fault.COLOUR_CAST, [one.cast for one in against], measures[-1].light)
        )
        covered = put(_compared(Fault.COVERED, [one.covered for one in against]))
        drift = _middle_drift([one.drift for one in against])
        put(_moved(against, drift, "blurred" if blurred else "covered" if covered else "", other_light))
    return Diagnosis(tuple(found[kind] for kind in Fault), measures[-1].light, drift)


def _blurred(measures: Sequence[Measures], against: Sequence[Comparison], unlit: str) -> Finding:
    if unlit:
        return _cannot(Fault.BLURRED, unlit)
    if _median(one.deviation for one in measures) < FLAT_DEVIATION:
        return _cannot(Fault.BLURRED, "the picture is flat: nothing in it has an edge")
    alone = _judged(Fault.BLURRED, _median(one.edges for one in measures))
    sharpness = _known([one.sharpness for one in against])
    if alone.judgement is Judgement.FAULT or sharpness is None:
        return alone
    judgement = Judgement.FAULT if sharpness < BLURRED_SHARE else Judgement.OK
    return Finding(Fault.BLURRED, judgement, sharpness, BLURRED_SHARE)


def _frozen(looks: Sequence[Look]) -> Finding:
    times_s = [one.at_s for one in looks if one.at_s is not None]
    last_s = times_s[-1] - times_s[0] if times_s else 0.0
    if len(looks) < FROZEN_FRAMES or len(times_s) != len(looks) or last_s < FROZEN_SPAN_S:
        return _cannot(Fault.FROZEN, f"needs {FROZEN_FRAMES} pictures over {FROZEN_SPAN_S:g} s")
    if len({one.picture.grey.shape for one in looks}) > 1:
        return _cannot(Fault.FROZEN, "the picture's size changed")
    return _judged(Fault.FROZEN, max(_changed(one.picture, next_.picture) for one, next_ in pairwise(looks)))


def _changed(earlier: Picture, later: Picture) -> float:
    difference = cv2.absdiff(earlier.grey, later.grey)[later.scene]
    return float(np.count_nonzero(difference > CHANGE_LEVELS) / max(difference.size, 1))


def _noisy(measures: Sequence[Measures], against: Sequence[Comparison]) -> Finding:
    noise = _median(one.noise for one in measures)
    detail = _known([one.sharpness for one in against])
    if detail is None:
        return _judged(Fault.NOISY, noise)
    noisy = noise >= NOISE_LEVELS or (noise >= NOISE_LEVELS_COMPARED and detail >= NOISE_DETAIL)
    judgement = Judgement.FAULT if noisy else Judgement.OK
    return Finding(
        Fault.NOISY, judgement, noise, NOISE_LEVELS_COMPARED if detail >= NOISE_DETAIL else NOISE_LEVELS
    )


def _compared(kind: Fault, values: Sequence[float | None], light: Light = Light.DAY) -> Finding:
    if light is Light.INFRARED:
        return _cannot(kind, "an infra-red picture has no colours")
    value = _known(values)
    return _cannot(kind, "too little of the accepted view is seen") if value is None else _judged(kind, value)


def _moved(against: Sequence[Comparison], drift: Drift | None, hidden: str, other_light: str) -> Finding:
    if hidden:
        return _cannot(Fault.MOVED, hidden)
    same, alike = _median(one.same for one in against), _median(one.alike for one in against)
    if drift is not None and (same >= SAME_SHARE or drift.angle_deg >= MOVED_DEG):
        return _judged(Fault.MOVED, drift.angle_deg)
    # Lettering that a camera burns in stands still whatever it shows: a turn of nothing, in which nothing is the same.
    if alike >= ALIKE and same < SAME_SHARE and not other_light:
        return Finding(
            Fault.MOVED,
            Judgement.FAULT,
            None,
            MOVED_DEG,
            "nothing of the accepted view is found again: turned far, or another camera's view",
        )
    return _cannot(Fault.MOVED, other_light or "too little of the accepted view is seen")


def _middle_drift(drifts: Sequence[Drift | None]) -> Drift | None:
    """The one of the middle angle, if most pictures have one."""
    measured = sorted((one for one in drifts if one is not None), key=lambda one: one.angle_deg)
    return measured[len(measured) // 2] if 2 * len(measured) > len(drifts) else None


def _judged(kind: Fault, value: float) -> Finding:
    threshold = _THRESHOLDS[kind]
    faulty = value < threshold if kind in _FAULTY_BELOW else value >= threshold
    return Finding(kind, Judgement.FAULT if faulty else Judgement.OK, value, threshold)


def _cannot(kind: Fault, reason: str) -> Finding:
    return Finding(kind, Judgement.CANNOT_JUDGE, None, _THRESHOLDS[kind], reason)


def _known(values: Sequence[float | None]) -> float | None:
    """The median of those that could be measured, if most could."""
    measured = [value for value in values if value is not None]
    return float(np.median(measured)) if 2 * len(measured) > len(values) else None


def _median(values: Iterable[float]) -> float:
    return float(np.median(np.fromiter(values, dtype=np.float64)))
