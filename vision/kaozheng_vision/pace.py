"""A stream's pace, from the time stamps and arrivals of its pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def frames_per_second(times_s: Sequence[float], keyframe_times_s: Sequence[float]) -> float | None:
    """Frames a second over whole groups of pictures: at either end B-frames may not have come yet."""
    ordered = np.sort(np.asarray(times_s, dtype=np.float64))
    if len(keyframe_times_s) > 1 and keyframe_times_s[-1] > keyframe_times_s[0]:
        begin, end = np.searchsorted(ordered, [keyframe_times_s[0], keyframe_times_s[-1]])
        return float((end - begin) / (keyframe_times_s[-1] - keyframe_times_s[0]))
    span_s = float(ordered[-1] - ordered[0]) if len(ordered) > 1 else 0.0
    return (len(ordered) - 1) / span_s if span_s > 0 else None


def jitter_ms(times_s: Sequence[float], arrivals_s: Sequence[float]) -> float | None:
    """Standard deviation of arrival against time stamp.

    Without the packets that were stored while the stream was being opened, which come at once and late: it
    counts from the first one on that is no more than a frame later than is usual in the second half.
    """
    times: npt.NDArray[np.float64] = np.asarray(times_s, dtype=np.float64)
    arrivals: npt.NDArray[np.float64] = np.asarray(arrivals_s, dtype=np.float64)
    if len(times) < 3:
        return None
    frame_s = (times.max() - times.min()) / (len(times) - 1)
    # B-frames carry their time stamps out of order; sorted, the n-th packet belongs to the n-th instant.
    lag_s = arrivals - np.sort(times)
    usual_s = float(np.median(lag_s[len(lag_s) // 2 :]))
    lag_s = lag_s[int(np.argmax(lag_s <= usual_s + frame_s)) :]
    return float(lag_s.std() * 1000) if len(lag_s) >= 3 else None


def group_s(keyframe_times_s: Sequence[float]) -> float | None:
    """Median time from keyframe to keyframe (GOP), seconds."""
    gaps_s = np.diff(np.asarray(keyframe_times_s, dtype=np.float64))
    return float(np.median(gaps_s)) if len(gaps_s) else None
