"""The adaptive track's entry: one detector against attackers who know it, with the outcome of every image beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from pydantic import Field, model_validator

from ..core.text import of_library
from ..detection.entry import DetectorNote, ImagesNote, ModelNote, StatisticsNote, exact_type
from ..harness import entry as entries_of
from ..harness.entry import Column, Count, Form, Positive, Share, Shown
from ..harness.scores import packed

#: Rows of the scores that no arm made: clean images, those of the calibration, and the suite's own attacks.
CLEAN, CALIBRATION, STATIC = "clean", "calibration", "static"

#: Fewest images set up for a verdict on an attack's strength: of fewer, not a single miss would be forgiven.
FEWEST = 20

#: In the place of an attack, in frames of all results: attackers who know the detector.
ADAPTIVE = "adaptive"

#: Images that beat the other detectors, tried on this one.
TRANSFER = "transfer"


def budget(epsilon: float) -> str:
    """A budget in words, in 255ths as people write it."""
    return f"{255 * epsilon:.3g}/255"


class FitNote(Form):
    """The one fit that is attacked: split and set of gates, the attack it was fitted on, the candidate chosen."""

    protocol: str
    split: Count
    gate: Count
    fit_on: str
    n_fit: Count
    candidate: dict[str, Any]
    remark: str = ""


class Threshold(Form):
    """An image is accepted up to ``tau``, fixed at a false-positive rate on images that nobody attacks."""

    rate: float = Field(gt=0, lt=1)
    tau: float
    calibration_images: Count


class GradientNote(Form):
    """Whether the detector offers a gradient that passed its checks; if not, why."""

    offered: bool
    reason: str = ""


class ArmNote(Form):
    name: Shown
    title: str
    year: int
    url: str = ""
    needs_gradient: bool
    parameters: dict[str, Any]
    remark: str = ""


class Tried(Form):
    """An arm at one budget: images it tried, those it beat, passes and seconds an image, and signs of its failing.

    ``signs``: by name the share of the images tried that show it (`indicators.Indicators`); None where it was not
    measured. ``surrogate_r2``: of a surrogate, if any.
    """

    tried: Count
    beaten: Count
    forward_per_image: Positive
    backward_per_image: Positive
    seconds_per_image: Positive
    signs: dict[Shown, Share | None]
    surrogate_r2: float | None = None


class ProofNote(Form):
    """The binarisation test: problems made, solved by the same arms, solved by random points; None: none was made."""

    form: str
    made: Count
    refused: Count
    solved: Share | None
    random: Share | None
    passed: bool


class Cell(Form):
    """One budget. ``robust``: share of accepted images on which every arm fails (RA), with its interval.

    ``accuracy``: share of all test images that are classified correctly, accepted and not beaten. ``auroc``: clean
    images against the best adversarial one of each image that is fooled at all.
    """

    epsilon: float = Field(gt=0, le=1)
    images: Count
    accepted: Count
    robust: Share | None = None
    robust_low: Share | None = None
    robust_high: Share | None = None
    accuracy: Share | None = None
    accuracy_low: Share | None = None
    accuracy_high: Share | None = None
    fooled: Count = 0
    auroc: Share | None = None
    auroc_low: Share | None = None
    auroc_high: Share | None = None
    arms: dict[Shown, Tried] = Field(default_factory=dict)
    transferred: Count = 0
    proof: list[ProofNote] = Field(default_factory=list)

    @model_validator(mode="after")
    def _possible(self) -> Cell:
        if not self.fooled <= self.images or not self.accepted <= self.images:
            raise ValueError(f"of {self.images} images, {self.accepted} accepted and {self.fooled} fooled cannot be")
        if (self.robust is None) != (self.accepted == 0):
            raise ValueError("robust is there exactly where images were accepted")
        for name in ("robust", "accuracy", "auroc"):
            value, low, high = (getattr(self, name + end) for end in ("", "_low", "_high"))
            if len({value is None, low is None, high is None}) > 1 or (value is not None and not low <= high):
                raise ValueError(f"{name} needs both ends of its interval, the lower one first")
        if any(arm.beaten > arm.tried for arm in self.arms.values()):
            raise ValueError("an arm beat more images than it tried")
        return self

    @property
    def proven(self) -> bool:
        """Whether the attack is known to be strong enough: it beat every image, or the made problems too."""
        return self.robust == 0 or any(proof.passed for proof in self.proof)

    @property
    def verdict(self) -> str:
        if self.robust is None:
            return "flags everything (n = 0)"
        if self.robust == 0:
            return "beaten"
        return "tested" if self.proven else "not tested hard enough"


class Static(Form):
    """The same fit on the same images against the suite's attacks, which know no detector: worst case per image.

    ``difference``: static minus adaptive AUROC at the largest budget, paired on images, with its interval.
    """

    fooled: Count
    auroc: Share | None = None
    low: Share | None = None
    high: Share | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


class Entry(entries_of.Entry):
    """One detector, attacked by all arms at every budget."""

    home: ClassVar[str] = "adaptive"
    written_order: ClassVar[tuple[str, ...]] = (
        *("suite", "dataset", "model", "detector", "fit", "threshold", "gradient", "false_alarms", "arms"),
        *("seed", "statistics", "cells", "static", "reason", "versions", "scores", "supersedes"),
    )
    columns: ClassVar[tuple[Column, ...]] = (
        *(Column("arm", "name"), Column("epsilon", "number"), Column("image", "whole")),
        *(Column("wrong", "whole"), Column("score", "number")),
    )

    dataset: ImagesNote
    model: ModelNote
    detector: DetectorNote
    fit: FitNote | None = None
    threshold: Threshold | None = None
    gradient: GradientNote | None = None
    #: Realised false-positive rate on the attacked clean images, and its interval.
    false_alarms: tuple[Share, Share, Share] | None = Field(None, strict=False)
    arms: dict[Shown, ArmNote] = Field(default_factory=dict)
    statistics: StatisticsNote
    cells: list[Cell] = Field(default_factory=list)
    static: Static | None = None
    #: Why there are no cells, where there are none.
    reason: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        budgets = [cell.epsilon for cell in self.cells]
        if budgets != sorted(set(budgets)):
            raise ValueError("its budgets must be ascending, each once")
        if not self.cells and not self.reason:
            raise ValueError("without cells it must state a reason")
        if self.cells and (self.fit is None or self.threshold is None or self.gradient is None):
            raise ValueError("cells need a fit, a threshold and a gradient note")
        unknown = {arm for cell in self.cells for arm in cell.arms} - self.arms.keys()
        if unknown:
            raise ValueError(f"a cell names the arm {min(unknown)!r}, which the entry does not describe")
        return self

    @property
    def label(self) -> str:
        return self.detector.label

    @property
    def place(self) -> str:
        return f"strict/{self.label}"

    @property
    def scores_file(self) -> str:
        return f"adaptive/{self.place}.parquet"

    @property
    def identity(self) -> tuple[str, ...]:
        return self.suite.name, "adaptive", self.label

    @property
    def title(self) -> str:
        return f"{self.label!r} of suite {self.suite.name!r}, attacked knowing it,"

    @property
    def page_names(self) -> dict[str, str]:
        return {"dataset.name": self.dataset.name, "model.name": of_library(self.model.name)}

    @classmethod
    def packed(cls, scores: pd.DataFrame) -> bytes:
        types: dict[str, Any] = {"arm": "category", "image": "int32", "wrong": "int8", "epsilon": "float64"}
        types |= exact_type(scores)
        return packed(scores.astype(types))

    @classmethod
    def unpacked(cls, scores: pd.DataFrame) -> pd.DataFrame:
        return scores.astype({"arm": "str", "wrong": "bool", "score": "float64", "epsilon": "float64"})


def read_entries(folder: Path) -> list[Entry]:
    """All adaptive entries below a results folder, in a fixed order."""
    return entries_of.read_entries(Entry, folder)


def tidy(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per detector and budget; columns that a static cell has too are named as there."""
    rows = []
    for entry in entries:
        head = {
            "suite": entry.suite.name,
            "dataset": entry.dataset.name,
            "model": entry.model.name,
            "protocol": "strict",
            "detector": entry.label,
            "control": entry.detector.control,
            "fit_on": entry.fit.fit_on if entry.fit else None,
            "test_on": ADAPTIVE,
            "seen": False,
            "gradient": entry.gradient.offered if entry.gradient else None,
        }
        for cell in entry.cells:
            area = {"auroc": cell.auroc, "low": cell.auroc_low, "high": cell.auroc_high}
            figures = cell.model_dump(include=set(_SHOWN))
            rows.append(head | area | {name: figures[name] for name in _SHOWN} | {"verdict": cell.verdict})
    return pd.DataFrame(rows)


_SHOWN = (
    *("epsilon", "images", "accepted", "fooled", "robust", "robust_low", "robust_high"),
    *("accuracy", "accuracy_low", "accuracy_high"),
)
