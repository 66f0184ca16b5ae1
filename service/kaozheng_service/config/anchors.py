"""The site file's sections ``anchors`` and ``witness``: where the log's head is put out of this site's reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from kaozheng_service.config.alarms import Address, url_fault
from kaozheng_service.config.fields import Id, Part_
from kaozheng_service.disputes.standalone.cosignatures import COSIGNATURE
from kaozheng_service.disputes.standalone.signature import key_of_printed

PrintedKey = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)]


class StampAuthority(Part_):
    """A time-stamping authority (RFC 3161) that is asked for a time stamp over the log's head."""

    id: Id
    url: str
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority that its signature must lead to; unchecked without",
    )
    certificate: Path | None = Field(
        default=None, description="PEM file that its https server is trusted by instead of the system's"
    )

    _checked = field_validator("url")(lambda url: _address(url))


class WitnessPeer(Part_):
    """Another site that cosigns our log's head (C2SP tlog-witness)."""

    id: Id
    url: str = Field(description="the address that /add-checkpoint is appended to")
    key: PrintedKey = Field(description="its key, as `kaozheng key show` prints it there: name+hash+base64")
    certificate: Path | None = Field(
        default=None, description="PEM file that its https server is trusted by instead of the system's"
    )

    _checked = field_validator("url")(lambda url: _address(url))

    @field_validator("key")
    @classmethod
    def _is_a_witness_key(cls, key: str) -> str:
        if key_of_printed(key, COSIGNATURE) is None:
            raise ValueError("not a witness's key; copy it whole from `kaozheng key show` of the witness")
        return key


class AnchorMail(Part_):
    """Who gets the day's checkpoint; the server is the one of alarms: mail."""

    to: Annotated[list[Address], Field(min_length=1, max_length=50)]


class Anchors(Part_):
    """Where the head goes when a window has closed: at most once an hour; by mail once a day."""

    stamps: Annotated[list[StampAuthority], Field(max_length=5)] = Field(default_factory=list)
    witnesses: Annotated[list[WitnessPeer], Field(max_length=10)] = Field(default_factory=list)
    mail: AnchorMail | None = None

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Anchors:
        ids = [*(one.id for one in self.stamps), *(one.id for one in self.witnesses)]
        if repeated := {one for one in ids if ids.count(one) > 1}:
            raise ValueError(f"id {sorted(repeated)[0]!r} is given twice; give each its own")
        return self


class WitnessedLog(Part_):
    """A log of another site that this one cosigns."""

    name: Annotated[str, StringConstraints(pattern=r"^[^\s+]+$", max_length=200)]
    keys: Annotated[list[PrintedKey], Field(min_length=1, max_length=10)] = Field(
        description="its keys, as `kaozheng key show` prints them there; after a change of key the old and the new"
    )

    @model_validator(mode="after")
    def _keys_are_of_this_log(self) -> WitnessedLog:
        for key in self.keys:
            if key_of_printed(key) is None or key.partition("+")[0] != self.name:
                raise ValueError(f"{key[:60]!r} is no key of log {self.name}; copy it whole from its site")
        return self


class WitnessService(Part_):
    """Turns this site into a witness at /witness of its pages."""

    logs: Annotated[list[WitnessedLog], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> WitnessService:
        names = [log.name for log in self.logs]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"log {sorted(repeated)[0]!r} is given twice; list its keys in one entry")
        return self


def _address(url: str) -> str:
    if fault := url_fault(url):
        raise ValueError(fault)
    return url.rstrip("/")
