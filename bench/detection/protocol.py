"""Protocols: which images are clean, noisy and adversarial, and which fit, tune and evaluate. Output: image scores.

``strict``  Fitting and evaluation share no image. Evaluation uses one index set for all attacks: correctly classified
            images that every attack fools. Candidates are chosen by cross-validation on the fitting part. Negatives
            are clean images (option: noisy ones too). Many random halvings; each half fits once and evaluates once.
``lee2018`` The released code of Lee et al. 2018: every attack keeps its own images (clean and noisy correctly
            classified, adversarial misclassified), in file order, whole batches only; noisy images are negatives; the
            first tenth of them fits (its first half) and tunes (its second half); unscaled logistic regression;
            the log odds of P(adversarial) as score. For an unknown attack, which that code lacks: fitted and tuned on
            A, scored on the other nine tenths of B without the images that fitted A. Repeated with every tenth in the
            first's place.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from ..core.arrays import Bools, Floats, Ints
from ..core.errors import UserError
from ..harness.plugins import column_hint
from ..harness.suite import Part
from ..stats.combiner import Combiner
from ..stats.splits import Design

#: Rows of scores that are hashed in one go.
ROWS_AT_A_TIME = 1 << 15

Kind = Literal["clean", "noisy", "adversarial", "noise", "calibration"]


@dataclass(frozen=True)
class Material:
    """Facts about the N images that are known before any detector runs.

    ``calibration``: the number of further images, correctly classified and not attacked, that set thresholds.
    """

    labels: Ints
    clean_correct: Bools
    attacks: tuple[str, ...]
    success: dict[str, Bools]
    noisy_correct: dict[str, Bools] = field(default_factory=dict)
    calibration: int = 0


@dataclass(frozen=True)
class Table:
    """A detector's characteristics on every set of images that a protocol asks for.

    ``values[kind, attack]`` holds one array ``(N, K)`` per candidate; rows that the protocol does not use may be
    NaN. Clean images are the same for every attack and stored under ``("clean", "")``, unless the detector is coupled.
    """

    candidates: int
    values: Mapping[tuple[Kind, str], Sequence[Floats]]

    def of(self, candidate: int, kind: Kind, attack: str) -> Floats:
        place = (kind, attack)
        return self.values[place if place in self.values else (kind, "")][candidate]


@dataclass(frozen=True)
class Outcome:
    """Scores of single images ``split, fit_on, test_on, kind, image, score`` and the record of each fit.

    ``test_on`` is `EVERY` for clean images shared by all test columns of their ``fit_on`` that have none of their own,
    and for those that set thresholds (kind ``calibration``). ``sha256`` is their `digest`, where it is known already.
    """

    scores: pd.DataFrame
    fits: list[dict[str, Any]]
    sha256: str = ""

    @cached_property
    def digest(self) -> str:
        """sha256 of all scores, each row hashed by itself: some rows at a time, which stay in the processor's cache."""
        if self.sha256:
            return self.sha256
        digest = hashlib.sha256()
        for begin in range(0, len(self.scores), ROWS_AT_A_TIME):
            rows = self.scores.iloc[begin : begin + ROWS_AT_A_TIME]
            digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
        return digest.hexdigest()


class Protocol(Part, ABC):
    """Rules for which images are clean, noisy and adversarial, and which fit, tune and evaluate, with their options.

    A subclass also has the fields ``name``, ``ties``, ``folds`` and ``minimum_fit``.
    """

    #: The sets of images that detectors score, in the order in which they are made.
    kinds: ClassVar[tuple[Kind, ...]]

    #: Whether it sets thresholds, and has the fits and cells of `fits`.
    calibrates: ClassVar[bool] = False

    @property
    @abstractmethod
    def design(self) -> Design:
        """How the splits share the images, on which intervals rest."""

    @property
    @abstractmethod
    def repeats(self) -> int:
        """Number of splits."""

    @property
    @abstractmethod
    def stored_splits(self) -> int:
        """Number of splits, from the first, whose scores are kept beside an entry."""

    @property
    def calibrating(self) -> int:
        """The most images, correctly classified and not attacked, that set thresholds."""
        return 0

    @abstractmethod
    def able(self, material: Material) -> list[str]:
        """The attacks that have images under this protocol, which detectors score."""

    def kept(self, material: Material, attack: str) -> Ints | None:
        """The images that a coupled detector scores, in order; None: all of them."""
        return None

    def sigma(self, label: str, attack: str) -> float | None:
        """Noise deviation of noisy images, for an attack's label or registered name; None: no noisy images."""
        return None

    @abstractmethod
    def evaluate(self, material: Material, table: Table, seed: int) -> Outcome:
        """Evaluate one detector from its characteristics under each of its candidates."""

    def further_metrics(self, positive: Floats, negative: Floats) -> dict[str, float]:
        """Metrics of a cell beyond those of every protocol."""
        return {}


class Rows:
    """Collects columns and makes one frame of them: a frame for every few hundred rows costs more than the fits."""

    _TEXT = ("fit_on", "test_on", "kind")

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {n: [] for n in ("split", *self._TEXT, "image", "score", "count")}

    def add(self, split: int, fit_on: str, test_on: str, kind: str, images: Ints, scores: Floats) -> None:
        for name, value in zip(self._columns, (split, fit_on, test_on, kind, images, scores, len(images)), strict=True):
            self._columns[name].append(value)

    def frame(self) -> pd.DataFrame:
        columns = dict(self._columns)
        count = columns.pop("count")
        frame = pd.DataFrame({"split": np.repeat(np.array(columns["split"], np.int16), count)})
        for name in self._TEXT:
            frame[name] = pd.Categorical(columns[name])[np.repeat(np.arange(len(count)), count)]
        frame["image"] = np.concatenate([np.empty(0, np.int32), *columns["image"]]).astype(np.int32)
        frame["score"] = np.concatenate([np.empty(0), *columns["score"]]).astype(np.float64)
        return frame


def fit_record(split: int, attack: str, fitted: int) -> dict[str, Any]:
    """A fit's initial record: the number of adversarials, the first candidate, no remark."""
    return {"split": split, "fit_on": attack, "n_fit": fitted, "candidate": 0, "remark": ""}


def combine(values: Floats, target: Ints) -> Combiner:
    """Logistic regression over standardised columns, fitted."""
    return Combiner.fit(values, target)


def check_finite(values: Floats, detector: str, where: str) -> Floats:
    """Characteristics as float64 ``(N, K)``; UserError that names the detector where they are not finite."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise UserError(
            f"The detector {detector!r} gave characteristics of shape {values.shape} on {where}; they must be (N, K)"
            f"{column_hint(values)}."
        )
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise UserError(
            f"The detector {detector!r} gave NaN or infinite characteristics for {bad.sum()} of "
            f"{len(values)} images on {where}; every characteristic must be finite."
        )
    return values
