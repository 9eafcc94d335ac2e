"""Joint statistical testing across layers: are the neighbours' classes the usual ones? (Raghuram et al. 2021)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import xlogy

from ..bench.core.arrays import Float64, Floats, Ints
from ..bench.core.parameters import seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.views import View
from .checks import chosen_taps, fitted, labels_of, one_of
from .contract import DetectorInfo
from .neighbours import METRICS, Index, Split

COMBINERS = ("fisher", "cauchy", "harmonic")


def likelihood_ratio(counts: Ints, expected: Float64) -> Float64:
    """sum_c k_c log(k_c / (k pi_c)) ``(N, H)`` of counts ``(N, C)`` against H multinomials ``(H, C)``, at least 0."""
    k = counts.sum(1, keepdims=True)
    own = xlogy(counts, counts / k).sum(1)[:, None]
    return np.asarray(np.maximum(own - (counts[:, None] * np.log(expected)).sum(2), 0.0))


def combined(p: Float64, how: str) -> Float64:
    """The logarithm of one p-value ``(...)`` from those of L taps, ``(..., L)``, all above 0.

    ``fisher``: -2 sum log p is chi-squared with 2 L degrees of freedom if taps are independent. ``cauchy``: the mean of
    tan((1/2 - p) pi) is Cauchy, nearly so if they are not. ``harmonic``: L / sum 1/p, at most 1.
    """
    if how == "fisher":
        from scipy.stats import chi2  # whoever asks for another detector does without

        return np.asarray(chi2.logsf(-2 * np.log(p).sum(-1), 2 * p.shape[-1]))
    if how == "harmonic":
        return np.asarray(np.minimum(np.log(p.shape[-1] / (1 / p).sum(-1)), 0.0))
    mean = np.tan((0.5 - p) * np.pi).mean(-1)
    return np.asarray(np.log(np.arctan2(1.0, mean) / np.pi))  # 1/2 - arctan(mean) / pi, precise where it is small


@dataclass(frozen=True, eq=False)
class Null:
    """What is usual at one tap for each of the C classes: a multinomial each, and the statistics it gives, sorted."""

    expected: Float64
    statistics: tuple[Float64, ...]

    @classmethod
    def fit(cls, counts: Ints, groups: Ints) -> Null:
        """From neighbours' counts ``(n, C)`` of calibration images that belong to the classes ``groups`` ``(n,)``.

        A multinomial is the mean of its posterior under a flat Dirichlet prior, so that no probability is 0.
        """
        classes = counts.shape[1]
        sums = np.stack([counts[groups == c].sum(0) for c in range(classes)]) + 1.0
        expected = sums / sums.sum(1, keepdims=True)
        ratios = likelihood_ratio(counts, expected)
        return cls(expected, tuple(np.sort(ratios[groups == c, c]) for c in range(classes)))

    def p_values(self, counts: Ints) -> Float64:
        """``(N, C)``: (1 + the number of the class's statistics that are as large) / (1 + their number)."""
        ratios = likelihood_ratio(counts, self.expected)
        columns = []
        for c, usual in enumerate(self.statistics):
            # A sum in another order rounds differently: what differs by no more than that is a tie.
            least = ratios[:, c] * (1 - 1e-9) - 1e-9
            columns.append((1 + len(usual) - np.searchsorted(usual, least, side="left")) / (1 + len(usual)))
        return np.stack(columns, 1)


@register_detector("jtla")
class Jtla:
    """log(max_{c != t} q_c / q_t): how much better another class explains the neighbours than the predicted one, t.

    At a tap, k_c of the k nearest training images have class c; the statistic of a hypothesis with the multinomial pi
    is the likelihood ratio sum_c k_c log(k_c / (k pi_c)). Its p-value is empirical, among calibration images. q_t
    combines the taps' p-values given that t was predicted (multinomial and null of images predicted as t), q_c those
    given the true class c (of images labelled c). ``score="ood"`` is -log q_t, the paper's score of anomalies that have
    no other class.

    ``combine``: ``fisher`` and ``harmonic`` as in the paper, ``cauchy`` for taps that depend on one another. The paper
    averages p-values over bootstrap samples, whose expectation is the p-value used here; it also tests pairs of taps
    and reduces their dimension first, which is not done. A quarter of the training images (at most 5,000, drawn with
    ``seed``) is kept out of the index for multinomials and nulls. A class with n of them has no p-value below
    1 / (1 + n), and one with none, always p = 1: with few training images, scores tie. A count has no gradient:
    attackers who know the detector use soft neighbours.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="A General Framework For Detecting Anomalous Inputs to DNN Classifiers",
        formula="log(max_{c != t} q_c / q_t), q by p-values of sum_c k_c log(k_c / (k pi_c)) per tap",
        year=2021,
        needs=("clean",),
        venue="ICML",
        url="https://arxiv.org/abs/2007.15147",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ({"k": 10}, {"k": 25}, {"k": 75})

    def __init__(
        self,
        *,
        k: int = 25,
        metric: str = "cosine",
        combine: str = "fisher",
        score: str = "adversarial",
        seed: int = 0,
        taps: Sequence[str] | None = None,
    ) -> None:
        whole("jtla", "k", k, 1)
        seed_of("jtla", "seed", seed)
        self.metric = one_of("jtla", "metric", metric, METRICS)
        self.combine = one_of("jtla", "combine", combine, COMBINERS)
        self.score = one_of("jtla", "score", score, ("adversarial", "ood"))
        self.k, self.seed, self.taps = k, seed, taps
        self.notes = ""
        self._nulls: list[tuple[Index, Null, Null]] | None = None

    def fit(self, train: View) -> Self:
        labels, split, classes = labels_of("jtla", train), Split.of(train, self.seed), train.classifier.classes
        held = train.memo(("neighbours calibration", self.seed), lambda: train.subset(split.calibration))
        nulls = []
        for tap in chosen_taps("jtla", train, self.taps):
            index = Index.of(train, tap, self.metric, self.seed)
            counts = index.counts(held, self.k, classes)
            nulls.append((index, Null.fit(counts, held.predicted), Null.fit(counts, labels[split.calibration])))
        self._nulls = nulls
        least = np.bincount(held.predicted, minlength=classes).min()
        self.notes = (
            f"p-values from {len(held)} calibration images, at least {least} a predicted class; "
            "no pairs of taps, no reduction of dimension"
        )
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 1)``."""
        predicted, of_true = [], []
        for index, by_prediction, by_label in fitted("jtla", self._nulls):
            counts = index.counts(x, self.k, x.classifier.classes)
            predicted.append(by_prediction.p_values(counts)[np.arange(len(x)), x.predicted])
            of_true.append(by_label.p_values(counts))
        own = combined(np.stack(predicted, -1), self.combine)
        if self.score == "ood":
            return -own[:, None]
        others = combined(np.stack(of_true, -1), self.combine)
        others[np.arange(len(x)), x.predicted] = -np.inf
        return np.asarray(others.max(1) - own)[:, None]
