"""Intervals, paired differences and Holm's correction: the significance of a difference between two detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..core.arrays import Float64, Floats, Ints
from .metrics import Ties, checked

#: Level of every verdict, after Holm's correction.
ALPHA = 0.05

Verdict = Literal["better", "worse", "not separable"]

#: Largest number of weights that `bootstrap_auroc` holds at once (float64, so 8 MB an array: it stays in cache).
CHUNK = 1_000_000


def resample_counts(units: int, resamples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """How often each of ``units`` images is drawn in each bootstrap resample: ``(resamples, units)`` float32.

    Detectors whose scores are weighted by the same counts are compared on the same resamples.
    """
    counts = np.empty((resamples, units), np.float32)
    step = max(1, CHUNK // max(1, units))
    for begin in range(0, resamples, step):
        rows = min(step, resamples - begin)
        drawn = rng.integers(0, units, (rows, units)) + np.arange(rows)[:, None] * units
        counts[begin : begin + rows] = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
    return counts


def bootstrap_auroc(
    positive: Floats,
    positive_unit: Ints,
    negative: Floats,
    negative_unit: Ints,
    counts: npt.NDArray[np.float32],
    *,
    ties: Ties = "half",
) -> Float64:
    """AUROC in every resample, ``(B,)``; NaN where a resample has no image of one side.

    ``*_unit`` maps each score to the column of ``counts`` that it is drawn with: the clean and the adversarial
    versions of an image share a column, so that they enter a resample together. Exact: equal to `metrics.auroc` of the
    scores repeated ``counts`` times.
    """
    positive, negative = checked(positive, negative)
    order = np.argsort(negative, kind="stable")
    left = np.searchsorted(negative[order], positive, "left")
    right = np.searchsorted(negative[order], positive, "right") if ties == "half" else left
    result = np.empty(len(counts))
    step = max(1, CHUNK // (2 * positive.size + 2 * negative.size))
    for begin in range(0, len(counts), step):
        # One row per unit: picking rows and summing down columns touch memory in order, six times as fast as across.
        part = np.ascontiguousarray(counts[begin : begin + step].T, dtype=np.float64)
        below = np.zeros((negative.size + 1, part.shape[1]))
        np.cumsum(part[negative_unit[order]], axis=0, out=below[1:])
        weights = part[positive_unit]
        wins = np.einsum("pb,pb->b", weights, below[left])
        if right is not left:
            wins = (wins + np.einsum("pb,pb->b", weights, below[right])) / 2
        with np.errstate(invalid="ignore"):
            result[begin : begin + step] = wins / (weights.sum(0) * below[-1])
    return result


def interval(samples: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap samples; NaN samples are ignored, and all NaN gives (NaN, NaN)."""
    kept = samples[~np.isnan(samples)]
    if kept.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_interval(samples: Floats, images: int, level: float = 0.95) -> tuple[float, float]:
    """`interval` of a share of ``images`` images, or of an AUROC on them.

    Where every resample gives 0 or every one 1, the end of Clopper and Pearson (1934) stands in: no resampling finds an
    error that was not made.
    """
    low, high = interval(samples, level)
    exact = float(((1 - level) / 2) ** (1 / images)) if images else 0.0
    return (exact if low == 1 else low), (1 - exact if high == 0 else high)


def paired_p(differences: Floats) -> float:
    """Two-sided bootstrap p of "no difference" from paired differences.

    Twice the smaller share of resamples on either side of 0 (0 itself counts on both), each with one resample added
    (Davison and Hinkley 1997, 4.2), so that B resamples never claim less than 2 / (B + 1). 1 if there are none.
    """
    kept = differences[~np.isnan(differences)]
    side = min(int(np.sum(kept <= 0)), int(np.sum(kept >= 0)))
    return min(1.0, 2 * (side + 1) / (kept.size + 1))


def holm(p_values: Sequence[float] | Floats) -> Float64:
    """Holm's (1979) step-down adjusted p-values, in input order: all claims together at the level of one."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def verdict(difference: float, adjusted_p: float, alpha: float = ALPHA) -> Verdict:
    """The verdict on a difference: its sign if the adjusted p is at most ``alpha``, else "not separable"."""
    if not adjusted_p <= alpha or difference == 0 or np.isnan(difference):
        return "not separable"
    return "better" if difference > 0 else "worse"
