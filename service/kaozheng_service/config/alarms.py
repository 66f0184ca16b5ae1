"""The site file's section ``alarms``: what is told, and by which channels. Secrets stand outside the file."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from kaozheng_service.config.fields import Id, Part_

Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>,;\"]+@[^\s@<>,;\"]+$", max_length=254)]
MAIL = "mail"
_PORTS = {"starttls": 587, "tls": 465, "plain": 25}


class Webhook(Part_):
    """An address that gets every message as JSON. Where the address itself is a secret, name where it is kept."""

    id: Id
    url: str | None = None
    url_env: str | None = Field(default=None, description="environment variable that holds the address")
    url_file: Path | None = Field(default=None, description="file that holds only the address")
    secret_env: str | None = Field(default=None, description="environment variable with the signing secret")
    secret_file: Path | None = Field(default=None, description="file that holds only the signing secret")
    certificate: Path | None = Field(
        default=None,
        description="PEM file of the authority or server that is trusted instead of the system's",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and (fault := url_fault(url)):
            raise ValueError(fault)
        return url

    @model_validator(mode="after")
    def _is_whole(self) -> Webhook:
        if self.id == MAIL:
            raise ValueError(f"{MAIL!r} is the mail channel's name; give the webhook another id")
        if sum(one is not None for one in (self.url, self.url_env, self.url_file)) != 1:
            raise ValueError("name exactly one of url, url_env and url_file")
        if self.secret_env is not None and self.secret_file is not None:
            raise ValueError("name one of secret_env and secret_file, or none")
        return self


class Mail(Part_):
    """A mail server that takes messages. ``security`` is how the connection is encrypted."""

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="587 for starttls, 465 for tls, 25 for plain when left out"
    )
    security: Literal["starttls", "tls", "plain"] = "starttls"
    sender: Address = Field(alias="from")
    to: Annotated[list[Address], Field(min_length=1, max_length=50)]
    username: str | None = None
    password_env: str | None = Field(default=None, description="environment variable that holds the password")
    password_file: Path | None = Field(default=None, description="file that holds only the password")
    certificate: Path | None = Field(
        default=None,
        description="PEM file of the authority or server that is trusted instead of the system's",
    )

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> Mail:
        sources = sum(one is not None for one in (self.password_env, self.password_file))
        if sources != (0 if self.username is None else 1):
            raise ValueError("a login needs username and exactly one of password_env and password_file")
        if self.username is not None and self.security == "plain" and not _is_loopback(self.host):
            raise ValueError("a password is not sent in the clear; use security: starttls or tls")
        return self

    @property
    def used_port(self) -> int:
        return self.port if self.port is not None else _PORTS[self.security]


class Alarms(Part_):
    """What is told, when and where to."""

    language: Literal["zh_CN", "en"] = "zh_CN"
    after_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=10.0, description="a camera without footage is told after so long"
    )
    gap_s: Annotated[float, Field(ge=0, le=86400)] = Field(
        default=5.0, description="a signed gap that is longer is told"
    )
    remind_min: Annotated[float, Field(ge=1, le=1440)] | None = Field(
        default=30.0, description="what lasts is told again so often; null for once only"
    )
    webhooks: Annotated[list[Webhook], Field(max_length=10)] = Field(default_factory=list)
    mail: Mail | None = None

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Alarms:
        ids = [hook.id for hook in self.webhooks]
        if repeated := {one for one in ids if ids.count(one) > 1}:
            raise ValueError(f"webhook id {sorted(repeated)[0]!r} is given twice; give each its own")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """The webhooks' ids, and ``mail``."""
        return (*(hook.id for hook in self.webhooks), *((MAIL,) if self.mail is not None else ()))


def url_fault(url: str) -> str:
    """What is wrong with a webhook's address, without repeating it; empty if nothing is."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is no address; write it as https://host/path"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "only http:// and https:// addresses are sent to; write it as https://host/path"
    if parts.username is not None or parts.password is not None:
        return "an address holds no login; use secret_env or secret_file, or keep it in url_env or url_file"
    if any(ord(letter) <= 32 or ord(letter) > 126 for letter in url):
        return "an address holds no blanks and only ASCII; write others as %XX"
    return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
