"""The kinds of values that configuration files are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Metres = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Point2 = tuple[Metres, Metres]
Point3 = tuple[Metres, Metres, Metres]
Polygon = Annotated[list[Point2], Field(min_length=3)]


class Part_(BaseModel):  # noqa: N801 - the base of all parts of the file, never named outside
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeskEntry(Part_):
    width: Length
    depth: Length
    height: Length


class MonitorEntry(Part_):
    width: Length
    height: Length
    bottom: Length
    thickness: Length = 0.05
    setback: Annotated[float, Field(ge=0, le=5)] = 0.2
