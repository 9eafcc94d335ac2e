"""From the score of every image to the figures of an entry; a run and an audit compute them by the same functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.arrays import Bools, Float64, Ints
from ..stats.inference import resample_counts, share_interval
from ..stats.operating import fixed_at, redrawn
from .entry import CALIBRATION, CLEAN

#: Bootstrap resamples of images, and of the calibration's images with them.
RESAMPLES = 1000


@dataclass(frozen=True)
class Resampled:
    """How often each image is drawn ``(B, N)``, and the threshold of each drawn calibration ``(B,)``."""

    numbers: Ints
    counts: npt.NDArray[np.float32]
    tau: float
    taus: Float64
    level: float

    def share(self, rows: pd.DataFrame) -> tuple[dict[str, Any], Float64]:
        """The share of these images above the threshold with its interval, and the share in every resample."""
        scores = rows["score"].to_numpy(np.float64)
        if not len(scores):
            return {"images": 0}, np.full(len(self.taus), np.nan)
        drawn = self.counts[:, np.searchsorted(self.numbers, rows["image"].to_numpy())]
        above = scores[None] > self.taus[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            samples = (drawn * above).sum(1, dtype=np.float64) / drawn.sum(1, dtype=np.float64)
        value = float(np.mean(scores > self.tau))
        low, high = _ends(value, samples, len(scores), self.level)
        return {"images": len(scores), "value": value, "low": low, "high": high}, samples


def all_figures(rows: pd.DataFrame, rate: float, level: float, seed: int) -> dict[str, Any]:
    """Every figure of an entry that follows from its rows: ``tau``, ``clean``, ``cells`` and ``means``."""
    clean = rows[rows["kind"] == CLEAN].sort_values("image")
    calibration = rows.loc[rows["kind"] == CALIBRATION, "score"].to_numpy(np.float64)
    generator = np.random.default_rng((seed, 4))
    counts = resample_counts(len(clean), RESAMPLES, generator)
    taus = redrawn(calibration, rate, RESAMPLES, generator)
    numbers = clean["image"].to_numpy(np.int64)
    resampled = Resampled(numbers, counts, fixed_at(calibration, rate), taus, level)
    cells: list[dict[str, Any]] = []
    alarms: dict[int, list[tuple[float, Float64]]] = {}
    changed = rows[~rows["kind"].isin([CLEAN, CALIBRATION])]
    for (kind, severity), group in changed.groupby(["kind", "severity"], sort=False, observed=True):
        correct: Bools = group["correct"].to_numpy(bool)
        figures, samples = resampled.share(group[correct])
        wrong, _ = resampled.share(group[~correct])
        at = int(str(severity))
        cells.append(
            {"kind": str(kind), "severity": at, "images": len(group), "alarms": figures, "flagged_wrong": wrong}
        )
        if figures["images"]:
            alarms.setdefault(at, []).append((figures["value"], samples))
    means = [_mean(severity, alarms[severity], len(clean), level) for severity in sorted(alarms)]
    return {"tau": resampled.tau, "clean": resampled.share(clean)[0], "cells": cells, "means": means}


def _mean(severity: int, parts: list[tuple[float, Float64]], images: int, level: float) -> dict[str, Any]:
    """The mean over corruptions; its resamples draw the same images for all of them."""
    value = float(np.mean([value for value, _ in parts]))
    low, high = _ends(value, np.mean([samples for _, samples in parts], axis=0), images, level)
    return {"severity": severity, "alarms": value, "low": low, "high": high}


def _ends(value: float, samples: Float64, count: int, level: float) -> tuple[float, float]:
    low, high = share_interval(samples[np.isfinite(samples)], count, level)
    return min(low, value), max(high, value)
