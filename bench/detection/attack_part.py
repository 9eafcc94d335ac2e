"""One attack of a suite, and the attacks that a list of budgets makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from ..harness.suite import Name, Part
from .adaptive import Budget


class AttackPart(Part):
    name: Name
    label: Name | None = None
    library: Name = "foolbox"
    preset: Name = "standard"
    parameters: dict[str, Any] = Field(default_factory=dict)
    batch_size: int = Field(250, ge=1, description="images per attack call; also the most that an interruption loses")
    epsilons: list[Budget] | None = Field(None, description="budgets; each makes an attack of its own, in this order")
    floor: float | None = Field(
        None, gt=0, le=1, description="share of images that it should fool; below it the attack is marked as too weak"
    )

    @property
    def title(self) -> str:
        return self.label or self.name

    @field_validator("epsilons")
    @classmethod
    def _each_once(cls, epsilons: list[float] | None) -> list[float] | None:
        if epsilons is not None and not epsilons:
            raise ValueError("give at least one budget, or leave epsilons out")
        if epsilons is not None and len(set(epsilons)) < len(epsilons):
            raise ValueError("give each budget once")
        return epsilons

    @model_validator(mode="after")
    def _one_or_several(self) -> AttackPart:
        if self.epsilons is not None and "epsilon" in self.parameters:
            raise ValueError("epsilons and parameters.epsilon both state the budget; leave one of them out")
        return self

    @model_serializer(mode="wrap")
    def _stated(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys that came later are stated where they are set, so that suites of earlier versions stay as they were."""
        content: dict[str, Any] = plain(self)
        return {key: value for key, value in content.items() if key not in ("epsilons", "floor") or value is not None}

    def expanded(self) -> list[AttackPart]:
        """This attack, or one for each of its budgets, labelled like ``bim-4of255`` or ``bim-0.2``."""
        if self.epsilons is None:
            return [self]
        content = self.model_dump(exclude={"epsilons"})
        return [
            AttackPart.model_validate(
                content
                | {"label": f"{self.title}-{budget_text(epsilon)}"}
                | {"parameters": {**self.parameters, "epsilon": epsilon}}
            )
            for epsilon in self.epsilons
        ]


def expanded(parts: Sequence[AttackPart]) -> list[AttackPart]:
    """The attacks with each list of budgets resolved."""
    return [attack for part in parts for attack in part.expanded()]


def budget_text(epsilon: float) -> str:
    """A budget as part of a file's name: ``0.2``, or ``4of255`` where no short decimal is as exact."""
    if float(f"{epsilon:.4g}") == epsilon:
        return f"{epsilon:.4g}"
    levels = round(epsilon * 255)
    return f"{levels}of255" if abs(levels / 255 - epsilon) < 1e-12 else f"{epsilon:.6g}"
