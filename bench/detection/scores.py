"""Scores of single images by cell, replicate and kind: sides, curves, histograms, and a check of an entry's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ..core.arrays import EVERY, Float64, Ints
from ..core.errors import UserError
from ..harness.scores import known_columns, open_scores, read_columns
from ..stats.metrics import Ties, auroc, fpr_at_tpr
from ..stats.splits import Place
from .cell import Cell
from .entry import Entry
from .fits import WORST_CASE
from .points import RATE_DECIMALS, RATE_LISTS, rates
from .suite import Pair
from .worst import Key, Side, worst_sides

#: Scores of adversarial images and of negatives, replicate by replicate.
Sides = list[tuple[Float64, Float64]]

T = TypeVar("T")

#: Largest allowed gap between a mean over splits and that of the figures of its splits.
TOLERANCE = 1e-8

#: Largest allowed gap between a rate of a split and the one its scores give: the entry rounds it.
ROUNDED = 10.0**-RATE_DECIMALS

#: The same of an AUROC, whose scores may have been rounded for a file.
AUROC_ROUNDED = 1e-5

#: False-positive rates at which curves are averaged over replicates: denser where good detectors differ.
GRID = np.linspace(0, 1, 201) ** 2

#: More repetitions (splits times sets of gates) are refused: each costs time in every cell.
MOST_PLACES = 10_000

BINS = 40
KINDS = ("adversarial", "clean", "noisy", "noise", "calibration")
NAMES = ("fit_on", "test_on", "gate", "split", "kind")


def rows_by_key(columns: Sequence[tuple[Ints, Sequence[Any]]]) -> dict[Key, Ints]:
    """Row indices of each key, in order; ``columns`` holds codes and values for each of `NAMES`."""
    codes = np.zeros(len(columns[0][0]), np.int64)
    for column, values in columns:
        codes = codes * max(1, len(values)) + column
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, np.int64)
    groups: dict[Key, Ints] = {}
    for start, end in pairwise([*starts, len(codes)]):
        fit_on, test_on, gate, split, kind = (values[column[order[start]]] for column, values in columns)
        groups[fit_on, test_on, gate, split, kind] = order[start:end]
    return groups


def rows_of_frame(scores: pd.DataFrame) -> dict[Key, Ints]:
    """`rows_by_key` of a frame of scores; one that predates sets of gates has no such column."""

    def codes(name: str) -> tuple[Ints, list[Any]]:
        if name not in scores:
            return np.zeros(len(scores), np.int64), [0]
        numbers, values = pd.factorize(scores[name])
        return numbers.astype(np.int64), [v if isinstance(v, str) else int(v) for v in values]

    return rows_by_key([codes(name) for name in NAMES])


def by_kind(groups: Mapping[Key, T], pair: Pair, place: Place) -> dict[str, T]:
    """One replicate of a cell by kind of image; empty where it has no adversarial ones.

    What a column has none of (clean images, those that set thresholds) it shares with others, stored under `EVERY`.
    """
    kinds = {kind: groups[key] for kind in KINDS if (key := (*pair, *place, kind)) in groups}
    if "adversarial" not in kinds:
        return {}
    shared = {kind: groups[key] for kind in KINDS if (key := (pair[0], EVERY, *place, kind)) in groups}
    return {**shared, **kinds}


def negatives(kinds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any] | None:
    """Clean images and, where they count as such, noisy ones; None where there are none."""
    parts = [kinds[kind] for kind in ("clean", "noisy") if kind in kinds]
    return np.concatenate(parts) if parts else None


def places_of(groups: Mapping[Key, Any]) -> list[Place]:
    """All replicates, in order."""
    return sorted({key[2:4] for key in groups})


@dataclass(frozen=True)
class Histogram:
    """Shares of images in `BINS` equal bins from ``low`` to ``high``; the outermost bins hold what lies beyond."""

    low: float
    high: float
    negative: Float64
    positive: Float64


@dataclass(frozen=True)
class Found:
    """Pictures from scores: curve and histogram of each seen attack."""

    curves: Mapping[str, Float64]
    histograms: Mapping[str, Histogram]


def examine(folder: Path, entry: Entry) -> Found:
    """Recompute the stored splits' figures of an entry below ``folder`` from its scores.

    Raises UserError, one sentence, where the scores lie outside the folder, are missing or unreadable, do not have the
    entry's sha256, or give a figure other than the entry states.
    """
    groups = _groups(_table(folder, entry))
    rows = {key: np.sort(scores) for key, (_, scores) in groups.items()}
    stored = set(places_of(rows))
    if len(stored) > MOST_PLACES:
        raise UserError(f"Its scores hold {len(stored)} repetitions, more than any suite has; run the suite again.")
    curves: dict[str, Float64] = {}
    histograms: dict[str, Histogram] = {}
    for cell in entry.cells:
        _agree_over_splits(cell)
        sides: Sides = []
        for number, place in enumerate(entry.places(cell)):
            if place not in stored:
                continue
            kinds = by_kind(rows, cell.pair, place)
            if cell.test_on == WORST_CASE:
                worst = worst_sides(groups, cell.fit_on, list(entry.attacks), place)
                kinds = {kind: np.sort(scores) for kind, (_, scores) in worst.items()}
            if kinds:
                negative = _negatives(cell.pair, kinds)
                sides.append((kinds["adversarial"], negative))
                _agree_in(cell, number, kinds, negative, entry.ties)
        if sides and cell.seen:
            curves[cell.test_on] = mean_roc(sides)
            histograms[cell.test_on] = histogram(sides)
    return Found(curves, histograms)


def _agree_over_splits(cell: Cell) -> None:
    """Check the means over splits."""
    metrics = [
        ("AUROC", cell.auroc, cell.auroc_by_split),
        ("FPR at 95% TPR", cell.fpr95, cell.fpr95_by_split),
        ("AUROC on noise", cell.noise_auroc, cell.noise_by_split),
    ]
    for name in RATE_LISTS:
        rate = name.removesuffix("_by_split")
        metrics.append((rate, getattr(cell, rate), getattr(cell, name)))
    for metric, stated, values in metrics:
        _agree(cell.pair, metric, stated, _mean(values), "its splits give", TOLERANCE)


def _agree_in(cell: Cell, number: int, kinds: Mapping[str, Float64], negative: Float64, ties: Ties) -> None:
    """Check the figures of one split, the ``number``-th of the cell's lists."""
    side = kinds["adversarial"], negative
    if cell.n[number] != len(side[0]):
        raise UserError(
            f"{_name(cell.pair)} states n {cell.n[number]} for a split, but its scores give {len(side[0])}."
        )
    figures: list[tuple[str, Sequence[float | None], float | None]] = [
        ("AUROC", cell.auroc_by_split, auroc(*side, ties=ties)),
        ("FPR at 95% TPR", cell.fpr95_by_split, fpr_at_tpr(*side)),
    ]
    if "noise" in kinds:
        figures.append(("AUROC on noise", cell.noise_by_split, auroc(kinds["noise"], negative, ties=ties)))
    if "calibration" in kinds:
        for name, value in rates(kinds).items():
            figures.append((name, getattr(cell, f"{name}_by_split"), value))
    for metric, values, recomputed in figures:
        stated = values[number] if number < len(values) else None
        tolerance = AUROC_ROUNDED if metric.startswith("AUROC") else ROUNDED
        _agree(cell.pair, f"a split's {metric}", stated, recomputed, "its scores give", tolerance)


def _negatives(pair: Pair, kinds: Mapping[str, Float64]) -> Float64:
    negative = negatives(kinds)
    if negative is None:
        raise UserError(f"{_name(pair)} has no clean scores beside its adversarial ones; run the suite again.")
    return np.sort(negative)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None  # of a few values, numpy's mean takes ten times as long


def _agree(
    pair: Pair, metric: str, stated: float | None, recomputed: float | None, words: str, tolerance: float
) -> None:
    if stated is None and recomputed is None:
        return
    if stated is None or recomputed is None or abs(stated - recomputed) > tolerance:
        old, new = ("none" if value is None else f"{value:.6f}" for value in (stated, recomputed))
        raise UserError(f"{_name(pair)} states {metric} {old}, but {words} {new}; run the suite again.")


def _name(pair: Pair) -> str:
    return f"The cell fitted on {pair[0]!r} and tested on {pair[1]!r}"


def _table(folder: Path, entry: Entry) -> pa.Table:
    file = open_scores(folder, entry, ("fit_on", "test_on", "kind"))
    return read_columns(file, known_columns(entry, file))


def _groups(table: pa.Table) -> dict[Key, Side]:
    """The images and scores of each key."""
    try:
        image = table["image"].to_numpy()
        score = table["score"].to_numpy().astype(np.float64)
        groups = rows_by_key([_codes(table, name) for name in NAMES])
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UserError(f"Its scores hold values other than numbers and names ({error}).") from None
    if np.isnan(score).any():
        raise UserError(f"{int(np.isnan(score).sum())} of its {len(score)} scores are NaN; run the suite again.")
    return {key: (image[rows], score[rows]) for key, rows in groups.items()}


def _codes(table: pa.Table, name: str) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """A column as codes of its distinct values; scores that predate sets of gates have no such column."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, np.int64), [0]
    encoded = table[name].combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def roc(positive: Float64, negative: Float64) -> Float64:
    """True-positive rate at each rate of `GRID`, of sorted sides; ties are drawn as a straight line."""
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    # Counts over size, as rates are written: 1 - 0.99 is not 0.01, and a step that lies on `GRID` would miss it.
    false, true = ((side.size - np.searchsorted(side, thresholds, "left")) / side.size for side in (negative, positive))
    curve: Float64 = np.interp(GRID, np.r_[0.0, false], np.r_[0.0, true])
    return curve


def histogram(sides: Sequence[tuple[Float64, Float64]]) -> Histogram:
    """All replicates together, over the central 99% of scores."""
    positive, negative = (np.concatenate(side) for side in zip(*sides, strict=True))
    pooled = np.concatenate([positive, negative])
    pooled = pooled[np.isfinite(pooled)]
    low, high = (float(q) for q in np.quantile(pooled, [0.005, 0.995])) if len(pooled) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [np.histogram(s.clip(edges[0], edges[-1]), edges)[0] / len(s) for s in (negative, positive)]
    return Histogram(float(edges[0]), float(edges[-1]), *shares)


def seen_sides(scores: pd.DataFrame, attack: str) -> Sides:
    """Scores of adversarial and of clean (and noisy) images of each replicate, fitted and tested on one attack."""
    score = scores["score"].to_numpy(np.float64)
    groups = {key: score[rows] for key, rows in rows_of_frame(scores).items()}
    replicates = [by_kind(groups, (attack, attack), place) for place in places_of(groups)]
    return [
        (kinds["adversarial"], negative) for kinds in replicates if kinds and (negative := negatives(kinds)) is not None
    ]


def mean_roc(sides: Sides) -> Float64:
    """True-positive rate at each rate of `GRID`, the mean over replicates; ties are drawn as a straight line.

    (`lee2018` counts ties against the detector, so its stated AUROC may be below the area under this line.)
    """
    mean: Float64 = np.mean([roc(np.sort(positive), np.sort(negative)) for positive, negative in sides], axis=0)
    return mean
