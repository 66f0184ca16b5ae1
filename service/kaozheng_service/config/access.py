"""The site file's sections ``web`` and ``access``: where people reach the pages, and what is open while rehearsing."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from kaozheng_service.config.fields import Part_


class Web(Part_):
    """How the pages are reached from elsewhere."""

    address: str | None = Field(
        default=None,
        description="the address people type, such as https://kaozheng.example.edu, where a proxy with a "
        "certificate stands before the service",
    )

    @field_validator("address")
    @classmethod
    def _is_an_origin(cls, address: str | None) -> str | None:
        if address is None:
            return None
        try:
            parts = urlsplit(address)
            _ = parts.port
        except ValueError:
            raise ValueError("it is no address; write it as https://kaozheng.example.edu") from None
        plain = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
        if parts.scheme not in ("https", "http") or not parts.hostname or not plain:
            raise ValueError(
                "write scheme and host alone, such as https://kaozheng.example.edu, without path and login"
            )
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @property
    def host(self) -> str | None:
        """The host's name in lower case, without its port; None where no address is set."""
        return urlsplit(self.address).hostname if self.address is not None else None


class Access(Part_):
    """Exceptions from who may see what."""

    open_footage: bool = Field(
        default=False,
        description="for rehearsals alone: who may look footage up also sees it, without case and approval; "
        "every page says so",
    )
