"""A cell of an entry: the figures of one detector fitted on one attack and tested on another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pydantic import Field, model_validator

from ..harness.entry import Count, Form, Positive, Share
from ..stats.operating import MAIN
from .packing import Numbers, RateNumbers, RateShares, Shares
from .points import ADVANTAGE_LISTS, RATE_LISTS
from .suite import Pair

#: Figures of a cell that are lists over sets of gates and splits.
BY_SPLIT = (
    *("advantage_by_split", "auroc_by_split", "fpr95_by_split", "noise_advantage_by_split", "noise_by_split"),
    *RATE_LISTS,
    *ADVANTAGE_LISTS,
)
#: Lists that lack the same values.
_ALIKE = (
    *(("advantage_by_split", "auroc_by_split"), ("noise_advantage_by_split", "noise_by_split")),
    *((f"{name}{MAIN}_advantage_by_split", f"{name}{MAIN}_by_split") for name in ("fpr", "tpr")),
)


class Cell(Form):
    """One fit-on x test-on pair; figures are means over replicates, None where it could not be run.

    Lists have one value for each set of gates and split, in the order of `Entry.places`. ``images`` is the number of
    images that any split evaluates, ``advantage_by_split`` what `stats.splits.advantages` gives: from these and the
    values by split follow the figures and their intervals.

    ``fpr5``, ``tpr5`` and the like: the shares of clean and of adversarial images above the threshold that at most 5%
    of the calibration images are above. ``points_remark``: why some are missing.
    """

    accuracy: Share | None = None
    advantage_by_split: Numbers = Field(default_factory=list)
    aupr: Share | None = None
    auroc: Share | None
    auroc_by_split: Shares = Field(default_factory=list)
    candidates: list[int] = Field(default_factory=list)
    fit_on: str
    fpr1: Share | None = None
    fpr10: Share | None = None
    fpr10_by_split: RateShares = Field(default_factory=list)
    fpr1_by_split: RateShares = Field(default_factory=list)
    fpr5: Share | None = None
    fpr5_advantage_by_split: RateNumbers = Field(default_factory=list)
    fpr5_by_split: RateShares = Field(default_factory=list)
    fpr5_calibration: Share | None = None
    fpr5_high: Share | None = None
    fpr5_low: Share | None = None
    fpr95: Share | None
    fpr95_by_split: Shares = Field(default_factory=list)
    gate_sd: Positive | None = None
    high: Share | None
    images: Count = 0
    lee_auin: float | None = None
    lee_auout: float | None = None
    lee_auroc: float | None = None
    lee_dtacc: float | None = None
    lee_tnr95: float | None = None
    low: Share | None
    n: list[Count]
    n_fit: list[Count]
    noise_advantage_by_split: Numbers = Field(default_factory=list)
    noise_auroc: Share | None = None
    noise_by_split: Shares = Field(default_factory=list)
    noise_high: Share | None = None
    noise_low: Share | None = None
    points_remark: str = ""
    remark: str
    seen: bool
    split_sd: Positive | None = None
    test_on: str
    tpr1: Share | None = None
    tpr10: Share | None = None
    tpr10_by_split: RateShares = Field(default_factory=list)
    tpr1_by_split: RateShares = Field(default_factory=list)
    tpr5: Share | None = None
    tpr5_advantage_by_split: RateNumbers = Field(default_factory=list)
    tpr5_by_split: RateShares = Field(default_factory=list)
    tpr5_calibration: Share | None = None
    tpr5_high: Share | None = None
    tpr5_low: Share | None = None

    @property
    def pair(self) -> Pair:
        return self.fit_on, self.test_on

    @model_validator(mode="after")
    def _consistent(self) -> Cell:
        if self.seen != (self.fit_on == self.test_on):
            raise ValueError(f"seen cannot be {str(self.seen).lower()} here")
        if len({self.auroc is None, self.low is None, self.high is None, self.fpr95 is None}) > 1:
            raise ValueError("auroc, low, high and fpr95 must be all present or all missing")
        there = {name: [value is not None for value in getattr(self, name)] for name in BY_SPLIT}
        if any(len(known) not in (0, len(self.n)) for known in there.values()) or any(
            there[one] != there[other] for one, other in _ALIKE
        ):
            raise ValueError("its lists must have one value for each set of gates and split")
        for rate in ("fpr5", "tpr5"):
            if any(there[f"{rate}_by_split"]) and getattr(self, f"{rate}_calibration") is None:
                raise ValueError(f"{rate}_calibration is missing beside {rate}_by_split")
        if any(there["auroc_by_split"]) and self.images < 1:
            raise ValueError("images cannot be 0 where images were evaluated")
        for low, high in ((self.low, self.high), (self.fpr5_low, self.fpr5_high), (self.tpr5_low, self.tpr5_high)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"the interval from {low} to {high} is upside down")
        return self


def without_splits(cells: Sequence[Cell], but: Collection[str] = ()) -> list[Cell]:
    """The cells without their lists over splits, ``but`` for some; counts, the same in most cells, are held once.

    So are the names of the fields that were set, of which pydantic keeps a set a cell, larger than the cell's figures.
    """
    nothing: dict[str, list[Any]] = {name: [] for name in (*BY_SPLIT, "candidates") if name not in but}
    counts: dict[tuple[int, ...], list[int]] = {}
    names: dict[frozenset[str], set[str]] = {}

    def once(numbers: list[int]) -> list[int]:
        return counts.setdefault(tuple(numbers), numbers)

    def lean(cell: Cell) -> Cell:
        copy = cell.model_copy(update=nothing | {"n": once(cell.n), "n_fit": once(cell.n_fit)})
        were_set = names.setdefault(frozenset(copy.model_fields_set), copy.model_fields_set)
        object.__setattr__(copy, "__pydantic_fields_set__", were_set)
        return copy

    return [lean(cell) for cell in cells]
