"""Where a camera's footage is kept a second time, and the address by which a part of it is played back.

Every maker writes times into the address in its own way, so the address is a template that is checked when the
site file is read: ``rtsp://nvr/Streaming/tracks/101?starttime={start:%Y%m%dT%H%M%SZ}&endtime={end:%Y%m%dT%H%M%SZ}``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit, urlunsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kaozheng_vision.errors import VisionError
from kaozheng_vision.source import Source
from pydantic import Field, StringConstraints, field_validator, model_validator

from kaozheng_service.config.fields import Id, Part_
from kaozheng_service.errors import ServiceError

DEFAULT_FORM = "%Y%m%dT%H%M%SZ"
# Those whose text is the same in every language; %s are seconds since 1970.
DIRECTIVES = "YymdjHMSfsz%"
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_EXAMPLE = datetime(2024, 11, 23, 1, 2, 3, tzinfo=UTC)


class PlaybackEntry(Part_):
    """The camera's own card, or a recorder (NVR) that keeps this camera too: what gaps are filled from afterwards."""

    kind: Literal["url"] = Field(
        default="url",
        description="an address for each range; ONVIF Replay needs headers that FFmpeg cannot send",
    )
    url: str = Field(
        description="rtsp:// or rtsps:// address with {start} and {end}, each with a form such as "
        "{start:%Y%m%dT%H%M%SZ}; %s are seconds since 1970"
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = Field(
        default=None,
        description="what the records call this source; its address without the times if left out",
    )
    credential: Id | None = Field(default=None, description="its own login; the camera's is never sent there")
    certificate: Path | None = Field(
        default=None, description="PEM file with its own certificate, for rtsps://"
    )
    timezone: str = Field(
        default="UTC",
        description="the zone of the times in its address, such as Asia/Shanghai for its local time",
    )
    clock_offset_s: Annotated[float, Field(ge=-86400, le=86400)] = Field(
        default=0.0, description="the device's clock less ours, s"
    )
    clock_error_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=2.0,
        description="by how much its clock may be off beyond that; part of the recorded uncertainty, s",
    )
    padding_s: Annotated[float, Field(ge=0, le=300)] = Field(
        default=5.0, description="asked for before and after each gap too, s"
    )
    during: bool = Field(
        default=False, description="fetch while windows are recorded too, in a second session with the device"
    )
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=6, description="after so many the gap stays as it is"
    )
    retry_s: Annotated[float, Field(ge=1, le=86400)] = Field(
        default=60.0,
        description="pause after the first failed attempt, four times as long after each more, s",
    )
    kept_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        default=7.0, description="older gaps are not asked for: by then the device has overwritten them"
    )

    @field_validator("kind", mode="before")
    @classmethod
    def _is_supported(cls, kind: object) -> object:
        if kind == "onvif":
            raise ValueError(
                "onvif is not supported: ONVIF Replay needs RTSP headers that FFmpeg cannot send; most devices play "
                "a range by address too: write kind: url and its url"
            )
        return kind

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                f"{name!r} is not an IANA time zone; write UTC or one such as Asia/Shanghai"
            ) from None
        return name

    @field_validator("url")
    @classmethod
    def _is_a_template(cls, url: str) -> str:
        forms = template_forms(url)
        for name in ("start", "end"):
            if name not in forms:
                raise ValueError(
                    f"{{{name}}} is missing: write where the {name} of a range belongs in the address"
                )
        return url

    @model_validator(mode="after")
    def _is_an_address(self) -> PlaybackEntry:
        forms = template_forms(self.url)
        if self.timezone != "UTC" and any("" in of_one for of_one in forms.values()):
            raise ValueError(
                "with a timezone each {start} and {end} needs its form, such as {start:%Y%m%dT%H%M%S}: without one "
                "they are written as UTC"
            )
        try:
            source = Source(
                self.address(_EXAMPLE, _EXAMPLE + timedelta(seconds=10)), certificate=self.certificate
            )
        except VisionError as error:
            raise ValueError(str(error)) from None
        if urlsplit(source.url).scheme not in ("rtsp", "rtsps"):
            raise ValueError(f"{self.url!r} is not played back by RTSP; write an rtsp:// or rtsps:// address")
        return self

    @property
    def label(self) -> str:
        """What records and pages call this source: its name, else scheme, host and path. Never a login."""
        if self.name is not None:
            return self.name
        parts = urlsplit(self._filled("", ""))
        shown = Source(urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))).url
        return shown.rstrip("/")

    def asked_range(self, starts_at: datetime, ends_at: datetime) -> tuple[datetime, datetime]:
        """The range to ask for, in our time: padded, and out to whole seconds of the device's clock."""
        offset, padding = timedelta(seconds=self.clock_offset_s), timedelta(seconds=self.padding_s)
        first, last = starts_at - padding + offset, ends_at + padding + offset
        begin = first.replace(microsecond=0)
        end = last.replace(microsecond=0) + (timedelta(seconds=1) if last.microsecond else timedelta(0))
        return begin - offset, end - offset

    def address(self, starts_at: datetime, ends_at: datetime) -> str:
        """The address that plays ``starts_at`` to ``ends_at``, both in our time. It may hold a login: never log it.

        Raises
        ------
        ServiceError : the device's local time names that moment twice or never, where summer time ends or begins
        """
        offset = timedelta(seconds=self.clock_offset_s)
        local = [(at + offset).astimezone(ZoneInfo(self.timezone)) for at in (starts_at, ends_at)]
        written = "%z" in self.url or "%s" in self.url
        for moment in local:
            other = moment.replace(fold=1 - moment.fold)
            if not written and other.utcoffset() != moment.utcoffset():
                raise ServiceError(
                    f"{moment:%F %T} is not one moment in {self.timezone}, where the clocks are set then: the device "
                    "cannot be asked for it; fetch that footage by hand"
                )
        return self._filled(*local)

    def _filled(self, start: datetime | Literal[""], end: datetime | Literal[""]) -> str:
        parts = []
        for text, name, form, _ in Formatter().parse(self.url):
            parts.append(text)
            moment = {"start": start, "end": end}.get(name or "", "")
            if moment:
                parts.append(quote(_written(moment, form or DEFAULT_FORM), safe=":"))
        return "".join(parts)


def template_forms(url: str) -> dict[str, set[str]]:
    """The forms of ``start`` and ``end`` in a template; "" where none is given.

    Raises
    ------
    ValueError : another placeholder, a form that is not one of :data:`DIRECTIVES`, or one that leaves out the second
    """
    forms: dict[str, set[str]] = {}
    try:
        fields = [(name, form or "", conversion) for _, name, form, conversion in Formatter().parse(url)]
    except ValueError as error:
        raise ValueError(
            f"the braces of the address do not pair up ({error}); a brace itself is written {{{{"
        ) from None
    for name, form, conversion in fields:
        if name is None:
            continue
        if name not in ("start", "end") or conversion is not None:
            shown = f"{name}!{conversion}" if conversion else name
            raise ValueError(
                f"{{{shown}}} is unknown: an address may hold {{start}} and {{end}}, nothing else"
            )
        _check_form(name, form)
        forms.setdefault(name, set()).add(form)
    return forms


def _check_form(name: str, form: str) -> None:
    if not form:
        return
    used = set(_DIRECTIVE.findall(form))
    unknown = sorted(used - set(DIRECTIVES))
    if unknown or "{" in form:
        known = " ".join(f"%{letter}" for letter in DIRECTIVES)
        what = f"%{unknown[0]}" if unknown else "{"
        raise ValueError(f"{{{name}:{form}}}: {what} is not understood in a form; known are {known}")
    whole = used >= {"H", "M", "S"} and bool(used & {"Y", "y"}) and (used >= {"m", "d"} or "j" in used)
    if not whole and "s" not in used:
        raise ValueError(
            f"{{{name}:{form}}} does not say the second: write year, month, day, hour, minute and second, or %s"
        )


def _written(moment: datetime, form: str) -> str:
    """``strftime`` for the known directives only: the C library's ``%s`` is of the machine's own zone."""

    def one(match: re.Match[str]) -> str:
        letter = match.group(1)
        if letter == "s":
            return str(int(moment.timestamp()))
        if letter == "Y":
            return f"{moment.year:04d}"
        return moment.strftime(f"%{letter}")

    return _DIRECTIVE.sub(one, form)
