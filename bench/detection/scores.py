"""What a page needs of an entry's scores: that they give what it states, its ROC curves and its histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.metrics import roc_curve

from ..core.arrays import EVERY, Float64
from ..core.errors import UserError
from ..harness.scores import open_scores, read_columns
from .cells import Pair, with_shared

#: How far a figure may be from the one that its scores give: both are float64 sums, in another order.
TOLERANCE = 1e-9

#: False-positive rates at which curves are averaged over replicates: denser where good detectors differ.
GRID = np.linspace(0, 1, 201) ** 2

BINS = 40
KINDS = ("adversarial", "clean", "noisy", "noise")
_COLUMNS = ("split", "fit_on", "test_on", "kind", "score")


@dataclass(frozen=True)
class Histogram:
    """Shares of images in `BINS` equal bins from ``low`` to ``high``; the outermost bins hold what lies beyond."""

    low: float
    high: float
    negative: Float64
    positive: Float64


@dataclass(frozen=True)
class Found:
    """What scores give: of each cell the FPR at 95% TPR of every replicate, of each seen attack curve and histogram."""

    fpr95: Mapping[Pair, tuple[float, ...]]
    curves: Mapping[str, Float64]
    histograms: Mapping[str, Histogram]


Rows = dict[tuple[str, str, int, int, str], Float64]


def examine(folder: Path, entry: Mapping[str, Any]) -> Found:
    """Recompute AUROC and FPR at 95% TPR of every cell of an entry below ``folder`` from its scores.

    UserError, one sentence, where the scores lie outside of the folder, are missing, not those of the entry (sha256),
    unreadable, or give another figure than the entry states.
    """
    rows = _grouped(_table(folder, entry))
    places = sorted({key[2:4] for key in rows})
    pessimistic = entry["protocol"]["ties"] == "pessimistic"
    fpr95: dict[Pair, tuple[float, ...]] = {}
    curves: dict[str, Float64] = {}
    histograms: dict[str, Histogram] = {}
    for cell in entry["cells"]:
        pair = cell["fit_on"], cell["test_on"]
        replicates = _replicates(rows, pair, places)
        sides = [(kinds["adversarial"], kinds["negative"]) for kinds in replicates]
        noise = [(kinds["noise"], kinds["negative"]) for kinds in replicates if "noise" in kinds]
        _agree(pair, "AUROC", cell["auroc"], [auroc(*side, pessimistic=pessimistic) for side in sides])
        rates = tuple(fpr_at_95(*side) for side in sides)
        _agree(pair, "FPR at 95% TPR", cell["fpr95"], rates)
        stated = cell.get("noise_auroc")
        _agree(pair, "AUROC on noise", stated, [auroc(*side, pessimistic=pessimistic) for side in noise])
        if not sides:
            continue
        fpr95[pair] = rates
        if cell["fit_on"] == cell["test_on"]:
            curves[cell["test_on"]] = np.mean([roc(*side) for side in sides], axis=0)
            histograms[cell["test_on"]] = histogram(sides)
    return Found(fpr95, curves, histograms)


def _agree(pair: Pair, what: str, stated: float | None, replicates: Sequence[float]) -> None:
    given = float(np.mean(replicates)) if replicates else None
    if stated is None and given is None:
        return
    if stated is None or given is None or abs(stated - given) > TOLERANCE:
        said, found = ("none" if value is None else f"{value:.6f}" for value in (stated, given))
        raise UserError(f"{_name(pair)} states {what} {said}, and its scores give {found}; run the suite again.")


def _name(pair: Pair) -> str:
    return f"The cell fitted on {pair[0]!r} and tested on {pair[1]!r}"


def _table(folder: Path, entry: Mapping[str, Any]) -> pa.Table:
    file = open_scores(folder, entry["scores"], ("fit_on", "test_on", "kind"))
    names = file.schema_arrow.names
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise UserError(f"Its scores {entry['scores']['file']!r} lack the column {missing[0]!r}; run the suite again.")
    return read_columns(file, [name for name in ("gate", *_COLUMNS) if name in names])


def _grouped(table: pa.Table) -> Rows:
    """(fit_on, test_on, gate, split, kind) -> its scores, sorted."""
    try:
        score = table["score"].to_numpy().astype(np.float64)
        parts = [_codes(table, name) for name in ("fit_on", "test_on", "gate", "split", "kind")]
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UserError(f"Its scores hold something else than numbers and names ({error}).") from None
    if np.isnan(score).any():
        raise UserError(f"{int(np.isnan(score).sum())} of its {len(score)} scores are NaN; run the suite again.")
    key = np.zeros(len(score), np.int64)
    for codes, values in parts:
        key = key * max(1, len(values)) + codes
    order = np.argsort(key, kind="stable")
    key, score = key[order], score[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
    rows: Rows = {}
    for start, end in zip(starts, [*starts[1:], len(key)], strict=True):
        fit_on, test_on, gate, split, kind = (values[codes[order[start]]] for codes, values in parts)
        rows[fit_on, test_on, gate, split, kind] = np.sort(score[start:end])
    return rows


def _codes(table: pa.Table, name: str) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """A column as numbers of its distinct values; scores of before there were sets of gates have none."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, np.int64), [0]
    encoded = table[name].combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    if encoded.null_count:
        raise ValueError(f"{name} has empty places")
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _replicates(rows: Rows, pair: Pair, places: Sequence[tuple[int, int]]) -> list[dict[str, Float64]]:
    """The sorted scores of each replicate of a cell by kind, as `cells.measure` puts them together.

    ``negative``: clean and noisy ones, those that the column shares with others where it has none of its own.
    """
    found = []
    for place in places:
        own = {kind: rows[key] for kind in KINDS if (key := (*pair, *place, kind)) in rows}
        if "adversarial" not in own:
            continue
        shared = (
            {}
            if "clean" in own
            else {kind: rows[key] for kind in KINDS if (key := (pair[0], EVERY, *place, kind)) in rows}
        )
        parts = [side[kind] for side in (own, shared) for kind in ("clean", "noisy") if kind in side]
        if not parts:
            raise UserError(f"{_name(pair)} has no clean scores beside its adversarial ones; run the suite again.")
        negative = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
        found.append({**shared, **own, "negative": negative})
    return found


def auroc(positive: Float64, negative: Float64, *, pessimistic: bool) -> float:
    """`metrics.auroc` of sides that are sorted already."""
    wins = float(np.searchsorted(negative, positive, "left").sum())
    if not pessimistic:
        wins = (wins + float(np.searchsorted(negative, positive, "right").sum())) / 2
    return wins / (positive.size * negative.size)


def fpr_at_95(positive: Float64, negative: Float64) -> float:
    """`metrics.fpr_at_tpr` of sorted sides: the threshold is the score that the 95th of 100 adversarials reaches."""
    enough = int(np.ceil(0.95 * positive.size * (1 - 1e-12)))
    return float((negative.size - np.searchsorted(negative, positive[positive.size - enough], "left")) / negative.size)


def roc(positive: Float64, negative: Float64) -> Float64:
    """True-positive rate at each rate of `GRID`; ties are drawn as a straight line."""
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    false, true = (1 - np.searchsorted(side, thresholds, "left") / side.size for side in (negative, positive))
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


Sides = list[tuple[Float64, Float64]]


def seen_sides(scores: pd.DataFrame, attack: str) -> Sides:
    """Scores of adversarial and of clean (and noisy) images of each replicate, fitted and tested on one attack."""
    rows = scores[(scores["fit_on"] == attack) & scores["test_on"].isin([attack, EVERY])]
    found: Sides = []
    for _, replicate in rows.groupby(["gate", "split"]):
        shared = replicate["test_on"] == EVERY
        both = with_shared(replicate[~shared], replicate[shared])
        if both is None:
            continue
        positive = both.loc[both["kind"] == "adversarial", "score"].to_numpy(np.float64)
        negative = both.loc[both["kind"].isin(["clean", "noisy"]), "score"].to_numpy(np.float64)
        if len(positive) and len(negative):
            found.append((positive, negative))
    return found


def mean_roc(sides: Sides) -> Float64:
    """True-positive rate at each rate of `GRID`, the mean over replicates; ties are drawn as a straight line.

    (`lee2018` counts ties against the detector, so its stated AUROC may be below the area under this line.)
    """
    curves = []
    for positive, negative in sides:
        ranks = np.unique(np.r_[positive, negative], return_inverse=True)[1]  # infinite scores have a rank, too
        truth = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
        false, true, _ = roc_curve(truth, ranks)
        curves.append(np.interp(GRID, false, true))
    mean: Float64 = np.mean(curves, axis=0)
    return mean
