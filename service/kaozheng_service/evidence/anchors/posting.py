"""One HTTP POST to an authority or a witness: bounded in time and size, redirects not followed."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kaozheng_service.alarms.channel import (
    STEP_S,
    WHOLE_S,
    DeliveryError,
    connection_trouble,
    ended_in_time,
    shut,
    tls_context,
)
from kaozheng_service.errors import ServiceError

# A time stamp with its certificates is some 6 kB.
MOST_BYTES = 200_000


class AnchorError(ServiceError):
    """A head was not anchored; the message says by whom and why. ``refused``: the other side contradicts our log."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content_type: str
    body: bytes


def post(who: str, url: str, body: bytes, content_type: str, certificate: Path | None) -> Reply:
    """Send ``body`` and return the answer, whatever its status.

    Parameters
    ----------
    who : names the other side in messages
    certificate : PEM file that an https server is trusted by instead of the system's

    Raises
    ------
    AnchorError : no answer in time, or one that is too long
    """
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    host = parts.hostname or ""
    try:
        if parts.scheme == "https":
            context = tls_context(certificate)
            connection = http.client.HTTPSConnection(host, parts.port, timeout=STEP_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=STEP_S)
    except DeliveryError as error:
        raise AnchorError(f"{who}: {error}") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": content_type, "User-Agent": "kaozheng", "Connection": "close"}
    try:
        with ended_in_time(lambda: shut(connection.sock), WHOLE_S):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            read = answer.read(MOST_BYTES + 1)
    except OSError as error:
        raise AnchorError(f"{who}: {connection_trouble(error)}") from None
    except http.client.HTTPException as error:
        raise AnchorError(f"{who}: its answer is no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
    if len(read) > MOST_BYTES:
        raise AnchorError(f"{who}: its answer is longer than {MOST_BYTES} bytes")
    return Reply(answer.status, answer.headers.get_content_type(), read)
