"""The ways in which a camera's stream can fail, told apart so that each has its own mend."""

from __future__ import annotations

from enum import StrEnum

from kaozheng_vision.errors import VisionError


class Failure(StrEnum):
    """Why a stream cannot be used."""

    NAME = "name"  # the host name cannot be resolved
    REFUSED = "refused"  # the host is there, nothing listens
    UNREACHABLE = "unreachable"  # no route, host down
    TIMEOUT = "timeout"  # no answer in time
    CERTIFICATE = "certificate"  # rtsps, and nothing vouches for who answers
    AUTH = "auth"
    NOT_FOUND = "not_found"
    REDIRECT = "redirect"  # sent to another host, which must not get the login
    PROTOCOL = "protocol"  # an answer that is no RTSP or ONVIF, or an error of the camera's own
    NO_VIDEO = "no_video"
    NO_KEYFRAME = "no_keyframe"
    UNDECODABLE = "undecodable"
    ZERO_SIZE = "zero_size"  # pictures of no width or height
    SIZE_CHANGES = "size_changes"  # pictures of several sizes in one stream
    STALLED = "stalled"  # described, then no packet, or no more of them


class StreamError(VisionError):
    """A stream that failed in a known way; the message says where and what to do, and holds no secret."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class BusyError(StreamError):
    """A server that says it cannot just now (a status of 500 and more): it may a moment later."""
