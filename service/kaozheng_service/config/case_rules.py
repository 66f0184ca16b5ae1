"""The site file's sections ``cases`` and ``retention``: who must be present, and what is kept how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from kaozheng_service.access.actor import Role
from kaozheng_service.config.fields import Part_

Years = Annotated[int, Field(ge=1, le=100)]


class CaseRules(Part_):
    """How footage is seen. The pair is a certification body's published archive rule: one of the general office and one
    internal quality supervisor are present at once (cnjyhuafeng.com, 2024).
    """

    result_days: Annotated[int, Field(ge=1, le=60)] = Field(
        default=3, description="working days for which results are public and complaints are taken"
    )
    present: Annotated[list[tuple[Role, Role]], Field(min_length=1)] = Field(
        default_factory=lambda: [(Role.OFFICE, Role.QUALITY)],
        description="pairs of roles, either of which may be present",
    )
    together_min: Annotated[float, Field(ge=1, le=60)] = Field(
        default=15.0,
        description="the second of the two confirms within so many minutes of the first, or both begin anew",
    )
    viewing_min: Annotated[float, Field(ge=1, le=480)] = Field(
        default=60.0, description="minutes that a viewing lasts where the request does not say"
    )
    emergency_min: Annotated[float, Field(ge=1, le=120)] = Field(
        default=15.0, description="minutes of an emergency access"
    )

    @model_validator(mode="after")
    def _two_are_two(self) -> CaseRules:
        alone = next((pair for pair in self.present if pair[0] is pair[1]), None)
        if alone is not None:
            raise ValueError(f"present names {alone[0].value} twice; a pair is of two different roles")
        return self


class RetentionRules(Part_):
    """Whole years that footage is kept after the last window of its batch. Electronic records are kept at least 5
    (the same published rule).
    """

    years: Years = 5
    kinds: dict[str, Years] = Field(
        default_factory=dict, description="years by the window's kind, such as {marking: 6}"
    )
    batches: dict[str, Years] = Field(
        default_factory=dict, description="years of one batch, above those of its kinds"
    )

    def years_of(self, batch: str | None, kind: str) -> int:
        """A batch's own years go before its kinds', these before the site's."""
        if batch is not None and batch in self.batches:
            return self.batches[batch]
        return self.kinds.get(kind, self.years)
