"""From scores of single images to cells: a metric with its interval for each fit-on x test-on pair; comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .config import Statistics
from .metrics import Ties, lee_metrics, summary
from .stats import bootstrap_auroc, holm, interval, paired_p, pool_splits, resample_counts, verdict
from .types import EVERY, Floats

Pair = tuple[str, str]

#: Bootstrap samples of each (fit_on, test_on) cell: one row a replicate (each split, for each set of gates where a
#: detector has several), in columns that are paired between detectors.
Samples = dict[Pair, Floats]


@lru_cache(maxsize=8)
def _counts(seed: int, split: int, units: int, resamples: int) -> npt.NDArray[np.float32]:
    """The same images are drawn for every detector and column of a split: that is what makes comparisons paired."""
    return resample_counts(units, resamples, np.random.default_rng((seed, split, units, 13)))


def _bootstrap(positive: pd.DataFrame, negative: pd.DataFrame, split: int, ties: Ties, options: Statistics, seed: int
               ) -> Floats:  # fmt: skip
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
        cell["low"], cell["high"] = interval(_mixed(np.stack(drawn)), options.level) if drawn else (None, None)
        ran = pd.DataFrame(places, columns=["gate", "split"]).assign(auroc=[f["auroc"] for f in found])
        for name in ("split", "gate"):
            means = ran.groupby(name)["auroc"].mean()
            cell[f"{name}_sd"] = float(means.std()) if len(means) > 1 else None
        cell["noise_auroc"] = float(np.mean(noise)) if noise else None
        if noise_drawn:
            cell["noise_low"], cell["noise_high"] = interval(_mixed(np.stack(noise_drawn)), options.level)
        cells.append(cell)
        if drawn:
            samples[fit_on, test_on] = np.stack(drawn)
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
    marked = sum(bool(record["remark"]) for record in records)
    return said[0] if len(records) == 1 else f"{said[0]} (in {marked} of {len(records)} splits)"


def columns_of(attacks: Sequence[str]) -> list[Pair]:
    """The cells of the paper's Table 2: every attack seen, then fitted on the first attack and tested on the others."""
    return [(attack, attack) for attack in attacks] + [(attacks[0], attack) for attack in attacks[1:]]


def compare(first: Samples, second: Samples, values: Mapping[str, Mapping[Pair, float]], pairs: Sequence[Pair],
            labels: tuple[str, str], options: Statistics) -> list[dict[str, Any]]:  # fmt: skip
    """Paired differences of AUROC, first minus second, on the same images and resamples; p not yet adjusted."""
    records = []
    for pair in pairs:
        if pair not in first or pair not in second:
            continue
        rows = max(len(first[pair]), len(second[pair]))
        if rows % len(first[pair]) or rows % len(second[pair]):
            continue  # a replicate of one of them could not be run
        difference = _mixed(_repeated(first[pair], rows) - _repeated(second[pair], rows))
        low, high = interval(difference, options.level)
        records.append(
            {
                "first": labels[0],
                "second": labels[1],
                "fit_on": pair[0],
                "test_on": pair[1],
                "difference": values[labels[0]][pair] - values[labels[1]][pair],
                "low": low,
                "high": high,
                "p": paired_p(difference),
                "centre": float(np.nanmedian(difference)),
            }
        )
    return records


def _repeated(samples: Floats, rows: int) -> Floats:
    """A detector without gates meets every set of gates of the other on the same splits."""
    return samples if len(samples) == rows else np.tile(samples, (rows // len(samples), 1))


def adjust(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holm's correction over a family of claims, and what each may say after it."""
    for record, p in zip(records, holm([r["p"] for r in records]) if records else [], strict=True):
        record["p_holm"] = float(p)
        record["verdict"] = verdict(np.array([record.pop("centre")]), float(p))
    return records


def leaders(samples: Mapping[str, Samples], values: Mapping[str, Mapping[Pair, float]], pairs: Sequence[Pair],
            options: Statistics) -> list[dict[str, Any]]:  # fmt: skip
    """For each column the detector with the highest AUROC and all that cannot be told apart from it (Holm)."""
    groups = []
    for pair in pairs:
        able = [label for label in samples if pair in samples[label] and pair in values[label]]
        if not able:
            continue
        best = max(able, key=lambda label: values[label][pair])
        tested: list[dict[str, Any]] = []
        for label in able:
            if label != best:
                tested += compare(samples[best], samples[label], values, [pair], (best, label), options)
        equal = [r["second"] for r in adjust(tested) if r["verdict"] == "not separable"]
        groups.append({"fit_on": pair[0], "test_on": pair[1], "best": best, "not_separable": sorted(equal)})
    return groups
