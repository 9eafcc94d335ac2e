"""The entry of one detector under benign shift: how many changed images it calls adversarial, corruption by corruption.

An image that the net no longer classifies correctly is no false alarm when it is flagged: both are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from pydantic import Field, model_validator

from ..core.text import of_library
from ..detection.entry import DetectorNote, ImagesNote, ModelNote, StatisticsNote, exact_type
from ..harness import entry as entries_of
from ..harness.entry import Column, Count, Form, Share, Shown
from ..harness.scores import packed

#: Rows of the scores that no corruption made.
CLEAN, CALIBRATION = "clean", "calibration"

#: In the place of an attack, in frames of all results.
SHIFT = "benign shift"


class FitNote(Form):
    """The one fit that is tried, and its threshold ``tau``, fixed at ``rate`` on images that nobody attacks."""

    split: Count
    gate: Count
    fit_on: str
    n_fit: Count
    candidate: dict[str, Any]
    rate: float = Field(gt=0, lt=1)
    tau: float
    calibration_images: Count
    remark: str = ""


class Rate(Form):
    """A share of images above the threshold, with its interval over images and calibration; ``images``: of how many."""

    images: Count
    value: Share | None = None
    low: Share | None = None
    high: Share | None = None

    @model_validator(mode="after")
    def _possible(self) -> Rate:
        if len({part is None for part in (self.value, self.low, self.high)}) > 1:
            raise ValueError("a share needs both ends of its interval")
        if (self.value is None) != (self.images == 0):
            raise ValueError("a share is there exactly where there are images")
        if self.value is not None and not (self.low or 0) <= self.value <= (self.high or 0):
            raise ValueError("a share lies within its interval")
        return self


class Cell(Form):
    """One corruption at one severity: false alarms on images still classified correctly, and what else is flagged."""

    kind: Shown
    severity: int = Field(ge=1, le=5)
    images: Count
    alarms: Rate
    flagged_wrong: Rate

    @model_validator(mode="after")
    def _all_images(self) -> Cell:
        if self.alarms.images + self.flagged_wrong.images != self.images:
            raise ValueError("every image is classified correctly or not")
        return self

    @property
    def accuracy(self) -> float:
        return self.alarms.images / self.images if self.images else 0.0


class Mean(Form):
    """The mean of the false-alarm rates of all corruptions at one severity, with its interval."""

    severity: int = Field(ge=1, le=5)
    alarms: Share
    low: Share
    high: Share


class Entry(entries_of.Entry):
    """One detector on clean images that were changed without an attack."""

    home: ClassVar[str] = "shift"
    written_order: ClassVar[tuple[str, ...]] = (
        *("suite", "dataset", "model", "detector", "fit", "seed", "statistics"),
        *("clean", "means", "cells", "reason", "versions", "scores", "supersedes"),
    )
    columns: ClassVar[tuple[Column, ...]] = (
        *(Column("kind", "name"), Column("severity", "whole"), Column("image", "whole")),
        *(Column("correct", "whole"), Column("score", "number")),
    )

    dataset: ImagesNote
    model: ModelNote
    detector: DetectorNote
    fit: FitNote | None = None
    statistics: StatisticsNote
    #: False alarms on the same images unchanged.
    clean: Rate | None = None
    means: list[Mean] = Field(default_factory=list)
    cells: list[Cell] = Field(default_factory=list)
    #: Why there are no cells, where there are none.
    reason: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        places = [(cell.kind, cell.severity) for cell in self.cells]
        if len(set(places)) < len(places):
            raise ValueError("its cells must be of different corruptions or severities")
        if not self.cells and not self.reason:
            raise ValueError("without cells it must state a reason")
        if self.cells and (self.fit is None or self.clean is None):
            raise ValueError("cells need a fit and the false alarms on unchanged images")
        return self

    @property
    def label(self) -> str:
        return self.detector.label

    @property
    def place(self) -> str:
        return f"strict/{self.label}"

    @property
    def scores_file(self) -> str:
        return f"shift/{self.place}.parquet"

    @property
    def identity(self) -> tuple[str, ...]:
        return self.suite.name, "shift", self.label

    @property
    def title(self) -> str:
        return f"{self.label!r} of suite {self.suite.name!r} under benign shift,"

    @property
    def page_names(self) -> dict[str, str]:
        return {"dataset.name": self.dataset.name, "model.name": of_library(self.model.name)}

    @property
    def severities(self) -> list[int]:
        return sorted({cell.severity for cell in self.cells})

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(cell.kind for cell in self.cells))

    @classmethod
    def packed(cls, scores: pd.DataFrame) -> bytes:
        types: dict[str, Any] = {"kind": "category", "image": "int32", "severity": "int8", "correct": "int8"}
        types |= exact_type(scores)
        return packed(scores.astype(types))

    @classmethod
    def unpacked(cls, scores: pd.DataFrame) -> pd.DataFrame:
        return scores.astype({"kind": "str", "severity": "int64", "correct": "bool", "score": "float64"})


def read_entries(folder: Path) -> list[Entry]:
    """All entries of benign shift below a results folder, in a fixed order."""
    return entries_of.read_entries(Entry, folder)


def tidy(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per detector, corruption and severity."""
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
            "test_on": SHIFT,
            "seen": False,
        }
        for cell in entry.cells:
            figures = {"kind": cell.kind, "severity": cell.severity, "images": cell.images, "accuracy": cell.accuracy}
            alarms = {"alarms": cell.alarms.value, "alarms_low": cell.alarms.low, "alarms_high": cell.alarms.high}
            rows.append(head | figures | alarms | {"flagged_wrong": cell.flagged_wrong.value})
    return pd.DataFrame(rows)
