"""From per-image scores to cells: metrics with intervals for each fit-on x test-on pair; paired comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.arrays import Floats
from ..stats.inference import bootstrap_auroc, holm, interval, paired_p, pool_splits, resample_counts, verdict
from ..stats.metrics import Ties, summary
from .scores import Place, by_kind, rows_of_frame
from .suite import AnyProtocol, Pair, Statistics

#: Gate-set index of a detector that uses no gates.
NO_GATES = -1


@dataclass(frozen=True)
class Replicates:
    """A cell's replicates: each split, for each set of gates where a detector has several.

    ``places`` identifies them (set of gates or `NO_GATES`, split), ``values`` holds their AUROCs and ``rows``
    ``(R, B)`` their bootstrap samples; within a split, a column is the same draw of images for every detector.
    """

    places: tuple[tuple[int, int], ...]
    values: Floats
    rows: Floats


#: The replicates of a detector's cells, by which they are compared.
Samples = dict[Pair, Replicates]


@lru_cache(maxsize=8)
def _counts(seed: int, split: int, units: int, resamples: int) -> npt.NDArray[np.float32]:
    """Draw the same images for every detector and column of a split, which makes comparisons paired."""
    return resample_counts(units, resamples, np.random.default_rng((seed, split, units, 13)))


def _mixed(samples: Floats) -> Floats:
    """Samples for the interval: a mixture of the replicates, the same for every detector."""
    return pool_splits(list(samples), np.random.default_rng(17)) if len(samples) > 1 else samples[0]


@dataclass(frozen=True)
class _Replicate:
    """One replicate of a cell: its metrics, and bootstrap samples of its AUROC and of its AUROC on mere noise."""

    place: Place
    metrics: dict[str, float]
    samples: Floats
    noise: float | None
    noise_samples: Floats | None


@dataclass(frozen=True)
class Measuring:
    """How cells are measured: ties, intervals, the seed of the resamples, and a protocol's further metrics."""

    ties: Ties
    options: Statistics
    seed: int
    further: Callable[[Floats, Floats], dict[str, float]] | None = None

    @classmethod
    def of(cls, protocol: AnyProtocol, options: Statistics, seed: int) -> Measuring:
        return cls(protocol.ties, options, seed, protocol.further_metrics)


def measure(
    scores: pd.DataFrame, fits: Sequence[Mapping[str, Any]], attacks: Sequence[str], how: Measuring
) -> tuple[list[dict[str, Any]], Samples]:
    """One record for each fit-on x test-on pair, including cells that could not be run, with the reason."""
    columns = scores["image"].to_numpy(), scores["score"].to_numpy()
    groups = {key: (columns[0][rows], columns[1][rows]) for key, rows in rows_of_frame(scores).items()}
    cells: list[dict[str, Any]] = []
    samples: Samples = {}
    for pair in product(attacks, attacks):
        records = [record for record in fits if record["fit_on"] == pair[0]]
        places = [(int(record.get("gate", 0)), int(record["split"])) for record in records]
        kinds = [by_kind(groups, pair, place) for place in places]
        replicates = [_replicate(pair, place, by, how) for place, by in zip(places, kinds, strict=True) if by]
        evaluated = [len(by["adversarial"][0]) if by else 0 for by in kinds]
        cells.append(_cell_of(pair, records, evaluated, replicates, how.options))
        if replicates:
            values = np.array([replicate.metrics["auroc"] for replicate in replicates])
            rows = np.stack([replicate.samples for replicate in replicates])
            samples[pair] = Replicates(tuple(replicate.place for replicate in replicates), values, rows)
    return cells, samples


#: Images with their scores.
_Side = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def _replicate(pair: Pair, place: Place, kinds: Mapping[str, _Side], how: Measuring) -> _Replicate:
    positive = kinds["adversarial"]
    clean: list[_Side] = [kinds[kind] for kind in ("clean", "noisy") if kind in kinds]
    negative = np.concatenate([images for images, _ in clean]), np.concatenate([scores for _, scores in clean])
    metrics = summary(positive[1], negative[1], ties=how.ties)
    metrics |= how.further(positive[1], negative[1]) if how.further else {}
    samples = _bootstrap(positive, negative, place[1], how)
    if "noise" not in kinds:
        return _Replicate(place, metrics, samples, None, None)
    noise = summary(kinds["noise"][1], negative[1], ties=how.ties)["auroc"]
    drawn = _bootstrap(kinds["noise"], negative, place[1], how) if pair[0] == pair[1] else None
    return _Replicate(place, metrics, samples, noise, drawn)


def _bootstrap(positive: _Side, negative: _Side, split: int, how: Measuring) -> Floats:
    images = np.union1d(positive[0], negative[0])
    counts = _counts(how.seed, split, len(images), how.options.resamples)
    units = [np.searchsorted(images, side[0]).astype(np.int64) for side in (positive, negative)]
    return bootstrap_auroc(positive[1], units[0], negative[1], units[1], counts, ties=how.ties)


def _cell_of(
    pair: Pair,
    records: Sequence[Mapping[str, Any]],
    evaluated: Sequence[int],
    replicates: Sequence[_Replicate],
    options: Statistics,
) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "fit_on": pair[0],
        "test_on": pair[1],
        "seen": pair[0] == pair[1],
        "n_fit": [int(record["n_fit"]) for record in records],
        "n": list(evaluated),
        "candidates": [int(record["candidate"]) for record in records],
        "remark": _remark(records, evaluated),
    }
    if not replicates:
        return cell | dict.fromkeys(NOTHING)
    cell |= {n: float(np.mean([r.metrics[n] for r in replicates])) for n in replicates[0].metrics}
    cell["low"], cell["high"] = interval(_mixed(np.stack([r.samples for r in replicates])), options.level)
    for name, of in (("split", 1), ("gate", 0)):
        cell[f"{name}_sd"] = _deviation([r.place[of] for r in replicates], [r.metrics["auroc"] for r in replicates])
    noise = [r.noise for r in replicates if r.noise is not None]
    cell["noise_auroc"] = float(np.mean(noise)) if noise else None
    drawn = [r.noise_samples for r in replicates if r.noise_samples is not None]
    if drawn:
        cell["noise_low"], cell["noise_high"] = interval(_mixed(np.stack(drawn)), options.level)
    return cell


#: Figures that are None in a cell without replicates, in order.
NOTHING = ("auroc", "aupr", "fpr95", "accuracy", "low", "high", "split_sd", "gate_sd", "noise_auroc")


def empty_cell(pair: Pair, reason: str) -> dict[str, Any]:
    """A cell of a detector that could not be run."""
    nothing = {name: None for name in NOTHING if name != "gate_sd"}
    head = {"fit_on": pair[0], "test_on": pair[1], "seen": pair[0] == pair[1]}
    return head | {"n_fit": [], "n": [], "candidates": [], "remark": reason} | nothing


def _deviation(groups: Sequence[int], values: Sequence[float]) -> float | None:
    """Standard deviation of the groups' means; None for a single group."""
    means = pd.Series(values).groupby(list(groups)).mean()
    return float(means.std()) if len(means) > 1 else None


def _remark(records: Sequence[Mapping[str, Any]], evaluated: Sequence[int]) -> str:
    remarks = list(dict.fromkeys(str(record["remark"]) for record in records if record["remark"]))
    if records and not any(evaluated):
        return remarks[0] if remarks else "no successful adversarial to evaluate (n = 0)"
    if not remarks:
        return ""
    splits = {record["split"] for record in records}
    marked = {record["split"] for record in records if record["remark"]}
    return remarks[0] if len(splits) == 1 else f"{remarks[0]} (in {len(marked)} of {len(splits)} splits)"


def columns_of(attacks: Sequence[str]) -> list[Pair]:
    """Cells of the paper's Table 2: every attack seen, then fitted on the first attack and tested on each other one."""
    return [(attack, attack) for attack in attacks] + [(attacks[0], attack) for attack in attacks[1:]]


def column_title(pair: Pair) -> str:
    return f"{'seen' if pair[0] == pair[1] else 'unknown'} {pair[1]}"


def matched(first: Replicates, second: Replicates) -> list[tuple[int, int]]:
    """Matching rows of both: the same split, and the same set of gates where both use gates.

    A detector without gates is paired with every set of the other; replicates that only one has are left out.
    """
    rows = [
        (max(gate, other), split, i, j)
        for i, (gate, split) in enumerate(first.places)
        for j, (other, its_split) in enumerate(second.places)
        if split == its_split and (gate == other or NO_GATES in (gate, other))
    ]
    return [(i, j) for _, _, i, j in sorted(rows)]  # the same mixture in either order


def compare(
    first: Samples, second: Samples, pairs: Sequence[Pair], labels: tuple[str, str], options: Statistics
) -> list[dict[str, Any]]:
    """Paired differences of AUROC, first minus second, on the same images and resamples; p not yet adjusted."""
    records = []
    for pair in pairs:
        matches = matched(first[pair], second[pair]) if pair in first and pair in second else []
        if not matches:
            continue
        left, right = ([rows[k] for rows in matches] for k in (0, 1))
        difference = _mixed(first[pair].rows[left] - second[pair].rows[right])
        low, high = interval(difference, options.level)
        records.append(
            {
                "first": labels[0],
                "second": labels[1],
                "fit_on": pair[0],
                "test_on": pair[1],
                "difference": float(np.mean(first[pair].values[left] - second[pair].values[right])),
                "replicates": len(matches),
                "low": low,
                "high": high,
                "p": paired_p(difference),
                "centre": float(np.nanmedian(difference)),
            }
        )
    return records


def adjust(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Apply Holm's correction over a family of claims and add each one's verdict."""
    for record, p in zip(records, holm([r["p"] for r in records]) if records else [], strict=True):
        record["p_holm"] = float(p)
        record["verdict"] = verdict(np.array([record.pop("centre")]), float(p))
    return records


def leaders(
    samples: Mapping[str, Samples],
    values: Mapping[str, Mapping[Pair, float]],
    pairs: Sequence[Pair],
    options: Statistics,
) -> list[dict[str, Any]]:
    """For each column, the detector with the highest AUROC and all that are not separable from it (Holm).

    A detector that shares no replicate with the best counts as not separable.
    """
    groups = []
    for pair in pairs:
        able = [label for label in samples if pair in samples[label] and pair in values[label]]
        if not able:
            continue
        best = max(able, key=lambda label: values[label][pair])
        tested: list[dict[str, Any]] = []
        for label in able:
            if label != best:
                tested += compare(samples[best], samples[label], [pair], (best, label), options)
        apart = {r["second"] for r in adjust(tested) if r["verdict"] != "not separable"}
        equal = sorted(label for label in able if label != best and label not in apart)
        groups.append({"fit_on": pair[0], "test_on": pair[1], "best": best, "not_separable": equal})
    return groups
