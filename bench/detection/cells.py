"""From scores of single images to cells: a metric with its interval for each fit-on x test-on pair; comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.arrays import EVERY, Floats
from ..stats.inference import bootstrap_auroc, holm, interval, paired_p, pool_splits, resample_counts, verdict
from ..stats.metrics import Ties, lee_metrics, summary
from .suite import Statistics

Pair = tuple[str, str]

#: The place in a run's sets of gates of a detector that uses none.
NO_GATES = -1


@dataclass(frozen=True)
class Replicates:
    """A cell's repetitions: each split, for each set of gates where a detector has several.

    ``places`` names them (set of gates or `NO_GATES`, split), ``values`` are their AUROCs, and ``rows`` ``(R, B)``
    their bootstrap samples; a column of the same split is the same draw of images for every detector.
    """

    places: tuple[tuple[int, int], ...]
    values: Floats
    rows: Floats


#: What a detector's cells are compared by.
Samples = dict[Pair, Replicates]


@lru_cache(maxsize=8)
def _counts(seed: int, split: int, units: int, resamples: int) -> npt.NDArray[np.float32]:
    """The same images are drawn for every detector and column of a split: that is what makes comparisons paired."""
    return resample_counts(units, resamples, np.random.default_rng((seed, split, units, 13)))


def _bootstrap(
    positive: pd.DataFrame, negative: pd.DataFrame, split: int, ties: Ties, options: Statistics, seed: int
) -> Floats:
    images = np.union1d(positive["image"], negative["image"])
    counts = _counts(seed, split, len(images), options.resamples)
    units = [np.searchsorted(images, side["image"]).astype(np.int64) for side in (positive, negative)]
    return bootstrap_auroc(
        positive["score"].to_numpy(), units[0], negative["score"].to_numpy(), units[1], counts, ties=ties
    )


def _mixed(samples: Floats) -> Floats:
    """The interval's samples: a mixture of the replicates, the same mixture for every detector."""
    return pool_splits(list(samples), np.random.default_rng(17)) if len(samples) > 1 else samples[0]


def measure(
    scores: pd.DataFrame,
    fits: Sequence[Mapping[str, Any]],
    attacks: Sequence[str],
    *,
    ties: Ties,
    options: Statistics,
    seed: int,
    lee: bool = False,
) -> tuple[list[dict[str, Any]], Samples]:
    """One record for each fit-on x test-on pair, a cell that could not be run included with its reason."""
    if "gate" not in scores:
        scores = scores.assign(gate=0)
    groups = (
        dict(tuple(scores.groupby(["fit_on", "test_on", "gate", "split"], sort=False, observed=True)))
        if len(scores)
        else {}
    )
    cells: list[dict[str, Any]] = []
    samples: Samples = {}
    for fit_on, test_on in product(attacks, attacks):
        records = [record for record in fits if record["fit_on"] == fit_on]
        found: list[dict[str, float]] = []
        drawn: list[Floats] = []
        noise: list[float] = []
        noise_drawn: list[Floats] = []
        evaluated: list[int] = []
        places: list[tuple[int, int]] = []
        for record in records:
            gate, split = int(record.get("gate", 0)), int(record["split"])
            own = groups.get((fit_on, test_on, gate, split))
            rows = with_shared(own, groups.get((fit_on, EVERY, gate, split)))
            kinds = {} if rows is None else dict(iter(rows.groupby("kind", sort=False, observed=True)))
            positive = kinds.get("adversarial")
            evaluated.append(0 if positive is None else len(positive))
            if positive is None or positive.empty:
                continue
            negative = pd.concat([kinds[kind] for kind in ("clean", "noisy") if kind in kinds])
            sides = positive["score"].to_numpy(), negative["score"].to_numpy()
            found.append(summary(*sides, ties=ties))
            places.append((gate, split))
            if lee:
                found[-1] |= {f"lee_{name}": value for name, value in lee_metrics(*sides).items()}
            drawn.append(_bootstrap(positive, negative, split, ties, options, seed))
            if "noise" in kinds:
                noise.append(summary(kinds["noise"]["score"].to_numpy(), sides[1], ties=ties)["auroc"])
                if fit_on == test_on:
                    noise_drawn.append(_bootstrap(kinds["noise"], negative, split, ties, options, seed))
        cell: dict[str, Any] = {
            "fit_on": fit_on,
            "test_on": test_on,
            "seen": fit_on == test_on,
            "n_fit": [int(record["n_fit"]) for record in records],
            "n": evaluated,
            "candidates": [int(record["candidate"]) for record in records],
            "remark": _remark(records, evaluated),
        }
        names = found[0] if found else {"auroc": 0.0, "aupr": 0.0, "fpr95": 0.0, "accuracy": 0.0}
        cell |= {name: float(np.mean([f[name] for f in found])) if found else None for name in names}
        if drawn:
            samples[fit_on, test_on] = Replicates(tuple(places), np.array([f["auroc"] for f in found]), np.stack(drawn))
        cell["low"], cell["high"] = interval(_mixed(np.stack(drawn)), options.level) if drawn else (None, None)
        ran = pd.DataFrame(places, columns=["gate", "split"]).assign(auroc=[f["auroc"] for f in found])
        for name in ("split", "gate"):
            means = ran.groupby(name)["auroc"].mean()
            cell[f"{name}_sd"] = float(means.std()) if len(means) > 1 else None
        cell["noise_auroc"] = float(np.mean(noise)) if noise else None
        if noise_drawn:
            cell["noise_low"], cell["noise_high"] = interval(_mixed(np.stack(noise_drawn)), options.level)
        cells.append(cell)
    return cells, samples


def with_shared(own: pd.DataFrame | None, shared: pd.DataFrame | None) -> pd.DataFrame | None:
    """A column's rows, with the clean images that it shares with others where it has none of its own."""
    if own is None or shared is None or (own["kind"] == "clean").any():
        return own
    return pd.concat([own, shared])


def _remark(records: Sequence[Mapping[str, Any]], evaluated: Sequence[int]) -> str:
    said = list(dict.fromkeys(str(record["remark"]) for record in records if record["remark"]))
    if records and not any(evaluated):
        return said[0] if said else "no successful adversarial to evaluate (n = 0)"
    if not said:
        return ""
    splits = {record["split"] for record in records}
    marked = {record["split"] for record in records if record["remark"]}
    return said[0] if len(splits) == 1 else f"{said[0]} (in {len(marked)} of {len(splits)} splits)"


def columns_of(attacks: Sequence[str]) -> list[Pair]:
    """The cells of the paper's Table 2: every attack seen, then fitted on the first attack and tested on the others."""
    return [(attack, attack) for attack in attacks] + [(attacks[0], attack) for attack in attacks[1:]]


def column_title(pair: Pair) -> str:
    return f"{'seen' if pair[0] == pair[1] else 'unknown'} {pair[1]}"


def matched(first: Replicates, second: Replicates) -> list[tuple[int, int]]:
    """Rows of both that belong together: the same split, and the same set of gates where both use gates.

    A detector without gates meets every set of the other; what only one of them could run is left out.
    """
    found = [
        (max(gate, other), split, i, j)
        for i, (gate, split) in enumerate(first.places)
        for j, (other, its_split) in enumerate(second.places)
        if split == its_split and (gate == other or NO_GATES in (gate, other))
    ]
    return [(i, j) for _, _, i, j in sorted(found)]  # the same mixture whichever comes first


def compare(
    first: Samples, second: Samples, pairs: Sequence[Pair], labels: tuple[str, str], options: Statistics
) -> list[dict[str, Any]]:
    """Paired differences of AUROC, first minus second, on the same images and resamples; p not yet adjusted."""
    records = []
    for pair in pairs:
        together = matched(first[pair], second[pair]) if pair in first and pair in second else []
        if not together:
            continue
        left, right = ([rows[k] for rows in together] for k in (0, 1))
        difference = _mixed(first[pair].rows[left] - second[pair].rows[right])
        low, high = interval(difference, options.level)
        records.append(
            {
                "first": labels[0],
                "second": labels[1],
                "fit_on": pair[0],
                "test_on": pair[1],
                "difference": float(np.mean(first[pair].values[left] - second[pair].values[right])),
                "replicates": len(together),
                "low": low,
                "high": high,
                "p": paired_p(difference),
                "centre": float(np.nanmedian(difference)),
            }
        )
    return records


def adjust(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holm's correction over a family of claims, and what each may say after it."""
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
    """For each column the detector with the highest AUROC and all that cannot be told apart from it (Holm).

    One that has no repetition in common with the best cannot be told apart from it either.
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
