"""AUROC and related metrics of scores: positive = adversarial, higher = more adversarial, float64 throughout."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..core.arrays import Float64, Floats
from ..core.errors import UserError

Ties = Literal["half", "pessimistic"]


def checked(positive: Floats, negative: Floats) -> tuple[Float64, Float64]:
    """Both sides as flat float64. UserError if a side is empty or a score is NaN (infinite ones have a rank)."""
    sides = []
    for name, scores in (("adversarial", positive), ("clean", negative)):
        flat = np.asarray(scores, np.float64).ravel()
        if flat.size == 0:
            raise UserError(f"There are no {name} scores, so there is no metric; give at least one {name} image.")
        missing = int(np.isnan(flat).sum())
        if missing:
            raise UserError(f"{missing} of {flat.size} {name} scores are NaN; every image needs a number.")
        sides.append(flat)
    return sides[0], sides[1]


def auroc(positive: Floats, negative: Floats, *, ties: Ties = "half") -> float:
    """P(positive > negative), the Mann-Whitney statistic.

    A tie counts one half, or nothing where ``ties`` is "pessimistic" (the reference code of Lee et al. 2018, in which a
    detector whose probabilities saturate at 1 loses every tied pair).
    """
    positive, negative = checked(positive, negative)
    ordered = np.sort(negative)
    wins = float(np.searchsorted(ordered, positive, "left").sum())
    if ties == "half":
        wins = (wins + float(np.searchsorted(ordered, positive, "right").sum())) / 2
    return wins / (positive.size * negative.size)


def _operating_points(positive: Float64, negative: Float64) -> tuple[Float64, Float64]:
    """True and false positives when scores >= t count as "adversarial", for every t from infinity down."""
    scores = np.concatenate([positive, negative])
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[scores[order][1:] != scores[order][:-1], True])
    true = np.cumsum(order < positive.size)[last]
    return np.r_[0.0, true], np.r_[0.0, last + 1.0 - true]


def aupr(positive: Floats, negative: Floats) -> float:
    """Average precision, ``sum_k (R_k - R_{k-1}) P_k`` over falling thresholds; depends on the class ratio."""
    true, false = _operating_points(*checked(positive, negative))
    precision = true[1:] / (true[1:] + false[1:])
    return float(np.sum(np.diff(true) * precision) / true[-1])


def fpr_at_tpr(positive: Floats, negative: Floats, tpr: float = 0.95) -> float:
    """The smallest false-positive rate among thresholds that detect at least ``tpr`` of the adversarial images."""
    positive, negative = checked(positive, negative)
    enough = max(1, int(np.ceil(tpr * positive.size * (1 - 1e-12))))  # .95 * 60 is not 57 in floating point
    threshold = np.partition(positive, positive.size - enough)[positive.size - enough]
    return float(np.count_nonzero(negative >= threshold) / negative.size)


def detection_accuracy(positive: Floats, negative: Floats) -> float:
    """max over thresholds of (TPR + TNR) / 2: the accuracy when both kinds are equally likely."""
    true, false = _operating_points(*checked(positive, negative))
    return float(np.max(true / true[-1] + 1 - false / false[-1]) / 2)


def _area(y: Float64, x: Float64) -> float:
    """By the trapezoidal rule; numpy's own has another name in numpy 1.26 than from 2.0 on."""
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def lee_metrics(positive: Floats, negative: Floats) -> dict[str, float]:
    """The five figures of Lee et al. 2018 as their code computes them; ``negative`` holds clean and noisy scores.

    Their positive class is the known one (clean and noisy) with confidence ``-score``. The threshold rises past one
    image after the other; among equal confidences the known images fall first, so that every tie counts against the
    detector. TNR is read at the operating point nearest to 95% TPR. AUIN (area under precision-recall of the known)
    starts at precision .5 and AUOUT (of the adversarial) ends at .5, whatever the class ratio.
    """
    novel, known = (-side for side in checked(positive, negative))
    is_known = np.r_[np.ones(known.size, bool), np.zeros(novel.size, bool)]
    order = np.argsort(np.r_[known, novel], kind="stable")  # stable: the known first among equals
    dropped = np.r_[0, np.cumsum(is_known[order])]
    true = (known.size - dropped).astype(np.float64)
    false = novel.size - (np.arange(len(dropped)) - dropped).astype(np.float64)
    tpr, fpr = true / known.size, false / novel.size
    # The end points have no precision (0/0): the anchors take their place.
    inside = true[:-1] / (true + false)[:-1]
    outside = (novel.size - false[1:]) / (known.size - true[1:] + novel.size - false[1:])
    return {
        "tnr95": float(1 - fpr[np.argmin(np.abs(tpr - 0.95))]),
        "auroc": _area(tpr[::-1], fpr[::-1]),
        "dtacc": float(np.max(tpr + 1 - fpr) / 2),
        "auin": -_area(np.r_[0.5, inside, 0.0], np.r_[1.0, tpr[:-1], 0.0]),
        "auout": _area(np.r_[0.0, outside, 0.5], np.r_[0.0, 1 - fpr[1:], 1.0]),
    }


def summary(positive: Floats, negative: Floats, ties: Ties = "half") -> dict[str, float]:
    """The metrics of a result, by column name."""
    return {
        "auroc": auroc(positive, negative, ties=ties),
        "aupr": aupr(positive, negative),
        "fpr95": fpr_at_tpr(positive, negative),
        "accuracy": detection_accuracy(positive, negative),
    }
