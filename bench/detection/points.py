"""A cell's operating points: realised false-positive and true-positive rates at thresholds set beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.arrays import Floats, Ints
from ..stats.operating import MAIN, RATES, calibration_error, enough, rate_above, threshold, widened
from ..stats.splits import Design, Place, Replicates, advantages_of, estimate, share_interval
from .worst import Side

#: Decimals of the figures that a cell keeps of every split; what is computed of them is computed of these.
DECIMALS = 5

#: Decimals of rates and of what they would gain: finer than one of any suite's images, and half the size of an entry.
RATE_DECIMALS = 4

#: The rates of a cell: of clean images (false alarms), of adversarial ones (detections); and the side that each is of.
SIDES = {"fpr": "clean", "tpr": "adversarial"}

#: Lists of a cell, one value for each set of gates and split, in pairs that lack the same values.
RATE_LISTS = tuple(f"{name}{rate}_by_split" for rate in RATES for name in SIDES)
ADVANTAGE_LISTS = tuple(f"{name}{MAIN}_advantage_by_split" for name in SIDES)


def points(places: Sequence[Place], kinds: Sequence[Mapping[str, Side]]) -> dict[str, Any]:
    """The rates of each split at each nominal rate, and what the main one's intervals need; only those there are.

    ``kinds``: of each place the images and scores by kind, empty where it has none. ``fpr5_calibration`` is the mean
    over splits of the standard error that the calibration images bring.
    """
    cell: dict[str, Any] = {}
    for rate in RATES:
        taus = [threshold(by["calibration"][1], rate) if "calibration" in by else None for by in kinds]
        if not any(tau is not None for tau in taus):
            continue
        at = [None if tau is None else tau.value for tau in taus]
        for name, kind in SIDES.items():
            cell[f"{name}{rate}_by_split"] = [
                None if tau is None else round(rate_above(by[kind][1], tau), RATE_DECIMALS)
                for by, tau in zip(kinds, at, strict=True)
            ]
            if rate == MAIN:
                above = [
                    None if tau is None else (by[kind][0], by[kind][1] > tau) for by, tau in zip(kinds, at, strict=True)
                ]
                cell[f"{name}{rate}_advantage_by_split"] = _advantages(places, above)
                errors = [
                    calibration_error(by[kind][1], tau) for by, tau in zip(kinds, taus, strict=True) if tau is not None
                ]
                cell[f"{name}{rate}_calibration"] = round(float(np.mean(errors)), DECIMALS)
    return cell


def rates(kinds: Mapping[str, Floats]) -> dict[str, float | None]:
    """One replicate's rates from its scores by kind; None where the calibration images are too few."""
    taus = {rate: threshold(kinds["calibration"], rate) for rate in RATES}
    return {
        f"{name}{rate}": None if tau is None else round(rate_above(kinds[kind], tau.value), RATE_DECIMALS)
        for rate, tau in taus.items()
        for name, kind in SIDES.items()
    }


def derived_points(cell: Mapping[str, Any], places: Sequence[Place], design: Design, level: float) -> dict[str, Any]:
    """Means over splits, and the main rate's intervals over images, fits, sets of gates and calibration images."""
    figures: dict[str, Any] = {}
    for name in SIDES:
        for rate in RATES:
            values = [value for value in cell.get(f"{name}{rate}_by_split") or () if value is not None]
            if values:
                figures[f"{name}{rate}"] = float(np.mean(values))
        if f"{name}{MAIN}" in figures:
            listed = [cell[f"{name}{MAIN}{part}_by_split"] for part in ("", "_advantage")]
            rows = [k for k, value in enumerate(listed[0]) if value is not None]
            arrays = (np.array([of[k] for k in rows], np.float64) for of in listed)
            mean = estimate(Replicates(tuple(places[k] for k in rows), *arrays), design)
            mean = widened(mean, float(cell[f"{name}{MAIN}_calibration"]))
            ends = share_interval(mean, int(cell["images"]), level)
            figures[f"{name}{MAIN}_low"], figures[f"{name}{MAIN}_high"] = ends
    return figures


def points_remark(count: int) -> str:
    """Why operating points are missing, for ``count`` calibration images."""
    missing = [f"{rate}%" for rate in RATES if not enough(count, rate)]
    if not missing:
        return ""
    if count == 0:
        return "no clean image is left to set thresholds with: no figures at a fixed false-positive rate"
    listed = " or ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
    return f"{count} clean images set thresholds, too few for a false-positive rate of {listed}"


def _advantages(places: Sequence[Place], above: Sequence[tuple[Ints, Any] | None]) -> list[float | None]:
    """By how much a rate would be higher on the images fitted on, within each set of gates."""
    result: list[float | None] = [None] * len(places)
    for gate in sorted({gate for gate, _ in places}):
        rows = [(k, side) for k, side in enumerate(above) if side is not None and places[k][0] == gate]
        if rows:
            gains = advantages_of([[(images, flags.astype(np.float64))] for _, (images, flags) in rows])
            for (k, _), value in zip(rows, gains, strict=True):
                result[k] = round(float(value), RATE_DECIMALS)
    return result
