"""What a run states beside its entries, read and checked: comparisons, reports on gates, the sensitivity sweep."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from ..harness.entry import Count, Form, Share, Shown, read_form
from ..harness.reports import GateReport, GateSettings

#: A difference of two AUROCs.
Difference = Annotated[float, Field(ge=-1, le=1)]


class _Open(Form):
    """Further keys are kept: a version that writes them reads them."""

    model_config = ConfigDict(extra="allow")


class Compared(_Open):
    """A paired difference of two detectors in one cell."""

    first: Shown
    second: Shown
    fit_on: Shown
    test_on: Shown
    difference: Difference
    low: Difference | None
    high: Difference | None
    p_holm: Share
    verdict: Shown


class Best(_Open):
    """The best of a column, and those that cannot be told apart from it."""

    fit_on: Shown
    test_on: Shown
    best: Shown
    not_separable: list[Shown]


class Comparisons(_Open):
    suite: str = ""
    protocol: Shown
    comparisons: list[Compared]
    best: list[Best] = Field(default_factory=list)


class GateReports(Form):
    suite: str = ""
    options: GateSettings = GateSettings()
    sets: list[GateReport] = Field(min_length=1)

    @model_validator(mode="after")
    def _of_one_net(self) -> Self:
        first = self.sets[0].report
        for one in self.sets:
            if len(one.report) != len(first) or one.report[0].active.keys() != first[0].active.keys():
                raise ValueError("the sets are of different nets")
        return self


class Point(Form):
    """One choice of gate training and one attack: AUROC of the subnets, and of random gates, minus the full net's."""

    position: str
    l1: str
    gamma: float
    active: Share
    tau_met: Count
    collapsed: Count
    subnets: Count
    balanced_accuracy: Share
    attack: str
    difference: Difference
    low: Difference
    high: Difference
    random_difference: Difference | None = None
    random_low: Difference | None = None
    random_high: Difference | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len({self.random_difference is None, self.random_low is None, self.random_high is None}) > 1:
            raise ValueError("random_difference, random_low and random_high must be all present or all missing")
        return self


class Sensitivity(Form):
    suite: str = ""
    protocol: str = ""
    baseline: str = "mahalanobis"
    detector: str = "subnet-mahalanobis"
    points: list[Point] = Field(min_length=1)


def comparisons_file(folder: Path, protocol: str) -> Path:
    return folder / "comparisons" / f"{protocol}.json"


def read_comparisons(folder: Path, protocols: Iterable[str]) -> list[dict[str, Any]]:
    """The comparisons under each of these protocols that a run has written, in this order."""
    paths = [comparisons_file(folder, protocol) for protocol in dict.fromkeys(protocols)]
    return [read_form(Comparisons, path).model_dump() for path in paths if path.is_file()]


def read_gate_reports(folder: Path) -> GateReports | None:
    """The reports on the sets of gates; None for results without subnets."""
    path = folder / "subnets.json"
    return read_form(GateReports, path) if path.is_file() else None


def read_sensitivity(folder: Path) -> Sensitivity | None:
    """The sweep over forms of gates; None for results without one."""
    path = folder / "sensitivity.json"
    return read_form(Sensitivity, path) if path.is_file() else None
