"""The protocol `strict`: fitting and evaluation share no image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from threadpoolctl import threadpool_limits

from ..core.arrays import EVERY, Bools, Floats, Ints
from ..stats.metrics import auroc
from ..stats.splits import Design
from .protocol import Kind, Material, Outcome, Protocol, Rows, Table, combine, fit_record

Score = Callable[[Floats], Floats]


@dataclass(frozen=True)
class _Fitted:
    """The combiner fitted on one attack in one split, and its record; no score where there were too few images."""

    split: int
    attack: str
    record: dict[str, Any]
    score: Score | None


class Strict(Protocol):
    """Free of the reference code's leaks: fitting and evaluation share no image, one common index set over attacks."""

    kinds: ClassVar[tuple[Kind, ...]] = ("clean", "adversarial", "noise")

    name: Literal["strict"] = "strict"
    splits: int = Field(30, ge=2, description="two a random halving, of which each half fits once and evaluates once")
    fit_share: float = Field(0.5, gt=0, lt=1, description="other than a half: every split is drawn anew")
    folds: int = Field(3, ge=2, description="cross-validation on the fitting part chooses among candidates")
    negatives: Literal["clean", "clean+noise"] = "clean"
    minimum_fit: int = Field(500, ge=2, description="cells fitted on fewer successful adversarials are marked")
    minimum_success: int = Field(20, ge=2, description="attacks with fewer successes leave the common index set")
    ties: Literal["half", "pessimistic"] = "half"

    @property
    def repeats(self) -> int:
        return self.splits

    @property
    def design(self) -> Design:
        return Design(self.fit_share, 2 if self.fit_share == 0.5 else 1)

    @property
    def stored_splits(self) -> int:
        return self.design.blocks

    @model_validator(mode="after")
    def _halves_in_pairs(self) -> Strict:
        if self.design.blocks == 2 and self.splits % 2:
            raise ValueError(f"splits is {self.splits}; halves take turns, so give an even number")
        return self

    def able(self, material: Material) -> list[str]:
        return list(material.attacks)

    def evaluate(self, material: Material, table: Table, seed: int) -> Outcome:
        rows = Rows()
        fits: list[dict[str, Any]] = []
        with threadpool_limits(1):  # regressions on a few columns: threads would only wait for each other
            for split in range(self.splits):
                fitting, held_out = self.split_indices(material, seed, split)
                for attack in material.attacks:
                    used = fitting[material.success[attack][fitting]]
                    fitted = self._fit(table, attack, used, (seed, split))
                    fits.append(fitted.record)
                    if fitted.score is not None:
                        self._score(rows, fitted, fitted.score, material, table, held_out)
        frame = rows.frame()
        if self.negatives == "clean+noise":
            # The column's noise is then a negative too; as a control it would only repeat the combiner's training.
            frame["kind"] = frame["kind"].cat.rename_categories({"noise": "noisy"})
        return Outcome(frame, fits)

    def split_indices(self, material: Material, seed: int, split: int) -> tuple[Ints, Ints]:
        """Fitting and evaluation images, stratified by class, among those correctly classified.

        Halves come in pairs: the odd split fits on what the even one before it evaluates.
        """
        generator = np.random.default_rng((seed, split // self.design.blocks))
        pool = np.flatnonzero(material.clean_correct)
        fitting: list[Ints] = []
        for label in np.unique(material.labels[pool]):
            members = generator.permutation(pool[material.labels[pool] == label])
            fitting.append(members[: round(self.fit_share * len(members) + generator.uniform(-0.5, 0.5))])
        fit = np.sort(np.concatenate(fitting)) if fitting else pool[:0]
        rest = np.setdiff1d(pool, fit)
        return (rest, fit) if self.design.blocks == 2 and split % 2 else (fit, rest)

    def is_common(self, material: Material, attack: str) -> bool:
        """Whether an attack succeeds often enough to count in the common index set."""
        fooled = material.success[attack] & material.clean_correct  # fooling a misclassified image is no success
        return bool(np.sum(fooled) >= self.minimum_success)

    def evaluated_images(self, material: Material, held_out: Ints, attack: str) -> Ints:
        """The common index set; an attack that hardly ever succeeds is left out of it and has its own set."""
        if not self.is_common(material, attack):
            return held_out[material.success[attack][held_out]]
        common: list[Bools] = [material.success[a] for a in material.attacks if self.is_common(material, a)]
        return held_out[np.all([success[held_out] for success in common], axis=0)]

    def _fit(self, table: Table, attack: str, used: Ints, place: tuple[int, int]) -> _Fitted:
        """Choose a candidate by cross-validation and fit the combiner on it; a single column needs neither."""
        record = fit_record(place[1], attack, len(used))
        if table.candidates == 1 and table.of(0, "clean", attack).shape[1] == 1:
            return _Fitted(place[1], attack, record, _first_column)
        if len(used) < 2 * self.folds:
            record["remark"] = f"{len(used)} successful adversarials to fit on, fewer than {2 * self.folds}"
            return _Fitted(place[1], attack, record, None)
        if len(used) < self.minimum_fit:
            record["remark"] = f"fitted on {len(used)} successful adversarials, fewer than {self.minimum_fit}"
        if table.candidates > 1:
            folds = _folds(len(used), self.folds, np.random.default_rng((*place, 1)))
            quality = [self._quality(table, c, attack, used, folds) for c in range(table.candidates)]
            record["candidate"] = int(np.argmax(quality))  # the first of equals, as Lee's code
        return _Fitted(place[1], attack, record, combine(*self._stacked(table, record["candidate"], attack, used)))

    def _stacked(self, table: Table, candidate: int, attack: str, images: Ints) -> tuple[Floats, Ints]:
        """Characteristics of negatives, then of adversarials, and which is which."""
        negatives: tuple[Kind, ...] = ("clean", "noise") if self.negatives == "clean+noise" else ("clean",)
        parts = [table.of(candidate, kind, attack)[images] for kind in (*negatives, "adversarial")]
        return np.concatenate(parts), np.repeat([0] * len(negatives) + [1], len(images))

    def _quality(self, table: Table, candidate: int, attack: str, used: Ints, folds: list[tuple[Ints, Ints]]) -> float:
        """Mean AUROC of a candidate over the folds."""
        quality = []
        for train, test in folds:
            score = combine(*self._stacked(table, candidate, attack, used[train]))
            values, target = self._stacked(table, candidate, attack, used[test])
            scores = score(values)
            quality.append(auroc(scores[target == 1], scores[target == 0], ties=self.ties))
        return float(np.mean(quality))

    def _score(
        self, rows: Rows, fitted: _Fitted, score: Score, material: Material, table: Table, held_out: Ints
    ) -> None:
        """Score the held-out images of every attack; the common set's clean images are kept once for all columns."""
        chosen, shared = fitted.record["candidate"], False
        for test_on in material.attacks:
            images = self.evaluated_images(material, held_out, test_on)
            if len(images) == 0:
                continue  # an attack without a success: its cell has n = 0
            kinds: list[Kind] = ["adversarial"]
            if test_on == fitted.attack or self.negatives == "clean+noise":
                kinds.append("noise")
            for kind in kinds:
                scores = score(table.of(chosen, kind, test_on)[images])
                rows.add(fitted.split, fitted.attack, test_on, kind, images, scores)
            common = self.is_common(material, test_on)
            if not (common and shared):
                scores = score(table.of(chosen, "clean", "")[images])
                rows.add(fitted.split, fitted.attack, EVERY if common else test_on, "clean", images, scores)
                shared = shared or common


def _folds(count: int, folds: int, generator: np.random.Generator) -> list[tuple[Ints, Ints]]:
    """Folds over images: a clean image and its adversarial version are always on the same side."""
    order = generator.permutation(count)
    return [(np.setdiff1d(order, part), np.sort(part)) for part in np.array_split(order, folds)]


def _first_column(values: Floats) -> Floats:
    return values[:, 0]
