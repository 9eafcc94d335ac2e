"""What a run states of its gates, in either track: every class's subnet, set by set."""

from __future__ import annotations

from typing import Self

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


class GateReport(Form):
    """One set of gates: a report for each class."""

    report: list[ClassReport] = Field(min_length=1)
    seconds: Positive = 0.0

    @model_validator(mode="after")
    def _of_one_net(self) -> Self:
        if any(one.active.keys() != self.report[0].active.keys() for one in self.report):
            raise ValueError("the reports are of different modules")
        return self
