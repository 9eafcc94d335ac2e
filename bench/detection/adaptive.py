"""The part of a suite about attackers who know the detector: arms, budgets, images, and the proof of their strength."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from ..harness.suite import Name, Part, differing_labels
from .fits import ALL_ATTACKS


class ArmPart(Part):
    """One arm; ``parameters`` in place of the arm's own and of the suite's ``steps`` and ``restarts``."""

    name: Name
    label: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.label or self.name


def _fraction(value: Any) -> Any:
    """8/255 as text is how a budget is read and written by people."""
    if isinstance(value, str) and (parts := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+)\s*", value)):
        top, bottom = float(parts[1]), int(parts[2])
        return top / bottom if bottom else value
    return value


#: A budget in pixel units, images in [0, 1]: a number, or a text such as "8/255".
Budget = Annotated[float, BeforeValidator(_fraction), Field(gt=0, le=1)]

#: Arms in the order in which they try: the cheap and strong ones first, since a beaten image is not tried again.
ARMS = (
    "selective-pgd",
    "margin-apgd",
    "logit-matching",
    "feature-matching",
    "orthogonal-pgd",
    "lambda-sweep",
    "extra-logit-cw",
    "distilled-surrogate",
    "soft-neighbours",
    "square",
)


class Proof(Part):
    """The binarisation test: can the same arms find an adversarial example that exists by construction?"""

    images: int = Field(30, ge=0, description="images it is made on; 0: no test, and no cell counts as robust")
    inner: int = Field(200, ge=10, description="points around an image that the made problem calls clean")
    draws: int = Field(200, ge=1, description="random points, of which hardly any may solve the problem")


class Adaptive(Part):
    """Arms against each detector under the protocol `strict`: its first split, its first set of gates.

    An image that an arm has beaten at a budget is not tried by later arms, nor at larger budgets: it stays beaten. Arms
    that take the place of a gradient are tried on detectors that offer none.
    """

    arms: list[ArmPart] = Field(default_factory=lambda: [ArmPart(name=name) for name in ARMS], min_length=1)
    epsilons: list[Budget] = Field([1 / 255, 2 / 255, 4 / 255, 8 / 255], min_length=1, description="radii, ascending")
    images: int = Field(200, ge=10, description="correctly classified images of the first split that are attacked")
    steps: int = Field(100, ge=1, description="of an arm that takes steps and does not state its own")
    restarts: int = Field(1, ge=1)
    rate: float = Field(0.05, gt=0, lt=0.5, description="false-positive rate at which the threshold is fixed")
    fit_on: str = Field(ALL_ATTACKS, description="the attack that combiners are fitted on, or all of them")
    detectors: list[Name] = Field([], description="labels of the detectors that are attacked; none: all")
    batch_size: int = Field(100, ge=1, description="images an arm works on at once; the most an interruption loses")
    proof: Proof = Proof()

    _labels = field_validator("arms")(differing_labels)

    @field_validator("epsilons")
    @classmethod
    def _ascending(cls, epsilons: list[float]) -> list[float]:
        if epsilons != sorted(set(epsilons)):
            raise ValueError("give each budget once, the smallest first")
        return epsilons
