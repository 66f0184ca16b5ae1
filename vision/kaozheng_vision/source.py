"""Where a camera's stream comes from, with its credentials kept apart from its address."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from kaozheng_vision.errors import VisionError

# Their registered ports: RFC 7826 (rtsp, rtsps); an ONVIF device service answers where the web pages do.
PORTS = {"rtsp": 554, "rtsps": 322, "onvif": 80}
SCHEMES = (*PORTS, "file")
HIDDEN = "****"

_LOGIN = re.compile(r"//[^/@\s]*@")

# Some devices write the login into the path or query of the stream address that they give out, such as
# /user=admin&password=secret&channel=1&stream=0.sdp, or with _ for &.
_WRITTEN_SECRET = re.compile(
    r"(?i)(?<![a-z])(user(?:name)?|usr|pass(?:word|wd)?|pwd|auth|token|key)="
    r"((?:(?!_(?:user|pass|pwd|channel|stream))[^&/?;#\s])+)"
)


@dataclass(frozen=True, slots=True)
class Source:
    """An ``rtsp://``, ``rtsps://``, ``onvif://`` or ``file://`` stream. A file is looped at native speed.

    ``onvif://host:port`` names a device, ``onvif://host:port/PROFILE`` one of its profiles by token or by
    number from 1 on; ``kaozheng_vision.onvif`` asks it for its RTSP stream.

    Attributes
    ----------
    url : never holds credentials, so it can be logged and printed as it is; a login in its path or query is hidden
    certificate : PEM file with the camera's own certificate, the only one that ``rtsps://`` then accepts;
        without it the certificate must be one that this machine trusts; a device's is for its stream
    address : what to open instead of ``url``, where the stream's own path or query holds a login

    Raises
    ------
    VisionError : an unknown scheme, no host or an impossible port, or credentials inside the URL
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    address: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.address is None and "@" not in urlsplit(self.url).netloc and written_secrets(self.url):
            # Some cameras take their login in the path: it is opened as it is, and shown without.
            object.__setattr__(self, "address", self.url)
            object.__setattr__(self, "url", printable(self.url))
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise VisionError(
                f"the address of {parts.hostname} carries a user name or password; name a credential instead"
            )
        if parts.scheme not in SCHEMES:
            raise VisionError(f"{self.url!r} is not a stream address; use one of {', '.join(SCHEMES)}")
        if parts.scheme in PORTS:
            if not parts.hostname:
                raise VisionError(f"{self.url!r} names no host; write it as {parts.scheme}://ADDRESS/PATH")
            try:
                _ = parts.port
            except ValueError:
                raise VisionError(f"{self.url!r} has no port between 0 and 65535 after its host") from None
        if self.certificate is not None and parts.scheme not in ("rtsps", "onvif"):
            raise VisionError(f"{self.url!r} is not encrypted, so no certificate fits; use rtsps:// with it")

    @property
    def is_file(self) -> bool:
        return self.url.startswith("file:")

    @property
    def is_device(self) -> bool:
        """Whether it is an ONVIF device, which must be asked for its stream first."""
        return self.url.startswith("onvif:")

    @property
    def is_encrypted(self) -> bool:
        return self.url.startswith("rtsps:")

    @property
    def has_secrets(self) -> bool:
        """Whether what is opened holds anything to be masked."""
        return self.username is not None or self.address is not None

    @property
    def path(self) -> Path:
        """The file of a ``file://`` source."""
        return Path(url2pathname(urlsplit(self.url).path))

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or PORTS.get(parts.scheme, 0)

    def request_url(self) -> str:
        """What is asked of a server, without the login. Never log it: ``address`` may hold secrets."""
        return self.address or self.url

    def secret_url(self) -> str:
        """What a demuxer opens: a path, or the URL with its credentials. Never log, print or store it."""
        if self.is_file:
            return str(self.path)
        if self.is_device:
            raise VisionError(f"{self.url} is a device, not a stream; ask it for its stream first")
        if self.username is None:
            return self.request_url()
        parts = urlsplit(self.request_url())
        user = quote(self.username, safe="")
        secret = f"{user}:{quote(self.password, safe='')}" if self.password is not None else user
        return urlunsplit(parts._replace(netloc=f"{secret}@{parts.netloc}"))

    def mask(self, text: str) -> str:
        """``text`` with this source's secrets replaced, for messages of a demuxer or of ffmpeg."""
        masked = text
        if not self.is_device:
            masked = masked.replace(self.secret_url(), self.url)
        if self.address is not None:
            masked = masked.replace(self.address, self.url)
        for secret in (self.password, *written_secrets(self.address or "")):
            for form in {secret, quote(secret or "", safe=""), unquote(secret or "")}:
                if form:
                    masked = masked.replace(form, HIDDEN)
        return _LOGIN.sub(f"//{HIDDEN}@", masked)


def without_login(url: str) -> str:
    """``url`` without ``user:password@``."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def printable(url: str) -> str:
    """``url`` without ``user:password@`` and with what its path and query say of a login hidden."""
    return _WRITTEN_SECRET.sub(rf"\1={HIDDEN}", without_login(url))


def written_secrets(url: str) -> tuple[str, ...]:
    """The values that ``printable`` hides, of the path and query."""
    return tuple(
        match.group(2)
        for match in _WRITTEN_SECRET.finditer(without_login(url))
        if not match.group(1).lower().startswith("us")
    )
