"""From the outcome of every image to the figures of an entry; a run and an audit compute them by the same functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.arrays import Bools, Float64, Ints
from ..stats.inference import bootstrap_auroc, interval, resample_counts, share_interval
from ..stats.metrics import auroc
from ..stats.operating import fixed_at, redrawn
from .entry import CALIBRATION, CLEAN, STATIC, TRANSFER

#: Bootstrap resamples of images, and of the calibration's images with them.
RESAMPLES = 1000

#: A budget is found again in rows within this much: they are the same numbers, written and read.
SAME = 1e-12


@dataclass(frozen=True)
class Images:
    """Scores of the attacked images: ``clean`` ``(N,)``, and the lowest of their wrong versions, infinite if none."""

    numbers: Ints
    clean: Float64
    static: Float64
    calibration: Float64
    rows: pd.DataFrame

    def lowest(self, epsilon: float) -> Float64:
        """Lowest score of a wrong image within the budget, over all arms and smaller budgets: ``(N,)``."""
        made = ~self.rows["arm"].isin([CLEAN, CALIBRATION, STATIC])
        return lowest(self.rows[made & (self.rows["epsilon"] <= epsilon + SAME)], self.numbers)


def lowest(rows: pd.DataFrame, numbers: Ints) -> Float64:
    """The lowest score among each image's wrong versions; infinite where there is none."""
    result = np.full(len(numbers), np.inf)
    wrong = rows[rows["wrong"].astype(bool)]
    np.minimum.at(result, np.searchsorted(numbers, wrong["image"].to_numpy()), wrong["score"].to_numpy(np.float64))
    return result


def tried_by(rows: pd.DataFrame, arm: str, epsilon: float) -> pd.DataFrame:
    """An arm's rows at one budget."""
    return rows[(rows["arm"] == arm) & ((rows["epsilon"] - epsilon).abs() < SAME)]


def images_of(rows: pd.DataFrame) -> Images:
    """The images of an entry's rows."""
    clean = rows[rows["arm"] == CLEAN].sort_values("image")
    numbers = clean["image"].to_numpy(np.int64)
    calibration = rows.loc[rows["arm"] == CALIBRATION, "score"].to_numpy(np.float64)
    static = lowest(rows[rows["arm"] == STATIC], numbers)
    return Images(numbers, clean["score"].to_numpy(np.float64), static, calibration, rows)


@dataclass(frozen=True)
class Resampled:
    """Resamples: how often each image is drawn ``(B, N)``, and the threshold of each drawn calibration ``(B,)``."""

    counts: npt.NDArray[np.float32]
    taus: Float64

    @classmethod
    def draw(cls, images: Images, rate: float, seed: int) -> Resampled:
        generator = np.random.default_rng((seed, 2))
        counts = resample_counts(len(images.clean), RESAMPLES, generator)
        return cls(counts, redrawn(images.calibration, rate, RESAMPLES, generator))

    def robust(self, clean: Float64, low: Float64) -> tuple[Float64, Float64]:
        """Shares of robust images in each resample: of those accepted, and of all."""
        accepted = clean[None] <= self.taus[:, None]
        robust = accepted & ~(low[None] <= self.taus[:, None])
        total = (self.counts * robust).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / (self.counts * accepted).sum(1), total / self.counts.sum(1)

    def auroc(self, clean: Float64, low: Float64) -> Float64:
        """Clean images against the lowest-scoring wrong version of those that have one."""
        fooled = np.flatnonzero(np.isfinite(low))
        return bootstrap_auroc(low[fooled], fooled, clean, np.arange(len(clean)), self.counts)


def cell_figures(
    images: Images, resampled: Resampled, epsilon: float, tau: float, accuracy: float, level: float
) -> dict[str, Any]:
    """The figures of one budget; ``accuracy`` is the net's on all test images."""
    low, clean = images.lowest(epsilon), images.clean
    accepted: Bools = clean <= tau
    robust = accepted & ~(low <= tau)
    fooled = np.isfinite(low)
    figures: dict[str, Any] = {"images": len(clean), "accepted": int(accepted.sum()), "fooled": int(fooled.sum())}
    shares, of_all = resampled.robust(clean, low)
    if accepted.any():
        figures["robust"] = float(robust.sum() / accepted.sum())
        figures["robust_low"], figures["robust_high"] = _ends(figures["robust"], shares, int(accepted.sum()), level)
    share = float(robust.mean())
    figures["accuracy"] = accuracy * share
    ends = _ends(share, of_all, len(clean), level)
    figures["accuracy_low"], figures["accuracy_high"] = (accuracy * end for end in ends)
    if fooled.any():
        figures["auroc"] = auroc(low[fooled], clean)
        samples = resampled.auroc(clean, low)
        figures["auroc_low"], figures["auroc_high"] = _ends(figures["auroc"], samples, int(fooled.sum()), level)
    figures["transferred"] = _beaten_by(images, TRANSFER, epsilon, tau)
    return figures


def _beaten_by(images: Images, arm: str, epsilon: float, tau: float) -> int:
    chosen = tried_by(images.rows, arm, epsilon)
    return int((chosen["wrong"].astype(bool) & (chosen["score"] <= tau)).sum())


def _ends(value: float, samples: Float64, count: int, level: float) -> tuple[float, float]:
    low, high = share_interval(samples, count, level)
    return min(low, value), max(high, value)


def static_figures(images: Images, resampled: Resampled, largest: float, level: float) -> dict[str, Any]:
    """The suite's own attacks on the same images, and what knowing the detector takes off the AUROC."""
    fooled = np.isfinite(images.static)
    figures: dict[str, Any] = {"fooled": int(fooled.sum())}
    if not fooled.any():
        return figures
    figures["auroc"] = auroc(images.static[fooled], images.clean)
    samples = resampled.auroc(images.clean, images.static)
    figures["low"], figures["high"] = _ends(figures["auroc"], samples, int(fooled.sum()), level)
    adaptive = images.lowest(largest)
    if np.isfinite(adaptive).any():
        value = figures["auroc"] - auroc(adaptive[np.isfinite(adaptive)], images.clean)
        low, high = interval(samples - resampled.auroc(images.clean, adaptive), level)
        figures |= {"difference": value, "difference_low": min(low, value), "difference_high": max(high, value)}
    return figures


def false_alarms(images: Images, resampled: Resampled, tau: float, level: float) -> tuple[float, float, float]:
    """Realised false-positive rate on the attacked clean images, with its interval."""
    above = images.clean > tau
    samples = (resampled.counts * (images.clean[None] > resampled.taus[:, None])).sum(1) / resampled.counts.sum(1)
    value = float(above.mean())
    return value, *_ends(value, samples, len(above), level)


def all_figures(
    rows: pd.DataFrame, epsilons: Sequence[float], rate: float, accuracy: float, level: float, seed: int
) -> dict[str, Any]:
    """Every figure of an entry that follows from its rows: threshold, false alarms, cells, static."""
    images = images_of(rows)
    tau = fixed_at(images.calibration, rate)
    resampled = Resampled.draw(images, rate, seed)
    return {
        "tau": tau,
        "false_alarms": false_alarms(images, resampled, tau, level),
        "cells": [cell_figures(images, resampled, epsilon, tau, accuracy, level) for epsilon in epsilons],
        "static": static_figures(images, resampled, epsilons[-1], level),
    }
