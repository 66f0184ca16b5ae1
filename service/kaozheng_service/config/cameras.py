"""A camera of the site file: its stream, where it hangs and looks, its lens, and what it burns into its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from kaozheng_coverage.distortion import LensModel
from kaozheng_vision.errors import VisionError
from kaozheng_vision.source import Source
from pydantic import Field, field_validator, model_validator

from kaozheng_service.config.calibrated import CalibratedEntry, Number
from kaozheng_service.config.fields import Degrees, Id, Part_, Point3
from kaozheng_service.config.playback import PlaybackEntry


class CalibrationEntry(Part_):
    """A calibrated lens, the numbers as OpenCV's calibrations give them, for the camera's ``resolution``."""

    model: LensModel
    fx: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fy: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    cx: Number = Field(description="as in OpenCV's camera matrix: 0 is the middle of the first pixel")
    cy: Number
    coefficients: list[Number] = Field(
        default_factory=list,
        description="brown-conrady: k1 k2 p1 p2 k3 k4 k5 k6; kannala-brandt: k1 to k4; those left out are 0",
    )
    tolerance: Annotated[float, Field(ge=0, le=0.2)] = Field(
        default=0.005, description="fraction by which the focal length may be off"
    )


class LensEntry(Part_):
    """The datasheet's angles of view in degrees (the more, the better the lens is known), or a calibration."""

    hfov: Annotated[float, Field(gt=0, lt=360)] | None = None
    vfov: Annotated[float, Field(gt=0, lt=360)] | None = None
    dfov: Annotated[float, Field(gt=0, lt=360)] | None = None
    calibration: CalibrationEntry | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> LensEntry:
        angles = (self.hfov, self.vfov, self.dfov)
        if self.calibration is not None and any(angle is not None for angle in angles):
            raise ValueError(
                "give the angles of view or the calibration, not both: the calibration alone counts"
            )
        if self.calibration is None and self.hfov is None:
            raise ValueError("give hfov, better vfov and dfov too, from the datasheet; or a calibration")
        return self


class Caption(Part_):
    """Where a camera burns in a clock or its name, as fractions of the picture's width and height."""

    left: Annotated[float, Field(ge=0, le=1)]
    top: Annotated[float, Field(ge=0, le=1)]
    right: Annotated[float, Field(ge=0, le=1)]
    bottom: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _has_an_inside(self) -> Caption:
        if self.right <= self.left or self.bottom <= self.top:
            raise ValueError("right must be more than left and bottom more than top; fractions from 0 to 1")
        return self


class SubstreamEntry(Part_):
    """A camera's second, smaller stream, recorded beside the first under an id of its own. Nothing is judged by it."""

    id: Id
    source: str


class CameraConfig(Part_):
    id: Id
    source: str
    credential: Id | None = None
    certificate: Path | None = Field(
        default=None,
        description="PEM file with the camera's own certificate, for rtsps:// where no authority vouches for it",
    )
    playback: PlaybackEntry | None = Field(
        default=None,
        description="where its footage is kept a second time; gaps are filled from there afterwards",
    )
    audio: bool | None = Field(
        default=None, description="whether its sound is recorded; as `recording.audio` when left out"
    )
    substream: SubstreamEntry | None = None
    position: Point3
    aim: Point3
    roll: Degrees = 0.0
    aim_tolerance: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1.0, description="degrees by which the true aim may differ from the stated one"
    )
    lens: LensEntry
    resolution: tuple[Annotated[int, Field(ge=16, le=16384)], Annotated[int, Field(ge=16, le=16384)]]
    captions: list[Caption] = Field(
        default_factory=list,
        description="burnt-in clock and name, not judged; the top and bottom tenth when none is given",
    )
    calibrated: CalibratedEntry | None = Field(
        default=None, description="the pose that desk cards showed; counts instead of position, aim and roll"
    )

    @field_validator("source")
    @classmethod
    def _is_a_stream(cls, source: str) -> str:
        try:
            Source(source)
        except VisionError as error:
            raise ValueError(str(error)) from None
        return source

    @model_validator(mode="after")
    def _certificate_is_of_use(self) -> CameraConfig:
        try:
            Source(self.source, certificate=self.certificate)
        except VisionError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _substream_is_a_stream(self) -> CameraConfig:
        if self.substream is not None:
            try:
                Source(self.substream.source, certificate=self.certificate)
            except VisionError as error:
                raise ValueError(f"substream: {error}") from None
        return self

    @property
    def streams(self) -> tuple[CameraConfig, ...]:
        """The camera as a recorder sees it: itself, then its substream as a camera of that id and source."""
        if self.substream is None:
            return (self,)
        other = {"id": self.substream.id, "source": self.substream.source, "substream": None}
        return self, self.model_copy(update=other)

    @model_validator(mode="after")
    def _calibration_is_of_this_pose(self) -> CameraConfig:
        if self.calibrated is not None:
            stated = self.calibrated.stated
            if (stated.position, stated.aim, stated.roll) != (self.position, self.aim, self.roll):
                raise ValueError(
                    "position, aim or roll was changed since the camera was calibrated: remove `calibrated` and run "
                    "kaozheng calibrate anew, or put back what it says under `stated`"
                )
        return self
