"""Fitting a combiner on pairs of an attack and an image that it fools, candidates chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Floats, Ints
from ..stats.column import FirstColumn
from ..stats.combiner import Combiner
from ..stats.metrics import Ties, auroc
from .protocol import Kind, Table, combine, fit_record


@dataclass(frozen=True)
class Fit:
    """A combiner as fitted in one split, and its record; no score where there were too few images."""

    split: int
    fit_on: str
    record: dict[str, Any]
    score: Combiner | FirstColumn | None

    @property
    def candidate(self) -> int:
        """Index of the chosen candidate."""
        return int(self.record["candidate"])


@dataclass(frozen=True)
class Pool:
    """What a fit learns from: of each attack the images that it fools; a pair is a clean and an adversarial version."""

    attacks: tuple[str, ...]
    images: tuple[Ints, ...]

    def __len__(self) -> int:
        return sum(map(len, self.images))

    @property
    def union(self) -> Ints:
        """The images of any attack, each once, sorted."""
        return np.unique(np.concatenate(self.images))

    def among(self, images: Ints) -> Pool:
        return Pool(self.attacks, tuple(of[np.isin(of, images)] for of in self.images))

    def once(self, generator: np.random.Generator) -> Pool:
        """Each image with one of the attacks that fool it, drawn at random."""
        if len(self.attacks) == 1:
            return self
        images = np.concatenate(self.images)
        attack = np.repeat(np.arange(len(self.attacks)), [len(of) for of in self.images])
        order = generator.permutation(len(images))
        first = order[np.unique(images[order], return_index=True)[1]]
        return Pool(self.attacks, tuple(np.sort(images[first[attack[first] == k]]) for k in range(len(self.attacks))))


@dataclass(frozen=True)
class Fitter:
    """How combiners are fitted on a table of characteristics."""

    table: Table
    folds: int
    minimum: int
    negatives: tuple[Kind, ...]
    ties: Ties

    def fit(self, fit_on: str, pool: Pool, place: tuple[int, int]) -> Fit:
        """Choose a candidate and fit the combiner on it; a single column needs neither. ``place``: seed and split."""
        record = fit_record(place[1], fit_on, len(pool))
        table, images = self.table, len(pool.union)
        if table.candidates == 1 and table.of(0, "clean", pool.attacks[0]).shape[1] == 1:
            return Fit(place[1], fit_on, record, FirstColumn())
        if images < 2 * self.folds:
            record["remark"] = f"{images} successful adversarials to fit on, fewer than {2 * self.folds}"
            return Fit(place[1], fit_on, record, None)
        if len(pool) < self.minimum:
            record["remark"] = f"fitted on {len(pool)} successful adversarials, fewer than {self.minimum}"
        if table.candidates > 1:
            record["candidate"] = self._choose(pool, place)
        return Fit(place[1], fit_on, record, combine(*self._stacked(record["candidate"], pool)))

    def _choose(self, pool: Pool, place: tuple[int, int]) -> int:
        """The candidate of the best mean AUROC over folds; the first of equals, as in Lee's code.

        Of several attacks each image brings one, drawn at random: choosing then costs no more than for one attack.
        """
        pool = pool.once(np.random.default_rng((*place, 2)))
        folds = _folds(pool.union, self.folds, np.random.default_rng((*place, 1)))
        sides = [(pool.among(train), pool.among(test)) for train, test in folds]
        return int(np.argmax([self._quality(candidate, sides) for candidate in range(self.table.candidates)]))

    def _quality(self, candidate: int, sides: Sequence[tuple[Pool, Pool]]) -> float:
        """Mean AUROC of a candidate over the folds."""
        quality = []
        for train, test in sides:
            score = combine(*self._stacked(candidate, train))
            values, target = self._stacked(candidate, test)
            scores = score(values)
            quality.append(auroc(scores[target == 1], scores[target == 0], ties=self.ties))
        return float(np.mean(quality))

    def _stacked(self, candidate: int, pool: Pool) -> tuple[Floats, Ints]:
        """Characteristics of negatives, then of adversarials, and which is which."""
        parts = [
            self.table.of(candidate, kind, attack)[images]
            for kind in (*self.negatives, "adversarial")
            for attack, images in zip(pool.attacks, pool.images, strict=True)
        ]
        return np.concatenate(parts), np.repeat([0] * len(self.negatives) + [1], len(pool))


def _folds(images: Ints, folds: int, generator: np.random.Generator) -> list[tuple[Ints, Ints]]:
    """Folds over images: all versions of an image are always on the same side."""
    order = generator.permutation(len(images))
    return [(images[np.setdiff1d(order, part)], images[np.sort(part)]) for part in np.array_split(order, folds)]
