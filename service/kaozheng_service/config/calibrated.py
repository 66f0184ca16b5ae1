"""What a calibration by desk cards found of a camera, as the site file keeps it beside what was stated."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import numpy as np
from kaozheng_coverage.errors import CoverageError
from kaozheng_coverage.pose import NUMBERS, checked_covariance
from pydantic import Field, field_validator

from kaozheng_service.config.fields import Degrees, Part_, Point3

Number = Annotated[float, Field(allow_inf_nan=False)]
Row = Annotated[list[Number], Field(min_length=NUMBERS, max_length=NUMBERS)]


class StatedPose(Part_):
    """The pose by hand at the time: a calibration is of no use once that was changed."""

    position: Point3
    aim: Point3
    roll: Degrees = 0.0


class CalibratedEntry(Part_):
    """A pose by desk cards, which counts instead of the stated one; written by `kaozheng calibrate --write`."""

    day: date = Field(description="the day of the pictures")
    position: Point3
    aim: Point3
    roll: Degrees = 0.0
    focal_px: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        description="focal length, pixels of the camera's resolution"
    )
    covariance: Annotated[list[Row], Field(min_length=NUMBERS, max_length=NUMBERS)] = Field(
        description="of position (metres), rotation (radians, about the camera's right, down and forward axes) and "
        "focal length (relative)"
    )
    cards: Annotated[int, Field(ge=1)] = Field(description="how many cards it rests on")
    rms_px: Annotated[float, Field(ge=0)]
    held_out_cm: Annotated[float, Field(ge=0)] = Field(
        description="root mean square distance of cards from their places, each by a calibration without it"
    )
    stated: StatedPose

    @field_validator("covariance")
    @classmethod
    def _is_one(cls, rows: list[list[float]]) -> list[list[float]]:
        try:
            checked_covariance("", np.array(rows))
        except CoverageError:
            raise ValueError("is no covariance; run kaozheng calibrate --write again, or remove it") from None
        return rows
