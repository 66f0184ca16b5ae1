"""First diagnosis of a picture: is it black, dark, blown out, blurred, or frozen?

Every threshold was measured on real indoor footage: 141 frames of four fixed cameras (three of them
watch people at work, one a classroom against a bright window; intel-iot-devkit/sample-videos), as they
are and with a fault put in (brightness x 0.1, x 0.2 and x 3; Gaussian blur of sigma 3 to 16 px at a width of
1920). ``tests/vision/test_diagnose.py`` holds them against that footage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# All numbers are taken at this width, so that one threshold serves every resolution.
WIDTH_PX = 640
# Cameras burn the date and their name into the top or the bottom line: 1/10 of the height each holds them.
CAPTION_BAND = 0.1


class Fault(StrEnum):
    """What can be wrong with a picture by itself, without an accepted reference to compare it with."""

    BLACK = "black"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLURRED = "blurred"
    FROZEN = "frozen"


class Judgement(StrEnum):
    OK = "ok"
    FAULT = "fault"
    CANNOT_JUDGE = "cannot_judge"


# Black: 98% of the luma (0-255) is below. Real pictures have 183 and more, at a fifth of the light 36-50,
# at a tenth 18-25.
BLACK_P98 = 30.0
# Too dark: mean luma below. Real pictures 92-145, at a fifth of the light 19-28.
DARK_MEAN = 40.0
# Too bright: share of pixels at 250 and above. Real pictures 0-0.11 (a bright window),
# three times the light 0.49-0.74.
BRIGHT_SHARE = 0.3
# Blurred: variance of the Laplacian over the variance of the luma, below. Real pictures 0.0225-0.09; sigma 3
# gives 0.0046-0.016, sigma 6 0.0012-0.0044. Noise raises it: a dark picture may hide its blur.
BLURRED_RATIO = 0.008
# Standard deviation of the luma under which nothing has an edge to be blurred: a blank wall. Real pictures
# 31-74.
FLAT_DEVIATION = 8.0
# Frozen: share of pixels that change by more than 2 of 255 between keyframes, below. Measured over 2 s: whole
# real pictures 0.05 and more, the middle one of 48 tiles (people move in few) 0.0066 and more. One picture
# repeated and encoded at 1.5 Mbit/s, H.264 and H.265: up to 0.0005; at 0.3 Mbit/s under 0.002 only once the
# encoder has settled for 6 s: so a low rate can hide a freeze that has just begun.
FROZEN_SHARE = 0.002
CHANGE_LEVELS = 2
# Three pictures over two seconds: two equal ones can come from an encoder that repeats a frame.
FROZEN_FRAMES = 3
FROZEN_SPAN_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One question asked of the picture.

    ``value`` is what was measured (None: nothing could be), in the unit of ``threshold``: luma 0-255 for
    black and too_dark, a share 0-1 for too_bright and frozen, a ratio for blurred. ``reason`` says why it
    cannot be judged, and is "" otherwise.
    """

    kind: Fault
    judgement: Judgement
    value: float | None
    threshold: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding per kind of fault, in the order of :class:`Fault`."""

    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(finding.kind for finding in self.findings if finding.judgement is Judgement.FAULT)

    @property
    def judgement(self) -> Judgement:
        """FAULT if any is found, CANNOT_JUDGE if any cannot be, else OK."""
        judgements = {finding.judgement for finding in self.findings}
        return next(
            one for one in (Judgement.FAULT, Judgement.CANNOT_JUDGE, Judgement.OK) if one in judgements
        )

    def finding(self, kind: Fault) -> Finding:
        return next(finding for finding in self.findings if finding.kind is kind)


def diagnose(
    frames: Sequence[Frame], times_s: Sequence[float] = (), *, clock_mask: Mask | None = None
) -> Diagnosis:
    """Judge the pictures of one camera, a few seconds' worth.

    Parameters
    ----------
    frames : (height, width, 3) BGR pictures of one size, in order
    times_s : when each was taken, seconds; without them a frozen picture cannot be told
    clock_mask : (height, width), true where a clock or caption is burnt in; the top and bottom tenth if None

    Returns
    -------
    Diagnosis : no frames at all give CANNOT_JUDGE five times, never a pass

    Notes
    -----
    Brightness and blur are the medians over the frames.
    """
    if not frames:
        return Diagnosis(tuple(_cannot(kind, "no picture") for kind in Fault))
    greys = [_small_grey(frame) for frame in frames]
    scene = _scene(greys[0].shape[:2], clock_mask)
    lumas = [grey[scene] for grey in greys]
    black = _below(Fault.BLACK, _median(np.percentile(luma, 98) for luma in lumas), BLACK_P98)
    dark = _below(Fault.TOO_DARK, _median(luma.mean() for luma in lumas), DARK_MEAN)
    share = _median((luma >= 250).mean() for luma in lumas)
    bright = Finding(
        Fault.TOO_BRIGHT, Judgement.FAULT if share >= BRIGHT_SHARE else Judgement.OK, share, BRIGHT_SHARE
    )
    unlit = Judgement.FAULT in (black.judgement, dark.judgement)
    blurred = _cannot(Fault.BLURRED, "too dark") if unlit else _blurred(greys, scene)
    if unlit:
        frozen = _cannot(Fault.FROZEN, "too dark")
    elif blurred.judgement is Judgement.FAULT:
        # Blur smooths away the noise by which a living picture is told from a frozen one.
        frozen = _cannot(Fault.FROZEN, "blurred")
    else:
        frozen = _frozen(greys, times_s, scene)
    return Diagnosis((black, dark, bright, blurred, frozen))


def _small_grey(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    how = cv2.INTER_AREA if width > WIDTH_PX else cv2.INTER_LINEAR
    small = cv2.resize(frame, size, interpolation=how)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _scene(shape: tuple[int, ...], clock_mask: Mask | None) -> Mask:
    """Where the room is, not the caption."""
    scene = np.ones(shape, dtype=np.bool_)
    if clock_mask is None:
        band = round(shape[0] * CAPTION_BAND)
        scene[:band] = scene[shape[0] - band :] = False
    else:
        small = cv2.resize(clock_mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        scene &= np.asarray(small) == 0
    return scene


def _blurred(greys: Sequence[Frame], scene: Mask) -> Finding:
    lumas = [grey[scene].astype(np.float64) for grey in greys]
    if _median(luma.std() for luma in lumas) < FLAT_DEVIATION:
        return _cannot(Fault.BLURRED, "the picture is flat: nothing in it has an edge")
    ratio = _median(
        cv2.Laplacian(grey, cv2.CV_64F)[scene].var() / max(luma.var(), 1e-9)
        for grey, luma in zip(greys, lumas, strict=True)
    )
    return _below(Fault.BLURRED, ratio, BLURRED_RATIO)


def _frozen(greys: Sequence[Frame], times_s: Sequence[float], scene: Mask) -> Finding:
    if len(greys) < FROZEN_FRAMES or len(times_s) != len(greys) or times_s[-1] - times_s[0] < FROZEN_SPAN_S:
        return _cannot(Fault.FROZEN, f"needs {FROZEN_FRAMES} pictures over {FROZEN_SPAN_S:g} s")
    changed = max(
        float((cv2.absdiff(earlier, later)[scene] > CHANGE_LEVELS).mean())
        for earlier, later in pairwise(greys)
    )
    return _below(Fault.FROZEN, changed, FROZEN_SHARE)


_THRESHOLDS = {
    Fault.BLACK: BLACK_P98,
    Fault.TOO_DARK: DARK_MEAN,
    Fault.TOO_BRIGHT: BRIGHT_SHARE,
    Fault.BLURRED: BLURRED_RATIO,
    Fault.FROZEN: FROZEN_SHARE,
}


def _below(kind: Fault, value: float, threshold: float) -> Finding:
    return Finding(kind, Judgement.FAULT if value < threshold else Judgement.OK, value, threshold)


def _cannot(kind: Fault, reason: str) -> Finding:
    return Finding(kind, Judgement.CANNOT_JUDGE, None, _THRESHOLDS[kind], reason)


def _median(values: object) -> float:
    return float(np.median(np.fromiter(values, dtype=np.float64)))  # type: ignore[call-overload]
