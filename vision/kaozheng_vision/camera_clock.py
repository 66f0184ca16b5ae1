"""How far a camera's clock is from ours, with the round trip taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ClockSource(StrEnum):
    """What told the camera's time, the best first."""

    ONVIF = "onvif"  # GetSystemDateAndTime: whole seconds
    RTCP = "rtcp"  # sender reports: the wall clock of each picture
    RTSP = "rtsp"  # the Date header of its answers: whole seconds


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Camera's clock minus ours, seconds; ``error_s`` bounds it either way, None where nothing bounds it."""

    offset_s: float
    error_s: float | None
    source: ClockSource


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with a time in whole seconds; all three are seconds since 1970, the first two on our clock."""

    sent_s: float
    received_s: float
    camera_s: float


def from_whole_seconds(answers: Sequence[Answer], source: ClockSource) -> ClockReading | None:
    """The offset that all answers agree on.

    Notes
    -----
    A clock that shows ``camera_s`` in whole seconds stood somewhere in [camera_s, camera_s + 1) at some moment
    between sending and receiving. So each answer bounds the offset by [camera_s - received_s,
    camera_s + 1 - sent_s]; the intersection over answers spread within a second is as narrow as their
    spacing plus the round trip (Marzullo's interval intersection, as in NTP: RFC 5905, 11.2.1). Answers that
    contradict each other give the middle, and an error that covers them all.
    """
    if not answers:
        return None
    lows = [answer.camera_s - answer.received_s for answer in answers]
    highs = [answer.camera_s + 1.0 - answer.sent_s for answer in answers]
    low, high = max(lows), min(highs)
    if low > high:
        low, high = min(lows), max(highs)
    return ClockReading((low + high) / 2, (high - low) / 2, source)


def from_sender_reports(
    pictures: Sequence[tuple[float, float]], round_trip_s: float, frame_s: float
) -> ClockReading | None:
    """The offset by the wall clock that RTCP sender reports give to pictures.

    Parameters
    ----------
    pictures : (its time on the camera's clock, its arrival on ours), seconds since 1970
    round_trip_s : of a request and its answer on the same connection; half of it is taken out
    frame_s : from picture to picture: FFmpeg hands a picture out when the next one begins (measured against
        GStreamer's server on one machine: 40.5 ms at 25 frames a second)

    Notes
    -----
    RFC 3550, 6.4.1. The picture that was least delayed counts. What the camera itself takes from exposure to
    sending is not known and makes its clock look late by as much, so no error is given.
    """
    if not pictures:
        return None
    least_delayed_s = max(camera_s - arrival_s for camera_s, arrival_s in pictures)
    return ClockReading(least_delayed_s + round_trip_s / 2 + frame_s, None, ClockSource.RTCP)
