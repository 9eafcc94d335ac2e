"""Deep k-nearest neighbours: neighbours' labels at every tap, calibrated (Papernot and McDaniel 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..bench.core.arrays import Float64, Floats, Ints
from ..bench.core.parameters import seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.views import View
from .checks import chosen_taps, fitted, labels_of, one_of
from .contract import DetectorInfo
from .neighbours import METRICS, Index, Split


def nonconformity(indices: Sequence[Index], x: View, k: int) -> Ints:
    """alpha(x, c) ``(N, classes)``: the neighbours, summed over taps, whose label is not c."""
    classes = x.classifier.classes
    agreeing = np.sum([index.counts(x, k, classes) for index in indices], axis=0)
    return np.asarray(k * len(indices) - agreeing)


def p_values(alphas: Ints, calibration: Ints) -> Float64:
    """The share of the sorted calibration values ``(n,)`` that are at least as large as each of ``alphas``."""
    below = np.searchsorted(calibration, alphas, side="left")
    return np.asarray(1 - below / len(calibration))


@register_detector("dknn")
class Dknn:
    """1 - credibility, one column; with ``columns="both"`` also 1 - confidence.

    alpha(x, c) = sum over taps of the number of the k nearest training images whose label is not c. p_c(x) is the share
    of calibration images with alpha(x_i, y_i) >= alpha(x, c). Credibility is the largest p_c, 1 - confidence the second
    largest (Algorithm 1; the paper finds adversarial images by credibility alone).

    The paper looks neighbours up by locality-sensitive hashing and calibrates on 750 test images; here the search is
    exact, and a quarter of the training images (at most 5,000, drawn with ``seed``) is kept out of the index to
    calibrate on. The net was trained on them, so its own training images look more credible than test images do: read
    the score as a rank, not as a rate. Credibility has as many values as there are different calibration values, so
    many images tie, at 0 above all. A count has no gradient: attackers who know the detector use soft neighbours.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Deep k-Nearest Neighbors: Towards Confident, Interpretable and Robust Deep Learning",
        formula="1 - max_c p(sum_taps #{i in kNN: y_i != c}), p by calibration",
        year=2018,
        needs=("clean",),
        venue="arXiv",
        url="https://arxiv.org/abs/1803.04765",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ({"k": 10}, {"k": 25}, {"k": 75})

    def __init__(
        self,
        *,
        k: int = 75,
        metric: str = "cosine",
        columns: str = "credibility",
        seed: int = 0,
        taps: Sequence[str] | None = None,
    ) -> None:
        whole("dknn", "k", k, 1)
        seed_of("dknn", "seed", seed)
        self.metric = one_of("dknn", "metric", metric, METRICS)
        self.columns = one_of("dknn", "columns", columns, ("credibility", "both"))
        self.k, self.seed, self.taps = k, seed, taps
        self.notes = ""
        self._indices: list[Index] | None = None

    def fit(self, train: View) -> Self:
        labels, split = labels_of("dknn", train), Split.of(train, self.seed)
        indices = [Index.of(train, tap, self.metric, self.seed) for tap in chosen_taps("dknn", train, self.taps)]
        held = train.memo(("neighbours calibration", self.seed), lambda: train.subset(split.calibration))
        alphas = nonconformity(indices, held, self.k)[np.arange(len(held)), labels[split.calibration]]
        self._indices, self._calibration = indices, np.sort(alphas)
        self.notes = (
            f"exact neighbours among {len(split.indexed)} training images in place of hashing; "
            f"calibrated on {len(held)} others, with {len(np.unique(alphas))} different values"
        )
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 1)``, or ``(N, 2)`` for both."""
        indices = fitted("dknn", self._indices)
        ranked = np.sort(p_values(nonconformity(indices, x, self.k), self._calibration), axis=1)
        columns = [1 - ranked[:, -1], ranked[:, -2]]
        return np.stack(columns if self.columns == "both" else columns[:1], 1)
