"""Where a camera's stream comes from, with its credentials kept apart from its address."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import url2pathname

from kaozheng_vision.errors import VisionError

SCHEMES = ("rtsp", "rtsps", "file")


@dataclass(frozen=True, slots=True)
class Source:
    """An ``rtsp://``, ``rtsps://`` or ``file://`` stream. A file is looped at native speed: for rehearsals.

    ``url`` never holds credentials, so it can be logged and printed as it is.

    Raises
    ------
    VisionError : an unknown scheme, or credentials inside the URL
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise VisionError(
                f"the address of {parts.hostname} carries a user name or password; name a credential instead"
            )
        if parts.scheme not in SCHEMES:
            raise VisionError(f"{self.url!r} is not a stream address; use one of {', '.join(SCHEMES)}")

    @property
    def is_file(self) -> bool:
        return self.url.startswith("file:")

    @property
    def path(self) -> Path:
        """The file of a ``file://`` source."""
        return Path(url2pathname(urlsplit(self.url).path))

    def secret_url(self) -> str:
        """What a demuxer opens: a path, or the URL with its credentials. Never log, print or store it."""
        if self.is_file:
            return str(self.path)
        if self.username is None:
            return self.url
        parts = urlsplit(self.url)
        user = quote(self.username, safe="")
        secret = f"{user}:{quote(self.password, safe='')}" if self.password is not None else user
        return urlunsplit(parts._replace(netloc=f"{secret}@{parts.netloc}"))

    def mask(self, text: str) -> str:
        """``text`` with this source's secrets replaced, for messages of a demuxer or of ffmpeg."""
        masked = text.replace(self.secret_url(), self.url)
        for secret in (self.password, quote(self.password, safe="") if self.password else None):
            if secret:
                masked = masked.replace(secret, "****")
        return masked
