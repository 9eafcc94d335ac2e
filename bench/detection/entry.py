"""The detection track's entry: one detector under one protocol, with per-image scores in a file beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import pandas as pd
from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from ..core.columns import frame_of
from ..core.errors import UserError
from ..core.text import of_library
from ..harness import entry as entries_of
from ..harness.entry import Column, Count, DatasetNote, Form, OfSession, Positive, Share, Shown
from ..harness.scores import packed, read_frame
from ..stats.metrics import Ties
from ..stats.splits import Place
from .cell import BY_SPLIT, Cell, without_splits
from .fits import stranger
from .order import in_order
from .suite import NO_GATES, Pair


class ImagesNote(DatasetNote):
    train_images: Count
    attacked_images: Count
    calibration_images: Count | None = None


class ModelNote(OfSession):
    name: str
    parameters: dict[str, Any]
    sha256: str
    accuracy: Share
    weights: dict[str, Any] | None = None


class DetectorNote(OfSession):
    label: Shown
    name: Shown
    control: bool
    title: str
    year: int = Field(ge=1900, le=2200)
    url: str = ""
    needs: list[Shown]
    formula: str
    candidates: list[dict[str, Any]] = Field(default_factory=list)
    notes: str = ""


class NormNote(Form):
    """Median and 90th percentile over an attack's successes, in pixels."""

    median: Positive
    p90: Positive


class BestNote(Form):
    """What an attack's best iterate would have done: images fooled, and the returned norm as a multiple of its own."""

    successes: Count
    ratio: Positive | None = None


class EnvelopeNote(Form):
    """Distance from the least norm of all ``attacks`` of one norm, on the ``images`` that any of them fools."""

    attacks: Count
    images: Count
    ratio: Positive | None = None
    ratio_low: Positive | None = None
    ratio_high: Positive | None = None
    best: Share
    best_low: Share
    best_high: Share


class EffortNote(Form):
    """Passes an image, counted by the net while it was attacked, and how good the images are for them."""

    forward_per_image: Positive | None = None
    backward_per_image: Positive | None = None
    norms: dict[Shown, NormNote] = Field(default_factory=dict)
    best_iterate: BestNote | None = None
    best_unknown: str = ""
    envelope: EnvelopeNote | None = None
    floor: Share | None = None


class AttackNote(OfSession):
    """An attack's configuration and its verification results in float32; norms in pixels, medians over successes.

    ``remark``, where there is one: why there are no images, or what is wrong with them. ``minimises``: whether the
    attack looks for the least norm, where it says so itself.
    """

    name: Shown
    library: str
    version: str
    preset: str
    parameters: dict[str, Any]
    threat: str
    norm: str
    images: Count = 0
    images_sha256: str | None = None
    clean_correct: Count
    successes: Count
    seconds_per_image: Positive
    l2_median: Positive | None
    linf_median: Positive | None
    margin_median: float | None
    survives_8bit: Share | None
    minimises: bool | None = None
    remark: str = ""
    effort: EffortNote | None = None

    @model_validator(mode="after")
    def _possible(self) -> AttackNote:
        if self.successes > self.clean_correct:
            raise ValueError(f"{self.successes} successes on {self.clean_correct} images are impossible")
        return self


class GatesNote(Form):
    """One of the sets of gates that an entry rests on."""

    seed: int
    fingerprint: str
    seconds: Positive
    peak_mb: Positive | None = None


class SubnetsNote(Form):
    options: dict[str, Any]
    sets: list[GatesNote] = Field(default_factory=list)


class StatisticsNote(Form):
    level: float = Field(gt=0.5, lt=1)


class CostNote(Form):
    """Mean cost per image in seconds and passes; total seconds and peak memory."""

    backward_per_image: Positive | None = None
    candidates: Count | None = None
    forward_per_image: Positive | None = None
    peak_mb: Positive | None = None
    seconds: Positive | None = None
    seconds_per_image: Positive | None = None


_NAME: TypeAdapter[str] = TypeAdapter(Shown)


def _protocol(options: dict[str, Any]) -> dict[str, Any]:
    if options.get("ties") not in ("half", "pessimistic"):
        raise ValueError("ties must be half or pessimistic")
    _NAME.validate_python(options.get("name"))
    return options


class AllScores(Form):
    """All scores that a run made: ``rows`` of them, by `Outcome.digest`; the entry's file holds `stored_scores`."""

    rows: Count
    sha256: str


class Entry(entries_of.Entry):
    """One detector under one protocol on one suite's attacks."""

    home: ClassVar[str] = "entries"
    written_order: ClassVar[tuple[str, ...]] = (
        *("suite", "dataset", "model", "protocol", "detector", "attacks", "subnets", "seed", "statistics", "cells"),
        *("cost", "versions", "all_scores", "scores", "supersedes"),
    )
    columns: ClassVar[tuple[Column, ...]] = (
        Column("gate", "whole", required=False),  # scores that predate sets of gates have no such column
        *(Column("split", "whole"), Column("fit_on", "name"), Column("test_on", "name"), Column("kind", "name")),
        *(Column("image", "whole"), Column("score", "number")),
    )

    dataset: ImagesNote
    model: ModelNote
    protocol: Annotated[dict[str, Any], AfterValidator(_protocol)]
    detector: DetectorNote
    attacks: dict[Shown, AttackNote] = Field(min_length=1)
    subnets: SubnetsNote | None = None
    statistics: StatisticsNote
    cells: list[Cell] = Field(min_length=1)
    cost: CostNote
    all_scores: AllScores | None = None

    @model_validator(mode="after")
    def _cells_are_of_attacks(self) -> Entry:
        pairs = [cell.pair for cell in self.cells]
        for pair in pairs:
            if stranger(pair, self.attacks):
                raise ValueError(f"a cell names the attacks {pair}, which the entry does not describe")
        duplicates = {pair for pair in pairs if pairs.count(pair) > 1} if len(set(pairs)) < len(pairs) else set()
        if duplicates:
            raise ValueError(f"the cell {min(duplicates)} appears twice")
        if any(len(self.places(cell)) != len(cell.n) for cell in self.cells):
            raise ValueError("its lists must have one value for each set of gates and split")
        return self

    @property
    def page_names(self) -> dict[str, str]:
        return {"dataset.name": self.dataset.name, "model.name": of_library(self.model.name)}

    @property
    def protocol_name(self) -> str:
        return str(self.protocol["name"])

    @property
    def ties(self) -> Ties:
        ties: Ties = self.protocol["ties"]
        return ties

    def places(self, cell: Cell) -> list[Place]:
        """Set of gates (or `NO_GATES`) and split of each value in a cell's lists."""
        gates = range(len(self.subnets.sets)) if self.subnets and self.subnets.sets else [NO_GATES]
        return [(gate, split) for gate in gates for split in range(len(cell.n) // len(gates))]

    @property
    def label(self) -> str:
        return self.detector.label

    @property
    def place(self) -> str:
        return f"{self.protocol_name}/{self.label}"

    @property
    def scores_file(self) -> str:
        return f"scores/{self.place}.parquet"

    @property
    def identity(self) -> tuple[str, ...]:
        return self.suite.name, self.protocol_name, self.label

    @property
    def ground(self) -> Any:
        attacks = {
            label: (attack.name, attack.parameters, attack.images_sha256) for label, attack in self.attacks.items()
        }
        return (
            self.suite.name,
            self.dataset.sha256,
            self.model.sha256,
            self.protocol,
            self.seed,
            self.statistics,
            attacks,
        )

    @property
    def title(self) -> str:
        return f"{self.label!r} of suite {self.suite.name!r}, protocol {self.protocol_name!r},"

    @property
    def net(self) -> str:
        """The model's name with its parameters, which tell two nets of one family apart."""
        shown = [f"{key}={value}" for key, value in sorted(self.model.parameters.items()) if key != "weights"]
        return f"{self.model.name} ({', '.join(shown)})" if shown else self.model.name

    def by_pair(self) -> dict[Pair, Cell]:
        return {cell.pair: cell for cell in self.cells}

    def write(self, folder: Path, scores: pd.DataFrame | None) -> Self:
        """As for every track; what is returned is `lean`, since a run keeps one for each detector until its end."""
        return super().write(folder, scores).lean()

    def lean(self) -> Self:
        """The entry without the figures by split that no table shows; of many attacks they are nearly all of it."""
        shown = {"auroc_by_split"} if self.protocol_name == "lee2018" else set[str]()
        return self.model_copy(update={"cells": without_splits(self.cells, shown)})

    @classmethod
    def packed(cls, scores: pd.DataFrame) -> bytes:
        """The scores as parquet, values unchanged."""
        types: dict[str, Any] = {"fit_on": "category", "test_on": "category", "kind": "category"} | exact_type(scores)
        return packed(scores.astype(types))

    @classmethod
    def unpacked(cls, scores: pd.DataFrame) -> pd.DataFrame:
        """Plain columns; scores that predate sets of gates belong to the first."""
        if "gate" not in scores:
            scores = scores.assign(gate=0)[["gate", *scores.columns]]
        if scores["score"].isna().any():
            count = int(scores["score"].isna().sum())
            raise UserError(f"{count} of its {len(scores)} scores are NaN; run the suite again.")
        if (scores["split"] < 0).any():
            raise UserError("Its scores hold a split below 0; run the suite again.")
        return scores.astype({"fit_on": "str", "test_on": "str", "kind": "str", "score": "float64"})


def exact_type(scores: pd.DataFrame) -> dict[str, str]:
    """float32 as the type of the scores where it holds every one of them exactly."""
    exact = (scores["score"].astype("float32").astype("float64") == scores["score"]).all()
    return {"score": "float32"} if exact else {}


def read_entries(folder: Path) -> list[Entry]:
    """All detection entries below a results folder, at any depth, in a fixed order: protocols as in their suite."""
    return in_order(folder, entries_of.read_entries(Entry, folder))


def read_lean(folder: Path) -> list[Entry]:
    """The same, each without the figures by split that no table shows (`Entry.lean`)."""
    return in_order(folder, entries_of.read_entries(Entry, folder, Entry.lean))


def read_scores(folder: Path, entry: Entry) -> pd.DataFrame:
    """The scores that an entry names; their sha256 must be the one it states."""
    return entry.unpacked(read_frame(folder, entry))


#: Columns of a cell that a reader looks for first.
_FIRST = ("fit_on", "test_on", "seen", "auroc", "low", "high")


def tidy(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per cell: the frame that `run` returns and that the CSV holds."""
    return frame_of(row for entry in entries for row in _rows(entry))


def _rows(entry: Entry) -> Iterator[dict[str, Any]]:
    head = {
        "suite": entry.suite.name,
        "dataset": entry.dataset.name,
        "model": entry.model.name,
        "protocol": entry.protocol_name,
        "detector": entry.label,
        "control": entry.detector.control,
    }
    for cell in entry.cells:
        figures = cell.model_dump(exclude_unset=True)
        first = {name: figures.pop(name) for name in _FIRST}
        counts = {name: _mean(figures.pop(name)) for name in ("n_fit", "n")}
        remark = figures.pop("remark")
        for name in ("candidates", "fpr5_calibration", "tpr5_calibration", "points_remark", *BY_SPLIT):
            figures.pop(name, None)
        yield head | first | counts | dict(sorted(figures.items())) | {"remark": remark}


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts) if counts else 0.0
