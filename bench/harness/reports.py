"""What a run states of its gates, in either track: every class's subnet, set by set."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from .entry import Count, Form, Positive, Share


class ClassReport(Form):
    """The subnet of one class on held-out training images."""

    active: dict[str, Share]
    active_total: Share
    epoch: Count
    images: Count
    full_balanced_accuracy: Share
    subnet_balanced_accuracy: Share
    full_bce: Positive
    subnet_bce: Positive
    tau_met: bool


class GateSettings(Form):
    """The options of gate training that reports name; those that are not stated are not named."""

    learning_rate: float | None = None
    batch_size: int | None = None
    epochs: int | None = None
    images_per_class: int | None = None
    gamma: float | None = None
    tau: float | None = None
    binary: bool | None = None
    calibrate: bool | None = None
    fallback: str | None = None
    position: str | None = None
    l1: str | None = None

    def stated(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class GateReport(Form):
    """One set of gates: a report for each class."""

    options: GateSettings = GateSettings()
    report: list[ClassReport] = Field(min_length=1)
    seconds: Positive = 0.0

    @model_validator(mode="after")
    def _of_one_net(self) -> Self:
        if any(one.active.keys() != self.report[0].active.keys() for one in self.report):
            raise ValueError("the reports are of different modules")
        return self
