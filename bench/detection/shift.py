"""The part of a suite about benign shift: clean images that are changed and not attacked, and how many are flagged."""

from __future__ import annotations

from pydantic import Field, field_validator

from ..harness.suite import Name, Part
from .fits import ALL_ATTACKS

#: Severities of a corruption, from hardly visible to strong.
SEVERITIES = (1, 2, 3, 4, 5)


class Shift(Part):
    """Corruptions of clean images, scored under the protocol `strict`: its first split, its first set of gates."""

    kinds: list[Name] = Field([], description="corruptions; none: all that the images have the channels for")
    severities: list[int] = Field([1, 3, 5], min_length=1, description="of 1 to 5")
    images: int = Field(500, ge=10, description="correctly classified images of the first split that are changed")
    rate: float = Field(0.05, gt=0, lt=0.5, description="false-positive rate at which the threshold is fixed")
    fit_on: str = Field(ALL_ATTACKS, description="the attack that combiners are fitted on, or all of them")
    detectors: list[Name] = Field([], description="labels of the detectors that are tried; none: all")

    @field_validator("severities")
    @classmethod
    def _known(cls, severities: list[int]) -> list[int]:
        if severities != sorted(set(severities)) or not set(severities) <= set(SEVERITIES):
            raise ValueError("give severities of 1 to 5, each once, the mildest first")
        return severities

    @field_validator("kinds", "detectors")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("give each name once")
        return names
