"""The site file's section ``verification``: how often the service reads everything again, and how fast."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kaozheng_service.config.fields import Part_


class Verification(Part_):
    """Both copies are read and held against the log in rounds. At 10 MB/s 26 TB are read in 30 days.

    While windows are recorded it is a quarter of that, less than the footage of one more camera costs a disk.
    """

    every_days: Annotated[float, Field(gt=0, le=366)] | None = Field(
        default=30.0, description="a round begins so long after the last one began; null: never by itself"
    )
    limit_mb_s: Annotated[float, Field(ge=0.1, le=10_000)] = Field(
        default=10.0, description="no more than so many MB a second are read; a quarter while recording"
    )
